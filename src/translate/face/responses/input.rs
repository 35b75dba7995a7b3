//! The input of a request as it is kept and listed: every item with an id and a type, and texts as
//! lists of parts, whatever of these the client has left out. All else stays as it was sent.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::output::item_id;
use crate::translate::face::objects::write_json;
use crate::translate::face::state::{Past, RecordItem};
use crate::wire::openai::fields::Fields;
use crate::wire::text::Text;

/// The items of a request's input, which is its JSON, those in it that only name others replaced by these.
pub fn record_items(input: &[u8], past: &Past, response: &str) -> Vec<RecordItem> {
    let input = std::str::from_utf8(input).unwrap_or_default();
    // Apart from the ids of the output's items.
    let seed = format!("{response}/input");
    if input.starts_with('"') {
        let id = item_id("msg_", &seed, 0);
        let mut body = format!(
            "{{\"id\":\"{id}\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"user\",\"content\":"
        );
        write_parts(&mut body, "input_text", input);
        body.push('}');
        return vec![RecordItem { id, body }];
    }
    record_list(input, past, &seed)
}

/// The items of a JSON list, those in it that only name others replaced by these. Items without an id
/// get one that comes of `seed`.
pub fn record_list(items: &str, past: &Past, seed: &str) -> Vec<RecordItem> {
    let items: Vec<&RawValue> = serde_json::from_str(items).unwrap_or_default();
    let items = items.into_iter().enumerate();
    items
        .filter_map(|(at, item)| record_item(item.get(), past, seed, at))
        .collect()
}

fn record_item(json: &str, past: &Past, seed: &str, at: usize) -> Option<RecordItem> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let id = text(&fields, "id").map(|Text(id)| id.into_owned());
    let kind = text(&fields, "type");
    if names_another(&fields, kind.as_ref(), id.as_deref()) {
        let id = id?;
        let body = past.items.get(&id)?.clone();
        return Some(RecordItem { id, body });
    }
    let kind = kind.as_ref().map_or("message", Text::as_str);
    let is_message = kind == "message";
    // No store keeps a text with a NUL under its name.
    let id = id
        .filter(|id| !id.contains('\0'))
        .unwrap_or_else(|| item_id(prefix(kind), seed, at));
    let mut body = String::with_capacity(json.len() + 128);
    body.push_str("{\"id\":");
    push_json(&mut body, &id);
    body.push_str(",\"type\":");
    push_json(&mut body, kind);
    if has_status(kind) && member(&fields, "status").is_none() {
        body.push_str(",\"status\":\"completed\"");
    }
    for (name, value) in &fields {
        let is_written = ["id", "type"].contains(&name.as_ref());
        if is_written || (name == "status" && value.get() == "null") {
            continue;
        }
        body.push(',');
        push_json(&mut body, name);
        body.push(':');
        match is_message && name == "content" && value.get().starts_with('"') {
            true => write_parts(&mut body, part_kind(&fields), value.get()),
            false => body.push_str(value.get()),
        }
    }
    body.push('}');
    Some(RecordItem { id, body })
}

/// Whether items of a kind say how far they have come.
fn has_status(kind: &str) -> bool {
    matches!(
        kind,
        "message"
            | "function_call"
            | "function_call_output"
            | "custom_tool_call"
            | "custom_tool_call_output"
    )
}

/// The members of an item.
type Members<'a> = [(Cow<'a, str>, &'a RawValue)];

/// A member that says something.
fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    let mut named = members.iter().filter(|(other, _)| other == name);
    let value = named.next().map(|(_, value)| *value);
    value.filter(|value| value.get() != "null")
}

/// A member that is a text.
fn text<'a>(members: &Members<'a>, name: &str) -> Option<Text<'a>> {
    serde_json::from_str(member(members, name)?.get()).ok()
}

/// Whether an item only names another; its type may be left out. As [`is_reference`] says it.
///
/// [`is_reference`]: super::items::is_reference
fn names_another(members: &Members<'_>, kind: Option<&Text<'_>>, id: Option<&str>) -> bool {
    let says = |name: &str| member(members, name).is_some();
    match kind {
        Some(kind) => kind.as_str() == "item_reference",
        None => id.is_some() && !says("role") && !says("content"),
    }
}

/// What a text is called in messages of this role.
fn part_kind(members: &Members<'_>) -> &'static str {
    match text(members, "role").as_ref().map(Text::as_str) {
        Some("assistant") => "output_text",
        _ => "input_text",
    }
}

/// A list with one part, whose text is this JSON.
fn write_parts(out: &mut String, kind: &str, text: &str) {
    let rest = match kind {
        "output_text" => ",\"annotations\":[],\"logprobs\":[]",
        _ => "",
    };
    out.push_str(&format!("[{{\"type\":\"{kind}\",\"text\":{text}{rest}}}]"));
}

fn push_json(out: &mut String, text: &str) {
    let mut json = Vec::with_capacity(text.len() + 2);
    write_json(&mut json, text);
    out.push_str(&String::from_utf8_lossy(&json));
}

/// What ids of items of a kind begin with.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg_",
        "function_call" => "fc_",
        "function_call_output" => "fco_",
        "custom_tool_call" => "ctc_",
        "custom_tool_call_output" => "ctco_",
        "reasoning" => "rs_",
        _ => "item_",
    }
}
