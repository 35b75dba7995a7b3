//! Limits that several gateways share: this gateway's side.
//!
//! What is at hand is spent without asking anybody. Whoever keeps the store tells what was taken and
//! asks for more ([`Limiters::claims`], [`Limiters::hear`]), about once a second, and at once where a
//! request waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::deal::{Claim, Each, Told};
use super::part::SHORT;
use super::{Exceeded, Hold, Levels, Limiter, Limiters, Owner, Tokens, admit};

/// For how long what was told holds, without a word from the store. Then a gateway takes its even
/// share where the store fails, and else asks first, for others may be given what it held.
const HEARD: Duration = Duration::from_secs(10);
/// How long a request waits for the store and for what other gateways hold, where nobody says.
const PATIENCE: Duration = Duration::from_secs(2);
/// After which time it asks again for what they are to make free.
const ANOTHER_TRY: Duration = Duration::from_millis(200);
/// How long the store is left alone at least after it was told for those who wait. With the word that
/// is due once a second, it is told at most four times a second.
const PACE: Duration = Duration::from_millis(350);
/// The store is lost when it has failed so often in a row, and has not answered for so long. One
/// answer that is late says nothing.
const FAILURES: u32 = 2;
const LOST: Duration = Duration::from_secs(3);
/// For how long is remembered how many gateways there were.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Of how many owners the store is told at once.
const AT_ONCE: usize = 256;

/// What is known of the gateways that share the limits.
#[derive(Debug)]
pub(super) struct Fleet {
    /// How long a request waits for the store and for other gateways.
    patience: Duration,
    /// When the store answered last, in milliseconds; [`NEVER`] before that.
    heard_ms: AtomicU64,
    gateways: AtomicU32,
    /// The most gateways of late, and when there were as many.
    peak: Mutex<(u32, Duration)>,
    /// Counts how often the store was not heard for so long that others may hold what this gateway did.
    epoch: AtomicU64,
    /// How often the store has failed since.
    failures: AtomicU32,
    /// Counts what is said.
    number: AtomicU64,
    /// Told when somebody waits.
    wanted: Notify,
    /// When the store may be told next for those who wait.
    next: tokio::sync::Mutex<Option<Instant>>,
    /// Those of which anything was taken.
    active: Mutex<VecDeque<Arc<Limiter>>>,
    /// Had by whoever tells the store, from the claims to the answer.
    turn: tokio::sync::Mutex<()>,
}

const NEVER: u64 = u64::MAX;

impl Default for Fleet {
    fn default() -> Self {
        Self {
            patience: PATIENCE,
            heard_ms: AtomicU64::new(NEVER),
            gateways: AtomicU32::new(1),
            peak: Mutex::new((1, Duration::ZERO)),
            epoch: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            number: AtomicU64::new(0),
            wanted: Notify::new(),
            next: tokio::sync::Mutex::default(),
            active: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

/// How much of a limit a gateway may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is no other gateway.
    Alone,
    /// Its part, as the store says.
    Part,
    /// Nothing before the store is told: this gateway has stood still for so long that others may have
    /// what it held, and the store has not failed.
    Absent,
    /// The store fails: its part, and at least an even share.
    Unsure { gateways: u64 },
    /// The store has been silent for too long: an even share.
    Share { gateways: u64 },
}

/// A request that waits for the store.
#[derive(Debug)]
pub struct Waiter<'l> {
    limiter: &'l Limiter,
    number: u64,
}

impl Fleet {
    pub(super) fn reach(&self, now: Duration) -> Reach {
        let heard = match self.heard_ms.load(Ordering::Acquire) {
            NEVER => None,
            heard => Some(Duration::from_millis(heard)),
        };
        let silent = now.saturating_sub(heard.unwrap_or_default());
        let failures = self.failures.load(Ordering::Acquire);
        let is_lost = failures >= FAILURES && silent > self.patience.max(LOST);
        let gateways = self.most().into();
        match heard {
            None if is_lost => Reach::Share { gateways },
            Some(_) if silent > HEARD && failures < FAILURES => Reach::Absent,
            Some(_) if silent > HEARD => Reach::Share { gateways },
            Some(_) if is_lost => Reach::Unsure { gateways },
            None | Some(_) => Reach::Part,
        }
    }

    /// How many gateways there are now.
    pub(super) fn gateways(&self) -> u64 {
        self.gateways.load(Ordering::Acquire).max(1).into()
    }

    /// How many there were at most of late. Those that are cut off one after the other are not seen
    /// to be there, and each takes its share all the same.
    fn most(&self) -> u32 {
        let peak = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        peak.0.max(1)
    }

    fn set_gateways(&self, gateways: u32, now: Duration) {
        self.gateways.store(gateways, Ordering::Release);
        let mut peak = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        if gateways >= peak.0 || now.saturating_sub(peak.1) > REMEMBERED {
            *peak = (gateways, now);
        }
    }

    /// How often the store was not heard for so long that others may hold what this gateway did.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The number of what is said next.
    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn active(&self) -> MutexGuard<'_, VecDeque<Arc<Limiter>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limiters {
    /// Limits that several gateways share. Requests wait so long for the store and for other gateways.
    pub fn shared(patience: Duration) -> Self {
        let fleet = Fleet {
            patience,
            ..Fleet::default()
        };
        Self {
            fleet: Some(Arc::new(fleet)),
            ..Self::default()
        }
    }

    /// Waits until somebody waits for the store, and until it may be told again; for ever where
    /// nothing is shared.
    pub async fn wanted(&self) {
        let Some(fleet) = &self.fleet else {
            return std::future::pending().await;
        };
        let mut next = fleet.next.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        fleet.wanted.notified().await;
        *next = Some(Instant::now() + PACE);
    }

    /// Has whoever calls be the only one who tells the store, until it is dropped; `None` where
    /// nothing is shared.
    pub async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.fleet {
            Some(fleet) => Some(fleet.turn.lock().await),
            None => None,
        }
    }

    /// Whether the store has not been heard for this long.
    pub fn is_silent(&self, now: Duration, at_least: Duration) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| {
            let heard = fleet.heard_ms.load(Ordering::Acquire);
            heard == NEVER || now.saturating_sub(Duration::from_millis(heard)) >= at_least
        })
    }

    /// Admits a request by all of these limiters or by none, as [`super::admit`]; where this gateway's part
    /// is taken and others may have room, it waits a moment for some of it. `clock` tells the time.
    ///
    /// # Errors
    /// The limit that has no room for the longest time.
    pub async fn admit(
        &self,
        limiters: &[Arc<Limiter>],
        tokens: Tokens,
        clock: impl Fn() -> Duration,
    ) -> (Result<Hold, Exceeded>, Levels) {
        let started = clock();
        let mut waiters = Vec::new();
        loop {
            let now = clock();
            let (outcome, levels) = admit(limiters, tokens, now);
            let short = outcome.as_ref().err().filter(|refusal| refusal.may_come);
            let is_short = |limiter: &&Arc<Limiter>| {
                short.is_some_and(|refusal| refusal.owner == limiter.owner)
            };
            let Some((fleet, limiter)) = self.fleet.as_ref().zip(limiters.iter().find(is_short))
            else {
                return (outcome, levels);
            };
            let waited = now.saturating_sub(started);
            let Some(patience) = fleet.patience.checked_sub(waited) else {
                return (outcome, levels);
            };
            if waiters.is_empty() {
                // What it needs of all of them is asked for at once. Where there is room, none is.
                let all = limiters.iter();
                waiters.extend(all.map(|limiter| Waiter::join(limiter, tokens)));
            } else if timeout(ANOTHER_TRY, limiter.told.notified()).await.is_ok() {
                // The store was asked, and others hold what is wanted. Whoever wakes by its next word
                // looks before it asks for another.
                continue;
            }
            let number = fleet.number.load(Ordering::Acquire);
            fleet.wanted.notify_one();
            limiter.is_told_after(number, patience).await;
        }
    }

    /// Has the store told from now on that a request waits for one of these, until it is dropped;
    /// `None` where nothing is shared.
    pub fn wait_for<'l>(&self, limiter: &'l Limiter, tokens: Tokens) -> Option<Waiter<'l>> {
        let is_shared = self.fleet.is_some();
        is_shared.then(|| Waiter::join(limiter, tokens))
    }

    /// How much the store was told.
    pub fn said(&self) -> u64 {
        let number = |fleet: &Arc<Fleet>| fleet.number.load(Ordering::Acquire);
        self.fleet.as_ref().map_or(0, number)
    }

    /// What the store is to be told now, in the order of the owners. With `is_last` it is the last
    /// time, and no more is held than was taken.
    pub fn claims(&self, now: Duration, is_last: bool) -> Vec<(Arc<Limiter>, Claim)> {
        let Some(fleet) = &self.fleet else {
            return Vec::new();
        };
        let mut claims = Vec::new();
        let mut active = fleet.active();
        let (mut told, mut over) = (Vec::new(), Vec::new());
        let mut rest = VecDeque::with_capacity(active.len());
        // Whoever waits goes first.
        let (first, later): (Vec<_>, Vec<_>) = active
            .drain(..)
            .partition(|limiter| limiter.state().is_waited_for());
        for limiter in first.into_iter().chain(later) {
            let mut state = limiter.state();
            let claim = state.claim(fleet, now, is_last);
            let is_over = state.is_over();
            state.own.is_active = !is_over;
            drop(state);
            match claim {
                _ if is_over => over.push(limiter),
                Some(claim) if claims.len() < AT_ONCE => {
                    limiter.state().own.said = Some(claim);
                    told.push(Arc::clone(&limiter));
                    claims.push((limiter, claim));
                }
                Some(_) | None => rest.push_back(limiter),
            }
        }
        rest.extend(told);
        *active = rest;
        drop(active);
        self.forget(over);
        claims.sort_unstable_by_key(|(limiter, _)| limiter.owner.label());
        claims
    }

    /// Forgets those of these that nobody uses any more.
    fn forget(&self, over: Vec<Arc<Limiter>>) {
        let mut all = self.all();
        for limiter in over {
            // One is here, one is among all.
            if Arc::strong_count(&limiter) <= 2 {
                all.remove(&limiter.owner);
            }
        }
    }

    /// Takes in what the store says to these claims, and how many gateways there are; `None` where it
    /// was not reached. It was asked at `asked`.
    pub fn hear(
        &self,
        claims: &[(Arc<Limiter>, Claim)],
        answer: Option<(&[Option<Told>], u32)>,
        asked: Duration,
    ) {
        let Some(fleet) = &self.fleet else { return };
        match answer {
            None => {
                fleet.failures.fetch_add(1, Ordering::AcqRel);
            }
            Some((_, gateways)) => {
                if self.is_silent(asked, HEARD) {
                    fleet.epoch.fetch_add(1, Ordering::AcqRel);
                }
                let asked_ms = u64::try_from(asked.as_millis()).unwrap_or(NEVER - 1);
                fleet.heard_ms.store(asked_ms, Ordering::Release);
                fleet.set_gateways(gateways, asked);
                fleet.failures.store(0, Ordering::Release);
            }
        }
        let epoch = fleet.epoch();
        for (at, (limiter, claim)) in claims.iter().enumerate() {
            let told = answer.and_then(|(told, _)| told.get(at).copied().flatten());
            limiter.state().own.hear(claim, told, epoch, asked);
            limiter.told.notify_waiters();
        }
    }

    /// Takes in that other gateways are short of what these owners have, as [`Owner::label`] calls
    /// them.
    pub fn others_wait(&self, owners: &[String], now: Duration) {
        let Some(fleet) = &self.fleet else { return };
        let mut is_of_use = false;
        for owner in owners {
            let limiter = Owner::of_label(owner).and_then(|owner| self.all().get(&owner).cloned());
            let Some(limiter) = limiter else { continue };
            let mut state = limiter.state();
            state.own.short_until = now.saturating_add(SHORT);
            state.requests.forget(now);
            state.tokens.forget(now);
            state.look(Some(fleet), now);
            let said = state.own.said.as_ref();
            is_of_use |= said.is_some_and(|said| said.holds != state.own.held);
        }
        if is_of_use {
            fleet.wanted.notify_one();
        }
    }
}

/// Has the store told of these from now on, of which something is to be taken.
pub(super) fn begin(limiters: Vec<Arc<Limiter>>) {
    for limiter in limiters {
        if let Some(fleet) = limiter.fleet.clone() {
            fleet.active().push_back(limiter);
        }
    }
}

impl Limiter {
    /// Has those who wait here look whether what a request gives back is enough, and the store told at
    /// once that it has ended, where others are short of its place.
    pub(super) fn pass_on(&self) {
        let state = self.state();
        let is_wanted = state.own.are_others_short && state.limits.concurrency.is_some();
        let is_waited_for = state.is_waited_for();
        drop(state);
        if is_waited_for {
            self.told.notify_waiters();
        }
        if let Some(fleet) = self.fleet.as_ref().filter(|_| is_wanted) {
            fleet.wanted.notify_one();
        }
    }

    /// Waits until the store has answered what it is told after this, or has failed to, or something
    /// was given back here.
    async fn is_told_after(&self, number: u64, patience: Duration) {
        let until = Instant::now() + patience;
        let mut ended = self.state().own.ended;
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            let now = self.state().own.ended;
            if now > number {
                return;
            }
            if timeout_at(until, told).await.is_err() {
                return;
            }
            // Who was told by nothing that has ended was told of what was given back.
            if std::mem::replace(&mut ended, self.state().own.ended) == ended {
                return;
            }
        }
    }
}

impl<'l> Waiter<'l> {
    fn join(limiter: &'l Limiter, tokens: Tokens) -> Self {
        let mut state = limiter.state();
        let need = Each {
            requests: 1,
            tokens: state.tokens_for(tokens),
            concurrency: 1,
        };
        state.own.last_waiter += 1;
        let number = state.own.last_waiter;
        state.own.waiting.insert(number, need);
        Self { limiter, number }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.limiter.state().own.waiting.remove(&self.number);
    }
}
