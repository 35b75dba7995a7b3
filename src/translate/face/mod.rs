//! The public APIs. A face turns one API's JSON into an [`Ask`], and
//! [`Event`](super::reading::event::Event)s into that API's objects and SSE frames. It knows
//! nothing of fal and nothing of the other faces; what several of them do alike lies beside them.

pub mod answer;
pub mod chat;
pub mod completions;
pub mod objects;
pub mod rules;

use answer::{FrameWriter, WholeAnswer};
use objects::{Head, UsageChunk};

use super::ask::Ask;
use super::notes::Notes;
use super::rejection::Rejection;

/// A public API: how it reads a request and writes the answer to it. A value of it is one request.
pub trait Face: Sized {
    /// What its ids begin with.
    const ID_PREFIX: &'static str;
    /// The field that holds what is asked, which errors about it name.
    const ASKED_IN: &'static str;
    type Frames: FrameWriter + 'static;

    /// Reads a request body.
    ///
    /// # Errors
    /// Whatever the API would refuse, and what nothing here can honour.
    fn parse<'a>(body: &'a [u8], settings: &FaceSettings) -> Result<(Ask<'a>, Self), Rejection>;

    /// The JSON of a whole answer.
    fn to_json(&self, head: &Head, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8>;

    /// What writes a stream, with the notes in its first chunk where they are wanted.
    fn into_frames(self, head: &Head, usage: UsageChunk, notes: Option<&Notes>) -> Self::Frames;
}

/// What faces have to know of the settings.
#[derive(Clone, Debug)]
pub struct FaceSettings {
    pub messages: chat::messages::Limits,
    pub reasoning_field: chat::write::ReasoningField,
}
