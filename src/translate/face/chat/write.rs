//! Answers, written as chat completions: whole, or as a stream of chunks (source: OpenAI's
//! `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`).

use std::io::Write;

use serde_json::value::RawValue;

use super::kept::Kept;
use crate::translate::face::answer::{FrameWriter, WholeAnswer, WholeChoice};
use crate::translate::face::calls::{call_id, pieces};
use crate::translate::face::objects::{
    self, ChunkFrame, ResponseMeta, UsageChunk, reason_name, write_json, write_text, written_text,
};
use crate::translate::face::state::Record;
use crate::translate::face::thoughts::signed;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::reading::{Call, FinishReason, LikelyToken, TokenLogprob, Usage};
use crate::wire::openai::chat::{
    self as wire, Choice, Logprobs, MessageFunction, MessageToolCall, ResponseMessage,
};

/// Under which names reasoning is delivered. No single name reaches every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningField {
    Both,
    ReasoningContent,
    Reasoning,
}

/// How an answer is written where there is more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub reasoning_field: ReasoningField,
    pub calls: CallStyle,
}

/// Under which name calls are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStyle {
    /// `tool_calls`.
    Tools,
    /// `function_call`, for requests that spoke of `functions`.
    Function,
}

impl Style {
    fn reason_name(self, reason: FinishReason) -> &'static str {
        match (reason, self.calls) {
            (FinishReason::ToolCalls, CallStyle::Function) => "function_call",
            (reason, _) => reason_name(reason),
        }
    }
}

/// The JSON of a whole answer, with the notes where they are wanted.
pub fn to_json(
    head: &ResponseMeta,
    answer: &WholeAnswer,
    style: Style,
    notes: Option<&Notes>,
) -> Vec<u8> {
    let choices = answer.complete().map(|(index, choice)| Choice {
        index,
        message: message(choice, head, index, style),
        logprobs: (!choice.logprobs.is_empty()).then(|| logprobs(&choice.logprobs)),
        finish_reason: style.reason_name(choice.finish_reason()),
    });
    objects::to_json(head, "chat.completion", choices.collect(), answer, notes)
}

fn message<'c>(
    choice: &'c WholeChoice,
    head: &ResponseMeta,
    index: u32,
    style: Style,
) -> ResponseMessage<'c> {
    let reasoning_as = |field| {
        let is_wanted =
            style.reasoning_field == ReasoningField::Both || style.reasoning_field == field;
        (is_wanted && !choice.reasoning.is_empty()).then_some(choice.reasoning.as_str())
    };
    let function = |call: &'c Call| MessageFunction {
        name: &call.name,
        arguments: &call.arguments,
    };
    let tool_call = |call: &'c Call| MessageToolCall {
        id: call_id("call_", &head.id, index as usize, call.index),
        kind: "function",
        function: function(call),
    };
    let (tool_calls, function_call) = match style.calls {
        CallStyle::Tools => (choice.calls.iter().map(tool_call).collect(), None),
        CallStyle::Function => (Vec::new(), choice.calls.first().map(function)),
    };
    let blocks = choice.reasoning_blocks.as_deref();
    let blocks = blocks.map(|blocks| signed(blocks, &head.model));
    let says_nothing =
        choice.text.is_empty() && (!choice.calls.is_empty() || choice.refusal.is_some());
    ResponseMessage {
        role: "assistant",
        content: match says_nothing {
            true => None,
            false => written_text(&choice.text),
        },
        refusal: choice.refusal.as_deref(),
        tool_calls,
        function_call,
        reasoning_content: reasoning_as(ReasoningField::ReasoningContent),
        reasoning: reasoning_as(ReasoningField::Reasoning),
        reasoning_details: blocks.and_then(|blocks| RawValue::from_string(blocks).ok()),
    }
}

fn logprobs(tokens: &[TokenLogprob]) -> Logprobs<'_> {
    fn likely(token: &LikelyToken) -> wire::LikelyToken<'_> {
        wire::LikelyToken {
            token: &token.text,
            logprob: token.logprob,
            bytes: &token.bytes,
        }
    }
    let content = tokens.iter().map(|told| wire::TokenLogprob {
        token: likely(&told.token),
        top_logprobs: told.top.iter().map(likely).collect(),
    });
    Logprobs {
        content: content.collect(),
        refusal: None,
    }
}

/// Writes the chunks of a stream.
#[derive(Debug)]
pub struct ChatChunks {
    frame: ChunkFrame,
    head: ResponseMeta,
    /// As what the completion is kept, if it is.
    kept: Option<Kept>,
    is_forgotten: bool,
    style: Style,
    reasoning_fields: &'static [&'static str],
    /// How likely the tokens of the next text were, as JSON; empty where that is not told.
    logprobs: Vec<u8>,
}

impl ChatChunks {
    pub fn new(
        head: &ResponseMeta,
        style: Style,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> Self {
        Self {
            frame: ChunkFrame::new(head, "chat.completion.chunk", usage, notes),
            head: head.clone(),
            kept: None,
            is_forgotten: false,
            style,
            reasoning_fields: match style.reasoning_field {
                ReasoningField::Both => &["reasoning_content", "reasoning"],
                ReasoningField::ReasoningContent => &["reasoning_content"],
                ReasoningField::Reasoning => &["reasoning"],
            },
            logprobs: Vec::new(),
        }
    }

    /// The same, of a completion that is kept, if it is.
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        choice: usize,
        write_delta: impl FnOnce(&mut Vec<u8>),
        finish_reason: Option<FinishReason>,
    ) {
        let style = self.style;
        let logprobs = std::mem::take(&mut self.logprobs);
        self.frame.write(out, |out| {
            let _ = write!(out, "{{\"index\":{choice},\"delta\":{{");
            write_delta(out);
            out.extend_from_slice(b"},\"logprobs\":");
            out.extend_from_slice(match logprobs.is_empty() {
                true => b"null",
                false => &logprobs,
            });
            out.extend_from_slice(b",\"finish_reason\":");
            write_json(out, &finish_reason.map(|reason| style.reason_name(reason)));
            out.push(b'}');
        });
    }
}

impl FrameWriter for ChatChunks {
    fn ping(&mut self, out: &mut Vec<u8>) {
        objects::write_comment(out);
    }

    fn fail(&mut self, out: &mut Vec<u8>, problem: &Problem) {
        objects::write_error(out, problem);
    }

    /// The role comes first.
    fn open(&mut self, out: &mut Vec<u8>, choice: usize) {
        let role = b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null";
        self.write(out, choice, |out| out.extend_from_slice(role), None);
    }

    fn logprobs(&mut self, tokens: &[TokenLogprob]) {
        if !tokens.is_empty() {
            write_json(&mut self.logprobs, &logprobs(tokens));
        }
    }

    fn text(&mut self, out: &mut Vec<u8>, choice: usize, text: &str) {
        self.write(
            out,
            choice,
            |out| write_fields(out, &["content"], text),
            None,
        );
    }

    fn reasoning(&mut self, out: &mut Vec<u8>, choice: usize, text: &str) {
        let fields = self.reasoning_fields;
        self.write(out, choice, |out| write_fields(out, fields, text), None);
    }

    fn reasoning_blocks(&mut self, out: &mut Vec<u8>, choice: usize, blocks: &str) {
        let blocks = signed(blocks, &self.head.model);
        let write_blocks = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"\"reasoning_details\":");
            out.extend_from_slice(blocks.as_bytes());
        };
        self.write(out, choice, write_blocks, None);
    }

    /// The id and name first, then the arguments in pieces that are JSON when they are joined.
    fn call(&mut self, out: &mut Vec<u8>, choice: usize, call: &Call) {
        let (id, style, index) = (
            call_id("call_", &self.head.id, choice, call.index),
            self.style,
            call.index,
        );
        let named = |out: &mut Vec<u8>| match style.calls {
            CallStyle::Tools => {
                let _ = write!(
                    out,
                    "\"tool_calls\":[{{\"index\":{index},\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":"
                );
                write_json(out, &call.name);
                out.extend_from_slice(b",\"arguments\":\"\"}}]");
            }
            CallStyle::Function => {
                out.extend_from_slice(b"\"function_call\":{\"name\":");
                write_json(out, &call.name);
                out.extend_from_slice(b",\"arguments\":\"\"}");
            }
        };
        self.write(out, choice, named, None);
        for piece in pieces(&call.arguments) {
            let argued = |out: &mut Vec<u8>| match style.calls {
                CallStyle::Tools => {
                    let _ = write!(
                        out,
                        "\"tool_calls\":[{{\"index\":{index},\"function\":{{\"arguments\":"
                    );
                    write_text(out, piece);
                    out.extend_from_slice(b"}}]");
                }
                CallStyle::Function => {
                    out.extend_from_slice(b"\"function_call\":{\"arguments\":");
                    write_text(out, piece);
                    out.push(b'}');
                }
            };
            self.write(out, choice, argued, None);
        }
    }

    fn refusal(&mut self, out: &mut Vec<u8>, choice: usize, words: &str) {
        self.write(
            out,
            choice,
            |out| write_fields(out, &["refusal"], words),
            None,
        );
    }

    fn record(&self, _: Usage, whole: &WholeAnswer) -> Option<Record> {
        let kept = self.kept.as_ref()?;
        kept.record(&self.head, to_json(&self.head, whole, self.style, None))
    }

    fn needs_whole(&self) -> bool {
        self.kept.is_some()
    }

    fn forget(&mut self) {
        self.is_forgotten = true;
    }

    fn mended(&mut self, names: &[&'static str]) {
        self.frame.note_mended(names);
    }

    fn close(&mut self, out: &mut Vec<u8>, choice: usize, reason: FinishReason) {
        self.frame.tell_mended();
        self.write(out, choice, |_| {}, Some(reason));
    }

    fn end(&mut self, out: &mut Vec<u8>, usage: Usage) {
        // The head has said otherwise, and no member of a chunk could take it back.
        if self.is_forgotten {
            out.extend_from_slice(b": this completion is not stored\n\n");
        }
        self.frame.write_end(out, usage);
    }
}

/// The same text under each of the names.
fn write_fields(out: &mut Vec<u8>, names: &[&str], text: &str) {
    for (position, name) in names.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{name}\":");
        write_text(out, text);
    }
}
