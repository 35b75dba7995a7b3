//! The input of a request as it is kept and listed: every item with an id and a type, and texts as
//! lists of parts, whatever of these the client has left out. All else stays as it was sent.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::items::{is_call_of_program, is_output_of_program};
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

/// The longest id of an item that is kept under it, in bytes (source: OpenAI's API, which refuses longer
/// ones).
pub const LONGEST_ID: usize = 64;

/// The items of a JSON list, those in it that only name others replaced by these. Items get an id that
/// comes of `seed` where they have none, or none that they can be told from others by and kept under.
pub fn record_list(items: &str, past: &Past, seed: &str) -> Vec<RecordItem> {
    let items: Vec<&RawValue> = serde_json::from_str(items).unwrap_or_default();
    let mut earlier = Earlier::default();
    let items = items.into_iter().enumerate();
    items
        .filter_map(|(at, item)| {
            let own = |kind: &str| item_id(prefix(kind), seed, at);
            record_item(item.get(), past, &mut earlier, own)
        })
        .collect()
}

/// What the items of a list have so far.
#[derive(Default)]
struct Earlier {
    /// The ids that they are kept under.
    ids: HashSet<String>,
    /// The ids of calls of programs.
    called: HashSet<String>,
    /// The same, by the ids that the items of these calls were sent with; the last one counts.
    programs: HashMap<String, String>,
}

impl Earlier {
    /// The call that an output of a program names by the item of that call, as [`Builder`] finds it.
    ///
    /// [`Builder`]: super::items::Builder
    fn call_of(&self, named: &str) -> Option<&str> {
        let call = self.programs.get(named).map(String::as_str);
        call.filter(|_| !self.called.contains(named))
    }

    fn add_call(&mut self, item: &str, call: &str) {
        self.programs.insert(item.to_owned(), call.to_owned());
        self.called.insert(call.to_owned());
    }
}

fn record_item(
    json: &str,
    past: &Past,
    earlier: &mut Earlier,
    own: impl Fn(&str) -> String,
) -> Option<RecordItem> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let id = text(&fields, "id").map(|Text(id)| id);
    let kind = text(&fields, "type");
    if !names_another(&fields, kind.as_ref(), id.as_deref()) {
        return Some(write_item(json.len(), &fields, earlier, own));
    }
    let id = id?.into_owned();
    let body = past.items.get(&id)?;
    if earlier.ids.insert(id.clone()) {
        let body = body.clone();
        return Some(RecordItem { id, body });
    }
    // It is in the list already, as it was sent.
    let Fields(fields) = serde_json::from_str(body).ok()?;
    Some(write_item(body.len(), &fields, earlier, own))
}

/// An item of about so many bytes.
fn write_item(
    bytes: usize,
    fields: &Members<'_>,
    earlier: &mut Earlier,
    own: impl Fn(&str) -> String,
) -> RecordItem {
    let (given, kind) = (text(fields, "id"), text(fields, "type"));
    let kind = kind.as_ref().map_or("message", Text::as_str);
    let call = text(fields, "call_id");
    let names_call = is_output_of_program(kind) && call.is_none();
    let is_message = kind == "message";
    // No store keeps a text with a NUL under its name.
    let id = given.as_ref().map(Text::as_str).filter(|id| {
        let is_kept = !names_call && id.len() <= LONGEST_ID && !id.contains('\0');
        is_kept && earlier.ids.insert((*id).to_owned())
    });
    let id = id.map_or_else(|| own(kind), str::to_owned);
    let call = call_to_write(kind, (given.as_ref(), &id), call.as_ref(), earlier);
    let mut body = String::with_capacity(bytes + 128);
    body.push_str("{\"id\":");
    push_json(&mut body, &id);
    body.push_str(",\"type\":");
    push_json(&mut body, kind);
    if let Some(call) = &call {
        body.push_str(",\"call_id\":");
        push_json(&mut body, call);
    }
    if has_status(kind) && member(fields, "status").is_none() {
        body.push_str(",\"status\":\"completed\"");
    }
    for (name, value) in fields {
        let is_written =
            ["id", "type"].contains(&name.as_ref()) || (name == "call_id" && call.is_some());
        let is_nothing = ["call_id", "status"].contains(&name.as_ref()) && value.get() == "null";
        if is_written || is_nothing {
            continue;
        }
        body.push(',');
        push_json(&mut body, name);
        body.push(':');
        match is_message && name == "content" && value.get().starts_with('"') {
            true => write_parts(&mut body, part_kind(fields), value.get()),
            false => body.push_str(value.get()),
        }
    }
    body.push('}');
    RecordItem { id, body }
}

/// The `call_id` that an item of a program needs instead of what it was sent with, so that call and output
/// find each other whatever the ids of their items become: of its kind, of the id that its item was sent
/// with and the one that it is kept under, and of the `call_id` that was sent.
fn call_to_write(
    kind: &str,
    (given, kept): (Option<&Text<'_>>, &str),
    call: Option<&Text<'_>>,
    earlier: &mut Earlier,
) -> Option<String> {
    let named = call.or(given)?.as_str();
    if is_output_of_program(kind) {
        let call_of = earlier.call_of(named);
        let sent = call.is_none().then_some(named);
        return call_of.or(sent).map(str::to_owned);
    }
    let given = given.filter(|_| is_call_of_program(kind))?.as_str();
    earlier.add_call(given, named);
    (call.is_none() && given != kept).then(|| given.to_owned())
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
