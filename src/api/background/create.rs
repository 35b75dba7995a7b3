//! How a response in the background begins, and how it is called off.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, rt};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::follow::Reader;
use super::jobs::Running;
use super::live::LiveLog;
use super::streamed::{self, FIRST_EVENTS, Streamed};
use super::terms::Terms;
use super::watch::resume;
use super::work::{FIRST_PAUSE, Job, LONGEST_PAUSE, remember, undo, work};
use super::{LEASE, cancel_soon, made, unread};
use crate::api::answer::input_of;
use crate::api::auth::Caller;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::gateway::MemoryPermit;
use crate::api::idempotency::Progress;
use crate::api::repeated::Repeatable;
use crate::api::respond;
use crate::api::scope::{self, Scope};
use crate::api::state::{Recalled, new_items};
use crate::budget::spending::CallPrice;
use crate::engine::{Escrow, Grant};
use crate::store::StoreError;
use crate::store::responses::{Begun, Cancelled, EventBatch, Kept, NewJob, NewResponse, Owner};
use crate::translate::face::Face;
use crate::translate::face::answer::StreamedAnswer;
use crate::translate::face::objects::{ResponseMeta, UsageChunk};
use crate::translate::face::responses::restated::cancelled;
use crate::translate::face::state::Record;
use crate::translate::notes::Notes;
use crate::translate::problem::{Problem, ProblemKind};
use crate::upstream::FalKey;

/// A request that has been read, planned and granted.
pub struct Beginning {
    pub context: Context,
    pub headers: HeaderMap,
    pub head: ResponseMeta,
    pub notes: Notes,
    pub grant: Grant,
    pub repeat: Option<Repeatable>,
    /// What one call may cost at most, and the tokens of its prompt.
    pub price: (CallPrice, u64),
    pub past: Rc<Recalled>,
    pub memory: Rc<MemoryPermit>,
}

/// A response that the store has begun, and whose making has not.
struct Prepared {
    job: Job,
    notes: Notes,
    /// Tells once fal works on it, or what keeps it from that.
    hears: oneshot::Receiver<Result<(), Problem>>,
    unanswered: Unanswered,
}

/// Begins a response in the background. It is answered for once fal has its first call.
///
/// # Errors
/// 429 where there are as many as there may be, 503 where it cannot be kept, and whatever keeps the
/// first call from being made; nothing is kept then.
pub async fn create<F: Face>(
    face: &F,
    caller: Caller,
    body: Bytes,
    beginning: Beginning,
) -> Result<HttpResponse, ApiError> {
    let begun = face.record_begun(&beginning.head);
    let begun = begun.ok_or_else(|| Problem::bug(false))?;
    let input = input_of(face, &body);
    let prepared = prepare::<F>(begun, None, caller, (body, input), beginning).await?;
    let json = prepared.job.begun.clone();
    rt::spawn(work::<F>(prepared.job));
    // Where the task was left before it could tell, another gateway goes on with it.
    let outcome = prepared.hears.await.unwrap_or(Ok(()));
    prepared.unanswered.forget();
    outcome?;
    let mut response = HttpResponse::Ok();
    respond::note_headers(&mut response, &prepared.notes, None);
    Ok(response.content_type("application/json").body(json))
}

/// Begins a response in the background whose events are told as they come. They are, once fal has begun to
/// answer, or when that takes longer than a silent connection is left alone.
///
/// # Errors
/// As [`create`].
pub async fn stream<F: Face>(
    face: F,
    caller: Caller,
    body: Bytes,
    beginning: Beginning,
    (scope, progress): (Scope, Rc<Progress>),
) -> Result<HttpResponse, ApiError> {
    let begun = face.record_begun(&beginning.head);
    let begun = begun.ok_or_else(|| Problem::bug(false))?;
    let head = &beginning.head;
    let input = input_of(&face, &body);
    let mut answer = StreamedAnswer::new(face.into_frames(head, UsageChunk::None, None), 1);
    answer.queue();
    let first = EventBatch {
        first: 0,
        next: FIRST_EVENTS,
        events: answer.take_frames().unwrap_or_default().to_vec(),
    };
    let live = Arc::new(LiveLog::new(&first));
    let prepared = prepare::<F>(begun, Some(first), caller, (body, input), beginning).await?;
    prepared.job.running.shows(&live);
    let (context, owner) = (prepared.job.context.clone(), prepared.job.owner.clone());
    let response = prepared.job.running.response().to_owned();
    rt::spawn(streamed::work::<F>(Streamed {
        job: prepared.job,
        live,
        progress: Rc::clone(&progress),
        _place: scope.place(),
    }));
    let heartbeat = context.snapshot.config.server.heartbeat;
    let told = timeout(heartbeat.unwrap_or(Duration::MAX), prepared.hears);
    let outcome = told.await.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(()));
    prepared.unanswered.forget();
    outcome?;
    let mut head = HttpResponse::Ok();
    respond::note_headers(&mut head, &prepared.notes, None);
    let reader = Reader::new(context, owner, response, 0).reporting_to(progress);
    Ok(reader.stream(head, scope))
}

/// Has the store begin a response, with these first events where it is streamed.
///
/// # Errors
/// As [`create`].
async fn prepare<F: Face>(
    begun: Record,
    events: Option<EventBatch>,
    caller: Caller,
    (body, input): (Bytes, Bytes),
    beginning: Beginning,
) -> Result<Prepared, ApiError> {
    let Beginning {
        context,
        headers,
        head,
        notes,
        grant,
        repeat,
        price,
        past,
        memory,
    } = beginning;
    let json = [begun.head.as_str(), &begun.tail].concat();
    let terms = Terms::of(&caller, &headers, &head.request_id, price);
    let owner = context.owner(&caller).await?;
    let long_memory = remember(&context, &memory).ok_or_else(|| too_many(&context, ""))?;
    let running = context.gateway.jobs.start(&head.id);
    let running = running.ok_or_else(scope::overloaded)?;
    let limit = context.snapshot.config.responses.background_timeout;
    let new = NewResponse {
        input: new_items(F::record_input(&input, &past.found, &head.id)),
        ..response(&context, &head.id, &past, begun)
    };
    let new_job = job(&context, &caller, &terms, &body, events)?;
    let lease = (running.gateway(), LEASE);
    let unbegun = Unbegun::of(&context, &owner, &running);
    let asked = Instant::now();
    let kept = context
        .gateway
        .responses()
        .begin(&owner, new, new_job, lease);
    let kept = kept.await.map_err(|error| context.store_failed(&error))?;
    unbegun.forget();
    refuse(&context, kept)?;
    running.is_leased(asked);
    let (told, hears) = oneshot::channel();
    let unanswered = Unanswered::of(&context, &owner, &caller.fal_key, &head.id);
    let job = Job {
        headers: terms.headers(),
        terms,
        context,
        caller,
        owner,
        body,
        begun: json,
        created_unix_s: head.created_unix_s,
        deadline: Instant::now() + limit,
        past: Some(past),
        memory,
        _long_memory: long_memory,
        grant: Some(grant),
        repeat,
        before: Vec::new(),
        told: Some(told),
        running,
        escrow: Escrow::default(),
    };
    Ok(Prepared {
        job,
        notes,
        hears,
        unanswered,
    })
}

fn response(context: &Context, id: &str, past: &Recalled, begun: Record) -> NewResponse {
    let settings = &context.snapshot.config.responses;
    NewResponse {
        id: id.to_owned(),
        parent: past.wanted.previous.clone(),
        conversation: None,
        status: begun.status,
        head: begun.head,
        tail: begun.tail,
        input: Vec::new(),
        output: Vec::new(),
        // Until its end, which tells how long from then on.
        retention: settings
            .retention
            .saturating_add(settings.background_timeout),
    }
}

/// # Errors
/// The body is no text, which a body that was read is.
fn job(
    context: &Context,
    caller: &Caller,
    terms: &Terms,
    body: &Bytes,
    events: Option<EventBatch>,
) -> Result<NewJob, Problem> {
    let settings = &context.snapshot.config.responses;
    Ok(NewJob {
        terms: serde_json::to_string(terms).map_err(|_| Problem::bug(false))?,
        body: String::from_utf8(body.to_vec()).map_err(|_| Problem::bug(false))?,
        // One that is streamed is never gone on with, only ended.
        needs_key: caller.brought_fal_key && events.is_none(),
        limit: settings.background_timeout,
        most: count(settings.max_background),
        most_of_owner: count(settings.max_background_per_owner),
        // Before fal has taken a key that it is not known to take, nobody makes room for its owner.
        may_evict_others: !caller.is_new,
        events,
    })
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// # Errors
/// Why a job has not begun.
fn refuse(context: &Context, begun: Begun) -> Result<(), ApiError> {
    match begun {
        Begun::Yes => Ok(()),
        Begun::NotKept(Kept::NoParent) => {
            Err(context.store_failed(&StoreError::Failed("the parent is gone".to_owned())))
        }
        Begun::NotKept(_) => Err(context.no_room(
            "A response that is made in the background has to be kept: delete what is not needed any more, or leave \
             'background' out.",
        )),
        Begun::TooMany { of_owner } => {
            Err(too_many(context, if of_owner { "of yours " } else { "" }))
        }
    }
}

fn too_many(context: &Context, whose: &str) -> ApiError {
    let limited = &context.gateway.metrics().limited;
    limited.with_label_values(&["background"]).inc();
    let message = format!(
        "As many responses {whose}are being made in the background as may be. Nothing was sent; try again \
         when one of them has ended."
    );
    let problem = Problem::new(ProblemKind::TooManyRequests, "rate_limit_exceeded", message);
    Problem {
        retry_after_s: Some(5),
        ..problem
    }
    .into()
}

/// A job of which nobody can say whether the store has it. If it ends as that, since the store has
/// failed or the client has left, nothing is begun: the job is taken out again, and while that lasts
/// it is this gateway's, so that nobody works on it.
struct Unbegun(Option<(Context, Owner, Running)>);

impl Unbegun {
    fn of(context: &Context, owner: &Owner, running: &Running) -> Self {
        Self(Some((context.clone(), owner.clone(), running.clone())))
    }

    /// The store has told what became of it.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Unbegun {
    fn drop(&mut self) {
        if let Some((context, owner, running)) = self.0.take() {
            rt::spawn(async move { undo(&context, &owner, &running).await });
        }
    }
}

/// A response whose id nobody has heard yet: if its client leaves now, nobody can ever ask for it.
struct Unanswered {
    context: Context,
    owner: Owner,
    key: FalKey,
    response: Option<String>,
}

impl Unanswered {
    fn of(context: &Context, owner: &Owner, key: &FalKey, response: &str) -> Self {
        Self {
            context: context.clone(),
            owner: owner.clone(),
            key: key.clone(),
            response: Some(response.to_owned()),
        }
    }

    fn forget(mut self) {
        self.response = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let Some(response) = self.response.take() else {
            return;
        };
        let (context, owner, key) = (self.context.clone(), self.owner.clone(), self.key.clone());
        rt::spawn(async move {
            let mut pause = FIRST_PAUSE;
            while call_off(&context, &owner, key.clone(), &response)
                .await
                .is_err()
            {
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        });
    }
}

/// Calls a response off that is being made in the background. Whether there is one of this id; where
/// it has ended already, nothing changes.
///
/// # Errors
/// 503 where the store fails.
pub async fn cancel(
    context: &Context,
    owner: &Owner,
    caller: &Caller,
    response: &str,
) -> Result<bool, ApiError> {
    let cancelled = call_off(context, owner, caller.fal_key.clone(), response).await;
    cancelled.map_err(|error| context.store_failed(&error))
}

async fn call_off(
    context: &Context,
    owner: &Owner,
    key: FalKey,
    response: &str,
) -> Result<bool, StoreError> {
    let retention = context.snapshot.config.responses.retention;
    let responses = context.gateway.responses();
    match responses
        .cancel(owner, response, retention, cancelled)
        .await?
    {
        Cancelled::NoResponse => Ok(false),
        Cancelled::Before => Ok(true),
        Cancelled::Now { calls, unheld } => {
            let is_settled = context.gateway.jobs.leave(response);
            let terms = unheld.and_then(|terms| serde_json::from_str(&terms).ok());
            if let Some(terms) = terms.filter(|_| !is_settled) {
                unread::charge(context, &terms, &calls);
            }
            cancel_soon(context, key, made(&calls));
            Ok(true)
        }
    }
}

/// Goes on with a response that waits for its owner's fal key, which `caller` has just shown.
pub async fn go_on(context: &Context, caller: Caller, response: &str) {
    if context.gateway.stopping().announced.is_cancelled() {
        return;
    }
    let Some(running) = context.gateway.jobs.start(response) else {
        return;
    };
    let responses = context.gateway.responses();
    let asked = Instant::now();
    let taken = responses.take_over(running.gateway(), LEASE, response);
    if let Ok(Some(job)) = taken.await {
        running.is_leased(asked);
        resume(context, job, running, |_| Ok(caller)).await;
    }
}

/// How long it is until a time in milliseconds since 1970.
pub(super) fn until(milliseconds: i64) -> std::time::Duration {
    let left = milliseconds.saturating_sub(Timestamp::now().as_millisecond());
    std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
