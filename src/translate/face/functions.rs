//! Functions, as several APIs describe them.

use serde_json::value::RawValue;

use crate::translate::draft::{Field, refuse_lone_surrogates};
use crate::translate::rejection::Rejection;

/// The longest list of tools, in bytes. Models are told all of it, and few read a tenth.
const LONGEST_TOOLS: usize = 1024 * 1024;

/// OpenAI's rule for the names of functions and schemas.
pub fn is_plain_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
}

/// Judges the length of a list of tools before any of them is read.
pub fn refuse_long_tools(field: &Field<'_>) -> Result<(), Rejection> {
    match field.value.get().len() <= LONGEST_TOOLS {
        true => Ok(()),
        false => Err(field.invalid(format!(
            "Invalid '{}': all tools together may take at most {LONGEST_TOOLS} bytes. Send fewer or shorter ones.",
            field.name
        ))),
    }
}

/// The schema of a function's arguments, at `path`.
pub fn parameters<'a>(
    raw: Option<&'a RawValue>,
    path: &str,
) -> Result<Option<&'a RawValue>, Rejection> {
    match raw.filter(|raw| raw.get() != "null") {
        Some(raw) if !raw.get().starts_with('{') => {
            let message =
                format!("Invalid '{path}': it must be a JSON Schema, which is an object.");
            Err(Rejection::invalid(path, message))
        }
        Some(raw) => refuse_lone_surrogates(raw, path).map(|()| Some(raw)),
        None => Ok(None),
    }
}

/// Whether a list has nothing in it.
pub fn is_empty_list(raw: &RawValue) -> bool {
    raw.get()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.trim().is_empty())
}
