//! Events, written as chat completions: whole, or as a stream of chunks (source: OpenAI's
//! `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse`).
//!
//! A chunk is a prepared head and tail with what is new between them. Every frame is written
//! whole: `data: {...}` and its blank line.

use std::io::Write;

use bytes::Bytes;

use crate::translate::notes::Notes;
use crate::translate::reading::{Event, Fault, Finish, FinishReason, Sink, Usage};
use crate::wire::openai::chat::{ChatCompletion, Choice, ResponseMessage};
use crate::wire::openai::usage::{CompletionTokensDetails, CompletionUsage};

/// What all objects of one answer have in common.
#[derive(Clone, Debug)]
pub struct Head {
    /// `chatcmpl-` and something unique.
    pub id: String,
    pub created_unix_s: u64,
    /// The id of the model that answers.
    pub model: String,
    pub reasoning_field: ReasoningField,
}

/// Under which names reasoning is delivered. No single name reaches every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningField {
    Both,
    ReasoningContent,
    Reasoning,
}

/// A whole answer in the making.
#[derive(Debug)]
pub struct ChatWhole {
    head: Head,
    choices: Vec<WholeChoice>,
}

/// One choice of it.
#[derive(Debug, Default)]
pub struct WholeChoice {
    text: String,
    reasoning: String,
    finish: Option<Finish>,
    fault: Option<Fault>,
}

impl ChatWhole {
    /// An answer with this many choices.
    pub fn new(head: Head, choices: u32) -> Self {
        Self {
            head,
            choices: (0..choices).map(|_| WholeChoice::default()).collect(),
        }
    }

    /// Where the events of a choice go.
    pub fn choice(&mut self, index: usize) -> Option<&mut WholeChoice> {
        self.choices.get_mut(index)
    }

    /// What went wrong in a choice, if anything did.
    pub fn fault(&self) -> Option<Fault> {
        self.choices.iter().find_map(|choice| choice.fault)
    }

    /// Whether every choice has ended well.
    pub fn is_complete(&self) -> bool {
        self.choices.iter().all(|choice| choice.finish.is_some())
    }

    /// The tokens of all choices together; the prompt is counted once, as OpenAI does.
    pub fn usage(&self) -> Usage {
        sum(self.choices.iter().filter_map(|choice| choice.finish))
    }

    /// The JSON of the answer, with the notes where they are wanted.
    pub fn to_json(&self, notes: Option<&Notes>) -> Vec<u8> {
        let choices = self.choices.iter().zip(0..).map(|(choice, index)| Choice {
            index,
            message: ResponseMessage {
                role: "assistant",
                content: Some(&choice.text),
                refusal: None,
                reasoning_content: self.reasoning(choice, ReasoningField::ReasoningContent),
                reasoning: self.reasoning(choice, ReasoningField::Reasoning),
            },
            logprobs: None,
            finish_reason: choice
                .finish
                .map_or("stop", |finish| reason_name(finish.reason)),
        });
        let answer = ChatCompletion {
            id: &self.head.id,
            object: "chat.completion",
            created: self.head.created_unix_s,
            model: &self.head.model,
            choices: choices.collect(),
            usage: completion_usage(self.usage()),
            gateway: notes.map(Notes::to_wire),
        };
        let mut json = Vec::with_capacity(
            512 + self
                .choices
                .iter()
                .map(|choice| choice.text.len())
                .sum::<usize>(),
        );
        write_json(&mut json, &answer);
        json
    }

    fn reasoning<'c>(&self, choice: &'c WholeChoice, field: ReasoningField) -> Option<&'c str> {
        let is_wanted =
            self.head.reasoning_field == ReasoningField::Both || self.head.reasoning_field == field;
        (is_wanted && !choice.reasoning.is_empty()).then_some(choice.reasoning.as_str())
    }
}

impl Sink for WholeChoice {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Text(text) => self.text.push_str(text),
            Event::Reasoning(text) => self.reasoning.push_str(text),
            Event::Finished(finish) => self.finish = Some(finish),
            Event::Failed(fault) => self.fault = Some(fault),
        }
    }
}

/// A streamed answer in the making: events go in, frames come out.
#[derive(Debug)]
pub struct ChatStream {
    out: Vec<u8>,
    /// `data: {` up to the index of the choice.
    chunk_head: Vec<u8>,
    /// From the end of the choice to the blank line.
    chunk_tail: &'static [u8],
    usage: UsageChunk,
    reasoning_field: ReasoningField,
    choices: Vec<StreamedChoice>,
    /// `,"gateway":{...}` for the first chunk, where the caller wants the notes in the body.
    notes: Vec<u8>,
    fault: Option<Fault>,
    has_ended: bool,
}

/// Whether a stream ends with a chunk that carries the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageChunk {
    /// Asked for: every other chunk says `"usage":null`.
    Asked,
    /// Sent all the same, for clients that read it but never ask.
    Volunteered,
    None,
}

#[derive(Clone, Copy, Debug, Default)]
struct StreamedChoice {
    has_begun: bool,
    finish: Option<Finish>,
}

/// Where the events of one choice of a stream go.
#[derive(Debug)]
pub struct StreamChoice<'s> {
    stream: &'s mut ChatStream,
    index: usize,
}

impl ChatStream {
    /// A stream with this many choices.
    pub fn new(head: &Head, choices: u32, usage: UsageChunk) -> Self {
        let mut chunk_head = Vec::with_capacity(160);
        chunk_head.extend_from_slice(b"data: {\"id\":");
        write_json(&mut chunk_head, &head.id);
        let _ = write!(
            chunk_head,
            ",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":",
            head.created_unix_s
        );
        write_json(&mut chunk_head, &head.model);
        chunk_head.extend_from_slice(b",\"choices\":[");
        Self {
            out: Vec::with_capacity(1024),
            chunk_head,
            chunk_tail: match usage {
                UsageChunk::Asked => b"}],\"usage\":null}\n\n",
                UsageChunk::Volunteered | UsageChunk::None => b"}]}\n\n",
            },
            usage,
            reasoning_field: head.reasoning_field,
            choices: vec![StreamedChoice::default(); choices as usize],
            notes: Vec::new(),
            fault: None,
            has_ended: false,
        }
    }

    /// Puts the notes into the first chunk.
    pub fn with_notes(mut self, notes: &Notes) -> Self {
        self.notes.extend_from_slice(b",\"gateway\":");
        write_json(&mut self.notes, &notes.to_wire());
        self
    }

    /// Where the events of a choice go.
    pub fn choice(&mut self, index: usize) -> StreamChoice<'_> {
        StreamChoice {
            stream: self,
            index,
        }
    }

    /// The frames that are ready, all together.
    pub fn take_frames(&mut self) -> Option<Bytes> {
        match self.out.is_empty() {
            true => None,
            false => Some(Bytes::copy_from_slice(&self.out)).inspect(|_| self.out.clear()),
        }
    }

    /// What went wrong, if anything did; the stream then waits for [`fail`](Self::fail).
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether anything has been written.
    pub fn has_begun(&self) -> bool {
        self.choices.iter().any(|choice| choice.has_begun)
    }

    /// Whether the last frame has been written.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The tokens of all choices that have finished.
    pub fn usage(&self) -> Usage {
        sum(self.choices.iter().filter_map(|choice| choice.finish))
    }

    /// Ends the stream with an error: one frame with the envelope, and nothing after it.
    pub fn fail(&mut self, envelope: &[u8]) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        self.out.extend_from_slice(b"data: ");
        self.out.extend_from_slice(envelope);
        self.out.extend_from_slice(b"\n\n");
    }

    /// Opens a choice: the role comes first, whatever follows.
    fn begin(&mut self, index: usize) {
        let Some(choice) = self.choices.get_mut(index) else {
            return;
        };
        if !std::mem::replace(&mut choice.has_begun, true) {
            self.open_delta(index);
            self.out
                .extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
            self.close_delta("null");
        }
    }

    fn delta(&mut self, index: usize, fields: &[&str], text: &str) {
        self.begin(index);
        self.open_delta(index);
        for (position, field) in fields.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let _ = write!(self.out, "{comma}\"{field}\":");
            write_json(&mut self.out, text);
        }
        self.close_delta("null");
    }

    fn finish(&mut self, index: usize, finish: Finish) {
        self.begin(index);
        self.open_delta(index);
        self.close_delta(match finish.reason {
            FinishReason::Stop => "\"stop\"",
            FinishReason::Length => "\"length\"",
        });
        if let Some(choice) = self.choices.get_mut(index) {
            choice.finish = Some(finish);
        }
        if self.choices.iter().all(|choice| choice.finish.is_some()) {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.usage != UsageChunk::None {
            let usage = completion_usage(self.usage());
            self.out.extend_from_slice(&self.chunk_head);
            self.out.extend_from_slice(b"],\"usage\":");
            write_json(&mut self.out, &usage);
            self.out.extend_from_slice(b"}\n\n");
        }
        self.out.extend_from_slice(b"data: [DONE]\n\n");
        self.has_ended = true;
    }

    fn open_delta(&mut self, index: usize) {
        self.out.extend_from_slice(&self.chunk_head);
        let _ = write!(self.out, "{{\"index\":{index},\"delta\":{{");
    }

    fn close_delta(&mut self, finish_reason: &str) {
        let _ = write!(
            self.out,
            "}},\"logprobs\":null,\"finish_reason\":{finish_reason}"
        );
        let (close, end) = self
            .chunk_tail
            .split_at_checked(2)
            .unwrap_or((self.chunk_tail, b""));
        self.out.extend_from_slice(close);
        self.out.append(&mut self.notes);
        self.out.extend_from_slice(end);
    }
}

impl Sink for StreamChoice<'_> {
    fn event(&mut self, event: Event<'_>) {
        if self.stream.has_ended {
            return;
        }
        match event {
            Event::Text(text) => self.stream.delta(self.index, &["content"], text),
            Event::Reasoning(text) => {
                let fields: &[&str] = match self.stream.reasoning_field {
                    ReasoningField::Both => &["reasoning_content", "reasoning"],
                    ReasoningField::ReasoningContent => &["reasoning_content"],
                    ReasoningField::Reasoning => &["reasoning"],
                };
                self.stream.delta(self.index, fields, text);
            }
            Event::Finished(finish) => self.stream.finish(self.index, finish),
            Event::Failed(fault) => self.stream.fault = self.stream.fault.or(Some(fault)),
        }
    }
}

fn sum(finishes: impl Iterator<Item = Finish>) -> Usage {
    finishes.fold(Usage::default(), |total, finish| Usage {
        prompt: total.prompt.max(finish.usage.prompt),
        completion: total.completion + finish.usage.completion,
        reasoning: total.reasoning + finish.usage.reasoning,
    })
}

/// OpenAI's usage object. What fal cannot have (caches, audio, predictions) is zero.
pub fn completion_usage(usage: Usage) -> CompletionUsage {
    CompletionUsage {
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        total_tokens: usage.prompt + usage.completion,
        completion_tokens_details: CompletionTokensDetails {
            reasoning_tokens: usage.reasoning,
            ..CompletionTokensDetails::default()
        },
        ..CompletionUsage::default()
    }
}

fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

/// Writing to a `Vec` cannot fail, and neither can the shapes written here.
fn write_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let _ = serde_json::to_writer(out, value);
}
