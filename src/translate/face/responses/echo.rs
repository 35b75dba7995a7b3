//! What a response repeats of its request.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::translate::ask::Priority;
use crate::translate::draft::Draft;
use crate::translate::face::objects::write_json;
use crate::wire::openai::responses::{ReasoningRequest, TextOptions, ToolChoice};
use crate::wire::text::Text;

/// Fields that are repeated as they were sent, and what stands in their place if they were not.
const REPEATED: [(&str, &str); 10] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

/// Fields that say the same in every response: nothing is kept, and fal has no such controls.
const ALWAYS: &str = concat!(
    r#","top_logprobs":0,"frequency_penalty":0.0,"presence_penalty":0.0"#,
    r#","background":false,"previous_response_id":null,"store":false,"user":null"#
);

/// Members of a response, as JSON from the first comma on.
#[derive(Debug)]
pub struct Echo(Vec<u8>);

impl Echo {
    /// What the response to a request repeats.
    pub fn of(draft: &Draft<'_>) -> Self {
        let mut out = Vec::new();
        for (name, otherwise) in REPEATED {
            let value = draft
                .kept(name)
                .map_or(otherwise, |field| field.value.get());
            member(&mut out, name, value);
        }
        member(&mut out, "service_tier", tier(draft));
        member(&mut out, "reasoning", &reasoning(draft));
        member(&mut out, "text", &text(draft));
        member(&mut out, "tool_choice", &tool_choice(draft));
        out.extend_from_slice(b",\"tools\":[");
        write_tools(&mut out, draft.kept("tools").map(|field| field.value));
        out.push(b']');
        out.extend_from_slice(ALWAYS.as_bytes());
        Self(out)
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value.as_bytes());
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
fn write_tools(out: &mut Vec<u8>, raw: Option<&RawValue>) {
    let tools = raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
    for (at, tool) in tools.into_iter().flatten().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let members: BTreeMap<Text<'_>, &RawValue> =
            serde_json::from_str(tool.get()).unwrap_or_default();
        let has = |name: &str| members.keys().any(|key| key.as_str() == name);
        let is_function = members
            .iter()
            .any(|(key, value)| key.as_str() == "type" && value.get() == "\"function\"");
        if !is_function || (has("strict") && has("parameters")) {
            out.extend_from_slice(tool.get().as_bytes());
            continue;
        }
        out.push(b'{');
        for (key, value) in &members {
            write_json(out, &key.0);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
            out.push(b',');
        }
        let missing = [
            ("strict", "\"strict\":null"),
            ("parameters", "\"parameters\":null"),
        ];
        let missing = missing.into_iter().filter(|(name, _)| !has(name));
        let missing: Vec<_> = missing.map(|(_, json)| json).collect();
        out.extend_from_slice(missing.join(",").as_bytes());
        out.push(b'}');
    }
}
