//! Lists and tables of other kinds.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::scalar::{Count, Switch};
use super::text::ModelId;
use super::{Found, Kind};
use crate::config::models::AddedModel;
use crate::config::problem::{Problems, did_you_mean, nearest};
use crate::config::settings::Secrecy;
use crate::config::toml_file;

/// A list; as plain text its items are separated by commas.
pub(crate) struct List<K>(pub K);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn takes(&self) -> String {
        format!("a list, each item {}", self.0.takes())
    }

    fn short(&self) -> String {
        format!("list: {}", self.0.short())
    }

    fn secrecy(&self) -> Secrecy {
        self.0.secrecy()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Self::Value> {
        let items = match found.kind() {
            ValueKind::Array(items) => items.clone(),
            ValueKind::String(text) => {
                let origin = found.origin();
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                items.map(|item| Value::new(Some(&origin), item)).collect()
            }
            _ => return found.refuse(self, problems),
        };
        let values: Vec<Option<K::Value>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let name = format!("entry {} of {}", i + 1, found.name);
                self.0.read(&found.part(name, item), problems)
            })
            .collect();
        values.into_iter().collect()
    }
}

/// A table from model names to something, with an example for the reader.
pub(crate) struct Table<K>(pub K, pub &'static str);

impl<K: Kind> Kind for Table<K> {
    type Value = BTreeMap<String, K::Value>;

    fn takes(&self) -> String {
        format!("a table such as `{}`", self.1)
    }

    fn short(&self) -> String {
        format!("table: name to {}", self.0.short())
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Self::Value> {
        let Some(entries) = table_in(found) else {
            return found.refuse(self, problems);
        };
        let sorted: BTreeMap<_, _> = entries.iter().collect();
        let values: Vec<Option<(String, K::Value)>> = sorted
            .into_iter()
            .map(|(name, value)| {
                let path = format!("{}.\"{}\"", found.name, name.escape_debug());
                let key = Value::new(value.origin().map(str::to_owned).as_ref(), name.as_str());
                let key = found.part(format!("the name {path}"), &key);
                let key = ModelId.read(&key, problems);
                let value = self.0.read(&found.part(path, value), problems);
                key.zip(value)
            })
            .collect();
        values.into_iter().collect()
    }
}

fn table_in(found: &Found<'_>) -> Option<Map<String, Value>> {
    match found.kind() {
        ValueKind::Table(table) => Some(table.clone()),
        ValueKind::String(text) if text.trim().is_empty() => Some(Map::new()),
        ValueKind::String(text) => match toml_file::read_value(text, &found.origin())?.kind {
            ValueKind::Table(table) => Some(table),
            _ => None,
        },
        _ => None,
    }
}

/// Models that the operator adds to the catalogue.
pub(crate) struct Added;

impl Kind for Added {
    type Value = Vec<AddedModel>;

    fn takes(&self) -> String {
        "a list of tables such as `[{ id = \"owner/model\", vision = true }]`".to_owned()
    }

    fn short(&self) -> String {
        "list of tables".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Vec<AddedModel>> {
        let parsed;
        let items = match found.kind() {
            ValueKind::Array(items) => items,
            ValueKind::String(text) if text.trim().is_empty() => return Some(Vec::new()),
            ValueKind::String(text) => {
                parsed = toml_file::read_value(text, &found.origin()).map(|value| value.kind);
                match &parsed {
                    Some(ValueKind::Array(items)) => items,
                    _ => return found.refuse(self, problems),
                }
            }
            _ => return found.refuse(self, problems),
        };
        let models: Vec<Option<AddedModel>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let name = format!("entry {} of {}", i + 1, found.name);
                added_model(&found.part(name, item), problems)
            })
            .collect();
        models.into_iter().collect()
    }
}

fn added_model(found: &Found<'_>, problems: &mut Problems) -> Option<AddedModel> {
    const FIELDS: [&str; 6] = [
        "id",
        "premium",
        "vision",
        "reasoning",
        "enterprise",
        "context_length",
    ];
    let ValueKind::Table(table) = found.kind() else {
        return found.refuse(&Added, problems);
    };
    let fields: BTreeMap<_, _> = table.iter().collect();
    let mut known = true;
    for (name, value) in &fields {
        if !FIELDS.contains(&name.as_str()) {
            let end = did_you_mean(nearest(name, FIELDS));
            let sentence = format!("{} has no field `{}`{end}", found.name, name.escape_debug());
            problems.add(found.part("", value).origin(), sentence);
            known = false;
        }
    }
    let part = |field: &str| {
        let value = table.get(field)?;
        Some(found.part(format!("{field} in {}", found.name), value))
    };
    let mut switch =
        |field, default| part(field).map_or(Some(default), |found| Switch.read(&found, problems));
    let premium = switch("premium", false);
    let vision = switch("vision", false);
    let reasoning = switch("reasoning", false);
    let enterprise = switch("enterprise", true);
    let context_length = part("context_length").map_or(Some(None), |found| {
        Count(1, 1_000_000_000).read(&found, problems).map(Some)
    });
    let id = match part("id") {
        Some(id) => slashed_id(&id, problems),
        None => found.refuse_because("lacks `id`, the model's name at fal", problems),
    };
    Some(AddedModel {
        id: id?,
        premium: premium?,
        vision: vision?,
        reasoning: reasoning?,
        enterprise: enterprise?,
        context_length: context_length?,
    })
    .filter(|_| known)
}

fn slashed_id(found: &Found<'_>, problems: &mut Problems) -> Option<String> {
    let id = ModelId.read(found, problems)?;
    if id.contains('/') {
        return Some(id);
    }
    let words =
        format!("is \"{id}\", but takes a fal model id with a slash, such as `owner/model`");
    found.refuse_because(&words, problems)
}
