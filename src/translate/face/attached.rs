//! Text files inside messages.
//!
//! fal takes no files but images, recordings and videos. A text file stands in its message between
//! two lines that name it, and is from there on text like any other:
//!
//! ```text
//! [file-7K2Q notes.txt]
//! Buy bread.
//! [end of file-7K2Q]
//! ```
//!
//! The key in them does not occur in the file, so that no file can seem to end before it does. It is
//! derived from the file alone: the same file is written the same way in every turn.

use crate::translate::key::{Keys, Pen, Secret};

/// A text file as part of a message.
pub fn between_lines(name: Option<&str>, text: &str) -> String {
    const LONGEST_NAME: usize = 200;
    let letters = name.unwrap_or_default().chars();
    let name = letters
        .filter(|letter| !letter.is_control())
        .take(LONGEST_NAME)
        .collect::<String>();
    let name = match name.trim() {
        "" => "unnamed",
        name => name,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line_end = if text.ends_with('\n') { "" } else { "\n" };
    // A text that knows its own key gets another one, so that no secret is needed.
    let mut keys = Keys::new(Secret::new([0; 32]), [name, text], []);
    loop {
        let pen = Pen::new(keys.take());
        let written = format!("[file-{pen} {name}]\n{text}{line_end}[end of file-{pen}]");
        if pen.is_sole_writer_of([written.as_str()]) {
            return written;
        }
    }
}
