//! Streams as fal could send them: the whole text again and again, in many spellings, with every
//! kind of ending.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use fal_gateway::translate::plan::Recipe;

use crate::support::{self, Act, CAPABILITIES};

/// What happens from one event to the next.
#[derive(Clone, Debug)]
enum Change {
    Text(&'static str),
    Reasoning(&'static str),
    Repeat,
    /// This event alone says something else.
    Slip(&'static str),
    /// This event alone ends in a character that has not all come.
    Undecoded,
    Comment(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Final,
    FinalTrimmed,
    FinalElse,
    Missing,
    CutInside,
    Error,
    ErrorEvent,
    Garbage,
}

/// How an event is spelt.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Compact,
    Escaped,
    OtherOrder,
    Spaced,
    OverLines,
}

const PIECES: [&str; 23] = [
    "a",
    "b",
    "Hello",
    ", ",
    " ",
    "\n",
    "\n\n",
    "é",
    "🎈",
    "日本",
    "\"",
    "\\",
    "\\u",
    "\u{1}",
    "/",
    "END",
    "EN",
    "D",
    "<turn-",
    "The old pond",
    "<think>",
    "</think>",
    "</thi",
];

/// How some outputs begin, so that every rule about beginnings is met often enough.
const BEGINNINGS: [&str; 4] = ["<think>", "\n<think>\n", " <thi", "<think>a</think>\n\n"];

const SPELLINGS: [Spelling; 5] = [
    Spelling::Compact,
    Spelling::Escaped,
    Spelling::OtherOrder,
    Spelling::Spaced,
    Spelling::OverLines,
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => select(&PIECES[..]).prop_map(Change::Text),
        2 => select(&PIECES[..]).prop_map(Change::Reasoning),
        2 => Just(Change::Repeat),
        1 => select(&PIECES[..]).prop_map(Change::Slip),
        1 => Just(Change::Undecoded),
        1 => select(vec![":", ": ping", "id: 1", "retry: 5", "event: message", "unknown"])
            .prop_map(Change::Comment),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        6 => Just(End::Final),
        2 => Just(End::FinalTrimmed),
        1 => Just(End::FinalElse),
        2 => Just(End::Missing),
        1 => Just(End::CutInside),
        1 => Just(End::Error),
        1 => Just(End::ErrorEvent),
        1 => Just(End::Garbage),
    ]
}

/// A stream, as bytes, and what it says in the end if it says so without a slip.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// It closes properly, with all of its text, and never said anything else.
    pub(crate) is_complete: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\n{}\n", String::from_utf8_lossy(&self.bytes))
    }
}

pub(crate) fn stream() -> impl Strategy<Value = Stream> {
    let changes = vec(
        (change(), option::weighted(0.15, select(&SPELLINGS[..]))),
        0..14,
    );
    let spelling = select(&SPELLINGS[..]);
    let line_end = select(vec!["\n", "\r\n", "\r"]);
    let beginning = option::weighted(0.3, select(&BEGINNINGS[..]).prop_map(Change::Text));
    (changes, beginning, spelling, line_end, end(), any::<bool>()).prop_map(
        |(changes, beginning, spelling, line_end, end, has_mark)| {
            let mut writer = Writer {
                out: if has_mark {
                    "\u{feff}".to_owned()
                } else {
                    String::new()
                },
                line_end,
            };
            let (mut text, mut reasoning) = (String::new(), String::new());
            let has_slips = changes
                .iter()
                .any(|(change, _)| matches!(change, Change::Slip(_)));
            let beginning = beginning.map(|change| (change, None));
            for (change, other) in beginning.into_iter().chain(changes) {
                let spelling = other.unwrap_or(spelling);
                match change {
                    Change::Text(more) => text.push_str(more),
                    Change::Reasoning(more) => reasoning.push_str(more),
                    Change::Repeat => {}
                    Change::Slip(more) => {
                        let slip = format!("{}{more}", text.get(1..).unwrap_or("?"));
                        writer.event(&slip, &reasoning, true, spelling);
                        continue;
                    }
                    Change::Undecoded => {
                        writer.event(&format!("{text}\u{fffd}"), &reasoning, true, spelling);
                        continue;
                    }
                    Change::Comment(line) => {
                        writer.line(line);
                        continue;
                    }
                }
                writer.event(&text, &reasoning, true, spelling);
            }
            let mut stream = writer.finish(end, &text, &reasoning, spelling);
            stream.text = text;
            stream.reasoning = reasoning;
            stream.is_complete &= !has_slips;
            stream
        },
    )
}

struct Writer {
    out: String,
    line_end: &'static str,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push_str(self.line_end);
    }

    fn data(&mut self, data: &str) {
        for line in data.split('\n') {
            self.line(&format!("data: {line}"));
        }
        self.line("");
    }

    fn event(&mut self, text: &str, reasoning: &str, partial: bool, spelling: Spelling) {
        self.data(&spelt(text, reasoning, partial, spelling));
    }

    fn finish(mut self, end: End, text: &str, reasoning: &str, spelling: Spelling) -> Stream {
        match end {
            End::Final => self.event(text, reasoning, false, spelling),
            End::FinalTrimmed => self.event(text.trim_end(), reasoning.trim_end(), false, spelling),
            End::FinalElse => self.event(&format!("?{text}"), reasoning, false, spelling),
            End::Missing => {}
            End::CutInside => self.out.push_str("data: {\"output\": \"an"),
            End::Error => self.data("{\"output\":\"\",\"error\":\"boom\",\"partial\":false}"),
            End::ErrorEvent => {
                self.line("event: error");
                self.data("boom");
            }
            End::Garbage => self.data("<html>"),
        }
        Stream {
            bytes: self.out.into_bytes(),
            text: String::new(),
            reasoning: String::new(),
            is_complete: matches!(end, End::Final),
        }
    }
}

fn spelt(text: &str, reasoning: &str, partial: bool, spelling: Spelling) -> String {
    let reasoning = match reasoning {
        "" => Value::Null,
        some => json!(some),
    };
    let (text, reasoning) = (json!(text).to_string(), reasoning.to_string());
    match spelling {
        Spelling::Compact => {
            format!(
                "{{\"output\":{text},\"partial\":{partial},\"error\":null,\"reasoning\":{reasoning}}}"
            )
        }
        Spelling::Escaped => escaped(&format!(
            "{{\"output\":{text},\"partial\":{partial},\"error\":null,\"reasoning\":{reasoning}}}"
        )),
        Spelling::OtherOrder => {
            format!(
                "{{\"error\":null,\"reasoning\":{reasoning},\"usage\":{{\"output\":\"x\"}},\"partial\":{partial},\"output\":{text}}}"
            )
        }
        Spelling::Spaced => {
            format!(
                "{{ \"reasoning\" : {reasoning} , \"output\" : {text} , \"partial\" : {partial} }} "
            )
        }
        Spelling::OverLines => {
            format!(
                "{{\n \"output\": {text},\n\n \"reasoning\": {reasoning},\n \"partial\": {partial}\n}}"
            )
        }
    }
}

/// The same JSON with everything but ASCII as `\u` escapes, surrogate pairs where they must be.
fn escaped(json: &str) -> String {
    let mut units = [0u16; 2];
    json.chars()
        .map(|letter| match letter.is_ascii() {
            true => letter.to_string(),
            false => letter
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect(),
        })
        .collect()
}

/// Any way to feed bytes and to read in between.
pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0..30usize).prop_map(Act::Feed),
        1 => (30..400usize).prop_map(Act::Feed),
        3 => Just(Act::Read),
    ];
    vec(act, 0..30)
}

/// What requests may ask of the reading: stop sequences, shown reasoning, a record's key, a prefill.
pub(crate) fn reading() -> impl Strategy<Value = Recipe> {
    let stop = vec(
        select(vec!["END", "ENDEND", "\n\n", "a", "🎈", "lo, ", "\"\\"]),
        0..3,
    );
    let prefill = option::weighted(
        0.2,
        select(vec![
            "a",
            "Hello",
            "The old pond",
            "The old pondThe old pond",
        ]),
    );
    let max_tokens = option::weighted(0.3, 1..20u64);
    (stop, prefill, max_tokens, any::<bool>(), any::<bool>()).prop_map(
        |(stop, prefill, max_tokens, show_reasoning, is_record)| {
            let mut messages = vec![json!({"role": "user", "content": "Hi"})];
            if is_record {
                messages.push(json!({"role": "assistant", "content": "Hello"}));
                messages.push(json!({"role": "user", "content": "And?"}));
            }
            messages.extend(prefill.map(|text| json!({"role": "assistant", "content": text})));
            let mut request = Map::new();
            request.insert("messages".to_owned(), Value::Array(messages));
            request.insert("stop".to_owned(), json!(stop));
            request.insert("max_tokens".to_owned(), json!(max_tokens));
            request.insert("include_reasoning".to_owned(), json!(show_reasoning));
            let body = Value::Object(request).to_string();
            support::plan(body.as_bytes(), &CAPABILITIES)
                .unwrap()
                .reading
        },
    )
}
