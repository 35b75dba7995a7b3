//! Reading the events of a response that is streamed in the background: from any of them on, while they
//! come and once they all are there, at the gateway that makes the response and at any other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::jobs::Jobs;
use super::live::{Seen, behind};
use super::looks::{FIRST_PAUSE, Found, Look, Place};
use crate::api::context::Context;
use crate::api::gateway::MemoryPermit;
use crate::api::idempotency::Progress;
use crate::api::respond;
use crate::api::scope::Scope;
use crate::store::StoreError;
use crate::store::responses::{EventPage, Owner};
use crate::translate::face::responses::replay::{ending, interruption};
use crate::translate::problem::{Problem, ProblemKind, Source};

/// How long the store may fail before a stream of what it has ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a stream goes on once the gateway has stopped waiting for answers: those end by then.
const GRACE: Duration = Duration::from_millis(500);
/// What keeps a silent stream alive. It has no number, so that every reader gets the same ones.
const COMMENT: Bytes = Bytes::from_static(b": nothing yet\n\n");

/// How many streams of an owner are read again at once: each has a place among all requests.
const MOST_OF_OWNER: usize = 32;

/// How many streams each owner reads again.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<HashMap<Owner, usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct ReaderPermit {
    readers: Arc<Jobs>,
    owner: Owner,
}

/// Somebody who reads the events of a response.
pub struct Reader {
    context: Context,
    owner: Owner,
    response: String,
    /// The number of the next event that he wants.
    from: i64,
    /// Where others wait too for what comes into the store. None while it may have more already.
    place: Option<Place>,
    /// Since when the store has failed each time it was asked.
    failing_since: Option<Instant>,
    /// When the stream ends since the gateway does.
    ends_at: Option<Instant>,
    /// When something was sent last.
    sent_at: Instant,
    /// The memory of what is being sent.
    held: Option<MemoryPermit>,
    /// Since when there has been none.
    short_since: Option<Instant>,
    /// Told where the stream ends before its response does.
    progress: Option<Rc<Progress>>,
    _permit: Option<ReaderPermit>,
}

enum Next {
    Events(Bytes),
    /// Nothing has come for a while.
    Quiet,
    Last(Bytes),
}

impl Reader {
    /// A reader who wants the events of a response from this number on.
    pub fn new(context: Context, owner: Owner, response: String, from: i64) -> Self {
        Self {
            context,
            owner,
            response,
            from,
            place: None,
            failing_since: None,
            ends_at: None,
            sent_at: Instant::now(),
            held: None,
            short_since: None,
            progress: None,
            _permit: None,
        }
    }

    /// One who reads what was asked for by another request.
    ///
    /// # Errors
    /// Its owner has as many already as may be.
    pub fn again(
        context: Context,
        owner: Owner,
        response: String,
        from: i64,
    ) -> Result<Self, Problem> {
        let permit = ReaderPermit::of(&context.gateway.jobs, &owner).ok_or_else(too_many)?;
        Ok(Self {
            _permit: Some(permit),
            ..Self::new(context, owner, response, from)
        })
    }

    /// A reader whose stream is the answer to the request that is worked on.
    pub fn reporting_to(self, progress: Rc<Progress>) -> Self {
        Self {
            progress: Some(progress),
            ..self
        }
    }

    /// The events as an answer, until the response has ended.
    pub fn stream(mut self, mut head: HttpResponseBuilder, scope: Scope) -> HttpResponse {
        respond::note_stream(&mut head);
        head.streaming(async_stream::stream! {
            // All of it, since the place belongs to the stream until its end.
            let scope = scope;
            scope.record.stream_begins();
            loop {
                let next = self.next().await;
                self.sent_at = Instant::now();
                let (bytes, is_last) = match next {
                    Next::Events(bytes) => (bytes, false),
                    Next::Quiet => (COMMENT, false),
                    Next::Last(bytes) => (bytes, true),
                };
                scope.record.sent(bytes.len());
                scope.record.trace().got(&bytes);
                if is_last {
                    scope.record.complete();
                }
                yield Ok::<_, Infallible>(bytes);
                if is_last {
                    break;
                }
            }
        })
    }

    async fn next(&mut self) -> Next {
        self.held = None;
        loop {
            let live = self.context.gateway.jobs.live(&self.response);
            let mut changes = live.as_ref().map(|live| live.changes());
            match live.map(|live| live.after(self.from)) {
                Some(Seen::Events(events, next)) => match self.hold(events.len()) {
                    Ok(true) => {
                        self.from = next;
                        return Next::Events(events);
                    }
                    Ok(false) => changes = None,
                    Err(problem) => return self.break_off(&problem),
                },
                Some(Seen::Nothing) => {}
                Some(Seen::Stored | Seen::Over) | None => {
                    changes = None;
                    if self.place.is_none() {
                        if let Some(next) = self.look().await {
                            return next;
                        }
                        let jobs = &self.context.gateway.jobs;
                        self.place = Some(Place::among(jobs, &self.owner, &self.response));
                    }
                }
            }
            let heartbeat = self.context.snapshot.config.server.heartbeat;
            let quiet_at = heartbeat.and_then(|pause| self.sent_at.checked_add(pause));
            let responses = self.context.gateway.responses();
            let look = async |from| responses.events(&self.owner, &self.response, from).await;
            tokio::select! {
                () = at(quiet_at) => return Next::Quiet,
                // What is made here ends with the gateway, and says how.
                () = at(self.ends_at), if changes.is_none() => return self.break_off(&stopping()),
                () = self.context.gateway.stopping().enforced.cancelled(), if self.ends_at.is_none() => {
                    self.ends_at = Some(Instant::now() + GRACE);
                }
                look = change(&mut changes, &mut self.place, self.from, look) => {
                    if let Some(look) = look && let Some(next) = self.told(look).await {
                        return next;
                    }
                }
            }
        }
    }

    /// Looks for the next events in the store; none where there is nothing yet.
    async fn look(&mut self) -> Option<Next> {
        let responses = self.context.gateway.responses();
        let found = responses
            .events(&self.owner, &self.response, self.from)
            .await;
        self.found(found.map(|page| page.map(Arc::new))).await
    }

    /// Takes what somebody has found who waits for the same events, unless that leaves something out.
    async fn told(&mut self, look: Look) -> Option<Next> {
        if look.tells(self.from) {
            return self.found(look.found).await;
        }
        self.place = None;
        None
    }

    async fn found(&mut self, found: Found) -> Option<Next> {
        match found {
            Ok(Some(page)) => {
                self.failing_since = None;
                self.turn(&page).await
            }
            Ok(None) => Some(self.break_off(&gone())),
            Err(error) => self.fail(&error),
        }
    }

    async fn turn(&mut self, page: &EventPage) -> Option<Next> {
        if let Some(next) = page.batches.last().map(|batch| batch.next) {
            let mut all = Vec::new();
            for batch in &page.batches {
                all.extend_from_slice(behind(&batch.events, batch.first, self.from));
            }
            match self.hold(all.len()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(problem) => return Some(self.break_off(&problem)),
            }
            self.from = next;
            if next < page.next {
                self.place = None;
            }
            return Some(Next::Events(all.into()));
        }
        let end = page.end?;
        if page.is_gone && self.from < end {
            return Some(self.break_off(&swept()));
        }
        let responses = self.context.gateway.responses();
        let found = match responses.get(&self.owner, &self.response).await {
            Ok(found) => found,
            Err(error) => return self.fail(&error),
        };
        let Some(found) = found else {
            return Some(self.break_off(&gone()));
        };
        match self.hold(found.json.len().saturating_mul(2)) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(problem) => return Some(self.break_off(&problem)),
        }
        let (number, from) = (unsigned(end), unsigned(self.from));
        let last = ending(&found.status, &found.json, number, from);
        Some(match last {
            Some(last) => Next::Last(last.into()),
            None => self.break_off(&Problem::bug(false)),
        })
    }

    /// Takes memory for what is sent next. Where there is none, that waits; an error where it has
    /// waited for long.
    fn hold(&mut self, bytes: usize) -> Result<bool, Problem> {
        let most = self.context.snapshot.config.limits.max_body_memory;
        let mut held = self.context.gateway.hold(most);
        if held.grow_to(bytes) {
            (self.held, self.short_since) = (Some(held), None);
            return Ok(true);
        }
        let since = *self.short_since.get_or_insert_with(Instant::now);
        match since.elapsed() < PATIENCE {
            true => Ok(false),
            false => Err(short()),
        }
    }

    fn fail(&mut self, error: &StoreError) -> Option<Next> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE {
            return None;
        }
        self.context.note_store_failure(error.label());
        Some(self.break_off(&away()))
    }

    /// Ends the stream before its response has ended.
    fn break_off(&self, problem: &Problem) -> Next {
        if let Some(progress) = &self.progress {
            progress.break_off();
        }
        let last = self
            .from
            .checked_sub(1)
            .and_then(|last| u64::try_from(last).ok());
        Next::Last(interruption(problem, last).into())
    }
}

impl ReaderPermit {
    fn of(jobs: &Arc<Jobs>, owner: &Owner) -> Option<Self> {
        let mut readers = jobs.readers.all();
        let count = readers.entry(owner.clone()).or_default();
        if *count >= MOST_OF_OWNER {
            return None;
        }
        *count += 1;
        Some(Self {
            readers: Arc::clone(jobs),
            owner: owner.clone(),
        })
    }
}

impl Drop for ReaderPermit {
    fn drop(&mut self) {
        let mut readers = self.readers.readers.all();
        if let Entry::Occupied(mut count) = readers.entry(self.owner.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Readers {
    fn all(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until there may be something new: here, or in the store, of which it is told what somebody found.
async fn change(
    here: &mut Option<watch::Receiver<()>>,
    place: &mut Option<Place>,
    from: i64,
    look: impl AsyncFnOnce(i64) -> Result<Option<EventPage>, StoreError>,
) -> Option<Look> {
    match (here, place) {
        (Some(here), _) => drop(here.changed().await),
        (None, Some(place)) => return place.next(from, look).await,
        (None, None) => sleep(FIRST_PAUSE).await,
    }
    None
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn gone() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "response_not_found",
        "The response was deleted while its events were read.",
    )
}

fn swept() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "events_not_found",
        "The events of this response are not kept any more, since it ended a while ago. Ask for the response itself.",
    )
}

fn stopping() -> Problem {
    Problem {
        source: Source::Gateway,
        ..Problem::new(
            ProblemKind::Unavailable,
            "shutting_down",
            "The gateway is shutting down. Read the events of this response again from here.",
        )
    }
}

fn short() -> Problem {
    Problem {
        source: Source::Gateway,
        ..Problem::new(
            ProblemKind::Unavailable,
            "overloaded",
            "The gateway has no memory for what comes next. Read the events of this response again from here later.",
        )
    }
}

fn too_many() -> Problem {
    let message = format!(
        "At most {MOST_OF_OWNER} streams of responses can be read again at once. Try again when one of them has ended."
    );
    Problem {
        retry_after_s: Some(5),
        ..Problem::new(ProblemKind::TooManyRequests, "rate_limit_exceeded", message)
    }
}

fn away() -> Problem {
    Problem {
        source: Source::Gateway,
        ..Problem::new(
            ProblemKind::Unavailable,
            "store_unavailable",
            "What the gateway keeps cannot be reached. The response is being made all the same; read its events again \
             from here later.",
        )
    }
}
