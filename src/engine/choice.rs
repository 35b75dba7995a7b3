//! One of the answers that a request wants: attempts at it, one after another, until one is what was
//! promised or none may follow.

use std::rc::Rc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::time::Instant;

use super::attempt::{Attempt, Shared};
use super::count::{TokenCount, Written};
use super::failure::{Failure, billed_for_error, billed_for_fault, fault_label, fault_of};
use super::ledger::Billed;
use super::observed::{Lengths, ObservedPlace};
use super::open::could_be_asked_for;
use super::retry::Retry;
use crate::translate::call::Input;
use crate::translate::face::answer::AnswerSink;
use crate::translate::plan::Recipe;
use crate::translate::reading::{
    BestEffort, ContractViolation, Event, Fault, Finish, FinishReason, Reader, Sink,
};
use crate::upstream::{Refusal, RefusalKind, UpstreamError};

/// A choice. Dropping it drops its call. What hardly any has stands in boxes.
pub struct Choice {
    index: usize,
    shared: Rc<Shared>,
    attempt: Option<Attempt>,
    retry: Option<Box<Retry>>,
    /// What an earlier attempt has left to deliver, should no later one do better.
    instead: Option<Box<BestEffort>>,
    /// Why the attempt before was not enough, until this one has delivered something.
    unmet: Option<Fault>,
    /// How long the texts were when it was asked again last.
    asked_again: Lengths,
    /// What had to be mended so far, by name.
    mended: Vec<&'static str>,
    /// All that was written so far, where it is counted.
    written: Written,
    counting: Option<Box<Counting>>,
    failure: Option<Box<Failure>>,
    /// fal's id of the first call that it gave one for.
    request_id: Option<String>,
    has_ended: bool,
}

/// The ending of an answer while its tokens are being counted.
struct Counting {
    estimated: Finish,
    counted: LocalBoxFuture<'static, Finish>,
}

impl Choice {
    /// A choice that has not called yet.
    pub fn new(index: usize, shared: &Rc<Shared>, retry: Option<Retry>) -> Self {
        Self {
            index,
            shared: Rc::clone(shared),
            attempt: None,
            retry: retry.map(Box::new),
            instead: None,
            unmet: None,
            asked_again: Lengths::default(),
            mended: Vec::new(),
            written: Written::default(),
            counting: None,
            failure: None,
            request_id: None,
            has_ended: false,
        }
    }

    /// Makes the first call.
    pub fn start(&mut self, input: Input, reading: &Rc<Recipe>) {
        self.attempt = Attempt::start(&self.shared, self.index, input, Rc::clone(reading), None);
        if self.attempt.is_none() {
            self.failure = Some(Box::new(Failure::Bug));
        }
    }

    /// Ready when the head of its answer has come, or failed to.
    pub fn poll_head(&mut self, context: &mut Context<'_>, place: &ObservedPlace) -> Poll<()> {
        let Some(attempt) = &mut self.attempt else {
            return Poll::Ready(());
        };
        let outcome = std::task::ready!(attempt.poll_head(context));
        self.request_id = attempt.request_id().map(str::to_owned);
        if let Err(error) = outcome {
            self.attempt = None;
            self.failure = Some(Box::new(Failure::Call {
                error,
                model: place.model.clone(),
                upstream: place.upstream,
            }));
        }
        Poll::Ready(())
    }

    /// Ready once its first words have come. Where fal refuses by them, it has failed as if that had
    /// been said in the head.
    pub fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(attempt) = &mut self.attempt else {
            return Poll::Ready(());
        };
        let refusal = std::task::ready!(attempt.poll_refusal(context));
        if let Some(refusal) = refusal.filter(|refusal| self.makes_sense(refusal)) {
            self.count_refusal(&refusal);
            self.failure = Some(Box::new(self.refused(refusal)));
        }
        Poll::Ready(())
    }

    /// Whether its ending has been passed on.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Why it has failed, if it has.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_deref()
    }

    /// The same, to keep.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take().map(|failure| *failure)
    }

    /// fal's id of its first call.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Until when fal may be silent, while it is still answering.
    pub fn deadline(&self) -> Option<Instant> {
        self.attempt.as_ref().map(Attempt::deadline)
    }

    /// What had to be mended so far, by name.
    pub fn mended(&self) -> &[&'static str] {
        &self.mended
    }

    /// Takes all that is ready and acts on it once; whether anything has come of it.
    pub fn advance(
        &mut self,
        context: &mut Context<'_>,
        choices: &mut dyn AnswerSink,
        count: Option<&TokenCount>,
    ) -> bool {
        if self.has_ended {
            return false;
        }
        let mut sink = ChoiceSink::new(choices, self.index);
        if self.attempt.is_none() && self.counting.is_none() {
            let fault = match self.failure() {
                Some(Failure::Call { error, .. }) => fault_of(error),
                _ => Fault::Unusable("nothing was asked"),
            };
            self.give_up(fault, &mut sink);
            return true;
        }
        let mut has_progress = self.poll_attempt(context, &mut sink, count);
        if let Some(unmet) = sink.unmet.take() {
            self.ask_again(&unmet, &mut sink, count);
            has_progress |= self.poll_attempt(context, &mut sink, count);
        }
        if let Some(fault) = sink.fault.take() {
            self.break_off(fault, &mut sink, count);
        }
        if let Some(finish) = sink.finish.take() {
            self.end_attempt(Billed::Yes, Some("ok"));
            self.finish(finish, &mut sink, count);
        }
        has_progress | self.poll_counting(context, &mut sink)
    }

    /// Ends it if it is still running. One that is only being counted is complete, and ends with the
    /// estimate.
    pub fn fail(&mut self, fault: Fault, choices: &mut dyn AnswerSink) {
        if self.has_ended {
            return;
        }
        let mut sink = ChoiceSink::new(choices, self.index);
        if let Some(counting) = self.counting.take() {
            return self.conclude(counting.estimated, &mut sink);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.break_off(fault, &mut sink);
        }
        self.break_off(fault, &mut sink, None);
    }

    fn poll_attempt(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut ChoiceSink<'_>,
        count: Option<&TokenCount>,
    ) -> bool {
        let Some(attempt) = &mut self.attempt else {
            return false;
        };
        let was_calling = attempt.is_calling();
        match attempt.poll_head(context) {
            Poll::Pending => return false,
            Poll::Ready(Err(error)) => self.retry_failed(&error, sink, count),
            Poll::Ready(Ok(())) => {
                let has_progress = attempt.poll_body(context, sink);
                if sink.has_delivered {
                    self.unmet = None;
                }
                if sink.has_words {
                    // Plain words that have gone out are an answer, whatever follows them.
                    self.retry.take_if(|retry| retry.is_for_plain_words());
                }
                return has_progress | was_calling;
            }
        }
        true
    }

    /// The model could not be asked again, which was counted; the caller is told why it had to be.
    fn retry_failed(
        &mut self,
        error: &UpstreamError,
        sink: &mut ChoiceSink<'_>,
        count: Option<&TokenCount>,
    ) {
        self.attempt = None;
        if let UpstreamError::Refused(refusal) = error {
            self.shared.learn(&refusal.kind);
            let (observed, place) = (&self.shared.engine.observed, &self.shared.place);
            observed.refused(place, &refusal.kind, self.asked_again);
        }
        if billed_for_error(error) == Billed::No {
            self.written.drop_prompt();
        }
        let fault = self.unmet.take().unwrap_or_else(|| fault_of(error));
        self.settle(fault, sink, count);
    }

    /// The model's answer is not what was promised: it is asked again, or that was the last word.
    fn ask_again(
        &mut self,
        unmet: &ContractViolation,
        sink: &mut ChoiceSink<'_>,
        count: Option<&TokenCount>,
    ) {
        let reader = self.end_attempt(Billed::Yes, fault_label(unmet.fault));
        // Silence is no answer for a model that had more to say when it was asked again.
        let before = self.instead.take().filter(|instead| !instead.is_empty());
        self.instead = unmet.instead.clone().map(Box::new).or(before);
        let shared = Rc::clone(&self.shared);
        let may_call = shared.ledger.has_calls_left(1);
        self.attempt = reader.filter(|_| may_call).and_then(|before| {
            let again = self.retry.as_mut()?.again(unmet, before.reply())?;
            self.retry.take_if(|retry| retry.is_used_up());
            self.written.add_prompt(again.correction);
            self.asked_again = again.lengths;
            Attempt::start(
                &shared,
                self.index,
                again.input.into(),
                again.reading,
                Some(before),
            )
        });
        match self.attempt.is_some() {
            true => {
                shared.engine.metrics.reasks.inc();
                self.unmet = Some(unmet.fault);
                self.mended.push("reask");
                sink.choices.event(self.index, Event::Mended(&["reask"]));
            }
            false => {
                if let Some(label) = fault_label(unmet.fault) {
                    shared.ledger.record().upstream_error(label);
                }
                self.settle(unmet.fault, sink, count);
            }
        }
    }

    /// The answer broke off.
    fn break_off(&mut self, fault: Fault, sink: &mut ChoiceSink<'_>, count: Option<&TokenCount>) {
        let refusal = self.attempt.as_ref().and_then(Attempt::refusal);
        if let Some(refusal) = refusal.filter(|refusal| self.makes_sense(refusal)) {
            return self.take_refusal(refusal, fault, sink, count);
        }
        if let Some(attempt) = &self.attempt {
            attempt.note_fault(fault);
        }
        self.end_attempt(billed_for_fault(fault), None);
        let fault = self.unmet.take().unwrap_or(fault);
        self.settle(fault, sink, count);
    }

    /// fal refused under a status of success: that is worth as much as under another one.
    fn take_refusal(
        &mut self,
        refusal: Refusal,
        fault: Fault,
        sink: &mut ChoiceSink<'_>,
        count: Option<&TokenCount>,
    ) {
        self.shared.learn(&refusal.kind);
        self.count_refusal(&refusal);
        let unmet = self.unmet.take();
        if unmet.is_none() {
            self.failure = Some(Box::new(self.refused(refusal)));
        }
        self.settle(unmet.unwrap_or(fault), sink, count);
    }

    /// Whether a refusal under a status of success is one. A lack of what was not asked for says nothing
    /// of the model, nor of who has worked.
    fn makes_sense(&self, refusal: &Refusal) -> bool {
        match refusal.kind {
            RefusalKind::Lacks(lacking) => could_be_asked_for(lacking, self.shared.place.upstream),
            _ => true,
        }
    }

    /// Ends the attempt that fal has refused under a status of success.
    fn count_refusal(&mut self, refusal: &Refusal) {
        let label = refusal.kind.label();
        self.shared.ledger.record().upstream_error(label);
        self.end_attempt(Billed::No, Some(label));
        self.written.drop_prompt();
    }

    /// What a refusal is to the caller.
    fn refused(&self, refusal: Refusal) -> Failure {
        let place = &self.shared.place;
        Failure::Call {
            error: UpstreamError::Refused(Box::new(refusal)),
            model: place.model.clone(),
            upstream: place.upstream,
        }
    }

    /// Ends an answer that will not get better: with what may be delivered all the same, if there
    /// is anything.
    fn settle(&mut self, fault: Fault, sink: &mut ChoiceSink<'_>, count: Option<&TokenCount>) {
        let Some(instead) = self.instead.take() else {
            return self.give_up(fault, sink);
        };
        let BestEffort {
            logprobs,
            text,
            calls,
        } = *instead;
        if !text.is_empty() {
            let likely = Event::Logprobs(&logprobs);
            sink.choices.event(self.index, likely);
            sink.choices.event(self.index, Event::Text(&text));
        }
        for call in &calls {
            sink.choices.event(self.index, Event::Call(call));
        }
        let reason = match calls.is_empty() {
            true => FinishReason::Stop,
            false => FinishReason::ToolCalls,
        };
        let usage = self.shared.ledger.usage(self.index);
        self.finish(Finish { reason, usage }, sink, count);
    }

    fn give_up(&mut self, fault: Fault, sink: &mut ChoiceSink<'_>) {
        self.has_ended = true;
        self.retry = None;
        let request_id = self.request_id.clone();
        let failure = Failure::Answer { fault, request_id };
        self.failure.get_or_insert_with(|| Box::new(failure));
        sink.choices.event(self.index, Event::Failed(fault));
    }

    /// Ends the attempt, and keeps what is to be known of it.
    fn end_attempt(&mut self, billed: Billed, outcome: Option<&'static str>) -> Option<Reader> {
        let attempt = self.attempt.take()?;
        if let Some(id) = attempt.request_id() {
            self.request_id = Some(id.to_owned());
        }
        let mut reader = attempt.end(billed, outcome)?;
        let leniencies = reader.leniencies();
        for kind in &leniencies {
            let counted = &self.shared.engine.metrics.mended;
            counted.with_label_values(&[*kind]).inc();
        }
        self.mended.extend(leniencies);
        self.written.add_answer(reader.take_texts());
        Some(reader)
    }

    fn finish(&mut self, estimated: Finish, sink: &mut ChoiceSink<'_>, count: Option<&TokenCount>) {
        self.retry = None;
        match count {
            None => self.conclude(estimated, sink),
            Some(count) => {
                let counted = count.settle(estimated, std::mem::take(&mut self.written));
                self.counting = Some(Box::new(Counting { estimated, counted }));
            }
        }
    }

    fn poll_counting(&mut self, context: &mut Context<'_>, sink: &mut ChoiceSink<'_>) -> bool {
        let Some(counting) = &mut self.counting else {
            return false;
        };
        let Poll::Ready(finish) = counting.counted.poll_unpin(context) else {
            return false;
        };
        self.counting = None;
        self.shared.ledger.correct(self.index, finish.usage);
        self.conclude(finish, sink);
        true
    }

    fn conclude(&mut self, finish: Finish, sink: &mut ChoiceSink<'_>) {
        self.has_ended = true;
        sink.choices.event(self.index, Event::Finished(finish));
    }
}

/// Takes a reader's events: what is said is passed on, what ends the attempt is kept.
struct ChoiceSink<'c> {
    choices: &'c mut dyn AnswerSink,
    index: usize,
    has_delivered: bool,
    /// Whether any text but white space has gone out.
    has_words: bool,
    finish: Option<Finish>,
    unmet: Option<ContractViolation>,
    fault: Option<Fault>,
}

impl<'c> ChoiceSink<'c> {
    fn new(choices: &'c mut dyn AnswerSink, index: usize) -> Self {
        Self {
            choices,
            index,
            has_delivered: false,
            has_words: false,
            finish: None,
            unmet: None,
            fault: None,
        }
    }
}

impl Sink for ChoiceSink<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Finished(finish) => self.finish = Some(finish),
            Event::Failed(fault) => self.fault = Some(fault),
            Event::Unmet(unmet) => self.unmet = Some(unmet.clone()),
            event => {
                self.has_delivered |= matches!(event, Event::Text(_) | Event::Call(_));
                self.has_words |= matches!(event, Event::Text(text) if !text.trim().is_empty());
                self.choices.event(self.index, event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_stays_small() {
        // It lies there for as long as its stream is open, and may be one of thousands.
        assert!(size_of::<Choice>() <= 1792, "{} bytes", size_of::<Choice>());
    }
}
