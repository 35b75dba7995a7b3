//! The tools of a request.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::text::TextFormat;
use crate::translate::key::{Secret, TextsHash};

/// The tools that a model may call in its answer.
#[derive(Clone, Debug)]
pub struct ToolSet<'a> {
    /// At least one.
    pub tools: Vec<Tool<'a>>,
    pub choice: Choice,
    /// Whether several calls may come in one answer.
    pub parallel: bool,
    /// Whether the caller spoke of `functions`, OpenAI's older name, and wants to be answered so.
    pub as_functions: bool,
}

impl<'a> ToolSet<'a> {
    /// The tool that must be called, where it is the only one.
    pub fn only_required(&self) -> Option<&Tool<'a>> {
        match self.tools.as_slice() {
            [tool] if self.choice == Choice::Required => Some(tool),
            _ => None,
        }
    }

    /// What stands for all that models are told of the tools.
    pub fn hash(&self, secret: &Secret) -> TextsHash {
        let texts = self.tools.iter().flat_map(|tool| {
            let parameters = tool.parameters.map(RawValue::get);
            [
                Some(tool.name.as_ref()),
                tool.description.as_deref(),
                parameters,
            ]
        });
        TextsHash::of(secret, texts.flatten())
    }
}

/// One function.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    /// Where the schema of its arguments stands in the request, for refusals of it.
    pub path: String,
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// The JSON Schema of its arguments; without one, it takes none.
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments that do not match the schema may never be delivered.
    pub strict: bool,
    /// What the text has to be like of a tool that is called with one.
    pub text: Option<TextFormat>,
}

/// A function that outlives the request which offered it.
#[derive(Clone, Debug)]
pub struct OwnedTool {
    path: String,
    name: String,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: bool,
    text: Option<TextFormat>,
}

impl From<Tool<'_>> for OwnedTool {
    fn from(tool: Tool<'_>) -> Self {
        Self {
            path: tool.path,
            name: tool.name.into_owned(),
            description: tool.description.map(Cow::into_owned),
            parameters: tool.parameters.map(ToOwned::to_owned),
            strict: tool.strict,
            text: tool.text,
        }
    }
}

impl OwnedTool {
    /// The function, for another request that offers it.
    pub fn lend(&self) -> Tool<'_> {
        Tool {
            path: self.path.clone(),
            name: Cow::Borrowed(&self.name),
            description: self.description.as_deref().map(Cow::Borrowed),
            parameters: self.parameters.as_deref(),
            strict: self.strict,
            text: self.text.clone(),
        }
    }
}

/// How free the model is to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It may.
    Auto,
    /// It must, whichever tool it takes. With a single tool, only that one's arguments are asked for.
    Required,
}
