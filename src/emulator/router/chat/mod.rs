//! `openrouter/router/openai/v1/chat/completions`: OpenAI's chat completions, as OpenRouter serves
//! them through fal. Source: OpenRouter's documentation of its API, of streaming, errors, usage
//! accounting and reasoning tokens; fal's router page for the address and the key.

mod admit;
mod logprobs;
mod refusals;
mod reply;
mod request;
mod stream;
mod write;

use bytes::Bytes;
use futures::stream::LocalBoxStream;
use serde_json::{Value, json};

use crate::emulator::{
    http::call::Whole,
    llm::is_reask,
    play::{Body, Step, whole_body},
    script::{Behaviour, Break, Fault, strip},
    server::State,
};
pub(in crate::emulator) use refusals::refusal;
use request::Request;

/// The comment with which OpenRouter keeps a silent connection alive.
pub(in crate::emulator) const PROCESSING: Bytes =
    Bytes::from_static(b": OPENROUTER PROCESSING\n\n");

/// Whether a body asks for a stream; one that cannot be read does not.
pub(in crate::emulator) fn wants_stream(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("stream") == Some(&json!(true))
}

/// The whole answer, broken if the script says so.
///
/// # Errors
///
/// OpenRouter's refusals.
pub(in crate::emulator) async fn whole(
    state: &State,
    body: &[u8],
    behaviour: &Behaviour,
) -> Result<Body, Whole> {
    let request = Request::read(body)?;
    if let Some(relay) = &state.relay {
        return relay
            .pass_on(&request.for_a_relay(false))
            .await
            .map(Body::Whole);
    }
    let card = admit::admit(&request, behaviour)?;
    let reply = reply::compose(&request, card, state.options.tag, behaviour);
    let body = write::whole(&reply, behaviour);
    Ok(whole_body(
        body.to_string().into(),
        behaviour,
        |how| match how {
            Break::BadUtf8 => b"{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}".to_vec(),
            _ => refusals::failure().to_string().into_bytes(),
        },
    ))
}

/// The answer as it is written.
///
/// # Errors
///
/// OpenRouter's refusals.
pub(in crate::emulator) async fn stream(
    state: &State,
    body: &[u8],
    behaviour: &Behaviour,
) -> Result<LocalBoxStream<'static, Step>, Whole> {
    let request = Request::read(body)?;
    if let Some(relay) = &state.relay {
        return relay.stream_on(&request.for_a_relay(true)).await;
    }
    let card = admit::admit(&request, behaviour)?;
    let reply = reply::compose(&request, card, state.options.tag, behaviour);
    Ok(stream::steps(
        write::chunks(&reply, behaviour),
        behaviour.clone(),
    ))
}

/// The body without the markers in the texts that are answered now, and the markers' words. What
/// the user said before was answered then, unless its reply is asked for again.
pub(in crate::emulator) fn take_markers(body: &Bytes) -> (Bytes, String) {
    let untouched = || (body.clone(), String::new());
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else {
        return untouched();
    };
    let mut words = String::new();
    let Some(Value::Array(messages)) = request.get_mut("messages") else {
        return untouched();
    };
    let mut is_answered = false;
    for message in messages.iter_mut().rev() {
        let role = message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_user = role == "user";
        if is_user && is_answered || !["user", "system", "developer"].contains(&role) {
            continue;
        }
        let found = take_from(message);
        is_answered |= is_user && !found.complains;
        words = format!("{} {words}", found.words);
    }
    if words.trim().is_empty() {
        return untouched();
    }
    (request.to_string().into(), words)
}

#[derive(Default)]
struct Found {
    words: String,
    /// Whether the text finds fault with a reply.
    complains: bool,
}

fn take_from(message: &mut Value) -> Found {
    let mut found = Found::default();
    let mut take = |text: &mut String| {
        let marked = strip(text);
        found.complains |= is_reask(&marked.text);
        found.words.push(' ');
        found.words.push_str(&marked.words);
        *text = marked.text;
    };
    match message.get_mut("content") {
        Some(Value::String(text)) => take(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    take(text);
                }
            }
        }
        _ => {}
    }
    found
}

/// Whether the script asks for this error.
fn is_scripted(behaviour: &Behaviour, name: &str) -> bool {
    matches!(behaviour.fault, Some(Fault::Kind(kind)) if kind == name)
}
