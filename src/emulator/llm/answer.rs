//! Composes the answer to an input.

use super::{Input, commands, conversation, instructed, prose};
use crate::emulator::script::{Behaviour, Slip};

/// Opens every answer that could be taken for a model's.
pub(in crate::emulator) const EMULATOR_TAG: &str = "[fal-gateway emulator — not a real model] ";

/// Characters that count as one token when `max_tokens` cuts an answer.
const CHARS_PER_TOKEN: usize = 4;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Answer {
    /// `None` where the app fails to produce any.
    pub(in crate::emulator) output: Option<String>,
    pub(in crate::emulator) reasoning: Option<String>,
}

/// The answer to `input`, opened by the tag if `tag` is set; a model that is told to call tools or
/// to write JSON slips as `behaviour` says.
///
/// Answers whose worth is their exact bytes (`echo`, `json`, `describe`, JSON that was asked for,
/// calls without a sentence before) carry no tag.
pub(in crate::emulator) fn compose(input: &Input, tag: bool, behaviour: &Behaviour) -> Answer {
    let conversation = conversation::read(&input.prompt);
    let said = instructed::reply(input, &conversation, behaviour)
        .unwrap_or_else(|| commands::answer(input, &conversation));
    let mut output = if tag && !said.exact {
        format!("{EMULATOR_TAG}{}", said.text)
    } else {
        said.text
    };
    if let Some(key) = conversation.key {
        output = as_turns(output, key, behaviour);
    }
    if let Some(max_tokens) = input.max_tokens {
        let max_chars = usize::try_from(max_tokens)
            .unwrap_or(0)
            .saturating_mul(CHARS_PER_TOKEN);
        truncate_chars(&mut output, max_chars);
    }
    let sentences = if said.ponders { 40 } else { 2 };
    let reasoning = input
        .reasoning
        .then(|| prose::reasoning(conversation.message, sentences));
    Answer {
        output: Some(output),
        reasoning,
    }
}

/// The answer of a model that writes the record on instead of its reply alone.
fn as_turns(mut output: String, key: &str, behaviour: &Behaviour) -> String {
    if behaviour.makes(Slip::TurnRecord) {
        output = format!(
            "<conversation-{key}>\n<turn-{key} role=\"user\">And now?</turn-{key}>\n\
             </conversation-{key}>\n\n{output}"
        );
    }
    if behaviour.makes(Slip::TurnTagged) {
        output = format!("<turn-{key} role=\"assistant\">{output}</turn-{key}>");
    }
    if behaviour.makes(Slip::TurnInvented) {
        output.push_str(&format!(
            "\n<turn-{key} role=\"user\">Thank you. And then?</turn-{key}>\n\
             <turn-{key} role=\"assistant\">Then it is over.</turn-{key}>"
        ));
    }
    output
}

fn truncate_chars(text: &mut String, max_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
    }
}
