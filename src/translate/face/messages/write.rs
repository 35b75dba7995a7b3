//! Answers, written as messages: whole, or as a stream of events (source: Anthropic's `Message` and
//! `RawMessageStreamEvent`).
//!
//! In a stream one block is open at a time, and every change of kind begins another. An error comes
//! behind the end of its block: a client that hears of one inside a block takes the stream for cut,
//! and sends the whole request again.

use std::io::Write;

use serde_json::value::RawValue;

use super::error;
use crate::translate::face::answer::{FrameWriter, Segment, WholeAnswer, WholeChoice};
use crate::translate::face::calls::{call_id, pieces};
use crate::translate::face::objects::{ResponseMeta, noted_at_end, write_json, write_text};
use crate::translate::face::thoughts::seal;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::reading::{self, Call, FinishReason};
use crate::wire::anthropic::message::{ContentBlock, Ending, Message, StopDetails, Usage};

/// What stands for the signature of a thought. It signs nothing, since none is ever checked here;
/// but there are clients that take an empty one for none.
const SIGNATURE: &str = "ZmFsLWdhdGV3YXk=";
const CALL_PREFIX: &str = "toolu_";

/// The JSON of a whole answer, with the notes where they are wanted.
pub fn to_json(
    head: &ResponseMeta,
    answer: &WholeAnswer,
    stops: &[String],
    notes: Option<&Notes>,
) -> Vec<u8> {
    let nothing = WholeChoice::default();
    let choice = answer
        .complete()
        .next()
        .map_or(&nothing, |(_, choice)| choice);
    let message = Message {
        id: &head.id,
        kind: "message",
        role: "assistant",
        model: &head.model,
        content: content(head, choice),
        ending: ending(choice.finish_reason(), choice.refusal.as_deref(), stops),
        usage: usage(answer.usage()),
        gateway: notes.map(Notes::to_wire),
    };
    let mut json = Vec::with_capacity(512 + answer.text_bytes());
    write_json(&mut json, &message);
    json
}

/// The blocks of an answer, in the order in which they were said, as in a stream. An answer that says
/// nothing at all has one empty text, since clients look for a block, and some ask again where there
/// is none.
fn content<'c>(head: &ResponseMeta, choice: &'c WholeChoice) -> Vec<ContentBlock<'c>> {
    let mut content = Vec::new();
    let mut calls = choice.calls.iter();
    let mut blocks = choice.reasoning_blocks.as_deref();
    let (mut text_from, mut thinking_from) = (0, 0);
    for said in &choice.order {
        match *said {
            Segment::Text { to } => {
                push_text(
                    &mut content,
                    choice.text.get(text_from..to).unwrap_or_default(),
                );
                text_from = to;
            }
            Segment::Reasoning { to } => {
                content.push(ContentBlock::Thinking {
                    thinking: choice.reasoning.get(thinking_from..to).unwrap_or_default(),
                    signature: SIGNATURE,
                });
                thinking_from = to;
            }
            Segment::Call => {
                // They come with calls alone, and before them.
                let sealed = blocks.take().map(|blocks| seal(blocks, &head.model));
                content.extend(sealed.map(|data| ContentBlock::RedactedThinking { data }));
                content.extend(calls.next().map(|call| ContentBlock::ToolUse {
                    id: call_id(CALL_PREFIX, &head.id, 0, call.index),
                    name: &call.name,
                    input: input(call),
                }));
            }
            Segment::Refusal => {
                push_text(&mut content, choice.refusal.as_deref().unwrap_or_default())
            }
        }
    }
    let is_thinking = |block: &ContentBlock<'_>| matches!(block, ContentBlock::Thinking { .. });
    if content.iter().all(is_thinking) {
        content.push(ContentBlock::Text { text: "".into() });
    }
    content
}

/// Adds a text: to the block before it, if that is a text too.
fn push_text<'c>(content: &mut Vec<ContentBlock<'c>>, text: &'c str) {
    match content.last_mut() {
        Some(ContentBlock::Text { text: before }) => before.to_mut().push_str(text),
        _ => content.push(ContentBlock::Text { text: text.into() }),
    }
}

/// The arguments of a call, which are known to be an object.
fn input(call: &Call) -> Box<RawValue> {
    let input = RawValue::from_string(call.arguments.clone());
    input.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn ending<'e>(reason: FinishReason, refusal: Option<&'e str>, stops: &'e [String]) -> Ending<'e> {
    let reason_name = match (reason, refusal) {
        (_, Some(_)) => "refusal",
        (FinishReason::Stop, None) => "end_turn",
        (FinishReason::StopSequence(_), None) => "stop_sequence",
        (FinishReason::Length, None) => "max_tokens",
        (FinishReason::ToolCalls, None) => "tool_use",
        (FinishReason::ContentFilter, None) => "refusal",
    };
    let sequence = match reason {
        FinishReason::StopSequence(index) => stops.get(index).map(String::as_str),
        _ => None,
    };
    Ending {
        stop_reason: Some(reason_name),
        stop_sequence: sequence,
        stop_details: refusal.map(|explanation| StopDetails {
            kind: "refusal",
            explanation,
        }),
        container: None,
    }
}

fn usage(usage: reading::Usage) -> Usage {
    Usage {
        input_tokens: usage.prompt.saturating_sub(usage.cached),
        cache_read_input_tokens: usage.cached,
        output_tokens: usage.completion,
        service_tier: "standard",
        cost: usage.cost.map(|cost| cost.in_dollars().to_f64()),
        ..Usage::default()
    }
}

/// Writes the events of a stream.
#[derive(Debug)]
pub struct MessageEvents {
    head: ResponseMeta,
    stops: Vec<String>,
    /// The notes, where they are wanted.
    notes: Option<Notes>,
    has_begun: bool,
    /// What kind of block is open.
    open: Option<Kind>,
    /// The number of the block that is open, or of the next one.
    index: usize,
    refusal: Option<String>,
    reason: FinishReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    Call,
}

impl MessageEvents {
    pub fn new(head: &ResponseMeta, stops: Vec<String>, notes: Option<&Notes>) -> Self {
        Self {
            head: head.clone(),
            stops,
            notes: notes.cloned(),
            has_begun: false,
            open: None,
            index: 0,
            refusal: None,
            reason: FinishReason::Stop,
        }
    }

    /// `message_start`, once.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let message = Message {
            id: &self.head.id,
            kind: "message",
            role: "assistant",
            model: &self.head.model,
            content: Vec::new(),
            ending: Ending::default(),
            usage: usage(reading::Usage {
                prompt: self.head.prompt_tokens,
                completion: 1,
                ..reading::Usage::default()
            }),
            gateway: None,
        };
        write_event(out, "message_start", |out| {
            out.extend_from_slice(b",\"message\":");
            write_json(out, &message);
        });
        write_event(out, "ping", |_| {});
    }

    /// Has a block of this kind open.
    fn enter(&mut self, out: &mut Vec<u8>, kind: Kind) {
        if self.open == Some(kind) && kind != Kind::Call {
            return;
        }
        self.leave(out);
        self.begin(out);
        self.open = Some(kind);
        let index = self.index;
        let block: &[u8] = match kind {
            Kind::Thinking => b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
            Kind::Text => b"{\"type\":\"text\",\"text\":\"\"}",
            // It has a name, so that its start is written where that is known.
            Kind::Call => return,
        };
        write_event(out, "content_block_start", |out| {
            let _ = write!(out, ",\"index\":{index},\"content_block\":");
            out.extend_from_slice(block);
        });
    }

    fn delta(&self, out: &mut Vec<u8>, kind: &str, member: &str, text: &str) {
        let index = self.index;
        write_event(out, "content_block_delta", |out| {
            let _ = write!(
                out,
                ",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{member}\":"
            );
            write_text(out, text);
            out.push(b'}');
        });
    }

    /// Closes the block that is open, if one is.
    fn leave(&mut self, out: &mut Vec<u8>) {
        let Some(kind) = self.open.take() else { return };
        if kind == Kind::Thinking {
            self.delta(out, "signature_delta", "signature", SIGNATURE);
        }
        let index = self.index;
        write_event(out, "content_block_stop", |out| {
            let _ = write!(out, ",\"index\":{index}");
        });
        self.index += 1;
    }
}

impl FrameWriter for MessageEvents {
    fn ping(&mut self, out: &mut Vec<u8>) {
        match self.has_begun {
            false => self.begin(out),
            true => write_event(out, "ping", |_| {}),
        }
    }

    fn open(&mut self, out: &mut Vec<u8>, _: usize) {
        self.begin(out);
    }

    fn text(&mut self, out: &mut Vec<u8>, _: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        self.enter(out, Kind::Text);
        self.delta(out, "text_delta", "text", text);
    }

    fn reasoning(&mut self, out: &mut Vec<u8>, _: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        self.enter(out, Kind::Thinking);
        self.delta(out, "thinking_delta", "thinking", text);
    }

    fn reasoning_blocks(&mut self, out: &mut Vec<u8>, _: usize, blocks: &str) {
        self.leave(out);
        self.begin(out);
        let index = self.index;
        write_event(out, "content_block_start", |out| {
            let _ = write!(
                out,
                ",\"index\":{index},\"content_block\":{{\"type\":\"redacted_thinking\",\"data\":"
            );
            write_json(out, &seal(blocks, &self.head.model));
            out.push(b'}');
        });
        write_event(out, "content_block_stop", |out| {
            let _ = write!(out, ",\"index\":{index}");
        });
        self.index += 1;
    }

    /// Even a call without arguments has a piece of them, or a client reads none at all.
    fn call(&mut self, out: &mut Vec<u8>, _: usize, call: &Call) {
        self.enter(out, Kind::Call);
        let (index, id) = (
            self.index,
            call_id(CALL_PREFIX, &self.head.id, 0, call.index),
        );
        write_event(out, "content_block_start", |out| {
            let _ = write!(
                out,
                ",\"index\":{index},\"content_block\":{{\"type\":\"tool_use\",\"id\":\"{id}\",\"name\":"
            );
            write_json(out, &call.name);
            out.extend_from_slice(b",\"input\":{}}");
        });
        for piece in pieces(&call.arguments) {
            self.delta(out, "input_json_delta", "partial_json", piece);
        }
        self.leave(out);
    }

    fn refusal(&mut self, out: &mut Vec<u8>, choice: usize, words: &str) {
        self.text(out, choice, words);
        self.refusal = Some(words.to_owned());
    }

    fn mended(&mut self, names: &[&'static str]) {
        if let Some(notes) = &mut self.notes {
            names.iter().for_each(|name| notes.emulated(name));
        }
    }

    fn close(&mut self, out: &mut Vec<u8>, _: usize, reason: FinishReason) {
        let has_said_nothing = self.index == 0 && matches!(self.open, None | Some(Kind::Thinking));
        if has_said_nothing {
            self.enter(out, Kind::Text);
        }
        self.leave(out);
        self.reason = reason;
    }

    fn end(&mut self, out: &mut Vec<u8>, tokens: reading::Usage) {
        let ending = ending(self.reason, self.refusal.as_deref(), &self.stops);
        let notes = noted_at_end(self.notes.as_ref(), self.head.usage, tokens.source);
        write_event(out, "message_delta", |out| {
            out.extend_from_slice(b",\"delta\":");
            write_json(out, &ending);
            out.extend_from_slice(b",\"usage\":");
            write_json(out, &usage(tokens));
            out.extend_from_slice(&notes);
        });
        write_event(out, "message_stop", |_| {});
    }

    fn fail(&mut self, out: &mut Vec<u8>, problem: &Problem) {
        self.leave(out);
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&error::envelope(problem, &self.head.request_id));
        out.extend_from_slice(b"\n\n");
    }
}

/// An event of this type, around what else its data holds.
fn write_event(out: &mut Vec<u8>, kind: &str, write_rest: impl FnOnce(&mut Vec<u8>)) {
    let _ = write!(out, "event: {kind}\ndata: {{\"type\":\"{kind}\"");
    write_rest(out);
    out.extend_from_slice(b"}\n\n");
}
