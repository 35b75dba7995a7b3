//! Budgets in the hands of one gateway, and those who wait for some of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fal_gateway::access::purses::{Allowance, Entry, Page, Purse, Purses};
use fal_gateway::budget::books::Answer;
use fal_gateway::budget::spending::Amounts;
use fal_gateway::budget::{Amount, Spending};
use futures::FutureExt;

const UNIT: Amount = Amount(1000);

fn worst() -> Spending {
    costs(UNIT)
}

/// A request that costs as much at most.
fn costs(units: Amount) -> Spending {
    let amounts = Amounts {
        units,
        requests: Amount(1),
        ..Amounts::default()
    };
    Spending::at(false, amounts)
}

fn budgets(purses: &Purses, terms: &[&str]) -> Vec<Arc<Purse>> {
    let set = |terms: &&str| purses.set("key/ci", &terms.parse().unwrap());
    terms.iter().map(set).collect()
}

/// Takes the answer of books that have given so much in all, and have plenty besides.
fn hear(purses: &Purses, pages: &[Page], drawn: Amount) {
    let entry = Entry {
        answer: Answer {
            drawn,
            room: Amount(1_000_000),
            others: Amount::ZERO,
        },
        others_wait: false,
    };
    purses.hear(pages, Some(&vec![entry; pages.len()]));
}

/// A request that has what it wants.
fn served(admitted: Option<Result<Allowance, impl std::fmt::Debug>>) -> Allowance {
    admitted.expect("it has not to wait").expect("it is served")
}

/// Polled without an end of their patience: whoever is not served at once would wait for the clock.
#[test]
fn whoever_waits_is_served_as_soon_as_there_is_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (purses, worst) = (Purses::default(), worst());
        let budget = budgets(&purses, &["1000/day"]);
        let mut first = pin!(purses.admit(&budget, &worst));
        assert!((&mut first).now_or_never().is_none());
        hear(&purses, &purses.begin(false), UNIT);
        let first = served(first.now_or_never());

        // The books are asked for the second one. Meanwhile the third one comes, and what the first
        // one had comes back, so that there is nothing left to ask them for.
        let mut second = pin!(purses.admit(&budget, &worst));
        assert!((&mut second).now_or_never().is_none());
        let pages = purses.begin(false);
        let mut third = pin!(purses.admit(&budget, &worst));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        hear(&purses, &pages, Amount(2 * UNIT.0));
        let second = served(second.now_or_never());
        let _third = served(third.now_or_never());

        // What comes back is enough without a word of the books.
        let mut fourth = pin!(purses.admit(&budget, &worst));
        assert!((&mut fourth).now_or_never().is_none());
        let pages = purses.begin(false);
        second.settle(&Spending::default());
        served(fourth.now_or_never()).settle(&worst);
        hear(&purses, &pages, Amount(2 * UNIT.0));

        // Whoever waits hears of it, though what he wants is there by now.
        let mut fifth = pin!(purses.admit(&budget, &worst));
        assert!((&mut fifth).now_or_never().is_none());
        hear(&purses, &purses.begin(false), Amount(3 * UNIT.0));
        assert_eq!(purses.begin(false).len(), 1);
        served(fifth.now_or_never());
    });
}

/// Also where others came first, and want more than there is.
#[test]
fn whoever_wants_least_is_told_of_what_comes_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let purses = Purses::default();
        let budget = budgets(&purses, &["1000/day"]);
        let (much, little) = (costs(Amount(3 * UNIT.0)), costs(UNIT));
        let mut first = pin!(purses.admit(&budget, &little));
        assert!((&mut first).now_or_never().is_none());
        hear(&purses, &purses.begin(false), UNIT);
        let first = served(first.now_or_never());
        let mut before = pin!(purses.admit(&budget, &much));
        assert!((&mut before).now_or_never().is_none());
        let mut least = pin!(purses.admit(&budget, &little));
        assert!((&mut least).now_or_never().is_none());
        let mut after = pin!(purses.admit(&budget, &much));
        assert!((&mut after).now_or_never().is_none());
        drop(first);
        served(least.now_or_never());
        assert!(before.now_or_never().is_none());
        assert!(after.now_or_never().is_none());
    });
}

/// The books answer again and again, and never of the window that was opened last.
#[test]
fn a_clock_of_the_store_that_is_set_back_keeps_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (purses, worst) = (Purses::default(), worst());
        let budget = budgets(&purses, &["1000/day"]);
        purses.set_clock("2026-03-02T00:00:01Z".parse().unwrap());
        let mut before = Box::pin(purses.admit(&budget, &worst));
        assert!((&mut before).now_or_never().is_none());
        hear(&purses, &purses.begin(false), UNIT);
        drop(served(before.now_or_never()));
        hear(&purses, &purses.begin(true), UNIT);
        purses.set_clock("2026-03-01T12:00:00Z".parse().unwrap());
        let store = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                hear(&purses, &purses.begin(false), UNIT);
            }
        };
        tokio::select! {
            admitted = purses.admit(&budget, &worst) => {
                assert!(admitted.is_err(), "{admitted:?}");
            }
            () = store => {}
            // Five times as long as it waits, so that a busy machine makes no difference.
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it waits on"),
        }
    });
}

/// Each is short of one budget after the other, and gives back what it has of the others meanwhile.
/// Some come while the books are asked, which then give plenty: there is nothing more to ask them for.
#[test]
fn a_crowd_with_several_budgets_is_served_without_anybody_giving_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (purses, worst) = (Purses::default(), worst());
        let terms = ["900/day", "900 req/day", "900/month", "900 req/total"];
        let budget = budgets(&purses, &terms);
        let crowd = (0..100).map(async |number| {
            for _ in 0..number % 5 {
                tokio::task::yield_now().await;
            }
            let admitted = purses.admit(&budget, &worst).await;
            // It runs for a while.
            tokio::task::yield_now().await;
            admitted.map(drop)
        });
        let store = async || {
            loop {
                purses.wanted().await;
                let pages = purses.begin(false);
                // It takes its time, in which others come and go.
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                }
                let entries = pages.iter().map(|page| {
                    let answer = Answer {
                        drawn: page.allowed,
                        room: Amount::ZERO,
                        others: Amount::ZERO,
                    };
                    Entry {
                        answer,
                        others_wait: false,
                    }
                });
                let entries: Vec<Entry> = entries.collect();
                purses.hear(&pages, Some(&entries));
            }
        };
        tokio::select! {
            biased;
            all = futures::future::join_all(crowd) => {
                assert!(all.iter().all(Result::is_ok), "{all:?}");
            }
            () = store() => {}
        }
    });
}
