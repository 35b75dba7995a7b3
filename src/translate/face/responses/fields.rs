//! Rules for the fields that only this API has, or that it has in a form of its own (source:
//! OpenAI's `CreateResponse`).

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::translate::draft::{Draft, Field, Found};
use crate::translate::face::rules;
use crate::translate::rejection::Rejection;
use crate::wire::openai::responses::{
    ConversationName, ReasoningRequest, ResponseStreamOptions, TextFormat, TextOptions,
};
use crate::wire::text::Text;

type Outcome = Result<Found, Rejection>;

/// What is read later, with other fields.
pub fn kept<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.keep(field);
    Ok(Found::Forwarded)
}

/// The rule of another field, whose value the answer repeats.
fn kept_by<'a>(
    draft: &mut Draft<'a>,
    field: &Field<'a>,
    rule: for<'b> fn(&mut Draft<'b>, &Field<'b>) -> Outcome,
) -> Outcome {
    draft.keep(field);
    rule(draft, field)
}

pub fn instructions<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(text) = field.parse("a string")?;
    draft.keep(field);
    Ok(match text.is_empty() {
        true => Found::NoEffect,
        false => Found::Forwarded,
    })
}

pub fn stream_options<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let options: ResponseStreamOptions<'a> =
        field.parse("an object such as {\"include_obfuscation\": false}")?;
    draft.members.add_unknown(field.name, &options.unknown);
    Ok(match options.include_obfuscation {
        Some(true) => Found::Ignored,
        _ => Found::NoEffect,
    })
}

pub fn temperature<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::temperature)
}

pub fn max_output_tokens<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::max_tokens)
}

pub fn tools<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::tools)
}

pub fn tool_choice<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::tool_choice)
}

pub fn parallel_tool_calls<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::parallel_tool_calls)
}

/// `text` may be `{}`, and so may what is in it.
pub fn text<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let options: TextOptions<'a> =
        field.parse("an object such as {\"format\": {\"type\": \"text\"}}")?;
    draft.keep(field);
    draft.members.add_unknown(field.name, &options.unknown);
    let verbosity = options.verbosity.as_ref().map(Text::as_str);
    let is_wish = verbosity.is_some_and(|level| level != "medium");
    draft.members.add_if(is_wish, field.name, "verbosity");
    let Some(format) = options.format else {
        return Ok(Found::NoEffect);
    };
    let inner = Field::new("text.format", format);
    let format: TextFormat<'a> = inner.parse("an object such as {\"type\": \"text\"}")?;
    Ok(match format.kind.as_str() {
        "text" => Found::NoEffect,
        _ => Found::Emulated,
    })
}

/// An effort that nobody knows is no error: new ones come with every family of models.
pub fn reasoning<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let options: ReasoningRequest<'a> =
        field.parse("an object such as {\"effort\": \"medium\"}")?;
    draft.keep(field);
    draft.members.add_unknown(field.name, &options.unknown);
    let shows = options.summary.or(options.generate_summary).is_some();
    if let Some(Text(word)) = &options.effort {
        let level = rules::effort(field.name, word).ok();
        draft.members.add_if(level.is_none(), field.name, "effort");
        draft.wishes.effort = Some(level.is_none_or(rules::is_effort));
        draft.wishes.effort_level = level;
    }
    draft.wishes.include = Some(shows);
    Ok(match options.effort.is_some() || shows {
        true => Found::Emulated,
        false => Found::NoEffect,
    })
}

pub fn service_tier<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    match field.value.get() {
        "\"ultrafast\"" => Ok(Found::Ignored),
        _ => rules::service_tier(draft, field),
    }
}

pub fn metadata<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let pairs = rules::refuse_bad_metadata(field)?;
    draft.keep(field);
    Ok(match pairs {
        0 => Found::NoEffect,
        _ => Found::Emulated,
    })
}

/// Most values ask for what is there anyway, or for details of tools that are never run.
pub fn include<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    const NOTHING: [&str; 5] = [
        "reasoning.",
        "web_search_call.",
        "file_search_call.",
        "code_interpreter_call.",
        "computer_call_output.",
    ];
    let wanted: Vec<Text<'a>> = field.parse("a list such as [\"reasoning.encrypted_content\"]")?;
    let mut found = Found::NoEffect;
    for Text(what) in &wanted {
        if what == "message.output_text.logprobs" {
            return Err(field.unsupported_value(
                "Unsupported value: 'include' cannot ask for logprobs. Leave it out, or send the request to \
                 POST /v1/chat/completions, which tells them where fal.upstream is router-openai and the model \
                 has them.",
            ));
        }
        let adds_nothing = NOTHING.iter().any(|prefix| what.starts_with(prefix));
        if !adds_nothing && what != "message.input_image.image_url" {
            found = Found::Ignored;
        }
    }
    Ok(found)
}

/// A conversation that is kept, by its id.
pub fn conversation<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    conversation_id(field)?;
    draft.keep(field);
    Ok(Found::Emulated)
}

/// The id of the conversation that a field names, as a text or in an object.
pub fn conversation_id<'a>(field: &Field<'a>) -> Result<Cow<'a, str>, Rejection> {
    const EXPECTED: &str = "the id of a conversation, or an object such as {\"id\": \"conv_...\"}";
    let Text(id) = match field.value.get().starts_with('{') {
        true => field.parse::<ConversationName<'a>>(EXPECTED)?.id,
        false => field.parse(EXPECTED)?,
    };
    Ok(id)
}

pub fn background<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let asked: bool = field.parse("true or false")?;
    draft.keep(field);
    match asked {
        true => Ok(Found::Emulated),
        false => Ok(Found::NoEffect),
    }
}

pub fn previous_response_id<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(_) = field.parse("the id of a response")?;
    draft.keep(field);
    Ok(Found::Emulated)
}

/// Answers are kept unless this says no.
pub fn store<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let asked: bool = field.parse("true or false")?;
    draft.keep(field);
    draft.forbids_keeping = !asked;
    match asked {
        true => Ok(Found::Emulated),
        false => Ok(Found::NoEffect),
    }
}

pub fn truncation<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(word) = field.parse("auto or disabled")?;
    draft.keep(field);
    match word.as_ref() {
        "disabled" => Ok(Found::NoEffect),
        "auto" => Ok(Found::Emulated),
        _ => Err(field.invalid("Invalid 'truncation': it must be auto or disabled.")),
    }
}

pub fn top_p<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::top_p)
}

pub fn max_tool_calls<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    field.parse::<u32>("an integer")?;
    draft.keep(field);
    Ok(Found::Ignored)
}

pub fn ignored_text<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    kept_by(draft, field, rules::ignored_string)
}

pub fn ignored_object<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    match field.value.get().starts_with('{') {
        true => rules::ignored(draft, field),
        false => Err(field.invalid(format!("Invalid '{}': expected an object.", field.name))),
    }
}

pub fn ignored_list<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    match field.value.get().starts_with('[') {
        true => rules::ignored(draft, field),
        false => Err(field.invalid(format!("Invalid '{}': expected a list.", field.name))),
    }
}

/// The format of `text`, if the request has one.
pub fn text_format<'a>(draft: &Draft<'a>) -> Option<&'a RawValue> {
    let text = draft.kept("text")?;
    let options: TextOptions<'a> = serde_json::from_str(text.value.get()).ok()?;
    options.format
}
