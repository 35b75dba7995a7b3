//! Lists and tables of other kinds.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::text::ModelId;
use super::{Found, Kind};
use crate::config::problem::Problems;
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
