//! Writes calls in the form that was shown, or in the forms that models fall back to.

use serde_json::{Map, Value, json};

use super::{
    brief::{Brief, Must},
    choose::{self, Call},
    elements::Elements,
    envelope::Envelope,
    families,
    json_text::Style,
    slipped::{echo, slipped_calls},
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
    let keyed = envelope.key().map(|key| format!("tool_result-{key}"));
    let result_tag = brief.result_tag.clone().or(keyed);
    let result_tag = result_tag.as_deref().unwrap_or("tool_result");
    let envelope = slipped_envelope(envelope, behaviour);
    let mut calls = slipped_calls(brief, calls, behaviour);
    if makes(Slip::CallPlaceholder) {
        calls
            .iter_mut()
            .for_each(|call| call.name.clone_from(&envelope.example));
    }
    let mut block = block(&envelope, &calls, behaviour);
    let instead = in_its_place(&envelope, &block, result_tag, behaviour)
        .or_else(|| families::write(&calls, behaviour))
        .or_else(|| in_no_form(brief, &envelope, &calls, behaviour));
    if let Some(instead) = instead {
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
    if makes(Slip::CallAmid) {
        return Some(format!("I call {block} now and wait for what it says."));
    }
    let shown = || format!("To find out, you can use this tool:\n\n```json\n{block}\n```");
    makes(Slip::CallShown).then(shown)
}

/// Calls in a form that is none.
fn in_no_form(
    brief: &Brief,
    envelope: &Envelope,
    calls: &[Call],
    behaviour: &Behaviour,
) -> Option<String> {
    let makes = |slip| behaviour.makes(slip);
    let style = Style::default();
    let lines = |write: &dyn Fn(&Call) -> String| -> String {
        calls.iter().map(write).collect::<Vec<_>>().join("\n")
    };
    if makes(Slip::CallDefinition) {
        let definition = |call: &Call| {
            let tool = brief.tools.iter().find(|tool| tool.name == call.name);
            let mut parameters = call.arguments.clone();
            echo(&mut parameters);
            style.write(&json!({
                "name": call.name,
                "description": tool.map_or("", |tool| tool.description.as_str()),
                "parameters": parameters,
            }))
        };
        return Some(lines(&definition));
    }
    if makes(Slip::CallUnnamed) {
        return Some(lines(&|call| style.write(&call.arguments)));
    }
    if makes(Slip::CallAsOneParameter) {
        let usual = Elements::usual();
        let elements = envelope.elements.as_ref().unwrap_or(&usual);
        let one = |call: &Call| elements.write_as_one(&call.name, &call.arguments, style);
        let Envelope { open, close, .. } = envelope;
        return Some(format!("{open}{}{close}", lines(&one)));
    }
    if makes(Slip::CallBlocks) {
        return Some(lines(&|call| {
            envelope.write([(call.name.as_str(), &call.arguments)], style)
        }));
    }
    None
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
        thousands: behaviour.makes(Slip::CallThousands),
        escape: behaviour.makes(Slip::CallEscape),
    };
    let calls: Vec<(&str, Value)> = calls
        .iter()
        .map(|call| {
            let is_empty = call.arguments.as_object().is_some_and(Map::is_empty);
            let arguments = if behaviour.makes(Slip::CallString) {
                json!(Style::default().write(&call.arguments))
            } else if behaviour.makes(Slip::CallNoArguments) && is_empty {
                json!("")
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
    let bare = [
        Slip::CallBareJson,
        Slip::CallAfterResult,
        Slip::CallShown,
        Slip::CallAmid,
    ];
    if bare.into_iter().any(|slip| behaviour.makes(slip)) {
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

/// The first half of a text, in characters.
pub(super) fn half(text: &str) -> &str {
    let middle = text.chars().count() / 2;
    let end = text.char_indices().nth(middle).map(|(at, _)| at);
    text.split_at(end.unwrap_or(0)).0
}
