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

type Run = Box<
    dyn for<'a, 't> FnOnce(&'a Transaction<'t>) -> LocalBoxFuture<'a, Result<(), StoreError>>
        + Send,
>;

/// One transaction to be done.
pub(super) struct Work {
    pub deadline: Instant,
    pub mode: Mode,
    run: Run,
    done: oneshot::Sender<Result<(), StoreError>>,
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
    let (done, outcome) = oneshot::channel();
    let run: Run = Box::new(move |transaction| {
        Box::pin(async move {
            let value = work(transaction).await?;
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        })
    });
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
    pub(super) fn into_parts(self) -> (Run, oneshot::Sender<Result<(), StoreError>>) {
        (self.run, self.done)
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
