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
        let of_words = || status_in(&self.message.as_ref()?.as_str().to_ascii_lowercase());
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

/// The status that words in small letters name as `error code: NNN`, as fal wraps its provider's
/// errors.
pub fn status_in(words: &str) -> Option<u16> {
    let (_, after) = words.split_once("error code: ")?;
    let status = after.get(..3)?.parse().ok();
    status.filter(|status| (400..600).contains(status))
}

/// Whether words in small letters say that a prompt is longer than its model takes: OpenRouter's own,
/// and those of the providers that it passes on. The same words stand in errors about what an
/// account may send or pay, and about servers with too much to do, so `status` decides first: that
/// of the error or of its answer, where one of success says nothing.
pub fn is_about_context(status: Option<u16>, words: &str) -> bool {
    let says = |phrase: &str| words.contains(phrase);
    let is_rate = || {
        let phrases = [
            "rate limit",
            "rate_limit",
            "too many requests",
            "per min",
            "per day",
            "quota",
            "allowance",
            "credits",
            "overloaded",
        ];
        phrases.into_iter().any(says)
    };
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
    match status {
        Some(401..=403 | 429 | 500..) => false,
        Some(400..) => is_told,
        _ => is_told && !is_rate(),
    }
}
