//! Holds on to the jobs of this process, and takes over those that nobody works on.

use std::time::Duration;

use actix_web::rt;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::LEASE;
use super::create::until;
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

/// How often leases are renewed and jobs looked for.
const BEAT: Duration = Duration::from_secs(3);
/// How many jobs are taken over at once.
const AT_ONCE: i64 = 16;

/// Does so until nothing is done any more.
pub async fn keep_up(worker: Worker) {
    let gateway = &worker.gateway;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let spent = gateway.stopping().spent.clone();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = spent.cancelled() => return,
        }
        renew(gateway).await;
        // Until the store's keys are known, a key that asked for a response only seems to be gone.
        if gateway.knows_roster() && !gateway.stopping().announced.is_cancelled() {
            take_over(&worker).await;
        }
    }
}

/// Renews the leases of what runs here. What is not ours any more was called off.
async fn renew(gateway: &Gateway) {
    let before = gateway.jobs.stored();
    let responses = gateway.responses();
    let Ok(kept) = responses.renew(gateway.jobs.id(), LEASE).await else {
        return;
    };
    gateway.jobs.leave_others(&kept, &before);
    let running = gateway.jobs.responses();
    for response in kept.iter().filter(|id| !running.contains(*id)) {
        // There was no room for it here.
        let _ = responses.release_one(gateway.jobs.id(), response).await;
    }
}

async fn take_over(worker: &Worker) {
    let gateway = &worker.gateway;
    let taken = gateway
        .responses()
        .take_over(gateway.jobs.id(), LEASE, AT_ONCE);
    for job in taken.await.unwrap_or_default() {
        go_on(worker, job).await;
    }
}

/// Goes on with a job, or ends it where that cannot be.
async fn go_on(worker: &Worker, job: kept::Job) {
    let context = Context::of(worker);
    let caller = match until(job.deadline).is_zero() {
        true => Err(out_of_time()),
        false => caller(&context, &job),
    };
    match caller {
        Err(problem) => give_up(&context, &job, &problem).await,
        Ok(caller) => {
            let Some(running) = context.gateway.jobs.start(&job.response) else {
                return;
            };
            let id = job.response.clone();
            if let Some(job) = Job::of(&context, caller, job, running).await {
                tracing::info!(response.id = %id, "goes on with a response in the background");
                rt::spawn(work::<Responses>(job));
            }
        }
    }
}

/// Who has asked for a job's response, if he still may.
fn caller(context: &Context, job: &kept::Job) -> Result<Caller, Problem> {
    let terms: Terms = serde_json::from_str(&job.terms).map_err(|_| Problem::bug(true))?;
    let (fal_key, key) = match (&context.snapshot.access, terms.key) {
        (Access::Open { fal }, None) => (fal.clone(), None),
        (Access::Keys { clients, fal }, Some(name)) => {
            let key = clients.named(&name, Timestamp::now());
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

fn no_key() -> Problem {
    Problem::not_repeatable(
        "invalid_api_key",
        "The key that asked for this response does not open any more.",
    )
}

/// Ends a job of this process that cannot be gone on with.
async fn give_up(context: &Context, job: &kept::Job, problem: &Problem) {
    let responses = context.gateway.responses();
    if let Some(key) = context.snapshot.access.own_fal_key() {
        super::cancel_soon(context, key.clone(), super::made(&job.submissions));
    }
    let Ok(Some(begun)) = responses.get(&job.owner, &job.response).await else {
        return;
    };
    let Some((head, tail)) = restated(&begun.json, Status::Failed, Some(problem)) else {
        return;
    };
    let end = End {
        status: Status::Failed.name(),
        head,
        tail,
        output: Vec::new(),
        retention: context.snapshot.config.responses.retention,
    };
    // Where the store is away, the next look finds the job again.
    let ended = responses.finish(context.gateway.jobs.id(), &job.response, end);
    if let (Ok(true), Ok(terms)) = (ended.await, serde_json::from_str(&job.terms)) {
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
