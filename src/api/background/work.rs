//! The work on one response in the background: what a request does, from its body to the answer that
//! is kept.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::carrier::{QueueCarrier, Told, Trouble};
use super::create::until;
use super::jobs::{LongMemory, Running};
use super::terms::Terms;
use super::{cancel_calls, made, unread};
use crate::api::answer::{Wish, head, payer, record_model, reporter};
use crate::api::auth::Caller;
use crate::api::context::Context;
use crate::api::error::{self, ApiError};
use crate::api::gateway::MemoryPermit;
use crate::api::repeated::Repeatable;
use crate::api::respond;
use crate::api::state::{self, Recalled, new_items};
use crate::engine::{self, Carrier, Engine, Escrow, Grant, Order, Settings, price};
use crate::observe::record::Record;
use crate::store::StoreError;
use crate::store::responses::{self as kept, End, Owner, Submission};
use crate::translate::body::Body;
use crate::translate::face::objects::ResponseMeta;
use crate::translate::face::responses::output::Status;
use crate::translate::face::responses::restated::restated;
use crate::translate::face::{Face, Reading, state::Record as KeptRecord};
use crate::translate::key::Secret;
use crate::translate::plan::Plan;
use crate::translate::problem::{Problem, ProblemKind, Source};

/// The pauses between two attempts to write something to the store: the first, and the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A job in hand.
pub(super) struct Job {
    pub context: Context,
    pub caller: Caller,
    pub owner: Owner,
    pub terms: Terms,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The JSON of the response as it was begun.
    pub begun: String,
    pub created_unix_s: u64,
    pub deadline: Instant,
    /// What the request refers to, if that was looked up.
    pub past: Option<Rc<Recalled>>,
    pub memory: Rc<MemoryPermit>,
    pub _long_memory: LongMemory,
    /// What was taken of the caller's limits for it. Without it, another process took it and is gone.
    pub grant: Option<Grant>,
    pub repeat: Option<Repeatable>,
    /// What was asked of fal before.
    pub before: Vec<Submission>,
    pub told: Option<Told>,
    pub running: Running,
    /// Where what it costs is left until it is known whose it is to charge that.
    pub escrow: Escrow,
}

impl Job {
    /// A job that was taken over. None where there is no room for it now; it stays in the store then.
    pub(super) fn of(
        context: &Context,
        caller: Caller,
        terms: Terms,
        job: kept::Job,
        running: Running,
    ) -> Option<Self> {
        let body = Bytes::from(job.body);
        let mut memory = context
            .gateway
            .hold(context.snapshot.config.limits.max_body_memory);
        if !memory.grow_to(body.len()) {
            return None;
        }
        let long_memory = remember(context, &memory)?;
        Some(Self {
            context: context.clone(),
            caller,
            owner: job.owner,
            headers: terms.headers(),
            terms,
            body,
            begun: job.begun,
            created_unix_s: u64::try_from(job.created_at / 1000).unwrap_or(0),
            deadline: Instant::now() + until(job.deadline),
            past: None,
            memory: Rc::new(memory),
            _long_memory: long_memory,
            grant: None,
            repeat: None,
            before: job.submissions,
            told: None,
            running,
            escrow: Escrow::default(),
        })
    }

    /// Charges what the job has cost, unless another gateway does: none does where this one has ended the
    /// job. Whether it is this one's to charge.
    pub(super) fn charge(&self, is_ended_here: bool) -> bool {
        let is_in_memory = self.context.gateway.store().is_in_memory();
        let is_ours = is_ended_here || is_in_memory || !self.running.is_handed_over();
        if is_ours {
            self.escrow.charge();
        }
        is_ours
    }

    /// Room for a record of the work on it.
    pub(super) fn record(&self) -> Record {
        let metrics = Arc::clone(self.context.gateway.metrics());
        let record = Record::start(metrics, self.terms.request_id.clone(), "background");
        record.client(self.caller.address);
        if let Some(key) = &self.terms.key {
            record.key(key);
        }
        record
    }
}

/// Room for the request of a job among those of all jobs, which may have half of the memory for bodies:
/// they stay for hours, and those who wait for an answer need the rest.
pub(super) fn remember(context: &Context, memory: &MemoryPermit) -> Option<LongMemory> {
    let most = context.snapshot.config.limits.max_body_memory / 2;
    context.gateway.jobs.remember(memory.bytes(), most)
}

/// Makes a response and keeps what comes of it, unless the job is called off or taken away.
pub(super) async fn work<F: Face>(mut job: Job) {
    let record = job.record();
    let carrier = Rc::new(carrier(&mut job));
    let running = job.running.clone();
    let making = AssertUnwindSafe(make::<F>(&mut job, &carrier, &record)).catch_unwind();
    let outcome = tokio::select! {
        outcome = making => outcome,
        () = running.until_left() => {
            record.status(200);
            record.complete();
            job.escrow.charge();
            return leave(&job, &carrier).await;
        }
    };
    let outcome = outcome.unwrap_or_else(|_| Err(bug(&job, &record)));
    let outcome = outcome.map_err(|problem| match carrier.trouble.get() {
        Some(trouble) => said(trouble),
        None => problem,
    });
    if let Err(problem) = &outcome {
        let (code, source) = error::label(problem);
        record.error(code, source);
    }
    record.status(200);
    record.complete();
    drop(record);
    let before = carrier.before.take();
    if outcome.is_err() {
        let open = [carrier.open.take(), made(&before)].concat();
        cancel_calls(&carrier.fal, &carrier.key, &open).await;
    }
    let is_ended_here = match (outcome, carrier.told.take()) {
        (Err(problem), Some(told)) => {
            take_back(&job, told, problem).await;
            true
        }
        (Err(problem), None) => fail(&job, &problem, None).await,
        (Ok(record), _) => keep(&job, record, None).await,
    };
    // Once the store has its end, nobody else takes the job over and charges the same.
    if job.charge(is_ended_here) {
        unread::charge(&job.context, &job.terms, &before);
    }
}

/// What is told of a job in which this program has failed.
pub(super) fn bug(job: &Job, record: &Record) -> Problem {
    job.context.gateway.metrics().panics.inc();
    tracing::error!("a response in the background ended in a bug of the gateway");
    Problem::bug(record.has_called_fal())
}

/// Lets go of a job that is none of this process any more.
async fn leave(job: &Job, carrier: &QueueCarrier) {
    let is_handed_over = job.running.is_handed_over();
    let goes_on = is_handed_over && !carrier.gateway.store().is_in_memory();
    if !goes_on && !job.running.is_called_off() {
        // It was called off elsewhere, or there is nobody who could go on with it.
        let open = carrier.open.take();
        cancel_calls(&carrier.fal, &carrier.key, &open).await;
    }
    if is_handed_over
        && carrier.has_asked_nothing()
        && let Some(told) = carrier.told.take()
    {
        take_back(job, told, stopping()).await;
    }
}

/// Undoes a job whose client still waits to hear of it, and tells him what keeps it from being done: at
/// once when it counts no more, or while the store takes its time.
async fn take_back(job: &Job, told: Told, problem: Problem) {
    let responses = job.context.gateway.responses();
    let undone = responses.undo(&job.owner, job.running.response()).await;
    let _ = told.send(Err(problem));
    if undone.is_err() {
        undo(&job.context, &job.owner, &job.running).await;
    }
}

fn stopping() -> Problem {
    Problem {
        source: Source::Gateway,
        retry_after_s: Some(1),
        ..Problem::new(
            ProblemKind::Unavailable,
            "shutting_down",
            "The gateway is shutting down. Nothing was sent to fal; try again in a moment.",
        )
    }
}

fn carrier(job: &mut Job) -> QueueCarrier {
    let before = std::mem::take(&mut job.before);
    let last = before.last().map_or(-1, |call| call.position);
    QueueCarrier {
        gateway: Arc::clone(&job.context.gateway),
        fal: Rc::clone(&job.context.fal),
        key: job.caller.fal_key.clone(),
        running: job.running.clone(),
        max_answer: job.context.snapshot.config.fal.max_answer,
        deadline: job.deadline,
        may_spend: Cell::new(true),
        before: RefCell::new(before),
        next: Cell::new(last.saturating_add(1)),
        begun: RefCell::new(Some(job.begun.clone())),
        told: RefCell::new(job.told.take()),
        open: RefCell::default(),
        trouble: Cell::new(None),
    }
}

/// The walk of a request, with calls that are carried.
async fn make<F: Face>(
    job: &mut Job,
    carrier: &Rc<QueueCarrier>,
    record: &Record,
) -> Result<KeptRecord, Problem> {
    let context = job.context.clone();
    let snapshot = &context.snapshot;
    let body = job.body.clone();
    let reading = F::read(Body::from(&*body), &snapshot.face)?;
    let past = match &job.past {
        Some(past) => Rc::clone(past),
        None => {
            let found = state::look_up(&context, &job.caller, reading.wanted()).await;
            found.map_err(plain)?
        }
    };
    let (mut ask, face) = reading.finish(&past.found, &snapshot.face)?;
    let mut wish = Wish::of(&mut ask, &job.headers, snapshot, &job.caller).map_err(plain)?;
    let secret = Secret::of_text(&job.terms.secret);
    wish.plan_limits.guide.secret = secret;
    let engine = engine(&snapshot.engine, secret, job.deadline);
    let (grant, repeat) = (job.grant.take(), job.repeat.take());
    let mut order = wish.order((&context, &engine), &job.caller, &ask, record, &job.memory);
    order.carrier = Some(Rc::clone(carrier) as Rc<dyn Carrier>);
    let plan = order.plan()?;
    record_model(&plan, snapshot, record);
    let grant = match grant {
        Some(grant) => grant,
        None => take_again(job, &order, &plan, carrier).await,
    };
    order.grant = Some(Grant {
        escrow: Some(job.escrow.clone()),
        ..grant
    });
    let reporter = reporter(&context, &job.caller, &ask, record, repeat, &Rc::default());
    let opened = engine::open(order, plan).await;
    let opened = opened.map_err(|failure| reporter.report(&failure, failure.may_have_been_paid()));
    context.learn_of_key(&job.caller, opened.as_ref().err());
    let (mut run, plan) = opened?;
    record_model(&plan, snapshot, record);
    let meta = ResponseMeta {
        id: job.running.response().to_owned(),
        created_unix_s: job.created_unix_s,
        ..head::<F>(&plan, record)
    };
    let mut ignored = HttpResponse::Ok();
    let answer = respond::read_whole(&mut run, plan.choices, &reporter, &mut ignored).await;
    let answer = answer.map_err(plain)?;
    let kept = face.record(&meta, &answer);
    kept.ok_or_else(|| Problem::bug(true))
}

pub(super) fn plain(error: ApiError) -> Problem {
    *error.problem
}

/// The engine for a job: it has the time that the job has, its own secret, and is stopped by nobody
/// but the job.
fn engine(engine: &Engine, secret: Secret, deadline: Instant) -> Engine {
    let left = deadline.saturating_duration_since(Instant::now());
    Engine {
        settings: Settings {
            first_byte: Some(left),
            total: left,
            secret,
            ..engine.settings
        },
        stop: tokio_util::sync::CancellationToken::new(),
        ..engine.clone()
    }
}

/// Takes from the budgets what a job may cost that another process has begun. Its limits by the minute
/// were taken then. Where a budget has too little left, or nobody can tell, the calls that were made are
/// still read and charged, since they are paid for, and none is added.
async fn take_again(
    job: &Job,
    order: &Order<'_, '_>,
    plan: &Plan<'_>,
    carrier: &QueueCarrier,
) -> Grant {
    let gateway = &job.context.gateway;
    let mut allowance = None;
    let purses = job.caller.key.as_ref().map(|key| key.purses());
    if let Some(purses) = purses.filter(|purses| !purses.is_empty()) {
        let worst = price::worst_case(order, plan);
        let admitted = gateway.purses().admit(purses, &worst).await;
        carrier.may_spend.set(admitted.is_ok());
        allowance = Some(admitted.unwrap_or_else(|_| gateway.purses().take_anyway(purses, &worst)));
    }
    let at = allowance.as_ref().map(|allowance| allowance.at());
    Grant {
        hold: None,
        since: gateway.since,
        payer: payer(&job.context, &job.caller, at),
        allowance,
        escrow: None,
    }
}

/// What the owner of a response is told of trouble with its calls.
pub(super) fn said(trouble: Trouble) -> Problem {
    match trouble {
        Trouble::Unknown => Problem::not_repeatable(
            "submission_interrupted",
            "The gateway was interrupted while it handed this request to fal, and nobody knows whether fal has it. It \
             was not sent a second time. Send a new request.",
        ),
        Trouble::Changed => Problem::not_repeatable(
            "settings_changed",
            "The gateway's settings changed while this response was made, and what was asked of fal is not what would be \
             asked now. Send a new request.",
        ),
        Trouble::Unaffordable => Problem {
            source: Source::Gateway,
            ..Problem::new(
                ProblemKind::NoBalance,
                "insufficient_quota",
                "The budget had too little left to go on with this response.",
            )
        },
        Trouble::Store => Problem {
            source: Source::Gateway,
            retry_after_s: Some(1),
            ..Problem::new(
                ProblemKind::Overloaded,
                "store_unavailable",
                "The gateway could not write down that it was about to ask fal, so it did not ask.",
            )
        },
    }
}

/// Keeps the answer, or has the response say why it is not kept. `last_event` is the number of the event
/// that tells of its end, where it is streamed. Whether the job was ended by this.
pub(super) async fn keep(job: &Job, record: KeptRecord, last_event: Option<i64>) -> bool {
    let end = End {
        status: record.status,
        head: record.head,
        tail: record.tail,
        output: new_items(record.output),
        retention: job.context.snapshot.config.responses.retention,
        last_event,
    };
    let kept = with_patience(job, end, |error| {
        matches!(error, StoreError::Busy | StoreError::Gone(_))
    });
    let problem = match kept.await {
        Ok(is_ended_here) => return is_ended_here,
        Err(StoreError::Full) => Problem::not_repeatable(
            "response_too_large",
            "There is no room for the answer among what the gateway keeps.",
        ),
        Err(_) => Problem::not_repeatable(
            "response_not_kept",
            "The answer is there, and the gateway's store has failed to keep it.",
        ),
    };
    fail(job, &problem, last_event).await
}

/// Has the response say that nothing came of it, and why. As long as the store does not take that,
/// the job stays this gateway's: whoever took it over would pay for its calls once more. Whether the job
/// was ended by this.
pub(super) async fn fail(job: &Job, problem: &Problem, last_event: Option<i64>) -> bool {
    let (head, tail) = restated(&job.begun, Status::Failed, Some(problem))
        .unwrap_or_else(|| (job.begun.clone(), String::new()));
    let end = End {
        status: Status::Failed.name(),
        head,
        tail,
        output: Vec::new(),
        retention: job.context.snapshot.config.responses.retention,
        last_event,
    };
    with_patience(job, end, |_| true).await.unwrap_or(false)
}

/// Ends the job in the store, and tries as often as that fails in a way that may pass. Whether it was
/// ended by this, or is none of this gateway's any more.
///
/// # Errors
/// What has gone wrong otherwise.
async fn with_patience(
    job: &Job,
    end: End,
    may_pass: impl Fn(&StoreError) -> bool,
) -> Result<bool, StoreError> {
    let (mut pause, mut is_uncertain) = (FIRST_PAUSE, false);
    loop {
        let responses = job.context.gateway.responses();
        let (gateway, response) = (job.running.gateway(), job.running.response());
        match responses.finish(gateway, response, end.clone()).await {
            Ok(true) => return Ok(true),
            Ok(false) => {
                if is_uncertain && is_ended_so(job, &end).await {
                    return Ok(true);
                }
                // Called off or taken by somebody else, which tells who charges it.
                job.running.lose();
                return Ok(false);
            }
            Err(error) => {
                is_uncertain = true;
                if !matches!(error, StoreError::Busy | StoreError::Gone(_)) {
                    tracing::error!(%error, kind = error.label(), "a response is not kept");
                }
                if !may_pass(&error) {
                    return Err(error);
                }
            }
        }
        tokio::select! {
            () = sleep(pause) => pause = pause.saturating_mul(2).min(LONGEST_PAUSE),
            () = job.running.until_left() => return Ok(false),
        }
    }
}

/// Whether the store has this end of a job, though it seemed to fail when it was told.
async fn is_ended_so(job: &Job, end: &End) -> bool {
    let responses = job.context.gateway.responses();
    let found = responses.get(&job.owner, job.running.response()).await;
    found.is_ok_and(|found| {
        found.is_some_and(|found| found.status == end.status && found.json.starts_with(&end.head))
    })
}

/// Takes a job out of the store of which nothing shall be left, for as long as that takes. Meanwhile
/// it is this gateway's, so that nobody works on it.
pub(super) async fn undo(context: &Context, owner: &Owner, running: &Running) {
    let mut pause = FIRST_PAUSE;
    let responses = context.gateway.responses();
    while responses.undo(owner, running.response()).await.is_err() {
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}
