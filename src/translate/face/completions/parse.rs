//! A completion request, read into an [`Ask`].

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::parameters::PARAMETERS;
use crate::translate::ask::{Ask, Conversation, FieldNames, Part, Speaker, Turn};
use crate::translate::body::Body;
use crate::translate::draft::{Draft, Field};
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::text::Text;

/// What this API calls the fields that problems speak of.
pub const NAMES: FieldNames = FieldNames {
    asked: "prompt",
    instructions: "prompt",
    format: "response_format",
    reasoning: "reasoning_effort",
    effort: "reasoning_effort",
    budget: "reasoning.max_tokens",
    fallbacks: "models",
    image: "prompt",
    audio: None,
    video: None,
};

/// A request, understood.
#[derive(Debug)]
pub struct Request<'a> {
    pub ask: Ask<'a>,
    /// The prompt, when the answer is to begin with it.
    pub echo: Option<String>,
}

/// Reads the body of `POST /v1/completions`. The fields `ignore` are ignored where they would be
/// refused.
///
/// # Errors
/// Whatever OpenAI's API would call malformed, several prompts, prompts made of tokens, and
/// whatever the table refuses. The refusal names the parameter and the cure; it repeats nothing
/// out of a prompt.
pub fn parse<'a>(
    body: impl Into<Body<'a>>,
    ignore: &[&'static str],
) -> Result<Request<'a>, Rejection> {
    let mut draft = Draft::read(body, PARAMETERS, ignore)?;
    let raw = draft.prompt.ok_or_else(|| missing_prompt(&draft))?;
    let prompt = parse_prompt(&Field::new("prompt", raw))?;
    // The answer is one text: reasoning may happen, but there is no field to show it in.
    draft.wishes.has_no_place = true;
    let echo = draft.echo.then(|| prompt.clone().into_owned());
    let conversation = Conversation {
        instructions: None,
        turns: vec![Turn {
            speaker: Speaker::User { name: None },
            parts: vec![Part::Text(prompt)],
        }],
        prefill: None,
    };
    Ok(Request {
        ask: Ask {
            is_text: true,
            ..draft.into_ask(conversation, &NAMES)
        },
        echo,
    })
}

/// A string, or a list of one string.
fn parse_prompt<'a>(field: &Field<'a>) -> Result<Cow<'a, str>, Rejection> {
    let text = match field.value.get().starts_with('[') {
        false => field.parse::<Text<'a>>("a string")?,
        true => {
            let prompts: Vec<&'a RawValue> = field.parse("a string")?;
            let field = Field::new(field.name, only_prompt(field, &prompts)?);
            field.parse::<Text<'a>>("a string")?
        }
    };
    match text {
        Text(prompt) if prompt.is_empty() => {
            Err(field.invalid("Invalid 'prompt': it is empty. Send a text to answer."))
        }
        Text(prompt) => Ok(prompt),
    }
}

fn only_prompt<'a>(field: &Field<'a>, prompts: &[&'a RawValue]) -> Result<&'a RawValue, Rejection> {
    let is_tokens = |value: &RawValue| {
        value
            .get()
            .starts_with(|first: char| first == '[' || first == '-' || first.is_ascii_digit())
    };
    match prompts {
        [] => Err(field.invalid("Invalid 'prompt': the list is empty. Send a string.")),
        [first, ..] if is_tokens(first) => Err(field.unsupported_value(
            "Unsupported value: 'prompt' cannot be a list of tokens, because models at fal are sent text. \
             Send the text itself as a string.",
        )),
        [only] => Ok(only),
        _ => Err(field.unsupported_value(
            "Unsupported value: 'prompt' can hold one prompt, because each is a paid call to fal. \
             Send a request for each prompt.",
        )),
    }
}

fn missing_prompt(draft: &Draft<'_>) -> Rejection {
    let is_chat = draft.notes.ignored.iter().any(|name| name == "messages");
    let message = match is_chat {
        true => {
            "Missing required parameter: 'prompt'. The request has 'messages': send it to \
             POST /v1/chat/completions."
        }
        false => {
            "Missing required parameter: 'prompt'. OpenAI would begin a new document here, which cannot be \
             done at fal. Send a text, such as \"prompt\": \"Hello\"."
        }
    };
    Rejection::of(Cause::MissingParameter, "prompt", message)
}
