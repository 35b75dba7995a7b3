//! What has happened lately, minute by minute, and in sum since the start: for people who look at it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::is_for_a_model;
use super::metrics::Observation;

/// A day.
const MAX_MINUTES: usize = 24 * 60;
/// Bounds of the times, in milliseconds: each is a quarter longer than the one before.
const FIRST_BOUND: f64 = 5.0;
const GROWTH: f64 = 1.25;
const BOUNDS: usize = 56;

/// All of it.
#[derive(Debug)]
pub struct Series {
    started: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    minutes: VecDeque<Minute>,
    models: BTreeMap<String, Tally>,
    keys: BTreeMap<String, Tally>,
    errors: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
struct Minute {
    /// Minutes since the start.
    number: u64,
    tally: Tally,
}

/// The sums over some requests.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    failed: u64,
    calls: u64,
    prompt: u64,
    completion: u64,
    units: u64,
    picodollars: u64,
    first: Times,
    total: Times,
}

/// How many of some times lie between which bounds.
#[derive(Debug)]
struct Times([u32; BOUNDS]);

/// What is shown of a tally. Times are in milliseconds; `None` where nothing was measured.
#[derive(Debug, Serialize)]
pub struct Sums {
    pub name: String,
    pub requests: u64,
    pub failed: u64,
    pub calls: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// What it cost, as far as it is known: fal's units, and dollars beside them.
    pub units: u64,
    pub dollars: f64,
    pub first_ms: Option<f64>,
    pub first_95_ms: Option<f64>,
    pub total_ms: Option<f64>,
    pub total_95_ms: Option<f64>,
}

/// What is shown of all.
#[derive(Debug, Serialize)]
pub struct Overview {
    pub since_s: u64,
    /// The whole span, in one.
    pub sums: Sums,
    /// One for each minute of the span, the oldest first; quiet ones too.
    pub minutes: Vec<Sums>,
    /// Since the start.
    pub models: Vec<Sums>,
    pub keys: Vec<Sums>,
    /// Code, whose failure it was, how often.
    pub errors: Vec<(String, String, u64)>,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            kept: Mutex::default(),
        }
    }
}

impl Series {
    /// Counts a finished request. Only those that models answer are of interest here.
    pub fn observe(&self, seen: &Observation<'_>) {
        if !is_for_a_model(seen.route) {
            return;
        }
        let number = self.started.elapsed().as_secs() / 60;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.minutes.back().is_none_or(|last| last.number != number) {
            kept.minutes.push_back(Minute {
                number,
                tally: Tally::default(),
            });
        }
        while kept.minutes.len() > MAX_MINUTES {
            kept.minutes.pop_front();
        }
        if let Some(minute) = kept.minutes.back_mut() {
            minute.tally.add(seen);
        }
        if !seen.model.is_empty() {
            kept.models
                .entry(seen.model.to_owned())
                .or_default()
                .add(seen);
        }
        if !seen.key.is_empty() {
            kept.keys.entry(seen.key.to_owned()).or_default().add(seen);
        }
        if !seen.error_type.is_empty() {
            let cause = (seen.error_type.to_owned(), seen.error_source.to_owned());
            *kept.errors.entry(cause).or_default() += 1;
        }
    }

    /// The last so many minutes, and the sums.
    pub fn overview(&self, minutes: usize) -> Overview {
        let now = self.started.elapsed().as_secs() / 60;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let span = minutes.clamp(1, MAX_MINUTES) as u64;
        let begin = (now + 1).saturating_sub(span);
        let mut whole = Tally::default();
        let mut shown = Vec::new();
        let mut recent = kept.minutes.iter().filter(|minute| minute.number >= begin);
        let mut next = recent.next();
        for number in begin..=now {
            match next.filter(|minute| minute.number == number) {
                Some(minute) => {
                    whole.join(&minute.tally);
                    shown.push(minute.tally.sums(String::new()));
                    next = recent.next();
                }
                None => shown.push(Tally::default().sums(String::new())),
            }
        }
        let listed = |tallies: &BTreeMap<String, Tally>| {
            let mut list: Vec<Sums> = tallies
                .iter()
                .map(|(name, tally)| tally.sums(name.clone()))
                .collect();
            list.sort_by_key(|sums| std::cmp::Reverse(sums.requests));
            list
        };
        let mut errors: Vec<_> = kept
            .errors
            .iter()
            .map(|((code, source), count)| (code.clone(), source.clone(), *count))
            .collect();
        errors.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        Overview {
            since_s: self.started.elapsed().as_secs(),
            sums: whole.sums(String::new()),
            minutes: shown,
            models: listed(&kept.models),
            keys: listed(&kept.keys),
            errors,
        }
    }
}

impl Tally {
    fn add(&mut self, seen: &Observation<'_>) {
        self.requests += 1;
        self.failed += u64::from(!seen.error_type.is_empty());
        self.calls += u64::from(seen.calls);
        self.prompt += seen.prompt_tokens;
        self.completion += seen.completion_tokens;
        self.spend(seen.units, seen.picodollars);
        self.total.add(seen.duration);
        if let Some(first) = seen.first_chunk {
            self.first.add(first);
        }
    }

    fn join(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.calls += other.calls;
        self.prompt += other.prompt;
        self.completion += other.completion;
        self.spend(other.units, other.picodollars);
        self.first.join(&other.first);
        self.total.join(&other.total);
    }

    fn spend(&mut self, units: u64, picodollars: u64) {
        self.units = self.units.saturating_add(units);
        self.picodollars = self.picodollars.saturating_add(picodollars);
    }

    fn sums(&self, name: String) -> Sums {
        Sums {
            name,
            requests: self.requests,
            failed: self.failed,
            calls: self.calls,
            prompt_tokens: self.prompt,
            completion_tokens: self.completion,
            units: self.units,
            dollars: self.picodollars as f64 / 1e12,
            first_ms: self.first.quantile(0.5),
            first_95_ms: self.first.quantile(0.95),
            total_ms: self.total.quantile(0.5),
            total_95_ms: self.total.quantile(0.95),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self([0; BOUNDS])
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let milliseconds = time.as_secs_f64() * 1e3;
        let mut bound = FIRST_BOUND;
        let mut at = 0;
        while milliseconds > bound && at + 1 < BOUNDS {
            bound *= GROWTH;
            at += 1;
        }
        if let Some(count) = self.0.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    fn join(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// The time below which this part of them lies, to within a quarter of itself.
    fn quantile(&self, part: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|&count| u64::from(count)).sum();
        let wanted = (part * all as f64).ceil().max(1.0);
        let mut below = 0.0;
        let mut bound = FIRST_BOUND;
        for &count in &self.0 {
            let count = f64::from(count);
            if count > 0.0 && below + count >= wanted {
                let lower = bound / GROWTH;
                let within = (wanted - below) / count;
                return Some(((lower + (bound - lower) * within) * 10.0).round() / 10.0);
            }
            below += count;
            bound *= GROWTH;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(model: &str, milliseconds: u64, error: &'static str) -> Series {
        let series = Series::default();
        for _ in 0..100 {
            series.observe(&Observation {
                route: "chat",
                model,
                key: "alice",
                status: 200,
                error_type: error,
                error_source: "",
                is_stream: true,
                duration: Duration::from_millis(milliseconds),
                first_chunk: None,
                prompt_tokens: 2,
                completion_tokens: 3,
                calls: 1,
                upstream: "any-llm",
                because: "",
                units: 10,
                picodollars: 2_500_000_000,
            });
        }
        series
    }

    #[test]
    fn what_was_seen_is_in_the_sums() {
        let shown = seen("m", 200, "timed_out").overview(15);
        assert_eq!(shown.sums.requests, 100);
        assert_eq!((shown.sums.failed, shown.sums.calls), (100, 100));
        assert_eq!(
            (shown.sums.prompt_tokens, shown.sums.completion_tokens),
            (200, 300)
        );
        assert_eq!(
            shown.models.iter().map(|sums| sums.requests).sum::<u64>(),
            100
        );
        assert_eq!(
            shown.keys.iter().map(|sums| sums.requests).sum::<u64>(),
            100
        );
        assert_eq!((shown.sums.units, shown.sums.dollars), (1000, 0.25));
        assert_eq!(shown.errors, [("timed_out".to_owned(), String::new(), 100)]);
        assert_eq!(shown.sums.first_ms, None);
    }

    #[test]
    fn a_quantile_is_right_to_within_a_quarter() {
        for milliseconds in [6, 70, 800, 9_000, 100_000] {
            let shown = seen("m", milliseconds, "").overview(1);
            let median = shown.sums.total_ms.unwrap_or_default();
            let exact = Duration::from_millis(milliseconds).as_secs_f64() * 1e3;
            assert!(
                (median / exact - 1.0).abs() <= 0.26,
                "{milliseconds}: {median}"
            );
        }
    }
}
