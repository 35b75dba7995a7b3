//! The answers that one request wants, as they come.

use std::any::Any;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::alarm::Alarm;
use super::attempt::Shared;
use super::choice::Choice;
use super::count::TokenCount;
use super::failure::Failure;
use super::retry::Retry;
use crate::translate::call::Input;
use crate::translate::cost::Cost;
use crate::translate::face::answer::AnswerSink;
use crate::translate::plan::{Plan, Recipe};
use crate::translate::reading::Fault;

/// So long first words are waited for that could be a refusal. Who refuses for what is asked does so at
/// once; whoever takes longer works.
const PATIENCE: Duration = Duration::from_secs(3);

/// One request's choices and their calls to fal. Dropping it drops them all.
pub struct Run {
    choices: Vec<Choice>,
    shared: Rc<Shared>,
    /// When all of it has to be over.
    total: Instant,
    alarm: Alarm,
    /// Resolves when a shutdown stops waiting for running answers.
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Where the tokens are counted.
    count: Option<TokenCount>,
}

/// Why a wait for fal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Something came, or an answer ended.
    Progress,
    /// Nothing came within the time that was allowed for this wait.
    Quiet,
    /// The gateway stops and waits no longer.
    ShutDown,
}

impl Run {
    /// A run that has not called yet.
    pub(super) fn new(
        shared: Rc<Shared>,
        plan: &Plan<'_>,
        input: &Input,
        reading: &Rc<Recipe>,
        max_prompt_chars: Option<usize>,
        memory: &Rc<dyn Any>,
        total: Instant,
    ) -> Self {
        let retry = Retry::new(&shared, plan, input, reading, max_prompt_chars, memory);
        let choice = |index| Choice::new(index, &shared, retry.clone());
        Self {
            choices: (0..plan.choices as usize).map(choice).collect(),
            total,
            alarm: Alarm::default(),
            shutdown: Box::pin(shared.engine.stop.clone().cancelled_owned()),
            count: None,
            shared,
        }
    }

    /// Has the tokens counted rather than estimated.
    pub(super) fn count_with(&mut self, count: Option<TokenCount>) {
        self.count = count;
    }

    /// Makes the first calls of these choices, and waits for the heads of their answers.
    pub(super) async fn call(
        &mut self,
        choices: std::ops::Range<usize>,
        input: &Input,
        reading: &Rc<Recipe>,
    ) {
        let called = self.choices.get_mut(choices).unwrap_or_default();
        for choice in &mut *called {
            choice.start(input.clone(), reading);
        }
        let place = &self.shared.place;
        std::future::poll_fn(|context| {
            let mut all = Poll::Ready(());
            for choice in &mut *called {
                if choice.poll_head(context, place).is_pending() {
                    all = Poll::Pending;
                }
            }
            all
        })
        .await;
    }

    /// Waits, not for long, for the first words of these choices. Those that fal refuses by them, under
    /// a status of success, have failed then.
    pub(super) async fn hear(&mut self, choices: std::ops::Range<usize>) {
        let until = self.deadline().min(Instant::now() + PATIENCE);
        let called = self.choices.get_mut(choices).unwrap_or_default();
        let heard = std::future::poll_fn(|context| {
            let mut all = Poll::Ready(());
            for choice in &mut *called {
                if choice.poll_refusal(context).is_pending() {
                    all = Poll::Pending;
                }
            }
            all
        });
        // Whatever comes later is an answer, or an error in its place.
        let _ = tokio::time::timeout_at(until, heard).await;
    }

    /// Whether any of the calls that were made has brought the head of an answer.
    pub(super) fn has_any_head(&self) -> bool {
        self.choices
            .iter()
            .any(|choice| choice.deadline().is_some())
    }

    /// What its calls cost that have ended, where that is known of each of them.
    pub fn cost(&self) -> Option<Cost> {
        self.shared.ledger.cost()
    }

    /// fal's id of the first call.
    pub fn fal_request_id(&self) -> Option<String> {
        let ids = self.choices.iter().filter_map(Choice::request_id);
        ids.map(str::to_owned).next()
    }

    /// What had to be forgiven, repaired or asked for again so far, by name.
    pub fn mended(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self
            .choices
            .iter()
            .flat_map(Choice::mended)
            .copied()
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether every choice has ended, well or not.
    pub fn has_ended(&self) -> bool {
        self.choices.iter().all(Choice::has_ended)
    }

    /// Why choices have failed, with their places.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Failure)> {
        let numbered = self.choices.iter().enumerate();
        numbered.filter_map(|(index, choice)| Some((index, choice.failure()?)))
    }

    /// The failure to tell a caller of, once the run has ended; and whether any of its calls may have
    /// been paid for.
    pub fn take_failure(&mut self) -> (Failure, bool) {
        let failures = self.choices.iter_mut().filter_map(Choice::take_failure);
        let failure = Failure::most_telling(failures.collect());
        let is_paid = self.shared.ledger.may_have_been_paid();
        (failure.unwrap_or(Failure::Bug), is_paid)
    }

    /// When fal has been silent for too long, on any of the calls that are still running.
    pub fn deadline(&self) -> Instant {
        let deadlines = self.choices.iter().filter_map(Choice::deadline);
        deadlines.fold(self.total, Instant::min)
    }

    /// Waits until something comes from fal, and passes on what it says; at most until `until`.
    pub async fn advance(&mut self, until: Instant, choices: &mut dyn AnswerSink) -> Waited {
        std::future::poll_fn(|context| {
            if self.poll(context, choices).is_ready() {
                return Poll::Ready(Waited::Progress);
            }
            if self.shutdown.poll_unpin(context).is_ready() {
                return Poll::Ready(Waited::ShutDown);
            }
            self.alarm.poll(until, context).map(|()| Waited::Quiet)
        })
        .await
    }

    /// Ends every answer on which fal has been silent for too long.
    pub fn expire(&mut self, choices: &mut dyn AnswerSink) {
        let now = Instant::now();
        let is_over = self.total <= now;
        for choice in &mut self.choices {
            if is_over || choice.deadline().is_some_and(|deadline| deadline <= now) {
                choice.fail(Fault::TimedOut, choices);
            }
        }
    }

    /// Ends every answer that is still running. One that is only being counted is complete, and
    /// ends with the estimate.
    pub fn fail(&mut self, fault: Fault, choices: &mut dyn AnswerSink) {
        for choice in &mut self.choices {
            choice.fail(fault, choices);
        }
    }

    /// Takes all that is ready on every connection, then acts on it once.
    fn poll(&mut self, context: &mut Context<'_>, choices: &mut dyn AnswerSink) -> Poll<()> {
        let mut has_progress = self.has_ended();
        for choice in &mut self.choices {
            has_progress |= choice.advance(context, choices, self.count.as_ref());
        }
        match has_progress {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
