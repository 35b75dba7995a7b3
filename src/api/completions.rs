//! `POST /v1/completions`, OpenAI's older API.

use super::answer::Face;
use super::gateway::Gateway;
use crate::translate::ask::Ask;
use crate::translate::face::answer::WholeAnswer;
use crate::translate::face::completions::parse::{self, Request};
use crate::translate::face::completions::write::{self, CompletionChunks};
use crate::translate::face::objects::{Head, UsageChunk};
use crate::translate::notes::Notes;
use crate::translate::rejection::Rejection;

/// A completion request.
pub struct Completions {
    echo: Option<String>,
}

impl Face for Completions {
    const ID_PREFIX: &'static str = "cmpl-";
    const ASKED_IN: &'static str = "prompt";
    type Frames = CompletionChunks;

    fn parse<'a>(body: &'a [u8], gateway: &Gateway) -> Result<(Ask<'a>, Self), Rejection> {
        let Request { ask, echo } = parse::parse(body, &gateway.message_limits.ignore)?;
        Ok((ask, Self { echo }))
    }

    fn to_json(&self, head: &Head, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, self.echo.as_deref(), notes)
    }

    fn into_frames(
        self,
        head: &Head,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> CompletionChunks {
        CompletionChunks::new(head, self.echo, usage, notes)
    }
}
