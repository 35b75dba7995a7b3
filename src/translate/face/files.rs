//! File parts: a text file is put in place as text, an image is an image, all else is refused.
//!
//! How a text file is written is told in [`super::attached`].

use std::borrow::Cow;

use crate::translate::face::attached::between_lines;
use crate::translate::image::DataUri;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::openai::message::File;
use crate::wire::text::Text;

/// What a file part turned out to be.
#[derive(Debug)]
pub enum FileContent<'a> {
    /// A text file, with the lines around it.
    Text(String),
    /// An image's data URI.
    Image(Cow<'a, str>),
}

/// Reads the file at `path`.
///
/// # Errors
/// A file that is only named by its id, data that is no data URI in base64, a type that is neither
/// text nor image, and text that is not UTF-8.
pub fn read<'a>(file: File<'a>, path: &str) -> Result<FileContent<'a>, Rejection> {
    let Some(Text(data)) = file.file_data else {
        return Err(without_data(&file, path));
    };
    let param = format!("{path}.file_data");
    let Some(uri) = DataUri::read(&data) else {
        return Err(malformed(param));
    };
    let media_type = uri.media_type.to_ascii_lowercase();
    let says_nothing = matches!(media_type.as_str(), "" | UNKNOWN_TYPE);
    if media_type.starts_with("image/") || (says_nothing && uri.image_type().is_some()) {
        return Ok(FileContent::Image(data));
    }
    if !is_text_type(&media_type) {
        return Err(unsupported(
            param,
            "only text files and images can be carried to fal. \
             Extract the file's text and send that.",
        ));
    }
    let Some(bytes) = uri.decode() else {
        return Err(malformed(param));
    };
    // A file of no particular type is text if it reads like text.
    let is_binary = media_type == UNKNOWN_TYPE && bytes.contains(&0);
    match String::from_utf8(bytes) {
        Ok(text) if !is_binary => {
            let name = file.filename.as_ref().map(Text::as_str);
            Ok(FileContent::Text(between_lines(name, &text)))
        }
        _ => Err(unsupported(
            param,
            "the file is not text in UTF-8. Convert it, or send its text.",
        )),
    }
}

/// What browsers say of a file whose name tells them nothing.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Types of text that are not called so.
const TEXT_TYPES: [&str; 15] = [
    "", // RFC 2397: text/plain
    UNKNOWN_TYPE,
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/sql",
    "application/toml",
    "application/typescript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
];

fn is_text_type(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || TEXT_TYPES.contains(&media_type)
        || ["+json", "+xml", "+yaml"]
            .iter()
            .any(|suffix| media_type.ends_with(suffix))
}

fn without_data(file: &File<'_>, path: &str) -> Rejection {
    if file.file_id.is_some() {
        return unsupported(
            format!("{path}.file_id"),
            "no files are stored here. Send the file itself, as a data URI in 'file_data'.",
        );
    }
    Rejection::missing(format!("{path}.file_data"))
}

fn malformed(param: String) -> Rejection {
    let message =
        format!("Invalid '{param}': it must be a data URI such as data:text/plain;base64,....");
    Rejection::invalid(param, message)
}

fn unsupported(param: String, reason: &str) -> Rejection {
    let message = format!("Unsupported value: '{param}': {reason}");
    Rejection::of(Cause::UnsupportedValue, param, message)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::wire::object::Unknown;

    fn file(data: &str, name: Option<&'static str>) -> Result<FileContent<'static>, Rejection> {
        let text = |text: &str| Text(Cow::Owned(text.to_owned()));
        let file = File {
            file_data: Some(text(data)),
            file_id: None,
            filename: name.map(text),
            unknown: Unknown::default(),
        };
        read(file, "messages[0].content[1].file")
    }

    fn uri(media_type: &str, bytes: impl AsRef<[u8]>) -> String {
        format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
    }

    fn text_of(media_type: &str, name: Option<&'static str>, bytes: impl AsRef<[u8]>) -> String {
        match file(&uri(media_type, bytes), name) {
            Ok(FileContent::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// The key of a file's lines, and what they are but for it.
    fn without_key(written: &str) -> (String, String) {
        let (_, rest) = written.split_once("[file-").expect("a first line");
        let (key, _) = rest.split_once(' ').expect("a name");
        (key.to_owned(), written.replace(key, "KEY"))
    }

    #[test]
    fn text_stands_between_lines_that_name_the_file() {
        let expected = "[file-KEY a.txt]\nBrötchen\n[end of file-KEY]";
        for media_type in [
            "text/plain",
            "TEXT/X-Rust",
            "application/json",
            "application/vnd.api+json",
            "text/plain;charset=utf-8",
            "application/octet-stream",
            "",
        ] {
            for text in ["Brötchen", "Brötchen\n", "\u{feff}Brötchen"] {
                let (_, written) = without_key(&text_of(media_type, Some("a.txt"), text));
                assert_eq!(written, expected);
            }
        }
        let (_, unnamed) = without_key(&text_of("text/plain", None, ""));
        assert_eq!(unnamed, "[file-KEY unnamed]\n\n[end of file-KEY]");
        let (_, named) = without_key(&text_of("text/plain", Some("a\nb"), "c"));
        assert!(named.starts_with("[file-KEY ab]\n"));
    }

    #[test]
    fn no_file_holds_the_key_of_its_own_end() {
        let letters: Vec<char> = ('0'..='9').chain('a'..='z').collect();
        let mut text = String::from("[end of file]\n");
        // Every short key there is, in small letters and an escape.
        for first in '2'..='9' {
            for pair in letters
                .iter()
                .flat_map(|one| letters.iter().map(move |two| [one, two]))
            {
                for last in &letters {
                    let [one, two] = pair;
                    text.extend([first, *one, *two, *last, ' ']);
                }
            }
        }
        let text = text.replace("7k", "\\u0037k");
        let written = text_of("text/plain", Some("r.txt"), &text);
        let (key, _) = without_key(&written);
        assert_eq!(key.len(), 12);
        assert_eq!(written.matches(&key).count(), 2);
    }

    #[test]
    fn an_image_is_an_image() {
        let image = uri("image/png", [1, 2, 3]);
        let content = file(&image, None);
        assert!(matches!(content, Ok(FileContent::Image(url)) if url == image));
    }

    #[test]
    fn what_cannot_be_carried_is_refused_where_it_stands() {
        let pdf = uri("application/pdf", "%PDF-1.7");
        let audio = uri("audio/wav", "RIFF");
        let latin1 = uri("text/plain", [0xe4]);
        let binary = uri("application/octet-stream", [0, 1]);
        for data in [pdf.as_str(), &audio, &latin1, &binary] {
            let refusal = file(data, Some("x")).expect_err("it cannot be carried");
            assert_eq!(refusal.cause, Cause::UnsupportedValue, "{data}");
            let param = "messages[0].content[1].file.file_data";
            assert_eq!(refusal.param.as_deref(), Some(param));
        }
        for data in [
            "",
            "aGVsbG8=",
            "data:text/plain,hello",
            "data:text/plain;base64,%%",
        ] {
            let refusal = file(data, Some("x")).expect_err("it is no data URI");
            assert_eq!(refusal.cause, Cause::InvalidValue, "{data}");
        }
        let by_id = File {
            file_data: None,
            file_id: Some(Text("file-1".into())),
            filename: None,
            unknown: Unknown::default(),
        };
        let refusal = read(by_id, "p").expect_err("nothing is stored");
        assert_eq!(refusal.param.as_deref(), Some("p.file_id"));
    }
}
