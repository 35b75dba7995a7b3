//! A chat completion request, read into an [`Ask`].

use super::kept::Kept;
use super::messages::{self, MessageLimits};
use super::parameters::PARAMETERS;
use super::{format, tools};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::draft::{Draft, Field};
use crate::translate::face::rules;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::openai::message::RequestMessage;

/// What this API calls the fields that problems speak of.
pub const NAMES: FieldNames = FieldNames {
    asked: "messages",
    instructions: "messages",
    format: "response_format",
    reasoning: "reasoning_effort",
    effort: "reasoning_effort",
    budget: "reasoning.max_tokens",
    fallbacks: "models",
    image: "messages[].content[].image_url",
    audio: Some("messages[].content[].input_audio"),
    video: Some("messages[].content[].video_url"),
};

/// Reads the body of `POST /v1/chat/completions`.
///
/// # Errors
/// Whatever OpenAI's API would call malformed, and whatever the table refuses. The refusal names
/// the parameter and the cure; it repeats nothing out of a prompt.
pub fn parse<'a>(body: &'a [u8], limits: &MessageLimits) -> Result<Ask<'a>, Rejection> {
    parse_kept(body, limits, false).map(|(ask, _)| ask)
}

/// The same, and as what the completion is to be kept, where it is; `keeps` says whether that is
/// possible.
///
/// # Errors
/// As [`parse`].
pub fn parse_kept<'a>(
    body: impl Into<Body<'a>>,
    limits: &MessageLimits,
    keeps: bool,
) -> Result<(Ask<'a>, Option<Kept>), Rejection> {
    let mut draft = Draft::read(body, PARAMETERS, &limits.ignore)?;
    let kept = Kept::of(&mut draft, keeps)?;
    let field = draft.messages.ok_or_else(|| missing_messages(&draft))?;
    let tools = tools::offer(&mut draft)?;
    let format = format::answer_format(&mut draft)?;
    let logprobs = rules::wanted_logprobs(&mut draft, &limits.ignore)?;
    let messages = parse_messages(&field, limits)?;
    let messages::Said {
        conversation,
        last_image,
        last_media,
        thoughts,
    } = messages::parse(messages, limits, &mut draft.members)?;
    let ask = Ask {
        tools,
        format,
        logprobs,
        last_image,
        last_media,
        thoughts,
        ..draft.into_ask(conversation, &NAMES)
    };
    Ok((ask.within(&limits.images), kept))
}

/// Messages are counted before they are read, because each takes many times the memory of its text.
fn parse_messages<'a>(
    field: &Field<'a>,
    limits: &MessageLimits,
) -> Result<Vec<RequestMessage<'a>>, Rejection> {
    const EXPECTED: &str = "a list of messages, each with a 'role' and a 'content' that is a string or a list of parts";
    if field.count_items(EXPECTED)? > limits.max_messages {
        let most = limits.max_messages;
        return Err(field.invalid(format!(
            "Invalid 'messages': at most {most} messages are possible. Shorten the history."
        )));
    }
    field.parse(EXPECTED)
}

fn missing_messages(draft: &Draft<'_>) -> Rejection {
    // Editors that speak the Responses API to some models post its bodies here for others.
    let is_response = draft.notes.ignored.iter().any(|name| name == "input");
    let message = match is_response {
        true => {
            "Missing required parameter: 'messages'. The request has 'input', as the Responses API takes it, \
             but this is the Chat Completions API. Send the conversation as 'messages'."
        }
        false => {
            "Missing required parameter: 'messages'. Send a list such as [{\"role\": \"user\", \"content\": \"Hello\"}]."
        }
    };
    Rejection::of(Cause::MissingParameter, "messages", message)
}
