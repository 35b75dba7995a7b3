//! How fast a budget is spent, which decides how much of it a gateway likes to have in hand.

use std::time::Duration;

use super::amount::Amount;

/// How long is measured before a speed is believed.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

/// What is taken of a budget in a second. Times are counted from any beginning, the same for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// What was taken since `since`.
    recent: Amount,
    since: Duration,
    a_second: Amount,
}

impl Pace {
    /// Something is taken.
    pub fn take(&mut self, amount: Amount) {
        self.recent += amount;
    }

    /// About as much as is taken in a second: for a moment no less than was taken since the last
    /// measure, so that whoever begins to spend has twice as much each time that he asks.
    pub fn a_second(&mut self, now: Duration) -> Amount {
        let elapsed = now.saturating_sub(self.since);
        if elapsed < LONG_ENOUGH {
            self.a_second = self.a_second.max(self.recent);
            return self.a_second;
        }
        let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let measured = self.recent.0.saturating_mul(1000) / millis.max(1);
        self.a_second = Amount(measured.max(self.a_second.0 / 2));
        (self.recent, self.since) = (Amount::ZERO, now);
        self.a_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_is_taken_in_a_second_however_often_it_is_asked_for() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now += Duration::from_millis(5);
            pace.take(Amount(10));
            pace.a_second(now);
        }
        assert!((1900..=2100).contains(&pace.a_second(now).0), "{pace:?}");
        for _ in 0..20 {
            now += Duration::from_millis(500);
            pace.a_second(now);
        }
        assert_eq!(pace.a_second(now), Amount::ZERO);
    }

    #[test]
    fn whoever_begins_has_twice_as_much_each_time() {
        let mut pace = Pace::default();
        pace.take(Amount(1));
        assert_eq!(pace.a_second(Duration::from_millis(1)), Amount(1));
        pace.take(Amount(1));
        assert_eq!(pace.a_second(Duration::from_millis(2)), Amount(2));
        pace.take(Amount(2));
        assert_eq!(pace.a_second(Duration::from_millis(3)), Amount(4));
    }
}
