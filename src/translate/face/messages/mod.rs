//! The face of Anthropic's Messages API: `POST /v1/messages`. Both versions of the API are read
//! alike, since each only takes less than the other.

pub mod blocks;
pub mod conversation;
pub mod error;
pub mod fields;
pub mod models;
pub mod parameters;
pub mod parse;
pub mod tools;
pub mod write;

use write::MessageEvents;

use super::answer::WholeAnswer;
use super::objects::{ResponseMeta, UsageChunk};
use super::{CountsTokens, Face, FaceSettings, WrittenProblem};
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::body::Body;
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::rejection::Rejection;

/// What stands in for Claude's models by their families, as ids or aliases of the catalogue.
#[derive(Clone, Debug)]
pub struct StandIns {
    /// For Opus, Sonnet and all that is not Haiku.
    pub large: String,
    /// For Haiku, which clients ask in the background.
    pub small: String,
}

/// A request for a message.
pub struct Messages {
    /// The stop sequences, of which an answer tells the one that has ended it.
    stops: Vec<String>,
}

impl Face for Messages {
    const ID_PREFIX: &'static str = "msg_";
    const NAMES: &'static FieldNames = &parse::NAMES;
    const REQUEST_ID: &'static str = "request-id";
    const FIRST_PING: &'static [u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
    type Frames = MessageEvents;

    fn problem(problem: &Problem, request_id: &str) -> WrittenProblem {
        error::write(problem, request_id)
    }

    type Reading<'a> = (Ask<'a>, Self);

    fn read<'a>(body: Body<'a>, settings: &FaceSettings) -> Result<Self::Reading<'a>, Rejection> {
        let ask = parse::parse(body, settings)?;
        let stops = ask.stop.clone();
        Ok((ask, Self { stops }))
    }

    fn to_json(&self, head: &ResponseMeta, answer: &WholeAnswer, notes: Option<&Notes>) -> Vec<u8> {
        write::to_json(head, answer, &self.stops, notes)
    }

    fn into_frames(
        self,
        head: &ResponseMeta,
        _: UsageChunk,
        notes: Option<&Notes>,
    ) -> MessageEvents {
        MessageEvents::new(head, self.stops, notes)
    }
}

impl CountsTokens for Messages {
    fn read_to_count<'a>(
        body: &'a [u8],
        settings: &FaceSettings,
    ) -> Result<Self::Reading<'a>, Rejection> {
        let ask = parse::read(body, settings)?;
        Ok((ask, Self { stops: Vec::new() }))
    }

    fn count_to_json(tokens: u64) -> Vec<u8> {
        format!("{{\"input_tokens\":{tokens}}}").into_bytes()
    }
}
