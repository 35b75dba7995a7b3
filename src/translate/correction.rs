//! The request that asks a model to mend its own reply.

use std::borrow::Cow;

use super::key::{Keys, Pen, Secret};
use super::reading::Unmet;
use crate::wire::fal::any_llm::AnyLlmInput;

/// The most of a reply that is shown to the model again, in characters.
const MOST_SHOWN: usize = 4000;

/// The same request, followed by the model's reply and what was wrong with it.
///
/// The reply stands in tags with a key of its own: the model knows the conversation's.
pub fn correct<'a>(
    input: &AnyLlmInput<'a>,
    secret: Secret,
    reply: &str,
    unmet: &Unmet,
) -> AnyLlmInput<'a> {
    let shown: String = reply.chars().take(MOST_SHOWN).collect();
    let system_prompt = input.system_prompt.as_deref().unwrap_or_default();
    let mut keys = Keys::new(secret, [&*input.prompt, system_prompt, shown.as_str()], []);
    let prompt = loop {
        let pen = Pen::new(keys.take());
        let prompt = format!(
            "{}\n\nYour previous reply, quoted below, was not valid. {}\n\
             <previous_reply-{pen}>\n{shown}\n</previous_reply-{pen}>\n\
             Write the whole reply again, corrected, in the form that was asked for, and nothing else.",
            input.prompt, unmet.correction
        );
        if pen.is_sole_writer_of([prompt.as_str(), system_prompt]) {
            break prompt;
        }
    };
    AnyLlmInput {
        prompt: Cow::Owned(prompt),
        ..input.clone()
    }
}
