//! A request for a message, read into an [`Ask`].

use std::borrow::Cow;

use super::conversation;
use super::parameters::PARAMETERS;
use super::{StandIns, tools};
use crate::translate::ask::{AnswerFormat, AnswerSchema, Ask, FieldNames, Reasoning, Sampling};
use crate::translate::body::Body;
use crate::translate::draft::{Draft, Field, refuse_lone_surrogates};
use crate::translate::face::FaceSettings;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::anthropic::request::{OutputConfig, OutputFormat};

/// What this API calls the fields that problems speak of.
pub const NAMES: FieldNames = FieldNames {
    asked: "messages",
    instructions: "system",
    format: "output_config.format",
    reasoning: "thinking",
    effort: "output_config.effort",
    budget: "thinking.budget_tokens",
    fallbacks: "fallbacks",
    image: "messages[].content[].image",
    audio: None,
    video: None,
};

/// What names begin with under which models are listed to clients that know only Claude's.
pub const PREFIX: &str = "anthropic-gw/";

/// Reads the body of `POST /v1/messages`.
///
/// # Errors
/// Whatever Anthropic's API would call malformed, and whatever the table refuses. The refusal names
/// the parameter and the cure; it repeats nothing out of a prompt.
pub fn parse<'a>(body: impl Into<Body<'a>>, settings: &FaceSettings) -> Result<Ask<'a>, Rejection> {
    let ask = read(body, settings)?;
    match ask.sampling.max_tokens {
        Some(_) => Ok(ask),
        None => Err(required("max_tokens")),
    }
}

/// Reads the body of `POST /v1/messages/count_tokens`, which need not say how long the answer may
/// be.
///
/// # Errors
/// As [`parse`].
pub fn read<'a>(body: impl Into<Body<'a>>, settings: &FaceSettings) -> Result<Ask<'a>, Rejection> {
    let mut draft = Draft::read(body, PARAMETERS, &settings.messages.ignore)?;
    let Some(model) = draft.model.take() else {
        return Err(required("model"));
    };
    let messages = draft.kept("messages").ok_or_else(|| required("messages"))?;
    let system = draft.kept("system");
    let format = format(&mut draft)?;
    let history = conversation::read(&messages, system.as_ref(), settings, &mut draft.members)?;
    let tools = tools::offer(&mut draft, &history.loaded_tools)?;
    let model = bare(model);
    let stand_in = stand_in(&model, &settings.stand_ins);
    let ask = draft.into_ask(history.conversation, &NAMES);
    let reasons = matches!(ask.reasoning, Reasoning::Hidden | Reasoning::Shown);
    Ok(Ask {
        // An effort is one of thinking.
        effort: ask.effort.filter(|_| reasons),
        names_stop: true,
        model: Some(model),
        stand_in: stand_in.map(Cow::Owned),
        reasons_if_able: true,
        priority_name: "speed",
        sampling: Sampling {
            lowers_max_tokens: true,
            ..ask.sampling
        },
        tools,
        format,
        last_image: history.last_image,
        thoughts: history.thoughts,
        ..ask
    }
    .within(&settings.messages.images))
}

/// A model's name without what clients add to it: the prefix of the list, and the mark of a larger
/// context.
fn bare(name: Cow<'_, str>) -> Cow<'_, str> {
    let bare = name.strip_prefix(PREFIX).unwrap_or(&name);
    let bare = bare.strip_suffix("[1m]").unwrap_or(bare);
    match bare.len() == name.len() {
        true => name,
        false => Cow::Owned(bare.to_owned()),
    }
}

/// What stands in for one of Claude's models, of which clients name many unasked.
fn stand_in(name: &str, stand_ins: &StandIns) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("anthropic/").unwrap_or(&name);
    let family = name.strip_prefix("claude-")?;
    Some(match family.contains("haiku") {
        true => stand_ins.small.clone(),
        false => stand_ins.large.clone(),
    })
}

/// The form of the answer. What Anthropic's API promises of it is what is called strict here.
fn format<'a>(draft: &mut Draft<'a>) -> Result<AnswerFormat<'a>, Rejection> {
    let newer = match draft.kept("output_config") {
        None => None,
        Some(field) => {
            let config: OutputConfig<'a> = field.parse("an object")?;
            config.format
        }
    };
    let older = draft.kept("output_format").map(|field| field.value);
    let (name, path, value) = match (newer, older) {
        (None, None) => return Ok(AnswerFormat::Text),
        (Some(_), Some(_)) => {
            return Err(Rejection::invalid(
                "output_format",
                "Invalid 'output_format': 'output_config.format' is there too. Send one of them.",
            ));
        }
        (Some(value), None) => ("output_config.format", "output_config.format.schema", value),
        (None, Some(value)) => ("output_format", "output_format.schema", value),
    };
    let field = Field::new(name, value);
    let format: OutputFormat<'a> =
        field.parse("an object such as {\"type\": \"json_schema\", \"schema\": {...}}")?;
    draft.members.add_unknown(name, &format.unknown);
    if format.kind.as_str() != "json_schema" {
        return Err(field.unsupported_value(format!(
            "Unsupported value: the type of '{name}' can only be json_schema."
        )));
    }
    let schema = format.schema.filter(|schema| schema.get().starts_with('{'));
    let Some(schema) = schema else {
        let message = format!("Invalid '{path}': it must be a JSON Schema, which is an object.");
        return Err(Rejection::invalid(path, message));
    };
    refuse_lone_surrogates(schema, path)?;
    Ok(AnswerFormat::JsonSchema(AnswerSchema {
        schema,
        path,
        description: None,
        strict: true,
    }))
}

/// In the words of Anthropic's API.
fn required(name: &'static str) -> Rejection {
    Rejection::of(Cause::MissingParameter, name, "Field required")
}
