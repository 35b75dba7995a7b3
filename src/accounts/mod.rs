//! The books of all budgets, kept in the store by each gateway that spends of them.
//!
//! One task tells the store what this gateway has spent and draws what it needs ([`Keeper`]); nothing
//! else writes there. What the store decides is decided by [`crate::budget::books`]; `tables` only
//! loads rows, locks them, and writes them back.

pub mod books;
pub mod keys;
mod ledger;
pub mod presence;
pub mod rates;
mod tables;

pub use ledger::{LEDGER_EVERY, LedgerWriter, Retention, keep_ledger_short};

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use prometheus::IntCounterVec;

use crate::access::purses::{Page, Purses};
use crate::budget::Unit;
use crate::store::{Database, StoreError};
use tables::{Alert, Row};

/// How often news are told without anybody waiting for it. The ledger is written and changed keys are
/// asked for once a second beside it, so that a gateway keeps to four transactions a second.
pub const BOOKS_EVERY: Duration = Duration::from_millis(500);
/// How long a store that has failed is left alone.
const PAUSE: Duration = Duration::from_millis(250);
/// How long is waited for requests to end whose rest is given back at the end of the process.
const BREATH: Duration = Duration::from_millis(25);
/// How long the store has for one transaction. Nobody waits as long: who does is told before that
/// the store is not there.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long what is in hand may take to be given back at the end of the process.
const LAST_PATIENCE: Duration = Duration::from_millis(2500);
/// How often leases are looked for whose gateways are gone.
const SWEEP: Duration = Duration::from_secs(10);

/// How often is looked for what nobody needs any more.
const TIDYING: Duration = Duration::from_secs(3600);

/// How many windows one transaction is about at most, and at least, so that it ends within its time.
const AT_ONCE: usize = 512;
const LEAST_AT_ONCE: usize = 8;
/// How many windows the store may refuse in one round before the fault is its own.
const MOST_REFUSED: usize = 16;

/// Keeps the books of one gateway.
pub struct Keeper {
    purses: Arc<Purses>,
    store: Database,
    /// Tells this process from all others, earlier ones included.
    gateway: Arc<str>,
    /// How many windows a transaction is about: fewer while the store is too slow for more.
    at_once: usize,
    /// Whether the store has failed, so that it is said once.
    is_down: bool,
    /// Whether the store takes some windows and refuses others, so that it is said once.
    has_refused: bool,
    next_sweep: Instant,
    next_tidying: Instant,
    /// Counts alerts by their percent.
    alerts: Option<IntCounterVec>,
}

impl Keeper {
    /// A keeper for the process of this name.
    pub fn new(purses: Arc<Purses>, store: Database, gateway: Arc<str>) -> Self {
        Self {
            purses,
            store: store.for_admission(),
            gateway,
            at_once: AT_ONCE,
            is_down: false,
            has_refused: false,
            next_sweep: Instant::now() + SWEEP,
            next_tidying: Instant::now(),
            alerts: None,
        }
    }

    /// Counts here how often budgets have come to so many percent.
    #[must_use]
    pub fn counting(mut self, alerts: IntCounterVec) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Keeps the books until it is told to stop, and gives back then what is in hand.
    pub async fn keep(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.purses.wanted() => {}
                () = sleep(BOOKS_EVERY) => {}
            }
            self.beat(false).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.look_after() => {}
            }
        }
        let _ = timeout(LAST_PATIENCE, self.give_back()).await;
    }

    /// What comes after the news, and can be left out.
    async fn look_after(&mut self) {
        let now = Instant::now();
        if self.is_down {
            sleep(PAUSE).await;
        } else if self.next_sweep <= now && !self.purses.is_empty() {
            self.next_sweep = now + SWEEP;
            self.sweep().await;
        } else if self.next_tidying <= now && !self.purses.is_empty() {
            self.next_tidying = now + TIDYING;
            self.tidy().await;
        }
    }

    /// Gives back what is in hand, until the store knows all of it. What the store says to that may
    /// name something that was drawn before, in an answer that never came.
    async fn give_back(&mut self) {
        while self.beat(true).await {
            sleep(if self.is_down { PAUSE } else { BREATH }).await;
        }
    }

    /// Tells the store the news, and draws what is needed. Whether there was anything to tell. Where
    /// the store refuses several windows at once, fewer are told of at a time, so that one it cannot
    /// take keeps no other from it.
    async fn beat(&mut self, gives_back: bool) -> bool {
        let mut pages = self.purses.begin(gives_back);
        let has_news = !pages.is_empty();
        let (mut most, mut refused, mut is_heard) = (self.at_once, 0, false);
        while !pages.is_empty() {
            let mut rest = pages.split_off(pages.len().min(most));
            let is_last = rest.is_empty();
            match self.tell(&pages).await {
                Ok(()) => {
                    self.is_up();
                    is_heard = true;
                    most = most.saturating_mul(2).min(self.at_once);
                }
                Err(StoreError::Failed(_)) if pages.len() > 1 => {
                    most = pages.len() / 2;
                    pages.append(&mut rest);
                    rest = pages;
                }
                Err(error @ StoreError::Failed(_))
                    if refused < MOST_REFUSED && (is_heard || !is_last) =>
                {
                    refused += 1;
                    self.set_aside(&pages, &error);
                }
                Err(error) => {
                    pages.append(&mut rest);
                    self.purses.hear(&pages, None);
                    self.is_down(&error);
                }
            }
            pages = rest;
        }
        if has_news {
            self.has_refused = refused > 0;
        }
        has_news
    }

    /// Tells the store of some windows.
    ///
    /// # Errors
    /// See [`StoreError`]. Those who wait for these windows are not told then.
    async fn tell(&mut self, pages: &[Page]) -> Result<(), StoreError> {
        let rows: Vec<Row> = pages.iter().map(row).collect();
        let gateway = Arc::clone(&self.gateway);
        let begun = Instant::now();
        let written = self
            .store
            .write_durably(begun + PATIENCE, async move |transaction| {
                tables::report(transaction, &gateway, &rows).await
            });
        match written.await {
            Ok(heard) => {
                self.purses.set_clock(heard.now);
                self.purses.hear(pages, Some(&heard.entries));
                for alert in heard.alerts {
                    self.tell_operator(pages.get(alert.at), alert);
                }
                let is_full = pages.len() >= self.at_once;
                if is_full && begun.elapsed() < PATIENCE / 4 {
                    self.at_once = self.at_once.saturating_mul(2).min(AT_ONCE);
                }
                Ok(())
            }
            Err(error) => {
                if matches!(error, StoreError::Busy) {
                    self.at_once = (pages.len() / 2).max(LEAST_AT_ONCE);
                }
                Err(error)
            }
        }
    }

    /// Says that so much of a budget is used.
    fn tell_operator(&self, page: Option<&Page>, Alert { percent, used, .. }: Alert) {
        let Some(page) = page else { return };
        if let Some(alerts) = &self.alerts {
            alerts.with_label_values(&[&percent.to_string()]).inc();
        }
        let (owner, budget) = (&*page.purse.id.owner, &*page.purse.id.budget);
        let unit = budget.split('/').next().and_then(Unit::of_word);
        let number = |amount| unit.map(|unit| unit.number(amount));
        let (used, limit) = (number(used), number(page.allowed));
        let resets_at = page.span.end.map(|end| end.to_string());
        tracing::warn!(
            owner,
            budget,
            percent,
            used,
            limit,
            resets_at,
            "much of a budget is used"
        );
    }

    /// Leaves out a window that the store does not take; who waits for it is told.
    fn set_aside(&self, pages: &[Page], error: &StoreError) {
        for page in pages.iter().filter(|_| !self.has_refused) {
            let (owner, budget) = (&*page.purse.id.owner, &*page.purse.id.budget);
            tracing::error!(owner, budget, %error, "the store refuses what it is told of a budget: what was drawn can be spent, and nothing beyond it");
        }
        self.purses.hear(pages, None);
    }

    /// Charges leases whose gateways have not been heard of for too long.
    async fn sweep(&mut self) {
        let swept = self
            .store
            .write_durably(Instant::now() + PATIENCE, async move |transaction| {
                tables::sweep(transaction).await
            });
        match swept.await {
            Ok(0) => {}
            Ok(leases) => tracing::warn!(
                leases,
                "gateways have gone without giving back what they had drawn of budgets; it counts as spent"
            ),
            Err(error) => self.is_down(&error),
        }
    }

    /// Forgets what nobody needs any more: windows that are long over, and what gateways held that are
    /// long gone.
    async fn tidy(&mut self) {
        loop {
            let tidied = self
                .store
                .write(Instant::now() + PATIENCE, async move |transaction| {
                    tables::tidy(transaction).await
                });
            match tidied.await {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => return,
                Err(error) => return self.is_down(&error),
            }
        }
    }

    fn is_up(&mut self) {
        if std::mem::take(&mut self.is_down) {
            tracing::info!("the books of the budgets are kept again");
        }
    }

    fn is_down(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::error!(%error, "the books of the budgets cannot be kept: what was drawn can be spent, and nothing beyond it");
        }
    }
}

fn row(page: &Page) -> Row {
    Row {
        id: page.purse.id.clone(),
        start_ms: page.span.start.as_millisecond(),
        end_ms: page.span.end.map(jiff::Timestamp::as_millisecond),
        limit: page.limit,
        allowed: page.allowed,
        report: page.report,
    }
}
