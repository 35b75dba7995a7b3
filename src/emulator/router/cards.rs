//! The models that OpenRouter lists, as far as the stand-in knows them: what each takes, can and
//! costs. A part of its public list; prices change there, and here they only have to be told and
//! charged alike.

/// A model.
#[derive(Debug)]
pub(in crate::emulator) struct Card {
    pub(in crate::emulator) id: &'static str,
    /// Billionths of a dollar for each token of the prompt.
    pub(in crate::emulator) price_in: u64,
    /// The same for each token of the answer, reasoning included.
    pub(in crate::emulator) price_out: u64,
    pub(in crate::emulator) context: usize,
    /// What it can, as letters: `i` sees images, `a` hears audio, `v` sees video, `t` calls tools,
    /// `s` takes schemas, `e` ends at stop sequences, `l` tells
    /// how likely its tokens were.
    abilities: &'static str,
    pub(in crate::emulator) reasoning: Reasoning,
}

/// Whether a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Reasoning {
    Never,
    Optional,
    /// It refuses to be told not to.
    Mandatory,
}

use Reasoning::{Mandatory, Never, Optional};

const fn card(
    id: &'static str,
    price_in: u64,
    price_out: u64,
    context: usize,
    abilities: &'static str,
    reasoning: Reasoning,
) -> Card {
    Card {
        id,
        price_in,
        price_out,
        context,
        abilities,
        reasoning,
    }
}

/// Names that any-llm still takes and OpenRouter has dropped are not in it.
#[rustfmt::skip]
pub(in crate::emulator) static CARDS: &[Card] = &[
    card("anthropic/claude-3-haiku", 250, 1_250, 200_000, "ite", Never),
    card("anthropic/claude-3.5-haiku", 800, 4_000, 200_000, "ite", Never),
    card("anthropic/claude-haiku-4.5", 1_000, 5_000, 200_000, "itse", Optional),
    card("anthropic/claude-opus-4", 15_000, 75_000, 200_000, "ite", Optional),
    card("anthropic/claude-sonnet-4", 3_000, 15_000, 1_000_000, "ite", Optional),
    card("anthropic/claude-sonnet-4.5", 3_000, 15_000, 1_000_000, "itse", Optional),
    card("deepseek/deepseek-r1", 700, 2_500, 64_000, "te", Mandatory),
    card("google/gemini-2.0-flash-001", 100, 400, 1_048_576, "iavtse", Never),
    card("google/gemini-2.5-flash", 300, 2_500, 1_048_576, "iavtse", Optional),
    card("google/gemini-2.5-flash-lite", 100, 400, 1_048_576, "iavtse", Optional),
    card("google/gemini-2.5-pro", 1_250, 10_000, 1_048_576, "iavtse", Mandatory),
    card("google/gemini-3-pro-preview", 2_000, 12_000, 1_048_576, "iavtse", Mandatory),
    card("meta-llama/llama-3.1-70b-instruct", 400, 400, 131_072, "tse", Never),
    card("meta-llama/llama-3.1-8b-instruct", 20, 50, 16_384, "tsel", Never),
    card("meta-llama/llama-3.2-1b-instruct", 27, 200, 60_000, "e", Never),
    card("meta-llama/llama-3.2-3b-instruct", 51, 340, 80_000, "te", Never),
    card("meta-llama/llama-4-maverick", 150, 600, 1_048_576, "ise", Never),
    card("meta-llama/llama-4-scout", 80, 300, 327_680, "itse", Never),
    card("moonshotai/kimi-k2", 570, 2_300, 131_072, "tse", Never),
    card("openai/gpt-4.1", 2_000, 8_000, 1_047_576, "itse", Never),
    card("openai/gpt-4o", 2_500, 10_000, 128_000, "itsel", Never),
    card("openai/gpt-4o-audio-preview", 2_500, 10_000, 128_000, "at", Never),
    card("openai/gpt-4o-mini", 150, 600, 128_000, "itsel", Never),
    card("openai/gpt-5-chat", 1_250, 10_000, 128_000, "is", Never),
    card("openai/gpt-5-mini", 250, 2_000, 400_000, "its", Optional),
    card("openai/gpt-5-nano", 50, 400, 400_000, "its", Optional),
    card("openai/gpt-oss-120b", 39, 190, 131_072, "tsel", Mandatory),
    card("openai/o3", 2_000, 8_000, 200_000, "its", Mandatory),
];

/// The model called `id`, with or without the variant after a colon (`:free`, `:nitro`).
pub(in crate::emulator) fn find(id: &str) -> Option<&'static Card> {
    let name = id.split(':').next().unwrap_or(id);
    CARDS.iter().find(|card| card.id == name)
}

/// The card of whatever another server answers with in our place: it can all, and costs nothing.
pub(in crate::emulator) fn of_a_relay() -> &'static Card {
    static RELAY: Card = card("relay", 0, 0, 1_000_000, "iavtsel", Optional);
    &RELAY
}

impl Card {
    /// What it can, in words.
    pub(in crate::emulator) fn abilities(&self) -> Vec<&'static str> {
        let reasons = match self.reasoning {
            Never => None,
            Optional => Some("reasoning"),
            Mandatory => Some("always reasoning"),
        };
        let named = [
            ('i', "images"),
            ('a', "audio"),
            ('v', "video"),
            ('t', "tools"),
            ('s', "schemas"),
            ('e', "stop"),
            ('l', "logprobs"),
        ];
        let can = named.into_iter().filter(|(letter, _)| self.can(*letter));
        can.map(|(_, name)| name).chain(reasons).collect()
    }

    fn can(&self, ability: char) -> bool {
        self.abilities.contains(ability)
    }

    pub(in crate::emulator) fn sees_images(&self) -> bool {
        self.can('i')
    }

    pub(in crate::emulator) fn hears(&self) -> bool {
        self.can('a')
    }

    pub(in crate::emulator) fn sees_video(&self) -> bool {
        self.can('v')
    }

    pub(in crate::emulator) fn calls_tools(&self) -> bool {
        self.can('t')
    }

    pub(in crate::emulator) fn takes_schemas(&self) -> bool {
        self.can('s')
    }

    pub(in crate::emulator) fn tells_logprobs(&self) -> bool {
        self.can('l')
    }

    pub(in crate::emulator) fn stops(&self) -> bool {
        self.can('e')
    }
}
