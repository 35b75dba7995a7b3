//! A simulated day of many gateways on one store: how often each of them asks it, by the arithmetic
//! that the service runs on.

use std::collections::VecDeque;
use std::time::Duration;

use fal_gateway::accounts::{BOOKS_EVERY, LEDGER_EVERY};
use fal_gateway::budget::books::{Lease, Window};
use fal_gateway::budget::pocket::{Pocket, Waiting};
use fal_gateway::budget::{Amount, Pace};
use fal_gateway::observe::calls::BATCH;

const UNIT: Amount = Amount(1000);
/// How long a call takes, in milliseconds.
const CALL_MS: u64 = 400;
/// For how long what the store has said of an empty budget is believed.
const FRESH_MS: u64 = 1000;

#[derive(Default)]
struct Gateway {
    pocket: Pocket,
    lease: Lease,
    /// When the calls that run end.
    running: VecDeque<u64>,
    pace: Pace,
    /// When the store said that too little is left.
    refused: Option<u64>,
    rows: usize,
    budget_transactions: u64,
    ledger_transactions: u64,
    /// Those that were made because somebody waited.
    waited: u64,
    served: u64,
}

impl Gateway {
    /// One report to the store, as the books' keeper makes it.
    fn beat(&mut self, now: u64, store: &mut Window, gateways: u32, waiting: Waiting) {
        let pace = self.pace.a_second(Duration::from_millis(now));
        let report = self.pocket.report(waiting, pace);
        let answer = store.report(&mut self.lease, &report, gateways);
        self.pocket.hear(&answer);
        self.budget_transactions += 1;
    }

    fn ask(&mut self, now: u64, store: &mut Window, gateways: u32) {
        if !self.pocket.take(UNIT) {
            if self.refused.is_some_and(|at| now - at < FRESH_MS) {
                return;
            }
            self.waited += 1;
            self.beat(
                now,
                store,
                gateways,
                Waiting {
                    sum: UNIT,
                    least: UNIT,
                },
            );
            if !self.pocket.take(UNIT) {
                self.refused = Some(now);
                return;
            }
        }
        self.pace.take(UNIT);
        self.served += 1;
        self.running.push_back(now + CALL_MS);
    }

    fn end_calls(&mut self, now: u64) {
        while self.running.front().is_some_and(|end| *end <= now) {
            self.running.pop_front();
            self.pocket.settle(UNIT, UNIT);
            self.rows += 1;
            if self.rows >= BATCH {
                self.rows = 0;
                self.ledger_transactions += 1;
            }
        }
    }

    fn write_ledger(&mut self) {
        if self.rows > 0 {
            self.rows = 0;
            self.ledger_transactions += 1;
        }
    }
}

/// So many gateways with so many requests a second each, for some seconds, on one budget.
fn simulate(gateways: usize, a_second: u64, seconds: u64, limit: i64) -> (Vec<Gateway>, Window) {
    let mut store = Window::new(Amount(limit * UNIT.0));
    let count = u32::try_from(gateways).unwrap();
    let mut all: Vec<Gateway> = (0..gateways).map(|_| Gateway::default()).collect();
    let ms = |every: std::time::Duration| u64::try_from(every.as_millis()).unwrap();
    let (books, ledger) = (ms(BOOKS_EVERY), ms(LEDGER_EVERY));
    for now in 0..seconds * 1000 {
        for (at, gateway) in all.iter_mut().enumerate() {
            // They did not start together.
            let own = now + at as u64 * 37;
            gateway.end_calls(now);
            if own.is_multiple_of(1000 / a_second) {
                gateway.ask(now, &mut store, count);
            }
            if own.is_multiple_of(books) {
                gateway.beat(now, &mut store, count, Waiting::default());
            }
            if own.is_multiple_of(ledger) {
                gateway.write_ledger();
            }
        }
    }
    (all, store)
}

#[test]
fn fifty_gateways_with_ten_thousand_requests_a_second_hardly_ask_the_store() {
    let seconds = 30;
    let (all, store) = simulate(50, 200, seconds, 1_000_000_000);
    let served: u64 = all.iter().map(|gateway| gateway.served).sum();
    assert_eq!(served, 50 * 200 * seconds);
    for gateway in &all {
        let finished = gateway.served / BATCH as u64;
        // Changed keys are asked for once a second.
        let made = gateway.budget_transactions - gateway.waited + gateway.ledger_transactions;
        assert!(
            made + seconds <= 4 * seconds + finished,
            "{made} in {seconds} s"
        );
        // While a lease lasts nobody waits: only at the beginning there is none.
        assert!(gateway.waited <= 10, "{}", gateway.waited);
    }
    assert!(store.used + store.leased <= store.limit);
}

/// At the end of a budget gateways ask more often, but each once in a while for all who want something.
#[test]
fn an_empty_budget_makes_no_storm() {
    let seconds = 20;
    let (all, store) = simulate(50, 200, seconds, 100_000);
    let served: u64 = all.iter().map(|gateway| gateway.served).sum();
    assert!((90_000..=100_000).contains(&served), "{served}");
    assert!(store.used + store.leased <= store.limit);
    assert_eq!(store.beyond, Amount::ZERO);
    for gateway in &all {
        let made = gateway.budget_transactions + gateway.ledger_transactions;
        assert!(made <= 12 * seconds, "{made} in {seconds} s");
    }
}
