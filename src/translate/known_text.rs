//! A text that one request after another holds, with what is known of it.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::json::escaped;
use super::usage::EstimatedText;

/// A text that was read before.
#[derive(Debug)]
pub struct KnownText {
    /// With its tokens.
    pub estimated: EstimatedText,
    /// See [`Self::escaped_within`].
    escaped: OnceLock<String>,
}

impl KnownText {
    pub fn new(text: String) -> Self {
        Self {
            estimated: EstimatedText::new(text),
            escaped: OnceLock::new(),
        }
    }

    pub fn as_str(&self) -> &str {
        self.estimated.as_str()
    }

    /// The inside of the JSON string of a text that holds this one, in three parts; `None` where it is
    /// not found in there.
    pub fn escaped_within(&self, whole: &str) -> Option<[Cow<'_, str>; 3]> {
        let (before, after) = self.estimated.split(whole)?;
        let known = self.escaped.get_or_init(|| escaped(self.as_str()));
        Some([escaped(before).into(), known.into(), escaped(after).into()])
    }
}

#[cfg(test)]
mod tests {
    use super::KnownText;

    #[test]
    fn knowing_a_part_makes_no_other_json() {
        for known in ["", "\"", "a\n\u{1}\\", "\u{e9}"].map(|text| KnownText::new(text.to_owned()))
        {
            for around in ["", "\\", "\"b\"\t", "\u{1f600}"] {
                let whole = format!("{around}{}{around}", known.as_str());
                let parts = known.escaped_within(&whole).unwrap();
                let json = format!("\"{}\"", parts.concat());
                assert_eq!(json, serde_json::to_string(&whole).unwrap(), "{whole}");
            }
        }
        assert!(KnownText::new("a".to_owned()).escaped_within("b").is_none());
    }
}
