//! Conversations that are kept by themselves: what their requests hold, and their objects (source:
//! OpenAI's API description 2.3.0, `CreateConversationBody`, `ConversationResource`).

use std::collections::HashSet;
use std::fmt::Write;

use super::exposed::Names;
use super::fields;
use super::input::record_list;
use super::items::{Builder, is_reference, own_id};
use super::parse::{duplicate, refuse_long_id};
use crate::translate::draft::Fate::Emulated;
use crate::translate::draft::{Draft, Field, Parameter, parse_object, row};
use crate::translate::face::chat::messages::MessageLimits;
use crate::translate::face::state::{Past, RecordItem, Wanted};
use crate::translate::notes::{Members, shortened};
use crate::translate::rejection::{Cause, Rejection};
use crate::wire::openai::fields::Fields;
use crate::wire::openai::responses::InputItem;
use crate::wire::text::Text;

/// How many items one request may bring.
const MAX_NEW: usize = 20;

#[rustfmt::skip]
const FIELDS: &[Parameter] = &[
    row("metadata", Emulated, "at most 16 pairs", fields::metadata),
    row("items", Emulated, "at most 20 items", fields::kept),
];

/// What a request brings to a conversation.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// A JSON object, if the request has one.
    metadata: Option<&'a str>,
    /// A JSON list, if the request has one.
    items: Option<&'a str>,
    /// Items that are only named.
    named: Vec<String>,
}

impl<'a> Change<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is no such body, metadata that OpenAI would refuse, and items that no response could be
    /// made of.
    pub fn read(body: &'a [u8], limits: &MessageLimits) -> Result<Self, Rejection> {
        let draft = Draft::read(body, FIELDS, &[])?;
        let items = draft.kept("items");
        let named = items.as_ref().map(|items| judge(items, limits));
        Ok(Self {
            metadata: draft.kept("metadata").map(|field| field.value.get()),
            items: items.map(|field| field.value.get()),
            named: named.transpose()?.unwrap_or_default(),
        })
    }

    /// The metadata, as a JSON object; an empty one where the request has none.
    pub fn metadata(&self) -> String {
        self.metadata.unwrap_or("{}").to_owned()
    }

    /// Whether it brings items, or an empty list of them.
    pub fn has_items(&self) -> bool {
        self.items.is_some()
    }

    /// What it refers to.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            items: self.named.clone(),
            ..Wanted::default()
        }
    }

    /// The items as they are kept. Those without an id get one that comes of `seed`.
    ///
    /// # Errors
    /// An item that is named and was not found.
    pub fn record(&self, past: &Past, seed: &str) -> Result<Vec<RecordItem>, Rejection> {
        if let Some(id) = self.named.iter().find(|id| !past.items.contains_key(*id)) {
            let message = format!("Item with id '{}' not found.", shortened(id));
            return Err(Rejection::of(
                Cause::NotKept("item_not_found"),
                "items",
                message,
            ));
        }
        Ok(record_list(self.items.unwrap_or("[]"), past, seed))
    }
}

/// Reads the metadata that takes the place of what there is: a JSON object.
///
/// # Errors
/// A body without it (`null` says that there shall be none), and metadata that OpenAI would refuse
/// (source: OpenAI's API description 2.3.0, `UpdateConversationBody`, `updateChatCompletion`).
pub fn read_metadata(body: &[u8]) -> Result<String, Rejection> {
    let draft = Draft::read(body, FIELDS, &[])?;
    let Fields(fields) = parse_object(body)?;
    match fields.iter().any(|(name, _)| name == "metadata") {
        true => Ok(draft
            .kept("metadata")
            .map_or("{}", |field| field.value.get())
            .to_owned()),
        false => Err(Rejection::missing("metadata")),
    }
}

/// Reads items, so that none is kept which every response would be refused for, or which could not be told
/// from another; an output's call may be in the conversation already. Gives the ids of those that are only
/// named.
fn judge(field: &Field<'_>, limits: &MessageLimits) -> Result<Vec<String>, Rejection> {
    const EXPECTED: &str = "a list of items such as {\"role\": \"user\", \"content\": \"Hello\"}";
    if field.count_items(EXPECTED)? > MAX_NEW {
        return Err(field.invalid(format!(
            "Invalid 'items': at most {MAX_NEW} items are possible at once. Send the others in further requests."
        )));
    }
    let items: Vec<InputItem<'_>> = field.parse(EXPECTED)?;
    let (names, mut members, mut named) = (Names::default(), Members::default(), Vec::new());
    let mut builder = Builder::of_excerpt(&names, limits, &mut members);
    let mut seen = HashSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let path = format!("items[{at}]");
        refuse_long_id(&item, &path)?;
        if let Some(id) = own_id(&item).filter(|id| !seen.insert((*id).to_owned())) {
            return Err(duplicate(id).about("items"));
        }
        match (is_reference(&item), &item.id) {
            (true, Some(Text(id))) => named.push(id.to_string()),
            (true, None) => return Err(Rejection::missing(format!("{path}.id"))),
            (false, _) => builder.add(&path, item)?,
        }
    }
    Ok(named)
}

/// The JSON of a conversation.
pub fn conversation_json(id: &str, created_unix_s: i64, metadata: &str) -> String {
    let mut json = String::with_capacity(128 + metadata.len());
    let _ = write!(
        json,
        "{{\"id\":\"{id}\",\"object\":\"conversation\",\"created_at\":{created_unix_s},\"metadata\":{metadata}}}"
    );
    json
}
