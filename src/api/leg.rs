//! One call to fal and its answer: read as it comes, and asked for again where it is not what was
//! promised.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::LocalBoxFuture;
use futures::{FutureExt, Stream};
use tokio::time::Instant;

use super::counting::Tally;
use super::gathering::Gathering;
use super::reask::{Asking, Reask};
use crate::translate::face::answer::Choices;
use crate::translate::reading::{Event, Fault, Finish, FinishReason, Instead, Reader, Sink, Unmet};
use crate::upstream::{Answer, RefusalKind, UpstreamError};

/// One choice's call to fal. Dropping it drops the call.
pub struct Leg {
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

impl Leg {
    /// The call that has this answer; with `reask` it can be made again.
    pub fn new(answer: Answer, reader: Reader, reask: Option<Reask>) -> Self {
        Self {
            body: Some(answer),
            reader,
            gathering: Gathering::default(),
            last_heard: None,
            ending: None,
            reask,
            asking: None,
            instead: None,
            mended: Vec::new(),
        }
    }

    /// Whether the answer has ended and its ending has been passed on.
    pub fn has_ended(&self) -> bool {
        self.body.is_none() && self.ending.is_none() && self.asking.is_none()
    }

    /// Whether fal is still answering.
    pub fn is_running(&self) -> bool {
        self.body.is_some()
    }

    /// When fal last said anything; `None` before its first byte.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// What had to be mended so far, by name.
    pub fn mended(&self) -> &[&'static str] {
        &self.mended
    }

    /// Takes all that is ready and acts on it once; whether anything has come of it.
    pub fn advance(
        &mut self,
        context: &mut Context<'_>,
        choices: &mut dyn Choices,
        choice: usize,
        tally: Option<&Tally>,
    ) -> bool {
        let mut sink = Choice::new(choices, choice, tally.is_some());
        sink.keeps_faults = self.instead.is_some();
        let mut has_progress = self.poll_asking(context, &mut sink);
        has_progress |= self.poll_body(context, &mut sink);
        if let Some(unmet) = sink.unmet.take() {
            self.mend(&unmet, &mut sink);
            sink.keeps_faults = self.instead.is_some();
            has_progress |= self.poll_asking(context, &mut sink);
        }
        if let Some(fault) = sink.fault.take() {
            self.settle(fault, &mut sink);
        }
        if let (Some(tally), Some(estimated)) = (tally, sink.held_back.take()) {
            let counted = tally.settle(estimated, self.reader.take_texts());
            self.ending = Some(Ending { estimated, counted });
        }
        has_progress | self.poll_ending(context, &mut sink)
    }

    /// Ends the answer if it is still running. One that is only being counted is complete, and ends
    /// with the estimate.
    pub fn fail(&mut self, fault: Fault, choices: &mut dyn Choices, choice: usize) {
        let mut sink = Choice::new(choices, choice, false);
        sink.keeps_faults = self.instead.is_some();
        self.reader.fail(fault, &mut sink);
        if self.asking.take().is_some() {
            sink.event(Event::Failed(fault));
        }
        if let Some(fault) = sink.fault.take() {
            self.settle(fault, &mut sink);
        }
        self.body = None;
        if let Some(ending) = self.ending.take() {
            sink.event(Event::Finished(ending.estimated));
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>, sink: &mut Choice<'_>) -> bool {
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
