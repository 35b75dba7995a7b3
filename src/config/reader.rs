//! From layered values to typed ones, collecting every problem on the way.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::Effective;
use super::kinds::{Found, Kind};
use super::layers::{Merged, merge};
use super::problem::Problems;
use super::settings::{Secrecy, all, find};
use super::sources::Sources;

pub(super) struct Reader {
    merged: Merged,
    problems: Problems,
    /// Settings whose value was refused; the default stands in for them.
    refused: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(sources: &Sources) -> Self {
        let mut problems = Problems::default();
        Self {
            merged: merge(sources, &mut problems),
            problems,
            refused: BTreeSet::new(),
        }
    }

    /// Reads one setting. A refused value is replaced by the default, so that
    /// reading goes on and the other problems are found as well.
    pub(super) fn value<K: Kind>(&mut self, key: &'static str, kind: &K) -> Option<K::Value> {
        let default = find(key).map_or("", |setting| setting.default);
        let default = Value::new(None, default);
        let value = self.merged.get(key).unwrap_or(&default);
        let found = Found::new(key, value, kind.secrecy());
        kind.read(&found, &mut self.problems).or_else(|| {
            self.refused.insert(key);
            kind.read_quietly(&default)
        })
    }

    /// Whether these settings are what the operator wrote, so that comparing
    /// them says something.
    pub(super) fn trusts(&self, keys: &[&str]) -> bool {
        self.merged.whole && keys.iter().all(|key| !self.refused.contains(key))
    }

    /// Whether the file names a setting, whoever has the last word on it.
    pub(super) fn is_in_file(&self, key: &str) -> bool {
        self.merged.is_in_file(key)
    }

    /// Whether the value that holds stands in the file at `path`.
    pub(super) fn comes_from(&self, key: &str, path: &str) -> bool {
        let origin = self.merged.get(key).and_then(origin_of);
        origin.is_some_and(|origin| {
            origin
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with(':'))
        })
    }

    /// Reads a list of tables; none if any of them is refused.
    pub(super) fn records<T>(
        &mut self,
        section: &'static str,
        read: impl Fn(usize, &Value, &mut Problems) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.merged.records(section);
        let problems = &mut self.problems;
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(at, item)| read(at, item, problems))
            .collect();
        read.into_iter().collect()
    }

    /// Reports something that stands at a place.
    pub(super) fn complain(&mut self, origin: &str, sentence: impl Into<String>) {
        self.problems.add(origin, sentence);
    }

    /// Where one item of a list stands.
    pub(super) fn item_origin(&self, key: &str, index: usize) -> Option<String> {
        let value = self.merged.get(key)?;
        match &value.kind {
            ValueKind::Array(items) => items.get(index).and_then(origin_of),
            _ => origin_of(value),
        }
    }

    /// Reports that a setting does not go with others.
    pub(super) fn contradiction(&mut self, key: &str, sentence: impl Into<String>) {
        let origin = self.merged.get(key).and_then(origin_of);
        self.add(key, origin, sentence.into());
    }

    /// Like [`Reader::contradiction`], for one entry of a table.
    pub(super) fn entry_contradiction(&mut self, key: &str, entry: &str, sentence: String) {
        let origin = self.merged.get(key).and_then(|value| match &value.kind {
            ValueKind::Table(table) => table.get(entry).and_then(origin_of),
            _ => origin_of(value),
        });
        self.add(key, origin, sentence);
    }

    /// Like [`Reader::contradiction`], for one item of a list.
    pub(super) fn item_contradiction(&mut self, key: &str, index: usize, sentence: String) {
        let origin = self.item_origin(key, index);
        self.add(key, origin, sentence);
    }

    /// Reports what is wrong in a file that a setting names.
    pub(super) fn add_all(&mut self, key: &str, problems: &Problems) {
        let named_by = self.merged.get(key).and_then(origin_of).unwrap_or_default();
        for problem in problems.iter() {
            let sentence = format!("{} ({key}, set in {named_by})", problem.sentence);
            self.problems.add(problem.origin.as_str(), sentence);
        }
    }

    fn add(&mut self, key: &str, origin: Option<String>, sentence: String) {
        let origin = origin.unwrap_or_else(|| format!("default of {key}"));
        self.problems.add(origin, sentence);
    }

    /// Every setting as it holds.
    pub(super) fn effective(&self) -> Vec<Effective> {
        all()
            .map(|setting| {
                let value = self.merged.get(setting.key);
                let shown = value.map_or_else(String::new, |value| show(value, setting.secrecy));
                let origin = value.and_then(origin_of);
                Effective {
                    key: setting.key,
                    shown: Some(shown)
                        .filter(|shown| !shown.is_empty())
                        .unwrap_or_else(|| "none".to_owned()),
                    origin: origin.unwrap_or_else(|| "default".to_owned()),
                }
            })
            .collect()
    }

    pub(super) fn into_problems(self) -> Problems {
        self.problems
    }
}

/// Where a value stood; none for a default. The config crate drops the origin
/// of a table when it merges it, but the entries keep theirs.
pub(super) fn origin_of(value: &Value) -> Option<String> {
    match (value.origin(), &value.kind) {
        (Some(origin), _) => Some(origin.to_owned()),
        (None, ValueKind::Table(table)) => {
            let first = table.iter().min_by_key(|&(name, _)| name);
            let origin = first.and_then(|(_, entry)| origin_of(entry));
            // Only a file can hold an empty table: all else is text.
            origin.or_else(|| Some("configuration file".to_owned()))
        }
        (None, _) => None,
    }
}

const HIDDEN: &str = "***";

/// A value as `check` prints it: one line, no control characters, no secret.
pub(super) fn show(value: &Value, secrecy: Secrecy) -> String {
    match &value.kind {
        ValueKind::Array(items) => {
            let items = items.iter().map(|item| show(item, secrecy));
            items.collect::<Vec<_>>().join(", ")
        }
        // An operator may have mistaken a key for a name.
        ValueKind::Table(_) if secrecy != Secrecy::Open => HIDDEN.to_owned(),
        ValueKind::Table(table) => {
            let mut entries: Vec<String> = table
                .iter()
                .map(|(name, value)| format!("{} = {}", name.escape_debug(), show(value, secrecy)))
                .collect();
            entries.sort();
            format!("{{ {} }}", entries.join(", "))
        }
        ValueKind::String(text) => secrecy.mask(text.trim_end_matches(['\r', '\n'])),
        other => secrecy.mask(&other.to_string()),
    }
}

impl Secrecy {
    fn mask(self, text: &str) -> String {
        match self {
            Self::Open => text.escape_debug().to_string(),
            Self::Address if text.contains(['@', '?']) => HIDDEN.to_owned(),
            Self::Address => text.escape_debug().to_string(),
            Self::KeyHashes => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                let masked = items.map(|item| {
                    let hash = super::KeyHash::parse(item);
                    match hash.as_ref().and_then(super::KeyHash::name) {
                        Some(name) => format!("{name}:{HIDDEN}"),
                        None => HIDDEN.to_owned(),
                    }
                });
                masked.collect::<Vec<_>>().join(", ")
            }
            Self::Secret if text.is_empty() => String::new(),
            Self::Secret => HIDDEN.to_owned(),
        }
    }
}
