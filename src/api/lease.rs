//! What a gateway holds in the store while it works on it: for a short time, again and again, so that
//! others may have it soon if the gateway dies.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::store::StoreError;

/// How long something stays held by a gateway that is gone.
pub const LEASE: Duration = Duration::from_secs(12);
const RENEWED_EVERY: Duration = Duration::from_secs(4);

/// Holds something until it is dropped.
pub struct Renewal(JoinHandle<()>);

impl Renewal {
    /// Asks `hold` to hold it for another lease, every now and then, until it says that it was not held
    /// any more. While the store is away the lease may end.
    pub fn begin<H, F>(hold: H) -> Self
    where
        H: Fn() -> F + Send + 'static,
        F: Future<Output = Result<bool, StoreError>> + Send,
    {
        Self(tokio::spawn(async move {
            let mut ticks = interval(RENEWED_EVERY);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                if let Ok(false) = hold().await {
                    return;
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}
