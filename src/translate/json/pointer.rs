//! References of a schema to its own parts.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;

use serde_json::{Map, Value};

/// The longest reference that is followed, in bytes. Reading one takes time in proportion.
pub(super) const LONGEST_REFERENCE: usize = 1024;

/// The references of a schema, each read once however often it is followed.
#[derive(Debug)]
pub(super) struct Targets<'s> {
    whole: &'s Value,
    /// By the address of the `$ref`'s value, which does not move while the schema is borrowed.
    known: RefCell<HashMap<usize, Option<&'s Value>>>,
}

impl<'s> Targets<'s> {
    pub(super) fn of(whole: &'s Value) -> Self {
        Self {
            whole,
            known: RefCell::default(),
        }
    }

    /// What the `$ref` of a schema points to, if it has one that points to something.
    pub(super) fn follow(&self, keywords: &'s Map<String, Value>) -> Option<&'s Value> {
        self.target(keywords.get("$ref")?)
    }

    /// What a `$ref` with this value points to.
    pub(super) fn target(&self, reference: &'s Value) -> Option<&'s Value> {
        let address = ptr::from_ref(reference).addr();
        let mut known = self.known.borrow_mut();
        *known
            .entry(address)
            .or_insert_with(|| resolve(self.whole, reference.as_str()?))
    }
}

/// What a `$ref` such as `#/$defs/City` points to, within the schema `whole`. An empty one means
/// all of it (RFC 3986, section 4.4).
pub(super) fn resolve<'s>(whole: &'s Value, reference: &str) -> Option<&'s Value> {
    whole.pointer(&pointer(reference)?)
}

/// The JSON pointer of a reference into the same document; `None` for any other reference, and for
/// one that is too long.
fn pointer(reference: &str) -> Option<Cow<'_, str>> {
    if reference.is_empty() {
        return Some(Cow::Borrowed(""));
    }
    let fragment = reference.strip_prefix('#')?;
    match reference.len() <= LONGEST_REFERENCE {
        true => percent_decoded(fragment),
        false => None,
    }
}

/// A reference as a URI writes it (RFC 3986, section 3.5): people leave the brackets of
/// `#/$defs/List[Int]` as they are, and strict readers refuse those.
pub(super) fn as_uri(reference: &str) -> Option<String> {
    const PLAIN: &[u8] = b"-._~!$&'()*+,;=:@/?";
    let mut uri = "#".to_owned();
    for byte in pointer(reference)?.bytes() {
        match byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(uri)
}

/// A pointer in a URI is percent-encoded; generators of schemas write `#/$defs/List%5BInt%5D`.
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_decoded_before_it_is_followed() {
        let schema = json!({"$defs": {"List[Int]": 1, "a/b": 2}});
        for list in ["#/$defs/List%5BInt%5D", "#/$defs/List[Int]"] {
            assert_eq!(resolve(&schema, list), Some(&Value::from(1)));
            assert_eq!(as_uri(list).as_deref(), Some("#/$defs/List%5BInt%5D"));
        }
        assert_eq!(resolve(&schema, "#/$defs/a~1b"), Some(&Value::from(2)));
        assert_eq!(resolve(&schema, "#"), Some(&schema));
        assert_eq!(resolve(&schema, ""), Some(&schema));
        assert_eq!(resolve(&schema, "#/$defs/%zz"), None);
        assert_eq!(resolve(&schema, "https://example.com/#"), None);
    }

    #[test]
    fn a_reference_that_is_too_long_is_not_read() {
        let name = "n".repeat(LONGEST_REFERENCE);
        let schema = json!({"$defs": {name.as_str(): 1}});
        assert_eq!(resolve(&schema, &format!("#/$defs/{name}")), None);
    }
}
