//! Holds on to the jobs of this process, and takes over those that nobody works on.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::LEASE;
use super::create::until;
use super::jobs::Running;
use super::terms::Terms;
use super::work::{Job, work};
use crate::api::auth::{Access, Caller};
use crate::api::context::Context;
use crate::api::gateway::{Gateway, Worker};
use crate::store::responses::{self as kept, End};
use crate::translate::face::responses::Responses;
use crate::translate::face::responses::output::Status;
use crate::translate::face::responses::restated::restated;
use crate::translate::problem::Problem;
use crate::upstream::FalKey;

/// How often leases are renewed and jobs looked for.
const BEAT: Duration = Duration::from_secs(3);
/// How many jobs are taken over at once.
const AT_ONCE: i64 = 16;

/// Does so until nothing is done any more.
pub async fn keep_up(worker: Worker) {
    // By itself: whatever is done with jobs that are taken over, leases are renewed in time.
    rt::spawn(keep_leases(Arc::clone(&worker.gateway)));
    let gateway = &worker.gateway;
    let mut beat = beat();
    let spent = gateway.stopping().spent.clone();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = spent.cancelled() => return,
        }
        // Until the store's keys are known, a key that asked for a response only seems to be gone.
        if gateway.knows_roster() && !gateway.stopping().announced.is_cancelled() {
            take_over(&worker).await;
        }
    }
}

async fn keep_leases(gateway: Arc<Gateway>) {
    let mut beat = beat();
    let spent = gateway.stopping().spent.clone();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = spent.cancelled() => return,
        }
        // One that is not answered must not keep the next one from being tried.
        let _ = timeout(LEASE / 2, renew(&gateway)).await;
    }
}

fn beat() -> Interval {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Renews the leases of what runs here. What is not ours any more is left.
async fn renew(gateway: &Gateway) {
    let before = gateway.jobs.leased();
    let responses = gateway.responses();
    // By the time that the store counts from, or an earlier one.
    let asked = Instant::now();
    let Ok(kept) = responses.renew(gateway.jobs.id(), LEASE).await else {
        return;
    };
    gateway.jobs.renewed(&kept, &before, asked, Instant::now());
    let running = gateway.jobs.responses();
    for response in kept.iter().filter(|id| !running.contains(*id)) {
        // There was no room for it here.
        let _ = responses.release_one(gateway.jobs.id(), response).await;
    }
}

async fn take_over(worker: &Worker) {
    let context = Context::of(worker);
    let gateway = &worker.gateway;
    let unheld = gateway.responses().unheld(AT_ONCE).await;
    for response in unheld.unwrap_or_default() {
        // Before it is taken, or its lease would be one of nobody.
        let Some(running) = gateway.jobs.start(&response) else {
            continue;
        };
        let responses = gateway.responses();
        let asked = Instant::now();
        let taken = responses.take_over(gateway.jobs.id(), LEASE, &response);
        if let Ok(Some(job)) = taken.await {
            running.is_leased(asked);
            tracing::info!(response.id = %response, "goes on with a response in the background");
            resume(&context, job, running, |terms| caller(&context, terms)).await;
        }
    }
}

/// Goes on with a job that was just taken over, for `caller`, or ends it where that cannot be.
pub(super) async fn resume(
    context: &Context,
    job: kept::Job,
    running: Running,
    caller: impl FnOnce(&Terms) -> Result<Caller, Problem>,
) {
    let terms = serde_json::from_str::<Terms>(&job.terms).map_err(|_| Problem::bug(true));
    let caller = terms.as_ref().map_err(Problem::clone).and_then(caller);
    let fal_key = caller.as_ref().map(|caller| caller.fal_key.clone()).ok();
    let may_go_on = match () {
        () if job.is_streamed => Err(gateway_lost()),
        () if until(job.deadline).is_zero() => Err(out_of_time()),
        // Whoever asked for it was told once fal had a call. He was told nothing, and may have asked again.
        () if job.submissions.iter().all(|call| call.is_refused) => Err(not_sent()),
        () => Ok(()),
    };
    match may_go_on
        .and(caller)
        .and_then(|caller| Ok((caller, terms.clone()?)))
    {
        Err(problem) => give_up(context, &job, (terms.ok(), fal_key), &problem).await,
        Ok((caller, terms)) => {
            if let Some(job) = Job::of(context, caller, terms, job, running) {
                rt::spawn(work::<Responses>(job));
            }
        }
    }
}

/// Who has asked for a job's response, if he still may.
fn caller(context: &Context, terms: &Terms) -> Result<Caller, Problem> {
    let (fal_key, key) = match (&context.snapshot.access, &terms.key) {
        (Access::Open { fal }, None) => (fal.clone(), None),
        (Access::Keys { clients, fal }, Some(name)) => {
            let key = clients.named(name, context.gateway.purses().now());
            (fal.clone(), Some(key.map_err(|_| no_key())?.clone()))
        }
        _ => return Err(no_key()),
    };
    Ok(Caller {
        fal_key,
        brought_fal_key: false,
        key,
        print: None,
        is_new: false,
        address: None,
    })
}

fn out_of_time() -> Problem {
    Problem::not_repeatable("upstream_timeout", "fal did not answer in time.")
}

fn gateway_lost() -> Problem {
    Problem::not_repeatable(
        "gateway_lost",
        "The gateway that made this response is gone, and what it had not passed on is lost. It was not asked for a second \
         time. Send a new request.",
    )
}

fn no_key() -> Problem {
    Problem::not_repeatable(
        "invalid_api_key",
        "The key that asked for this response does not open any more.",
    )
}

fn not_sent() -> Problem {
    Problem::not_repeatable(
        "submission_interrupted",
        "The gateway was interrupted before it handed this request to fal, and nothing was sent. Send a new request.",
    )
}

/// Ends a job of this process that cannot be gone on with.
async fn give_up(
    context: &Context,
    job: &kept::Job,
    (terms, fal_key): (Option<Terms>, Option<FalKey>),
    problem: &Problem,
) {
    let responses = context.gateway.responses();
    let own = context.snapshot.access.own_fal_key();
    if let Some(key) = fal_key.or_else(|| own.cloned()) {
        super::cancel_soon(context, key, super::made(&job.submissions));
    }
    let (head, tail) = restated(&job.begun, Status::Failed, Some(problem))
        .unwrap_or_else(|| (job.begun.clone(), String::new()));
    let end = End {
        status: Status::Failed.name(),
        head,
        tail,
        output: Vec::new(),
        retention: context.snapshot.config.responses.retention,
        last_event: None,
    };
    // Where the store is away, the next look finds the job again.
    let ended = responses.finish(context.gateway.jobs.id(), &job.response, end);
    if let (Ok(true), Some(terms)) = (ended.await, terms) {
        super::unread::charge(context, &terms, &job.submissions);
    }
}

/// Leaves all jobs of this process to others, and waits a moment for the calls that are on their way
/// into fal's queue.
pub async fn hand_back(gateway: &Gateway, patience: Duration) {
    gateway.jobs.leave_all();
    let _ = timeout(patience, gateway.jobs.until_idle()).await;
    if let Err(error) = gateway.responses().release(gateway.jobs.id()).await {
        tracing::warn!(%error, kind = error.label(), "jobs could not be handed back; others take them in a while");
    }
}
