//! What the slips change in the calls themselves: which tool, and what is given to it.

use serde_json::{Map, Value, json};

use super::{
    brief::Brief,
    choose::{self, Call},
    json_text::Style,
    toolbox::Tool,
};
use crate::emulator::script::{Behaviour, Slip};

/// The calls after the slips that change what is called.
pub(super) fn slipped_calls(
    brief: &Brief,
    mut calls: Vec<Call>,
    behaviour: &Behaviour,
) -> Vec<Call> {
    let makes = |slip| behaviour.makes(slip);
    if makes(Slip::CallParallel)
        && let [only] = calls.as_slice()
    {
        let other = brief.tools.iter().find(|tool| tool.name != only.name);
        let second = other.map_or_else(|| only.clone(), |tool| choose::call(tool, ""));
        calls.push(second);
    }
    for call in &mut calls {
        let tool = brief.tools.iter().find(|tool| tool.name == call.name);
        if makes(Slip::CallMissing)
            && let Some(tool) = tool
        {
            remove_first_required(tool, &mut call.arguments);
        }
        if makes(Slip::CallExtra)
            && let Some(arguments) = call.arguments.as_object_mut()
        {
            choose::add_unknown(arguments);
        }
        if makes(Slip::CallEnum)
            && let Some(tool) = tool
        {
            choices_in_capitals(&tool.parameters, &mut call.arguments);
        }
        if makes(Slip::CallSingle) {
            without_lists_of_one(&mut call.arguments);
        }
        if makes(Slip::CallFloats) {
            as_floats(&mut call.arguments);
        }
        if makes(Slip::CallEcho) {
            echo(&mut call.arguments);
        }
        if makes(Slip::CallTypes) {
            as_strings(&mut call.arguments);
        }
        if makes(Slip::CallLists) {
            lists_as_strings(&mut call.arguments);
        }
        if makes(Slip::CallUnknown) {
            call.name = choose::unknown_name(&brief.tools);
        }
        if makes(Slip::CallCase) {
            call.name = other_case(&call.name);
        }
        if makes(Slip::CallPrefix) {
            call.name = format!("functions.{}", call.name);
        }
    }
    calls
}

fn remove_first_required(tool: &Tool, arguments: &mut Value) {
    let required = tool.parameters.get("required").and_then(Value::as_array);
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    if let (Some(name), Some(arguments)) = (required.next(), arguments.as_object_mut()) {
        arguments.remove(name);
    }
}

/// Puts a value where a schema has the schemas of its members.
pub(super) fn echo(value: &mut Value) {
    let names: Vec<&String> = value
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys())
        .collect();
    *value = json!({ "type": "object", "properties": value, "required": names });
}

/// Writes every number and truth value as a string.
pub(super) fn as_strings(value: &mut Value) {
    match value {
        Value::Number(_) | Value::Bool(_) => *value = json!(value.to_string()),
        Value::Array(items) => items.iter_mut().for_each(as_strings),
        Value::Object(members) => members.values_mut().for_each(as_strings),
        Value::Null | Value::String(_) => {}
    }
}

/// Writes every list as a string that holds its JSON.
fn lists_as_strings(value: &mut Value) {
    match value {
        Value::Array(_) => *value = json!(Style::default().write(value)),
        Value::Object(members) => members.values_mut().for_each(lists_as_strings),
        _ => {}
    }
}

/// `get_weather` as `Get_Weather`, and a name that has capitals already without them.
fn other_case(name: &str) -> String {
    if name.contains(char::is_uppercase) {
        return name.to_lowercase();
    }
    let mut begins = true;
    name.chars()
        .map(|char| {
            let changed = if begins {
                char.to_ascii_uppercase()
            } else {
                char
            };
            begins = !char.is_alphanumeric();
            changed
        })
        .collect()
}

/// Writes every word in capitals that was to be chosen from a list.
fn choices_in_capitals(schema: &Value, value: &mut Value) {
    let choices = schema.get("enum").and_then(Value::as_array);
    let is_choice = choices.is_some_and(|choices| choices.contains(value));
    let properties = schema.get("properties").and_then(Value::as_object);
    let of_member =
        |name: &String| properties.and_then(|properties: &Map<_, _>| properties.get(name));
    match value {
        Value::String(word) if is_choice => *word = word.to_uppercase(),
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = of_member(name) {
                    choices_in_capitals(schema, member);
                }
            }
        }
        _ => {}
    }
}

/// Writes the only item of a list in its place.
fn without_lists_of_one(value: &mut Value) {
    match value {
        Value::Array(items) if items.len() == 1 => *value = items.remove(0),
        Value::Object(members) => members.values_mut().for_each(without_lists_of_one),
        _ => {}
    }
}

/// Writes every whole number with a fraction of nothing.
fn as_floats(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                *value = json!(whole as f64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_floats),
        Value::Object(members) => members.values_mut().for_each(as_floats),
        _ => {}
    }
}
