//! Brings calls that have ended into the ledger.
//!
//! One task writes them in batches: when one is full, and else every second. A batch that takes the
//! store too long, or that it refuses, is tried in halves. While the store cannot be written to, calls
//! wait in memory, as many as are allowed; beyond that they are lost, which is counted and said.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::keys::forget_before;
use crate::observe::calls::{BATCH, CallQueue};
use crate::observe::metrics::Metrics;
use crate::store::ledger::{Batch, Ledger};
use crate::store::{Database, StoreError, Transaction};

/// How often calls are written that are less than a batch.
pub const LEDGER_EVERY: Duration = Duration::from_secs(1);
/// How long a store that has failed is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the store has for one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all that waits has at the end of the process.
const LAST_PATIENCE: Duration = Duration::from_millis(2500);
/// How often a batch is tried that the store refuses for what is in it.
const MAX_REFUSALS: u32 = 3;
/// How often is looked for what is too old.
const SWEEP: Duration = Duration::from_secs(600);

/// How long what is in the ledger is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub rows: Duration,
    /// `None` for ever.
    pub sums: Option<Duration>,
    /// Which operator has changed what; `None` for ever.
    pub changes: Option<Duration>,
}

/// Writes the ledger of one gateway.
pub struct LedgerWriter {
    queue: Arc<CallQueue>,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    /// Tells this process from all others, earlier ones included.
    gateway: Arc<str>,
    /// The last row that was taken out of the queue.
    row: i64,
    /// What is being written, until it is; the next one is the last.
    pending: Vec<Arc<Batch>>,
    /// How many calls make a batch: fewer while the store is too slow for more.
    size: usize,
    refusals: u32,
    is_down: bool,
}

impl LedgerWriter {
    /// A writer for the process of this name.
    pub fn new(
        queue: Arc<CallQueue>,
        store: Database,
        metrics: Arc<Metrics>,
        gateway: Arc<str>,
    ) -> Self {
        Self {
            queue,
            ledger: Ledger::new(store),
            metrics,
            gateway,
            row: 0,
            pending: Vec::new(),
            size: BATCH,
            refusals: 0,
            is_down: false,
        }
    }

    /// Writes until it is told to stop, and then all that is left.
    pub async fn write(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.queue.is_full() => {}
                () = sleep(LEDGER_EVERY) => {}
            }
            // What is being written when the process ends is written again, and counted but once.
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.write_while(BATCH, PATIENCE) => {}
            }
            if self.is_down {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(PAUSE) => {}
                }
            }
        }
        self.finish().await;
    }

    /// Writes a batch, and more as long as so many calls wait, until the store fails. What is less
    /// than that waits for more, so that a busy gateway does not write every call by itself.
    async fn write_while(&mut self, least: usize, patience: Duration) {
        loop {
            self.tell_of_lost();
            let Some(batch) = self.next() else { return };
            let written = self.ledger.write(&batch, Instant::now() + patience).await;
            self.metrics
                .ledger_waiting
                .set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
            match written {
                Ok(()) => self.is_written(batch.calls.len()),
                Err(error) => return self.is_refused(&batch, &error),
            }
            if self.pending.is_empty() && self.queue.len() < least {
                return;
            }
        }
    }

    /// The batch that is to be written now.
    fn next(&mut self) -> Option<Arc<Batch>> {
        if self.pending.is_empty() {
            let calls = self.queue.take(self.size);
            if calls.is_empty() {
                return None;
            }
            let batch = Batch {
                gateway: Arc::clone(&self.gateway),
                first_row: self.row.saturating_add(1),
                calls,
            };
            self.row = batch.last_row();
            self.pending.push(Arc::new(batch));
        }
        self.pending.last().map(Arc::clone)
    }

    fn is_written(&mut self, calls: usize) {
        self.pending.pop();
        self.refusals = 0;
        self.size = self.size.saturating_mul(2).min(BATCH);
        let written = u64::try_from(calls).unwrap_or(u64::MAX);
        self.metrics
            .ledger_rows
            .with_label_values(&["written"])
            .inc_by(written);
        if std::mem::take(&mut self.is_down) {
            tracing::info!("the ledger is written again");
        }
    }

    /// A batch for which the store needs too long is written in halves. So is one that the store does
    /// not take for what is in it: it would hold up all that come after it.
    fn is_refused(&mut self, batch: &Batch, error: &StoreError) {
        self.metrics
            .store_failures
            .with_label_values(&[error.label()])
            .inc();
        if matches!(error, StoreError::Failed(_)) {
            self.refusals += 1;
        }
        let is_refused = self.refusals >= MAX_REFUSALS;
        let halves = batch.halves();
        if is_refused && halves.is_none() {
            (_, self.refusals) = (self.pending.pop(), 0);
            self.count_lost(1);
            tracing::error!(%error, "the store does not take a call: the ledger lacks it");
            return;
        }
        if let Some((first, second)) = halves
            && (is_refused || matches!(error, StoreError::Busy))
        {
            self.size = first.calls.len();
            self.refusals = 0;
            self.pending.pop();
            self.pending.extend([second, first].map(Arc::new));
        }
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::error!(%error, "the ledger cannot be written: calls wait in memory, at most ledger.max_waiting of them");
        }
    }

    /// Says that calls have found no room.
    fn tell_of_lost(&self) {
        let lost = self.queue.take_lost();
        if lost > 0 {
            self.count_lost(lost);
            tracing::error!(
                calls = lost,
                "more calls have ended than may wait for the store: the ledger lacks them"
            );
        }
    }

    fn count_lost(&self, calls: u64) {
        self.metrics
            .ledger_rows
            .with_label_values(&["lost"])
            .inc_by(calls);
    }

    /// Writes what is left, as far as there is time, and says what it could not.
    async fn finish(mut self) {
        let deadline = Instant::now() + LAST_PATIENCE;
        while Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            let _ = timeout_at(deadline, self.write_while(1, rest)).await;
            if self.pending.is_empty() && self.queue.is_empty() {
                return;
            }
            sleep_until(deadline.min(Instant::now() + PAUSE)).await;
        }
        let pending: usize = self.pending.iter().map(|batch| batch.calls.len()).sum();
        let lost = pending.saturating_add(self.queue.len()) as u64;
        self.count_lost(lost);
        tracing::error!(
            calls = lost,
            "the process ends, and the store could not be written to: the ledger may lack these calls"
        );
    }
}

/// Deletes what is too old, until the service stops. Several gateways may do so on one store.
pub async fn keep_ledger_short(
    store: Database,
    retention: impl Fn() -> Retention,
    stop: CancellationToken,
) {
    let ledger = Ledger::new(store.clone());
    loop {
        loop {
            let Retention {
                rows,
                sums,
                changes,
            } = retention();
            let swept = match (ledger.sweep(rows, sums).await, changes) {
                (Ok(false), Some(changes)) => forget_changes(&store, changes).await,
                (swept, _) => swept,
            };
            match swept {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "what is over cannot be deleted from the ledger; it is tried again");
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(SWEEP) => {}
        }
    }
}

/// Forgets some of the changes that are older than this by the store's clock. Whether there may be more
/// of them.
async fn forget_changes(store: &Database, kept: Duration) -> Result<bool, StoreError> {
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    let forget = async move |transaction: &Transaction<'_>| {
        let now = transaction.now_ms().await?;
        forget_before(transaction, now.saturating_sub(kept)).await
    };
    store.write(store.deadline(), forget).await
}
