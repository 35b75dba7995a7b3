//! The input of a request as it is kept and listed: every item with an id and a type, and texts as
//! lists of parts, whatever of these the client has left out. All else stays as it was sent.

use serde_json::value::RawValue;

use super::items::is_reference;
use super::output::item_id;
use crate::translate::face::objects::write_json;
use crate::translate::face::state::{Past, RecordItem};
use crate::wire::openai::fields::Fields;
use crate::wire::openai::responses::InputItem;
use crate::wire::text::Text;

/// The items of a request's input, those in it that only name others replaced by these.
pub fn record_items(body: &[u8], past: &Past, response: &str) -> Vec<RecordItem> {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let Ok(Fields(fields)) = serde_json::from_str(body) else {
        return Vec::new();
    };
    let input = fields.into_iter().find(|(name, _)| name == "input");
    let input = input.map_or("[]", |(_, value)| value.get());
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
    let item: InputItem<'_> = serde_json::from_str(json).ok()?;
    let id = item.id.as_ref().map(|Text(id)| id.to_string());
    if is_reference(&item) {
        let id = id?;
        let body = past.items.get(&id)?.clone();
        return Some(RecordItem { id, body });
    }
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let kind = item.kind.as_ref().map_or("message", Text::as_str);
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
    if has_status(kind)
        && !fields
            .iter()
            .any(|(name, value)| name == "status" && value.get() != "null")
    {
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
            true => write_parts(&mut body, part_kind(&item), value.get()),
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

/// What a text is called in messages of this role.
fn part_kind(item: &InputItem<'_>) -> &'static str {
    match item.role.as_ref().map(Text::as_str) {
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
