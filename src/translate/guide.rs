//! What a model is told besides the conversation: its tools, and the form of its answer.
//!
//! The wording is what models have been seen to follow: neutral, in the system prompt, one example
//! of the exact form, and as its last sentence what to do when nothing special is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{AnswerFormat, Conversation, Delivery, Part, Speaker, Turn};
use super::contract::{Contract, FormatContract, KnownTool, Schemas, ToolContract};
use super::json::Schema;
use super::key::Key;
use super::reading::holds_call;
use super::tools::signature::{Detail, define, parameters};
use super::tools::{Choice, Dialect, Offer};

/// What follows the caller's own instructions in the system prompt.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// Empty when there is nothing to say.
    pub text: String,
    /// The key that `text` speaks of; with a text there is one.
    pub key: Option<Key>,
    /// How calls of the history are written.
    pub dialect: Dialect,
}

/// How models are guided, as the operator set it.
#[derive(Clone, Debug)]
pub struct GuideSettings {
    /// Whether calls in other forms than the one asked for count, when they are unmistakable.
    pub is_lenient: bool,
    /// Dialects by the beginning of a model's id; the longest match counts.
    pub dialects: Vec<(String, Dialect)>,
    /// Dialects that were measured to be best, by the models' whole ids, for those that no
    /// beginning above matches.
    pub measured: BTreeMap<String, Dialect>,
}

impl GuideSettings {
    /// The dialect that a model is spoken to in.
    pub fn dialect(&self, model: &str) -> Dialect {
        let matching = self
            .dialects
            .iter()
            .filter(|(prefix, _)| model.starts_with(prefix.as_str()));
        matching
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, dialect)| *dialect)
            .or_else(|| self.measured.get(model).copied())
            .unwrap_or_default()
    }
}

impl Guide {
    /// The paragraph, if there is one.
    pub fn paragraph(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|text| !text.is_empty())
    }

    /// What to say about these tools and this format.
    pub fn new(
        conversation: &Conversation<'_>,
        tools: Option<&Offer<'_>>,
        format: &AnswerFormat<'_>,
        dialect: Dialect,
        detail: Detail,
    ) -> Self {
        let definitions = tools
            .into_iter()
            .flat_map(|offer| &offer.tools)
            .map(|tool| define(tool, Detail::Full));
        let definitions = definitions.collect::<Vec<_>>().join("\n");
        let form = format_instructions(format, ALWAYS);
        if definitions.is_empty() && form.is_empty() {
            return Self {
                dialect,
                ..Self::default()
            };
        }
        let key = Key::of_all(conversation, &[&definitions, &form]);
        let text = match tools {
            None => form,
            Some(offer) => match only_tool_to_call(offer) {
                Some(text) => text,
                None => {
                    let otherwise = match format {
                        AnswerFormat::Text => "If no tool is needed, answer in plain text.".into(),
                        _ => format_instructions(format, WITHOUT_A_TOOL),
                    };
                    dialect.instructions(offer, &key, detail, &otherwise)
                }
            },
        };
        Self {
            text,
            key: Some(key),
            dialect,
        }
    }
}

/// With a single tool that must be called, the model is asked for nothing but its arguments: the
/// strongest form there is.
fn only_tool_to_call(offer: &Offer<'_>) -> Option<String> {
    let [tool] = offer.tools.as_slice() else {
        return None;
    };
    let purpose = tool
        .description
        .as_deref()
        .map(|text| format!(" ({text})"))
        .unwrap_or_default();
    let schema = parameters(tool);
    (offer.choice == Choice::Required).then(|| {
        format!(
            "Answer by giving the arguments for the function {}{purpose}.\n{}",
            tool.name,
            schema_instructions(&schema, None, ALWAYS)
        )
    })
}

/// When the form of an answer holds: always, or where no tool is called. Each begins and ends the
/// instructions.
const ALWAYS: [&str; 2] = ["Always respond with", "before or after."];
const WITHOUT_A_TOOL: [&str; 2] = [
    "If no tool is needed, respond with",
    "before or after that object.",
];

fn format_instructions(format: &AnswerFormat<'_>, [begin, end]: [&str; 2]) -> String {
    match format {
        AnswerFormat::Text => String::new(),
        AnswerFormat::JsonObject => {
            format!("{begin} a JSON object.\nDon't include any text or Markdown fencing {end}")
        }
        AnswerFormat::JsonSchema(wanted) => {
            let description = wanted.description.as_deref();
            schema_instructions(wanted.schema.get(), description, [begin, end])
        }
    }
}

fn schema_instructions(schema: &str, description: Option<&str>, [begin, end]: [&str; 2]) -> String {
    let purpose = description
        .map(|text| format!("What the object is for: {text}\n\n"))
        .unwrap_or_default();
    format!(
        "{begin} a JSON object that's compatible with this schema:\n\n{schema}\n\n\
         {purpose}Don't include any text or Markdown fencing {end}"
    )
}

/// How the model is spoken to, and whether what it hears could be taken for its own calls.
#[derive(Clone, Copy, Debug)]
pub struct Spoken {
    pub dialect: Dialect,
    /// See [`ToolContract::is_quotable`].
    pub is_quotable: bool,
}

impl Spoken {
    /// What is said in a conversation, to a model that is spoken to in this dialect.
    pub fn new(
        dialect: Dialect,
        conversation: &Conversation<'_>,
        tools: Option<&Offer<'_>>,
    ) -> Self {
        let offered = tools.into_iter().flat_map(|offer| &offer.tools);
        let names: Vec<&str> = offered.map(|tool| tool.name.as_ref()).collect();
        let is_others =
            |turn: &&Turn<'_>| matches!(turn.speaker, Speaker::User { .. } | Speaker::Tool { .. });
        let parts = conversation.turns.iter().filter(is_others);
        let mut texts = parts
            .flat_map(|turn| &turn.parts)
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_ref()),
                Part::Image(_) | Part::ToolCall(_) => None,
            });
        Self {
            dialect,
            is_quotable: !names.is_empty() && texts.any(|text| holds_call(text, &names)),
        }
    }
}

/// What the answer has to be.
pub fn contract(
    tools: Option<&Offer<'_>>,
    format: &AnswerFormat<'_>,
    schemas: Schemas,
    key: Option<&Key>,
    delivery: Delivery,
    spoken: Spoken,
    settings: &GuideSettings,
) -> Contract {
    let tools = match (tools, key) {
        (Some(offer), Some(key)) => {
            // The JSON dialect has no key: what it asks for is read as other forms are.
            let is_lenient = settings.is_lenient || spoken.dialect == Dialect::Json;
            Some(tool_contract(offer, schemas.tools, key, is_lenient, spoken))
        }
        _ => None,
    };
    let json = |schema, is_strict| FormatContract::Json {
        schema,
        is_strict,
        is_held: is_strict || delivery == Delivery::Whole,
    };
    let format = match format {
        AnswerFormat::Text => FormatContract::Text,
        AnswerFormat::JsonObject => json(None, false),
        AnswerFormat::JsonSchema(wanted) => json(schemas.format, wanted.strict),
    };
    Contract { tools, format }
}

fn tool_contract(
    offer: &Offer<'_>,
    schemas: Vec<Option<Arc<Schema>>>,
    key: &Key,
    is_lenient: bool,
    spoken: Spoken,
) -> ToolContract {
    let known = offer
        .tools
        .iter()
        .zip(schemas)
        .map(|(tool, schema)| KnownTool {
            name: tool.name.clone().into_owned(),
            schema,
            is_strict: tool.strict,
        });
    let is_required = offer.choice == Choice::Required;
    ToolContract {
        key: key.clone(),
        dialect: spoken.dialect,
        tools: known.collect(),
        is_required,
        is_arguments_only: is_required && offer.tools.len() == 1,
        is_parallel: offer.parallel,
        is_quotable: spoken.is_quotable,
        is_lenient,
    }
}
