//! The work on a response that is streamed in the background: a run of this process whose events go into
//! a log. It is never gone on with elsewhere, since what was said in pieces cannot be said again.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt;
use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::direct::DirectCarrier;
use super::jobs::Running;
use super::live::LiveLog;
use super::work::{self, FIRST_PAUSE, Job, LONGEST_PAUSE, plain, said};
use crate::api::answer::{Wish, head, record_model, reporter};
use crate::api::context::Context;
use crate::api::error;
use crate::api::gateway::{InFlightPermit, MemoryPermit};
use crate::api::idempotency::Progress;
use crate::api::respond::Reporter;
use crate::engine::{self, Carrier, Engine, Grant, Run, Settings, Waited};
use crate::observe::record::Record;
use crate::store::StoreError;
use crate::translate::body::Body;
use crate::translate::face::answer::{FrameWriter, StreamedAnswer};
use crate::translate::face::objects::{ResponseMeta, UsageChunk};
use crate::translate::face::responses::output::Status;
use crate::translate::face::responses::restated::restated;
use crate::translate::face::{Face, Reading, state::Record as KeptRecord};
use crate::translate::problem::Problem;
use crate::translate::reading::Fault;

/// How many events are kept when a response begins: that it was created, and that it waits.
pub(super) const FIRST_EVENTS: i64 = 2;
/// How many bytes of events wait for the store before the run waits for it, too.
const BACKLOG: usize = 1024 * 1024;

/// A job that is streamed.
pub(super) struct Streamed {
    pub job: Job,
    pub live: Arc<LiveLog>,
    pub progress: Rc<Progress>,
    /// The place of the request that began it, which it keeps until its end.
    pub _place: Option<Rc<InFlightPermit>>,
}

/// Makes a response and keeps what comes of it, unless it is called off.
pub(super) async fn work<F: Face>(mut streamed: Streamed) {
    let job = &mut streamed.job;
    let (running, live) = (job.running.clone(), Arc::clone(&streamed.live));
    let told = job.told.take();
    let record = job.record();
    let carrier = Rc::new(carrier(job));
    let keeping = rt::spawn(keep_events(
        job.context.clone(),
        Arc::clone(&live),
        running.clone(),
    ));
    let begun = Cell::new(told);
    let making = make::<F>(job, (&live, &streamed.progress), &carrier, &record, || {
        if let Some(told) = begun.take() {
            let _ = told.send(Ok(()));
        }
    });
    let making = AssertUnwindSafe(making).catch_unwind();
    let outcome = tokio::select! {
        outcome = making => outcome,
        // At an orderly stop the run is told by itself.
        () = until_lost(&running) => {
            record.status(200);
            record.complete();
            keeping.abort();
            // While the lease held it was called off, else another gateway ends and charges it.
            if !running.is_taken() {
                job.escrow.charge();
            }
            return;
        }
    };
    let outcome = outcome.unwrap_or_else(|_| Err(work::bug(job, &record)));
    let outcome = outcome.map_err(|problem| carrier.trouble.get().map_or(problem, said));
    if let Err(problem) = &outcome {
        let (code, source) = error::label(problem);
        record.error(code, source);
        streamed.progress.fail(problem);
    }
    record.status(200);
    record.complete();
    drop(record);
    live.close();
    tokio::select! {
        _ = keeping => {}
        () = until_lost(&running) => {}
    }
    let last = Some(live.next());
    let is_ended_here = match outcome {
        Ok(record) => work::keep(job, record, last).await,
        Err(problem) => match begun.take().map(|told| told.send(Err(problem.clone()))) {
            // Whoever asked for it is told instead of what it is called.
            Some(Ok(())) => {
                work::undo(&job.context, &job.owner, &running).await;
                true
            }
            _ => work::fail(job, &problem, last).await,
        },
    };
    job.charge(is_ended_here);
}

/// Resolves when the job is none of this process any more, other than by an orderly stop.
async fn until_lost(running: &Running) {
    running.until_left().await;
    let is_orderly = running.is_handed_over() && !running.is_taken() && !running.is_called_off();
    if is_orderly {
        std::future::pending().await
    }
}

fn carrier(job: &Job) -> DirectCarrier {
    let settings = &job.context.snapshot.engine.settings;
    DirectCarrier {
        gateway: Arc::clone(&job.context.gateway),
        fal: Rc::clone(&job.context.fal),
        key: job.caller.fal_key.clone(),
        running: job.running.clone(),
        first_byte: settings.first_byte(true),
        next: Cell::new(0),
        trouble: Cell::new(None),
    }
}

/// The walk of a request, whose events go into the log. `begun` is called when fal has begun to answer.
async fn make<F: Face>(
    job: &mut Job,
    (live, progress): (&Arc<LiveLog>, &Rc<Progress>),
    carrier: &Rc<DirectCarrier>,
    record: &Record,
    begun: impl Fn(),
) -> Result<KeptRecord, Problem> {
    let context = job.context.clone();
    let snapshot = &context.snapshot;
    let body = job.body.clone();
    let reading = F::read(Body::from(&*body), &snapshot.face)?;
    // It was looked up when the job was begun, and nobody takes one that is streamed over.
    let past = job.past.clone().ok_or_else(|| Problem::bug(false))?;
    let (mut ask, face) = reading.finish(&past.found, &snapshot.face)?;
    let wish = Wish::of(&mut ask, &job.headers, snapshot, &job.caller).map_err(plain)?;
    let engine = engine(&snapshot.engine, job.deadline);
    let (grant, repeat) = (job.grant.take(), job.repeat.take());
    let mut order = wish.order((&context, &engine), &job.caller, &ask, record, &job.memory);
    order.carrier = Some(Rc::clone(carrier) as Rc<dyn Carrier>);
    order.grant = grant.map(|grant| Grant {
        escrow: Some(job.escrow.clone()),
        ..grant
    });
    let plan = order.plan()?;
    record_model(&plan, snapshot, record);
    let reporter = reporter(&context, &job.caller, &ask, record, repeat, progress);
    let opened = engine::open(order, plan).await;
    let opened = opened.map_err(|failure| reporter.report(&failure, failure.may_have_been_paid()));
    context.learn_of_key(&job.caller, opened.as_ref().err());
    let (run, plan) = opened?;
    record_model(&plan, snapshot, record);
    let meta = ResponseMeta {
        id: job.running.response().to_owned(),
        created_unix_s: job.created_unix_s,
        ..head::<F>(&plan, record)
    };
    note_running(job).await;
    begun();
    let frames = face.into_frames(&meta, UsageChunk::None, None);
    let mut answer = StreamedAnswer::new(frames, 1).holding_its_end();
    answer.queue();
    // The log has begun with these.
    answer.take_frames();
    answer.begin();
    read(run, &mut answer, live, &reporter, &job.context).await?;
    answer.record().ok_or_else(|| Problem::bug(true))
}

/// The engine for a job, which has the time that the job has.
fn engine(engine: &Engine, deadline: Instant) -> Engine {
    Engine {
        settings: Settings {
            total: deadline.saturating_duration_since(Instant::now()),
            ..engine.settings
        },
        ..engine.clone()
    }
}

/// Has the response say that it is worked on. It is told in time or not; the end is what counts.
async fn note_running(job: &Job) {
    let Some((head, _)) = restated(&job.begun, Status::InProgress, None) else {
        return;
    };
    let (gateway, response) = (job.running.gateway(), job.running.response());
    let responses = job.context.gateway.responses();
    let _ = responses
        .restate(gateway, response, Status::InProgress.name(), head)
        .await;
}

/// Reads a run to its end, and its events into the log.
///
/// # Errors
/// What it has failed of.
async fn read<W: FrameWriter>(
    mut run: Run,
    answer: &mut StreamedAnswer<W>,
    live: &LiveLog,
    reporter: &Reporter,
    context: &Context,
) -> Result<(), Problem> {
    let mut held = context
        .gateway
        .hold(context.snapshot.config.limits.max_body_memory);
    loop {
        if let Some(frames) = answer.take_frames() {
            reporter.record.sent(frames.len());
            reporter.record.trace().got(&frames);
            live.add(frames);
        }
        if answer.waits_for_its_end() {
            return Ok(());
        }
        if run.has_ended() {
            return Err(reporter.report_run(&mut run));
        }
        let deadline = run.deadline();
        // What is beyond the run's time shall not wait for the store, either.
        let _ = timeout_at(deadline, until_room(live, &mut held)).await;
        match run.advance(deadline, answer).await {
            Waited::Progress => {}
            Waited::Quiet => run.expire(answer),
            Waited::ShutDown => run.fail(Fault::ShuttingDown, answer),
        }
    }
}

/// Waits until the store has taken so much of the events that there is room for more.
async fn until_room(live: &LiveLog, held: &mut MemoryPermit) {
    let mut changes = live.changes();
    loop {
        changes.mark_unchanged();
        let bytes = live.bytes();
        if bytes <= BACKLOG && held.grow_to(bytes) {
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Writes the events into the store, until all have been said or the job is somebody else's.
async fn keep_events(context: Context, live: Arc<LiveLog>, running: Running) {
    let responses = context.gateway.responses();
    loop {
        let batches = live.due().await;
        let Some(last) = batches.last() else {
            return;
        };
        let (next, mut pause) = (last.next, FIRST_PAUSE);
        loop {
            let (gateway, response) = (running.gateway(), running.response());
            let written = responses.append_events(gateway, response, batches.clone());
            match written.await {
                Ok(true) => break live.stored(next),
                Ok(false) => {
                    live.cut();
                    return running.lose();
                }
                Err(StoreError::Busy | StoreError::Gone(_)) => sleep(pause).await,
                Err(error) => {
                    // Who reads along goes on, and the end has the whole output.
                    context.note_store_failure(error.label());
                    tracing::warn!(%error, kind = error.label(), "events of a response are not kept");
                    return live.cut();
                }
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}
