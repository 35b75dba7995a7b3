//! The legacy face: `POST /v1/completions`, a prompt in and a text out. Some clients (LlamaIndex's
//! `OpenAILike`, older editors) know no other.
//!
//! Two things OpenAI does are not done. Its default of 16 tokens is not imposed: nobody who leaves
//! `max_tokens` out wants an answer that breaks off after a dozen words. And its default prompt,
//! an empty document to be continued, has no counterpart in a model that answers.

pub mod parameters;
pub mod parse;
pub mod write;

use parse::Request;
use write::CompletionChunks;

use super::answer::WholeAnswer;
use super::objects::{ResponseMeta, UsageChunk};
use super::{Face, FaceSettings, WrittenProblem, error_object};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::rejection::Rejection;

/// A completion request.
pub struct Completions {
    echo: Option<String>,
}

impl Face for Completions {
    const ID_PREFIX: &'static str = "cmpl-";
    const NAMES: &'static FieldNames = &parse::NAMES;
    type Frames = CompletionChunks;

    fn problem(problem: &Problem, _: &str) -> WrittenProblem {
        error_object::write(problem)
    }

    type Reading<'a> = (Ask<'a>, Self);

    fn read<'a>(body: Body<'a>, settings: &FaceSettings) -> Result<Self::Reading<'a>, Rejection> {
        let Request { ask, echo } = parse::parse(body, &settings.messages.ignore)?;
        Ok((ask, Self { echo }))
    }

    fn to_json(&self, head: &ResponseMeta, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, self.echo.as_deref(), notes)
    }

    fn into_frames(
        self,
        head: &ResponseMeta,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> CompletionChunks {
        CompletionChunks::new(head, self.echo, usage, notes)
    }
}
