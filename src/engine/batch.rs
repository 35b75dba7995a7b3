//! What arrives together is read together.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

/// How soon after the reader has acted something must come to be waited with for more.
const COALESCE_WITHIN: Duration = Duration::from_millis(1);

/// The most that is read from one connection before what came is acted on.
const MAX_BATCH: usize = 256 * 1024;

/// What has come since the reader last acted.
///
/// hyper hands the chunks of a body on one by one, each in a turn of its own. Acting on each would
/// read and write two hundred times for two hundred events that came together. So what follows
/// closely on what was acted on before waits for a turn of the runtime in which nothing more has
/// come; that is no time, for as soon as no other task of this thread is ready, the turn is over.
/// What comes by itself is acted on at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// How much has come.
    pub bytes: usize,
    is_growing: bool,
}

impl Batch {
    /// So many bytes have come.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.is_growing = true;
    }

    /// Whether more may be waited for.
    pub fn has_room(&self) -> bool {
        self.bytes < MAX_BATCH
    }

    /// Ready when something has come and is to be acted on.
    pub fn poll(&mut self, last_acted: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        if self.bytes == 0 {
            return Poll::Pending;
        }
        let follows_closely = || last_acted.is_some_and(|acted| acted.elapsed() < COALESCE_WITHIN);
        if self.has_room() && std::mem::take(&mut self.is_growing) && follows_closely() {
            // Polled once, it asks the runtime to be woken when the turn is over.
            let _ = pin!(tokio::task::yield_now()).poll(context);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}
