//! File, environment and flags, laid over each other by the config crate.
//!
//! Each layer is a [`config::Source`] of our own rather than the crate's
//! `File` and `Environment`, because those forget the line and the variable a
//! value came from, and every problem must name it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use config::{Config as Stack, ConfigError, Map, Source, Value, ValueKind};

use super::environment::{environment_layer, port_layer};
use super::problem::{Problems, did_you_mean, nearest, nearest_by};
use super::records::records;
use super::settings::{Setting, all, find, sections};
use super::sources::Sources;
use super::toml_file;

/// The values that hold, by section and name.
pub(super) struct Merged {
    stack: Stack,
    /// Whether everything could be read that was to be read. If not, settings
    /// may seem to be missing, and comparing them with each other misleads.
    pub(super) whole: bool,
    /// The settings that the file names, whoever has the last word on them.
    in_file: BTreeSet<&'static str>,
    /// The tables of each list of tables.
    records: BTreeMap<&'static str, Vec<Value>>,
}

impl Merged {
    /// The value of a setting; none if only its empty default is left.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        lookup(&self.stack, key)
    }

    /// The tables of a list of tables.
    pub(super) fn records(&self, section: &str) -> &[Value] {
        self.records.get(section).map_or(&[], Vec::as_slice)
    }

    /// Whether the file names a setting.
    pub(super) fn is_in_file(&self, key: &str) -> bool {
        self.in_file.contains(key)
    }
}

pub(super) fn merge(sources: &Sources, problems: &mut Problems) -> Merged {
    let file = file_layer(sources, problems);
    let environment = environment_layer(sources, problems);
    let flags = flag_layer(sources, problems);
    let whole = file.is_some();
    let FileLayer {
        values: file,
        records,
    } = file.unwrap_or_default();
    let in_file = file.0.iter().map(|(key, _)| *key).collect();

    let below_flags = stack([default_layer(), file, environment], problems);
    let port = port_layer(sources, &below_flags, problems);
    let stack = stack_on(below_flags, [port, flags], problems);
    Merged {
        stack,
        whole,
        in_file,
        records,
    }
}

/// Values of one origin, by setting.
#[derive(Clone, Default)]
pub(super) struct Layer(Vec<(&'static str, Value)>);

impl Layer {
    pub(super) fn set(&mut self, setting: &Setting, origin: &str, value: impl Into<ValueKind>) {
        let value = Value::new(Some(&origin.to_owned()), value);
        self.0.push((setting.key, value));
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let values = self.0.iter();
        Ok(values
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect())
    }
}

/// Shows names only: values may be secret.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(key, _)| key))
            .finish()
    }
}

/// What a file says.
#[derive(Default)]
struct FileLayer {
    values: Layer,
    records: BTreeMap<&'static str, Vec<Value>>,
}

fn stack<const N: usize>(layers: [Layer; N], problems: &mut Problems) -> Stack {
    stack_on(Stack::default(), layers, problems)
}

fn stack_on<const N: usize>(base: Stack, layers: [Layer; N], problems: &mut Problems) -> Stack {
    let mut builder = Stack::builder().add_source(base);
    for layer in layers {
        builder = builder.add_source(layer);
    }
    builder.build().unwrap_or_else(|error| {
        problems.add("settings", format!("cannot be combined: {error}."));
        Stack::default()
    })
}

pub(super) fn lookup<'a>(stack: &'a Stack, key: &str) -> Option<&'a Value> {
    let mut value = &stack.cache;
    for part in key.split('.') {
        let ValueKind::Table(table) = &value.kind else {
            return None;
        };
        value = table.get(part)?;
    }
    Some(value)
}

/// Defaults have no origin. Empty ones are left out: the reader treats a
/// missing value as an empty one.
fn default_layer() -> Layer {
    let filled = all().filter(|setting| !setting.default.is_empty());
    Layer(
        filled
            .map(|setting| (setting.key, Value::new(None, setting.default)))
            .collect(),
    )
}

/// None if the file cannot be read.
fn file_layer(sources: &Sources, problems: &mut Problems) -> Option<FileLayer> {
    let Some(file) = &sources.file else {
        return Some(FileLayer::default());
    };
    let path = file.path.display().to_string();
    let text = match &file.contents {
        Ok(text) => text,
        Err(reason) => {
            problems.add(path, format!("{reason}."));
            return None;
        }
    };
    let table = toml_file::read_file(&path, text, problems)?;

    let mut layer = FileLayer::default();
    // The parser hands tables over in no particular order.
    let mut unknown = Vec::new();
    for (name, value) in table {
        let origin = value.origin().unwrap_or(&path).to_owned();
        if let Some(list) = records().iter().find(|list| list.name == name) {
            match value.kind {
                ValueKind::Array(items) => drop(layer.records.insert(list.name, items)),
                _ => unknown.push((origin, format!("`{name}` is a list of tables; write `[[{name}]]` and the fields of one below."))),
            }
            continue;
        }
        if !sections().iter().any(|section| section.name == name) {
            unknown.push((origin, unknown_section(&name, &value.kind)));
            continue;
        }
        let ValueKind::Table(entries) = value.kind else {
            let sentence =
                format!("`{name}` is a section; write `[{name}]` and its settings below.");
            unknown.push((origin, sentence));
            continue;
        };
        for (entry, value) in entries {
            let key = format!("{name}.{entry}");
            match find(&key) {
                Some(setting) => layer.values.0.push((setting.key, value)),
                None => unknown.push((
                    value.origin().unwrap_or(&path).to_owned(),
                    unknown_setting(&key),
                )),
            }
        }
    }
    unknown.sort_by_key(|(origin, sentence)| (line_of(origin), sentence.clone()));
    for (origin, sentence) in unknown {
        problems.add(origin, sentence);
    }
    Some(layer)
}

fn line_of(origin: &str) -> usize {
    origin
        .rsplit_once(':')
        .and_then(|(_, line)| line.parse().ok())
        .unwrap_or(0)
}

fn unknown_section(name: &str, value: &ValueKind) -> String {
    let list = nearest(name, records().iter().map(|list| list.name));
    let list = list.filter(|_| matches!(value, ValueKind::Array(_)));
    // A setting written above the first section header lands here as well.
    let setting = all().find(|setting| setting.name() == name);
    let section = nearest(
        name,
        sections()
            .iter()
            .chain(records())
            .map(|section| section.name),
    );
    let guess = list.or(setting.map(|setting| setting.key)).or(section);
    format!(
        "there is no section `{}`{}",
        name.escape_debug(),
        did_you_mean(guess)
    )
}

fn unknown_setting(key: &str) -> String {
    let end = did_you_mean(guess(key).map(|setting| setting.key));
    format!("there is no setting `{}`{end}", key.escape_debug())
}

/// The setting that was probably meant: one of the same section with a similar
/// name, or one of another section with the same or a similar name.
pub(super) fn guess(key: &str) -> Option<&'static Setting> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let same_section = all().filter(|setting| {
        setting
            .key
            .split_once('.')
            .is_some_and(|(own, _)| own == section)
    });
    nearest_by(name, same_section, Setting::name).or_else(|| nearest_by(name, all(), Setting::name))
}

fn flag_layer(sources: &Sources, problems: &mut Problems) -> Layer {
    let mut layer = Layer::default();
    for given in &sources.flags {
        let origin = format!("flag {}", given.flag);
        match all().find(|setting| setting.flag == Some(given.flag)) {
            Some(setting) => layer.set(setting, &origin, given.value.as_str()),
            None => problems.add(origin, "no setting has this flag."),
        }
    }
    layer
}
