//! What a model is told that shall mend its own reply.

use std::borrow::Cow;

use serde::Serialize;

use super::guide::Guide;
use super::key::{Keys, MarkerKey, Pen, Secret};
use super::reading::{ContractViolation, Fault};

/// The most of a reply that is shown to the model again, in characters.
const MAX_SHOWN: usize = 4000;
/// What a correction begins with.
pub const OPENING: &str = "Your previous reply, quoted below, was not valid.";

/// What is added to a request when it is sent again.
#[derive(Debug)]
pub struct Correction {
    pub text: String,
    /// The key of the tags around the model's reply.
    pub key: MarkerKey,
}

/// What follows the prompt when it is sent again: the model's reply, what was wrong with it, and at
/// the end, where models heed it most, the form that was asked for. `sent` are the texts that were
/// sent.
///
/// The reply stands in tags with a key of its own: the model knows the conversation's.
pub fn correction(
    sent: [&str; 2],
    secret: Secret,
    reply: &str,
    unmet: &ContractViolation,
    forms: &Forms,
) -> Correction {
    const CLOSING: &str =
        "Write the whole reply again, corrected, in the form that was asked for, and nothing else.";
    let closing = forms.closing(unmet, CLOSING);
    let Correction { text, key } = complaint(sent, secret, reply, unmet, &closing);
    Correction {
        text: format!("\n\n{text}"),
        key,
    }
}

/// The message that is added where messages were sent: as a user's, in JSON. `sent` is the JSON of
/// the request.
pub fn message(
    sent: &str,
    secret: Secret,
    reply: &str,
    unmet: &ContractViolation,
    forms: &Forms,
) -> Correction {
    #[derive(Serialize)]
    struct UserMessage<'m> {
        role: &'static str,
        content: &'m str,
    }
    const CLOSING: &str = "Give the whole reply again, corrected, in the form that was asked for: calls of tools as such, \
                           not as text, and nothing else.";
    let closing = forms.closing(unmet, CLOSING);
    let Correction { text, key } = complaint([sent, ""], secret, reply, unmet, &closing);
    let message = UserMessage {
        role: "user",
        content: &text,
    };
    Correction {
        text: serde_json::to_string(&message).unwrap_or_default(),
        key,
    }
}

fn complaint(
    sent: [&str; 2],
    secret: Secret,
    reply: &str,
    unmet: &ContractViolation,
    closing: &str,
) -> Correction {
    let shown: String = reply.chars().take(MAX_SHOWN).collect();
    let [prompt, system_prompt] = sent;
    let mut keys = Keys::new(secret, [prompt, system_prompt, shown.as_str(), closing], []);
    loop {
        let pen = Pen::new(keys.take());
        let text = format!(
            "{OPENING} {}\n\
             <previous_reply-{pen}>\n{shown}\n</previous_reply-{pen}>\n\
             {closing}",
            unmet.correction
        );
        if pen.is_sole_writer_of([prompt, text.as_str(), system_prompt]) {
            let key = pen.key().clone();
            return Correction { text, key };
        }
    }
}

/// The forms that were asked for, to be shown again.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    /// Of calls, or of the arguments where they alone were asked for.
    calls: String,
    /// Of JSON that the answer has to be.
    json: String,
}

impl Forms {
    /// The forms that a guide asks for, with the conversation's key.
    pub fn of(guide: &Guide<'_>, key: Option<&MarkerKey>) -> Self {
        let pen = key.cloned().map(Pen::new);
        Self {
            calls: pen
                .and_then(|pen| guide.form_of_calls(&pen))
                .unwrap_or_default(),
            json: guide.form_of_json().unwrap_or_default(),
        }
    }

    /// How a correction closes: with the form that was missed, or else in these words.
    fn closing(&self, unmet: &ContractViolation, otherwise: &'static str) -> Cow<'static, str> {
        match self.wanted(unmet) {
            "" => otherwise.into(),
            form => format!(
                "Write the whole reply again, corrected, in this form, and nothing else:\n{form}"
            )
            .into(),
        }
    }

    /// The form that a reply has missed; empty where none was missed, or none can be shown.
    fn wanted(&self, unmet: &ContractViolation) -> &str {
        match unmet.fault {
            _ if !unmet.is_out_of_form => "",
            Fault::ToolCall | Fault::ToolChoice => &self.calls,
            Fault::JsonSchema => &self.json,
            _ => "",
        }
    }
}
