//! The arguments of a call, made into what may be delivered.

use std::borrow::Cow;

use super::envelope::{self, RawArguments};
use super::positional;
use crate::translate::contract::KnownTool;
use crate::translate::json::{self, Fix};
use crate::translate::tools::text::text_of_arguments;

/// What is closed by repair is only a part of what was meant: nobody may act on it.
pub const BROKE_OFF: &str = "The JSON broke off before its end.";

/// What is wrong with arguments that may be delivered all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// For the model to mend.
    pub correction: String,
    /// Whether something is missing that the schema requires.
    pub is_missing: bool,
}

impl Doubt {
    /// Both doubts in one.
    pub fn and(self, other: Option<Self>) -> Self {
        Self {
            is_missing: self.is_missing || other.is_some_and(|other| other.is_missing),
            ..self
        }
    }
}

/// The arguments of a call, and what is wrong with them if they may be delivered all the same.
pub fn arguments(
    written: &RawArguments,
    tool: &KnownTool,
) -> Result<(json::Arguments, Option<Doubt>), String> {
    let schema = tool.schema.as_deref();
    let mut placed = None;
    let text = match written {
        RawArguments::Texts(members) if placeholder(members, tool).is_some() => {
            placed = Some(Fix::Placeholder);
            Cow::Borrowed(placeholder(members, tool).unwrap_or_default())
        }
        RawArguments::Json(text) if says_nothing(text) && takes_nothing(tool) => {
            return Ok((no_arguments(), None));
        }
        RawArguments::Json(text) => Cow::Borrowed(text.as_str()),
        RawArguments::Texts(members) => Cow::Owned(
            json::object_of_texts(members, schema)
                .ok_or_else(|| format!("A parameter of {} was there twice.", tool.name))?,
        ),
        RawArguments::Positional { values, named } => Cow::Owned(
            positional::object(values, named, schema)
                .ok_or_else(|| format!("Name each parameter of {} that is given.", tool.name))?,
        ),
    };
    let mut doubt = None;
    let mut arguments = match json::parse_arguments(&text, schema) {
        Ok(arguments) => arguments,
        // Without `strict` the caller is promised JSON, not that it fits.
        Err(error @ (json::ArgumentsError::Violations(_) | json::ArgumentsError::NamesTwice))
            if !tool.is_strict =>
        {
            let arguments =
                json::parse_arguments(&text, None).map_err(|error| explain(tool, &error))?;
            doubt = Some(Doubt {
                correction: explain(tool, &error),
                is_missing: is_incomplete(&arguments.json, tool),
            });
            arguments
        }
        Err(error) => return Err(explain(tool, &error)),
    };
    arguments.fixes.extend(placed);
    check_text(&arguments.json, tool)?;
    match arguments.fixes.contains(&Fix::Closed) {
        true => Err(BROKE_OFF.to_owned()),
        false => Ok((arguments, doubt)),
    }
}

/// The text of a tool that is called with one has to have the form that was asked for.
fn check_text(arguments: &str, tool: &KnownTool) -> Result<(), String> {
    let Some(schema) = &tool.text else {
        return Ok(());
    };
    let text = text_of_arguments(arguments).into_owned();
    schema.check(&text.into()).map_err(|violations| {
        let says: Vec<_> = violations
            .iter()
            .map(|violation| violation.says.as_str())
            .collect();
        format!(
            "The text for {} was not in its form: {}.",
            tool.name,
            says.join("; ")
        )
    })
}

/// Whether arguments lack something that the schema requires.
fn is_incomplete(arguments: &str, tool: &KnownTool) -> bool {
    let value = serde_json::from_str(arguments).unwrap_or_default();
    let schema = tool.schema.as_deref();
    let violations = schema.and_then(|schema| schema.check(&value).err());
    violations.is_some_and(|all| all.iter().any(|violation| violation.is_missing))
}

/// The object in a single parameter whose name was copied from the form that was shown.
fn placeholder<'m>(members: &'m [json::TextMember], tool: &KnownTool) -> Option<&'m str> {
    let [member] = members else { return None };
    let schema = tool.schema.as_deref().map(json::Schema::as_value);
    let is_declared = schema
        .and_then(|schema| schema.get("properties")?.get(&member.name))
        .is_some();
    let mut names = envelope::PARAMETER_PLACEHOLDERS
        .iter()
        .chain(&envelope::ARGUMENTS);
    let is_placeholder = names.any(|name| *name == member.name);
    let text = member.text.trim();
    (is_placeholder && !is_declared && text.starts_with('{')).then_some(text)
}

/// Whether a text is one of those that models write for no arguments, other than an empty object.
fn says_nothing(text: &str) -> bool {
    let text = text.trim();
    let inner = serde_json::from_str::<String>(text).ok();
    matches!(
        inner.as_deref().map_or(text, str::trim),
        "" | "null" | "None" | "[]"
    )
}

/// Whether a tool can be called without arguments.
fn takes_nothing(tool: &KnownTool) -> bool {
    let nothing = serde_json::Value::Object(serde_json::Map::new());
    tool.schema
        .as_deref()
        .is_none_or(|schema| schema.check(&nothing).is_ok())
}

fn no_arguments() -> json::Arguments {
    json::Arguments {
        json: "{}".to_owned(),
        fixes: vec![Fix::NoArguments],
    }
}

fn explain(tool: &KnownTool, error: &json::ArgumentsError) -> String {
    format!(
        "The arguments of {} were wrong. {}",
        tool.name,
        error.message()
    )
}
