//! One call to fal, from before it is sent to the last byte of its answer.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::{FutureExt, Stream};
use tokio::time::Instant;

use super::Engine;
use super::batch::Batch;
use super::failure::{billed_for_error, fault_label};
use super::ledger::{Billed, Ended, Ledger};
use super::observed::ObservedPlace;
use super::open::could_be_asked_for;
use crate::translate::call::Input;
use crate::translate::plan::Recipe;
use crate::translate::reading::{Event, Fault, FirstWords, Format, Reader, Sink, Usage};
use crate::upstream::{Answer, FalClient, FalKey, Post, Refusal, RefusalKind, UpstreamError};

/// What all attempts of one request share.
pub struct Shared {
    pub engine: Engine,
    pub fal: Rc<FalClient>,
    pub fal_key: FalKey,
    /// Where all of them go.
    pub place: ObservedPlace,
    /// Whether the answers are asked for as streams.
    pub is_stream: bool,
    /// Whether fal may keep what is sent and answered.
    pub may_be_kept: bool,
    /// How calls reach fal, where they do not go to it directly.
    pub carrier: Option<Rc<dyn Carrier>>,
    pub first_byte: Duration,
    pub ledger: Rc<Ledger>,
    /// Whether the texts are kept, for whoever counts their tokens.
    pub keeps_texts: bool,
}

impl Shared {
    /// Takes in what a refusal says of the place where the calls go, for later requests; whether that was
    /// not known. A lack of what was not asked for says nothing.
    pub fn learn(&self, refusal: &RefusalKind) -> bool {
        if let RefusalKind::Lacks(lacking) = refusal
            && !could_be_asked_for(*lacking, self.place.upstream)
        {
            return false;
        }
        self.engine.observed.learn(&self.place, refusal)
    }
}

/// Another way to fal than its direct endpoints.
pub trait Carrier {
    /// Makes a call, and waits for its answer for as long as it takes. The future ends with the answer,
    /// or with what keeps it from coming.
    fn carry<'c>(&'c self, call: Call<'c>) -> LocalBoxFuture<'c, Result<Answer, UpstreamError>>;

    /// Whether somebody else goes on with the request, and settles what all its calls come to.
    fn is_handed_over(&self) -> bool;
}

/// A call that is to be carried.
#[derive(Clone, Debug)]
pub struct Call<'c> {
    pub choice: usize,
    pub model: &'c str,
    pub post: Post<'c>,
    /// Whether fal may have it. Whoever carries it says so before anything is sent.
    pub is_sent: &'c Cell<bool>,
}

/// A call and its answer. Dropping it drops the call; it is settled then, if it was not before.
pub struct Attempt {
    shared: Rc<Shared>,
    choice: usize,
    /// Its number in the request's trace.
    call: usize,
    state: State,
    reading: Rc<Recipe>,
    /// The reader of the attempt before. Hardly any request has one, and it is large.
    before: Option<Box<Reader>>,
    reader: Option<Reader>,
    /// What came first, while it is only to be told whether fal refuses.
    first: Option<Box<FirstWords>>,
    batch: Batch,
    /// Whether the first words have come, or are no longer waited for.
    has_begun: bool,
    /// How the body has ended, until that is acted on.
    end: Option<Result<(), Fault>>,
    started: Instant,
    /// When the last bytes of the answer came.
    last_byte: Option<Instant>,
    request_id: Option<String>,
    billed: Billed,
    /// Whether fal may have it.
    is_sent: Rc<Cell<bool>>,
    /// How it has ended; dropped before that, its client has left.
    outcome: Cell<&'static str>,
    is_settled: bool,
}

enum State {
    Calling(LocalBoxFuture<'static, Result<Answer, UpstreamError>>),
    Recipe(Answer),
    Over,
}

fn format_of(answer: &Answer) -> Format {
    match answer.is_event_stream {
        true => Format::Events,
        false => Format::Object,
    }
}

/// Nobody listens.
struct Unheard;

impl Sink for Unheard {
    fn event(&mut self, _: Event<'_>) {}
}

impl Attempt {
    /// Calls fal; `None` when the request may cause no more calls. With `before` it goes on where
    /// another attempt at the same choice has ended.
    pub fn start(
        shared: &Rc<Shared>,
        choice: usize,
        input: Input,
        reading: Rc<Recipe>,
        before: Option<Reader>,
    ) -> Option<Self> {
        shared.ledger.take_call().then(|| {
            let app = shared.engine.apps.path(shared.place.upstream);
            let path = || ["/", app, shared.place.path].concat();
            let trace = shared.ledger.record().trace();
            let number = trace.asked(choice, path, &input.json, &input.texts);
            let own = Rc::clone(shared);
            let is_sent = Rc::<Cell<bool>>::default();
            let sent = Rc::clone(&is_sent);
            let call = async move {
                let post = Post {
                    app: own.engine.apps.path(own.place.upstream),
                    path: own.place.path,
                    is_stream: own.is_stream,
                    may_be_kept: own.may_be_kept,
                    input: input.json,
                };
                match &own.carrier {
                    None => {
                        sent.set(true);
                        own.fal.call(post, &own.fal_key, own.first_byte).await
                    }
                    Some(carrier) => {
                        let model = own.place.model.as_str();
                        carrier
                            .carry(Call {
                                choice,
                                model,
                                post,
                                is_sent: &sent,
                            })
                            .await
                    }
                }
            };
            Self {
                shared: Rc::clone(shared),
                choice,
                call: number,
                state: State::Calling(call.boxed_local()),
                reading,
                before: before.map(Box::new),
                reader: None,
                first: None,
                batch: Batch::default(),
                has_begun: false,
                end: None,
                started: Instant::now(),
                last_byte: None,
                request_id: None,
                billed: Billed::Maybe,
                is_sent,
                outcome: Cell::new("dropped"),
                is_settled: false,
            }
        })
    }

    /// fal's id of the call, once it is known.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Whether the head of the answer is still to come.
    pub fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling(_))
    }

    /// Until when fal may be silent.
    pub fn deadline(&self) -> Instant {
        match self.last_byte {
            None => self.started + self.shared.first_byte,
            Some(heard) => heard + self.shared.engine.settings.idle,
        }
    }

    /// Waits for the head of the answer.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let State::Calling(call) = &mut self.state else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(call.poll_unpin(context));
        let record = self.shared.ledger.record();
        match outcome {
            Ok(answer) => {
                self.request_id.clone_from(&answer.request_id);
                if let Some(id) = &self.request_id {
                    record.fal_request_id(id);
                }
                let trace = record.trace();
                trace.head(self.call, self.request_id.as_deref(), None);
                self.reader = Some(self.reader_of(format_of(&answer)));
                self.state = State::Recipe(answer);
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                record.upstream_error(error.label());
                self.request_id = error.request_id().map(str::to_owned);
                if let Some(id) = &self.request_id {
                    record.fal_request_id(id);
                }
                let (id, label) = (self.request_id.as_deref(), error.label());
                record.trace().head(self.call, id, Some(label));
                self.billed = billed_for_error(&error);
                self.outcome.set(error.label());
                self.state = State::Over;
                Poll::Ready(Err(error))
            }
        }
    }

    fn reader_of(&self, format: Format) -> Reader {
        let limits = self.shared.engine.settings.reading;
        let mut reader = match &self.before {
            None => Reader::new(&self.reading, format, limits),
            Some(before) => Reader::after(before, &self.reading, format, limits),
        };
        if self.shared.keeps_texts {
            reader.keep_texts();
        }
        reader
    }

    /// Takes all that is ready; nothing happens by that.
    fn hear(&mut self, context: &mut Context<'_>) {
        let (State::Recipe(body), Some(reader)) = (&mut self.state, &mut self.reader) else {
            return;
        };
        let trace = self.shared.ledger.record().trace();
        while self.end.is_none() && self.batch.has_room() {
            match Pin::new(&mut *body).poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.batch.add(bytes.len());
                    reader.feed(&bytes);
                    if let Some(first) = &mut self.first {
                        first.feed(&bytes);
                    }
                    trace.reads(self.call, &bytes);
                }
                Poll::Ready(Some(Err(_))) => self.end = Some(Err(Fault::Disconnected)),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending => break,
            }
        }
    }

    /// Ready once the first words have come, with what fal refuses by them, if it does. Nothing of an
    /// answer is taken off by that.
    pub fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<Option<Refusal>> {
        let State::Recipe(answer) = &self.state else {
            return Poll::Ready(None);
        };
        if self.has_begun {
            return Poll::Ready(None);
        }
        let format = format_of(answer);
        self.first
            .get_or_insert_with(|| Box::new(FirstWords::new(format)));
        self.hear(context);
        let is_all = self.end.is_some();
        let Some(first) = self.first.as_mut().and_then(|first| first.take(is_all)) else {
            return Poll::Pending;
        };
        (self.has_begun, self.first) = (true, None);
        if first.is_empty() {
            return Poll::Ready(None);
        }
        let mut reader = self.reader_of(format);
        reader.feed(&first);
        reader.finish(&mut Unheard);
        Poll::Ready(self.refusal_in(&reader))
    }

    /// Takes all that is ready and acts on it once; whether anything has come of it.
    pub fn poll_body(&mut self, context: &mut Context<'_>, sink: &mut dyn Sink) -> bool {
        (self.has_begun, self.first) = (true, None);
        self.hear(context);
        let (State::Recipe(_), Some(reader)) = (&self.state, &mut self.reader) else {
            return false;
        };
        if self.end.is_none() && self.batch.poll(self.last_byte, context).is_pending() {
            return false;
        }
        let trace = self.shared.ledger.record().trace();
        let batch = std::mem::take(&mut self.batch);
        if batch.bytes > 0 {
            self.last_byte = Some(Instant::now());
            trace.heard(self.call, batch.bytes);
            reader.read(sink);
        }
        match self.end.take() {
            Some(Ok(())) => reader.finish(sink),
            Some(Err(fault)) => reader.fail(fault, sink),
            // More may be ready; the next poll must come even if no new byte does.
            None if !batch.has_room() => context.waker().wake_by_ref(),
            None => {}
        }
        if reader.has_ended() {
            self.state = State::Over;
        }
        true
    }

    /// Breaks the answer off because something outside went wrong.
    pub fn break_off(&mut self, fault: Fault, sink: &mut dyn Sink) {
        if let Some(reader) = &mut self.reader {
            reader.fail(fault, sink);
        }
        self.state = State::Over;
    }

    /// What fal refused under a status of success, in the place of an answer. Nobody has worked then.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal_in(self.reader.as_ref()?)
    }

    fn refusal_in(&self, reader: &Reader) -> Option<Refusal> {
        let refused = reader.refused()?;
        Some(Refusal {
            status: 200,
            kind: RefusalKind::of_answer(refused)?,
            said: None,
            retry_after_s: None,
            request_id: self.request_id.clone(),
        })
    }

    /// Counts the fault that ended it.
    pub fn note_fault(&self, fault: Fault) {
        let record = self.shared.ledger.record();
        self.outcome
            .set(fault_label(fault).unwrap_or("shutting_down"));
        if let Fault::Unusable(reason) = fault {
            let id = record.request_id();
            tracing::warn!(
                request.id = id,
                reason,
                "fal sent something that is not an answer"
            );
        }
        if let Some(label) = fault_label(fault) {
            record.upstream_error(label);
        }
    }

    /// Ends it, and gives what read it, if anything came. `outcome` says how it went where no fault
    /// was noted.
    pub fn end(mut self, billed: Billed, outcome: Option<&'static str>) -> Option<Reader> {
        if let Some(outcome) = outcome {
            self.outcome.set(outcome);
        }
        if let Some(reader) = &self.reader {
            // A cost that cannot be one says nothing about what will be charged.
            self.billed = match reader.has_unsound_cost() {
                true => billed.max(Billed::Maybe),
                false => billed,
            };
        }
        self.settle();
        self.reader.take()
    }

    /// Tokens of it and of all attempts before it at the same choice.
    fn usage(&self) -> Usage {
        if let Some(reader) = &self.reader {
            return reader.usage();
        }
        let before = self.before.as_ref().map(|before| before.usage());
        before.unwrap_or(Usage::NOTHING).and(Usage {
            prompt: self.reading.prompt_tokens,
            ..Usage::default()
        })
    }

    /// Tokens of it alone.
    fn own_usage(&self) -> Usage {
        match &self.reader {
            Some(reader) => reader.own_usage(),
            None => Usage {
                prompt: self.reading.prompt_tokens,
                ..Usage::default()
            },
        }
    }

    fn settle(&mut self) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let (ledger, place) = (&self.shared.ledger, &self.shared.place);
        ledger.record().trace().ended(self.call);
        let carrier = self.shared.carrier.as_ref();
        if carrier.is_some_and(|carrier| carrier.is_handed_over()) {
            ledger.hand_over();
            return;
        }
        if !self.is_sent.get() {
            return;
        }
        let usage = self.usage();
        let ended = Ended {
            choice: self.choice,
            is_reask: self.before.is_some(),
            billed: self.billed,
            own: self.own_usage(),
            model: place.model.clone(),
            upstream: place.upstream.word(),
            outcome: self.outcome.get(),
            duration: self.started.elapsed(),
            fal_request_id: self.request_id.take(),
            planned: ledger.planned(),
        };
        ledger.settle(ended, usage);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle();
    }
}
