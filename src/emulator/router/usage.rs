//! What an answer cost: the tokens that are told are the tokens that are charged.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::cards::Card;

/// Characters that count as one token, here as where `max_tokens` cuts an answer.
const CHARS_PER_TOKEN: usize = 4;
/// Tokens of an image, whatever is in it.
const TOKENS_PER_IMAGE: usize = 258;

/// Counts for one answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct Tally {
    card: &'static Card,
    prompt_tokens: usize,
}

/// The usage of an answer, as the prompt faces tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Usage {
    pub(in crate::emulator) prompt_tokens: usize,
    pub(in crate::emulator) completion_tokens: usize,
    pub(in crate::emulator) reasoning_tokens: usize,
    /// Billionths of a dollar.
    nano_dollars: u64,
}

impl Tally {
    /// Begins to count for a prompt of these texts and so many images.
    pub(in crate::emulator) fn new<'t>(
        card: &'static Card,
        texts: impl IntoIterator<Item = &'t str>,
        images: usize,
    ) -> Tally {
        let texts = texts.into_iter().map(tokens).sum::<usize>();
        Tally {
            card,
            prompt_tokens: texts + images * TOKENS_PER_IMAGE,
        }
    }

    pub(in crate::emulator) fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// The usage once these texts are written.
    pub(in crate::emulator) fn usage(&self, output: &str, reasoning: &str) -> Usage {
        let reasoning_tokens = tokens(reasoning);
        let completion_tokens = tokens(output) + reasoning_tokens;
        let cost = |tokens: usize, price: u64| tokens as u64 * price;
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens,
            reasoning_tokens,
            nano_dollars: cost(self.prompt_tokens, self.card.price_in)
                + cost(completion_tokens, self.card.price_out),
        }
    }
}

impl Usage {
    pub(in crate::emulator) fn total_tokens(&self) -> usize {
        self.prompt_tokens + self.completion_tokens
    }

    /// Dollars, as short as they can be written.
    pub(in crate::emulator) fn cost(&self) -> f64 {
        self.nano_dollars as f64 / 1e9
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("prompt_tokens", &self.prompt_tokens)?;
        map.serialize_entry("completion_tokens", &self.completion_tokens)?;
        map.serialize_entry("total_tokens", &self.total_tokens())?;
        map.serialize_entry("cost", &self.cost())?;
        map.end()
    }
}

/// The tokens of a text.
pub(in crate::emulator) fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::Tally;

    /// The example on fal's page for the router.
    #[test]
    fn a_cost_is_the_list_price_to_the_last_digit() {
        let card = cards::find("google/gemini-2.5-flash").expect("it is listed");
        let usage = Tally::new(card, ["p".repeat(160).as_str()], 0).usage(&"o".repeat(908), "");
        let json = serde_json::to_string(&usage).expect("it can be written");
        assert_eq!(
            json,
            r#"{"prompt_tokens":40,"completion_tokens":227,"total_tokens":267,"cost":0.0005795}"#
        );
    }
}
