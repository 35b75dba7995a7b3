//! Answers, written as text completions: whole, or as a stream of objects of the same shape
//! (source: OpenAI's `CreateCompletionResponse`, which both are).
//!
//! The description requires a `finish_reason` of every object, but on the wire it is null until
//! the last of a choice, and so it is here.

use std::borrow::Cow;
use std::io::Write;

use crate::translate::face::answer::{FrameWriter, WholeAnswer};
use crate::translate::face::objects::{
    self, ChunkFrame, ResponseMeta, UsageChunk, reason_name, write_json, write_text,
};
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::reading::{Call, FinishReason, Usage};
use crate::wire::openai::completion::CompletionChoice;

const OBJECT: &str = "text_completion";

/// The JSON of a whole answer, with the notes where they are wanted. Every choice begins with
/// `echo`, if there is one.
pub fn to_json(
    head: &ResponseMeta,
    answer: &WholeAnswer,
    echo: Option<&str>,
    notes: Option<&Notes>,
) -> Vec<u8> {
    let choices = answer.complete().map(|(index, choice)| {
        let text = choice.text.as_str();
        CompletionChoice {
            text: echo.map_or(Cow::Borrowed(text), |echo| {
                Cow::Owned([echo, text].concat())
            }),
            index,
            logprobs: None,
            finish_reason: reason_name(choice.finish_reason()),
        }
    });
    objects::to_json(head, OBJECT, choices.collect(), answer, notes)
}

/// Writes the chunks of a stream.
#[derive(Debug)]
pub struct CompletionChunks {
    frame: ChunkFrame,
    echo: Option<String>,
}

impl CompletionChunks {
    /// The first chunk carries the notes, where they are wanted.
    pub fn new(
        head: &ResponseMeta,
        echo: Option<String>,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> Self {
        Self {
            frame: ChunkFrame::new(head, OBJECT, usage, notes),
            echo,
        }
    }
}

impl FrameWriter for CompletionChunks {
    fn ping(&mut self, out: &mut Vec<u8>) {
        objects::write_comment(out);
    }

    fn fail(&mut self, out: &mut Vec<u8>, problem: &Problem) {
        objects::write_error(out, problem);
    }

    /// The prompt comes first where it is wanted; nothing else does.
    fn open(&mut self, out: &mut Vec<u8>, choice: usize) {
        if let Some(echo) = &self.echo {
            write_chunk(&mut self.frame, out, choice, echo, None);
        }
    }

    fn text(&mut self, out: &mut Vec<u8>, choice: usize, text: &str) {
        write_chunk(&mut self.frame, out, choice, text, None);
    }

    /// There is no field for it.
    fn reasoning(&mut self, _: &mut Vec<u8>, _: usize, _: &str) {}

    /// This API has no tools, so no request of it is answered with a call.
    fn call(&mut self, _: &mut Vec<u8>, _: usize, _: &Call) {}

    fn refusal(&mut self, out: &mut Vec<u8>, choice: usize, words: &str) {
        self.text(out, choice, words);
    }

    fn mended(&mut self, names: &[&'static str]) {
        self.frame.note_mended(names);
    }

    fn close(&mut self, out: &mut Vec<u8>, choice: usize, reason: FinishReason) {
        self.frame.tell_mended();
        write_chunk(&mut self.frame, out, choice, "", Some(reason));
    }

    fn end(&mut self, out: &mut Vec<u8>, usage: Usage) {
        self.frame.write_end(out, usage);
    }
}

fn write_chunk(
    frame: &mut ChunkFrame,
    out: &mut Vec<u8>,
    choice: usize,
    text: &str,
    finish_reason: Option<FinishReason>,
) {
    frame.write(out, |out| {
        out.extend_from_slice(b"{\"text\":");
        write_text(out, text);
        let _ = write!(
            out,
            ",\"index\":{choice},\"logprobs\":null,\"finish_reason\":"
        );
        write_json(out, &finish_reason.map(reason_name));
        out.push(b'}');
    });
}
