//! How a response in the background begins, and how it is called off.

use std::rc::Rc;

use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, rt};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::terms::Terms;
use super::work::{Job, work};
use super::{LEASE, cancel_soon, made, unread};
use crate::api::auth::Caller;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::gateway::MemoryPermit;
use crate::api::repeated::RepeatKey;
use crate::api::respond;
use crate::api::scope;
use crate::api::state::{Recalled, new_items};
use crate::budget::spending::CallPrice;
use crate::engine::Grant;
use crate::store::StoreError;
use crate::store::responses::{Begun, Cancelled, Kept, NewJob, NewResponse, Owner};
use crate::translate::face::Face;
use crate::translate::face::objects::ResponseMeta;
use crate::translate::face::responses::Responses;
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
    pub repeat: Option<RepeatKey>,
    /// What one call may cost at most, and the tokens of its prompt.
    pub price: (CallPrice, u64),
    pub past: Rc<Recalled>,
    pub memory: Rc<MemoryPermit>,
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
    let begun = face
        .record_begun(&head)
        .ok_or_else(|| Problem::bug(false))?;
    let json = [begun.head.as_str(), &begun.tail].concat();
    let terms = Terms::of(&caller, &headers, &head.request_id, price);
    let owner = context.owner(&caller).await?;
    let running = context.gateway.jobs.start(&head.id);
    let running = running.ok_or_else(scope::overloaded)?;
    let limit = context.snapshot.config.responses.background_timeout;
    let new = NewResponse {
        input: new_items(F::record_input(&body, &past.found, &head.id)),
        ..response(&context, &head.id, &past, begun)
    };
    let job = NewJob {
        terms: serde_json::to_string(&terms).map_err(|_| Problem::bug(false))?,
        body: String::from_utf8(body.to_vec()).map_err(|_| Problem::bug(false))?,
        needs_key: caller.brought_fal_key,
        limit,
        most: count(context.snapshot.config.responses.max_background),
        most_of_owner: count(context.snapshot.config.responses.max_background_per_owner),
    };
    let lease = (running.gateway(), LEASE);
    let kept = context.gateway.responses().begin(&owner, new, job, lease);
    refuse(&context, kept.await)?;
    running.is_stored();
    let (told, hears) = oneshot::channel();
    let unanswered = Unanswered::of(&context, &owner, &caller.fal_key, &head.id);
    rt::spawn(work::<F>(Job {
        headers: terms.headers(),
        terms,
        context,
        caller,
        owner,
        body,
        begun: json.clone(),
        created_unix_s: head.created_unix_s,
        deadline: Instant::now() + limit,
        past: Some(past),
        memory,
        grant: Some(grant),
        repeat,
        before: Vec::new(),
        told: Some(told),
        running,
    }));
    // Where the task was left before it could tell, another gateway goes on with it.
    let outcome = hears.await.unwrap_or(Ok(()));
    unanswered.forget();
    outcome?;
    let mut response = HttpResponse::Ok();
    respond::note_headers(&mut response, &notes, None);
    Ok(response.content_type("application/json").body(json))
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

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// # Errors
/// Why a job has not begun.
fn refuse(context: &Context, begun: Result<Begun, StoreError>) -> Result<(), ApiError> {
    match begun.map_err(|error| context.store_failed(&error))? {
        Begun::Yes => Ok(()),
        Begun::NotKept(Kept::NoParent) => {
            Err(context.store_failed(&StoreError::Failed("the parent is gone".to_owned())))
        }
        Begun::NotKept(_) => Err(context.store_failed(&StoreError::Full)),
        Begun::TooMany { of_owner } => {
            let whose = if of_owner { "of yours " } else { "" };
            let limited = &context.gateway.metrics().limited;
            limited.with_label_values(&["background"]).inc();
            let message = format!(
                "As many responses {whose}are being made in the background as may be. Nothing was sent; try again \
                 when one of them has ended."
            );
            let problem =
                Problem::new(ProblemKind::TooManyRequests, "rate_limit_exceeded", message);
            Err(Problem {
                retry_after_s: Some(5),
                ..problem
            }
            .into())
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
            let _ = call_off(&context, &owner, key, &response).await;
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
            context.gateway.jobs.leave(response);
            let terms = unheld.and_then(|terms| serde_json::from_str(&terms).ok());
            if let Some(terms) = terms {
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
    let taken = responses.take_one(running.gateway(), LEASE, response).await;
    if let Ok(Some(job)) = taken
        && let Some(job) = Job::of(context, caller, job, running).await
    {
        rt::spawn(work::<Responses>(job));
    }
}

/// How long it is until a time in milliseconds since 1970.
pub(super) fn until(milliseconds: i64) -> std::time::Duration {
    let left = milliseconds.saturating_sub(Timestamp::now().as_millisecond());
    std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
