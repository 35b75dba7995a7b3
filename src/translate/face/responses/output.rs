//! The items of an answer and the response around them, as JSON (source: OpenAI's `Response`,
//! `OutputItem`).

use std::io::Write;

use super::echo::Echo;
use super::exposed::{Exposed, Names};
use crate::translate::face::calls::call_id;
use crate::translate::face::objects::{ResponseMeta, write_json};
use crate::translate::face::state::{Record, RecordItem, RecordKind};
use crate::translate::reading::{Call, FinishReason, Usage};
use crate::translate::tools::text::text_of_arguments;

/// How far an item or a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing has begun yet.
    Queued,
    InProgress,
    Completed,
    /// It broke off at `max_output_tokens`.
    Incomplete,
    /// The upstream has cut it off for what it says.
    Filtered,
    Failed,
    Cancelled,
}

impl Status {
    /// How an answer ends that is over for this reason.
    pub fn of(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls => {
                Self::Completed
            }
            FinishReason::Length => Self::Incomplete,
            FinishReason::ContentFilter => Self::Filtered,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete | Self::Filtered => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How many letters behind its prefix an item's id has in common with that of its response, by which it is
/// found. They are a third of them: who knows the one can guess the other no more than before.
const COMMON: usize = 16;
/// How many letters an id has behind its prefix.
const LETTERS: usize = 48;

/// The id of an item: unique as the response's own is, and the same whenever it is asked for. `seed` is
/// the response's id, or begins with it.
pub fn item_id(prefix: &str, seed: &str, index: usize) -> String {
    let rest = seed
        .strip_prefix("resp_")
        .filter(|rest| rest.len() >= LETTERS);
    let (common, rest) = rest
        .and_then(|rest| rest.split_at_checked(COMMON))
        .unwrap_or(("", seed));
    let seed = [rest, "/", prefix, &index.to_string()].concat();
    let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    // A formatter would take as long for it as all the rest of an item.
    let mut letters = [0; 64];
    let (pairs, _) = letters.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(digest.as_ref()) {
        *pair = [byte >> 4, byte & 0xf].map(hex_digit);
    }
    let letters = std::str::from_utf8(&letters).unwrap_or_default();
    let (letters, _) = letters
        .split_at_checked(LETTERS.saturating_sub(common.len()))
        .unwrap_or((letters, ""));
    [prefix, common, letters].concat()
}

fn hex_digit(half: u8) -> u8 {
    match half {
        0..=9 => b'0' + half,
        _ => b'a' - 10 + half,
    }
}

/// The finished items of an answer, as they are written.
#[derive(Debug)]
pub struct Output {
    response: String,
    json: Vec<u8>,
    /// The id of each, and where it ends.
    ends: Vec<(String, usize)>,
}

impl Output {
    /// No items yet, of the response of this id.
    pub fn new(response: &str) -> Self {
        Self {
            response: response.to_owned(),
            json: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// All items, separated by commas.
    pub fn items(&self) -> &[u8] {
        &self.json
    }

    /// How many there are, which is the index of the next one.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Each item by itself.
    fn each(&self) -> impl Iterator<Item = RecordItem> {
        let mut begin = 0;
        self.ends.iter().map(move |(id, end)| {
            let json = self.json.get(begin..*end).unwrap_or_default();
            // Behind it comes a comma.
            begin = end + 1;
            RecordItem {
                id: id.clone(),
                body: std::str::from_utf8(json).unwrap_or_default().to_owned(),
            }
        })
    }

    /// The id of the next item, if it is of this kind.
    pub fn next_id(&self, prefix: &str) -> String {
        item_id(prefix, &self.response, self.count())
    }

    /// A message that says this. Gives the item that was added.
    pub fn message(&mut self, text: &str, status: Status) -> &[u8] {
        let id = self.next_id("msg_");
        self.add(&id, |out| {
            write_message(out, &id, status, |out| write_text_part(out, text))
        })
    }

    /// A message that declines in these words.
    pub fn refusal(&mut self, words: &str) -> &[u8] {
        let id = self.next_id("msg_");
        let part = |out: &mut Vec<u8>| write_refusal_part(out, words);
        self.add(&id, |out| write_message(out, &id, Status::Completed, part))
    }

    /// What was thought.
    pub fn reasoning(&mut self, text: &str, status: Status) -> &[u8] {
        let id = self.next_id("rs_");
        self.add(&id, |out| {
            write_reasoning(out, &id, status, |out| write_summary_part(out, text))
        })
    }

    /// A call, under the name that the caller knows.
    pub fn call(&mut self, call: &Call, names: &Names) -> &[u8] {
        let written = CallItem::new(self, call, names);
        self.add(&written.id, |out| {
            written.write(out, Status::Completed, &written.given(call))
        })
    }

    /// An answer without anything in it is a message that says nothing: clients look for one.
    pub fn close(&mut self, status: Status) {
        if self.count() == 0 {
            self.message("", status);
        }
    }

    fn add(&mut self, id: &str, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        if self.count() > 0 {
            self.json.push(b',');
        }
        let begin = self.json.len();
        write(&mut self.json);
        self.ends.push((id.to_owned(), self.json.len()));
        self.json.get(begin..).unwrap_or_default()
    }
}

/// What an item says of a call, whatever it is called with.
#[derive(Debug)]
pub struct CallItem {
    pub id: String,
    call_id: String,
    name: String,
    namespace: Option<String>,
    pub is_custom: bool,
}

impl CallItem {
    /// The next item of an output.
    pub fn new(output: &Output, call: &Call, names: &Names) -> Self {
        let exposed = names.meant_by(&call.name);
        let is_custom = exposed.is_some_and(|exposed| exposed.is_custom);
        let (name, namespace) = match exposed {
            Some(Exposed {
                name, namespace, ..
            }) => (name.clone(), namespace.clone()),
            None => (call.name.clone(), None),
        };
        Self {
            id: output.next_id(if is_custom { "ctc_" } else { "fc_" }),
            call_id: call_id("call_", &output.response, 0, call.index),
            name,
            namespace,
            is_custom,
        }
    }

    /// The name that the caller knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the tool is given: arguments, or a text.
    pub fn given<'c>(&self, call: &'c Call) -> std::borrow::Cow<'c, str> {
        match self.is_custom {
            true => text_of_arguments(&call.arguments),
            false => call.arguments.as_str().into(),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>, status: Status, given: &str) {
        let (kind, field) = match self.is_custom {
            true => ("custom_tool_call", "input"),
            false => ("function_call", "arguments"),
        };
        let (id, call_id) = (&self.id, &self.call_id);
        let _ = write!(
            out,
            "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"status\":\"{}\"",
            status.name()
        );
        let _ = write!(out, ",\"call_id\":\"{call_id}\",\"name\":");
        write_json(out, &self.name);
        if let Some(namespace) = &self.namespace {
            out.extend_from_slice(b",\"namespace\":");
            write_json(out, namespace);
        }
        let _ = write!(out, ",\"{field}\":");
        write_json(out, given);
        out.push(b'}');
    }
}

pub fn write_message(
    out: &mut Vec<u8>,
    id: &str,
    status: Status,
    write_content: impl FnOnce(&mut Vec<u8>),
) {
    let status = status.name();
    let _ = write!(
        out,
        "{{\"id\":\"{id}\",\"type\":\"message\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":["
    );
    write_content(out);
    out.extend_from_slice(b"]}");
}

pub fn write_reasoning(
    out: &mut Vec<u8>,
    id: &str,
    status: Status,
    write_summary: impl FnOnce(&mut Vec<u8>),
) {
    let status = status.name();
    let _ = write!(
        out,
        "{{\"id\":\"{id}\",\"type\":\"reasoning\",\"status\":\"{status}\",\"summary\":["
    );
    write_summary(out);
    out.extend_from_slice(b"]}");
}

pub fn write_text_part(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"type\":\"output_text\",\"text\":");
    write_json(out, text);
    out.extend_from_slice(b",\"annotations\":[],\"logprobs\":[]}");
}

pub fn write_refusal_part(out: &mut Vec<u8>, words: &str) {
    out.extend_from_slice(b"{\"type\":\"refusal\",\"refusal\":");
    write_json(out, words);
    out.push(b'}');
}

pub fn write_summary_part(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"type\":\"summary_text\",\"text\":");
    write_json(out, text);
    out.push(b'}');
}

/// What changes in the object of a response.
#[derive(Debug)]
pub struct Shown<'s> {
    pub status: Status,
    /// Items, separated by commas.
    pub output: &'s [u8],
    pub usage: Option<Usage>,
    /// Code and message of what went wrong.
    pub error: Option<(&'s str, &'s str)>,
    /// Whether little is repeated of the request.
    pub is_brief: bool,
}

/// Writes the object; `notes` is a member of it, or nothing.
pub fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseMeta,
    shown: &Shown<'_>,
    echo: &Echo,
    notes: &[u8],
) {
    write_before_output(out, head, shown, echo);
    out.extend_from_slice(shown.output);
    write_behind_output(out, shown, echo);
    out.extend_from_slice(notes);
    out.push(b'}');
}

/// A response as it is kept.
#[derive(Debug)]
pub struct Recorded {
    status: Status,
    /// Its JSON before the items of its output, and behind them but for the last brace.
    before: Vec<u8>,
    behind: Vec<u8>,
    output: Output,
}

impl Recorded {
    /// The response with these items.
    pub fn new(head: &ResponseMeta, shown: &Shown<'_>, echo: &Echo, output: Output) -> Self {
        let (before, behind) = around(head, shown, echo);
        Self {
            status: shown.status,
            before,
            behind,
            output,
        }
    }

    /// For the store.
    pub fn record(&self) -> Record {
        record(
            self.status,
            (self.before.clone(), self.behind.clone()),
            &self.output,
        )
    }

    /// All of it; `notes` is a member of it, or nothing.
    pub fn to_json(&self, notes: &[u8]) -> Vec<u8> {
        [&self.before, self.output.items(), &self.behind, notes, b"}"].concat()
    }
}

/// A response as it is kept: what stands around the items of its output, and these.
pub fn recorded(head: &ResponseMeta, shown: &Shown<'_>, echo: &Echo, output: &Output) -> Record {
    record(shown.status, around(head, shown, echo), output)
}

fn around(head: &ResponseMeta, shown: &Shown<'_>, echo: &Echo) -> (Vec<u8>, Vec<u8>) {
    let mut before = Vec::with_capacity(512);
    let mut behind = Vec::with_capacity(512 + echo.size());
    write_before_output(&mut before, head, shown, echo);
    write_behind_output(&mut behind, shown, echo);
    (before, behind)
}

fn record(status: Status, (before, mut behind): (Vec<u8>, Vec<u8>), output: &Output) -> Record {
    behind.push(b'}');
    let text = |json: Vec<u8>| String::from_utf8(json).unwrap_or_default();
    Record {
        status: status.name(),
        head: text(before),
        tail: text(behind),
        output: output.each().collect(),
        kind: RecordKind::Response,
    }
}

fn write_before_output(out: &mut Vec<u8>, head: &ResponseMeta, shown: &Shown<'_>, echo: &Echo) {
    out.extend_from_slice(b"{\"id\":");
    write_json(out, &head.id);
    let (created, status) = (head.created_unix_s, shown.status.name());
    let _ = write!(
        out,
        ",\"object\":\"response\",\"created_at\":{created},\"status\":\"{status}\",\"completed_at\":"
    );
    let completed = (shown.status == Status::Completed).then(|| echo.completed_unix_s(head.clock));
    write_json(out, &completed);
    out.extend_from_slice(b",\"error\":");
    match shown.error {
        None => out.extend_from_slice(b"null"),
        Some((code, message)) => {
            let _ = write!(out, "{{\"code\":\"{code}\",\"message\":");
            write_json(out, message);
            out.push(b'}');
        }
    }
    let incomplete: &[u8] = match shown.status {
        Status::Incomplete => b"{\"reason\":\"max_output_tokens\"}",
        Status::Filtered => b"{\"reason\":\"content_filter\"}",
        _ => b"null",
    };
    out.extend_from_slice(b",\"incomplete_details\":");
    out.extend_from_slice(incomplete);
    out.extend_from_slice(b",\"model\":");
    write_json(out, &head.model);
    out.extend_from_slice(b",\"output\":[");
}

/// All that stands there but for the last brace.
fn write_behind_output(out: &mut Vec<u8>, shown: &Shown<'_>, echo: &Echo) {
    out.extend_from_slice(b"],\"usage\":");
    write_usage(out, shown.usage);
    match shown.is_brief {
        true => echo.write_brief(out),
        false => echo.write(out),
    }
}

/// The tokens, and what they cost in dollars where it is known.
fn write_usage(out: &mut Vec<u8>, usage: Option<Usage>) {
    let Some(usage) = usage else {
        return out.extend_from_slice(b"null");
    };
    let (input, output, thought) = (usage.prompt, usage.completion, usage.reasoning);
    let (cached, total) = (usage.cached, input.saturating_add(output));
    let _ = write!(
        out,
        "{{\"input_tokens\":{input},\"input_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":0}},\
         \"output_tokens\":{output},\"output_tokens_details\":{{\"reasoning_tokens\":{thought}}},\
         \"total_tokens\":{total}"
    );
    if let Some(cost) = usage.cost {
        out.extend_from_slice(b",\"cost\":");
        write_json(out, &cost.in_dollars().to_f64());
    }
    out.push(b'}');
}
