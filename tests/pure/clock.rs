//! Time that a test has worked, which other programs on the machine do not add to.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long this thread has worked. Where the system keeps no such count for threads (only Linux
/// does, in `/proc`), how long the tests have been running: the time that others took is then in it.
pub(crate) fn cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let worked = counted.and_then(|counts| counts.split(' ').next()?.parse().ok());
    worked.map_or_else(|| START.elapsed(), Duration::from_nanos)
}
