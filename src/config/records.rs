//! Lists of tables in the file, `[[keys]]` and the like, and the macro in which their fields are
//! written. Only the file can hold them, so they are not layered.

use std::sync::LazyLock;

use config::{Map, Value, ValueKind};

use super::kinds::{Found, Kind};
use super::problem::{Problems, did_you_mean, nearest};
use super::reader::origin_of;
use super::settings::{Reload, Section, Setting};

/// All lists of tables, in the order of the reference.
pub fn records() -> &'static [Section] {
    static RECORDS: LazyLock<Vec<Section>> = LazyLock::new(|| {
        vec![
            super::Key::section(),
            super::Project::section(),
            super::AdminKey::section(),
        ]
    });
    &RECORDS
}

/// One table of a list, while it is read.
pub(super) struct Record<'a> {
    /// What it goes by in problems: `entry 3 of keys`.
    name: String,
    fields: &'a Map<String, Value>,
    /// Where it stands.
    pub(super) origin: String,
}

impl<'a> Record<'a> {
    /// Looks at a table that goes by this name in problems; none if it is no table, or has a field
    /// that is not known.
    pub(super) fn open(
        name: String,
        section: &str,
        value: &'a Value,
        known: &[&'static str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let origin = origin_of(value).unwrap_or_default();
        let ValueKind::Table(fields) = &value.kind else {
            problems.add(
                origin,
                format!("{name} is no table; write `[[{section}]]` and its fields below."),
            );
            return None;
        };
        let mut is_known = true;
        for (field, value) in fields {
            if !known.contains(&field.as_str()) {
                let end = did_you_mean(nearest(field, known.iter().copied()));
                let sentence = format!("{name} has no field `{}`{end}", field.escape_debug());
                let earlier = problems.len();
                problems.add(origin_of(value).unwrap_or_default(), sentence);
                problems.are_about(field, earlier);
                is_known = false;
            }
        }
        is_known.then_some(Self {
            name,
            fields,
            origin,
        })
    }

    /// Reads one field; without a default it has to be there.
    pub(super) fn field<K: Kind>(
        &self,
        field: &str,
        kind: &K,
        default: Option<&str>,
        problems: &mut Problems,
    ) -> Option<K::Value> {
        let earlier = problems.len();
        let read = match (self.fields.get(field), default) {
            (Some(value), _) => {
                let name = format!("{field} in {}", self.name);
                kind.read(&Found::new(name, value, kind.secrecy()), problems)
            }
            (None, Some(default)) => kind.read_quietly(&Value::new(None, default)),
            (None, None) => {
                let takes = kind.takes();
                let sentence = format!("{} lacks `{field}`, which takes {takes}.", self.name);
                problems.add(self.origin.as_str(), sentence);
                None
            }
        };
        problems.are_about(field, earlier);
        read
    }
}

/// A table as a store or a request has it. What is null is as if it were not there.
pub(super) fn table_of_json(
    fields: &serde_json::Map<String, serde_json::Value>,
    origin: &str,
) -> Value {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    let fields = given.map(|(name, value)| (name.clone(), value_of_json(value, origin)));
    let fields: Map<String, Value> = fields.collect();
    Value::new(Some(&origin.to_owned()), ValueKind::Table(fields))
}

fn value_of_json(json: &serde_json::Value, origin: &str) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(switch) => ValueKind::Boolean(*switch),
        // A number that no setting takes stays text, and is refused as such.
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| ValueKind::String(number.to_string()), ValueKind::I64),
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => {
            let items = items.iter().map(|item| value_of_json(item, origin));
            ValueKind::Array(items.collect())
        }
        Json::Object(fields) => return table_of_json(fields, origin),
    };
    Value::new(Some(&origin.to_owned()), kind)
}

/// A field as the reference shows it.
pub(super) fn field(
    key: &'static str,
    meaning: &str,
    kind: &impl Kind,
    default: Option<&'static str>,
) -> Setting {
    let default = default.unwrap_or("(needed)");
    Setting::new(key, meaning, kind, default, None, Reload::Live)
}

/// Writes one list of tables: a struct whose fields are those of a table.
///
/// Each row reads `name: Type, kind, default "text";` as in `settings!`; a field without a default
/// is needed. All of them are live.
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $(
                $(#[doc = $meaning:literal])+
                $field:ident: $type:ty, $kind:expr $(, default $default:literal)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $meaning])+
                pub $field: $type,
            )+
            /// Where it is written: `fal-gateway.toml:12`.
            pub origin: String,
        }

        impl $name {
            pub(super) fn section() -> $crate::config::Section {
                $crate::config::Section {
                    name: $section,
                    about: concat!($($about),+).trim().to_owned(),
                    settings: vec![$(
                        $crate::config::records::field(
                            concat!($section, ".", stringify!($field)),
                            concat!($($meaning),+),
                            &$kind,
                            None$(.or(Some($default)))?,
                        ),
                    )+],
                }
            }

            /// Reads one item of the list in a file.
            pub(super) fn read(
                at: usize,
                value: &::config::Value,
                problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                let name = format!("entry {} of {}", at + 1, $section);
                Self::read_as(name, value, problems)
            }

            /// Reads what a store or a request has in JSON, under the names that the file has for
            /// the fields. `name` is what it goes by in problems, `origin` where it stands.
            ///
            /// # Errors
            /// All that is wrong with it.
            pub fn of_json(
                name: String,
                origin: &str,
                fields: &::serde_json::Map<String, ::serde_json::Value>,
            ) -> Result<Self, $crate::config::Problems> {
                let mut problems = $crate::config::Problems::default();
                let value = $crate::config::records::table_of_json(fields, origin);
                let read = Self::read_as(name, &value, &mut problems);
                read.ok_or(problems)
            }

            /// The names of the fields.
            pub const FIELDS: &[&str] = &[$(stringify!($field)),+];

            /// Reads every field before giving up, so that all problems are found.
            fn read_as(
                name: String,
                value: &::config::Value,
                problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                let record = $crate::config::records::Record::open(
                    name, $section, value, Self::FIELDS, problems,
                )?;
                $(let $field = record.field(
                    stringify!($field), &$kind, None$(.or(Some($default)))?, problems,
                );)+
                Some(Self { $($field: $field?,)+ origin: record.origin })
            }
        }
    };
}
pub(super) use record;
