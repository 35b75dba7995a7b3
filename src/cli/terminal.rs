//! What goes to a terminal steers nothing there: answers, names of models and errors come from
//! elsewhere, and a terminal obeys what it is sent (its title, its clipboard, what stands above).

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write};

/// Prints a line for people on stderr, harmless wherever it came from.
pub fn tell(message: impl Display) {
    eprintln!("{}", Escaped(&message.to_string()));
}

/// Stdout: harmless on a terminal, and byte for byte in a pipe or a file.
pub fn stdout() -> Harmless<io::Stdout> {
    let stdout = io::stdout();
    match stdout.is_terminal() {
        true => Harmless::escaping(stdout),
        false => Harmless::verbatim(stdout),
    }
}

/// A writer that spells out what could steer a terminal: `\x1b`.
pub struct Harmless<W> {
    inner: W,
    escapes: bool,
    /// The beginning of a character, or a carriage return whose meaning the next byte decides.
    pending: Vec<u8>,
}

impl<W: Write> Harmless<W> {
    fn escaping(inner: W) -> Self {
        Self {
            inner,
            escapes: true,
            pending: Vec::new(),
        }
    }

    fn verbatim(inner: W) -> Self {
        Self {
            escapes: false,
            ..Self::escaping(inner)
        }
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.escapes {
            return self.inner.write(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        let mut shown = String::new();
        for chunk in self.pending.utf8_chunks() {
            let invalid = chunk.invalid();
            rest = rest.get(chunk.valid().len()..).unwrap_or_default();
            let is_open = rest.len() == invalid.len() && is_beginning(invalid);
            let text = chunk.valid();
            // A line may end in CR LF, also where the two come one by one.
            let (text, held) = match text.strip_suffix('\r') {
                Some(before) if rest.is_empty() => (before, "\r"),
                _ => (text, ""),
            };
            let _ = write!(shown, "{}", Escaped(text));
            if !held.is_empty() {
                rest = b"\r";
                break;
            }
            if is_open {
                break;
            }
            for byte in invalid {
                let _ = write!(shown, "\\x{byte:02x}");
            }
            rest = rest.get(invalid.len()..).unwrap_or_default();
        }
        self.pending = rest.to_vec();
        self.inner.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// A text without what could steer a terminal.
pub struct Escaped<'t>(pub &'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = self.0.chars().peekable();
        while let Some(letter) = letters.next() {
            let ends_line = letter == '\r' && letters.peek() == Some(&'\n');
            match letter {
                _ if ends_line => {}
                '\n' | '\t' => formatter.write_char(letter)?,
                _ if u32::from(letter) < 0x100 && letter.is_control() => {
                    write!(formatter, "\\x{:02x}", u32::from(letter))?;
                }
                _ if is_direction(letter) => {
                    write!(formatter, "\\u{{{:x}}}", u32::from(letter))?;
                }
                _ => formatter.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// The controls that turn the direction of writing (source: Unicode Standard Annex 9, 2).
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str =
        "a\x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[2J\u{9b}31m\x7f\rb\u{202e}c\r\n\td\u{e9}\u{65e5}";
    const TAME: &str = r"a\x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[2J\x9b31m\x7f\x0db\u{202e}c";

    fn written(harmless: impl Fn(Vec<u8>) -> Harmless<Vec<u8>>, pieces: &[&[u8]]) -> String {
        let mut out = harmless(Vec::new());
        for piece in pieces {
            out.write_all(piece).unwrap();
        }
        String::from_utf8(out.inner).unwrap()
    }

    #[test]
    fn what_steers_a_terminal_is_spelt_out_however_it_is_cut() {
        let expected = format!("{TAME}\n\td\u{e9}\u{65e5}");
        assert_eq!(Escaped(EVIL).to_string(), expected);
        for cut in 0..=EVIL.len() {
            let (first, second) = EVIL.as_bytes().split_at(cut);
            let pieces = [first, second];
            assert_eq!(written(Harmless::escaping, &pieces), expected, "{cut}");
            assert_eq!(written(Harmless::verbatim, &pieces), EVIL);
        }
        let bytes: Vec<&[u8]> = EVIL.as_bytes().chunks(1).collect();
        assert_eq!(written(Harmless::escaping, &bytes), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_spelt_out_too() {
        let pieces: [&[u8]; 3] = [b"a\xff\xe6", b"\x97b\xe6\x97", b"\xa5\n"];
        assert_eq!(
            written(Harmless::escaping, &pieces),
            "a\\xff\\xe6\\x97b\u{65e5}\n"
        );
    }
}
