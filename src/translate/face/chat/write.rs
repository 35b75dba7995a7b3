//! Answers, written as chat completions: whole, or as a stream of chunks (source: OpenAI's
//! `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`).

use std::io::Write;

use crate::translate::face::answer::{FrameWriter, WholeAnswer, WholeChoice};
use crate::translate::face::objects::{
    self, ChunkFrame, Head, UsageChunk, reason_name, write_json,
};
use crate::translate::notes::Notes;
use crate::translate::reading::{FinishReason, Usage};
use crate::wire::openai::chat::{Choice, ResponseMessage};

/// Under which names reasoning is delivered. No single name reaches every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningField {
    Both,
    ReasoningContent,
    Reasoning,
}

/// The JSON of a whole answer, with the notes where they are wanted.
pub fn to_json(
    head: &Head,
    answer: &WholeAnswer,
    reasoning_field: ReasoningField,
    notes: Option<&Notes>,
) -> Vec<u8> {
    let choices = answer
        .choices
        .iter()
        .zip(0..)
        .map(|(choice, index)| Choice {
            index,
            message: message(choice, reasoning_field),
            logprobs: None,
            finish_reason: reason_name(choice.finish_reason()),
        });
    objects::to_json(head, "chat.completion", choices.collect(), answer, notes)
}

fn message(choice: &WholeChoice, reasoning_field: ReasoningField) -> ResponseMessage<'_> {
    let reasoning_as = |field| {
        let is_wanted = reasoning_field == ReasoningField::Both || reasoning_field == field;
        (is_wanted && !choice.reasoning.is_empty()).then_some(choice.reasoning.as_str())
    };
    ResponseMessage {
        role: "assistant",
        content: Some(&choice.text),
        refusal: None,
        reasoning_content: reasoning_as(ReasoningField::ReasoningContent),
        reasoning: reasoning_as(ReasoningField::Reasoning),
    }
}

/// Writes the chunks of a stream.
#[derive(Debug)]
pub struct ChatChunks {
    frame: ChunkFrame,
    reasoning_fields: &'static [&'static str],
}

impl ChatChunks {
    pub fn new(
        head: &Head,
        reasoning_field: ReasoningField,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> Self {
        Self {
            frame: ChunkFrame::new(head, "chat.completion.chunk", usage, notes),
            reasoning_fields: match reasoning_field {
                ReasoningField::Both => &["reasoning_content", "reasoning"],
                ReasoningField::ReasoningContent => &["reasoning_content"],
                ReasoningField::Reasoning => &["reasoning"],
            },
        }
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        choice: usize,
        write_delta: impl FnOnce(&mut Vec<u8>),
        finish_reason: Option<FinishReason>,
    ) {
        self.frame.write(out, |out| {
            let _ = write!(out, "{{\"index\":{choice},\"delta\":{{");
            write_delta(out);
            out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
            write_json(out, &finish_reason.map(reason_name));
            out.push(b'}');
        });
    }
}

impl FrameWriter for ChatChunks {
    /// The role comes first.
    fn open(&mut self, out: &mut Vec<u8>, choice: usize) {
        let role = b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null";
        self.write(out, choice, |out| out.extend_from_slice(role), None);
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

    fn close(&mut self, out: &mut Vec<u8>, choice: usize, reason: FinishReason) {
        self.write(out, choice, |_| {}, Some(reason));
    }

    fn end(&mut self, out: &mut Vec<u8>, usage: Usage) {
        self.frame.write_end(out, usage);
    }
}

/// The same text under each of the names.
fn write_fields(out: &mut Vec<u8>, names: &[&str], text: &str) {
    for (position, name) in names.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{name}\":");
        write_json(out, text);
    }
}
