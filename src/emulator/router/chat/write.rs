//! Writes a reply as a chat completion and as its chunks, with the fields that OpenRouter adds.

use serde_json::{Value, json};

use super::{
    logprobs,
    refusals::USER_ID,
    reply::{Call, Reply, signature},
};
use crate::emulator::{
    play::part_ends,
    script::{Behaviour, Quirk},
};

const PROVIDER: &str = "Emulated";

/// The whole completion.
pub(super) fn whole(reply: &Reply, behaviour: &Behaviour) -> Value {
    let content = match reply.text.as_str() {
        _ if behaviour.has(Quirk::NullOutput) => Value::Null,
        "" if !reply.calls.is_empty() => Value::Null,
        text => json!(text),
    };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
    let has_reasoning = !reply.reasoning.is_empty();
    let reasoning = has_reasoning.then_some(&reply.reasoning);
    put(&mut message, "reasoning", json!(reasoning));
    if has_reasoning {
        let details = json!([detail(&reply.model, &reply.reasoning, true)]);
        put(&mut message, "reasoning_details", details);
    }
    if !reply.calls.is_empty() {
        put(
            &mut message,
            "tool_calls",
            reply.calls.iter().enumerate().map(call).collect(),
        );
    }
    let mut body = head(reply, "chat.completion");
    put(
        &mut body,
        "choices",
        json!([{
            "logprobs": logprobs::told(&reply.text, reply.top_logprobs), "finish_reason": reply.finish,
            "native_finish_reason": reply.finish, "index": 0, "message": message,
        }]),
    );
    if !behaviour.has(Quirk::NoUsage) {
        put(&mut body, "usage", usage(reply));
    }
    body
}

/// The chunks, the last of them with the usage.
pub(super) fn chunks(reply: &Reply, behaviour: &Behaviour) -> Vec<Value> {
    let chunk = |choices: Value| {
        let mut body = head(reply, "chat.completion.chunk");
        put(&mut body, "choices", choices);
        body
    };
    let choice = |delta: Value, finish: Option<&str>| {
        json!([{
            "index": 0, "finish_reason": finish,
            "native_finish_reason": finish,
            "logprobs": logprobs::told(text_of(&delta), reply.top_logprobs), "delta": delta,
        }])
    };
    let nothing = || json!({ "role": "assistant", "content": "" });
    let deltas = std::iter::once(nothing())
        .chain(reasoning_deltas(reply, behaviour))
        .chain(
            pieces(&reply.text, behaviour)
                .map(|piece| json!({ "role": "assistant", "content": piece })),
        )
        .chain(call_deltas(reply, behaviour));
    let mut chunks: Vec<Value> = deltas.map(|delta| chunk(choice(delta, None))).collect();
    if behaviour.has(Quirk::NoFinal) {
        return chunks;
    }
    chunks.push(chunk(choice(nothing(), Some(reply.finish))));
    if !behaviour.has(Quirk::NoUsage) {
        let mut last = chunk(json!([]));
        put(&mut last, "usage", usage(reply));
        chunks.push(last);
    }
    chunks
}

/// What a delta adds to the text.
fn text_of(delta: &Value) -> &str {
    let content = delta.get("content").and_then(Value::as_str);
    content.unwrap_or_default()
}

/// The reasoning in pieces; what is signed is all of it, so the signature comes at its end.
fn reasoning_deltas(reply: &Reply, behaviour: &Behaviour) -> Vec<Value> {
    if reply.reasoning.is_empty() {
        return Vec::new();
    }
    let delta = |text: Option<&str>, detail: Value| json!({ "role": "assistant", "content": "", "reasoning": text, "reasoning_details": [detail] });
    let signed = json!({
        "type": "reasoning.text", "signature": signature(&reply.model, &reply.reasoning), "format": format(&reply.model), "index": 0,
    });
    pieces(&reply.reasoning, behaviour)
        .map(|piece| delta(Some(piece), detail(&reply.model, piece, false)))
        .chain([delta(None, signed)])
        .collect()
}

/// Each call by its index: its name first, then its arguments in pieces.
fn call_deltas(reply: &Reply, behaviour: &Behaviour) -> Vec<Value> {
    let delta = |call: Value| json!({ "role": "assistant", "content": null, "tool_calls": [call] });
    let calls = reply.calls.iter().enumerate();
    calls
        .flat_map(|(index, call)| {
            let begin = json!({
                "index": index, "id": call.id, "type": "function",
                "function": { "name": call.name, "arguments": "" },
            });
            let more = pieces(&call.arguments, behaviour).map(move |piece| {
                json!({ "index": index, "type": "function", "function": { "arguments": piece } })
            });
            std::iter::once(begin).chain(more).map(delta)
        })
        .collect()
}

/// A text in pieces; none for an empty one.
fn pieces<'t>(text: &'t str, behaviour: &Behaviour) -> impl Iterator<Item = &'t str> + use<'t> {
    let mut start = 0;
    let cut = part_ends(text, behaviour.size)
        .into_iter()
        .filter_map(move |end| {
            let piece = text.get(start..end);
            start = end;
            piece
        });
    cut.filter(|piece| !piece.is_empty())
}

/// The chunk that a provider's failure in the middle of an answer becomes.
pub(super) fn failed_chunk(before: &Value) -> Value {
    let mut chunk = before.clone();
    put(
        &mut chunk,
        "error",
        json!({
            "code": 502, "message": "Provider disconnected",
            "metadata": { "raw": "upstream reset", "provider_name": PROVIDER },
        }),
    );
    put(
        &mut chunk,
        "choices",
        json!([{
            "index": 0, "delta": { "role": "assistant", "content": "" },
            "finish_reason": "error", "native_finish_reason": "error", "logprobs": null,
        }]),
    );
    chunk
}

/// The form of a model's blocks of reasoning.
fn format(model: &str) -> &'static str {
    match model.split('/').next() {
        Some("anthropic") => "anthropic-claude-v1",
        Some("google") => "google-gemini-v1",
        Some("openai") => "openai-responses-v1",
        _ => "unknown",
    }
}

fn detail(model: &str, text: &str, is_whole: bool) -> Value {
    let mut detail =
        json!({ "type": "reasoning.text", "text": text, "format": format(model), "index": 0 });
    if is_whole {
        put(&mut detail, "signature", json!(signature(model, text)));
    }
    detail
}

fn call((index, call): (usize, &Call)) -> Value {
    json!({
        "index": index, "id": call.id, "type": "function",
        "function": { "name": call.name, "arguments": call.arguments },
    })
}

fn head(reply: &Reply, object: &str) -> Value {
    json!({
        "id": reply.id, "provider": PROVIDER, "model": reply.model, "object": object,
        "created": reply.created, "system_fingerprint": null, "user_id": USER_ID,
    })
}

/// Usage accounting, as OpenRouter gives it.
fn usage(reply: &Reply) -> Value {
    let usage = &reply.usage;
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens(),
        "cost": usage.cost(),
        "is_byok": false,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "cost_details": { "upstream_inference_cost": null },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning_tokens, "image_tokens": 0 },
    })
}

/// Sets a member of an object.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
