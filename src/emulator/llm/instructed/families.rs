//! Calls as families of models write them who were trained on a form of their own.

use serde_json::{Value, json};

use super::{choose::Call, json_text::Style};
use crate::emulator::script::{Behaviour, Slip};

/// How a family writes calls.
type Family = fn(&[Call]) -> String;

const FAMILIES: [(Slip, Family); 9] = [
    (Slip::CallLlama, llama),
    (Slip::CallMistral, mistral),
    (Slip::CallDeepSeek, deep_seek),
    (Slip::CallKimi, kimi),
    (Slip::CallGptOss, gpt_oss),
    (Slip::CallPythonic, pythonic),
    (Slip::CallCode, code),
    (Slip::CallPositional, positional),
    (Slip::CallAction, action),
];

/// The calls in the form of the family that the model slips into, if it does.
pub(super) fn write(calls: &[Call], behaviour: &Behaviour) -> Option<String> {
    let (_, write) = FAMILIES.iter().find(|(slip, _)| behaviour.makes(*slip))?;
    Some(write(calls))
}

/// Each call, joined by `between`.
fn each(calls: &[Call], between: &str, write: impl Fn(usize, &str, String) -> String) -> String {
    let calls = calls.iter().enumerate().map(|(at, call)| {
        let arguments = Style::default().write(&call.arguments);
        write(at, &call.name, arguments)
    });
    calls.collect::<Vec<_>>().join(between)
}

fn llama(calls: &[Call]) -> String {
    let calls = each(calls, "; ", |_, name, arguments| {
        format!("{{\"name\": {}, \"parameters\": {arguments}}}", json!(name))
    });
    format!("<|python_tag|>{calls}")
}

fn mistral(calls: &[Call]) -> String {
    let calls = each(calls, ", ", |_, name, arguments| {
        format!("{{\"name\": {}, \"arguments\": {arguments}}}", json!(name))
    });
    format!("[TOOL_CALLS][{calls}]")
}

fn deep_seek(calls: &[Call]) -> String {
    let calls = each(calls, "\n", |_, name, arguments| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
        )
    });
    format!("<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>")
}

fn kimi(calls: &[Call]) -> String {
    let calls = each(calls, "", |at, name, arguments| {
        format!(
            "<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
        )
    });
    format!("<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>")
}

fn gpt_oss(calls: &[Call]) -> String {
    each(calls, "", |_, name, arguments| {
        format!(
            "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
        )
    })
}

fn action(calls: &[Call]) -> String {
    each(calls, "\n", |_, name, arguments| {
        format!("Thought: I need {name} for that.\nAction: {name}\nAction Input: {arguments}")
    })
}

fn pythonic(calls: &[Call]) -> String {
    let functions = calls.iter().map(|call| function(call, true));
    format!("[{}]", functions.collect::<Vec<_>>().join(", "))
}

fn positional(calls: &[Call]) -> String {
    let functions = calls.iter().map(|call| function(call, false));
    format!("[{}]", functions.collect::<Vec<_>>().join(", "))
}

fn code(calls: &[Call]) -> String {
    let lines = calls
        .iter()
        .map(|call| format!("print({})", function(call, true)));
    format!(
        "```tool_code\n{}\n```",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// `f(a=1)`, or `f(1)`.
fn function(call: &Call, is_named: bool) -> String {
    let style = Style {
        python: true,
        ..Style::default()
    };
    let members = call.arguments.as_object().into_iter().flatten();
    let arguments = members.map(|(name, value): (&String, &Value)| match is_named {
        true => format!("{name}={}", style.write(value)),
        false => style.write(value),
    });
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    format!("{}({arguments})", call.name)
}
