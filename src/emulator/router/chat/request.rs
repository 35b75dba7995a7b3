//! A request of the chat face, read as far as the stand-in looks at it; whatever else it holds is
//! ignored, as OpenRouter does.

use serde_json::{Map, Value, json};

use super::refusals::{NO_INPUT, refuse};
use crate::emulator::http::call::Whole;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Map<String, Value>,
    pub(super) model: String,
    pub(super) messages: Vec<Map<String, Value>>,
    pub(super) tools: Vec<Value>,
    pub(super) stop: Vec<String>,
    pub(super) max_tokens: Option<usize>,
    pub(super) reasoning: Wish,
    /// Whether reasoning is kept out of the answer.
    pub(super) hides_reasoning: bool,
}

/// What a request says of reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Unsaid,
    On,
    Off,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// A 400 in OpenRouter's words.
    pub(super) fn read(body: &[u8]) -> Result<Request, Whole> {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Err(refuse(400, "Invalid JSON in request body"));
        };
        let model = match body.get("model") {
            Some(Value::String(model)) => model.clone(),
            _ => return Err(refuse(400, "No models provided")),
        };
        let messages = body.get("messages").and_then(Value::as_array);
        let messages: Option<Vec<_>> =
            messages
                .filter(|messages| !messages.is_empty())
                .and_then(|messages| {
                    messages
                        .iter()
                        .map(|message| message.as_object().cloned())
                        .collect()
                });
        let Some(messages) = messages else {
            return Err(refuse(400, NO_INPUT));
        };
        for (field, least, most) in [("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)] {
            let number = match body.get(field) {
                None | Some(Value::Null) => continue,
                Some(value) => value.as_f64(),
            };
            if !number.is_some_and(|number| (least..=most).contains(&number)) {
                return Err(refuse(
                    400,
                    format!("{field}: expected a number from {least} to {most}"),
                ));
            }
        }
        let tools = body.get("tools").and_then(Value::as_array);
        let (reasoning, hides_reasoning) = wish(&body);
        Ok(Request {
            tools: tools.cloned().unwrap_or_default(),
            stop: texts(body.get("stop")),
            max_tokens: ["max_completion_tokens", "max_tokens"]
                .iter()
                .find_map(|field| body.get(*field)?.as_u64())
                .and_then(|most| usize::try_from(most).ok()),
            reasoning,
            hides_reasoning,
            model,
            messages,
            body,
        })
    }

    /// The request for a server that answers in our place.
    pub(super) fn for_a_relay(&self, stream: bool) -> Value {
        let mut body = self.body.clone();
        body.insert("stream".to_owned(), json!(stream));
        if stream {
            body.insert(
                "stream_options".to_owned(),
                json!({ "include_usage": true }),
            );
        } else {
            body.remove("stream_options");
        }
        Value::Object(body)
    }

    /// The addresses in parts of this type.
    pub(super) fn parts(&self, kind: &str) -> Vec<&Value> {
        let contents = self
            .messages
            .iter()
            .filter_map(|message| message.get("content")?.as_array());
        contents
            .flatten()
            .filter(|part| part.get("type").and_then(Value::as_str) == Some(kind))
            .collect()
    }
}

/// The text of a message's content.
pub(super) fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// `reasoning`, or one of its older names; and whether its text is wanted.
fn wish(body: &Map<String, Value>) -> (Wish, bool) {
    let reasoning = body.get("reasoning").and_then(Value::as_object);
    let effort = reasoning
        .and_then(|reasoning| reasoning.get("effort"))
        .or_else(|| body.get("reasoning_effort"))
        .and_then(Value::as_str);
    let enabled = reasoning.and_then(|reasoning| reasoning.get("enabled")?.as_bool());
    let budget = reasoning.and_then(|reasoning| reasoning.get("max_tokens")?.as_u64());
    let wish = match (enabled, effort, budget) {
        (Some(false), _, _) | (_, Some("none"), _) | (_, _, Some(0)) => Wish::Off,
        (Some(true), _, _) | (_, Some(_), _) | (_, _, Some(_)) => Wish::On,
        _ => Wish::Unsaid,
    };
    let excludes =
        reasoning.is_some_and(|reasoning| reasoning.get("exclude") == Some(&json!(true)));
    let unwanted = body.get("include_reasoning") == Some(&json!(false));
    (wish, excludes || unwanted)
}
