//! What is shown of a request.

use std::ops::Range;

use serde::Serialize;

use super::Level;
use super::events::Pieces;
use crate::observe::shape::Outlines;

/// A request in a line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    pub request_id: String,
    pub route: &'static str,
    pub model: String,
    pub key: String,
    pub is_running: bool,
    pub is_stream: bool,
    /// 0 while it is not known.
    pub status: u16,
    pub error: &'static str,
    pub error_source: &'static str,
    pub duration_us: u64,
    pub first_us: Option<u64>,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub calls: u32,
    pub billed: &'static str,
    /// What it cost, as far as it is known.
    pub cost: String,
    pub emulated: String,
    pub ignored: String,
    /// Fields without effect that are in no API of ours.
    pub unknown_fields: usize,
    pub fold: String,
}

/// A body, or its beginning.
#[derive(Clone, Debug, Serialize)]
pub struct Body {
    pub text: String,
    /// Where the outline stands that the text is written from when somebody looks; nowhere where texts
    /// are kept.
    #[serde(skip)]
    pub(super) outline: Range<usize>,
    /// Of all of it, as it was sent.
    pub bytes: usize,
    pub is_cut: bool,
}

impl Body {
    /// The same, as it is shown.
    pub(super) fn shown(&self, outlines: &Outlines) -> Self {
        match self.outline.is_empty() {
            true => self.clone(),
            false => Self {
                text: outlines.show(&self.outline),
                outline: Range::default(),
                ..*self
            },
        }
    }
}

/// A call to fal.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    pub choice: usize,
    pub path: String,
    pub asked: Body,
    /// Microseconds since the request's head.
    pub begun_us: u64,
    pub head_us: Option<u64>,
    pub ended_us: Option<u64>,
    pub error: Option<String>,
    pub fal_request_id: Option<String>,
    pub heard: Pieces,
    #[serde(skip)]
    pub(super) last_event: String,
    #[serde(skip)]
    pub(super) half: Vec<u8>,
}

impl Call {
    /// The same, as it is shown.
    pub(super) fn shown(&self, outlines: &Outlines) -> Self {
        Self {
            asked: self.asked.shown(outlines),
            ..self.clone()
        }
    }
}

/// What came or left at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Piece<'k> {
    /// Microseconds since the request's head.
    pub at_us: u64,
    pub bytes: u32,
    /// How many pieces are added up here.
    pub pieces: u32,
    /// What it says, where texts are kept. Of fal's events, which each repeat the one before, only
    /// what is new: `from` bytes stand before it.
    pub texts: &'k [Said],
}

/// What one event or one batch of frames says.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    pub from: usize,
    pub text: String,
}

/// A request in the list.
#[derive(Debug, Serialize)]
pub struct Row {
    pub number: u64,
    pub age_ms: u64,
    #[serde(flatten)]
    pub facts: Facts,
}

/// All that is kept of a request.
#[derive(Debug, Serialize)]
pub struct Detail {
    pub row: Row,
    pub level: Level,
    pub sent: Option<Body>,
    pub calls: Vec<Call>,
    pub got: Pieces,
}
