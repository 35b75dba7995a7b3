//! One request's exchange with fal: the calls, and their answers read as they come.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{LocalBoxFuture, try_join_all};
use futures::{FutureExt, Stream};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::alarm::Alarm;
use super::auth::Caller;
use super::counting::Tally;
use super::error::ApiError;
use super::gateway::Worker;
use super::gathering::Gathering;
use super::reask::{Asking, Reask};
use super::uploads;
use crate::observe::record::Record;
use crate::translate::face::answer::Choices;
use crate::translate::plan::Plan;
use crate::translate::reading::{
    Event, Fault, Finish, FinishReason, Format, Instead, Reader, Sink, Unmet,
};
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

struct Leg {
    /// `None` once the answer has ended: the connection is closed or back in its pool.
    body: Option<Answer>,
    reader: Reader,
    gathering: Gathering,
    /// When fal last said anything; `None` before its first byte.
    last_heard: Option<Instant>,
    ending: Option<Ending>,
    /// How to ask again, where the answer has to be something in particular.
    reask: Option<Reask>,
    asking: Option<Asking>,
    /// What an earlier attempt has left to deliver, should no later one do better.
    instead: Option<Instead>,
    /// What had to be mended so far, by name.
    mended: Vec<&'static str>,
}

/// The ending of an answer while its tokens are being counted.
struct Ending {
    estimated: Finish,
    counted: LocalBoxFuture<'static, Finish>,
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
        let answers = tokio::select! {
            answers = answers(worker, caller, plan, record, first_byte) => answers?,
            () = gateway.stopping.enforced.cancelled() => {
                let error = ApiError::fault(Fault::ShuttingDown);
                record.error(error.code);
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
            Leg {
                reader,
                gathering: Gathering::default(),
                body: Some(answer),
                last_heard: None,
                ending: None,
                reask: reask.clone(),
                asking: None,
                instead: None,
                mended: Vec::new(),
            }
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
        let mut names: Vec<_> = self
            .legs
            .iter()
            .flat_map(|leg| leg.mended.iter().copied())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether every answer has ended.
    pub fn has_ended(&self) -> bool {
        self.legs
            .iter()
            .all(|leg| leg.body.is_none() && leg.ending.is_none() && leg.asking.is_none())
    }

    /// When fal has been silent for too long, on any of the calls that are still running.
    pub fn deadline(&self) -> Instant {
        let silent_until = |leg: &Leg| match leg.last_heard {
            None => self.limits.first_byte,
            Some(heard) => heard + self.limits.idle,
        };
        let running = self.legs.iter().filter(|leg| leg.body.is_some());
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
            let mut sink = Choice::new(choices, choice, false);
            sink.keeps_faults = leg.instead.is_some();
            leg.reader.fail(fault, &mut sink);
            if leg.asking.take().is_some() {
                sink.event(Event::Failed(fault));
            }
            if let Some(fault) = sink.fault.take() {
                leg.settle(fault, &mut sink);
            }
            leg.body = None;
            if let Some(ending) = leg.ending.take() {
                sink.event(Event::Finished(ending.estimated));
            }
        }
    }

    /// Takes all that is ready on every connection, then acts on it once.
    fn poll(&mut self, context: &mut Context<'_>, choices: &mut dyn Choices) -> Poll<()> {
        let mut has_progress = self.has_ended();
        for (choice, leg) in self.legs.iter_mut().enumerate() {
            let mut sink = Choice::new(choices, choice, self.tally.is_some());
            sink.keeps_faults = leg.instead.is_some();
            has_progress |= leg.poll_asking(context, &mut sink);
            has_progress |= leg.poll(context, &mut sink);
            if let Some(unmet) = sink.unmet.take() {
                leg.mend(&unmet, &mut sink);
                sink.keeps_faults = leg.instead.is_some();
                has_progress |= leg.poll_asking(context, &mut sink);
            }
            if let Some(fault) = sink.fault.take() {
                leg.settle(fault, &mut sink);
            }
            if let (Some(tally), Some(estimated)) = (&self.tally, sink.held_back.take()) {
                let counted = tally.settle(estimated, leg.reader.take_texts());
                leg.ending = Some(Ending { estimated, counted });
            }
            has_progress |= leg.poll_ending(context, &mut sink);
        }
        match has_progress {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Leg {
    fn poll(&mut self, context: &mut Context<'_>, sink: &mut Choice<'_>) -> bool {
        let Some(body) = &mut self.body else {
            return false;
        };
        let mut end = None;
        while end.is_none() && self.gathering.has_room() {
            match Pin::new(&mut *body).poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.gathering.add(bytes.len());
                    self.reader.feed(&bytes);
                }
                Poll::Ready(Some(Err(_))) => end = Some(Err(Fault::Disconnected)),
                Poll::Ready(None) => end = Some(Ok(())),
                Poll::Pending => break,
            }
        }
        if end.is_none() && self.gathering.poll(self.last_heard, context).is_pending() {
            return false;
        }
        let gathered = std::mem::take(&mut self.gathering);
        if gathered.bytes > 0 {
            self.last_heard = Some(Instant::now());
            self.reader.read(sink);
        }
        match end {
            Some(Ok(())) => self.reader.finish(sink),
            Some(Err(fault)) => self.reader.fail(fault, sink),
            // More may be ready; the next poll must come even if no new byte does.
            None if !gathered.has_room() => context.waker().wake_by_ref(),
            None => {}
        }
        if self.reader.has_ended() {
            self.body = None;
            self.note_mending();
        }
        true
    }

    fn note_mending(&mut self) {
        if let Some(reask) = &self.reask {
            let leniencies = self.reader.leniencies();
            reask.count(leniencies);
            self.mended.extend(leniencies);
        }
    }

    /// The model's answer is not what was promised: it is asked again, or that was the last word.
    fn mend(&mut self, unmet: &Unmet, sink: &mut Choice<'_>) {
        let reply = self.reader.reply().to_owned();
        self.asking = self
            .reask
            .as_mut()
            .and_then(|reask| reask.ask(unmet, &reply));
        self.instead = unmet.instead.clone().or(self.instead.take());
        match self.asking.is_some() {
            true => {
                self.mended.push("reask");
                sink.event(Event::Mended(&["reask"]));
            }
            false => self.settle(unmet.fault, sink),
        }
    }

    /// Ends an answer that will not get better: with what may be delivered all the same, if there
    /// is anything.
    fn settle(&mut self, fault: Fault, sink: &mut Choice<'_>) {
        sink.keeps_faults = false;
        let Some(Instead { text, calls }) = self.instead.take() else {
            return sink.event(Event::Failed(fault));
        };
        if !text.is_empty() {
            sink.event(Event::Text(&text));
        }
        for call in &calls {
            sink.event(Event::Call(call));
        }
        let reason = match calls.is_empty() {
            true => FinishReason::Stop,
            false => FinishReason::ToolCalls,
        };
        let usage = self.reader.usage();
        sink.event(Event::Finished(Finish { reason, usage }));
    }

    /// Goes on with the answer to being asked again, once it comes.
    fn poll_asking(&mut self, context: &mut Context<'_>, sink: &mut Choice<'_>) -> bool {
        let Some(asking) = &mut self.asking else {
            return false;
        };
        let Poll::Ready(outcome) = asking.poll_unpin(context) else {
            return false;
        };
        self.asking = None;
        match (outcome, &self.reask) {
            (Ok(answer), Some(reask)) => {
                self.reader = reask.reader(&answer, &self.reader);
                // Its head has just come, and the limit on silence counts from there.
                self.last_heard = Some(Instant::now());
                self.body = Some(answer);
            }
            (Ok(_), None) => {}
            (Err(error), _) => sink.event(Event::Failed(fault_of(&error))),
        }
        true
    }

    /// Passes the ending on once its tokens have been counted.
    fn poll_ending(&mut self, context: &mut Context<'_>, sink: &mut Choice<'_>) -> bool {
        let Some(ending) = &mut self.ending else {
            return false;
        };
        let Poll::Ready(finish) = ending.counted.poll_unpin(context) else {
            return false;
        };
        self.ending = None;
        sink.choices.event(sink.choice, Event::Finished(finish));
        true
    }
}

/// The sink of one choice.
struct Choice<'c> {
    choices: &'c mut dyn Choices,
    choice: usize,
    /// Whether the ending waits, because its tokens are still to be counted.
    holds_back: bool,
    held_back: Option<Finish>,
    unmet: Option<Unmet>,
    /// Whether there is something to deliver instead of a fault.
    keeps_faults: bool,
    fault: Option<Fault>,
}

impl<'c> Choice<'c> {
    fn new(choices: &'c mut dyn Choices, choice: usize, holds_back: bool) -> Self {
        Self {
            choices,
            choice,
            holds_back,
            held_back: None,
            unmet: None,
            keeps_faults: false,
            fault: None,
        }
    }
}

impl Sink for Choice<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Finished(finish) if self.holds_back => self.held_back = Some(finish),
            Event::Failed(fault) if self.keeps_faults => self.fault = Some(fault),
            Event::Unmet(unmet) => self.unmet = Some(unmet.clone()),
            event => self.choices.event(self.choice, event),
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

/// What a failed call means for an answer that has begun.
fn fault_of(error: &UpstreamError) -> Fault {
    match error {
        UpstreamError::TimedOut | UpstreamError::ConnectTimedOut => Fault::TimedOut,
        UpstreamError::Unreachable | UpstreamError::Disconnected => Fault::Disconnected,
        UpstreamError::Unusable(reason) | UpstreamError::UnusableHead(reason, _) => {
            Fault::Unusable(reason)
        }
        UpstreamError::Refused(refusal) => match refusal.kind {
            RefusalKind::Busy => Fault::Busy,
            RefusalKind::ContextLength | RefusalKind::TooLong { .. } => Fault::ContextLength,
            RefusalKind::TimedOut => Fault::TimedOut,
            _ => Fault::Model,
        },
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
