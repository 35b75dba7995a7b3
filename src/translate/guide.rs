//! What a model is told besides the conversation: its tools, and the form of its answer.
//!
//! The wording is what models have been seen to follow: neutral, in the system prompt, one example
//! of the exact form, and as its last sentence what to do when nothing special is needed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{AnswerFormat, Conversation, Delivery};
use super::contract::{Contract, FormatContract, KnownTool, Schemas, ToolContract, ToolSchemas};
use super::json::{self, Schema};
use super::key::{Keys, MarkerKey, Pen, Secret, TextsHash};
use super::known_text::KnownText;
use super::quoted::Quoted;
use super::terms::{Outlined, Terms};
use super::tools::signature::{Detail, definitions, parameters};
use super::tools::{Choice, Dialect, ToolSet};

/// What a model is told besides the caller's own instructions, and how.
#[derive(Clone, Copy, Debug)]
pub struct Guide<'g> {
    /// The tools that it may call.
    pub tools: Option<&'g ToolSet<'g>>,
    /// What comes of them, where that is known.
    pub terms: Option<&'g Terms>,
    /// The form of its answer.
    pub format: &'g AnswerFormat<'g>,
    /// How it is asked to call, and how the calls of the history are written.
    pub dialect: Dialect,
    /// How much is said about each tool.
    pub detail: Detail,
    /// Whether a schema for the answer comes with an outline.
    pub shows_outline: bool,
    /// What keys are derived with.
    pub secret: Secret,
}

/// How models are guided, as the operator set it.
#[derive(Clone, Debug)]
pub struct GuideSettings {
    /// Whether calls in other forms than the one asked for count, when they are unmistakable.
    pub is_lenient: bool,
    /// Dialects by the beginning of a model's id; the longest match counts.
    pub dialects: Vec<(String, Dialect)>,
    /// Whether outlines are shown, by the beginning of a model's id, likewise.
    pub outlines: Vec<(String, bool)>,
    /// What was measured to be best, by the models' whole ids, for those that no beginning above
    /// matches.
    pub measured: BTreeMap<String, Measured>,
    /// What keys are derived with, the same wherever conversations shall begin alike.
    pub secret: Secret,
}

impl GuideSettings {
    /// The dialect that a model is spoken to in.
    pub fn dialect(&self, model: &str) -> Dialect {
        let measured = self.measured.get(model).and_then(|known| known.dialect);
        chosen(&self.dialects, model)
            .or(measured)
            .unwrap_or_default()
    }

    /// Whether a model that has to write JSON is shown an outline of it, besides its schema.
    pub fn shows_outline(&self, model: &str) -> bool {
        let measured = self.measured.get(model).and_then(|known| known.outline);
        chosen(&self.outlines, model).or(measured).unwrap_or(true)
    }
}

/// What the longest beginning says that matches.
fn chosen<T: Copy>(table: &[(String, T)], model: &str) -> Option<T> {
    let matching = table
        .iter()
        .filter(|(prefix, _)| model.starts_with(prefix.as_str()));
    matching
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, chosen)| *chosen)
}

/// What was measured to be best for a model; `None` where one way only was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    pub dialect: Option<Dialect>,
    pub outline: Option<bool>,
}

impl Default for Guide<'_> {
    /// Nothing to say, and a secret that everybody knows.
    fn default() -> Self {
        Self {
            tools: None,
            terms: None,
            format: &AnswerFormat::Text,
            dialect: Dialect::default(),
            detail: Detail::default(),
            shows_outline: true,
            secret: Secret::new([0; 32]),
        }
    }
}

impl<'g> Guide<'g> {
    /// Whether there is nothing to say.
    pub fn is_silent(&self) -> bool {
        self.tools.is_none() && matches!(self.format, AnswerFormat::Text)
    }

    /// The paragraph, in parts, since the tools may be long; empty where there is nothing to say.
    pub fn parts(&self, pen: &Pen) -> Vec<Cow<'g, str>> {
        let Some(offer) = self.tools else {
            let text = self.format_instructions(ALWAYS);
            let said = Some(text).filter(|text| !text.is_empty());
            return said.map(Cow::Owned).into_iter().collect();
        };
        if let Some(text) = self.only_tool_to_call(offer) {
            return vec![text.into()];
        }
        let otherwise = match self.format {
            AnswerFormat::Text => self.dialect.otherwise().to_owned(),
            _ => self.format_instructions(WITHOUT_A_TOOL),
        };
        let tools = match self.known_definitions() {
            Some(known) => Cow::Borrowed(known.as_str()),
            None => Cow::Owned(definitions(offer, self.detail)),
        };
        self.dialect.instructions(offer, pen, tools, otherwise)
    }

    /// What of the paragraph other requests say too.
    pub fn known_definitions(&self) -> Option<&'g KnownText> {
        let terms = self.terms.filter(|_| self.detail == Detail::Full)?;
        Some(terms.definitions(self.tools?))
    }

    /// With a single tool that must be called, the model is asked for nothing but its arguments: the
    /// strongest form there is.
    fn only_tool_to_call(&self, offer: &ToolSet<'_>) -> Option<String> {
        let tool = offer.only_required()?;
        let purpose = tool
            .description
            .as_deref()
            .map(|text| format!(" ({text})"))
            .unwrap_or_default();
        let schema = parameters(tool);
        Some(format!(
            "Answer by giving the arguments for the function {}{purpose}.\n{}",
            tool.name,
            self.schema_instructions((Outlined::Arguments, &schema), None, ALWAYS)
        ))
    }

    /// What is said of the form of the answer; beside tools, it holds where none is called.
    pub fn format_text(&self, is_beside_tools: bool) -> String {
        self.format_instructions(match is_beside_tools {
            true => WITHOUT_A_TOOL,
            false => ALWAYS,
        })
    }

    fn format_instructions(&self, [begin, end]: [&str; 2]) -> String {
        match self.format {
            AnswerFormat::Text => String::new(),
            AnswerFormat::JsonObject => {
                format!("{begin} a JSON object.\nDon't include any text or Markdown fencing {end}")
            }
            AnswerFormat::JsonSchema(wanted) => {
                let description = wanted.description.as_deref();
                let schema = (Outlined::Answer, wanted.schema.get());
                self.schema_instructions(schema, description, [begin, end])
            }
        }
    }

    fn schema_instructions(
        &self,
        (which, schema): (Outlined, &str),
        description: Option<&str>,
        [begin, end]: [&str; 2],
    ) -> String {
        let purpose = description
            .map(|text| format!("What the object is for: {text}\n\n"))
            .unwrap_or_default();
        let form = match self.outline(which, schema) {
            None => format!("a JSON object that's compatible with this schema:\n\n{schema}"),
            Some(outline) => format!(
                "a JSON object like this one, with your own values in the place of these:\n\n{outline}\n\n\
                 It has to be compatible with this schema:\n\n{schema}"
            ),
        };
        format!("{begin} {form}\n\n{purpose}Don't include any text or Markdown fencing {end}")
    }

    /// The form of a call, or of the arguments where they alone are asked for, to be shown again.
    pub fn form_of_calls(&self, pen: &Pen) -> Option<String> {
        let offer = self.tools?;
        match offer.only_required() {
            Some(tool) => self.shown_again(Outlined::Arguments, &parameters(tool)),
            None => Some(self.dialect.form(pen)),
        }
    }

    /// The form of JSON that the answer has to be, to be shown again.
    pub fn form_of_json(&self) -> Option<String> {
        match self.format {
            AnswerFormat::JsonSchema(wanted) => {
                self.shown_again(Outlined::Answer, wanted.schema.get())
            }
            AnswerFormat::Text | AnswerFormat::JsonObject => None,
        }
    }

    /// A value in the form of a schema, or else the schema itself, if it is short.
    fn shown_again(&self, which: Outlined, schema: &str) -> Option<String> {
        const LONGEST_SCHEMA: usize = 2000;
        let outline = self.outline(which, schema);
        let whole = || (schema.len() <= LONGEST_SCHEMA).then(|| schema.to_owned());
        outline.map(Cow::into_owned).or_else(whole)
    }

    /// A value in the form of a schema, where such are shown.
    fn outline(&self, which: Outlined, schema: &str) -> Option<Cow<'g, str>> {
        match self.terms {
            _ if !self.shows_outline => None,
            Some(terms) => terms.outline(which, schema),
            None => json::outline(schema).map(|value| value.to_string().into()),
        }
    }

    /// The keys for a conversation with these instructions: they depend on them and on the tools,
    /// and the later ones on all other texts too.
    pub fn keys<'t>(
        &self,
        instructions: Option<&'t str>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Keys<'t>
    where
        'g: 't,
    {
        let tools = self.tools.map(|offer| match self.terms {
            Some(terms) => terms.tools(offer, &self.secret),
            None => offer.hash(&self.secret),
        });
        let instructions = instructions.map(|text| TextsHash::of(&self.secret, [text]));
        Keys::new(self.secret, [], texts).and([instructions, tools])
    }
}

/// When the form of an answer holds: always, or where no tool is called. Each begins and ends the
/// instructions.
const ALWAYS: [&str; 2] = ["Always respond with", "before or after."];
const WITHOUT_A_TOOL: [&str; 2] = [
    "If no tool is needed, respond with",
    "before or after that object.",
];

/// How the model is spoken to, and what of its own calls it has heard.
#[derive(Clone, Debug)]
pub struct DialectContext {
    pub dialect: Dialect,
    /// See [`ToolContract::quoted`].
    pub quoted: Arc<Quoted>,
}

impl DialectContext {
    /// What is said in a conversation, to a model that is spoken to in this dialect.
    pub fn new(
        dialect: Dialect,
        conversation: &Conversation<'_>,
        tools: Option<&ToolSet<'_>>,
    ) -> Self {
        let offered = tools.into_iter().flat_map(|offer| &offer.tools);
        let names: Vec<&str> = offered.map(|tool| tool.name.as_ref()).collect();
        Self {
            dialect,
            quoted: Arc::new(Quoted::find(conversation, &names)),
        }
    }
}

/// What the answer has to be.
pub fn contract(
    tools: Option<&ToolSet<'_>>,
    format: &AnswerFormat<'_>,
    schemas: Schemas,
    key: Option<&MarkerKey>,
    delivery: Delivery,
    spoken: DialectContext,
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
    Contract {
        tools,
        native: None,
        format: format_contract(format, schemas.format, delivery),
    }
}

/// Which form the answer's text must have.
pub fn format_contract(
    format: &AnswerFormat<'_>,
    schema: Option<Arc<Schema>>,
    delivery: Delivery,
) -> FormatContract {
    let json = |schema, is_strict| FormatContract::Json {
        schema,
        is_strict,
        is_held: is_strict || delivery == Delivery::Whole,
    };
    match format {
        AnswerFormat::Text => FormatContract::Text,
        AnswerFormat::JsonObject => json(None, false),
        AnswerFormat::JsonSchema(wanted) => json(schema, wanted.strict),
    }
}

fn tool_contract(
    offer: &ToolSet<'_>,
    schemas: Vec<ToolSchemas>,
    key: &MarkerKey,
    is_lenient: bool,
    spoken: DialectContext,
) -> ToolContract {
    let is_required = offer.choice == Choice::Required;
    ToolContract {
        key: key.clone(),
        dialect: spoken.dialect,
        tools: KnownTool::all(offer, schemas),
        is_required,
        is_arguments_only: offer.only_required().is_some(),
        is_parallel: offer.parallel,
        quoted: spoken.quoted,
        is_lenient,
    }
}
