//! Runs a plan: calls fal, reads what comes, and asks again where that helps. It knows nothing of
//! the HTTP server, so that a run can outlive the request that began it.
//!
//! [`open()`] walks to a model that answers and gives a [`Run`], one for a request. A run has a
//! [`choice::Choice`] for each answer that is wanted, and a choice has one [`attempt::Attempt`] after
//! another: the first try, then, where the answer is not what was promised, another. Every call to
//! fal is an attempt, is taken from the same [`ledger::Ledger`], and is settled in its `Drop`,
//! whatever the ending.

pub mod alarm;
pub mod attempt;
pub mod batch;
pub mod choice;
pub mod count;
pub mod failure;
pub mod ledger;
pub mod observed;
pub mod open;
pub mod price;
pub mod problem;
pub mod retry;
pub mod run;

pub mod terms;
pub mod uploads;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::observe::calls::CallQueue;
use crate::observe::metrics::Metrics;
use crate::translate::key::Secret;
use crate::translate::reading;
use crate::translate::upstream::Apps;

pub use attempt::{Call, Carrier};
pub use failure::Failure;
pub use ledger::{Escrow, Grant};
pub use open::{Order, open};
pub use problem::Audience;
pub use run::{Run, Waited};

/// What all runs share.
#[derive(Clone, Debug)]
pub struct Engine {
    pub settings: Settings,
    /// Where the upstreams are.
    pub apps: Arc<Apps>,
    pub metrics: Arc<Metrics>,
    /// What fal's refusals have taught.
    pub observed: Arc<observed::Observed>,
    /// What came of tools and schemas that were seen before.
    pub terms: Arc<terms::KnownTerms>,
    /// Where calls are told once they have ended.
    pub calls: Arc<CallQueue>,
    /// Counts tokens, where they are counted rather than estimated.
    pub counter: Option<Arc<count::TokenCounter>>,
    /// Cancelled when a shutdown stops waiting for running answers.
    pub stop: CancellationToken,
}

/// How runs are made, as the operator set it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub reading: reading::ReaderLimits,
    /// How long fal may take for its first byte; `None` leaves it to the kind of answer.
    pub first_byte: Option<Duration>,
    /// How long fal may be silent inside an answer.
    pub idle: Duration,
    /// How long all of it may take.
    pub total: Duration,
    /// How often a model is asked again for one answer.
    pub max_reasks: usize,
    /// Bytes from which an image is uploaded, if any is.
    pub upload_threshold: Option<usize>,
    /// The most calls to fal that one request may cause.
    pub max_calls: u32,
    /// What the keys of the markup are derived with.
    pub secret: Secret,
    /// Whether fal may keep what is sent and answered, where the caller does not object.
    pub may_be_kept: bool,
    /// Whether streams tell their usage unasked.
    pub always_tells_usage: bool,
}

impl Settings {
    /// How long fal may take for the first byte of an answer, never longer than for all of it.
    pub fn first_byte(&self, is_stream: bool) -> Duration {
        const STREAM: Duration = Duration::from_secs(120);
        const WHOLE: Duration = Duration::from_secs(600);
        let default = if is_stream { STREAM } else { WHOLE };
        self.first_byte.unwrap_or(default).min(self.total)
    }
}
