//! How much a key or a project may ask for in a minute, and at the same time.
//!
//! A request is admitted by all limits that concern it or by none, so a request that one of them
//! refuses takes nothing from the others. Time is an argument, counted from wherever the caller
//! likes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::roster::Changes;

/// What holds in any minute and at any moment; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrency: Option<u64>,
}

impl RateLimits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Key(Arc<str>),
    Project(Arc<str>),
}

impl Owner {
    /// How messages and headers call it: `key/ci`.
    pub fn label(&self) -> String {
        match self {
            Self::Key(name) => format!("key/{name}"),
            Self::Project(name) => format!("project/{name}"),
        }
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Requests,
    Tokens,
    Concurrency,
}

/// All limits, by their owners. They outlive the settings that they come from, so that a reload
/// forgets nothing.
#[derive(Debug, Default)]
pub struct Limiters(Mutex<HashMap<Owner, Arc<Limiter>>>);

/// The limits of one owner, and what has been taken of them.
#[derive(Debug)]
pub struct Limiter {
    pub owner: Owner,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limits: RateLimits,
    requests: Window,
    tokens: Window,
    running: u64,
}

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub owner: Owner,
    pub kind: Kind,
    pub limit: u64,
    pub used: u64,
    pub requested: u64,
    /// When the request would fit, if nothing else comes; `None` for never.
    pub wait: Option<Duration>,
}

impl Exceeded {
    /// How long it stands in the way.
    fn lasts(&self) -> Duration {
        self.wait.unwrap_or(Duration::MAX)
    }
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub limit: u64,
    pub remaining: u64,
    /// When all of it is there again, if nothing else comes.
    pub reset: Duration,
}

/// What the tightest limits leave, once a request has been admitted or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    pub requests: Option<Left>,
    pub tokens: Option<Left>,
}

/// The tokens that a request takes, before anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Those of its prompt. If a limit is smaller, the request never fits.
    pub prompt: u64,
    /// Those with its answer, as far as can be guessed; taken at most up to the limit.
    pub expected: u64,
}

/// An admitted request. It takes part in the concurrency until it is dropped, and what was taken for
/// it is given back then, unless it was settled.
#[derive(Debug)]
pub struct Hold {
    at: Duration,
    /// Who has given how many tokens.
    parts: Vec<(Arc<Limiter>, u64)>,
}

impl Limiters {
    /// The limits of an owner from now on; what was taken of them stays taken.
    pub fn set(&self, owner: Owner, limits: RateLimits) -> Arc<Limiter> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = all.entry(owner.clone()).or_insert_with(|| {
            let state = Mutex::default();
            Arc::new(Limiter { owner, state })
        });
        limiter.state().limits = limits;
        Arc::clone(limiter)
    }

    /// Forgets those that nobody uses any more.
    pub fn prune(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, limiter| Arc::strong_count(limiter) > 1);
    }
}

impl Limiters {
    /// Forgets those of these owners that nobody uses any more.
    pub fn prune_of(&self, changes: &Changes) {
        let keys = changes.keys.iter();
        let keys = keys.map(|(name, _)| Owner::Key(name.as_str().into()));
        let projects = changes.projects.iter();
        let projects = projects.map(|name| Owner::Project(name.as_str().into()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in keys.chain(projects) {
            let known = all.get(&owner);
            if known.is_some_and(|limiter| Arc::strong_count(limiter) == 1) {
                all.remove(&owner);
            }
        }
    }
}

/// The limits of one owner, and what is left of them at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Left>,
    pub tokens: Option<Left>,
    pub concurrency: Option<u64>,
    /// How many requests are running.
    pub running: u64,
}

impl Limiter {
    /// How much is left, without taking anything.
    pub fn standing(&self, now: Duration) -> Standing {
        let mut state = self.state();
        let now = now.max(state.newest());
        state.requests.forget(now);
        state.tokens.forget(now);
        Standing {
            requests: state.left(Kind::Requests, now),
            tokens: state.left(Kind::Tokens, now),
            concurrency: state.limits.concurrency,
            running: state.running,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Admits a request by all of these limiters or by none. They are always given in the same order:
/// the key's, then the project's. The levels are those afterwards.
///
/// # Errors
/// The limit that has no room for the longest time.
pub fn admit(
    limiters: &[Arc<Limiter>],
    tokens: Tokens,
    now: Duration,
) -> (Result<Hold, Exceeded>, Levels) {
    let mut states: Vec<_> = limiters.iter().map(|limiter| limiter.state()).collect();
    // Whoever waited for a lock comes with a time that is a little old.
    let newest = states.iter().map(|state| state.newest());
    let now = newest.fold(now, Duration::max);
    for state in &mut states {
        state.requests.forget(now);
        state.tokens.forget(now);
    }
    let refusal = limiters
        .iter()
        .zip(&states)
        .filter_map(|(limiter, state)| state.refuse(&limiter.owner, tokens, now))
        .max_by_key(Exceeded::lasts);
    let mut parts = Vec::new();
    if refusal.is_none() {
        for (state, limiter) in states.iter_mut().zip(limiters) {
            let tokens = state.tokens_for(tokens);
            state.requests.add(1, now);
            state.tokens.add(tokens, now);
            state.running = state.running.saturating_add(1);
            parts.push((Arc::clone(limiter), tokens));
        }
    }
    let levels = states
        .iter()
        .fold(Levels::default(), |levels, state| Levels {
            requests: tighter(levels.requests, state.left(Kind::Requests, now)),
            tokens: tighter(levels.tokens, state.left(Kind::Tokens, now)),
        });
    let outcome = match refusal {
        Some(exceeded) => Err(exceeded),
        None => Ok(Hold { at: now, parts }),
    };
    (outcome, levels)
}

fn tighter(one: Option<Left>, other: Option<Left>) -> Option<Left> {
    one.into_iter()
        .chain(other)
        .min_by_key(|left| left.remaining)
}

impl State {
    /// How many tokens are taken for a request.
    fn tokens_for(&self, tokens: Tokens) -> u64 {
        let limit = self.limits.tokens_per_minute.unwrap_or(u64::MAX);
        tokens.expected.min(limit).max(tokens.prompt)
    }

    /// The newest second in which anything was taken.
    fn newest(&self) -> Duration {
        let last = |window: &Window| window.seconds.back().map_or(0, |(second, _)| *second);
        Duration::from_secs(last(&self.requests).max(last(&self.tokens)))
    }

    /// Why one more request has no room.
    fn refuse(&self, owner: &Owner, tokens: Tokens, now: Duration) -> Option<Exceeded> {
        let tokens = self.tokens_for(tokens);
        let RateLimits {
            requests_per_minute,
            tokens_per_minute,
            concurrency,
        } = self.limits;
        let exceeded = |kind, limit: Option<u64>, used: u64, requested, wait| {
            let limit = limit.filter(|limit| used.saturating_add(requested) > *limit)?;
            Some(Exceeded {
                owner: owner.clone(),
                kind,
                limit,
                used,
                requested,
                wait,
            })
        };
        let wait = |window: &Window, limit: Option<u64>, requested| {
            window.wait(limit.unwrap_or(u64::MAX), requested, now)
        };
        let (requests, used) = (&self.requests, &self.tokens);
        let all = [
            exceeded(
                Kind::Concurrency,
                concurrency,
                self.running,
                1,
                Some(Duration::from_secs(1)),
            ),
            exceeded(
                Kind::Tokens,
                tokens_per_minute,
                used.sum,
                tokens,
                wait(used, tokens_per_minute, tokens),
            ),
            exceeded(
                Kind::Requests,
                requests_per_minute,
                requests.sum,
                1,
                wait(requests, requests_per_minute, 1),
            ),
        ];
        all.into_iter().flatten().max_by_key(Exceeded::lasts)
    }

    fn left(&self, kind: Kind, now: Duration) -> Option<Left> {
        let (limit, window) = match kind {
            Kind::Requests => (self.limits.requests_per_minute, &self.requests),
            Kind::Tokens => (self.limits.tokens_per_minute, &self.tokens),
            Kind::Concurrency => return None,
        };
        let limit = limit?;
        Some(Left {
            limit,
            remaining: limit.saturating_sub(window.sum),
            reset: window.reset(now),
        })
    }
}

impl Hold {
    /// Says how many tokens it came to. What was taken beyond them is given back; what is missing is
    /// taken now.
    pub fn settle(mut self, tokens: u64, now: Duration) {
        for (limiter, taken) in &mut self.parts {
            let mut state = limiter.state();
            let now = now.max(state.newest());
            state.tokens.add(tokens.saturating_sub(*taken), now);
            // The rest is given back by the drop.
            *taken = taken.saturating_sub(tokens);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for (limiter, taken) in &self.parts {
            let mut state = limiter.state();
            state.running = state.running.saturating_sub(1);
            state.tokens.give_back(self.at, *taken);
        }
    }
}

/// What was taken in the last minute, by the second. What was taken in a second counts until a whole
/// minute after that second, so no minute, wherever it begins, sees more than the limit.
#[derive(Debug, Default)]
struct Window {
    /// Seconds and what was taken in them, the oldest first.
    seconds: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    /// How many seconds after its own a second counts.
    const KEPT: u64 = 61;

    fn forget(&mut self, now: Duration) {
        while let Some((second, taken)) = self.seconds.front().copied() {
            if second.saturating_add(Self::KEPT) > now.as_secs() {
                return;
            }
            self.sum = self.sum.saturating_sub(taken);
            self.seconds.pop_front();
        }
    }

    fn add(&mut self, amount: u64, now: Duration) {
        if amount == 0 {
            return;
        }
        let now = now.as_secs();
        match self.seconds.back_mut() {
            Some((second, taken)) if *second == now => *taken = taken.saturating_add(amount),
            _ => self.seconds.push_back((now, amount)),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Gives back what was taken at a time, if that still counts.
    fn give_back(&mut self, at: Duration, amount: u64) {
        let second = at.as_secs();
        let index = self.seconds.partition_point(|(known, _)| *known < second);
        let found = self.seconds.get_mut(index);
        if let Some((_, taken)) = found.filter(|(known, _)| *known == second) {
            let amount = amount.min(*taken);
            *taken -= amount;
            self.sum = self.sum.saturating_sub(amount);
        }
    }

    /// When so much more fits within the limit; `None` for never.
    fn wait(&self, limit: u64, more: u64, now: Duration) -> Option<Duration> {
        let room = limit.checked_sub(more)?;
        let mut left = self.sum;
        let mut until = now;
        for (second, taken) in &self.seconds {
            if left <= room {
                break;
            }
            left = left.saturating_sub(*taken);
            until = Duration::from_secs(second.saturating_add(Self::KEPT));
        }
        Some(until.saturating_sub(now))
    }

    fn reset(&self, now: Duration) -> Duration {
        let last = self
            .seconds
            .back()
            .map_or(0, |(second, _)| second.saturating_add(Self::KEPT));
        Duration::from_secs(last).saturating_sub(now)
    }
}
