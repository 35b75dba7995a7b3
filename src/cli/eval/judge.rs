//! Judges an answer by what the task says of it.
//!
//! Nothing here asks the gateway's own code whether an answer is right; schemas are checked from
//! the request.

use serde_json::{Map, Value};

use super::heard::{Heard, HeardCall, list, text_at};
use super::tasks::{Promised, Task, Wanted};

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
        Ok(()) => way(task, heard),
    }
}

/// How an answer came about.
fn way(task: &Task, heard: &Heard) -> Outcome {
    let notes = heard.notes.as_deref().unwrap_or_default();
    match notes.iter().any(|name| name == REASKED) {
        true => Outcome::Reasked,
        false if mended(task, heard).next().is_none() => Outcome::FirstTry,
        false => Outcome::Repaired,
    }
}

/// The name of an answer that was asked for again.
const REASKED: &str = "reask";

/// What had to be mended in an answer, by name. What the gateway does itself for the fields of the
/// request is no sign of anything.
pub(super) fn mended<'h>(task: &'h Task, heard: &'h Heard) -> impl Iterator<Item = &'h str> {
    const OF_THE_GATEWAY: [&str; 4] = ["stream_options", "max_tokens", "models", "image_upload"];
    let is_field = |name: &str| task.request.get(name).is_some() || OF_THE_GATEWAY.contains(&name);
    let names = heard.notes.iter().flatten().map(String::as_str);
    names.filter(move |name| *name != REASKED && !is_field(name))
}

/// What holds for every answer, and what the task adds to it.
fn keeps_promises(request: &Value, promised: Promised, heard: &Heard) -> Result<(), String> {
    for call in &heard.calls {
        check_call(request, call)?;
        if promised.call {
            check_required(request, call)?;
        }
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

/// A call that was due holds what its tool requires.
fn check_required(request: &Value, call: &HeardCall) -> Result<(), String> {
    let offered = list(request.get("tools")).iter();
    let mut functions = offered.filter_map(|tool| tool.get("function"));
    let function = functions.find(|known| text_at(known, "/name") == call.name);
    let required = function.and_then(|function| function.pointer("/parameters/required"));
    let given: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let mut required = list(required).iter().filter_map(Value::as_str);
    match required.find(|name| given.get(name).is_none()) {
        Some(name) => Err(format!("{} was called without {name}", call.name)),
        None => Ok(()),
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
    if heard.content.contains("<turn-") || heard.content.contains("<conversation-") {
        return Err("it goes on with the record of the conversation".to_owned());
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
        (Value::Number(given), Value::Number(wanted)) => given.as_f64() == wanted.as_f64(),
        (given, wanted) => given == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Outcome, judge};
    use crate::cli::eval::heard::Heard;
    use crate::cli::eval::tasks::{Task, tasks};

    fn task(name: &str) -> Task {
        let found = tasks().into_iter().find(|task| task.name == name);
        found.expect("a task of that name")
    }

    /// A whole answer with these calls, or with this content.
    fn answer(calls: &[(&str, Value)], content: Value, more: Value) -> String {
        let calls: Vec<Value> = calls
            .iter()
            .map(|(name, arguments)| {
                let arguments = match arguments {
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                json!({"id": "1", "function": {"name": name, "arguments": arguments}})
            })
            .collect();
        let finish = if calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        };
        let message = json!({"content": content, "tool_calls": calls});
        json!({"choices": [{"message": message, "finish_reason": finish}], "gateway": more})
            .to_string()
    }

    fn judged(name: &str, body: &str) -> Outcome {
        let mut heard = Heard::default();
        let heard = heard.take_whole(body).map(|()| heard);
        judge(&task(name), &heard)
    }

    #[test]
    fn the_way_to_a_right_answer_is_read_from_the_notes() {
        let paris = [("get_weather", json!({"city": "paris", "days": 3}))];
        for (notes, way) in [
            (json!(["tools", "max_tokens"]), Outcome::FirstTry),
            (json!(["tools", "trailing-comma"]), Outcome::Repaired),
            (json!(["tools", "fence", "reask"]), Outcome::Reasked),
        ] {
            let body = answer(&paris, Value::Null, json!({"emulated": notes}));
            assert_eq!(judged("one call", &body), way);
        }
    }

    #[test]
    fn what_was_not_wanted_is_missed() {
        let rome = answer(
            &[("get_weather", json!({"city": "Rome"}))],
            json!(null),
            json!(null),
        );
        let prose = answer(&[], json!("Sunny, I guess."), json!(null));
        for body in [rome, prose] {
            assert!(
                matches!(judged("one call", &body), Outcome::Missed(_)),
                "{body}"
            );
        }
        let error = json!({"error": {"code": "tool_call_invalid"}}).to_string();
        let code = Outcome::Error("tool_call_invalid".to_owned());
        assert_eq!(judged("one call", &error), code);
    }

    #[test]
    fn what_breaks_a_promise_is_invalid() {
        let call = |name, arguments| answer(&[(name, arguments)], json!(null), json!(null));
        let said = |content: &str| answer(&[], json!(content), json!(null));
        let right = json!({"city": "Paris"});
        let two = answer(
            &[
                ("get_weather", right.clone()),
                ("get_weather", right.clone()),
            ],
            json!(null),
            json!(null),
        );
        let stopped = call("get_weather", right.clone()).replace(
            "\"finish_reason\":\"tool_calls\"",
            "\"finish_reason\":\"stop\"",
        );
        for (name, body) in [
            ("one call", "<html>".to_owned()),
            ("one call", call("get_time", right.clone())),
            ("one call", call("get_weather", json!("{\"city\": "))),
            ("one call", call("get_weather", json!("[1]"))),
            ("one call", stopped),
            ("one call of two, not in parallel", two),
            ("a call required", said("Hello!")),
            ("a named tool", call("send_mail", json!({"to": "x"}))),
            ("a named tool", said("It is sunny.")),
            (
                "strict arguments: nested, enum, list",
                call("book_table", json!({"name": "Ada"})),
            ),
            ("a strict JSON schema", said("{\"name\": \"Ada Lovelace\"}")),
            ("a strict JSON schema", said("Ada Lovelace, 36")),
        ] {
            let outcome = judged(name, &body);
            assert!(
                matches!(outcome, Outcome::Invalid(_)),
                "{name}: {body}: {outcome:?}"
            );
        }
    }
}
