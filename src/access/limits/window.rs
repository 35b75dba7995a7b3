//! What was taken in the last minute.

use std::collections::VecDeque;
use std::time::Duration;

/// What was taken in the last minute, by the second. What was taken in a second counts until a whole
/// minute after that second, so no minute, wherever it begins, sees more than the limit.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Seconds and what was taken in them, the oldest first.
    seconds: VecDeque<(u64, u64)>,
    pub(super) sum: u64,
}

impl Window {
    /// How many seconds after its own a second counts.
    const KEPT: u64 = 61;

    pub(super) fn forget(&mut self, now: Duration) {
        while let Some((second, taken)) = self.seconds.front().copied() {
            if second.saturating_add(Self::KEPT) > now.as_secs() {
                return;
            }
            self.sum = self.sum.saturating_sub(taken);
            self.seconds.pop_front();
        }
    }

    pub(super) fn add(&mut self, amount: u64, now: Duration) {
        if amount == 0 {
            return;
        }
        let now = now.as_secs();
        match self.seconds.back_mut() {
            Some((second, taken)) if *second == now => *taken = taken.saturating_add(amount),
            _ => self.seconds.push_back((now, amount)),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Gives back what was taken at a time, if that still counts.
    pub(super) fn give_back(&mut self, at: Duration, amount: u64) {
        let second = at.as_secs();
        let index = self.seconds.partition_point(|(known, _)| *known < second);
        let found = self.seconds.get_mut(index);
        if let Some((_, taken)) = found.filter(|(known, _)| *known == second) {
            let amount = amount.min(*taken);
            *taken -= amount;
            self.sum = self.sum.saturating_sub(amount);
        }
    }

    /// When so much more fits within the limit; `None` for never.
    pub(super) fn wait(&self, limit: u64, more: u64, now: Duration) -> Option<Duration> {
        let room = limit.checked_sub(more)?;
        let mut left = self.sum;
        let mut until = now;
        for (second, taken) in &self.seconds {
            if left <= room {
                break;
            }
            left = left.saturating_sub(*taken);
            until = Duration::from_secs(second.saturating_add(Self::KEPT));
        }
        Some(until.saturating_sub(now))
    }

    pub(super) fn reset(&self, now: Duration) -> Duration {
        let last = self
            .seconds
            .back()
            .map_or(0, |(second, _)| second.saturating_add(Self::KEPT));
        Duration::from_secs(last).saturating_sub(now)
    }

    /// When the first of what was taken is there again; none where nothing was.
    pub(super) fn frees(&self, now: Duration) -> Option<Duration> {
        let (second, _) = self.seconds.iter().find(|(_, taken)| *taken > 0)?;
        let at = Duration::from_secs(second.saturating_add(Self::KEPT));
        Some(at.saturating_sub(now))
    }

    /// The newest second in which anything was taken.
    pub(super) fn newest(&self) -> u64 {
        self.seconds.back().map_or(0, |(second, _)| *second)
    }
}
