//! The forms in which models are asked to call.
//!
//! A form is three things that have to agree: what the instructions show, how earlier calls stand
//! in the record, and what counts as a call in an answer. Models drift in the envelope, hardly ever
//! in the JSON, so each form is one that models have seen: an outer block around
//! `<tool_call>{json}</tool_call>`, as Hermes and Qwen write it, the same block around elements for
//! each parameter, as Claude and others write them, or OpenAI's own JSON.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::value::RawValue;

use super::offer::{Choice, Offer};
use super::signature::{Detail, define};
use super::written;
use crate::translate::ask::ToolCall;
use crate::translate::fold::attribute;
use crate::translate::key::Key;

/// A form of calling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `<tool_calls k="KEY">` around `<tool_call>{json}</tool_call>`.
    #[default]
    Tagged,
    /// The whole reply is `{"tool_calls": [...]}`, for models that answer tags with questions.
    Json,
    /// `<tool_calls k="KEY">` around an element for each call and each parameter, whose values need
    /// no escaping: for tools that take code.
    Markup,
}

impl Dialect {
    /// The text that offers tools. Its last sentence, `otherwise`, says how to answer without a
    /// call, because weak models follow the last sentence.
    pub fn instructions(
        self,
        offer: &Offer<'_>,
        key: &Key,
        detail: Detail,
        otherwise: &str,
    ) -> String {
        let most = match offer.parallel {
            true => "; several are allowed",
            false => ", one call at most",
        };
        let form = self.form(key, most);
        let plan = match self {
            Self::Tagged | Self::Markup => " You may explain your plan in text before the calls.",
            Self::Json => "",
        };
        let mut tools = String::new();
        for tool in &offer.tools {
            let _ = writeln!(tools, "{}", define(tool, detail));
        }
        let closing = match offer.choice {
            Choice::Auto => otherwise,
            Choice::Required => {
                "You must use at least one tool now: reply with the calls and nothing else."
            }
        };
        format!(
            "You can use the tools listed below. The calling application runs them and returns the results in its \
             next message.\n{form} Results come back as <tool_result-{key}>; never write results yourself.{plan}\n\
             Tools:\n{tools}{closing}"
        )
    }

    fn form(self, key: &Key, most: &str) -> String {
        match self {
            Self::Tagged => format!(
                "To use tools, write this block, starting on its own line, and end your message after it:\n\
                 <tool_calls k=\"{key}\">\n\
                 <tool_call>{{\"name\": \"TOOL\", \"arguments\": {{}}}}</tool_call>\n\
                 </tool_calls>\n\
                 Write one <tool_call> per call{most}. Each holds one JSON object, \"name\" first, then \"arguments\" \
                 with exactly the parameter names of the tool. No code fence inside the block; newlines inside \
                 strings are written \\n."
            ),
            Self::Json => format!(
                "To use tools, reply with this JSON object alone, without any other text:\n\
                 {{\"tool_calls\": [{{\"name\": \"TOOL\", \"arguments\": {{}}}}]}}\n\
                 Each entry of the list is one call{most}, \"name\" first, then \"arguments\" with exactly the \
                 parameter names of the tool."
            ),
            Self::Markup => format!(
                "To use tools, write this block, starting on its own line, and end your message after it:\n\
                 <tool_calls k=\"{key}\">\n\
                 <invoke name=\"TOOL\">\n\
                 <parameter name=\"PARAMETER\">value</parameter>\n\
                 </invoke>\n\
                 </tool_calls>\n\
                 Write one <invoke> per call{most}. Each holds one <parameter> per argument, with exactly the \
                 parameter names of the tool. A string is written as it is, without quotes and without escapes; \
                 anything else is written as JSON, in <parameter name=\"PARAMETER\" type=\"json\">. No code fence \
                 around the block."
            ),
        }
    }

    /// Calls of the history, in the form in which new ones are asked for. The key in the outer
    /// element keeps them apart from text that only looks like them.
    pub fn write_calls<'c>(
        self,
        out: &mut String,
        calls: impl Iterator<Item = &'c ToolCall<'c>>,
        key: &Key,
    ) {
        match self {
            Self::Tagged => {
                let _ = writeln!(out, "<tool_calls k=\"{key}\">");
                for call in calls {
                    write_tagged(out, call);
                }
                out.push_str("</tool_calls>");
            }
            Self::Markup => {
                let _ = writeln!(out, "<tool_calls k=\"{key}\">");
                for call in calls {
                    match written::parameters(&call.arguments) {
                        None => write_tagged(out, call),
                        Some(parameters) => {
                            let id = attribute("id", Some(&call.id));
                            let name = attribute("name", Some(&call.name));
                            let _ = writeln!(out, "<invoke{id}{name}>\n{parameters}</invoke>");
                        }
                    }
                }
                out.push_str("</tool_calls>");
            }
            Self::Json => {
                let written = calls.map(|call| {
                    let id = serde_json::Value::from(call.id.as_ref());
                    call_json(call).replacen('{', &format!("{{\"id\": {id}, "), 1)
                });
                let list = written.collect::<Vec<_>>().join(", ");
                let _ = write!(
                    out,
                    "<tool_calls-{key}>{{\"tool_calls\": [{list}]}}</tool_calls-{key}>"
                );
            }
        }
    }
}

fn write_tagged(out: &mut String, call: &ToolCall<'_>) {
    let id = attribute("id", Some(&call.id));
    let _ = writeln!(out, "<tool_call{id}>{}</tool_call>", call_json(call));
}

/// A call as one JSON object. Arguments that are a JSON object stand as they are; anything else is
/// written as a JSON string, so that no text can end the object.
fn call_json(call: &ToolCall<'_>) -> String {
    let is_object = serde_json::from_str::<&RawValue>(&call.arguments)
        .is_ok_and(|raw| raw.get().starts_with('{'));
    let arguments = match is_object {
        true => Cow::Borrowed(call.arguments.as_ref()),
        false => Cow::Owned(serde_json::Value::from(call.arguments.as_ref()).to_string()),
    };
    let name = serde_json::Value::from(call.name.as_ref());
    format!("{{\"name\": {name}, \"arguments\": {arguments}}}")
}
