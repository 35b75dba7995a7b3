//! What an answer has to be, as the caller asked for it.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::ask::AnswerFormat;
use super::json::{Partial, Schema, SchemaBudget, SchemaError};
use super::key::MarkerKey;
use super::quoted::Quoted;
use super::rejection::{Cause, Rejection};
use super::tools::{Choice, Dialect, TextFormat, ToolSet};

/// What an answer has to be.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    pub tools: Option<ToolContract>,
    /// The same where calls come apart from the text.
    pub native: Option<NativeTools>,
    pub format: FormatContract,
}

/// Which calls the answer may hold.
#[derive(Clone, Debug)]
pub struct ToolContract {
    /// The key of the block that calls stand in.
    pub key: MarkerKey,
    /// The form in which calls were asked for.
    pub dialect: Dialect,
    pub tools: Vec<KnownTool>,
    /// An answer without a call will not do.
    pub is_required: bool,
    /// The answer is the arguments of the only tool, and nothing else.
    pub is_arguments_only: bool,
    pub is_parallel: bool,
    /// The calls that stand in what was said before, which are no calls when they are repeated.
    pub quoted: Arc<Quoted>,
    /// Whether calls in other forms than the one asked for count, when they are unmistakable.
    pub is_lenient: bool,
}

/// Which calls may come apart from the text of an answer.
#[derive(Clone, Debug)]
pub struct NativeTools {
    pub tools: Vec<KnownTool>,
    /// An answer without a call will not do.
    pub is_required: bool,
    pub is_parallel: bool,
}

/// A tool that was offered.
#[derive(Clone, Debug)]
pub struct KnownTool {
    pub name: String,
    pub schema: Option<Arc<Schema>>,
    /// Of its text, where it is called with one that has a form.
    pub text: Option<Arc<Schema>>,
    pub is_strict: bool,
}

/// Which form the answer's text must have.
#[derive(Clone, Debug, Default)]
pub enum FormatContract {
    #[default]
    Text,
    Json {
        schema: Option<Arc<Schema>>,
        /// Nothing is delivered that does not fit.
        is_strict: bool,
        /// Nothing is delivered before all of it is there and has been looked at.
        is_held: bool,
    },
}

impl FormatContract {
    /// Whether nothing is delivered but JSON that fits.
    pub fn is_strict(&self) -> bool {
        matches!(
            self,
            Self::Json {
                is_strict: true,
                ..
            }
        )
    }
}

impl Contract {
    /// Whether any text will do.
    pub fn is_plain(&self) -> bool {
        self.tools.is_none() && self.native.is_none() && matches!(self.format, FormatContract::Text)
    }

    /// The tools that may be called.
    pub fn known_tools(&self) -> &[KnownTool] {
        match (&self.tools, &self.native) {
            (Some(tools), _) => &tools.tools,
            (None, Some(native)) => &native.tools,
            (None, None) => &[],
        }
    }

    /// Whether an answer without a call will not do.
    pub fn requires_call(&self) -> bool {
        let native = self
            .native
            .as_ref()
            .is_some_and(|native| native.is_required);
        native || self.tools.as_ref().is_some_and(|tools| tools.is_required)
    }

    /// Whether one call is all that may come.
    pub fn is_single(&self) -> bool {
        let native = self
            .native
            .as_ref()
            .is_some_and(|native| !native.is_parallel);
        native || self.tools.as_ref().is_some_and(|tools| !tools.is_parallel)
    }
}

impl NativeTools {
    /// The tools of an offer, with their schemas.
    pub fn new(offer: &ToolSet<'_>, schemas: Vec<ToolSchemas>) -> Self {
        Self {
            tools: KnownTool::all(offer, schemas),
            is_required: offer.choice == Choice::Required,
            is_parallel: offer.parallel,
        }
    }
}

impl KnownTool {
    /// The tools of an offer, with their schemas.
    pub fn all(offer: &ToolSet<'_>, schemas: Vec<ToolSchemas>) -> Vec<Self> {
        let known = offer.tools.iter().zip(schemas);
        let known = known.map(|(tool, schema)| Self {
            name: tool.name.clone().into_owned(),
            schema: schema.arguments,
            text: schema.text,
            is_strict: tool.strict,
        });
        known.collect()
    }
}

/// What calls of one tool are checked against.
#[derive(Clone, Debug, Default)]
pub struct ToolSchemas {
    /// Unset where it has no parameters.
    pub arguments: Option<Arc<Schema>>,
    /// Of the text that is in the arguments, where that has a form.
    pub text: Option<Arc<Schema>>,
}

/// The schemas of a request, compiled once for whatever it is planned for.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// Those of each tool of the offer.
    pub tools: Vec<ToolSchemas>,
    pub format: Option<Arc<Schema>>,
    /// The paths of what is not checked, although the caller asked for it.
    pub unchecked: Vec<String>,
    /// About how many bytes of memory they take, besides the text that they were read from.
    pub memory: usize,
}

impl Schemas {
    /// Compiles what answers are checked against. Where nothing is promised, a schema that cannot
    /// be checked costs its check alone; the model is told all of it.
    ///
    /// # Errors
    /// What is no schema; and under `strict` also one that is too large or uses what is not
    /// supported.
    pub fn of(tools: Option<&ToolSet<'_>>, format: &AnswerFormat<'_>) -> Result<Self, Rejection> {
        let mut schemas = Self::default();
        let budget = &mut SchemaBudget::default();
        if let AnswerFormat::JsonSchema(wanted) = format {
            let compiled = schemas.compile(wanted.schema, wanted.strict, wanted.path, budget);
            schemas.format = Some(compiled?);
        }
        if let Some(offer) = tools {
            for tool in &offer.tools {
                let compiled = ToolSchemas {
                    arguments: tool
                        .parameters
                        .map(|schema| schemas.compile(schema, tool.strict, &tool.path, budget))
                        .transpose()?,
                    text: tool
                        .text
                        .as_ref()
                        .map(|text| compile_text(text, budget))
                        .transpose()?,
                };
                schemas.tools.push(compiled);
            }
        }
        schemas.memory = budget.memory();
        Ok(schemas)
    }

    fn compile(
        &mut self,
        schema: &RawValue,
        is_strict: bool,
        path: &str,
        budget: &mut SchemaBudget,
    ) -> Result<Arc<Schema>, Rejection> {
        let compiled = match is_strict {
            true => Schema::parse(schema, budget).map(|schema| Partial {
                schema,
                unchecked: Vec::new(),
            }),
            false => Schema::parse_in_part(schema, budget),
        };
        let Partial { schema, unchecked } = compiled.map_err(|error| refusal(&error, path))?;
        let paths = unchecked.iter().map(|inner| format!("{path}{inner}"));
        self.unchecked.extend(paths);
        Ok(Arc::new(schema))
    }
}

fn compile_text(text: &TextFormat, budget: &mut SchemaBudget) -> Result<Arc<Schema>, Rejection> {
    let path = text.path.as_str();
    Schema::parse(&text.schema, budget).map(Arc::new).map_err(|error| {
        let message = format!(
            "Unsupported value: '{path}': {error} Leave it out; then the model is free in what it writes."
        );
        Rejection::of(Cause::UnsupportedValue, path, message)
    })
}

fn refusal(error: &SchemaError, path: &str) -> Rejection {
    match error {
        SchemaError::Unsupported { path: inner, .. } => {
            let path = format!("{path}{inner}");
            let message = format!(
                "Unsupported value: '{path}': {error} Leave it out, or leave out 'strict': then it is only \
                 not checked."
            );
            Rejection::of(Cause::UnsupportedValue, path, message)
        }
        _ => Rejection::invalid(path, format!("Invalid '{path}': {error}")),
    }
}
