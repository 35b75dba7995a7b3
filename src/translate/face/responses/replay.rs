//! A response that is kept, told once more as a stream: the events that lead to it, each item in one
//! piece. Their numbers are those of no stream before it.

use std::io::Write;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::restated::Members;
use crate::translate::face::error_object;
use crate::translate::face::objects::write_in_one_line;
use crate::translate::problem::Problem;

const DONE: &[u8] = b"data: [DONE]\n\n";

/// The events of a response that has ended, from the number behind `starting_after` on; the last one
/// always. None for what is no response.
pub fn replay(json: &str, starting_after: Option<u64>) -> Option<Vec<u8>> {
    let mut response = Members::of(json)?;
    let items: Vec<Map<String, Value>> = serde_json::from_str(response.get("output")?).ok()?;
    let status: Value = serde_json::from_str(response.get("status")?).ok()?;
    for (member, value) in [
        ("status", "\"in_progress\""),
        ("output", "[]"),
        ("usage", "null"),
        ("error", "null"),
        ("incomplete_details", "null"),
        ("completed_at", "null"),
    ] {
        response.set(member, value.to_owned());
    }
    let begun = response.to_json();
    let mut events = vec![
        about_response("response.created", &begun),
        about_response("response.in_progress", &begun),
    ];
    for (index, item) in items.iter().enumerate() {
        item_events(&mut events, index, item);
    }
    let last = match status.as_str()? {
        "incomplete" => "response.incomplete",
        "failed" => {
            events.push(failure(json)?);
            "response.failed"
        }
        "cancelled" => {
            events.push(event("error", cancelled()));
            return Some(write(events, starting_after));
        }
        _ => "response.completed",
    };
    events.push(about_response(last, json));
    Some(write(events, starting_after))
}

/// The last events of a response that has ended, whose others were told: of its status and its JSON. The
/// first of them has this number, and those before `from` are left out but for the very last. None for
/// what is no response that has ended.
pub fn ending(status: &str, json: &str, number: u64, from: u64) -> Option<Vec<u8>> {
    let kind = match status {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        "failed" => "response.failed",
        "cancelled" => return Some(last(Some(number), cancelled())),
        _ => return None,
    };
    let (mut out, mut at) = (Vec::with_capacity(json.len().saturating_add(256)), number);
    if kind == "response.failed" {
        if number >= from {
            write_event(&mut out, number, failure(json)?);
        }
        at = number.saturating_add(1);
    }
    write_event(&mut out, at, about_response(kind, json));
    out.extend_from_slice(DONE);
    Some(out)
}

/// A response that has failed.
#[derive(Deserialize)]
struct Failed {
    error: Map<String, Value>,
}

/// The event before that of a response that has failed, of its JSON.
fn failure(json: &str) -> Option<Event<'static>> {
    let response: Failed = serde_json::from_str(json).ok()?;
    Some(event("error", failed(&response.error)))
}

/// That event in both forms that clients know: with the code that the failure has elsewhere.
fn failed(error: &Map<String, Value>) -> Value {
    let of = |name: &str| error.get(name).cloned().unwrap_or_default();
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let (message, code) = (text("message"), text("code"));
    let code = error.get("type").and_then(Value::as_str).unwrap_or(code);
    let (kind, after) = match text("code") {
        "server_error" => ("server_error", ""),
        "rate_limit_exceeded" => ("rate_limit_error", ""),
        "insufficient_quota" => ("insufficient_quota", ""),
        _ => (error_object::INVALID_REQUEST, error_object::FINAL),
    };
    json!({
        "code": code,
        "message": message,
        "param": of("param"),
        "error": {"message": format!("{message}{after}"), "type": kind, "param": of("param"), "code": code},
    })
}

/// What ends a stream before its response has ended. It has the number of the event before it, if there is
/// one, behind which its reader may go on.
pub fn interruption(problem: &Problem, number: Option<u64>) -> Vec<u8> {
    let (code, message, param) = (problem.code, &problem.message, &problem.param);
    let members = json!({
        "code": code,
        "message": message,
        "param": param,
        "error": {"message": message, "type": "server_error", "param": param, "code": code},
    });
    last(number, members)
}

/// The event that is an error, and the end of its stream.
fn last(number: Option<u64>, error: Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_event(&mut out, number, event("error", error));
    out.extend_from_slice(DONE);
    out
}

/// The end of a response that was cancelled, for which there is no event of its own: clients raise on
/// this one in either form.
fn cancelled() -> Value {
    const MESSAGE: &str = "The response was cancelled.";
    json!({
        "code": "cancelled",
        "message": MESSAGE,
        "param": null,
        "error": {"message": MESSAGE, "type": "invalid_request_error", "param": null, "code": "cancelled"},
    })
}

/// Its kind, and what it tells.
type Event<'a> = (&'static str, Told<'a>);

enum Told<'a> {
    Members(Map<String, Value>),
    /// The JSON of a response, which may be long and hold what nobody but its client can read.
    Response(&'a str),
}

fn event(kind: &'static str, members: Value) -> Event<'static> {
    match members {
        Value::Object(members) => (kind, Told::Members(members)),
        _ => (kind, Told::Members(Map::new())),
    }
}

fn about_response<'a>(kind: &'static str, json: &'a str) -> Event<'a> {
    (kind, Told::Response(json))
}

/// An object with one more member.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    object
}

fn write(events: Vec<Event<'_>>, starting_after: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let count = events.len();
    for (number, event) in events.into_iter().enumerate() {
        let is_wanted = starting_after.is_none_or(|after| number as u64 > after);
        if is_wanted || number + 1 == count {
            write_event(&mut out, number as u64, event);
        }
    }
    out.extend_from_slice(DONE);
    out
}

fn write_event(out: &mut Vec<u8>, number: impl Into<Option<u64>>, (kind, told): Event<'_>) {
    let _ = write!(out, "event: {kind}\ndata: {{\"type\":\"{kind}\"");
    if let Some(number) = number.into() {
        let _ = write!(out, ",\"sequence_number\":{number}");
    }
    match told {
        Told::Response(json) => {
            out.extend_from_slice(b",\"response\":");
            write_in_one_line(out, json);
        }
        Told::Members(members) => members.iter().for_each(|(name, value)| {
            let _ = write!(out, ",{}:{value}", Value::String(name.clone()));
        }),
    }
    out.extend_from_slice(b"}\n\n");
}

/// How one item comes to be: opened empty, filled at once, closed.
fn item_events(events: &mut Vec<Event<'_>>, index: usize, item: &Map<String, Value>) {
    let id = item.get("id").cloned().unwrap_or_default();
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let about = |members: Value| {
        let members = with(members, "item_id", id.clone());
        with(members, "output_index", json!(index))
    };
    let (list, empty) = match kind {
        "message" => ("content", json!([])),
        "reasoning" => ("summary", json!([])),
        "custom_tool_call" => ("input", json!("")),
        _ => ("arguments", json!("")),
    };
    let mut opened = item.clone();
    opened.insert("status".to_owned(), json!("in_progress"));
    opened.insert(list.to_owned(), empty);
    events.push(event(
        "response.output_item.added",
        json!({"output_index": index, "item": opened}),
    ));
    let filled = item.get(list).cloned().unwrap_or_default();
    match list {
        "content" | "summary" => {
            let parts = filled.as_array().into_iter().flatten();
            for (at, part) in parts.enumerate() {
                part_events(events, list == "summary", at, part, about);
            }
        }
        "input" => {
            let delta = "response.custom_tool_call_input.delta";
            events.push(event(delta, about(json!({"delta": filled}))));
            let done = "response.custom_tool_call_input.done";
            events.push(event(done, about(json!({"input": filled}))));
        }
        _ => {
            let delta = "response.function_call_arguments.delta";
            events.push(event(delta, about(json!({"delta": filled}))));
            let name = item.get("name").cloned().unwrap_or_default();
            let done = "response.function_call_arguments.done";
            events.push(event(
                done,
                about(json!({"name": name, "arguments": filled})),
            ));
        }
    }
    events.push(event(
        "response.output_item.done",
        json!({"output_index": index, "item": item}),
    ));
}

/// How one part of an item comes to be.
fn part_events(
    events: &mut Vec<Event<'_>>,
    is_summary: bool,
    at: usize,
    part: &Value,
    about: impl Fn(Value) -> Value,
) {
    let is_refusal = part.get("type").and_then(Value::as_str) == Some("refusal");
    let place = if is_summary {
        "summary_index"
    } else {
        "content_index"
    };
    let member = if is_refusal { "refusal" } else { "text" };
    let text = part.get(member).cloned().unwrap_or_default();
    let empty = with(part.clone(), member, json!(""));
    let [added, delta, done, part_done] = match (is_summary, is_refusal) {
        (true, _) => [
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
        ],
        (false, true) => [
            "response.content_part.added",
            "response.refusal.delta",
            "response.refusal.done",
            "response.content_part.done",
        ],
        (false, false) => [
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
        ],
    };
    let logprobs = |members: Value| match is_summary || is_refusal {
        true => members,
        false => with(members, "logprobs", json!([])),
    };
    events.push(event(added, about(json!({(place): at, "part": empty}))));
    events.push(event(
        delta,
        about(logprobs(json!({(place): at, "delta": text}))),
    ));
    events.push(event(
        done,
        about(logprobs(json!({(place): at, (member): text}))),
    ));
    events.push(event(part_done, about(json!({(place): at, "part": part}))));
}
