//! The usage that an upstream tells of its answer. It is another's word: what is no sound figure
//! counts as untold.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::translate::cost::Cost;
use crate::translate::model::PicoDollars;
use crate::wire::fal::usage::{CompletionDetails, PromptDetails, UsageInfo};

/// What an upstream says that one call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// `None` unless the prompt's and the answer's are told.
    pub tokens: Option<Tokens>,
    /// `None` where it is not told, or not to be believed.
    pub cost: Option<Cost>,
    /// Whether a cost is told that cannot be one.
    pub has_unsound_cost: bool,
}

/// Tokens of one call. `completion` includes `reasoning`, and `prompt` what is `cached`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
    /// What the provider had read before.
    pub cached: u64,
}

/// More tokens than any call has.
const MAX_TOKENS: u64 = 1 << 32;
/// More than any call costs: a thousand dollars.
const MAX_DOLLARS: PicoDollars = PicoDollars(1_000_000_000_000_000);

impl Reported {
    /// Reads a `usage` object; `None` where there is none.
    pub fn read(raw: &RawValue) -> Option<Self> {
        let usage: Option<UsageInfo<'_>> = serde_json::from_str(raw.get()).ok()?;
        let usage = usage?;
        let CompletionDetails { reasoning_tokens } = details(usage.completion_tokens_details);
        let PromptDetails { cached_tokens } = details(usage.prompt_tokens_details);
        let tokens = |raw: Option<&RawValue>| {
            let count = raw?.get().parse::<u64>().ok()?;
            (count <= MAX_TOKENS).then_some(count)
        };
        let prompt = tokens(usage.prompt_tokens);
        let completion = tokens(usage.completion_tokens);
        let cost = usage.cost.map(RawValue::get).filter(|raw| *raw != "null");
        let amount = cost.and_then(|raw| raw.parse::<PicoDollars>().ok());
        let amount = amount.filter(|amount| *amount <= MAX_DOLLARS);
        Some(Self {
            tokens: prompt.zip(completion).map(|(prompt, completion)| Tokens {
                prompt,
                completion,
                reasoning: reasoning_tokens.unwrap_or_default().min(completion),
                cached: cached_tokens.unwrap_or_default().min(prompt),
            }),
            cost: amount.map(Cost::of_dollars),
            has_unsound_cost: cost.is_some() && amount.is_none(),
        })
    }
}

/// Details that cannot be read tell nothing.
fn details<'r, D: Default + Deserialize<'r>>(raw: Option<&'r RawValue>) -> D {
    let read = raw.and_then(|raw| serde_json::from_str::<Option<D>>(raw.get()).ok());
    read.flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Reported> {
        let raw: Box<RawValue> = serde_json::from_str(json).expect("JSON");
        Reported::read(&raw)
    }

    #[test]
    fn what_is_told_is_taken_to_the_last_digit() {
        let usage = r#"{"prompt_tokens":40,"completion_tokens":227,"total_tokens":267,"cost":0.0005795,
            "completion_tokens_details":{"reasoning_tokens":27},"prompt_tokens_details":{"cached_tokens":4}}"#;
        let tokens = Tokens {
            prompt: 40,
            completion: 227,
            reasoning: 27,
            cached: 4,
        };
        let cost = Cost::of_dollars(PicoDollars(579_500_000));
        let expected = Reported {
            tokens: Some(tokens),
            cost: Some(cost),
            has_unsound_cost: false,
        };
        assert_eq!(read(usage), Some(expected));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        for cost in ["-0.1", "1e9", "1001", "\"0.1\"", "[]", "true", "1e999"] {
            let told = read(&format!(r#"{{"cost":{cost}}}"#)).expect("an object");
            assert_eq!((told.cost, told.has_unsound_cost), (None, true), "{cost}");
        }
        for tokens in ["-1", "1.5", "\"3\"", "null", "9999999999999999999"] {
            let usage = format!(r#"{{"prompt_tokens":{tokens},"completion_tokens":3,"cost":1}}"#);
            let told = read(&usage).expect("an object");
            assert_eq!(told.tokens, None, "{tokens}");
            assert!(told.cost.is_some() && !told.has_unsound_cost);
        }
        assert_eq!(read("{}"), Some(Reported::default()));
        assert_eq!(read(r#"{"cost":null}"#), Some(Reported::default()));
        for nothing in ["null", "3", "\"usage\"", "[]"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
