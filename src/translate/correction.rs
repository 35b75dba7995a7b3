//! The request that asks a model to mend its own reply.

use std::borrow::Cow;

use super::key::Key;
use super::reading::Unmet;
use crate::wire::fal::any_llm::AnyLlmInput;

/// The most of a reply that is shown to the model again, in characters.
const MOST_SHOWN: usize = 4000;

/// The same request, followed by the model's reply and what was wrong with it.
pub fn correct<'a>(
    input: &AnyLlmInput<'a>,
    key: &Key,
    reply: &str,
    unmet: &Unmet,
) -> AnyLlmInput<'a> {
    let shown: String = reply.chars().take(MOST_SHOWN).collect();
    let prompt = format!(
        "{}\n\nYour previous reply, quoted below, was not valid. {}\n\
         <previous_reply-{key}>\n{shown}\n</previous_reply-{key}>\n\
         Write the whole reply again, corrected, in the form that was asked for, and nothing else.",
        input.prompt, unmet.correction
    );
    AnyLlmInput {
        prompt: Cow::Owned(prompt),
        ..input.clone()
    }
}
