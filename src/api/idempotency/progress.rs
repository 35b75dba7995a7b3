//! What those who began a request have to know of the work on it: the record of its key, and whoever
//! begins its answer.

use std::cell::{Cell, OnceCell};

use super::claim::Claim;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::observe::record::Record;
use crate::store::responses::Keyed;
use crate::translate::problem::Problem;

/// How far a request is.
#[derive(Default)]
pub struct Progress {
    claim: Cell<Option<Claim>>,
    is_claimed: Cell<bool>,
    kept_as: OnceCell<String>,
    has_failed_for_nothing: Cell<bool>,
    is_broken_off: Cell<bool>,
    stream: Cell<Option<Record>>,
    has_heard: Cell<bool>,
}

impl Progress {
    /// It is worked on from now on, under a claim.
    pub(super) fn begin(&self, context: &Context, keyed: Keyed) {
        self.claim.set(Some(Claim::of(context, keyed)));
        self.is_claimed.set(true);
    }

    /// Whether it is worked on under a claim, or was.
    pub fn is_claimed(&self) -> bool {
        self.is_claimed.get()
    }

    /// Writes down that fal is going to be asked, where the request has a key: should this process die
    /// before, whoever repeats it is served.
    ///
    /// # Errors
    /// 503 where the store fails, or where somebody else has taken the request up because this process
    /// could not hold it.
    pub async fn asks(&self, context: &Context) -> Result<(), ApiError> {
        let Some(claim) = self.claim.take() else {
            return Ok(());
        };
        let begun = claim.begin().await;
        self.claim.set(Some(claim));
        match begun.map_err(|error| context.store_failed(&error))? {
            true => Ok(()),
            false => Err(super::taken_up()),
        }
    }

    /// The claim, to be settled.
    pub fn take_claim(&self) -> Option<Claim> {
        self.claim.take()
    }

    /// Its answer is kept under this id as well, and is deleted with that.
    pub fn keep_as(&self, id: &str) {
        let _ = self.kept_as.set(id.to_owned());
    }

    pub(super) fn kept_as(&self) -> Option<&str> {
        self.kept_as.get().map(String::as_str)
    }

    /// fal is going to be asked, and the answer is a stream, which may begin before fal does.
    pub fn awaits_fal(&self, record: &Record) {
        self.stream.set(Some(record.clone()));
    }

    /// fal has begun, or it is known why it does not: so will the answer.
    pub fn hears_fal(&self) {
        self.has_heard.set(true);
    }

    /// Whether it is known what the answer begins with.
    pub fn has_heard(&self) -> bool {
        self.has_heard.get()
    }

    /// The record of a request whose answer may begin, once.
    pub fn take_stream(&self) -> Option<Record> {
        self.stream.take()
    }

    /// Its answer ends with this.
    pub fn fail(&self, problem: &Problem) {
        self.has_failed_for_nothing.set(!problem.may_be_paid);
    }

    pub(super) fn has_failed_for_nothing(&self) -> bool {
        self.has_failed_for_nothing.get()
    }

    /// What is told of its answer stops before the answer does.
    pub fn break_off(&self) {
        self.is_broken_off.set(true);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.is_broken_off.get()
    }
}
