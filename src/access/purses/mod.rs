//! What keys and projects may spend: their budgets, as far as this gateway holds some of them.
//!
//! A request takes what it may cost at most from all budgets that concern it or from none, out of
//! memory. What is short is asked of the store, by whoever keeps the books ([`Purses::begin`],
//! [`Purses::hear`]); requests wait for that for a moment.

mod purse;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::books::{Answer, Report};
use crate::budget::{Amount, Span, Spending, Terms};

pub use purse::{Level, Purse};
use purse::{Outlook, Waiter};

/// How long a request waits for what other gateways hold, while the store answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for the store, if that has answered before.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// How often the books are begun until those are looked for that nobody needs any more.
const PRUNED_EVERY: u32 = 120;
/// After which time it asks again for what other gateways are to give back.
const ANOTHER_TRY: Duration = Duration::from_millis(200);

/// All budgets, by their owners. They outlive the settings that they come from, so that a reload
/// forgets nothing.
#[derive(Debug, Default)]
pub struct Purses {
    all: Mutex<BTreeMap<PurseId, Arc<Purse>>>,
    /// Those of which the books may have to be told something.
    active: Mutex<Vec<Arc<Purse>>>,
    /// How often the books were begun.
    begun: AtomicU32,
    /// Told when somebody waits for the books.
    wanted: Arc<Notify>,
    clock: Mutex<Option<(Timestamp, Instant)>>,
}

/// Whose budget it is, `key/ci`, and which one: `units/day/UTC`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PurseId {
    pub owner: Arc<str>,
    pub budget: Arc<str>,
}

/// What the books are to be told of one window, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Page {
    pub purse: Arc<Purse>,
    pub span: Span,
    /// What may be spent in it; the largest limit there is where the budget only counts.
    pub limit: Amount,
    /// What the budget says, also where it only counts.
    pub allowed: Amount,
    pub report: Report,
    /// Counts what the purse was asked; see [`Purse`].
    round: u64,
}

/// What the books say of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub answer: Answer,
    /// Another gateway is short of what this one may not need.
    pub others_wait: bool,
}

/// What a request has taken. Whatever is not settled is given back when it is dropped.
#[derive(Debug)]
pub struct Allowance {
    at: Timestamp,
    parts: Vec<(Arc<Purse>, Timestamp, Amount)>,
}

/// Why a request may not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overdrawn {
    /// A budget has too little left.
    Exhausted {
        owner: Arc<str>,
        terms: Terms,
        span: Span,
        used: Amount,
        wanted: Amount,
    },
    /// Other gateways hold what is left, and are about to give it back.
    Busy,
    /// The store does not answer, and what was drawn is spent.
    Unavailable,
}

impl Purses {
    /// A budget from now on; what was spent of it stays spent.
    pub fn set(&self, owner: &str, terms: &Terms) -> Arc<Purse> {
        let id = PurseId {
            owner: owner.into(),
            budget: terms.name().into(),
        };
        let mut all = self.all();
        let purse = all
            .entry(id.clone())
            .or_insert_with(|| Arc::new(Purse::new(id, terms.clone())));
        purse.allow(terms);
        Arc::clone(purse)
    }

    /// Forgets budgets that nothing refers to any more, once the books have been told all of them.
    pub fn prune(&self) {
        let now = self.now();
        self.all().retain(|_, purse| {
            let is_active = purse.is_active();
            // Here, and among those that the books are told of.
            let own = 1 + usize::from(is_active);
            Arc::strong_count(purse) > own || !purse.gives_up(now) || is_active
        });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Takes what a request may cost at most from each of these, or from none.
    ///
    /// # Errors
    /// There is too little left, or nobody can tell.
    pub async fn admit(
        &self,
        purses: &[Arc<Purse>],
        worst: &Spending,
    ) -> Result<Allowance, Overdrawn> {
        let started = Instant::now();
        loop {
            let short = match self.take(purses, worst) {
                Ok(allowance) => return Ok(allowance),
                Err(_) if started.elapsed() > PATIENCE => return Err(Overdrawn::Busy),
                Err(short) => short,
            };
            let waiter = short.wait(self.now(), worst);
            self.wake(&short);
            self.wanted.notify_one();
            self.outlook(&waiter?, started).await?;
        }
    }

    /// Waits until another try is worth it.
    async fn outlook(&self, waiter: &Waiter, started: Instant) -> Result<(), Overdrawn> {
        let (mut since, mut last_heard) = (Instant::now(), waiter.last_heard());
        loop {
            let mut told = Box::pin(waiter.purse.told.notified());
            told.as_mut().enable();
            // What others give back is no word of the books.
            let heard = waiter.last_heard();
            if std::mem::replace(&mut last_heard, heard) != heard {
                since = Instant::now();
            }
            match waiter.outlook() {
                Outlook::Better => return Ok(()),
                Outlook::Worse(overdrawn) => return Err(overdrawn),
                Outlook::Unknown => {
                    // Where their clock was set back, the books speak of another window each time.
                    let until = since.min(started + PATIENCE) + STORE_PATIENCE;
                    let heard = tokio::time::timeout_at(until, told).await;
                    heard.map_err(|_| Overdrawn::Unavailable)?;
                }
                Outlook::Elsewhere if started.elapsed() > PATIENCE => return Err(Overdrawn::Busy),
                Outlook::Elsewhere => {
                    let told = tokio::time::timeout_at(since + ANOTHER_TRY, told).await;
                    if told.is_err() {
                        waiter.ask_again();
                        self.wanted.notify_one();
                        since = Instant::now();
                    }
                }
            }
        }
    }

    fn take(&self, purses: &[Arc<Purse>], worst: &Spending) -> Result<Allowance, Arc<Purse>> {
        let now = self.now();
        let mut allowance = Allowance {
            at: now,
            parts: Vec::with_capacity(purses.len()),
        };
        for purse in purses {
            // What was taken so far is given back by the drop.
            let taken = purse.take(now, worst);
            self.wake(purse);
            let (start, amount) = taken.ok_or_else(|| Arc::clone(purse))?;
            allowance.parts.push((Arc::clone(purse), start, amount));
        }
        Ok(allowance)
    }

    /// Takes what calls may cost that were made already, whether it is there or not: it is on fal's
    /// bill, and what is beyond a budget is counted as that.
    pub fn take_anyway(&self, purses: &[Arc<Purse>], worst: &Spending) -> Allowance {
        let at = self.now();
        let take = |purse: &Arc<Purse>| {
            let (start, amount) = purse.take_anyway(at, worst);
            self.wake(purse);
            (Arc::clone(purse), start, amount)
        };
        Allowance {
            at,
            parts: purses.iter().map(take).collect(),
        }
    }

    /// The budgets of these owners, such as `key/ci`.
    pub fn of(&self, owners: &[String]) -> Vec<Arc<Purse>> {
        let all = self.all();
        let of = owners.iter().flat_map(|owner| {
            let first = PurseId {
                owner: owner.as_str().into(),
                budget: "".into(),
            };
            let from = all.range(first..);
            from.take_while(|(id, _)| *id.owner == **owner)
        });
        of.map(|(_, purse)| Arc::clone(purse)).collect()
    }

    /// What the store's clock shows, as far as that is known.
    pub fn now(&self) -> Timestamp {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, at) = match *clock {
            Some(known) => known,
            None => return Timestamp::now(),
        };
        let since = SignedDuration::try_from(at.elapsed()).unwrap_or_default();
        told.checked_add(since).unwrap_or(told)
    }

    /// Sets the clock that windows go by: the store's, so that all gateways have one.
    pub fn set_clock(&self, now: Timestamp) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = Some((now, Instant::now()));
    }

    /// Waits until somebody waits for the books.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Everything that the books have to be told now, in the order in which they are to be opened.
    /// With `gives_back` it is the last time, and nothing is kept.
    pub fn begin(&self, gives_back: bool) -> Vec<Page> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        if begun.is_multiple_of(PRUNED_EVERY) {
            self.prune();
        }
        let now = self.now();
        let mut active = self.active();
        active.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let mut pages: Vec<Page> = Vec::new();
        active.retain(|purse| {
            let told = purse.pages(now, gives_back);
            // What is told may be answered with something to hold.
            let rests = told.is_empty() && purse.rests();
            pages.extend(told);
            !rests
        });
        pages
    }

    /// Has the books told of a budget from now on.
    fn wake(&self, purse: &Arc<Purse>) {
        if purse.wakes() {
            self.active().push(Arc::clone(purse));
        }
    }

    fn active(&self) -> MutexGuard<'_, Vec<Arc<Purse>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the books say; `None` where they were not reached.
    pub fn hear(&self, pages: &[Page], entries: Option<&[Entry]>) {
        for (at, page) in pages.iter().enumerate() {
            let entry = entries.and_then(|entries| entries.get(at));
            if page.purse.hear(page, entry) {
                self.wanted.notify_one();
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<PurseId, Arc<Purse>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance {
    /// When it was taken, on the store's clock: in which windows it counts.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Takes what is missing to a larger amount, as far as it is at hand; whether all of it was.
    pub fn grow(&mut self, worst: &Spending) -> bool {
        let mut parts = self.parts.iter_mut();
        parts.all(|(purse, start, taken)| purse.take_more(*start, taken, worst))
    }

    /// Books what the request came to.
    pub fn settle(mut self, spent: &Spending) {
        for (purse, start, taken) in std::mem::take(&mut self.parts) {
            purse.settle(start, taken, spent);
        }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let nothing = Spending::default();
        for (purse, start, taken) in &self.parts {
            purse.settle(*start, *taken, &nothing);
        }
    }
}
