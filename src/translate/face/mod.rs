//! The public APIs. A face turns one API's JSON into an [`Ask`], and
//! [`Event`](super::reading::event::Event)s into that API's objects and SSE frames. It knows
//! nothing of fal and nothing of the other faces; what several of them do alike lies beside them.

pub mod answer;
pub mod attached;
pub mod calls;
pub mod chat;
pub mod completions;
pub mod error_object;
pub mod files;
pub mod functions;
pub mod messages;
pub mod objects;
pub mod responses;
pub mod rules;
pub mod state;
pub mod thoughts;

use std::ops::Range;

use answer::{FrameWriter, WholeAnswer};
use objects::{ResponseMeta, UsageChunk};
use state::{Past, Record, RecordItem, Wanted};

use super::ask::{Ask, FieldNames};
use super::body::Body;
use super::notes::Notes;
use super::problem::Problem;
use super::rejection::Rejection;

/// A public API: how it reads a request and writes the answer to it. A value of it is one request.
pub trait Face: Sized + 'static {
    /// What its ids begin with.
    const ID_PREFIX: &'static str;
    /// Whether its ids must not be guessable, because answers are asked for by them.
    const IDS_ARE_SECRET: bool = false;
    /// What it calls the fields that problems speak of.
    const NAMES: &'static FieldNames;
    /// Whether its clients repeat a request by themselves that has failed for good.
    const CLIENTS_REPEAT: bool = false;
    /// The header in which it tells callers what the request goes by, besides `x-request-id`.
    const REQUEST_ID: &'static str = "x-request-id";
    /// What is sent in a stream of which nothing is known yet: nothing that the answer would have to
    /// hold to.
    const FIRST_PING: &'static [u8] = b": keep-alive\n\n";
    type Frames: FrameWriter + 'static;

    /// A problem in place of an answer, also one that was found before any of the request was
    /// read. `request_id` is what the request goes by.
    fn problem(problem: &Problem, request_id: &str) -> WrittenProblem;

    /// A request that is read as far as it goes without what it refers to.
    type Reading<'a>: Reading<'a, Self>;

    /// Reads a request body.
    ///
    /// # Errors
    /// Whatever the API would refuse, and what nothing here can honour.
    fn read<'a>(body: Body<'a>, settings: &FaceSettings) -> Result<Self::Reading<'a>, Rejection>;

    /// Reads a request body that refers to nothing that is kept.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn parse<'a>(body: &'a [u8], settings: &FaceSettings) -> Result<(Ask<'a>, Self), Rejection> {
        Self::read(body.into(), settings)?.finish(Past::NONE, settings)
    }

    /// Whether the answer is to be kept.
    fn is_kept(&self) -> bool {
        false
    }

    /// The answer is not kept after all, and says so.
    fn forget(&mut self) {}

    /// Whether the answer is made while nobody waits for it.
    fn is_background(&self) -> bool {
        false
    }

    /// Such an answer as it is kept before anything of it is there.
    fn record_begun(&self, _: &ResponseMeta) -> Option<Record> {
        None
    }

    /// A whole answer as it is kept.
    fn record(&self, _: &ResponseMeta, _: &WholeAnswer) -> Option<Record> {
        None
    }

    /// Where in the body that stands which [`record_input`](Self::record_input) makes items of. All of
    /// it is, where nothing is said.
    fn input_place(&self) -> Option<Range<usize>> {
        None
    }

    /// The items of a request's input as they are kept with the response of this id. It is of a body
    /// that was read, and `past` what was found for it.
    fn record_input(_input: &[u8], _past: &Past, _response: &str) -> Vec<RecordItem> {
        Vec::new()
    }

    /// How many bytes of the request it keeps for as long as it answers.
    fn kept_bytes(&self) -> usize {
        0
    }

    /// The JSON of a whole answer.
    fn to_json(&self, head: &ResponseMeta, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8>;

    /// What writes a stream, with the notes in its first chunk where they are wanted.
    fn into_frames(
        self,
        head: &ResponseMeta,
        usage: UsageChunk,
        notes: Option<&Notes>,
    ) -> Self::Frames;
}

/// A request that is read as far as it goes without what it refers to.
pub trait Reading<'a, F> {
    /// What it refers to of what is kept.
    fn wanted(&self) -> Wanted;

    /// Reads the rest, with what was found of it.
    ///
    /// # Errors
    /// As [`Face::read`], and what was not found.
    fn finish(self, past: &'a Past, settings: &FaceSettings) -> Result<(Ask<'a>, F), Rejection>;
}

/// Where nothing is kept, nothing is missing.
impl<'a, F> Reading<'a, F> for (Ask<'a>, F) {
    fn wanted(&self) -> Wanted {
        Wanted::default()
    }

    fn finish(self, _: &'a Past, _: &FaceSettings) -> Result<Self, Rejection> {
        Ok(self)
    }
}

/// An API that also tells how many tokens a request has, without answering it.
pub trait CountsTokens: Face {
    /// Reads the body of a request whose tokens are wanted; it need not say what only an answer
    /// needs.
    ///
    /// # Errors
    /// As [`Face::read`].
    fn read_to_count<'a>(
        body: &'a [u8],
        settings: &FaceSettings,
    ) -> Result<Self::Reading<'a>, Rejection>;

    /// The JSON of the answer.
    fn count_to_json(tokens: u64) -> Vec<u8>;
}

/// A problem in an API's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenProblem {
    /// The status of the answer.
    pub status: u16,
    /// The envelope, as JSON.
    pub body: Vec<u8>,
}

/// What faces have to know of the settings.
#[derive(Clone, Debug)]
pub struct FaceSettings {
    pub messages: chat::messages::MessageLimits,
    pub reasoning_field: chat::write::ReasoningField,
    pub stand_ins: messages::StandIns,
    /// Whether responses are kept unless a request says otherwise.
    pub keeps_responses: bool,
}
