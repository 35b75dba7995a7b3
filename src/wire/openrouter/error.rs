//! OpenRouter's errors (source: its page "Errors"): `{"error": {"code", "message", "metadata"}}`,
//! under their own status, under 200, or in a chunk.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::text::Text;

/// The error object. `metadata` holds a provider's own words and names.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorObject<'a> {
    /// An HTTP status as a number; some of OpenAI's words where a provider's body came through.
    #[serde(borrow)]
    pub code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub message: Option<Text<'a>>,
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
}

/// What a provider said.
#[derive(Debug, Default, Deserialize)]
pub struct Metadata<'a> {
    /// A string, mostly of JSON; or an object.
    #[serde(borrow)]
    pub raw: Option<&'a RawValue>,
}

impl<'a> ErrorObject<'a> {
    /// Reads an `error` member, which may also be a mere string.
    pub fn read(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_else(|_| Self {
            message: serde_json::from_str(raw.get()).ok(),
            ..Self::default()
        })
    }

    /// The status that it names: in its code, or else as `Error code: NNN` in its message.
    pub fn status(&self) -> Option<u16> {
        let code = self.code.map(|code| code.get().trim_matches('"'));
        let told = |code: &str| {
            let status = code.parse().ok();
            status.filter(|status| (400..600).contains(status))
        };
        let of_words = || {
            let message = self.message.as_ref()?.as_str();
            let (_, after) = message.split_once("Error code: ")?;
            told(after.get(..3)?)
        };
        code.and_then(told).or_else(of_words)
    }

    /// All that was said, in small letters, to look for words in; never to be shown.
    pub fn words(&self) -> String {
        let message = self.message.as_ref().map_or("", Text::as_str);
        let raw = self.metadata.as_ref().and_then(|metadata| metadata.raw);
        let raw = raw.map_or("", RawValue::get);
        format!("{message}\n{raw}").to_ascii_lowercase()
    }
}

/// Whether words in small letters say that a prompt is longer than its model takes: OpenRouter's own,
/// and those of the providers that it passes on. Some providers have the same words for what an
/// account may send in a minute.
pub fn is_about_context(words: &str) -> bool {
    let says = |phrase: &str| words.contains(phrase);
    let is_rate = ["rate limit", "per minute", "per day", "quota"];
    let is_too_long = [
        "context length",
        "context_length",
        "context window",
        "context limit",
        "maximum context",
        "maximum prompt length",
        "prompt is too long",
        "input is too long",
        "reduce the length of",
    ];
    let counts_input = says("input token") || says("prompt token");
    let is_told = is_too_long.into_iter().any(says) || counts_input && says("exceed");
    is_told && !is_rate.into_iter().any(says)
}
