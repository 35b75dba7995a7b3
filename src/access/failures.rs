//! Counts wrong keys by the address that tried them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a wrong key is held against its address.
const WINDOW: Duration = Duration::from_secs(60);

/// The most addresses that are told apart. What comes from others meanwhile is counted together,
/// so that many addresses can neither fill the memory nor pass the limit.
const MAX_ADDRESSES: usize = 10_000;

/// The wrong keys of the last minute.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fal_gateway::access::Failures;
///
/// let failures = Failures::new(Some(1));
/// let (address, now) = ([203, 0, 113, 7].into(), Instant::now());
/// assert_eq!(failures.wait(address, now), None);
/// failures.note(address, now);
/// assert_eq!(failures.wait(address, now), Some(Duration::from_secs(60)));
/// assert_eq!(failures.wait(address, now + Duration::from_secs(60)), None);
/// ```
#[derive(Debug, Default)]
pub struct Failures(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    most: Option<usize>,
    windows: HashMap<Option<IpAddr>, Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Instant,
    count: usize,
}

impl Failures {
    /// Allows an address so many failures in a minute; `None` for any number.
    pub fn new(most: Option<usize>) -> Self {
        let failures = Self::default();
        failures.allow(most);
        failures
    }

    /// Allows another number from now on.
    pub fn allow(&self, most: Option<usize>) {
        self.noted().most = most;
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a wrong key.
    pub fn note(&self, address: IpAddr, now: Instant) {
        let mut noted = self.noted();
        if noted.most.is_none() {
            return;
        }
        let windows = &mut noted.windows;
        if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&Some(address)) {
            windows.retain(|_, window| window.ends > now);
        }
        let is_known = windows.contains_key(&Some(address));
        let place = Some(address).filter(|_| is_known || windows.len() < MAX_ADDRESSES);
        let window = windows.entry(place).or_insert(Window {
            ends: now + WINDOW,
            count: 0,
        });
        if window.ends <= now {
            *window = Window {
                ends: now + WINDOW,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
    }

    /// How long an address has to wait before it may try another key; `None` if it need not.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let noted = self.noted();
        let (most, windows) = (noted.most?, &noted.windows);
        let window = match windows.get(&Some(address)) {
            None if windows.len() >= MAX_ADDRESSES => windows.get(&None),
            found => found,
        };
        window
            .filter(|window| window.count >= most)
            .map(|window| window.ends.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_address_is_counted_by_itself_and_forgiven_in_time() {
        let failures = Failures::new(Some(3));
        let (now, one, other) = (Instant::now(), [1; 4].into(), [2; 4].into());
        for _ in 0..3 {
            assert_eq!(failures.wait(one, now), None);
            failures.note(one, now);
        }
        let later = now + Duration::from_secs(50);
        assert_eq!(failures.wait(one, later), Some(Duration::from_secs(10)));
        assert_eq!(failures.wait(other, later), None);
        let forgiven = now + WINDOW;
        assert_eq!(failures.wait(one, forgiven), None);
        failures.note(one, forgiven);
        assert_eq!(failures.wait(one, forgiven), None);
    }

    #[test]
    fn no_limit_counts_nothing() {
        let failures = Failures::new(None);
        let now = Instant::now();
        failures.note([1; 4].into(), now);
        assert_eq!(failures.wait([1; 4].into(), now), None);
    }

    #[test]
    fn a_crowd_of_addresses_is_counted_together_and_within_bounds() {
        let failures = Failures::new(Some(5));
        let now = Instant::now();
        for number in 0..30_000_u32 {
            failures.note(Ipv4Addr::from_bits(number).into(), now);
        }
        let size = failures.noted().windows.len();
        assert!(size <= MAX_ADDRESSES + 1, "{size}");
        let fresh = Ipv4Addr::from_bits(99_999).into();
        assert!(failures.wait(fresh, now).is_some());
        assert_eq!(failures.wait(fresh, now + WINDOW), None);
    }
}
