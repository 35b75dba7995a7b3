//! What becomes of every field of a request for a message: the one table that decides.
//!
//! The rows are the fields of Anthropic's `MessageCreateParams`, those of its beta included, and after
//! them one of OpenAI's. A field without a row is ignored and named in `x-gateway-ignored`.

use super::fields;
use crate::translate::draft::Fate::{Emulated, Forwarded, Ignored, Refused};
use crate::translate::draft::{Parameter, row};
use crate::translate::face::rules;

/// The table.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    row("messages", Emulated, "folded into fal's `prompt` and `system_prompt`; a single user message goes through unchanged", fields::kept),
    row("model", Forwarded, "a fal id, an alias, or one of Claude's names, which lead to `models.claude_large` and `models.claude_small`", rules::model),
    row("max_tokens", Forwarded, "at least 1; lowered to what the model can write and to `limits.max_tokens`", rules::max_tokens),
    row("system", Emulated, "text or text blocks, as instructions; Claude Code's billing header in it is left out", fields::kept),
    row("stream", Forwarded, "fal's stream, as events", rules::stream),
    row("temperature", Forwarded, "0 to 2", rules::temperature),
    row("stop_sequences", Emulated, "the answer ends before the first match, which `stop_sequence` tells, and the call to fal is dropped", fields::stop_sequences),
    row("tools", Emulated, "the caller's own tools, Anthropic's bash, text editor and memory among them; tools that Anthropic would run are refused, or ignored beside others", fields::tools),
    row("tool_choice", Emulated, "`auto`, `any`, `tool` or `none`; met, or the answer is an error; `disable_parallel_tool_use` ends it after its first call", fields::tool_choice),
    row("thinking", Emulated, "switches reasoning on or off where the model can be told so; shown unless `display` is `omitted`; `budget_tokens` is passed on where the upstream takes messages, and named as ignored elsewhere", fields::thinking),
    row("output_config", Emulated, "`format` is met, or the answer is an error; `effort` is passed on while thinking is on and the upstream takes messages, and named as ignored elsewhere", fields::output_config),
    row("output_format", Emulated, "the older name of `output_config.format`", fields::output_format),
    row("speed", Emulated, "`fast` is fal's `latency`", fields::speed),
    row("service_tier", Ignored, "`auto` and `standard_only` say nothing", fields::service_tier),
    row("fallbacks", Emulated, "models that are tried in order when a model refuses before working", fields::fallbacks),
    row("thread", Refused, "no conversation is kept here; SDKs that are told so send all of it", fields::thread),
    row("container", Refused, "an empty one is fine", rules::unless_empty),
    row("mcp_servers", Refused, "an empty list is fine; nothing is run here for the model", rules::unless_empty),
    row("compaction", Refused, "an answer would be taken for a summary", rules::unless_empty),
    row("inference_geo", Refused, "fal does not say where a model runs", rules::unless_empty),
    row("context_management", Ignored, "clients shorten conversations themselves; `clear_thinking` says nothing, since the texts of earlier thoughts are never sent on", fields::context_management),
    row("top_p", Ignored, "1 says nothing", rules::top_p),
    row("top_k", Ignored, "fal has no such control", rules::top_k),
    row("metadata", Ignored, "fal has no end-user field; named nowhere, since clients send it with every request", fields::said_nothing),
    row("cache_control", Ignored, "nothing is cached here; named nowhere, since clients send it with every request", fields::said_nothing),
    row("diagnostics", Ignored, "nothing is diagnosed here", rules::ignored),
    row("user_profile_id", Ignored, "fal has no end-user field", rules::ignored),
    row("billing_policy", Ignored, "fal bills in its own way", rules::ignored),
    row("fallback_credit_token", Ignored, "fal bills in its own way", rules::ignored),
    // An extension.
    row("store", Ignored, "nothing is kept here; false tells fal, too, to keep nothing of the request", rules::store),
];
