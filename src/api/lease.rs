//! What a gateway holds in the store while it works on it: for a short time, again and again, so that
//! others may have it soon if the gateway dies.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep};

use crate::store::StoreError;

/// How long something stays held by a gateway that is gone.
pub const LEASE: Duration = Duration::from_secs(12);
const RENEWED_EVERY: Duration = Duration::from_secs(4);

/// How long to wait before each further attempt to give something back: longer than a lease together,
/// behind which it would be too late.
const GIVING_BACK: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Gives back what may be held, because the store was too slow to tell or nobody has heard it: asks
/// `release` to, until it says that it was held.
pub fn give_back<R, F>(release: R)
where
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<bool, StoreError>> + Send,
{
    // Without a runtime the process ends, and the lease with it.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            for pause in GIVING_BACK {
                sleep(pause).await;
                if let Ok(true) = release().await {
                    return;
                }
            }
        });
    }
}

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
