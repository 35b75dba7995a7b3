//! Rules for the fields of a request for a message.

use crate::translate::ask::{Effort, Priority};
use crate::translate::draft::{Draft, Field, Found};
use crate::translate::face::rules;
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::anthropic::request::{
    ContextManagement, Fallback, OutputConfig, Thinking, Thread, ToolChoice,
};
use crate::wire::list::List;
use crate::wire::text::Text;

use super::error::THREAD_UNSUPPORTED;
use super::parse::NAMES;

type Outcome = Result<Found, Rejection>;

/// The most models a request may name as fallbacks.
const MAX_FALLBACKS: usize = 8;

/// What it means depends on other fields, which may come later.
pub fn kept<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.keep(field);
    Ok(Found::Forwarded)
}

/// Clients send it with every request, so that a note would be noise.
pub fn said_nothing<'a>(_: &mut Draft<'a>, _: &Field<'a>) -> Outcome {
    Ok(Found::NoEffect)
}

pub fn stop_sequences<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let found = rules::stop(draft, field)?;
    match draft.stop.iter().any(|stop| stop.trim().is_empty()) {
        false => Ok(found),
        true => Err(field.invalid(
            "Invalid 'stop_sequences': each stop sequence must contain something other than white space.",
        )),
    }
}

pub fn tools<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.keep(field);
    Ok(match field.is_empty() {
        true => Found::NoEffect,
        false => Found::Emulated,
    })
}

/// `auto` says nothing but perhaps that calls may not come together.
pub fn tool_choice<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.keep(field);
    let choice: ToolChoice<'a> = field.parse("an object such as {\"type\": \"auto\"}")?;
    let is_single = choice.disable_parallel_tool_use == Some(true);
    Ok(match choice.kind.as_str() {
        "auto" | "none" if !is_single => Found::NoEffect,
        _ => Found::Emulated,
    })
}

/// Clients send it for models of which they do not know whether they think.
pub fn thinking<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let thinking: Thinking<'a> = field.parse("an object such as {\"type\": \"adaptive\"}")?;
    draft.members.add_unknown(field.name, &thinking.unknown);
    draft.wishes.object = Some(match thinking.kind.as_str() {
        "enabled" | "adaptive" | "between_tools" => true,
        "disabled" => false,
        _ => {
            return Err(Rejection::invalid(
                "thinking.type",
                "Invalid 'thinking.type': it must be enabled, adaptive, between_tools or disabled.",
            ));
        }
    });
    if let Some(tokens @ 1..) = thinking.budget_tokens {
        draft.wishes.object_effort = Some(Effort::Budget(tokens));
        draft.notes.ignored(NAMES.budget);
    }
    let display = thinking.display.as_ref().map(Text::as_str);
    draft.wishes.object_shows = Some(display != Some("omitted"));
    Ok(match thinking.kind.as_str() {
        // It is left to the model, also to one that never thinks.
        "adaptive" => Found::NoEffect,
        _ => Found::Emulated,
    })
}

/// A budget says more of thinking than an effort does. Upstreams that take one or the other take back
/// that it is ignored.
pub fn output_config<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let config: OutputConfig<'a> = field.parse("an object such as {\"effort\": \"high\"}")?;
    draft.members.add_unknown(field.name, &config.unknown);
    draft.keep(field);
    if let Some(Text(word)) = &config.effort {
        let level = rules::effort(NAMES.effort, word)?;
        draft.wishes.object_effort = draft.wishes.object_effort.or(Some(Effort::Level(level)));
        draft.notes.ignored(NAMES.effort);
    }
    Ok(match config.format {
        Some(_) => Found::Emulated,
        None => Found::NoEffect,
    })
}

pub fn output_format<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.keep(field);
    Ok(Found::Emulated)
}

pub fn speed<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(speed) = field.parse("\"standard\" or \"fast\"")?;
    match speed.as_ref() {
        "standard" => Ok(Found::NoEffect),
        "fast" => {
            draft.priority = Some(Priority::Latency);
            Ok(Found::Emulated)
        }
        _ => Err(field.invalid("Invalid 'speed': it must be \"standard\" or \"fast\".")),
    }
}

pub fn service_tier<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(tier) = field.parse("\"auto\" or \"standard_only\"")?;
    Ok(match tier.as_ref() {
        "auto" | "standard_only" => Found::NoEffect,
        _ => Found::Ignored,
    })
}

/// Names, or objects that have one.
pub fn fallbacks<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let is_of_names = field
        .value
        .get()
        .get(1..)
        .is_some_and(|rest| rest.trim_start().starts_with('"'));
    let (names, is_cut) = match is_of_names {
        true => {
            let names: List<Text<'a>, MAX_FALLBACKS> = field.parse("a list of models")?;
            (names.items.clone(), names.is_cut())
        }
        false => {
            let models: List<Fallback<'a>, MAX_FALLBACKS> = field.parse("a list of models")?;
            let is_cut = models.is_cut();
            let names = models.items.into_iter().map(|fallback| fallback.model);
            (names.collect(), is_cut)
        }
    };
    if is_cut {
        return Err(
            field.invalid("Invalid 'fallbacks': at most 8 models can be named. Send fewer.")
        );
    }
    draft.fallbacks = names.into_iter().map(|Text(name)| name).collect();
    Ok(match draft.fallbacks.is_empty() {
        true => Found::NoEffect,
        false => Found::Emulated,
    })
}

/// A conversation that Anthropic keeps. Whoever ignored this would answer the next request, which
/// holds its last message alone, without a word of what came before.
pub fn thread<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let thread: Thread<'a> = field.parse("an object such as {\"type\": \"create\"}")?;
    let (code, message) = match thread.kind.as_str() {
        "continue" => (
            "thread_not_found",
            "No conversation is kept here, so that none can be continued. Send all of its messages.",
        ),
        _ => (
            THREAD_UNSUPPORTED,
            "No conversation is kept here. Send all of its messages, without 'thread'.",
        ),
    };
    Err(Rejection::of(Cause::OfFace(code), "thread", message))
}

pub fn context_management<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let management: ContextManagement<'a> = field.parse("an object with 'edits'")?;
    draft.members.add_unknown(field.name, &management.unknown);
    let edits = management.edits.unwrap_or_default();
    let says_nothing = |kind: &str| kind.starts_with("clear_thinking");
    let is_known = edits.iter().all(|edit| says_nothing(edit.kind.as_str()));
    Ok(match is_known {
        true => Found::NoEffect,
        false => Found::Ignored,
    })
}
