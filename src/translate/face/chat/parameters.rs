//! What becomes of every field of a chat completion request: the one table that decides.
//!
//! The rows are the fields of OpenAI's `CreateChatCompletionRequest`, deprecated ones included,
//! and after them the extensions that real clients send. A field without a row is ignored and
//! named in `x-gateway-ignored`.

use super::kept;
use crate::translate::draft::Fate::{Emulated, Forwarded, Ignored, Refused};
use crate::translate::draft::{Draft, Field, Found, Parameter, row};
use crate::translate::face::rules;
use crate::translate::model::Parameter as Ability;
use crate::translate::rejection::Rejection;

/// The table.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    row("messages", Emulated, "folded into fal's `prompt` and `system_prompt`; a single user message goes through unchanged", messages),
    row("model", Forwarded, "a fal id, an alias, or none for the default", rules::model),
    row("stream", Forwarded, "fal's stream, as chunks", rules::stream),
    row("stream_options", Emulated, "`include_usage` adds a usage chunk; no obfuscation is ever sent", rules::stream_options),
    row("temperature", Forwarded, "0 to 2", rules::temperature),
    row("max_tokens", Forwarded, "at least 1", rules::max_tokens),
    row("max_completion_tokens", Forwarded, "as fal's `max_tokens`; wins over `max_tokens`", rules::max_completion_tokens),
    row("stop", Emulated, "the answer ends before the first match and the call to fal is dropped", rules::stop),
    row("n", Emulated, "parallel calls to fal, each of them paid for", rules::choices),
    row("reasoning_effort", Emulated, "any effort above minimal switches fal's `reasoning` on; fal knows no levels", rules::reasoning_effort),
    row("service_tier", Emulated, "`flex` is fal's `throughput`, `priority` and `fast` are its `latency`", rules::service_tier),
    row("response_format", Emulated, "the model is told the form; what it writes is cleaned, repaired and checked, and under `strict` never delivered unless it is valid", rules::response_format),
    row("tools", Emulated, "functions only; offered in the system prompt, and calls are read back out of the answer", rules::tools),
    row("tool_choice", Emulated, "`none`, `auto`, `required`, a named function or `allowed_tools`; met, or the answer is an error", rules::tool_choice),
    row("parallel_tool_calls", Emulated, "false ends the answer after its first call", rules::parallel_tool_calls),
    row("functions", Emulated, "the older name of `tools`; answered with `function_call`", rules::functions),
    row("function_call", Emulated, "the older name of `tool_choice`", rules::function_call),
    row("logprobs", Refused, "false is fine; a prompt's answer has no probabilities and none are invented; `compat.ignore` can let it pass", rules::logprobs).unless_listed(Ability::Logprobs),
    row("top_logprobs", Refused, "0 is fine; at most 20; `compat.ignore` can let it pass", rules::top_logprobs).unless_listed(Ability::TopLogprobs),
    row("logit_bias", Refused, "an empty map is fine; `compat.ignore` can let it pass", rules::unless_empty),
    row("modalities", Refused, "`[\"text\"]` is fine", rules::modalities),
    row("web_search_options", Refused, "nothing is searched for a model here", rules::refused),
    row("moderation", Refused, "nothing is moderated here, and silence would read as a clean result", rules::refused),
    row("audio", Ignored, "the form of an answer that is spoken, which `modalities` would have to ask for", rules::ignored),
    row("top_p", Ignored, "1 says nothing", rules::top_p),
    row("frequency_penalty", Ignored, "0 says nothing", rules::frequency_penalty),
    row("presence_penalty", Ignored, "0 says nothing", rules::presence_penalty),
    row("seed", Ignored, "fal has no seed", rules::seed),
    row("verbosity", Ignored, "fal has no such control", rules::ignored_string),
    row("prediction", Ignored, "it would only make the answer come sooner", rules::ignored),
    row("store", Emulated, "true keeps the completion and its messages, for `responses.retention`; false tells fal, too, to keep nothing of the request", kept::store),
    row("metadata", Ignored, "without `store` there is no completion to attach it to; with it, at most 16 pairs of strings", kept::metadata),
    row("user", Ignored, "fal has no end-user field", rules::ignored_string),
    row("safety_identifier", Ignored, "fal has no end-user field", rules::ignored_string),
    row("prompt_cache_key", Ignored, "fal has no prompt cache to steer", rules::ignored_string),
    row("prompt_cache_retention", Ignored, "fal has no prompt cache to steer", rules::ignored_string),
    row("prompt_cache_options", Ignored, "fal has no prompt cache to steer", rules::ignored),
    // Extensions.
    row("reasoning", Emulated, "OpenRouter's object: `enabled`, `effort` or `max_tokens` switch fal's `reasoning` on, `exclude` hides the text", rules::reasoning),
    row("include_reasoning", Emulated, "true shows the reasoning, false hides it", rules::include_reasoning),
    row("priority", Forwarded, "fal's own: `latency` or `throughput`", rules::priority),
    row("models", Emulated, "OpenRouter's list: tried in order when a model refuses before working", rules::models),
    row("plugins", Refused, "an empty list is fine", rules::unless_empty),
    row("top_k", Ignored, "fal has no such control", rules::top_k),
    row("min_p", Ignored, "fal has no such control", rules::min_p),
    row("repetition_penalty", Ignored, "fal has no such control", rules::repetition_penalty),
    row("provider", Ignored, "fal routes by itself", rules::ignored),
    row("transforms", Ignored, "see `limits.overflow` for long conversations", rules::ignored),
];

fn messages<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    draft.messages = Some(*field);
    Ok(Found::Forwarded)
}
