//! Finds JSON in the middle of other text.

use std::ops::Range;

use serde_json::{Deserializer, Value};

/// The JSON value at the very start of `text`, and its length in bytes.
pub(super) fn json_at(text: &str) -> Option<(Value, usize)> {
    let mut values = Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// Every JSON object in `text` that is not part of another one, and where it stands.
pub(super) fn objects(text: &str) -> Vec<(Value, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(skipped) = rest.find('{')
    {
        at += skipped;
        let object = rest.get(skipped..).and_then(json_at);
        let length = object.as_ref().map_or(1, |(_, length)| *length);
        if let Some((value, _)) = object {
            found.push((value, at..at + length));
        }
        at += length;
    }
    found
}

/// The sentences of `text`, each in lower case; a line's end ends one too.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('\n')
        .flat_map(|line| line.split_inclusive(". "))
        .map(str::to_lowercase)
}

/// The words of `text` in lower case: runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}
