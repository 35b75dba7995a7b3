//! Rules for the fields that OpenAI's completion APIs share (source: OpenAI's API description).
//!
//! A rule reads one value, fills in the draft, and says what it found. Values that change nothing
//! are never refused, because clients send them by default.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::translate::ask::{Effort, Logprobs, Priority};
use crate::translate::draft::{Draft, Field, Found};
use crate::translate::rejection::Rejection;
use crate::wire::list::List;
use crate::wire::openai::chat::{ReasoningOptions, ResponseFormat, StreamOptions};
use crate::wire::text::Text;

/// The most stop sequences. OpenAI takes four, but other servers more, and clients rely on it.
pub const MAX_STOPS: usize = 16;
/// The most stop sequences that are read; some of them may be empty or equal.
const MAX_STOPS_WRITTEN: usize = 256;
/// The longest stop sequence, in bytes.
pub const MAX_STOP_BYTES: usize = 512;
/// The most bytes of all stop sequences together: they are looked for in every piece of an answer.
const MAX_ALL_STOP_BYTES: usize = 1024;
/// The most tokens that OpenAI shows in the place of each.
const MAX_TOP_LOGPROBS: u8 = 20;
/// The most models a request may name as fallbacks.
const MAX_FALLBACKS: usize = 8;

type Outcome = Result<Found, Rejection>;

pub fn model<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(name) = field.parse("the name of a model")?;
    if name.trim().is_empty() {
        return Err(
            field.invalid("Invalid 'model': the name is empty. GET /v1/models lists the models.")
        );
    }
    draft.model = Some(name);
    Ok(Found::Forwarded)
}

pub fn stream<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.stream = field.parse("true or false")?;
    Ok(Found::Forwarded)
}

pub fn stream_options<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let options: StreamOptions<'a> = field.parse("an object such as {\"include_usage\": true}")?;
    draft.include_usage = options.include_usage == Some(true);
    draft.include_obfuscation = options.include_obfuscation == Some(true);
    draft.members.add_unknown(field.name, &options.unknown);
    Ok(match draft.include_usage {
        true => Found::Emulated,
        false => Found::NoEffect,
    })
}

pub fn temperature<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.temperature = Some(number(field, 0.0, 2.0)?);
    Ok(Found::Forwarded)
}

pub fn max_tokens<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.max_tokens = Some(count(field, 1, u32::MAX.into())?);
    Ok(Found::Forwarded)
}

pub fn max_completion_tokens<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.max_completion_tokens = Some(count(field, 1, u32::MAX.into())?);
    Ok(Found::Forwarded)
}

/// A string or a list of strings; `[]` and `""` ask for nothing.
pub fn stop<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let stops: List<String, MAX_STOPS_WRITTEN> = if field.value.get().starts_with('"') {
        List::from(vec![field.parse("a string")?])
    } else {
        field.parse("a string or a list of up to 16 strings")?
    };
    let is_cut = stops.is_cut();
    let mut different = BTreeSet::new();
    let mut says_something = |stop: &String| !stop.is_empty() && different.insert(stop.clone());
    let stops = stops.items.into_iter();
    draft.stop = stops.filter(|stop| says_something(stop)).collect();
    if is_cut || draft.stop.len() > MAX_STOPS {
        return Err(field.invalid(format!(
            "Invalid '{}': at most 16 stop sequences are possible. Send fewer.",
            field.name
        )));
    }
    if draft.stop.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        return Err(field.invalid(format!(
            "Invalid '{}': a stop sequence may have at most 512 bytes. Send a shorter one.",
            field.name
        )));
    }
    if draft.stop.iter().map(String::len).sum::<usize>() > MAX_ALL_STOP_BYTES {
        return Err(field.invalid(
            format!("Invalid '{}': all stop sequences together may have at most 1024 bytes. Send fewer or shorter ones.", field.name),
        ));
    }
    Ok(match draft.stop.is_empty() {
        true => Found::NoEffect,
        false => Found::Emulated,
    })
}

/// The cap is a setting, so the plan applies it.
pub fn choices<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let choices = count(field, 1, 128)?;
    draft.choices = u32::try_from(choices).ok();
    Ok(match choices {
        1 => Found::NoEffect,
        _ => Found::Emulated,
    })
}

pub fn reasoning_effort<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(word) = field.parse("a string such as \"medium\"")?;
    let level = effort(field.name, &word)?;
    draft.wishes.effort = Some(is_effort(level));
    draft.wishes.effort_level = Some(level);
    Ok(Found::Emulated)
}

/// OpenRouter's object, which many clients send: `{"effort", "max_tokens", "exclude", "enabled"}`.
/// A boolean says what `include_reasoning` says, with the word of the object.
pub fn reasoning<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    if matches!(field.value.get(), "true" | "false") {
        let shows = field.parse("true or false")?;
        draft.wishes.object = Some(true).filter(|_| shows);
        draft.wishes.object_shows = Some(shows);
        return Ok(Found::Emulated);
    }
    let options: ReasoningOptions<'a> =
        field.parse("an object such as {\"effort\": \"medium\"}")?;
    draft.members.add_unknown(field.name, &options.unknown);
    let level = match &options.effort {
        Some(Text(word)) => Some(effort("reasoning.effort", word)?),
        None => None,
    };
    draft.wishes.object = match (level, options.enabled, options.max_tokens) {
        (_, Some(false), _) => Some(false),
        (Some(level), _, _) => {
            draft.wishes.object_effort = Some(Effort::Level(level));
            Some(is_effort(level))
        }
        (None, Some(true), _) => Some(true),
        (None, None, budget) => budget.map(|tokens| tokens > 0),
    };
    if let (None, Some(tokens @ 1..)) = (draft.wishes.object_effort, options.max_tokens) {
        draft.wishes.object_effort = Some(Effort::Budget(tokens));
    }
    draft.wishes.object_shows = options.exclude.map(|hides| !hides);
    Ok(Found::Emulated)
}

pub fn include_reasoning<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.wishes.include = Some(field.parse("true or false")?);
    Ok(Found::Emulated)
}

/// The efforts that OpenAI and OpenRouter have words for.
///
/// # Errors
/// Any other word.
pub fn effort(param: &str, word: &str) -> Result<&'static str, Rejection> {
    const WORDS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
    match word {
        "max" => Ok("xhigh"),
        _ => WORDS.into_iter().find(|known| *known == word).ok_or_else(|| {
            Rejection::invalid(
                param,
                format!(
                    "Invalid '{param}': the effort must be none, minimal, low, medium, high, xhigh or max."
                ),
            )
        }),
    }
}

/// Whether this is any effort at all.
pub fn is_effort(level: &str) -> bool {
    !matches!(level, "none" | "minimal")
}

/// fal's `priority` under OpenAI's name: flex is cheaper and slower, priority and fast are faster.
pub fn service_tier<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(tier) = field.parse("a string such as \"priority\"")?;
    draft.service_tier = match tier.as_ref() {
        "auto" | "default" => return Ok(Found::NoEffect),
        "flex" => Some(Priority::Throughput),
        "priority" | "fast" => Some(Priority::Latency),
        "scale" => return Ok(Found::Ignored),
        _ => {
            return Err(field.invalid(
                "Invalid 'service_tier': it must be auto, default, flex, priority, fast or scale.",
            ));
        }
    };
    Ok(Found::Emulated)
}

/// fal's own word, for callers that know it.
pub fn priority<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let Text(priority) = field.parse("\"latency\" or \"throughput\"")?;
    draft.priority = Some(parse_priority(&priority).ok_or_else(|| {
        field.invalid("Invalid 'priority': it must be \"latency\" or \"throughput\".")
    })?);
    Ok(Found::Forwarded)
}

/// fal's two priorities by name.
pub fn parse_priority(name: &str) -> Option<Priority> {
    match name {
        "latency" => Some(Priority::Latency),
        "throughput" => Some(Priority::Throughput),
        _ => None,
    }
}

/// OpenRouter's list of models to try in turn.
pub fn models<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let names: List<Text<'a>, MAX_FALLBACKS> = field.parse("a list of model names")?;
    if names.is_cut() {
        return Err(field.invalid("Invalid 'models': at most 8 models can be named. Send fewer."));
    }
    draft.fallbacks = names
        .items
        .into_iter()
        .map(|Text(name)| name)
        .collect::<Vec<Cow<'a, str>>>();
    Ok(match draft.fallbacks.is_empty() {
        true => Found::NoEffect,
        false => Found::Emulated,
    })
}

pub fn response_format<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let format: ResponseFormat = field.parse("an object such as {\"type\": \"text\"}")?;
    draft.response_format = Some(field.value);
    Ok(match format.kind.as_str() {
        "text" => Found::NoEffect,
        _ => Found::Emulated,
    })
}

pub fn tools<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.tools = Some(field.value);
    Ok(emulated_unless_empty(field))
}

pub fn functions<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.functions = Some(field.value);
    Ok(emulated_unless_empty(field))
}

/// What it means depends on the tools, which may come later in the request.
pub fn tool_choice<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.tool_choice = Some(field.value);
    Ok(emulated_unless_default(field))
}

pub fn function_call<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.function_call = Some(field.value);
    Ok(emulated_unless_default(field))
}

/// Clients send it always; it says something only when it is false.
pub fn parallel_tool_calls<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let parallel = field.parse("true or false")?;
    draft.parallel_tool_calls = Some(parallel);
    Ok(match parallel {
        true => Found::NoEffect,
        false => Found::Emulated,
    })
}

fn emulated_unless_empty(field: &Field<'_>) -> Found {
    match field.is_empty() {
        true => Found::NoEffect,
        false => Found::Emulated,
    }
}

fn emulated_unless_default(field: &Field<'_>) -> Found {
    match field.value.get() {
        "\"none\"" | "\"auto\"" => Found::NoEffect,
        _ => Found::Emulated,
    }
}

pub fn modalities<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let modalities: Vec<Text<'a>> = field.parse("a list such as [\"text\"]")?;
    match modalities.iter().all(|modality| modality.as_str() == "text") {
        true => Ok(Found::NoEffect),
        false => Err(field.unsupported_value(
            "Unsupported value: 'modalities' can only be [\"text\"]; models at fal answer with text alone.",
        )),
    }
}

/// `top_p`, a probability from 0 to 1.
pub fn top_p<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let value = number(field, 0.0, 1.0)?;
    draft.finer.top_p = Some(value).filter(|value| *value != 1.0);
    ignored_unless(value, 1.0)
}

/// `frequency_penalty`, from -2 to 2.
pub fn frequency_penalty<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let value = number(field, -2.0, 2.0)?;
    draft.finer.frequency_penalty = Some(value).filter(|value| *value != 0.0);
    ignored_unless(value, 0.0)
}

/// `presence_penalty`, from -2 to 2.
pub fn presence_penalty<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let value = number(field, -2.0, 2.0)?;
    draft.finer.presence_penalty = Some(value).filter(|value| *value != 0.0);
    ignored_unless(value, 0.0)
}

/// `seed`, a number of any size; one that no type holds has no effect anywhere.
pub fn seed<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let is_number = |first: char| first == '-' || first.is_ascii_digit();
    if !field.value.get().starts_with(is_number) {
        field.parse::<f64>("a number")?;
    }
    draft.finer.seed = i64::deserialize(field.value).ok();
    Ok(Found::Ignored)
}

/// `top_k`, which OpenAI does not have: what is no count has no effect.
pub fn top_k<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.finer.top_k = u64::deserialize(field.value)
        .ok()
        .filter(|count| *count > 0);
    ignored(draft, field)
}

/// `min_p`, likewise: 0 to 1.
pub fn min_p<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let value = f64::deserialize(field.value).ok();
    draft.finer.min_p = value.filter(|value| *value > 0.0 && *value <= 1.0);
    ignored(draft, field)
}

/// `repetition_penalty`, likewise: above 0 to 2.
pub fn repetition_penalty<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let value = f64::deserialize(field.value).ok();
    draft.finer.repetition_penalty = value.filter(|value| *value > 0.0 && *value <= 2.0);
    ignored(draft, field)
}

pub fn ignored_string<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    field.parse::<Text<'a>>("a string")?;
    Ok(Found::Ignored)
}

/// Whatever it is, it does not change the answer.
pub fn ignored<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    Ok(match field.is_empty() {
        true => Found::NoEffect,
        false => Found::Ignored,
    })
}

/// How many pairs `metadata` may have, and how many letters their keys and values.
const MAX_PAIRS: usize = 16;
const LONGEST_KEY: usize = 64;
const LONGEST_VALUE: usize = 512;

/// How many pairs of metadata there are.
///
/// # Errors
/// What OpenAI refuses: what is no object of strings, too many pairs, or too long ones.
pub fn refuse_bad_metadata(field: &Field<'_>) -> Result<usize, Rejection> {
    const EXPECTED: &str = "an object of strings such as {\"topic\": \"demo\"}";
    let pairs: BTreeMap<Text<'_>, Text<'_>> = field.parse(EXPECTED)?;
    let letters = |text: &Text<'_>| text.as_str().chars().count();
    if pairs.len() > MAX_PAIRS {
        return Err(field.invalid(format!(
            "Invalid 'metadata': at most {MAX_PAIRS} pairs are possible. Send fewer."
        )));
    }
    let is_long = |(key, value): (&Text<'_>, &Text<'_>)| {
        letters(key) > LONGEST_KEY || letters(value) > LONGEST_VALUE
    };
    if pairs.iter().any(is_long) {
        return Err(field.invalid(format!(
            "Invalid 'metadata': a key may have {LONGEST_KEY} characters and a value {LONGEST_VALUE}. Shorten them."
        )));
    }
    Ok(pairs.len())
}

/// Nothing is stored here; what fal may keep is another matter.
pub fn store<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    let found = ignored_flag(draft, field)?;
    draft.forbids_keeping = found == Found::NoEffect;
    Ok(found)
}

pub fn ignored_flag<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    Ok(match field.parse::<bool>("true or false")? {
        true => Found::Ignored,
        false => Found::NoEffect,
    })
}

/// Refused when it says anything: its effect on the answer cannot be had.
pub fn unless_empty<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    match field.is_empty() {
        true => Ok(Found::NoEffect),
        false => refused(draft, field),
    }
}

/// Whether the probabilities of the answer's tokens are wanted. Whether they can be had depends on the
/// upstream and the model, so the plan refuses them.
pub fn logprobs<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    draft.logprobs = match field.is_empty() {
        true => false,
        false => field.parse("true or false")?,
    };
    Ok(match draft.logprobs {
        true => Found::Forwarded,
        false => Found::NoEffect,
    })
}

/// How many of the likeliest tokens are wanted in the place of each.
pub fn top_logprobs<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    if field.is_empty() {
        return Ok(Found::NoEffect);
    }
    let top = count(field, 0, MAX_TOP_LOGPROBS.into())?;
    draft.top_logprobs = u8::try_from(top).unwrap_or(MAX_TOP_LOGPROBS);
    Ok(match top {
        0 => Found::NoEffect,
        _ => Found::Forwarded,
    })
}

/// What is wanted of probabilities; `ignore` names the fields that may be ignored.
///
/// # Errors
/// Where tokens are to be shown in the place of others whose probabilities are not wanted.
pub fn wanted_logprobs(
    draft: &mut Draft<'_>,
    ignore: &[&'static str],
) -> Result<Option<Logprobs>, Rejection> {
    let top = draft.top_logprobs;
    let is_top_dispensable = ignore.contains(&"top_logprobs");
    if draft.logprobs {
        return Ok(Some(Logprobs {
            top,
            is_dispensable: ignore.contains(&"logprobs"),
            is_top_dispensable,
        }));
    }
    match top {
        0 => {}
        _ if is_top_dispensable => draft.notes.ignored("top_logprobs"),
        _ => {
            let message = "Invalid 'top_logprobs': it needs 'logprobs' to be true. Set it, or remove 'top_logprobs'.";
            return Err(Rejection::invalid("top_logprobs", message));
        }
    }
    Ok(None)
}

/// Refused even when it is empty: its presence alone asks for something.
pub fn refused<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    Err(field.unsupported(format!(
        "Unsupported parameter: '{}' is not available here. Remove it from the request.",
        field.name
    )))
}

/// A count that must be at most one, such as `best_of`.
pub fn at_most_one<'a>(_: &mut Draft<'a>, field: &Field<'a>) -> Outcome {
    match count(field, 0, u32::MAX.into())? {
        0 | 1 => Ok(Found::NoEffect),
        _ => Err(field.unsupported_value(format!(
            "Unsupported value: '{}' above 1 is not available here. Send 1 or leave it out.",
            field.name
        ))),
    }
}

fn ignored_unless(value: f64, neutral: f64) -> Outcome {
    Ok(match value == neutral {
        true => Found::NoEffect,
        false => Found::Ignored,
    })
}

fn number(field: &Field<'_>, low: f64, high: f64) -> Result<f64, Rejection> {
    let expected = format!("a number from {low} to {high}");
    let value: f64 = field.parse(&expected)?;
    match (low..=high).contains(&value) {
        true => Ok(value),
        false => Err(field.invalid(format!("Invalid '{}': expected {expected}.", field.name))),
    }
}

/// An integer. `5.0` counts as one, because JSON does not tell the two apart.
fn count(field: &Field<'_>, low: u64, high: u64) -> Result<u64, Rejection> {
    let expected = format!("an integer from {low} to {high}");
    let whole = u64::deserialize(field.value).ok().or_else(|| {
        let value = f64::deserialize(field.value).ok()?;
        let is_whole = value.fract() == 0.0 && (0.0..=9e15).contains(&value);
        is_whole.then_some(value as u64)
    });
    match whole {
        Some(value) if (low..=high).contains(&value) => Ok(value),
        Some(_) => Err(field.invalid(format!("Invalid '{}': expected {expected}.", field.name))),
        None => {
            field.parse::<u64>(&expected)?;
            Err(field.invalid(format!("Invalid '{}': expected {expected}.", field.name)))
        }
    }
}
