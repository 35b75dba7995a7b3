//! One request's exchange with fal: the calls, and their answers read as they come.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::try_join_all;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::alarm::Alarm;
use super::auth::Caller;
use super::counting::Tally;
use super::error::ApiError;
use super::gateway::Worker;
use super::leg::Leg;
use super::reask::Reask;
use super::uploads;
use crate::observe::record::Record;
use crate::translate::face::answer::Choices;
use crate::translate::plan::Plan;
use crate::translate::reading::{Fault, Format, Reader};
use crate::upstream::{Answer, RefusalKind, UpstreamError};

/// The calls that one request has made to fal, one for each choice. Dropping it drops them all.
pub struct Exchange {
    legs: Vec<Leg>,
    /// Of the first call.
    fal_request_id: Option<String>,
    limits: TimeLimits,
    alarm: Alarm,
    /// The end of the gateway's patience when it stops.
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Where the tokens are counted.
    tally: Option<Tally>,
}

#[derive(Clone, Copy, Debug)]
struct TimeLimits {
    first_byte: Instant,
    total: Instant,
    idle: Duration,
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

impl Exchange {
    /// Calls fal, once for each choice, and waits for the heads of the answers. Large images are
    /// uploaded first, and the plan's notes say so. When the model refuses before working, the
    /// plan's fallbacks are tried; `plan.input.model` is then the one that answers.
    ///
    /// # Errors
    /// The first call that fails fails the request; the others are dropped. A shutdown that waits
    /// no longer ends all of them.
    pub async fn open(
        worker: &Worker,
        caller: &Caller,
        plan: &mut Plan<'_>,
        record: &Record,
    ) -> Result<Self, ApiError> {
        uploads::upload_images(worker, caller, plan, record).await?;
        let gateway = &worker.gateway;
        let always_stream = gateway.config.usage.always_stream;
        let tally = gateway.counter.as_ref();
        let tally = tally.and_then(|counter| counter.tally(plan, always_stream));
        plan.notes.counted = tally.is_some();
        let total = gateway.config.fal.total_timeout;
        let first_byte = gateway.first_byte_timeout(plan.endpoint.stream).min(total);
        let started = Instant::now();
        record.calls_fal();
        let answers = tokio::select! {
            answers = answers(worker, caller, plan, record, first_byte) => answers?,
            () = gateway.stopping.enforced.cancelled() => {
                let error = ApiError::fault(Fault::ShuttingDown);
                record.error(error.code, error.source);
                return Err(error);
            }
        };
        let fal_request_id = answers.first().and_then(|answer| answer.request_id.clone());
        if let Some(id) = &fal_request_id {
            record.fal_request_id(id);
        }
        let reask = Reask::new(worker, caller, plan, first_byte);
        let leg = |answer: Answer| {
            let format = match answer.is_event_stream {
                true => Format::Events,
                false => Format::Object,
            };
            let mut reader = Reader::new(&plan.reading, format, gateway.reading_limits);
            if tally.is_some() {
                reader.keep_texts();
            }
            Leg::new(answer, reader, reask.clone())
        };
        Ok(Self {
            legs: answers.into_iter().map(leg).collect(),
            fal_request_id,
            limits: TimeLimits {
                first_byte: started + first_byte,
                total: started + total,
                idle: gateway.config.fal.idle_timeout,
            },
            alarm: Alarm::default(),
            shutdown: Box::pin(gateway.stopping.enforced.clone().cancelled_owned()),
            tally,
        })
    }

    /// fal's id of the first call.
    pub fn fal_request_id(&self) -> Option<String> {
        self.fal_request_id.clone()
    }

    /// What had to be forgiven, repaired or asked for again so far, by name.
    pub fn mended(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.legs.iter().flat_map(Leg::mended).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether every answer has ended.
    pub fn has_ended(&self) -> bool {
        self.legs.iter().all(Leg::has_ended)
    }

    /// When fal has been silent for too long, on any of the calls that are still running.
    pub fn deadline(&self) -> Instant {
        let silent_until = |leg: &Leg| match leg.last_heard() {
            None => self.limits.first_byte,
            Some(heard) => heard + self.limits.idle,
        };
        let running = self.legs.iter().filter(|leg| leg.is_running());
        let deadlines = running.map(silent_until);
        deadlines.fold(self.limits.total, Instant::min)
    }

    /// Waits until something comes from fal, and passes on what it says; at most until `until`.
    pub async fn advance(&mut self, until: Instant, choices: &mut dyn Choices) -> Waited {
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

    /// Ends every answer that is still running. One that is only being counted is complete, and
    /// ends with the estimate.
    pub fn fail(&mut self, fault: Fault, choices: &mut dyn Choices) {
        for (choice, leg) in self.legs.iter_mut().enumerate() {
            leg.fail(fault, choices, choice);
        }
    }

    /// Takes all that is ready on every connection, then acts on it once.
    fn poll(&mut self, context: &mut Context<'_>, choices: &mut dyn Choices) -> Poll<()> {
        let mut has_progress = self.has_ended();
        for (choice, leg) in self.legs.iter_mut().enumerate() {
            has_progress |= leg.advance(context, choices, choice, self.tally.as_ref());
        }
        match has_progress {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// The answers to all choices. They are asked for at once; but where other models could take over,
/// the first choice has to find out who answers before the others are paid for.
async fn answers(
    worker: &Worker,
    caller: &Caller,
    plan: &mut Plan<'_>,
    record: &Record,
    first_byte: Duration,
) -> Result<Vec<Answer>, ApiError> {
    let mut answers = Vec::with_capacity(plan.choices as usize);
    if !plan.fallbacks.is_empty() {
        answers.push(first_answer(worker, caller, plan, record, first_byte).await?);
    }
    let (path, input) = (plan.endpoint.path(), input_json(plan));
    let call = |_| {
        worker
            .fal
            .call(path, input.clone(), &caller.fal_key, first_byte)
    };
    let others = (answers.len()..plan.choices as usize).map(call);
    let others = try_join_all(others)
        .await
        .map_err(|error| failed(&error, worker, caller, plan, record))?;
    answers.extend(others);
    Ok(answers)
}

/// The answer to the first choice, from the first model that does not refuse it.
async fn first_answer(
    worker: &Worker,
    caller: &Caller,
    plan: &mut Plan<'_>,
    record: &Record,
    first_byte: Duration,
) -> Result<Answer, ApiError> {
    let mut fallbacks = std::mem::take(&mut plan.fallbacks).into_iter();
    loop {
        let outcome = worker
            .fal
            .call(
                plan.endpoint.path(),
                input_json(plan),
                &caller.fal_key,
                first_byte,
            )
            .await;
        let error = match outcome {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let refused = failed(&error, worker, caller, plan, record);
        match fallbacks.next().filter(|_| did_not_work(&error)) {
            None => return Err(refused),
            Some(next) => {
                worker.gateway.metrics.fallbacks.inc();
                plan.notes.emulated("models");
                plan.input.model = Cow::Owned(next);
            }
        }
    }
}

/// Whether fal refused before doing anything, so that asking another model pays for nothing twice.
fn did_not_work(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Unreachable | UpstreamError::ConnectTimedOut => true,
        UpstreamError::Refused(refusal) => matches!(
            refusal.kind,
            RefusalKind::UnknownModel { .. } | RefusalKind::Busy | RefusalKind::Unavailable
        ),
        UpstreamError::TimedOut
        | UpstreamError::Disconnected
        | UpstreamError::Unusable(_)
        | UpstreamError::UnusableHead(..) => false,
    }
}

fn input_json(plan: &Plan<'_>) -> Bytes {
    // The input's shape has nothing that JSON could not hold.
    Bytes::from(serde_json::to_vec(&plan.input).unwrap_or_default())
}

fn failed(
    error: &UpstreamError,
    worker: &Worker,
    caller: &Caller,
    plan: &Plan<'_>,
    record: &Record,
) -> ApiError {
    record.upstream_error(error.label());
    if let Some(id) = error.request_id() {
        record.fal_request_id(id);
    }
    let mut refused = ApiError::upstream(error, caller.brought_fal_key);
    if let UpstreamError::Refused(refusal) = error {
        let learned = &worker.gateway.learned;
        learned.learn(&refusal.kind);
        if let RefusalKind::UnknownModel { .. } = refusal.kind {
            let live = learned.models();
            refused.message = worker
                .gateway
                .catalogue
                .unknown(&plan.input.model, live.iter().map(String::as_str))
                .message
                .into();
        }
    }
    refused
}
