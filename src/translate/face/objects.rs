//! What chat completions and legacy completions have in common: heads, figures, and the frame of
//! a chunk.

use std::io::Write;

use serde_json::value::RawValue;

use super::answer::WholeAnswer;
use super::error_object;
use crate::translate::json::escape_into;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::reading::{FinishReason, Usage, UsageSource};
use crate::wire::openai::chat::GatewayNotes;
use crate::wire::openai::completion::Completion;
use crate::wire::openai::usage::{CompletionTokensDetails, CompletionUsage, PromptTokensDetails};

/// What all objects of one answer have in common.
#[derive(Clone, Debug)]
pub struct ResponseMeta {
    /// The API's prefix and something unique.
    pub id: String,
    pub created_unix_s: u64,
    /// Tells the time, in seconds since 1970: some objects say when they were complete.
    pub clock: fn() -> u64,
    /// The id of the model that answers.
    pub model: String,
    /// Where the token counts come from, as the headers say.
    pub usage: UsageSource,
    /// What the request goes by.
    pub request_id: String,
    /// The tokens of the prompt, estimated.
    pub prompt_tokens: u64,
}

/// The JSON of a whole answer, around choices that are already written.
pub fn to_json<C: serde::Serialize>(
    head: &ResponseMeta,
    object: &'static str,
    choices: Vec<C>,
    answer: &WholeAnswer,
    notes: Option<&Notes>,
) -> Vec<u8> {
    let completion = Completion {
        id: &head.id,
        object,
        created: head.created_unix_s,
        model: &head.model,
        choices,
        usage: completion_usage(answer.usage()),
        gateway: notes.map(Notes::to_wire),
    };
    let mut json = Vec::with_capacity(512 + answer.text_bytes());
    write_json(&mut json, &completion);
    json
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

/// The frame of a chunk: all that stays the same from chunk to chunk, prepared once.
#[derive(Debug)]
pub struct ChunkFrame {
    /// `data: {` up to the choices.
    head: Vec<u8>,
    /// From after the choices to the blank line.
    tail: &'static [u8],
    usage: UsageChunk,
    /// Where the headers say that the token counts come from.
    source: UsageSource,
    /// The notes, where they are wanted in the body.
    wanted: Option<Notes>,
    /// `,"gateway":{...}` for the next chunk: the first, and the last of a choice if its answer had
    /// to be mended.
    notes: Vec<u8>,
    is_mended: bool,
}

impl ChunkFrame {
    /// The frame of chunks that call themselves `object`.
    pub fn new(
        head: &ResponseMeta,
        object: &'static str,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> Self {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(b"data: {\"id\":");
        write_json(&mut bytes, &head.id);
        let created = head.created_unix_s;
        let _ = write!(
            bytes,
            ",\"object\":\"{object}\",\"created\":{created},\"model\":"
        );
        write_json(&mut bytes, &head.model);
        bytes.extend_from_slice(b",\"choices\":[");
        Self {
            notes: notes.map(noted).unwrap_or_default(),
            wanted: notes.cloned(),
            is_mended: false,
            head: bytes,
            tail: match usage {
                UsageChunk::Asked => b",\"usage\":null}\n\n",
                UsageChunk::Volunteered | UsageChunk::None => b"}\n\n",
            },
            usage,
            source: head.usage,
        }
    }

    /// Remembers what had to be mended in the answer.
    pub fn note_mended(&mut self, names: &[&'static str]) {
        if let Some(notes) = &mut self.wanted {
            names.iter().for_each(|name| notes.emulated(name));
            self.is_mended = true;
        }
    }

    /// Has the next chunk say what had to be mended, if anything had to.
    pub fn tell_mended(&mut self) {
        if let Some(notes) = self.wanted.as_ref().filter(|_| self.is_mended) {
            self.notes = noted(notes);
        }
    }

    /// Writes a chunk around one choice.
    pub fn write(&mut self, out: &mut Vec<u8>, write_choice: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.head);
        write_choice(out);
        out.push(b']');
        out.append(&mut self.notes);
        out.extend_from_slice(self.tail);
    }

    /// Writes the end of the stream, after the usage where it is wanted. Counts that come from
    /// elsewhere than the headers said are told with their source.
    pub fn write_end(&self, out: &mut Vec<u8>, usage: Usage) {
        if self.usage != UsageChunk::None {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            write_json(out, &completion_usage(usage));
            out.extend_from_slice(&noted_at_end(None, self.source, usage.source));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// Writes a comment, which keeps a silent stream alive: clients pass over it.
pub fn write_comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b": keep-alive\n\n");
}

/// Writes the frame of an error: its envelope, and no `[DONE]` after it.
pub fn write_error(out: &mut Vec<u8>, problem: &Problem) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&error_object::frame_envelope(problem));
    out.extend_from_slice(b"\n\n");
}

/// The notes as a member of an object, with the comma before it.
pub fn noted(notes: &Notes) -> Vec<u8> {
    let mut member = b",\"gateway\":".to_vec();
    write_json(&mut member, &notes.to_wire());
    member
}

/// The same at the end of a stream: the notes where they are wanted, and where its token counts come
/// from, if that is elsewhere than the headers have told. Empty where there is nothing to say.
pub fn noted_at_end(notes: Option<&Notes>, told: UsageSource, source: UsageSource) -> Vec<u8> {
    let other = (source != told).then(|| source.label());
    match (notes, other) {
        (None, None) => Vec::new(),
        (None, Some(usage)) => format!(",\"gateway\":{{\"usage\":\"{usage}\"}}").into_bytes(),
        (Some(notes), usage) => {
            let mut member = b",\"gateway\":".to_vec();
            let usage = usage.as_deref();
            let notes = notes.to_wire();
            write_json(&mut member, &GatewayNotes { usage, ..notes });
            member
        }
    }
}

/// OpenAI's usage object. What fal cannot have (caches, audio, predictions) is zero.
fn completion_usage(usage: Usage) -> CompletionUsage {
    CompletionUsage {
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        total_tokens: usage.prompt.saturating_add(usage.completion),
        cost: usage.cost.map(|cost| cost.in_dollars().to_f64()),
        prompt_tokens_details: PromptTokensDetails {
            cached_tokens: usage.cached,
            ..PromptTokensDetails::default()
        },
        completion_tokens_details: CompletionTokensDetails {
            reasoning_tokens: usage.reasoning,
            ..CompletionTokensDetails::default()
        },
    }
}

/// OpenAI's `finish_reason`.
pub fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence(_) => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

/// Writes a text as a JSON string, many bytes at a time.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

/// A long text as JSON that is written already.
pub fn written_text(text: &str) -> Option<Box<RawValue>> {
    let mut json = Vec::with_capacity(text.len().saturating_add(text.len() / 8).saturating_add(2));
    json.push(b'"');
    escape_into(&mut json, text);
    json.push(b'"');
    RawValue::from_string(String::from_utf8(json).ok()?).ok()
}

/// Writes JSON that somebody else has laid out in one line, which the data of an event has to be: within
/// a text every line break is escaped, and between the tokens a blank says as much.
pub fn write_in_one_line(out: &mut Vec<u8>, json: &str) {
    let is_break = |byte| matches!(byte, b'\n' | b'\r');
    out.extend(json.bytes().map(|byte| match is_break(byte) {
        true => b' ',
        false => byte,
    }));
}

/// Writing to a `Vec` cannot fail, and neither can the shapes written here.
pub fn write_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let _ = serde_json::to_writer(out, value);
}
