//! What becomes of every field of a completion request: the one table that decides.
//!
//! The rows are the fields of OpenAI's `CreateCompletionRequest`, and after them the extensions
//! that real clients send. A field without a row is ignored and named in `x-gateway-ignored`.

use crate::translate::draft::Fate::{Emulated, Forwarded, Ignored, Refused};
use crate::translate::draft::{Draft, Field, Found, Parameter, row};
use crate::translate::face::rules;
use crate::translate::rejection::Rejection;

/// The table.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    row("prompt", Forwarded, "fal's `prompt`, unchanged and without a system prompt; a string, or a list of one string", prompt),
    row("model", Forwarded, "a fal id, an alias, or none for the default", rules::model),
    row("stream", Forwarded, "fal's stream, as chunks", rules::stream),
    row("stream_options", Emulated, "`include_usage` adds a usage chunk; no obfuscation is ever sent", rules::stream_options),
    row("temperature", Forwarded, "0 to 2", rules::temperature),
    row("max_tokens", Forwarded, "at least 1; without it the model's own limit counts, not OpenAI's 16", rules::max_tokens),
    row("stop", Emulated, "the answer ends before the first match and the call to fal is dropped", rules::stop),
    row("n", Emulated, "parallel calls to fal, each of them paid for", rules::choices),
    row("echo", Emulated, "the prompt, and then the answer", echo),
    row("suffix", Refused, "no model at fal fills in a middle; an empty one is fine", rules::unless_empty),
    row("best_of", Refused, "0 and 1 are fine; no probabilities are told here to choose by", rules::at_most_one),
    row("logprobs", Refused, "no probabilities are told here and none are invented; 0 asks for those of the answer itself; `compat.ignore` can let it pass", logprobs),
    row("logit_bias", Refused, "an empty map is fine; `compat.ignore` can let it pass", rules::unless_empty),
    row("top_p", Ignored, "1 says nothing", rules::top_p),
    row("frequency_penalty", Ignored, "0 says nothing", rules::frequency_penalty),
    row("presence_penalty", Ignored, "0 says nothing", rules::presence_penalty),
    row("seed", Ignored, "fal has no seed", rules::seed),
    row("user", Ignored, "fal has no end-user field", rules::ignored_string),
    // Extensions.
    row("max_completion_tokens", Forwarded, "as fal's `max_tokens`; wins over `max_tokens`", rules::max_completion_tokens),
    row("reasoning_effort", Emulated, "any effort above minimal switches fal's `reasoning` on; the text has no place in the answer", rules::reasoning_effort),
    row("reasoning", Emulated, "OpenRouter's object: as `reasoning_effort`", rules::reasoning),
    row("include_reasoning", Ignored, "the answer has no place for it", rules::ignored_flag),
    row("service_tier", Emulated, "`flex` is fal's `throughput`, `priority` and `fast` are its `latency`", rules::service_tier),
    row("priority", Forwarded, "fal's own: `latency` or `throughput`", rules::priority),
    row("models", Emulated, "OpenRouter's list: tried in order when a model refuses before working", rules::models),
    row("top_k", Ignored, "fal has no such control", rules::top_k),
    row("min_p", Ignored, "fal has no such control", rules::min_p),
    row("repetition_penalty", Ignored, "fal has no such control", rules::repetition_penalty),
    row("provider", Ignored, "fal routes by itself", rules::ignored),
    row("store", Ignored, "nothing is kept here; false tells fal, too, to keep nothing of the request", rules::store),
];

fn prompt<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    draft.prompt = Some(field.value);
    Ok(Found::Forwarded)
}

fn echo<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    draft.echo = field.parse("true or false")?;
    Ok(match draft.echo {
        true => Found::Emulated,
        false => Found::NoEffect,
    })
}

/// A number of alternatives per token here, not a switch as in chat: OpenAI answers 0 with the
/// probabilities of the tokens it chose, so 0 cannot be honoured either.
fn logprobs<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    match field.value.get() {
        "false" => Ok(Found::NoEffect),
        _ => rules::refused(draft, field),
    }
}
