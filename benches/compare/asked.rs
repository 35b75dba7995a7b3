//! Requests as applications send them.

use std::fmt::Write;

use serde_json::{Value, json};

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One short message.
    Message,
    /// The same through OpenAI's newer API, with nothing kept.
    Input,
    /// The same, and the answer is kept.
    KeptInput,
    /// So many messages, the first of them instructions.
    Messages(usize),
    /// An agent in the middle of its work, with 25 tools that take 90 kB.
    Agent(Tools),
    /// One message, and a schema that the answer has to fit.
    Schema,
}

impl Asked {
    /// Whether it is asked through OpenAI's newer API.
    pub(crate) fn is_input(self) -> bool {
        matches!(self, Self::Input | Self::KeptInput)
    }
}

/// The tools of requests that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tools {
    Same,
    New,
}

/// Ends in the digits by which requests that follow one another differ.
pub(crate) const MARK: &str = "No. 00000000";
const MODEL: &str = "google/gemini-2.5-flash";

/// What is said, in no API's words.
pub(crate) struct Texts {
    instructions: Option<String>,
    /// Messages as OpenAI writes them, from the first that is no instruction on.
    messages: Vec<Value>,
    tools: Option<Value>,
    schema: Option<Value>,
}

impl Texts {
    /// A request of a kind whose last words are these.
    pub(crate) fn new(asked: Asked, last: &str) -> Self {
        let last = json!({"role": "user", "content": last});
        let alone = Self {
            instructions: None,
            messages: vec![last],
            tools: None,
            schema: None,
        };
        match asked {
            Asked::Message | Asked::Input | Asked::KeptInput => alone,
            Asked::Messages(count) => {
                let earlier = (2..count).map(|at| match at % 2 {
                    0 => json!({"role": "user", "content": prose(30)}),
                    _ => json!({"role": "assistant", "content": prose(80)}),
                });
                Self {
                    instructions: Some(prose(40)),
                    messages: earlier.chain(alone.messages).collect(),
                    ..alone
                }
            }
            Asked::Agent(tools) => Self {
                instructions: Some(prose(600)),
                messages: work().into_iter().chain(alone.messages).collect(),
                tools: Some(offered(tools)),
                ..alone
            },
            Asked::Schema => Self {
                schema: Some(schema()),
                ..alone
            },
        }
    }

    /// The body for OpenAI's newer API.
    pub(crate) fn as_input(&self, is_kept: bool, is_stream: bool) -> Value {
        json!({"model": MODEL, "store": is_kept, "stream": is_stream, "input": self.messages})
    }

    /// The body for chat completions.
    pub(crate) fn as_chat(&self, is_stream: bool) -> Value {
        let instructions = self.instructions.iter();
        let instructions = instructions.map(|text| json!({"role": "system", "content": text}));
        let messages: Vec<_> = instructions.chain(self.messages.iter().cloned()).collect();
        let mut body = json!({"model": MODEL, "stream": is_stream});
        if let Some(tools) = &self.tools {
            body["tools"] = tools.clone();
        }
        if let Some(schema) = &self.schema {
            let wanted = json!({"name": "answer", "strict": true, "schema": schema});
            body["response_format"] = json!({"type": "json_schema", "json_schema": wanted});
        }
        body["messages"] = messages.into();
        body
    }

    /// As fal takes it: about as many bytes as the gateway sends there.
    pub(crate) fn as_prompt(&self) -> Value {
        let mut system_prompt = self.instructions.clone().unwrap_or_default();
        for more in self.tools.iter().chain(&self.schema) {
            let _ = write!(system_prompt, "\n\n{more}");
        }
        let mut prompt = String::new();
        for message in &self.messages {
            let content = message["content"].as_str().unwrap_or_default();
            match message.get("tool_calls") {
                Some(calls) => prompt.push_str(&calls.to_string()),
                None => prompt.push_str(content),
            }
        }
        let mut body = json!({"model": MODEL, "prompt": prompt});
        if !system_prompt.is_empty() {
            body["system_prompt"] = system_prompt.into();
        }
        body
    }
}

/// So many words.
fn prose(words: usize) -> String {
    let all = [
        "what ",
        "is ",
        "told ",
        "here, ",
        "\"briefly\", ",
        "is ",
        "told ",
        "once ",
        "more.\n",
        "Then ",
    ];
    all.iter().cycle().take(words).copied().collect()
}

/// Rounds of calls and their results.
fn work() -> Vec<Value> {
    let begin = json!({"role": "user", "content": format!("{MARK}: {}", prose(60))});
    let rounds = (0..3).flat_map(|round| {
        let arguments = json!({"path": format!("src/part_{round}.rs"), "text_0": prose(20)});
        let function = json!({"name": "tool_3", "arguments": arguments.to_string()});
        let id = format!("call_{round}");
        let call = json!({"id": id, "type": "function", "function": function});
        [
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": id, "content": prose(150)}),
        ]
    });
    std::iter::once(begin).chain(rounds).collect()
}

/// 25 tools of 3.5 kB each, most of which is told to people.
fn offered(tools: Tools) -> Value {
    let number = match tools {
        Tools::Same => "No. 1",
        Tools::New => MARK,
    };
    let described = |text: usize| {
        let about = json!({"type": "string", "description": prose(50)});
        (format!("text_{text}"), about)
    };
    let others = [
        ("path", json!({"type": "string", "minLength": 1})),
        (
            "mode",
            json!({"type": "string", "enum": ["read", "write", "append"]}),
        ),
        (
            "lines",
            json!({"type": "array", "items": {"type": "integer", "minimum": 0}}),
        ),
    ];
    let others = others.map(|(name, schema)| (name.to_owned(), schema));
    let properties: serde_json::Map<_, _> = (0..4).map(described).chain(others).collect();
    let parameters = json!({
        "type": "object", "properties": properties, "required": ["path"],
        "additionalProperties": false,
    });
    let description = format!("{number}: {}", prose(320));
    let tool = |at: usize| {
        let name = format!("tool_{at}");
        let function = json!({"name": name, "description": description, "parameters": parameters});
        json!({"type": "function", "function": function})
    };
    (0..25).map(tool).collect::<Vec<_>>().into()
}

/// A schema of usual size, with a part that is referred to.
fn schema() -> Value {
    let step = json!({
        "type": "object",
        "properties": {
            "explanation": {"type": "string", "description": prose(12)},
            "output": {"type": "string", "description": prose(12)},
            "certainty": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["explanation", "output", "certainty"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "kind": {"type": "string", "enum": ["sum", "product", "other"]},
            "answer": {"type": "string"},
        },
        "required": ["steps", "kind", "answer"],
        "additionalProperties": false,
        "$defs": {"step": step},
    })
}
