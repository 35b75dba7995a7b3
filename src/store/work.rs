//! Work for an engine: what shall be done in a transaction, until when, and who waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::StoreError;
use super::sql::Transaction;

/// How many transactions may wait for an engine. What comes on top of them is told at once that
/// the store is busy.
pub(super) const MAX_WAITING: usize = 1024;

type Outcome = Result<(), StoreError>;
type RunOnce =
    Box<dyn for<'a, 't> FnOnce(&'a Transaction<'t>) -> LocalBoxFuture<'a, Outcome> + Send>;
type RunAgain = Box<dyn for<'a, 't> Fn(&'a Transaction<'t>) -> LocalBoxFuture<'a, Outcome> + Send>;

/// One transaction to be done.
pub(super) struct Work {
    pub deadline: Instant,
    pub mode: Mode,
    run: Run,
    done: oneshot::Sender<Outcome>,
}

/// What is to be done in it.
pub(super) enum Run {
    Once(RunOnce),
    /// The same however often it is done, as long as what was done before is undone: so it may share a
    /// transaction with others, and is done alone where that fails.
    Again(RunAgain),
}

impl Run {
    pub(super) fn perform<'a>(
        self,
        transaction: &'a Transaction<'_>,
    ) -> LocalBoxFuture<'a, Outcome> {
        match self {
            Self::Once(run) => run(transaction),
            Self::Again(run) => run(transaction),
        }
    }
}

/// Who waits for a piece of work. One kind does not stand in the way of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lane {
    /// Requests that are not admitted yet: budgets, limits, keys.
    Admission,
    #[default]
    Usual,
    /// Whoever wants sums or lists that may take long.
    Reports,
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
    /// Writes, and is not lost when the machine loses its power right after it.
    Durable,
}

/// Has work done by the engine at the other end of `queue`, and waits for its result.
///
/// # Errors
/// What the work gives, and what goes wrong with the store. After [`StoreError::Busy`] the work may
/// have been done all the same.
pub(super) async fn submit<T, W>(
    queue: &mpsc::Sender<Work>,
    mode: Mode,
    deadline: Instant,
    work: W,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let filled = Arc::clone(&slot);
    let run: RunOnce = Box::new(move |transaction| {
        Box::pin(async move {
            let value = work(transaction).await?;
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        })
    });
    wait_for(queue, (mode, Run::Once(run)), deadline, &slot).await
}

/// The same for work that may be done in one transaction with other work of this kind, and more than
/// once: only its last result counts.
///
/// # Errors
/// As [`submit`].
pub(super) async fn submit_shared<T, W>(
    queue: &mpsc::Sender<Work>,
    deadline: Instant,
    work: W,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: AsyncFn(&Transaction<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let filled = Arc::clone(&slot);
    let work = Arc::new(work);
    let run: RunAgain = Box::new(move |transaction| {
        let (work, filled) = (Arc::clone(&work), Arc::clone(&filled));
        Box::pin(async move {
            let value = work(transaction).await?;
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        })
    });
    wait_for(queue, (Mode::Write, Run::Again(run)), deadline, &slot).await
}

async fn wait_for<T>(
    queue: &mpsc::Sender<Work>,
    (mode, run): (Mode, Run),
    deadline: Instant,
    slot: &Mutex<Option<T>>,
) -> Result<T, StoreError> {
    let (done, outcome) = oneshot::channel();
    let work = Work {
        deadline,
        mode,
        run,
        done,
    };
    queue.try_send(work).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => StoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => StoreError::Gone("it was closed".to_owned()),
    })?;
    let outcome = timeout_at(deadline, outcome).await;
    outcome
        .map_err(|_| StoreError::Busy)?
        .unwrap_or(Err(StoreError::Busy))?;
    let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or_else(|| StoreError::Failed("a transaction has no result".to_owned()))
}

impl Work {
    /// Whether nobody waits for it any more.
    pub(super) fn is_late(&self) -> bool {
        self.done.is_closed() || self.deadline <= Instant::now()
    }

    /// What is to be done, and who is to be told.
    pub(super) fn into_parts(self) -> (Run, oneshot::Sender<Outcome>) {
        (self.run, self.done)
    }

    /// What is to be done, if it may share a transaction with other work.
    pub(super) fn shareable(&self) -> Option<&RunAgain> {
        match &self.run {
            Run::Again(run) => Some(run),
            Run::Once(_) => None,
        }
    }

    /// Tells that it was done.
    pub(super) fn succeed(self) {
        let _ = self.done.send(Ok(()));
    }

    /// Tells that it was not done.
    pub(super) fn fail(self, error: StoreError) {
        let _ = self.done.send(Err(error));
    }
}

/// Runs something that may have a fault of ours, which must not end the engine's thread.
pub(super) fn without_panic<T>(
    run: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(StoreError::Failed("a transaction has panicked".to_owned())))
}
