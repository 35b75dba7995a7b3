//! References of a schema to its own parts.

use std::borrow::Cow;

use serde_json::Value;

/// What a `$ref` such as `#/$defs/City` points to, within the schema `whole`.
pub(super) fn resolve<'s>(whole: &'s Value, reference: &str) -> Option<&'s Value> {
    let fragment = reference.strip_prefix('#')?;
    whole.pointer(&percent_decoded(fragment)?)
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
        assert_eq!(
            resolve(&schema, "#/$defs/List%5BInt%5D"),
            Some(&Value::from(1))
        );
        assert_eq!(resolve(&schema, "#/$defs/a~1b"), Some(&Value::from(2)));
        assert_eq!(resolve(&schema, "#"), Some(&schema));
        assert_eq!(resolve(&schema, "#/$defs/%zz"), None);
        assert_eq!(resolve(&schema, "https://example.com/#"), None);
    }
}
