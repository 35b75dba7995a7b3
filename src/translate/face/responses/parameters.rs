//! What becomes of every field of a response request: the one table that decides.
//!
//! The rows are the fields of OpenAI's `CreateResponse`, and after them the extensions that real
//! clients send. A field without a row is ignored and named in `x-gateway-ignored`.

use super::fields;
use crate::translate::draft::Fate::{Emulated, Forwarded, Ignored, Refused};
use crate::translate::draft::{Parameter, row};
use crate::translate::face::rules;

/// The table.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    row("input", Emulated, "a text or a list of items, folded into fal's `prompt` and `system_prompt`", fields::kept),
    row("model", Forwarded, "a fal id, an alias, or none for the default", rules::model),
    row("instructions", Forwarded, "the system prompt, before the system messages of `input`", fields::instructions),
    row("stream", Forwarded, "fal's stream, as events", rules::stream),
    row("stream_options", Ignored, "the usage is always in the last event, and no obfuscation is ever sent", fields::stream_options),
    row("temperature", Forwarded, "0 to 2", fields::temperature),
    row("max_output_tokens", Forwarded, "as fal's `max_tokens`; at least 1", fields::max_output_tokens),
    row("tools", Emulated, "functions, custom tools and namespaces of them, offered as functions and mapped back; tools that OpenAI runs are left out with a note, or refused where they hold the caller's data", fields::tools),
    row("tool_choice", Emulated, "`none`, `auto`, `required`, a named function or custom tool, or `allowed_tools`; met, or the answer is an error", fields::tool_choice),
    row("parallel_tool_calls", Emulated, "false ends the answer after its first call", fields::parallel_tool_calls),
    row("text", Emulated, "the model is told the `format`; what it writes is cleaned, repaired and checked, and under `strict` never delivered unless it is valid", fields::text),
    row("reasoning", Emulated, "any `effort` above minimal switches fal's `reasoning` on; `summary` shows the text", fields::reasoning),
    row("service_tier", Emulated, "`flex` is fal's `throughput`, `priority` and `fast` are its `latency`", fields::service_tier),
    row("metadata", Emulated, "at most 16 pairs; the answer repeats them", fields::metadata),
    row("include", Refused, "what adds nothing is fine; no probabilities are told here and none are invented", fields::include),
    row("top_logprobs", Refused, "0 is fine; `compat.ignore` can let it pass", rules::unless_empty),
    row("previous_response_id", Emulated, "what that response was asked and said goes before the `input`; its `instructions` and tools do not", fields::previous_response_id),
    row("conversation", Emulated, "its items go before the `input`; what is asked and said is added to it once the answer is complete", fields::conversation),
    row("background", Emulated, "the response is made while nobody waits for it, in fal's queue or, with `stream`, by the gateway; it has to be kept, and is asked for by its id", fields::background),
    row("prompt", Refused, "a template lives at OpenAI", rules::refused),
    row("moderation", Refused, "nothing is moderated here, and silence would read as a clean result", rules::refused),
    row("store", Emulated, "unless false the response is kept, for `responses.retention`, and the answer says whether it is; false tells fal, too, to keep nothing of the request", fields::store),
    row("truncation", Emulated, "`auto` leaves out the oldest turns where a limit of characters is known (`limits.max_prompt_chars`, or what fal has refused); what is too long for the model itself is refused", fields::truncation),
    row("top_p", Ignored, "1 says nothing", fields::top_p),
    row("max_tool_calls", Ignored, "it counts the tools that OpenAI runs, of which there are none", fields::max_tool_calls),
    row("context_management", Ignored, "nothing is compacted", fields::ignored_list),
    row("user", Ignored, "fal has no end-user field", rules::ignored_string),
    row("safety_identifier", Ignored, "fal has no end-user field; the answer repeats it", fields::ignored_text),
    row("prompt_cache_key", Ignored, "fal has no prompt cache to steer; the answer repeats it", fields::ignored_text),
    row("prompt_cache_retention", Ignored, "fal has no prompt cache to steer", rules::ignored_string),
    row("prompt_cache_options", Ignored, "fal has no prompt cache to steer", fields::ignored_object),
    // Extensions.
    row("client_metadata", Ignored, "Codex's ids of its turns", fields::ignored_object),
    row("priority", Forwarded, "fal's own: `latency` or `throughput`", rules::priority),
    row("models", Emulated, "OpenRouter's list: tried in order when a model refuses before working", rules::models),
];
