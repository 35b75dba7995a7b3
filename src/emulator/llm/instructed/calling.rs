//! Writes calls in the form that was shown, or in the forms that models fall back to.

use serde_json::{Value, json};

use super::{
    brief::{Brief, Must},
    choose::{self, Call},
    elements::Elements,
    envelope::Envelope,
    json_text::Style,
    toolbox::Tool,
};
use crate::emulator::{
    llm::commands::{Said, exactly, plainly},
    script::{Behaviour, Quirk, Slip},
};

const MUCH_PROSE: &str = "That is a good question. Let me think about what is needed here.\n\n\
    1. First, I need to find out what you want to know.\n\
    2. Then I can look it up, which is what `<tools>` are for.\n\
    3. Last, I shall tell you what I found.\n\n\
    I begin with the second step.";

/// The reply that makes `calls`.
pub(super) fn write(
    brief: &Brief,
    envelope: &Envelope,
    calls: Vec<Call>,
    behaviour: &Behaviour,
) -> Said {
    let makes = |slip| behaviour.makes(slip);
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    let sentence = format!("I will use {} for that.", names.join(" and "));
    let first = calls.first().map(|call| call.name.clone());
    let envelope = slipped_envelope(envelope, behaviour);
    let mut block = block(
        &envelope,
        &slipped_calls(brief, calls, behaviour),
        behaviour,
    );
    let keyed = envelope.key().map(|key| format!("tool_result-{key}"));
    let result_tag = brief.result_tag.clone().or(keyed);
    let result_tag = result_tag.as_deref().unwrap_or("tool_result");
    if let Some(instead) = in_its_place(&envelope, &block, result_tag, behaviour) {
        return exactly(instead);
    }
    if makes(Slip::CallTwice) {
        block = format!("{block}\n\n{block}");
    }
    if makes(Slip::CallFenced) {
        block = format!("```xml\n{block}\n```");
    }
    if makes(Slip::CallUnclosed) {
        let open = block.strip_suffix(&envelope.close).map(str::len);
        block.truncate(open.unwrap_or(block.len()));
    }
    let before = if makes(Slip::CallAfterProse) {
        Some(MUCH_PROSE)
    } else if envelope.alone || brief.must != Must::No || behaviour.has(Quirk::Silent) {
        None
    } else {
        Some(sentence.as_str())
    };
    if makes(Slip::CallTruncated) {
        block = half(&block).to_owned();
    } else {
        if makes(Slip::CallFabricated) {
            let tag = result_tag;
            let name = first.unwrap_or_default();
            block.push_str(&format!(
                "\n<{tag} id=\"call_1\" name=\"{name}\">{{\"ok\": true, \"made_up\": true}}</{tag}>\n\
                 The tool has answered, so everything is fine."
            ));
        }
        if makes(Slip::CallThenProse) {
            block.push_str("\n\nI will tell you as soon as I have the results.");
        }
    }
    match before {
        Some(before) => plainly(format!("{before}\n{block}")),
        None => exactly(block),
    }
}

/// What the slips write that turn the whole answer into something else.
fn in_its_place(
    envelope: &Envelope,
    block: &str,
    result_tag: &str,
    behaviour: &Behaviour,
) -> Option<String> {
    let makes = |slip| behaviour.makes(slip);
    if makes(Slip::CallClaimed) {
        return Some(format!(
            "{{\"{result_tag}\": \"It was done successfully.\"}}"
        ));
    }
    if makes(Slip::CallOpened) {
        return Some(envelope.open.clone());
    }
    if makes(Slip::CallAfterResult) {
        return Some(format!("<{result_tag}>{block}"));
    }
    let shown = || format!("To find out, you can use this tool:\n\n```json\n{block}\n```");
    makes(Slip::CallShown).then(shown)
}

/// An answer that is no call but shows one.
pub(super) fn quote(brief: &Brief, calls: &[Call]) -> Option<String> {
    let example = match calls.first() {
        Some(call) => call.clone(),
        None => choose::call(brief.tools.first()?, ""),
    };
    let envelope = brief.envelope.as_ref()?;
    let block = envelope.write(
        [(example.name.as_str(), &example.arguments)],
        Style::default(),
    );
    Some(format!(
        "To use {}, one would write this:\n\n```\n{block}\n```\n\nNothing is called by showing it.",
        example.name
    ))
}

fn block(envelope: &Envelope, calls: &[Call], behaviour: &Behaviour) -> String {
    let style = Style {
        python: behaviour.makes(Slip::CallPython),
        trailing: behaviour.makes(Slip::CallTrailing),
        smart: behaviour.makes(Slip::CallSmart),
        bare: behaviour.makes(Slip::CallKeys),
        comment: behaviour.makes(Slip::CallComment),
        escape: behaviour.makes(Slip::CallEscape),
    };
    let calls: Vec<(&str, Value)> = calls
        .iter()
        .map(|call| {
            let arguments = if behaviour.makes(Slip::CallString) {
                json!(Style::default().write(&call.arguments))
            } else {
                call.arguments.clone()
            };
            (call.name.as_str(), arguments)
        })
        .collect();
    envelope.write(
        calls.iter().map(|(name, arguments)| (*name, arguments)),
        style,
    )
}

/// The form of the calls after the slips that change it.
fn slipped_envelope(shown: &Envelope, behaviour: &Behaviour) -> Envelope {
    let arguments = if behaviour.makes(Slip::CallParameters) {
        "parameters"
    } else {
        shown.arguments.as_str()
    };
    if [Slip::CallBareJson, Slip::CallAfterResult, Slip::CallShown]
        .into_iter()
        .any(|slip| behaviour.makes(slip))
    {
        return Envelope::bare(arguments);
    }
    if behaviour.makes(Slip::CallOpenAi) {
        return Envelope::list("tool_calls", arguments);
    }
    if behaviour.makes(Slip::CallRenamed) {
        return Envelope::tagged("function_calls", "invoke", arguments);
    }
    if behaviour.makes(Slip::CallMarkup) {
        return Envelope {
            elements: Some(Elements::usual()),
            ..Envelope::tagged("function_calls", "", arguments)
        };
    }
    let mut envelope = Envelope {
        arguments: arguments.to_owned(),
        ..shown.clone()
    };
    if behaviour.makes(Slip::CallCommas) {
        envelope.separator = ",\n";
    }
    if behaviour.makes(Slip::CallAttributes) {
        envelope.is_in_attributes = true;
    }
    if behaviour.makes(Slip::CallBraces) {
        envelope.after_call.insert(0, '}');
    }
    if behaviour.makes(Slip::CallNoKey) {
        return envelope.with_key(None);
    }
    if behaviour.makes(Slip::CallWrongKey) {
        let wrong = envelope
            .key()
            .map(|key| key.chars().rev().chain(['0']).collect::<String>());
        return envelope.with_key(wrong.as_deref());
    }
    envelope
}

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

/// The first half of a text, in characters.
pub(super) fn half(text: &str) -> &str {
    let middle = text.chars().count() / 2;
    let end = text.char_indices().nth(middle).map(|(at, _)| at);
    text.split_at(end.unwrap_or(0)).0
}
