//! Failures that may have been paid for, kept for a moment.
//!
//! Some clients send a failed request again by themselves, whatever its answer says: up to thirty
//! times for one turn of a conversation. The same request of the same caller gets the same failure
//! then, and nothing is sent to fal. What is kept is a fingerprint and the failure's words, and
//! nothing of a request.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::auth::Caller;
use crate::translate::meaning::fingerprint;
use crate::translate::problem::Problem;

/// How long a failure is kept. Clients that repeat by themselves are done by then, and people who
/// try again are not yet tired.
const KEPT: Duration = Duration::from_secs(60);
/// The longest body that is copied, rather than its meaning be found out before that is needed.
const SHORT: usize = 1024;
/// How many failures are kept.
const MAX_KEPT: usize = 1000;

/// Headers that change what a request asks for.
pub const MEANT: [HeaderName; 3] = [UPSTREAM, STRICT, PRIORITY];
/// The upstream that a caller wants, where callers may choose.
pub const UPSTREAM: HeaderName = HeaderName::from_static("x-gateway-upstream");
/// Whether answers that do not meet what was asked for are refused.
pub const STRICT: HeaderName = HeaderName::from_static("x-gateway-strict");
/// fal's `priority`.
pub const PRIORITY: HeaderName = HeaderName::from_static(PRIORITY_NAME);
/// Its name, where that outlives the request.
pub const PRIORITY_NAME: &str = "x-fal-priority";

/// What a request is recognized by: who sends it, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RepeatKey(u64);

/// A request that may be repeated. What it means is found out when that is needed, since most requests
/// neither fail nor follow a failure.
#[derive(Clone, Debug)]
pub struct Repeatable {
    /// Who sends it, what its headers say, and in which state its conversation is.
    said: u64,
    body: Asked,
}

#[derive(Clone, Debug)]
enum Asked {
    Body(Bytes),
    /// The body is not there any more.
    Meaning(u64),
}

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct PaidFailures {
    kept: Mutex<Failures>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Failures {
    by_key: HashMap<RepeatKey, Kept>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    problem: Problem,
    since: Instant,
}

/// What the headers say that change what a request asks for.
pub fn said_by_headers(headers: &HeaderMap) -> [Option<&[u8]>; 3] {
    MEANT.map(|name| headers.get(name).map(HeaderValue::as_bytes))
}

impl PaidFailures {
    /// A request with these headers and this body, which goes on with what is in this state; `is_held`
    /// says whether the body stays in memory for as long as the request is answered.
    pub fn repeatable(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        state: impl Hash,
        (body, is_held): (&Bytes, bool),
    ) -> Repeatable {
        let client = caller.key.as_ref().map(|key| key.id.as_str());
        let owner = (client, caller.fal_key.print());
        let body = match body.len() {
            _ if is_held => Asked::Body(body.clone()),
            // A copy, or it would hold all that was read together with it.
            0..=SHORT => Asked::Body(Bytes::copy_from_slice(body)),
            _ => Asked::Meaning(fingerprint(body, &self.hasher)),
        };
        let said = (owner, said_by_headers(headers), state);
        Repeatable {
            said: self.hasher.hash_one(said),
            body,
        }
    }

    fn key(&self, request: &Repeatable) -> RepeatKey {
        let meaning = match &request.body {
            Asked::Body(body) => fingerprint(body, &self.hasher),
            Asked::Meaning(meaning) => *meaning,
        };
        RepeatKey(self.hasher.hash_one((request.said, meaning)))
    }

    /// How the same request has failed less than a minute ago.
    pub fn find(&self, request: &Repeatable) -> Option<Problem> {
        let now = Instant::now();
        if !self.all().has_current(now) {
            return None;
        }
        self.find_at(self.key(request), now)
    }

    /// Keeps a failure that may have been paid for.
    pub fn keep(&self, request: &Repeatable, problem: &Problem) {
        self.keep_at(self.key(request), problem, Instant::now());
    }

    fn all(&self) -> MutexGuard<'_, Failures> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_at(&self, key: RepeatKey, now: Instant) -> Option<Problem> {
        let all = self.all();
        let found = all.by_key.get(&key).filter(|kept| kept.is_current(now));
        found.map(|kept| kept.problem.clone())
    }

    fn keep_at(&self, key: RepeatKey, problem: &Problem, now: Instant) {
        let mut all = self.all();
        all.last = Some(now);
        let kept = &mut all.by_key;
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, kept| kept.is_current(now));
        }
        if kept.len() >= MAX_KEPT {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.since);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                kept.remove(&oldest);
            }
        }
        let problem = problem.clone();
        kept.insert(
            key,
            Kept {
                problem,
                since: now,
            },
        );
    }
}

impl Failures {
    /// Whether any failure is to be told again still.
    fn has_current(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| is_current(last, now))
    }
}

fn is_current(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < KEPT
}

impl Kept {
    fn is_current(&self, now: Instant) -> bool {
        is_current(self.since, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_kept_for_a_minute_and_so_many_at_most() {
        let failures = PaidFailures::default();
        let begin = Instant::now();
        let problem = Problem::not_repeatable("upstream_error", "It failed.");
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        failures.keep_at(RepeatKey(0), &problem, at(0));
        assert_eq!(
            failures.find_at(RepeatKey(0), at(59)),
            Some(problem.clone())
        );
        assert_eq!(failures.find_at(RepeatKey(0), at(60)), None);
        assert_eq!(failures.find_at(RepeatKey(1), at(0)), None);
        for number in 1..=MAX_KEPT as u64 {
            failures.keep_at(RepeatKey(number), &problem, at(1));
        }
        let count = || failures.all().by_key.len();
        assert_eq!(count(), MAX_KEPT);
        assert_eq!(failures.find_at(RepeatKey(0), at(1)), None, "the oldest");
        failures.keep_at(RepeatKey(5000), &problem, at(100));
        assert_eq!(count(), 1, "what is over makes room");
    }
}
