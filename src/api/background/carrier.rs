//! The way of a job's calls to fal: through its queue, each of them once.
//!
//! A call is written down, then made, then written down as made. Where a job is done again, its calls
//! are recognized by their choice and their model and not made again. One that was written down and
//! not written down as made may be in the queue or not; it is never made again either, and the job
//! fails.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::cancel_calls;
use super::jobs::Running;
use crate::api::gateway::Gateway;
use crate::engine::{Call, Carrier};
use crate::store::StoreError;
use crate::store::responses::{Sent, Submission};
use crate::translate::face::responses::output::Status;
use crate::translate::face::responses::restated::restated;
use crate::translate::problem::Problem;
use crate::upstream::{
    Answer, FalClient, FalKey, Post, Progress, QueueId, Refusal, RefusalKind, UpstreamError,
};

/// The pauses between two looks at a call: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many looks in a row may fail. fal is away at times, but not for ever.
const MAX_FAILED_LOOKS: usize = 60;
/// The same where fal says that it does not know the request or the key.
const MAX_REFUSED_LOOKS: usize = 3;
/// How often the queue may refuse to give an answer that is there.
const MAX_REFUSED_FETCHES: usize = 6;
/// How often something is written to the store before that is given up.
const STORE_TRIES: usize = 5;

/// What went wrong besides what fal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A call was begun, and nobody knows whether fal has it.
    Unknown,
    /// What has been asked so far is not what would be asked now.
    Changed,
    /// Nothing more may be spent.
    Unaffordable,
    /// The store could not be written to, so nothing was sent.
    Store,
}

/// Tells who waits for a job to begin whether it has, or what keeps it from that.
pub(super) type Told = oneshot::Sender<Result<(), Problem>>;

/// Carries the calls of one job.
pub(super) struct QueueCarrier {
    pub gateway: Arc<Gateway>,
    pub fal: Rc<FalClient>,
    pub key: FalKey,
    pub running: Running,
    /// The most bytes of an answer.
    pub max_answer: usize,
    pub deadline: Instant,
    /// Whether calls may be made that were not made before.
    pub may_spend: Cell<bool>,
    /// The calls that were made before, and not asked for again yet.
    pub before: RefCell<Vec<Submission>>,
    pub next: Cell<i64>,
    /// The response as it was begun, until it is known to be worked on.
    pub begun: RefCell<Option<String>>,
    /// Who waits for the first call to be in the queue.
    pub told: RefCell<Option<Told>>,
    /// The calls that fal works on.
    pub open: RefCell<Vec<(String, QueueId)>>,
    pub trouble: Cell<Option<Trouble>>,
}

impl Carrier for QueueCarrier {
    fn carry<'c>(&'c self, call: Call<'c>) -> LocalBoxFuture<'c, Result<Answer, UpstreamError>> {
        async move {
            // Also where this task does not hear of it any more.
            call.is_sent.set(true);
            let app = call.post.app;
            let recalled = self.recall(&call)?;
            let was_made = recalled.is_some();
            let id = match recalled {
                Some(id) => id,
                None => self.submit(&call).await?,
            };
            if let Some(told) = self.told.take() {
                let _ = told.send(Ok(()));
            }
            self.open.borrow_mut().push((app.to_owned(), id.clone()));
            let answer = self.answer(app, &id).await;
            // Whoever has the answer settles it, and that is whoever has the job.
            self.running.until_leased().await;
            match answer {
                Err(UpstreamError::UnusableHead(..)) if was_made && self.went_elsewhere(&call) => {
                    self.trouble.set(Some(Trouble::Changed));
                    Err(passed_over(RefusalKind::UnknownModel { known: Vec::new() }))
                }
                Err(error @ UpstreamError::UnusableHead(..)) => Err(error),
                answer => {
                    self.open.borrow_mut().retain(|(_, open)| *open != id);
                    answer
                }
            }
        }
        .boxed_local()
    }

    fn is_handed_over(&self) -> bool {
        self.running.is_handed_over() && !self.gateway.store().is_in_memory()
    }
}

impl QueueCarrier {
    /// Whether fal has had no call of the job, and none is on its way.
    pub(super) fn has_asked_nothing(&self) -> bool {
        self.next.get() == 0
    }

    /// The same call, if it was made before.
    fn recall(&self, call: &Call<'_>) -> Result<Option<QueueId>, UpstreamError> {
        let choice = choice_of(call);
        let mut before = self.before.borrow_mut();
        // fal never had those, so they may be made.
        before.retain(|made| !(made.choice == choice && made.is_refused));
        let is_same = |made: &Submission| made.choice == choice && is_same(made, call);
        let Some(at) = before.iter().position(is_same) else {
            return match before.iter().find(|made| made.choice == choice) {
                // This call was refused before, or was known to be, and another was made in its place.
                Some(other) => {
                    self.trouble.set(Some(Trouble::Changed));
                    Err(passed_over(match other.model == call.model {
                        true => RefusalKind::UnknownApp,
                        false => RefusalKind::UnknownModel { known: Vec::new() },
                    }))
                }
                None if !self.may_spend.get() => Err(self.fail(Trouble::Unaffordable)),
                None => Ok(None),
            };
        };
        if self.trouble.get() == Some(Trouble::Changed) {
            self.trouble.set(None);
        }
        let id = before.remove(at).request_id;
        match id.as_deref().and_then(QueueId::new) {
            Some(id) => Ok(Some(id)),
            None => Err(self.fail(Trouble::Unknown)),
        }
    }

    /// Whether the next call that was made for the same choice was another one.
    fn went_elsewhere(&self, call: &Call<'_>) -> bool {
        let before = self.before.borrow();
        let next = before.iter().find(|made| made.choice == choice_of(call));
        next.is_some_and(|next| !is_same(next, call))
    }

    fn fail(&self, trouble: Trouble) -> UpstreamError {
        self.trouble.set(Some(trouble));
        match trouble {
            Trouble::Unknown | Trouble::Changed => UpstreamError::Disconnected,
            Trouble::Unaffordable | Trouble::Store => UpstreamError::ConnectTimedOut,
        }
    }

    async fn submit(&self, call: &Call<'_>) -> Result<QueueId, UpstreamError> {
        let position = self.next.replace(self.next.get().saturating_add(1));
        let written = Submission {
            position,
            choice: choice_of(call),
            app: call.post.app.to_owned(),
            path: call.post.path.to_owned(),
            model: call.model.to_owned(),
            request_id: None,
            is_refused: false,
        };
        // In a task of its own: whoever drops the job must not lose what becomes of the call, nor leave
        // one that is written down and never made.
        let sending = Sending {
            gateway: Arc::clone(&self.gateway),
            fal: Rc::clone(&self.fal),
            key: self.key.clone(),
            running: self.running.clone(),
            written,
            may_be_kept: call.post.may_be_kept,
            input: call.post.input.clone(),
            deadline: self.deadline,
        };
        let sent = actix_web::rt::spawn(sending.send()).await;
        match sent.unwrap_or(Err(Unsent::Failed(UpstreamError::Disconnected))) {
            Ok(id) => Ok(id),
            Err(Unsent::Lost) => self.lost().await,
            Err(Unsent::Unwritten) => Err(self.fail(Trouble::Store)),
            Err(Unsent::Failed(error)) => Err(error),
        }
    }

    /// The job is somebody else's now.
    async fn lost<T>(&self) -> T {
        self.running.lose();
        std::future::pending().await
    }

    async fn answer(&self, app: &str, id: &QueueId) -> Result<Answer, UpstreamError> {
        let has_failed = self.wait(app, id).await?;
        self.fetch(app, id, has_failed).await
    }

    /// Looks again and again until a call is done. Whether it has failed.
    async fn wait(&self, app: &str, id: &QueueId) -> Result<bool, UpstreamError> {
        let mut pause = FIRST_PAUSE;
        let (mut failed, mut refused) = (0_usize, 0_usize);
        loop {
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(3).div_f32(2.0).min(LONGEST_PAUSE);
            match self.fal.progress(app, id, &self.key).await {
                Ok(Progress::Done) => return Ok(false),
                Ok(Progress::Failed) => return Ok(true),
                Ok(progress) => {
                    (failed, refused) = (0, 0);
                    if progress == Progress::Running {
                        self.note_running().await;
                    }
                }
                Err(UpstreamError::Refused(refusal)) if refusal.status < 429 => {
                    refused = refused.saturating_add(1);
                }
                Err(_) => failed = failed.saturating_add(1),
            }
            if refused >= MAX_REFUSED_LOOKS || failed >= MAX_FAILED_LOOKS {
                return Err(gone(id));
            }
        }
    }

    /// Has the response say that it is worked on.
    async fn note_running(&self) {
        let begun = self.begun.take();
        let begun = begun.and_then(|json| restated(&json, Status::InProgress, None));
        if let Some((head, _)) = begun {
            let (gateway, response) = (self.running.gateway(), self.running.response());
            let responses = self.gateway.responses();
            // It is told in time or not; the end is what counts.
            let _ = responses
                .restate(gateway, response, Status::InProgress.name(), head)
                .await;
        }
    }

    /// The answer to a call that is done. What the queue itself refuses is asked for again; what it says
    /// of a call that has failed is the end of it.
    async fn fetch(
        &self,
        app: &str,
        id: &QueueId,
        has_failed: bool,
    ) -> Result<Answer, UpstreamError> {
        let mut pause = FIRST_PAUSE;
        let (mut failed, mut refused) = (0_usize, 0_usize);
        loop {
            let result = self.fal.result(app, id, &self.key, self.max_answer).await;
            let error = match result {
                Ok(_) if has_failed => return Err(failed_at_fal(id)),
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let mut least = Duration::ZERO;
            match &error {
                UpstreamError::Refused(refusal) if is_forgotten(refusal) => return Err(gone(id)),
                UpstreamError::Refused(refusal) if !has_failed && is_of_queue(refusal) => {
                    refused = refused.saturating_add(1);
                    least = Duration::from_secs(refusal.retry_after_s.unwrap_or(0).into());
                }
                UpstreamError::Unreachable(_)
                | UpstreamError::ConnectTimedOut
                | UpstreamError::TimedOut
                | UpstreamError::Disconnected => failed = failed.saturating_add(1),
                _ => return Err(error),
            }
            if failed >= MAX_FAILED_LOOKS || refused >= MAX_REFUSED_FETCHES {
                return Err(gone(id));
            }
            sleep(jittered(pause.max(least.min(LONGEST_PAUSE)))).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

pub(super) fn choice_of(call: &Call<'_>) -> i64 {
    i64::try_from(call.choice).unwrap_or(i64::MAX)
}

/// Whether a call of the same choice that was made is this one.
fn is_same(made: &Submission, call: &Call<'_>) -> bool {
    (made.app.as_str(), made.path.as_str()) == (call.post.app, call.post.path)
        && made.model == call.model
}

/// What makes the walk go on to the call that was made next, as it did when that was made. fal was not
/// asked.
fn passed_over(kind: RefusalKind) -> UpstreamError {
    UpstreamError::Refused(Box::new(Refusal {
        status: 404,
        kind,
        said: None,
        retry_after_s: None,
        request_id: None,
    }))
}

/// The queue says that a call has failed, and does not say why.
fn failed_at_fal(id: &QueueId) -> UpstreamError {
    UpstreamError::Refused(Box::new(Refusal {
        status: 500,
        kind: RefusalKind::Failed,
        said: None,
        retry_after_s: None,
        request_id: Some(id.as_str().to_owned()),
    }))
}

/// The queue has forgotten the call, which is no word of the model's.
fn is_forgotten(refusal: &Refusal) -> bool {
    refusal.status == 404 && refusal.said.is_none()
}

/// Whether a refusal to give the answer of a call that has not failed is the queue's and may pass.
fn is_of_queue(refusal: &Refusal) -> bool {
    let is_early = refusal
        .said
        .as_ref()
        .is_some_and(|said| said.contains("still in progress"));
    is_early || matches!(refusal.status, 408 | 425 | 429 | 500..)
}

/// A call on its way into the queue.
struct Sending {
    gateway: Arc<Gateway>,
    fal: Rc<FalClient>,
    key: FalKey,
    /// Keeps a stop waiting until it is known what became of the call.
    running: Running,
    written: Submission,
    may_be_kept: bool,
    input: bytes::Bytes,
    deadline: Instant,
}

/// Why fal has no call, or nobody here its id.
enum Unsent {
    /// The job is somebody else's by then.
    Lost,
    /// The store did not take it down.
    Unwritten,
    Failed(UpstreamError),
}

impl Sending {
    /// Writes down that a call is made, makes it, and writes down what becomes of it.
    async fn send(self) -> Result<QueueId, Unsent> {
        let (gateway, response) = (self.running.gateway(), self.running.response());
        let responses = self.gateway.responses();
        let intended = with_patience(|| responses.intend(gateway, response, self.written.clone()));
        match intended.await {
            Ok(true) => {}
            Ok(false) => return Err(Unsent::Lost),
            Err(_) => return Err(Unsent::Unwritten),
        }
        let post = Post {
            app: &self.written.app,
            path: &self.written.path,
            is_stream: false,
            may_be_kept: self.may_be_kept,
            input: self.input.clone(),
        };
        let limit = self.deadline.saturating_duration_since(Instant::now());
        let outcome = self.fal.submit(post, &self.key, limit).await;
        let sent = match &outcome {
            Ok(id) => Sent::As(id.as_str().to_owned()),
            Err(
                UpstreamError::Refused(_)
                | UpstreamError::Unreachable(_)
                | UpstreamError::ConnectTimedOut,
            ) => Sent::Refused,
            // Nobody knows, which is what is written down already.
            Err(_) => return outcome.map_err(Unsent::Failed),
        };
        let position = self.written.position;
        let noted = with_patience(|| responses.sent(gateway, response, position, sent.clone()));
        match (noted.await, outcome) {
            (_, Err(error)) => Err(Unsent::Failed(error)),
            (Ok(false), Ok(id)) => {
                cancel_calls(&self.fal, &self.key, &[(self.written.app.clone(), id)]).await;
                Err(Unsent::Lost)
            }
            // While this process lives, it knows the id.
            (_, Ok(id)) => Ok(id),
        }
    }
}

/// fal no longer tells anything of a call. It may have been paid for, so it is no refusal.
fn gone(id: &QueueId) -> UpstreamError {
    let reason = "the queue does not tell what became of the request";
    UpstreamError::UnusableHead(reason, Some(id.as_str().to_owned()))
}

/// Does something with the store again while that is busy or away, for a moment.
pub(super) async fn with_patience<T, F: Future<Output = Result<T, StoreError>>>(
    work: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..STORE_TRIES {
        match work().await {
            Err(StoreError::Busy | StoreError::Gone(_)) => sleep(pause).await,
            outcome => return outcome,
        }
        pause = pause.saturating_mul(2);
    }
    work().await
}

/// A fifth more or less, so that jobs that began together do not look together for ever.
fn jittered(pause: Duration) -> Duration {
    let [drawn, ..] = uuid::Uuid::new_v4().into_bytes();
    pause.mul_f32(0.8 + 0.4 * f32::from(drawn) / 255.0)
}
