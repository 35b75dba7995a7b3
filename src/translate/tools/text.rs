//! Tools that are called with a text: for a model each is a function with one argument, `input`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::text::Text;

/// The names by which models wrap a text that they were asked for as it is.
const WRAPPERS: [&str; 3] = ["input", "patch", "command"];

/// The schema of a function that takes a text.
pub const ONE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// What a patch has to be like (source: the grammar that Codex gives its tool `apply_patch`, of which
/// these lines are the first and the last).
const PATCH: &str = r"^\s*\*\*\* Begin Patch[ \t]*\r?\n(?:[\s\S]*\n)?\*\*\* End Patch\s*$";

/// What a text has to be like.
#[derive(Clone, Debug)]
pub struct TextFormat {
    /// Where it stands in the request, for refusals of it.
    pub path: String,
    /// A JSON Schema with a pattern.
    pub schema: Box<RawValue>,
}

impl TextFormat {
    /// A text that this regular expression matches as a whole.
    pub fn regex(path: String, regex: &str) -> Option<Self> {
        Self::new(path, &format!("^(?:{regex})$"))
    }

    /// A patch in Codex's form.
    pub fn patch(path: String) -> Option<Self> {
        Self::new(path, PATCH)
    }

    fn new(path: String, pattern: &str) -> Option<Self> {
        let schema = serde_json::json!({"type": "string", "pattern": pattern});
        let schema = serde_json::value::to_raw_value(&schema).ok()?;
        Some(Self { path, schema })
    }
}

/// The text for a custom tool, out of the arguments with which the model called it.
pub fn text_of_arguments(arguments: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        input: Text<'a>,
    }
    match serde_json::from_str::<Arguments<'_>>(arguments) {
        Ok(Arguments { input: Text(input) }) => unwrapped(input),
        Err(_) => Cow::Borrowed(arguments),
    }
}

/// The text without what models put around it although it is to be plain: an object with one
/// member, or the fence of a code block.
fn unwrapped(input: Cow<'_, str>) -> Cow<'_, str> {
    if let Some(inner) = only_member(&input) {
        return Cow::Owned(without_fence(&inner).unwrap_or(&inner).to_owned());
    }
    match without_fence(&input) {
        Some(inner) => Cow::Owned(inner.to_owned()),
        None => input,
    }
}

fn only_member(input: &str) -> Option<String> {
    let text = input.trim();
    if !text.starts_with('{') {
        return None;
    }
    let members: std::collections::BTreeMap<Text<'_>, &RawValue> =
        serde_json::from_str(text).ok()?;
    let (name, value) = members.first_key_value().filter(|_| members.len() == 1)?;
    let is_wrapper = WRAPPERS.contains(&name.as_str());
    serde_json::from_str(value.get())
        .ok()
        .filter(|_| is_wrapper)
}

fn without_fence(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("```")?.strip_suffix("```")?;
    let (language, code) = inside.split_once('\n')?;
    let is_language = language
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric());
    (is_language && !code.contains("```")).then_some(code)
}

/// The arguments that stand for a custom tool's text in a record.
pub fn arguments_of_text(input: &str) -> String {
    let input = serde_json::to_string(input).unwrap_or_default();
    format!("{{\"input\":{input}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_tool_gets_its_text_as_it_is() {
        let patch = "*** Begin Patch\n*** End Patch";
        for (input, expected) in [
            (patch.to_owned(), patch),
            (
                format!("{{\"patch\": \"{}\"}}", patch.replace('\n', "\\n")),
                patch,
            ),
            (format!("```\n{patch}```"), patch),
            (format!("```diff\n{patch}```"), patch),
            ("{\"other\": \"a\"}".to_owned(), "{\"other\": \"a\"}"),
            (
                "{\"input\": \"a\", \"b\": 1}".to_owned(),
                "{\"input\": \"a\", \"b\": 1}",
            ),
            ("{\"input\": 1}".to_owned(), "{\"input\": 1}"),
            ("``` and ```".to_owned(), "``` and ```"),
            (String::new(), ""),
        ] {
            assert_eq!(text_of_arguments(&arguments_of_text(&input)), expected);
        }
        assert_eq!(text_of_arguments("[]"), "[]");
    }
}
