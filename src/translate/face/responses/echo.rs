//! What a response repeats of its request.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fields::conversation_id;
use crate::translate::ask::Priority;
use crate::translate::draft::Draft;
use crate::translate::face::objects::{write_in_one_line, write_json};
use crate::wire::openai::responses::{ReasoningRequest, TextOptions, ToolChoice};
use crate::wire::text::Text;

/// Fields that are repeated as they were sent, and what stands in their place if they were not.
const REPEATED: [(&str, &str); 11] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

/// Fields that say the same in every response: fal has no such controls.
const ALWAYS: &str = r#","top_logprobs":0,"frequency_penalty":0.0,"presence_penalty":0.0"#;

/// The `reasoning` of a request that says nothing of it.
const NO_REASONING: &str = r#"{"effort":null,"summary":null}"#;
/// The longest value that is repeated in brief, in bytes of JSON.
const BRIEF: usize = 128;

/// Members of a response, as JSON from the first comma on.
#[derive(Debug, Default)]
pub struct Echo {
    all: Vec<u8>,
    /// The same in brief, where it is not the same.
    brief: Option<Vec<u8>>,
    /// Whether the response says that it is kept.
    pub is_kept: bool,
    /// Whether the response is made while nobody waits for it.
    pub is_background: bool,
    /// The conversation that it is added to if it is kept.
    conversation: Option<String>,
    /// When the response was complete, in seconds since 1970: the same wherever it is written.
    completed_unix_s: OnceCell<u64>,
}

impl Echo {
    /// What the response to a request repeats, and whether it is kept.
    pub fn of(draft: &Draft<'_>, is_kept: bool) -> Self {
        let mut echo = Self {
            is_kept,
            is_background: is_background(draft),
            conversation: draft
                .kept("conversation")
                .and_then(|field| conversation_id(&field).ok())
                .map(Cow::into_owned),
            ..Self::default()
        };
        for (name, otherwise) in REPEATED {
            let value = draft
                .kept(name)
                .map_or(otherwise, |field| field.value.get());
            echo.member(name, value, otherwise);
        }
        echo.member("service_tier", tier(draft), "\"default\"");
        echo.member("reasoning", &reasoning(draft), NO_REASONING);
        echo.member("text", &text(draft), "{\"format\":{\"type\":\"text\"}}");
        echo.member("tool_choice", &tool_choice(draft), "\"auto\"");
        let tools = tools(draft.kept("tools").map(|field| field.value));
        echo.member("tools", &tools, "[]");
        let is_background = echo.is_background;
        for out in [Some(&mut echo.all), echo.brief.as_mut()]
            .into_iter()
            .flatten()
        {
            out.extend_from_slice(ALWAYS.as_bytes());
            let rest = format!(r#","background":{is_background},"user":null"#);
            out.extend_from_slice(rest.as_bytes());
            // It lies there until the answer's end.
            out.shrink_to_fit();
        }
        echo
    }

    /// Whether the response is to be added to a conversation.
    pub fn has_conversation(&self) -> bool {
        self.conversation.is_some()
    }

    /// When the response was complete, which it is now at the latest.
    pub fn completed_unix_s(&self, clock: fn() -> u64) -> u64 {
        *self.completed_unix_s.get_or_init(clock)
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.all.len()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.all);
        self.write_kept(out);
    }

    /// Writes it so that it can be sent again and again: what is long is left at what it would be
    /// without the request.
    pub fn write_brief(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.brief.as_ref().unwrap_or(&self.all));
        self.write_kept(out);
    }

    fn write_kept(&self, out: &mut Vec<u8>) {
        let kept: &[u8] = if self.is_kept { b"true" } else { b"false" };
        out.extend_from_slice(b",\"store\":");
        out.extend_from_slice(kept);
        if let Some(id) = &self.conversation {
            out.extend_from_slice(b",\"conversation\":");
            // What was not added to it does not belong to it.
            let named = self.is_kept.then(|| BTreeMap::from([("id", id)]));
            write_json(out, &named);
        }
    }

    fn member(&mut self, name: &str, value: &str, otherwise: &str) {
        if value.len() > BRIEF {
            let brief = self.brief.get_or_insert_with(|| self.all.clone());
            write_member(brief, name, otherwise);
        } else if let Some(brief) = &mut self.brief {
            write_member(brief, name, value);
        }
        write_member(&mut self.all, name, value);
    }
}

fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_in_one_line(out, value);
}

/// Whether a request asks for a response that is made while nobody waits for it.
pub fn is_background(draft: &Draft<'_>) -> bool {
    let field = draft.kept("background");
    field.is_some_and(|field| field.value.get() == "true")
}

/// The tier that was taken, in OpenAI's words.
fn tier(draft: &Draft<'_>) -> &'static str {
    match draft.service_tier {
        None => "\"default\"",
        Some(Priority::Throughput) => "\"flex\"",
        Some(Priority::Latency) => "\"priority\"",
    }
}

fn reasoning(draft: &Draft<'_>) -> String {
    let raw = draft.kept("reasoning").map(|field| field.value.get());
    let asked = raw.and_then(|raw| serde_json::from_str::<ReasoningRequest<'_>>(raw).ok());
    let word = |text: Option<Text<'_>>| {
        let json = text.map(|Text(text)| serde_json::to_string(&text));
        json.and_then(Result::ok)
            .unwrap_or_else(|| "null".to_owned())
    };
    let (effort, summary) = match asked {
        Some(asked) => (asked.effort, asked.summary.or(asked.generate_summary)),
        None => (None, None),
    };
    format!(
        "{{\"effort\":{},\"summary\":{}}}",
        word(effort),
        word(summary)
    )
}

/// A format is always there, also where the request has `{}`.
fn text(draft: &Draft<'_>) -> String {
    let raw = draft.kept("text").map(|field| field.value.get());
    let asked = raw.and_then(|raw| serde_json::from_str::<TextOptions<'_>>(raw).ok());
    let format = asked.as_ref().and_then(|asked| asked.format);
    let format = format.map_or("{\"type\":\"text\"}", RawValue::get);
    let verbosity = asked.and_then(|asked| asked.verbosity);
    match verbosity.and_then(|Text(level)| serde_json::to_string(&level).ok()) {
        Some(level) => format!("{{\"format\":{format},\"verbosity\":{level}}}"),
        None => format!("{{\"format\":{format}}}"),
    }
}

/// As it was asked, in this API's form where it was asked in that of chat completions.
fn tool_choice(draft: &Draft<'_>) -> String {
    let Some(raw) = draft.kept("tool_choice").map(|field| field.value.get()) else {
        return "\"auto\"".to_owned();
    };
    let choice = serde_json::from_str::<ToolChoice<'_>>(raw).ok();
    let named = choice.and_then(|choice| choice.function);
    match named.and_then(|named| serde_json::to_string(&named.name.0).ok()) {
        Some(name) => format!("{{\"type\":\"function\",\"name\":{name}}}"),
        None => raw.to_owned(),
    }
}

/// All tools, also those that are not offered. A function says always whether it is strict and
/// what it takes, because typed clients look for it.
fn tools(raw: Option<&RawValue>) -> String {
    let mut out = String::from("[");
    let tools = raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    for (at, tool) in tools.into_iter().flatten().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let members: BTreeMap<Text<'_>, &RawValue> =
            serde_json::from_str(tool.get()).unwrap_or_default();
        let has = |name: &str| members.keys().any(|key| key.as_str() == name);
        let is_function = members
            .iter()
            .any(|(key, value)| key.as_str() == "type" && value.get() == "\"function\"");
        if !is_function || (has("strict") && has("parameters")) {
            out.push_str(tool.get());
            continue;
        }
        out.push('{');
        for (key, value) in &members {
            out.push_str(&serde_json::to_string(&key.0).unwrap_or_default());
            out.push(':');
            out.push_str(value.get());
            out.push(',');
        }
        let missing = [
            ("strict", "\"strict\":null"),
            ("parameters", "\"parameters\":null"),
        ];
        let missing = missing.into_iter().filter(|(name, _)| !has(name));
        let missing: Vec<_> = missing.map(|(_, json)| json).collect();
        out.push_str(&missing.join(","));
        out.push('}');
    }
    out.push(']');
    out
}
