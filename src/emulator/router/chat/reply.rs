//! What the model answers, before it is written down.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use ring::digest::{SHA256, digest};
use serde_json::Value;
use uuid::Uuid;

use super::{
    logprobs,
    request::{Request, Wish, text_of},
};
use crate::emulator::{
    llm::{
        EMULATOR_TAG, Input, Variant,
        native::{self, Ask, Duty, Message, Offered},
    },
    router::{
        cards::{Card, Reasoning},
        usage::{Tally, Usage},
    },
    script::{Behaviour, Quirk},
};

/// Characters that count as one token when `max_tokens` cuts an answer.
const CHARS_PER_TOKEN: usize = 4;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) text: String,
    /// Empty where there is none, or none is shown.
    pub(super) reasoning: String,
    pub(super) calls: Vec<Call>,
    pub(super) finish: &'static str,
    pub(super) usage: Usage,
    /// How many of the likeliest tokens are told in the place of each, where probabilities are.
    pub(super) top_logprobs: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, unless it was cut.
    pub(super) arguments: String,
}

/// The answer to a request that was admitted.
pub(super) fn compose(
    request: &Request,
    card: &'static Card,
    tag: bool,
    behaviour: &Behaviour,
) -> Reply {
    let mut draft = draft(request, card, tag, behaviour);
    if card.stops() {
        draft.stop(&request.stop);
    }
    if let Some(most) = request.max_tokens {
        draft.shorten(most.saturating_mul(CHARS_PER_TOKEN));
    }
    let Draft {
        mut text,
        mut reasoning,
        calls,
        finish,
    } = draft;
    let written: String = calls.iter().map(|call| call.arguments.as_str()).collect();
    let read = texts(request);
    let images = request.parts("image_url").len();
    let tally = Tally::new(card, read.iter().map(String::as_str), images);
    let usage = tally.usage(&(text.clone() + &written), &reasoning);
    if behaviour.has(Quirk::InlineThink) && !reasoning.is_empty() {
        text = format!("<think>\n{reasoning}\n</think>\n\n{text}");
        reasoning.clear();
    }
    if request.hides_reasoning {
        reasoning.clear();
    }
    Reply {
        id: format!("gen-{}", Uuid::new_v4().simple()),
        created: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        model: request.model.clone(),
        text,
        reasoning,
        calls,
        finish,
        usage,
        top_logprobs: logprobs::wanted(&request.body).filter(|_| card.tells_logprobs()),
    }
}

/// What the model would say if nothing ended it.
struct Draft {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
    finish: &'static str,
}

fn draft(request: &Request, card: &Card, tag: bool, behaviour: &Behaviour) -> Draft {
    let said = native::answer(&ask(request), behaviour);
    let mut text = said.text;
    if tag && !said.exact {
        text.insert_str(0, EMULATOR_TAG);
    }
    if behaviour.has(Quirk::Empty) {
        text.clear();
    }
    let thinks = match card.reasoning {
        Reasoning::Never => false,
        Reasoning::Optional => request.reasoning == Wish::On,
        Reasoning::Mandatory => true,
    };
    let calls = said.calls.into_iter().map(|(name, arguments)| Call {
        id: format!("call_{}", Uuid::new_v4().simple()),
        name,
        arguments: arguments.to_string(),
    });
    let calls: Vec<Call> = calls.collect();
    Draft {
        reasoning: if thinks {
            said.reasoning
        } else {
            String::new()
        },
        finish: if calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        },
        text,
        calls,
    }
}

impl Draft {
    /// Ends before the first of these sequences.
    fn stop(&mut self, sequences: &[String]) {
        let found = sequences
            .iter()
            .filter_map(|stop| self.text.find(stop.as_str()));
        if let Some(at) = found.min() {
            self.text.truncate(at);
            self.calls.clear();
            self.finish = "stop";
        }
    }

    /// Cuts what comes after so many characters: the reasoning is first, then the text, then calls.
    fn shorten(&mut self, mut room: usize) {
        let mut is_cut = false;
        let mut fit = |piece: &mut String| {
            let end = piece.char_indices().nth(room).map(|(at, _)| at);
            room -= room.min(piece.chars().count());
            if let Some(end) = end {
                piece.truncate(end);
                is_cut = true;
            }
        };
        fit(&mut self.reasoning);
        fit(&mut self.text);
        self.calls
            .iter_mut()
            .for_each(|call| fit(&mut call.arguments));
        if is_cut {
            self.calls.retain(|call| !call.arguments.is_empty());
            self.finish = "length";
        }
    }
}

/// Stands for what a provider signs, so that a changed text is found out when it comes back, and one
/// of another model.
pub(super) fn signature(model: &str, text: &str) -> String {
    let name = model.split(':').next().unwrap_or(model);
    let hash = digest(&SHA256, format!("{name}\n{text}").as_bytes());
    hash.as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// All that the model reads.
fn texts(request: &Request) -> Vec<String> {
    let contents = request
        .messages
        .iter()
        .map(|message| text_of(message.get("content")));
    let tools = request.tools.iter().map(Value::to_string);
    contents.chain(tools).collect()
}

fn ask(request: &Request) -> Ask {
    let (system, messages) = conversation(request);
    let addresses = |kind: &str| -> Vec<String> {
        let pointer = format!("/{kind}/url");
        let parts = request.parts(kind).into_iter();
        parts
            .filter_map(|part| part.pointer(&pointer)?.as_str().map(str::to_owned))
            .collect()
    };
    let last = messages.last().map(|message| message.text.clone());
    Ask {
        input: Input {
            endpoint: "router/openai/v1/chat/completions",
            variant: Variant::Plain,
            prompt: last.unwrap_or_default(),
            system_prompt: system,
            model: request.model.clone(),
            reasoning: request.reasoning == Wish::On,
            priority: "latency",
            temperature: request.body.get("temperature").and_then(Value::as_f64),
            max_tokens: request.max_tokens.and_then(|most| i64::try_from(most).ok()),
            image_urls: addresses("image_url"),
            audio_url: recording(request),
            video_urls: addresses("video_url"),
        },
        messages,
        tools: request.tools.iter().filter_map(offered).collect(),
        duty: duty(request.body.get("tool_choice")),
        one_call: request.body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
        schema: request.body.get("response_format").and_then(schema),
    }
}

/// The first recording, as the prompt faces take it.
fn recording(request: &Request) -> Option<String> {
    let parts = request.parts("input_audio");
    let audio = parts.first()?.get("input_audio")?;
    let field = |name: &str| audio.get(name).and_then(Value::as_str);
    let (format, data) = (field("format")?, field("data")?);
    Some(format!("data:audio/{format};base64,{data}"))
}

/// The instructions, and what was said besides.
fn conversation(request: &Request) -> (Option<String>, Vec<Message>) {
    let mut called = BTreeMap::new();
    let mut messages = Vec::new();
    let mut system = Vec::new();
    for message in &request.messages {
        let field = |name: &str| {
            message
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let calls = message.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            let id = call.get("id").and_then(Value::as_str);
            let name = call.pointer("/function/name").and_then(Value::as_str);
            called.extend(id.zip(name));
        }
        let text = text_of(message.get("content"));
        match field("role") {
            "system" | "developer" => system.push(text),
            role => messages.push(Message {
                role: role.to_owned(),
                text,
                tool: called
                    .get(field("tool_call_id"))
                    .map(|name| (*name).to_owned()),
            }),
        }
    }
    let system = Some(system.join("\n\n")).filter(|system| !system.is_empty());
    (system, messages)
}

fn duty(choice: Option<&Value>) -> Duty {
    match choice {
        Some(Value::String(word)) if word == "none" => Duty::Never,
        Some(Value::String(word)) if word == "required" => Duty::Any,
        Some(choice) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            name.map_or(Duty::Free, |name| Duty::Named(name.to_owned()))
        }
        None => Duty::Free,
    }
}

fn schema(format: &Value) -> Option<Value> {
    match format.get("type")?.as_str()? {
        "json_schema" => format.pointer("/json_schema/schema").cloned(),
        "json_object" => Some(Value::Bool(true)),
        _ => None,
    }
}

fn offered(tool: &Value) -> Option<Offered> {
    let function = tool.get("function")?;
    let text = |field| function.get(field).and_then(Value::as_str);
    Some(Offered {
        name: text("name")?.to_owned(),
        description: text("description").unwrap_or_default().to_owned(),
        parameters: function
            .get("parameters")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({ "type": "object" })),
    })
}
