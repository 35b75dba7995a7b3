//! Completions that are kept (`store`), with the messages that they answer (source: OpenAI's API
//! description 2.3.0, `ChatCompletionMessageList`).

use serde_json::value::RawValue;

use crate::translate::draft::{Draft, Field, Found};
use crate::translate::face::objects::{ResponseMeta, write_json};
use crate::translate::face::rules;
use crate::translate::face::state::{Record, RecordItem, RecordKind};
use crate::translate::rejection::Rejection;
use crate::wire::openai::fields::Fields;

/// As what a completion is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// A JSON object of strings.
    metadata: String,
}

/// Whether the completion is kept; what fal may keep is another matter.
pub fn store<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    let found = rules::store(draft, field)?;
    draft.keep(field);
    Ok(match found {
        Found::Ignored => Found::Emulated,
        found => found,
    })
}

/// It belongs to a completion that is kept.
pub fn metadata<'a>(draft: &mut Draft<'a>, field: &Field<'a>) -> Result<Found, Rejection> {
    draft.keep(field);
    rules::ignored(draft, field)
}

impl Kept {
    /// What a request says of it, if the completion is kept. `keeps` tells whether it can be.
    ///
    /// # Errors
    /// Metadata that OpenAI would refuse.
    pub fn of(draft: &mut Draft<'_>, keeps: bool) -> Result<Option<Self>, Rejection> {
        if !keeps {
            draft.notes.unkept();
            return Ok(None);
        }
        let is_asked = draft.kept("store");
        if is_asked.is_none_or(|field| field.value.get() != "true") {
            return Ok(None);
        }
        let metadata = draft.kept("metadata");
        if let Some(field) = &metadata {
            rules::refuse_bad_metadata(field)?;
            let name = field.name;
            let ignored = draft.notes.ignored.len();
            draft.notes.ignored.retain(|ignored| ignored != name);
            if draft.notes.ignored.len() < ignored {
                draft.notes.emulated(name);
            }
        }
        let metadata = metadata.map_or("{}", |field| field.value.get());
        Ok(Some(Self {
            metadata: metadata.to_owned(),
        }))
    }

    /// The completion of this JSON as it is kept.
    pub fn record(&self, head: &ResponseMeta, mut json: Vec<u8>) -> Option<Record> {
        // The metadata goes before the brace.
        json.pop();
        Some(Record {
            status: "completed",
            head: String::from_utf8(json).ok()?,
            kind: RecordKind::ChatCompletion {
                model: head.model.clone(),
                metadata: self.metadata.clone(),
            },
            ..Record::default()
        })
    }
}

/// The messages of a request as they are kept and listed. The body is one that was read.
pub fn record_messages(body: &[u8], completion: &str) -> Vec<RecordItem> {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let Ok(Fields(fields)) = serde_json::from_str(body) else {
        return Vec::new();
    };
    let messages = fields.into_iter().find(|(name, _)| name == "messages");
    let messages =
        messages.and_then(|(_, raw)| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    let messages = messages.unwrap_or_default().into_iter().enumerate();
    messages
        .filter_map(|(at, message)| record_message(message.get(), completion, at))
        .collect()
}

/// A message with an id. Parts stand apart from the text, as OpenAI lists them.
fn record_message(json: &str, completion: &str, at: usize) -> Option<RecordItem> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    let id = format!("{completion}-{at}");
    let mut body = format!("{{\"id\":\"{id}\"").into_bytes();
    let mut member = |name: &str, value: &str| {
        body.push(b',');
        write_json(&mut body, name);
        body.push(b':');
        body.extend_from_slice(value.as_bytes());
    };
    let mut parts = "null";
    let mut content = "null";
    for (name, value) in &fields {
        match name.as_ref() {
            "id" | "content_parts" => {}
            "content" if value.get().starts_with('[') => parts = value.get(),
            "content" => content = value.get(),
            name => member(name, value.get()),
        }
    }
    member("content", content);
    member("content_parts", parts);
    body.push(b'}');
    let body = String::from_utf8(body).ok()?;
    Some(RecordItem { id, body })
}
