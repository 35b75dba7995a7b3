//! JSON as Python's `json.dumps` writes it: a blank after `:` and `,`, and all but ASCII escaped.
//! fal's documented event stream has this form.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

/// Writes `value`; `ascii` is Python's `ensure_ascii`.
pub(super) fn to_string(value: &impl Serialize, ascii: bool) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Python { ascii });
    value
        .serialize(&mut serializer)
        .expect("our own types serialize into memory");
    String::from_utf8(bytes).expect("the serializer writes UTF-8")
}

struct Python {
    ascii: bool,
}

impl Python {
    fn separate<W: ?Sized + io::Write>(writer: &mut W, first: bool) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }
}

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        Python::separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        Python::separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ascii {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for char in fragment.chars() {
            if matches!(char, ' '..='~') {
                writer.write_all(&[char as u8])?;
                continue;
            }
            for unit in char.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let short: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(short)
    }
}

#[cfg(test)]
mod tests {
    use super::to_string;

    #[test]
    fn text_is_escaped_as_python_does() {
        let text = "a\"\\/\n\u{1}\u{7f}é日👍";
        assert_eq!(
            to_string(&text, true),
            r#""a\"\\/\n\u0001\u007f\u00e9\u65e5\ud83d\udc4d""#
        );
        assert_eq!(
            to_string(&text, false),
            "\"a\\\"\\\\/\\n\\u0001\u{7f}é日👍\""
        );
        assert_eq!(to_string(&(1, [2.0]), true), "[1, [2.0]]");
    }
}
