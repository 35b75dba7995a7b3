//! Failures that may have been paid for, kept for a moment.
//!
//! Some clients send a failed request again by themselves, whatever its answer says: up to thirty
//! times for one turn of a conversation. The same request of the same caller gets the same failure
//! then, and nothing is sent to fal. What is kept is a fingerprint and the failure's words, and
//! nothing of a request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderValue};

use super::auth::Caller;
use crate::translate::meaning::fingerprint;
use crate::translate::problem::Problem;

/// How long a failure is kept. Clients that repeat by themselves are done by then, and people who
/// try again are not yet tired.
const KEPT: Duration = Duration::from_secs(60);
/// How many failures are kept.
const MAX_KEPT: usize = 1000;

/// Headers that change what a request asks for.
pub const MEANT: [&str; 3] = ["x-gateway-upstream", "x-gateway-strict", "x-fal-priority"];

/// What a request is recognized by: who sends it, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RepeatKey(u64);

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct PaidFailures {
    kept: Mutex<HashMap<RepeatKey, Kept>>,
    hasher: RandomState,
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
    /// The key of a request with these headers and this body; `None` where it is not JSON.
    pub fn key(&self, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Option<RepeatKey> {
        let meaning = fingerprint(body, &self.hasher)?;
        let said = said_by_headers(headers);
        let client = caller.key.as_ref().map(|key| key.id.as_str());
        let owner = (client, caller.fal_key.print());
        Some(RepeatKey(self.hasher.hash_one((owner, said, meaning))))
    }

    /// How the same request has failed less than a minute ago.
    pub fn find(&self, key: RepeatKey) -> Option<Problem> {
        self.find_at(key, Instant::now())
    }

    fn find_at(&self, key: RepeatKey, now: Instant) -> Option<Problem> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&key).filter(|kept| kept.is_current(now));
        found.map(|kept| kept.problem.clone())
    }

    /// Keeps a failure that may have been paid for.
    pub fn keep(&self, key: RepeatKey, problem: &Problem) {
        self.keep_at(key, problem, Instant::now());
    }

    fn keep_at(&self, key: RepeatKey, problem: &Problem, now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Kept {
    fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < KEPT
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
        let count = || failures.kept.lock().unwrap().len();
        assert_eq!(count(), MAX_KEPT);
        assert_eq!(failures.find_at(RepeatKey(0), at(1)), None, "the oldest");
        failures.keep_at(RepeatKey(5000), &problem, at(100));
        assert_eq!(count(), 1, "what is over makes room");
    }
}
