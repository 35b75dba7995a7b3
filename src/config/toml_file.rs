//! TOML text to values that know their line.
//!
//! The config crate reads TOML itself but forgets where each value stood, and
//! a problem without a line number sends the operator searching.

use std::ops::Range;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;

/// Reads a file; syntax errors become problems.
pub(super) fn read_file(
    path: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(path, text);
    let mut last_line = None;
    for error in &errors {
        let origin = error
            .span()
            .map_or_else(|| path.to_owned(), |span| lines.at(&span));
        // The parser goes on after an error, and its second one on a line is
        // mostly an echo. The line itself is not quoted: it may hold a key.
        if last_line.as_ref() != Some(&origin) {
            problems.add(&origin, format!("not valid TOML: {}.", error.message()));
        }
        last_line = Some(origin);
    }
    errors
        .is_empty()
        .then(|| convert_table(table.get_ref(), &|span| lines.at(span)))
}

/// Reads a single value, as tables come from environment variables.
pub(super) fn read_value(text: &str, origin: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    Some(convert(&value, &|_| origin.to_owned()))
}

/// Where each line of a file ends, so that a place is found without reading the file again.
struct Lines<'a> {
    path: &'a str,
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(path: &'a str, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { path, ends }
    }

    fn at(&self, span: &Range<usize>) -> String {
        let line = 1 + self.ends.partition_point(|end| *end < span.start);
        format!("{}:{line}", self.path)
    }
}

type Origin<'a> = &'a dyn Fn(&Range<usize>) -> String;

fn convert_table(table: &DeTable<'_>, origin: Origin<'_>) -> Map<String, Value> {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), convert(value, origin)))
        .collect()
}

fn convert(value: &Spanned<DeValue<'_>>, origin: Origin<'_>) -> Value {
    let kind = match value.get_ref() {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        // A number too large for any setting stays text, and is refused as such.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| ValueKind::String(number.to_string()), ValueKind::I64),
        // No setting takes a float or a date; as text they are quoted in the problem.
        DeValue::Float(number) => ValueKind::String(number.to_string()),
        DeValue::Datetime(date) => ValueKind::String(date.to_string()),
        DeValue::Boolean(switch) => ValueKind::Boolean(*switch),
        DeValue::Array(items) => {
            ValueKind::Array(items.iter().map(|item| convert(item, origin)).collect())
        }
        DeValue::Table(table) => ValueKind::Table(convert_table(table, origin)),
    };
    Value::new(Some(&origin(&value.span())), kind)
}
