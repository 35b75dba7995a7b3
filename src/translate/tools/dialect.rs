//! The forms in which models are asked to call.
//!
//! A form is three things that have to agree: what the instructions show, how earlier calls stand
//! in the record, and what counts as a call in an answer. Models drift in the envelope, hardly ever
//! in the JSON, so each form is one that models have seen: JSON objects, one for each call, in an
//! outer block; the same block around elements for each parameter, as Claude and others write them;
//! or OpenAI's own JSON.
//!
//! What was measured on small models decides the details. Calls stand in the block without elements
//! of their own: `<tool_call>` is a single token of some models, which hardly ever write it when it
//! is asked for, and end their answer instead. Nothing is said of how results come back before there
//! are any: models that hear of it write results. Placeholders in angle brackets are not copied; words in
//! capitals are. After the tools, the form of a call tempts less to call for its own sake than before
//! them.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::value::RawValue;

use super::tool_set::{Choice, ToolSet};
use super::written;
use crate::translate::ask::ToolCall;
use crate::translate::fold::attribute;
use crate::translate::key::Pen;

/// A form of calling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `<tool_calls k="KEY">` around a JSON object for each call.
    #[default]
    Tagged,
    /// The whole reply is `{"tool_calls": [...]}`, for models that answer tags with questions.
    Json,
    /// `<tool_calls k="KEY">` around an element for each call and each parameter, whose values need
    /// no escaping: for tools that take code.
    Markup,
}

impl Dialect {
    /// The text that offers tools: the tools first, however many there are, then how to call them,
    /// next to the message that is answered. Its last sentence, `otherwise`, says how to answer
    /// without a call, because weak models follow the last sentence. `tools` are their definitions.
    /// It comes in parts, which are to be joined at once, since the tools may be long.
    pub fn instructions<'t>(
        self,
        offer: &ToolSet<'_>,
        pen: &Pen,
        tools: Cow<'t, str>,
        otherwise: String,
    ) -> Vec<Cow<'t, str>> {
        let most = match offer.parallel {
            true => "; several are allowed",
            false => ", one call at most",
        };
        let closing = match offer.choice {
            Choice::Auto => otherwise,
            Choice::Required => {
                "You must use at least one tool now: reply with the calls and nothing else.".into()
            }
        };
        vec![
            "Tools:\n".into(),
            tools,
            "The calling application runs these tools for you and returns the results in its next message.\n"
                .into(),
            self.invitation().into(),
            "\n".into(),
            self.form(pen).into(),
            "\n".into(),
            self.rules(most).into(),
            " Never write results yourself; wait for them.\n".into(),
            closing.into(),
        ]
    }

    /// How an answer without a call is asked for, where any text will do. The first wording keeps
    /// models from calling for the sake of it; it makes the smallest, which do best with plain JSON,
    /// answer what they cannot know.
    pub fn otherwise(self) -> &'static str {
        match self {
            Self::Tagged | Self::Markup => {
                "If none of these tools does what the message asks for, answer it yourself in plain text."
            }
            Self::Json => "If no tool is needed, answer in plain text.",
        }
    }

    /// What introduces the form.
    fn invitation(self) -> &'static str {
        match self {
            Self::Tagged | Self::Markup => {
                "To use tools, write this block, starting on its own line, and end your message after it:"
            }
            Self::Json => {
                "To use tools, reply with this JSON object alone, without any other text:"
            }
        }
    }

    /// The form of a call.
    pub fn form(self, pen: &Pen) -> String {
        match self {
            Self::Tagged => format!(
                "<tool_calls k=\"{pen}\">\n{{\"name\": \"<tool-name>\", \"arguments\": {{}}}}\n</tool_calls>"
            ),
            Self::Json => {
                "{\"tool_calls\": [{\"name\": \"<tool-name>\", \"arguments\": {}}]}".to_owned()
            }
            Self::Markup => format!(
                "<tool_calls k=\"{pen}\">\n\
                 <invoke name=\"(tool name)\">\n\
                 <parameter name=\"(parameter name)\">(value)</parameter>\n\
                 </invoke>\n\
                 </tool_calls>"
            ),
        }
    }

    /// What has to be known about the form.
    fn rules(self, most: &str) -> String {
        match self {
            Self::Tagged => format!(
                "Write one such line per call{most}. Each is one JSON object, \"name\" first, then \"arguments\" \
                 with exactly the parameter names of the tool. No code fence inside the block; newlines inside \
                 strings are written \\n."
            ),
            Self::Json => format!(
                "Each entry of the list is one call{most}, \"name\" first, then \"arguments\" with exactly the \
                 parameter names of the tool."
            ),
            Self::Markup => format!(
                "Write one <invoke> per call{most}. Each holds one <parameter> per argument, with exactly the \
                 parameter names of the tool. A string is written as it is, without quotes and without escapes; \
                 anything else is written as JSON, in <parameter name=\"(parameter name)\" type=\"json\">. No code \
                 fence around the block."
            ),
        }
    }

    /// The attribute of a turn that calls tools, where nothing else tells calls from text.
    pub fn mark_of_calls(self) -> &'static str {
        match self {
            Self::Tagged | Self::Markup => "",
            Self::Json => " calls=\"yes\"",
        }
    }

    /// Calls of the history, in the form in which new ones are asked for. What tells them from text
    /// that only looks like them is the key in the block, or, where they stand bare, the mark of
    /// their turn: they are then all that follows the last line break outside JSON.
    pub fn write_calls<'c>(
        self,
        out: &mut String,
        calls: impl Iterator<Item = &'c ToolCall<'c>>,
        pen: &Pen,
    ) {
        if self == Self::Json {
            let list: Vec<String> = calls.map(call_json).collect();
            let _ = write!(out, "{{\"tool_calls\": [{}]}}", list.join(", "));
            return;
        }
        let _ = writeln!(out, "<tool_calls k=\"{pen}\">");
        for call in calls {
            let elements = match self {
                Self::Markup => written::parameters(&call.arguments),
                Self::Tagged | Self::Json => None,
            };
            let _ = match elements {
                None => writeln!(out, "{}", call_json(call)),
                Some(parameters) => {
                    let id = attribute("id", Some(&call.id));
                    let name = attribute("name", Some(&call.name));
                    writeln!(out, "<invoke{id}{name}>\n{parameters}</invoke>")
                }
            };
        }
        out.push_str("</tool_calls>");
    }
}

/// A call as one JSON object. Arguments that are a JSON object stand as they are, but for what looks
/// like the tag of a call; anything else is written as a JSON string, so that no text can end the
/// object.
fn call_json(call: &ToolCall<'_>) -> String {
    let is_object = serde_json::from_str::<&RawValue>(&call.arguments)
        .is_ok_and(|raw| raw.get().starts_with('{'));
    let arguments = match is_object {
        true => Cow::Borrowed(call.arguments.as_ref()),
        false => Cow::Owned(serde_json::Value::from(call.arguments.as_ref()).to_string()),
    };
    let name = serde_json::Value::from(call.name.as_ref());
    let id = serde_json::Value::from(call.id.as_ref());
    let json = format!("{{\"name\": {name}, \"arguments\": {arguments}, \"id\": {id}}}");
    written::without_tags(&json).into_owned()
}
