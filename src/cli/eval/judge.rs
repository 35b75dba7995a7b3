//! Reads an answer off the wire, and judges it by what the task says.
//!
//! Nothing here asks the gateway's own code whether an answer is right: calls and chunks are read
//! from the bytes a client gets, and schemas are checked from the request.

use serde_json::{Map, Value};

use super::tasks::{Promised, Task, Wanted};
use crate::cli::client::Reply;

/// An answer as a client hears it, whole or put together from its chunks.
#[derive(Debug, Default)]
pub(super) struct Heard {
    content: String,
    refusal: Option<String>,
    calls: Vec<HeardCall>,
    finish: String,
    /// The code of the error that came instead, or that ended the stream.
    error: Option<String>,
    /// What the gateway says it did itself; `None` where it does not say.
    notes: Option<Vec<String>>,
}

#[derive(Debug, Default)]
struct HeardCall {
    name: String,
    arguments: String,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    FirstTry,
    Repaired,
    Reasked,
    /// No promise was broken, but this was not what was wanted.
    Missed(String),
    /// The error's code.
    Error(String),
    /// Delivered although it breaks a promise: how.
    Invalid(String),
}

impl Heard {
    /// Whether the server tells how an answer came about.
    pub(super) fn tells(&self) -> bool {
        self.notes.is_some() || self.error.is_some()
    }

    /// Puts an answer together.
    ///
    /// # Errors
    /// What is wrong with its form, in words.
    pub(super) fn read(reply: &Reply) -> Result<Heard, String> {
        let mut heard = Heard::default();
        if reply.header("x-gateway-usage").is_some() {
            let names = reply.header("x-gateway-emulated").unwrap_or_default();
            heard.note(names.split(", ").filter(|name| !name.is_empty()));
        }
        let text = std::str::from_utf8(&reply.body).map_err(|_| "it is not UTF-8")?;
        match reply.is_event_stream() {
            true => heard.take_stream(text)?,
            false => heard.take_whole(text)?,
        }
        Ok(heard)
    }

    fn take_whole(&mut self, text: &str) -> Result<(), String> {
        let body: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        if self.take_error(&body) {
            return Ok(());
        }
        self.take_notes(&body);
        let choice = body.pointer("/choices/0").ok_or("it has no choice")?;
        let message = choice.get("message").ok_or("it has no message")?;
        self.take_text(message);
        for call in list(message.get("tool_calls")) {
            self.calls.push(HeardCall {
                name: text_at(call, "/function/name").to_owned(),
                arguments: text_at(call, "/function/arguments").to_owned(),
            });
        }
        self.finish = text_at(choice, "/finish_reason").to_owned();
        Ok(())
    }

    fn take_stream(&mut self, text: &str) -> Result<(), String> {
        let mut has_ended = false;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data = data.trim();
            if has_ended {
                return Err("something follows its end".to_owned());
            }
            if data == "[DONE]" {
                has_ended = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(data).map_err(|_| "a chunk is not JSON")?;
            if self.take_error(&chunk) {
                has_ended = true;
                continue;
            }
            self.take_notes(&chunk);
            for choice in list(chunk.get("choices")) {
                let delta = choice.get("delta").unwrap_or(&Value::Null);
                self.take_text(delta);
                for piece in list(delta.get("tool_calls")) {
                    self.take_piece(piece)?;
                }
                let finish = text_at(choice, "/finish_reason");
                if !finish.is_empty() {
                    self.finish = finish.to_owned();
                }
            }
        }
        match has_ended {
            true => Ok(()),
            false => Err("the stream ends without [DONE] and without an error".to_owned()),
        }
    }

    /// A piece of a call: indices are dense from 0, and each begins with its id and name.
    fn take_piece(&mut self, piece: &Value) -> Result<(), String> {
        let index = piece.get("index").and_then(Value::as_u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or("a piece of a call has no index")?;
        let name = text_at(piece, "/function/name");
        if index == self.calls.len() {
            if name.is_empty() || text_at(piece, "/id").is_empty() {
                return Err("a call begins without its id and name".to_owned());
            }
            self.calls.push(HeardCall::default());
        }
        let last = self.calls.len() - 1;
        let call = self.calls.get_mut(index).filter(|_| index == last);
        let call = call.ok_or("the indices of the calls are not dense from 0")?;
        call.name.push_str(name);
        let more = text_at(piece, "/function/arguments");
        call.arguments.push_str(more);
        Ok(())
    }

    fn take_text(&mut self, message: &Value) {
        self.content.push_str(text_at(message, "/content"));
        if let Some(words) = message.get("refusal").and_then(Value::as_str) {
            self.refusal.get_or_insert_default().push_str(words);
        }
    }

    fn take_error(&mut self, body: &Value) -> bool {
        let Some(error) = body.get("error").filter(|error| !error.is_null()) else {
            return false;
        };
        let code = ["/code", "/type", "/message"]
            .iter()
            .map(|field| text_at(error, field))
            .find(|text| !text.is_empty());
        self.error = Some(code.unwrap_or("unnamed").to_owned());
        true
    }

    fn take_notes(&mut self, body: &Value) {
        if let Some(notes) = body.pointer("/gateway/emulated") {
            self.note(list(Some(notes)).iter().filter_map(Value::as_str));
        }
    }

    fn note<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let notes = self.notes.get_or_insert_default();
        notes.extend(names.map(str::to_owned));
    }
}

/// What became of `task` in the answer that was heard.
pub(super) fn judge(task: &Task, heard: &Result<Heard, String>) -> Outcome {
    let heard = match heard {
        Ok(heard) => heard,
        Err(breach) => return Outcome::Invalid(breach.clone()),
    };
    if let Some(code) = &heard.error {
        return Outcome::Error(code.clone());
    }
    if let Err(breach) = keeps_promises(&task.request, task.promised, heard) {
        return Outcome::Invalid(breach);
    }
    match does(&task.wanted, heard) {
        Err(why) => Outcome::Missed(why),
        Ok(()) => way(&task.request, heard.notes.as_deref().unwrap_or_default()),
    }
}

/// How an answer came about. What the gateway does itself for the fields of the request is no
/// sign of anything; what else it names had to be mended.
fn way(request: &Value, notes: &[String]) -> Outcome {
    const OF_THE_GATEWAY: [&str; 4] = ["stream_options", "max_tokens", "models", "image_upload"];
    let is_field = |name: &str| request.get(name).is_some() || OF_THE_GATEWAY.contains(&name);
    match notes.iter().any(|name| name == "reask") {
        true => Outcome::Reasked,
        false if notes.iter().all(|name| is_field(name)) => Outcome::FirstTry,
        false => Outcome::Repaired,
    }
}

/// What holds for every answer, and what the task adds to it.
fn keeps_promises(request: &Value, promised: Promised, heard: &Heard) -> Result<(), String> {
    for call in &heard.calls {
        check_call(request, call)?;
        if promised.only.is_some_and(|only| call.name != only) {
            return Err(format!("{} was called instead", call.name));
        }
    }
    let calls = heard.calls.len();
    if heard.finish.is_empty() {
        return Err("it has no finish reason".to_owned());
    }
    // OpenAI itself says `stop` after a call that was named.
    if calls > 0 && heard.finish != "tool_calls" && promised.only.is_none() {
        return Err(format!("calls end with the reason {}", heard.finish));
    }
    if calls == 0 && heard.finish == "tool_calls" {
        return Err("it ends as if there were calls".to_owned());
    }
    if promised.call && calls == 0 {
        return Err("no tool was called".to_owned());
    }
    if promised.single && calls > 1 {
        return Err(format!("{calls} tools were called"));
    }
    if promised.schema && calls == 0 && heard.refusal.is_none() {
        let schema = request.pointer("/response_format/json_schema/schema");
        check_schema(schema, &heard.content)?;
    }
    Ok(())
}

fn check_call(request: &Value, call: &HeardCall) -> Result<(), String> {
    let offered = list(request.get("tools")).iter();
    let mut functions = offered.filter_map(|tool| tool.get("function"));
    let Some(function) = functions.find(|known| text_at(known, "/name") == call.name) else {
        return Err(format!("{:?} was not offered", call.name));
    };
    match serde_json::from_str::<Map<String, Value>>(&call.arguments) {
        Err(_) => Err(format!("arguments are no JSON object: {}", call.arguments)),
        Ok(_) if function.get("strict") == Some(&Value::Bool(true)) => {
            check_schema(function.get("parameters"), &call.arguments)
        }
        Ok(_) => Ok(()),
    }
}

fn check_schema(schema: Option<&Value>, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|_| format!("no JSON: {text}"))?;
    let validator = jsonschema::validator_for(schema.unwrap_or(&Value::Bool(true)))
        .map_err(|error| error.to_string())?;
    match validator.is_valid(&value) {
        true => Ok(()),
        false => Err(format!("its schema does not allow {text}")),
    }
}

/// Whether the answer does the task; why not, if not.
fn does(wanted: &Wanted, heard: &Heard) -> Result<(), String> {
    if heard.refusal.is_some() {
        return Err("the model declined".to_owned());
    }
    match wanted {
        Wanted::AnyCall if heard.calls.is_empty() => Err("no tool was called".to_owned()),
        Wanted::AnyCall => Ok(()),
        Wanted::Calls(calls) if calls.len() != heard.calls.len() => Err(format!(
            "{} calls instead of {}",
            heard.calls.len(),
            calls.len()
        )),
        Wanted::Calls(calls) => calls.iter().try_for_each(|(name, arguments)| {
            let is_it = |call: &&HeardCall| {
                let given: Result<Value, _> = serde_json::from_str(&call.arguments);
                call.name == *name && given.is_ok_and(|given| holds(&given, arguments))
            };
            let found = heard.calls.iter().find(is_it);
            found
                .map(drop)
                .ok_or_else(|| format!("no call of {name} with {arguments}"))
        }),
        Wanted::Words(_) if !heard.calls.is_empty() => Err("a tool was called".to_owned()),
        Wanted::Words(_) if heard.content.trim().is_empty() => Err("nothing was said".to_owned()),
        Wanted::Words(words) => {
            let said = heard.content.to_lowercase();
            let missing = words.iter().find(|word| !said.contains(**word));
            missing.map_or(Ok(()), |word| Err(format!("{word:?} was not said")))
        }
        Wanted::Json(_) if !heard.calls.is_empty() => Err("a tool was called".to_owned()),
        Wanted::Json(members) => match serde_json::from_str::<Value>(&heard.content) {
            Ok(given) if given.is_object() && holds(&given, members) => Ok(()),
            Ok(given) => Err(format!("{given} is not what was wanted")),
            Err(_) => Err("the content is not JSON".to_owned()),
        },
    }
}

/// Whether `given` holds all of `wanted`; people write names in different cases, and models too.
fn holds(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Object(given), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| given.get(name).is_some_and(|given| holds(given, wanted))),
        (Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len()
                && given
                    .iter()
                    .zip(wanted)
                    .all(|(given, wanted)| holds(given, wanted))
        }
        (Value::String(given), Value::String(wanted)) => given.trim().eq_ignore_ascii_case(wanted),
        (given, wanted) => given == wanted,
    }
}

fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
