//! Arguments as elements, one for each parameter.

use std::borrow::Cow;
use std::fmt::Write;

use crate::wire::openai::fields::Fields;

/// What ends a value when it is read back.
const VALUE_END: &str = "</parameter";

/// The parameters of a JSON object, each on its own line or lines. `None` where elements could not
/// hold them without doubt: what is no object, names with unusual letters, and values in which
/// something looks like the end of one. Objects that differ in more than spacing and the spelling
/// of their strings are written differently.
pub(super) fn parameters(arguments: &str) -> Option<String> {
    let Fields(fields) = serde_json::from_str(arguments).ok()?;
    let mut out = String::new();
    for (name, value) in fields {
        let raw = value.get();
        let (mark, value) = match raw.starts_with('"') {
            true => ("", Cow::Owned(serde_json::from_str::<String>(raw).ok()?)),
            false => (" type=\"json\"", Cow::Borrowed(raw)),
        };
        if value.contains(VALUE_END) || !is_plain(&name) {
            return None;
        }
        let space = match has_line_ends(&value) {
            true => "\n",
            false => "",
        };
        let _ = writeln!(
            out,
            "<parameter name=\"{name}\"{mark}>{space}{value}{space}</parameter>"
        );
    }
    Some(out)
}

/// Whether a value begins and ends with a line break, which reading takes for a matter of layout.
fn has_line_ends(value: &str) -> bool {
    value
        .strip_prefix('\n')
        .is_some_and(|inner| inner.ends_with('\n'))
}

fn is_plain(name: &str) -> bool {
    let is_plain_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(is_plain_byte)
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn strings_stand_as_they_are_and_anything_else_is_marked() {
        let arguments =
            r#"{"code": "if a < b {\n  \"x\"\n}", "count": 2, "list": ["a"], "page": "\n\n"}"#;
        let expected = "<parameter name=\"code\">if a < b {\n  \"x\"\n}</parameter>\n\
                        <parameter name=\"count\" type=\"json\">2</parameter>\n\
                        <parameter name=\"list\" type=\"json\">[\"a\"]</parameter>\n\
                        <parameter name=\"page\">\n\n\n\n</parameter>\n";
        assert_eq!(parameters(arguments).as_deref(), Some(expected));
    }

    #[test]
    fn what_elements_cannot_hold_is_left_to_json() {
        let doubtful = [
            "",
            "[1]",
            r#"{"a": "</parameter>"}"#,
            r#"{"a": ["</parameter "]}"#,
            r#"{"a>b": 1}"#,
            r#"{"a": 1, "a": 2}"#,
        ];
        for arguments in doubtful {
            assert_eq!(parameters(arguments), None, "{arguments}");
        }
        assert_eq!(parameters("{ }").as_deref(), Some(""));
    }
}
