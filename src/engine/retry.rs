//! Asking a model again when its answer is not what the caller was promised.
//!
//! Each time is another paid call, so there is a limit on how often, and nothing is asked again
//! once a call of the model's has been delivered. It is held to the same limits as the first try:
//! what fal, the operator or the model would not take is not sent.

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use serde::Deserialize;

use super::attempt::Shared;
use super::observed::Lengths;
use crate::translate::call::{Call, Input};
use crate::translate::correction::{Correction, Forms, correction, message};
use crate::translate::key::Secret;
use crate::translate::plan::{Plan, Recipe};
use crate::translate::reading::ContractViolation;
use crate::translate::usage;

/// What it takes to ask again, shared by all choices and let go of by each as soon as it will not
/// ask again. The memory that the request was granted is held as long.
pub struct Template {
    /// fal's input, as it was sent.
    input: Bytes,
    /// What is added goes in here.
    place: Splice,
    /// By how many characters the prompt may grow, where that is limited.
    room_chars: Option<usize>,
    context_tokens: Option<u32>,
    reading: Rc<Recipe>,
    forms: Forms,
    _memory: Rc<dyn Any>,
}

/// Where an input can be made longer.
#[derive(Clone, Copy, Debug)]
enum Splice {
    /// Where the text of the prompt ends.
    Prompt(usize),
    /// Where the list of messages ends.
    Messages(usize),
}

/// A choice's right to ask again.
#[derive(Clone)]
pub struct Retry {
    template: Rc<Template>,
    secret: Secret,
    left: usize,
    /// What the model wrote when it was asked again last.
    last_reply: Option<String>,
}

/// The texts of an input, read back: they are kept as JSON alone.
#[derive(Deserialize)]
struct Sent<'s> {
    #[serde(borrow)]
    prompt: Cow<'s, str>,
    #[serde(borrow)]
    system_prompt: Option<Cow<'s, str>>,
}

/// What to send when a model is asked again.
pub struct Again {
    pub input: Bytes,
    pub reading: Rc<Recipe>,
    /// What was added to the prompt.
    pub correction: String,
    /// How long the texts are now. Messages have no length that fal would limit.
    pub lengths: Lengths,
}

impl Retry {
    /// `None` where any answer will do, or nothing may be asked again. `input` is the plan's.
    pub fn new(
        shared: &Shared,
        plan: &Plan<'_>,
        input: &Input,
        reading: &Rc<Recipe>,
        max_prompt_chars: Option<usize>,
        memory: &Rc<dyn Any>,
    ) -> Option<Self> {
        let left = shared.engine.settings.max_reasks;
        if left == 0 || !plan.reading.can_be_unmet() {
            return None;
        }
        let place = Splice::of(&plan.call, input)?;
        let room_chars = max_prompt_chars.map(|most| {
            let [prompt_chars, _] = plan.call.lengths();
            most.saturating_sub(prompt_chars)
        });
        Some(Self {
            template: Rc::new(Template {
                input: input.json.clone(),
                place,
                room_chars,
                context_tokens: plan.context_length,
                reading: Rc::clone(reading),
                forms: plan.forms.clone(),
                _memory: Rc::clone(memory),
            }),
            secret: shared.engine.settings.secret,
            left,
            last_reply: None,
        })
    }

    /// How to ask again, telling the model what was wrong with its reply; `None` once it has been
    /// asked often enough, where it has repeated the reply that it was told to mend, and when that
    /// would be more than may be sent.
    pub fn again(&mut self, unmet: &ContractViolation, reply: &str) -> Option<Again> {
        if self.last_reply.as_deref() == Some(reply) {
            return None;
        }
        let template = &self.template;
        self.left = self.left.checked_sub(1)?;
        self.last_reply = Some(reply.to_owned());
        let Correction {
            text: correction,
            key,
        } = template.correction(self.secret, reply, unmet)?;
        let prompt_tokens = template
            .reading
            .prompt_tokens
            .saturating_add(usage::tokens(&correction));
        let is_long = template
            .room_chars
            .is_some_and(|room| correction.chars().count() > room);
        let is_beyond = template.context_tokens.is_some_and(|most| {
            prompt_tokens.saturating_sub(template.reading.media_tokens) > u64::from(most)
        });
        (!is_long && !is_beyond).then(|| Again {
            lengths: template.lengths(&correction),
            input: template.with(&correction),
            reading: Rc::new(Recipe {
                prompt_tokens,
                correction_key: Some(key),
                ..(*template.reading).clone()
            }),
            correction,
        })
    }

    /// Whether any words will do as an answer.
    pub fn is_for_plain_words(&self) -> bool {
        self.template.reading.contract.is_plain()
    }

    /// Whether this was the last time.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }
}

impl Template {
    /// How long the texts are with a correction.
    fn lengths(&self, correction: &str) -> Lengths {
        let sent = match self.place {
            Splice::Prompt(_) => serde_json::from_slice(&self.input).ok(),
            Splice::Messages(_) => None,
        };
        sent.map_or_else(Lengths::default, |sent: Sent<'_>| Lengths {
            prompt: sent
                .prompt
                .chars()
                .count()
                .saturating_add(correction.chars().count()),
            system_prompt: sent.system_prompt.map_or(0, |text| text.chars().count()),
        })
    }

    /// What the model is told: a text behind the prompt, or a message as JSON.
    fn correction(
        &self,
        secret: Secret,
        reply: &str,
        unmet: &ContractViolation,
    ) -> Option<Correction> {
        match self.place {
            Splice::Prompt(_) => {
                let sent: Sent<'_> = serde_json::from_slice(&self.input).ok()?;
                let system_prompt = sent.system_prompt.as_deref().unwrap_or_default();
                let sent = [&*sent.prompt, system_prompt];
                Some(correction(sent, secret, reply, unmet, &self.forms))
            }
            Splice::Messages(_) => {
                let sent = std::str::from_utf8(&self.input).ok()?;
                Some(message(sent, secret, reply, unmet, &self.forms))
            }
        }
    }

    /// The input with a correction in its place.
    fn with(&self, correction: &str) -> Bytes {
        match self.place {
            Splice::Prompt(end) => {
                let (before, after) = self.input.split_at(end.min(self.input.len()));
                let quoted = serde_json::to_string(correction).unwrap_or_default();
                let escaped = quoted.strip_prefix('"').unwrap_or_default();
                let escaped = escaped.strip_suffix('"').unwrap_or_default();
                [before, escaped.as_bytes(), after].concat().into()
            }
            Splice::Messages(end) => {
                let (before, after) = self.input.split_at(end.min(self.input.len()));
                [before, b",", correction.as_bytes(), after].concat().into()
            }
        }
    }
}

impl Splice {
    /// The place in the JSON of a call. The prompt is its first member, the messages are its last.
    fn of(call: &Call<'_>, input: &Input) -> Option<Self> {
        let json = &input.json;
        if call.as_prompt().is_none() {
            let end = json.len().checked_sub(MESSAGES_END.len())?;
            return json.ends_with(MESSAGES_END).then_some(Self::Messages(end));
        }
        let end = input.prompt_end?;
        (json.get(end) == Some(&b'"')).then_some(Self::Prompt(end))
    }
}

/// What follows the last message in the JSON of a request.
const MESSAGES_END: &[u8] = b"]}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::call::{Endpoint, PromptCall, Variant};
    use crate::wire::fal::any_llm::AnyLlmInput;

    fn call(input: AnyLlmInput<'_>) -> Call<'_> {
        let endpoint = Endpoint {
            variant: Variant::Plain,
            stream: true,
        };
        Call::Prompt(PromptCall {
            endpoint,
            input,
            known: None,
        })
    }

    #[test]
    fn a_prompt_is_made_longer_without_being_read_again() {
        for prompt in [
            "",
            "plain",
            "quotes \" and \\ and \n and \u{1}",
            "ende \"",
            "é漢",
        ] {
            let input = |prompt: String| AnyLlmInput {
                prompt: Cow::Owned(prompt),
                system_prompt: Some("\"prompt\":\"x\"".into()),
                model: "openai/gpt-4o-mini".into(),
                temperature: None,
                max_tokens: Some(5),
                reasoning: None,
                priority: None,
                image_urls: Vec::new(),
                audio_url: None,
                video_urls: Vec::new(),
            };
            let json = |prompt: &str| serde_json::to_vec(&input(prompt.to_owned())).expect("JSON");
            let call = call(input(prompt.to_owned()));
            let before = call.to_input();
            let template = Template {
                place: Splice::of(&call, &before).expect("an end"),
                input: before.json,
                room_chars: None,
                context_tokens: None,
                reading: Rc::default(),
                forms: Forms::default(),
                _memory: Rc::new(()),
            };
            let correction = "\n\nIt was \"wrong\".\"";
            let after = json(&format!("{prompt}{correction}"));
            assert_eq!(template.with(correction), after, "{prompt:?}");
        }
    }
}
