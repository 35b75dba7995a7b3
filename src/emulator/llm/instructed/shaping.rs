//! Writes the JSON that an answer has to be, or what models write in its place.

use serde_json::{Value, json};

use super::{
    brief::Format,
    calling::half,
    instance::{self, Optional},
    json_text::Style,
    moment::Moment,
    slipped::{as_strings, echo},
};
use crate::emulator::script::{Behaviour, Slip};

const REFUSAL: &str = "I'm sorry, but I can't help with that.";

/// The answer to `moment` in the form that `format` asks for.
pub(super) fn write(format: &Format, moment: &Moment<'_>, behaviour: &Behaviour) -> String {
    let makes = |slip| behaviour.makes(slip);
    if makes(Slip::JsonRefused) {
        return REFUSAL.to_owned();
    }
    if makes(Slip::JsonEmpty) {
        return String::new();
    }
    let mut value = value(format, moment);
    if makes(Slip::JsonExample)
        && let Some(example) = &format.example
    {
        value.clone_from(example);
    }
    if makes(Slip::JsonWrong) {
        value = violation(&format.schema, value);
    }
    if makes(Slip::JsonTypes) {
        as_strings(&mut value);
    }
    if makes(Slip::JsonEcho) {
        echo(&mut value);
    }
    if makes(Slip::JsonArray) {
        value = json!([value]);
    }
    let style = Style {
        python: makes(Slip::JsonPython),
        trailing: makes(Slip::JsonTrailing),
        smart: makes(Slip::JsonSmart),
        bare: makes(Slip::JsonKeys),
        comment: makes(Slip::JsonComment),
        thousands: makes(Slip::JsonThousands),
        escape: makes(Slip::JsonEscape),
    };
    let mut text = style.write(&value);
    if makes(Slip::JsonInvalid) {
        text = match text.split_once(": ") {
            Some((before, after)) => format!("{before} {after}"),
            None => format!("{{{text}"),
        };
    }
    if makes(Slip::JsonBraces) {
        text.push('}');
    }
    if makes(Slip::JsonString) {
        text = Style::default().name(&text);
    }
    if makes(Slip::JsonFenced) {
        text = format!("```json\n{text}\n```");
    }
    if makes(Slip::JsonProse) {
        text = format!(
            "Sure! Here is the JSON you asked for:\n\n{text}\n\nLet me know if you need anything {{else}}."
        );
    }
    if makes(Slip::JsonTruncated) {
        text = half(&text).to_owned();
    }
    text
}

/// A value that the schema allows, made of the message and the results.
fn value(format: &Format, moment: &Moment<'_>) -> Value {
    let mut source = moment.message.clone().into_owned();
    for outcome in &moment.results {
        source.push('\n');
        source.push_str(outcome.text);
    }
    if format.schema == Value::Bool(true) {
        return json!({ "answer": moment.report().unwrap_or_else(|| source.trim().to_owned()) });
    }
    // A schema that we cannot satisfy gets what a model would write: something that looks right.
    instance::make(&format.schema, &source, Optional::Shallow).unwrap_or_else(|| json!({}))
}

/// A value near `value` that `schema` does not allow.
fn violation(schema: &Value, mut value: Value) -> Value {
    let Value::Object(members) = &mut value else {
        return json!({ "unexpected": value });
    };
    let required = schema.get("required").and_then(Value::as_array);
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    match required.next() {
        Some(name) if members.remove(name).is_some() => value,
        // What is required is hidden behind a reference, or nothing is.
        _ => json!("unexpected"),
    }
}
