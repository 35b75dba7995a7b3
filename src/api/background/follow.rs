//! Reading the events of a response that is streamed in the background: from any of them on, while they
//! come and once they all are there, at the gateway that makes the response and at any other.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::live::{Seen, behind};
use crate::api::context::Context;
use crate::api::gateway::MemoryPermit;
use crate::api::respond;
use crate::api::scope::Scope;
use crate::store::StoreError;
use crate::store::responses::{EventPage, Owner};
use crate::translate::face::responses::replay::{ending, interruption};
use crate::translate::problem::{Problem, ProblemKind, Source};

/// The pauses between two looks into the store for events that another gateway brings: the first, and the
/// longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the store may fail before a stream of what it has ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a stream goes on once the gateway has stopped waiting for answers: those end by then.
const GRACE: Duration = Duration::from_millis(500);
/// What keeps a silent stream alive. It has no number, so that every reader gets the same ones.
const COMMENT: Bytes = Bytes::from_static(b": nothing yet\n\n");

/// Somebody who reads the events of a response.
pub struct Reader {
    context: Context,
    owner: Owner,
    response: String,
    /// The number of the next event that he wants.
    from: i64,
    pause: Duration,
    /// Since when the store has failed each time it was asked.
    failing_since: Option<Instant>,
    /// When the stream ends since the gateway does.
    ends_at: Option<Instant>,
    /// When something was sent last.
    sent_at: Instant,
    /// The memory of what is being sent.
    held: Option<MemoryPermit>,
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
            pause: FIRST_PAUSE,
            failing_since: None,
            ends_at: None,
            sent_at: Instant::now(),
            held: None,
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
                Some(Seen::Events(events, next)) => {
                    self.from = next;
                    return Next::Events(events);
                }
                Some(Seen::Nothing) => {}
                Some(Seen::Stored | Seen::Over) | None => {
                    changes = None;
                    if let Some(next) = self.look().await {
                        return next;
                    }
                }
            }
            let heartbeat = self.context.snapshot.config.server.heartbeat;
            let quiet_at = heartbeat.and_then(|pause| self.sent_at.checked_add(pause));
            tokio::select! {
                () = at(quiet_at) => return Next::Quiet,
                () = at(self.ends_at) => return self.break_off(&super::work::stopping()),
                () = self.context.gateway.stopping().enforced.cancelled(), if self.ends_at.is_none() => {
                    self.ends_at = Some(Instant::now() + GRACE);
                }
                () = async {
                    match &mut changes {
                        Some(changes) => drop(changes.changed().await),
                        None => sleep_until(Instant::now() + self.pause).await,
                    }
                } => self.pause = match changes {
                    Some(_) => FIRST_PAUSE,
                    None => self.pause.saturating_mul(2).min(LONGEST_PAUSE),
                },
            }
        }
    }

    /// Looks for the next events in the store; none where there is nothing yet.
    async fn look(&mut self) -> Option<Next> {
        let responses = self.context.gateway.responses();
        let found = responses
            .events(&self.owner, &self.response, self.from)
            .await;
        match found {
            Ok(Some(page)) => {
                self.failing_since = None;
                self.turn(page).await
            }
            Ok(None) => Some(self.break_off(&gone())),
            Err(error) => self.fail(&error),
        }
    }

    async fn turn(&mut self, page: EventPage) -> Option<Next> {
        if let Some(next) = page.batches.last().map(|batch| batch.next) {
            let mut all = Vec::new();
            for batch in &page.batches {
                all.extend_from_slice(behind(&batch.events, batch.first, self.from));
            }
            self.hold(all.len())?;
            self.from = next;
            self.pause = FIRST_PAUSE;
            return Some(Next::Events(all.into()));
        }
        let end = page.end?;
        let responses = self.context.gateway.responses();
        let found = match responses.get(&self.owner, &self.response).await {
            Ok(found) => found,
            Err(error) => return self.fail(&error),
        };
        let Some(found) = found else {
            return Some(self.break_off(&gone()));
        };
        self.hold(found.json.len().saturating_mul(2))?;
        let (number, from) = (unsigned(end), unsigned(self.from));
        let last = ending(&found.status, &found.json, number, from);
        Some(match last {
            Some(last) => Next::Last(last.into()),
            None => self.break_off(&Problem::bug(false)),
        })
    }

    /// Takes memory for what is sent next; where there is none, that waits.
    fn hold(&mut self, bytes: usize) -> Option<()> {
        let most = self.context.snapshot.config.limits.max_body_memory;
        let mut held = self.context.gateway.hold(most);
        let is_held = held.grow_to(bytes);
        self.held = Some(held);
        is_held.then_some(())
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
        let last = unsigned(self.from.saturating_sub(1));
        Next::Last(interruption(problem, last).into())
    }
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
