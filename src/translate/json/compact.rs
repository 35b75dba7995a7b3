//! JSON as it was written, without the space between its tokens.

use memchr::memchr;
use serde_json::Value;
use serde_json::value::RawValue;

use super::extent::{Extent, after_string};
use super::quote::escaped;
use super::schema::SchemaError;
use super::survey::MAX_NODES;

/// The same JSON without space, and with each string in its shortest spelling. Takes memory for the
/// text alone: a tree of its values would take up to a hundred times as much.
///
/// # Errors
/// A string that holds an escape which stands for no character (half a surrogate pair).
pub fn compact(json: &RawValue) -> Result<String, SchemaError> {
    let mut out = String::with_capacity(json.get().len());
    for token in Tokens(json.get()) {
        match token {
            Token::String(text) if !is_shortest(text) => {
                let text = serde_json::from_str::<String>(text);
                let text = text.map_err(|_| SchemaError::Escape)?;
                out.push('"');
                out.push_str(&escaped(&text));
                out.push('"');
            }
            Token::String(text) => out.push_str(text),
            Token::Other(text) => out.extend(text.split_ascii_whitespace()),
        }
    }
    Ok(out)
}

/// Whether a JSON string is in its shortest spelling: whatever is escaped in it has to be, and by a
/// letter.
fn is_shortest(json: &str) -> bool {
    let mut rest = json.as_bytes();
    while let Some(at) = memchr(b'\\', rest) {
        let Some((b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', after)) = rest
            .get(at.saturating_add(1)..)
            .and_then(<[u8]>::split_first)
        else {
            return false;
        };
        rest = after;
    }
    true
}

/// The tree of a schema, which is read for its words and not to be checked against; `None` where it
/// has so many values that the tree would be large.
pub fn small_tree(json: &RawValue) -> Option<Value> {
    let is_small = count_values(json.get()) <= MAX_NODES;
    is_small.then(|| serde_json::from_str(json.get()).ok())?
}

/// How many values a JSON text holds, itself included.
pub fn count_values(json: &str) -> usize {
    Extent::of(json).values
}

enum Token<'t> {
    /// With its quotes.
    String(&'t str),
    /// What stands between two strings.
    Other(&'t str),
}

/// The strings of a valid JSON text, and what stands between them.
struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if self.0.is_empty() {
            return None;
        }
        let (token, rest) = match self.0.starts_with('"') {
            true => {
                let (text, rest) = self.0.split_at_checked(string_length(self.0))?;
                (Token::String(text), rest)
            }
            false => {
                let end = self.0.find('"').unwrap_or(self.0.len());
                let (text, rest) = self.0.split_at_checked(end)?;
                (Token::Other(text), rest)
            }
        };
        self.0 = rest;
        Some(token)
    }
}

/// The length of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let inside = text.as_bytes().get(1..).unwrap_or_default();
    let rest = after_string(inside);
    text.len().saturating_sub(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn space_goes_and_values_stay() {
        let json = "{ \"a b\" : [ 1.50 ,\n true, \"\\u00e9 \\\" \\/\" , {}, \"\\\\u\\n\\u000a\", \"\\b\\\"\" ] }";
        let expected = "{\"a b\":[1.50,true,\"é \\\" /\",{},\"\\\\u\\n\\n\",\"\\b\\\"\"]}";
        assert_eq!(compact(&raw(json)).as_deref(), Ok(expected));
        assert_eq!(compact(&raw(r#"["\ud83d"]"#)), Err(SchemaError::Escape));
    }
}
