//! The steps that are measured. Each case prepares its work, which is then measured alone.

use std::borrow::Borrow;
use std::fmt;
use std::hint::black_box;
use std::rc::Rc;

use fal_gateway::engine::terms::{KnownTerms, TermsOwner};
use fal_gateway::translate::face::answer::{AnswerSink, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::chat::messages::MessageLimits;
use fal_gateway::translate::face::chat::parse::parse;
use fal_gateway::translate::face::chat::write::ChatChunks;
use fal_gateway::translate::face::objects::UsageChunk;
use fal_gateway::translate::model::{Catalogue, Changes};
use fal_gateway::translate::plan::{self, candidates};
use fal_gateway::translate::reading::{Event, Format, Reader, ReaderLimits, Sink};
use fal_gateway::translate::upstream::UpstreamId;
use fal_gateway::upstream::FalKey;

use crate::asked::{Asked, Texts, Tools};
use crate::support::{CAPABILITIES, Face, MESSAGE_LIMITS, chat_json, chat_stream, plan};

/// A step, done several times.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often the step is done in the work that is prepared.
    pub(crate) operations: usize,
    pub(crate) prepare: fn() -> Box<dyn FnOnce()>,
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// An event of any-llm that repeats hardly any text, and one of the native face that says the same: how
/// the decoders compare where what any-llm repeats is left aside.
pub(crate) const ANY_LLM_EVENT: &str = "event without its repeated text";
pub(crate) const NATIVE_EVENT: &str = "event of the native face";

const EVENTS: usize = 32;
/// What the first of two events says.
const FIRST: &str = "W";
const PIECES: usize = 256;

pub(crate) const CASES: &[Case] = &[
    case("event after 1 KiB of text", EVENTS, || events_after(1)),
    case("event after 8 KiB of text", EVENTS, || events_after(8)),
    case("event after 32 KiB of text", EVENTS, || events_after(32)),
    case("event after 128 KiB of text", EVENTS, || events_after(128)),
    case("event after 8 KiB that has to be parsed", EVENTS, || {
        read_singly(8, |text| {
            let length = text.len();
            format!(r#"{{"length": {length}, "output": "{text}", "partial": true}}"#)
        })
    }),
    case(ANY_LLM_EVENT, EVENTS, || {
        second_events(UpstreamId::AnyLlm, |before, new| {
            event(&fal_json(&format!("{before}{new}")))
        })
    }),
    case(NATIVE_EVENT, EVENTS, || {
        second_events(UpstreamId::RouterOpenai, |_, new| chunk_event(new))
    }),
    case("event of a burst of 200", 200, burst),
    case("chunk with a delta", PIECES, chunk),
    case("request of one message", 1, || planned(1, "")),
    case("request of 15 messages", 1, || planned(15, "")),
    case("request of one message with two tools", 1, || {
        planned(1, TOOLS)
    }),
    case("request of 4 messages", 1, || seen(Asked::Messages(4))),
    case("request of 60 messages", 1, || seen(Asked::Messages(60))),
    case("request of an agent with 25 new tools", 1, || {
        unseen(Asked::Agent(Tools::New))
    }),
    case("request of an agent with 25 tools seen before", 1, || {
        seen(Asked::Agent(Tools::Same))
    }),
    case("request with a new strict schema", 1, || {
        unseen(Asked::Schema)
    }),
    case("request with a strict schema seen before", 1, || {
        seen(Asked::Schema)
    }),
    case("piece of text with four stop sequences", PIECES, || {
        pieces(
            r#", "stop": ["\n\nUser:", "END", "STOP", "</answer>"]"#,
            PROSE,
        )
    }),
    case("piece of text with tools offered", PIECES, || {
        pieces(TOOLS, PROSE)
    }),
    case("piece of a long call", PIECES, || pieces(TOOLS, CALL)),
    case("whole answer of 512 characters", 1, whole_answer),
];

const LIMITS: ReaderLimits = ReaderLimits {
    max_event: 1 << 20,
    max_object: 1 << 20,
    accept_missing_final: true,
};

const TOOLS: &str = r#", "tools": [
    {"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}]"#;

const PROSE: fn(usize) -> String = |length| "Words, and\\nmore of them. ".repeat(length / 24);
const CALL: fn(usize) -> String = |length| {
    format!(
        r#"{{\"name\": \"weather\", \"arguments\": {{\"city\": \"{}"#,
        "x".repeat(length)
    )
};

const fn case(name: &'static str, operations: usize, prepare: fn() -> Box<dyn FnOnce()>) -> Case {
    Case {
        name,
        operations,
        prepare,
    }
}

/// Hears everything and does nothing.
struct Deaf;

impl Sink for Deaf {
    fn event(&mut self, event: Event<'_>) {
        black_box(event);
    }
}

fn body(messages: usize, more: &str) -> Vec<u8> {
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) {
            "user"
        } else {
            "assistant"
        };
        let text = "What is told here is told at some length, and then once more. ".repeat(8);
        format!(r#"{{"role": "{role}", "content": "{text}"}}"#)
    };
    let turns = (0..messages).map(turn).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"model": "google/gemini-2.5-flash", "stream": true, "messages": [{turns}]{more}}}"#
    )
    .into_bytes()
}

fn reader(more: &str) -> Reader {
    let body = body(1, more);
    let plan = plan(&body, &CAPABILITIES).expect("the request is fine");
    Reader::new(&plan.reading, Format::Events, LIMITS)
}

fn event(data: &str) -> Vec<u8> {
    format!("event: event\r\ndata: {data}\r\n\r\n").into_bytes()
}

fn fal_json(text: &str) -> String {
    format!(r#"{{"output": "{text}", "reasoning": null, "partial": true, "error": null}}"#)
}

/// Events as fal writes them, each a little longer than the one before.
fn events_after(kib: usize) -> Box<dyn FnOnce()> {
    read_singly(kib, fal_json)
}

fn read_singly(kib: usize, write: impl Fn(&str) -> String) -> Box<dyn FnOnce()> {
    let text = PROSE(kib * 1024 + (EVENTS + 1) * 24);
    let grown = |number: usize| event(&write(&text[..(kib * 1024 / 24 + number) * 24]));
    let mut reader = reader("");
    reader.feed(&grown(0));
    reader.read(&mut Deaf);
    let events: Vec<_> = (1..=EVENTS).map(grown).collect();
    Box::new(move || {
        for event in events {
            reader.feed(&event);
            reader.read(&mut Deaf);
        }
        black_box(reader);
    })
}

/// The second event of so many answers: the first one says a letter, so that there is something to
/// compare with and hardly anything is repeated.
fn second_events(upstream: UpstreamId, write: fn(&str, &str) -> Vec<u8>) -> Box<dyn FnOnce()> {
    let body = body(1, "");
    let planned = Face::Chat.plan_on(upstream, &body, &CAPABILITIES);
    let (plan, _) = planned.expect("the request is fine");
    let begun = || {
        let mut reader = Reader::new(&plan.reading, Format::Events, LIMITS);
        reader.feed(&write("", FIRST));
        reader.read(&mut Deaf);
        (reader, write(FIRST, "ords, and more of them. "))
    };
    let answers: Vec<_> = (0..EVENTS).map(|_| begun()).collect();
    Box::new(move || {
        for (mut reader, event) in answers {
            reader.feed(&event);
            reader.read(&mut Deaf);
            black_box(reader);
        }
    })
}

/// A chunk as OpenRouter writes it.
fn chunk_event(text: &str) -> Vec<u8> {
    format!(
        r#"data: {{"id":"gen-1764201600-7Yp0oXq2bN","provider":"Google","model":"google/gemini-2.5-flash","object":"chat.completion.chunk","created":1764201600,"choices":[{{"index":0,"delta":{{"role":"assistant","content":"{text}"}},"finish_reason":null,"native_finish_reason":null,"logprobs":null}}],"user_id":"user_2abc"}}

"#
    )
    .into_bytes()
}

/// Short events that all arrive together.
fn burst() -> Box<dyn FnOnce()> {
    let text = PROSE(600);
    let events = (0..200).map(|number| event(&fal_json(&text[..number / 10 * 24])));
    let bytes = events.collect::<Vec<_>>().concat();
    let mut reader = reader("");
    Box::new(move || {
        reader.feed(&bytes);
        reader.read(&mut Deaf);
        black_box(reader);
    })
}

fn chunk() -> Box<dyn FnOnce()> {
    let mut answer: StreamedAnswer<ChatChunks> = chat_stream(1, UsageChunk::None);
    answer.event(0, Event::Text("Once"));
    Box::new(move || {
        for _ in 0..PIECES {
            answer.event(0, Event::Text(" upon a \"time\""));
            black_box(answer.take_frames());
        }
    })
}

fn planned(messages: usize, more: &str) -> Box<dyn FnOnce()> {
    planning(body(messages, more), KnownTerms::default)
}

/// A request whose tools and schema nobody has seen before.
fn unseen(asked: Asked) -> Box<dyn FnOnce()> {
    planning(json(asked), KnownTerms::default)
}

/// A request whose tools and schema came before.
fn seen(asked: Asked) -> Box<dyn FnOnce()> {
    let known = Rc::new(KnownTerms::default());
    planning(json(asked), move || Rc::clone(&known))
}

fn json(asked: Asked) -> Vec<u8> {
    let body = Texts::new(asked, "And now?").as_chat(false);
    body.to_string().into_bytes()
}

/// From a body to the JSON for fal, with terms that are known.
fn planning<K: Borrow<KnownTerms>>(
    body: Vec<u8>,
    known: impl Fn() -> K + 'static,
) -> Box<dyn FnOnce()> {
    let limits = MessageLimits {
        max_messages: 100,
        ..MESSAGE_LIMITS
    };
    let catalogue = Catalogue::new(Changes::default());
    let fal_key = FalKey::new(&"id:secret".to_owned().into()).expect("it is ASCII");
    let owner = TermsOwner {
        fal_key: fal_key.print(),
        client: None,
    };
    let write = move || {
        let mut ask = parse(&body, &limits).expect("the request is fine");
        ask.terms = known().borrow().of(&ask, &owner).expect("its schemas are");
        let (target, _) = candidates(&ask, &catalogue, &CAPABILITIES).expect("its model is");
        let plan = plan::plan(&ask, &target, &[], &CAPABILITIES).expect("it can be asked");
        black_box(plan.call.to_input());
    };
    // Tables that are made once are made now.
    write();
    Box::new(write)
}

/// An answer in pieces, each in an event of its own.
fn pieces(more: &str, write: fn(usize) -> String) -> Box<dyn FnOnce()> {
    let text = write(PIECES * 24);
    let grown = |number: usize| {
        let mut end = text.len() * number / PIECES;
        // Not inside an escape.
        end += usize::from(text[..end].ends_with('\\'));
        event(&fal_json(&text[..end]))
    };
    let events: Vec<_> = (1..=PIECES).map(grown).collect();
    let mut reader = reader(more);
    Box::new(move || {
        for event in events {
            reader.feed(&event);
            reader.read(&mut Deaf);
        }
        black_box(reader);
    })
}

fn whole_answer() -> Box<dyn FnOnce()> {
    let body = body(1, "");
    let plan = plan(&body, &CAPABILITIES).expect("the request is fine");
    let mut reader = Reader::new(&plan.reading, Format::Object, LIMITS);
    let object = fal_json(&PROSE(512)).replace("true", "false");
    Box::new(move || {
        let mut answer = WholeAnswer::new(1);
        reader.feed(object.as_bytes());
        reader.finish(&mut First(&mut answer));
        black_box(chat_json(&answer));
    })
}

/// The only choice of an answer.
struct First<'a>(&'a mut WholeAnswer);

impl Sink for First<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.0.event(0, event);
    }
}
