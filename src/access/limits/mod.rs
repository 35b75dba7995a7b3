//! How much a key or a project may ask for in a minute, and at the same time.
//!
//! A request is admitted by all limits that concern it or by none, so a request that one of them
//! refuses takes nothing from the others. Time is an argument, counted from wherever the caller
//! likes.

pub mod deal;
mod fleet;
mod part;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::roster::Changes;
use fleet::{Fleet, Reach};
use part::{OwnPart, SOON};
use window::Window;

/// What holds in any minute and at any moment; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrency: Option<u64>,
}

impl RateLimits {
    /// The one of a kind.
    pub fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Requests => self.requests_per_minute,
            Kind::Tokens => self.tokens_per_minute,
            Kind::Concurrency => self.concurrency,
        }
    }

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

    /// The owner that is called so.
    pub fn of_label(label: &str) -> Option<Self> {
        match label.split_once('/')? {
            ("key", name) => Some(Self::Key(name.into())),
            ("project", name) => Some(Self::Project(name.into())),
            _ => None,
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

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Concurrency];
}

/// All limits, by their owners. They outlive the settings that they come from, so that a reload
/// forgets nothing.
#[derive(Debug, Default)]
pub struct Limiters {
    all: Mutex<HashMap<Owner, Arc<Limiter>>>,
    /// The gateways that share them; none where this one is alone.
    fleet: Option<Arc<Fleet>>,
}

/// The limits of one owner, and what has been taken of them.
#[derive(Debug)]
pub struct Limiter {
    pub owner: Owner,
    state: Mutex<State>,
    fleet: Option<Arc<Fleet>>,
    /// Told when the store has said something, or cannot be reached.
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    limits: RateLimits,
    requests: Window,
    tokens: Window,
    running: u64,
    /// Of what several gateways share.
    own: OwnPart,
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
    /// Only this gateway's part of it is taken; others may make room.
    pub may_come: bool,
}

impl Exceeded {
    /// How long it stands in the way. What may come stands behind what cannot.
    fn lasts(&self) -> (bool, Duration) {
        (!self.may_come, self.wait.unwrap_or(Duration::MAX))
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
        let mut all = self.all();
        let limiter = all.entry(owner.clone()).or_insert_with(|| {
            Arc::new(Limiter {
                owner,
                state: Mutex::default(),
                fleet: self.fleet.clone(),
                told: Notify::new(),
            })
        });
        limiter.state().limits = limits;
        Arc::clone(limiter)
    }

    /// Forgets those that nobody uses any more.
    pub fn prune(&self) {
        let mut all = self.all();
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
        let mut all = self.all();
        for owner in keys.chain(projects) {
            let known = all.get(&owner);
            if known.is_some_and(|limiter| Arc::strong_count(limiter) == 1) {
                all.remove(&owner);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Limiter>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limits of one owner, and what is left of them at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Left>,
    pub tokens: Option<Left>,
    pub concurrency: Option<u64>,
    /// How many requests are running, at all gateways as far as is known.
    pub running: u64,
}

impl Limiter {
    /// How much is left, without taking anything.
    pub fn standing(&self, now: Duration) -> Standing {
        let mut state = self.state();
        let now = now.max(state.newest());
        state.requests.forget(now);
        state.tokens.forget(now);
        let reach = state.look(self.fleet.as_deref(), now);
        Standing {
            requests: state.left(Kind::Requests, now, reach),
            tokens: state.left(Kind::Tokens, now, reach),
            concurrency: state.limits.concurrency,
            running: state
                .running
                .saturating_add(state.elsewhere(Kind::Concurrency, reach)),
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
    let mut reach = Reach::Alone;
    let mut wanted = Vec::new();
    for (state, limiter) in states.iter_mut().zip(limiters) {
        state.requests.forget(now);
        state.tokens.forget(now);
        if let Some(fleet) = limiter.fleet.as_deref() {
            reach = state.look(Some(fleet), now);
            if state.is_wanted(now) {
                wanted.push(Arc::clone(limiter));
            }
        }
    }
    let refusal = limiters
        .iter()
        .zip(&states)
        .filter_map(|(limiter, state)| state.refuse(&limiter.owner, tokens, now, reach))
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
            requests: tighter(levels.requests, state.left(Kind::Requests, now, reach)),
            tokens: tighter(levels.tokens, state.left(Kind::Tokens, now, reach)),
        });
    drop(states);
    fleet::begin(wanted);
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
        Duration::from_secs(self.requests.newest().max(self.tokens.newest()))
    }

    /// Why one more request has no room.
    fn refuse(
        &self,
        owner: &Owner,
        tokens: Tokens,
        now: Duration,
        reach: Reach,
    ) -> Option<Exceeded> {
        let exceeded = |kind| {
            let limit = self.limits.of(kind)?;
            let (used, requested) = match kind {
                Kind::Requests => (self.requests.sum, 1),
                Kind::Tokens => (self.tokens.sum, self.tokens_for(tokens)),
                Kind::Concurrency => (self.running, 1),
            };
            let allowed = self.allowed(kind, limit, reach);
            // Without the store a small share serves one request all the same.
            let is_lost = matches!(reach, Reach::Unsure { .. } | Reach::Share { .. });
            let is_served = is_lost && used == 0 && requested <= limit;
            if is_served || used.saturating_add(requested) <= allowed {
                return None;
            }
            let elsewhere = self.elsewhere(kind, reach);
            // Enough is free, in the hands of other gateways or of nobody, as far as this one knows.
            // What runs elsewhere may end at any moment.
            let surely_elsewhere = match kind {
                Kind::Requests | Kind::Tokens if self.is_known(now) => elsewhere,
                _ => 0,
            };
            let may_come = matches!(reach, Reach::Part | Reach::Absent)
                && used
                    .saturating_add(surely_elsewhere)
                    .saturating_add(requested)
                    <= limit;
            let within = match reach {
                Reach::Part | Reach::Absent => limit.saturating_sub(elsewhere),
                _ => allowed,
            };
            Some(Exceeded {
                owner: owner.clone(),
                kind,
                limit,
                used: used.saturating_add(elsewhere),
                requested,
                wait: match may_come {
                    true => Some(SOON),
                    false => self.wait(kind, within, requested, now, reach),
                },
                may_come,
            })
        };
        let all = Kind::ALL.into_iter().rev().filter_map(exceeded);
        all.max_by_key(Exceeded::lasts)
    }

    /// When so much more fits, if nothing else comes; `None` for never.
    fn wait(
        &self,
        kind: Kind,
        within: u64,
        requested: u64,
        now: Duration,
        reach: Reach,
    ) -> Option<Duration> {
        let own = match kind {
            Kind::Requests => self.requests.wait(within, requested, now),
            Kind::Tokens => self.tokens.wait(within, requested, now),
            Kind::Concurrency => Some(SOON),
        };
        let limit = self.limits.of(kind).unwrap_or(u64::MAX);
        let others = self.others_free(kind, now, reach);
        match own.into_iter().chain(others).min() {
            None if requested <= limit => Some(SOON),
            wait => wait.filter(|_| requested <= limit),
        }
    }

    fn left(&self, kind: Kind, now: Duration, reach: Reach) -> Option<Left> {
        let (limit, window) = match kind {
            Kind::Requests => (self.limits.requests_per_minute, &self.requests),
            Kind::Tokens => (self.limits.tokens_per_minute, &self.tokens),
            Kind::Concurrency => return None,
        };
        let limit = limit?;
        let own = Left {
            limit,
            remaining: limit.saturating_sub(window.sum),
            reset: window.reset(now),
        };
        Some(self.left_to_all(kind, own, now, reach))
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
            drop(state);
            limiter.pass_on();
        }
    }
}
