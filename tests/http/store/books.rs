//! The books of budgets, where what is said about them is lost on its way.

use std::sync::Arc;
use std::time::Duration;

use fal_gateway::access::purses::Purses;
use fal_gateway::accounts::Keeper;
use fal_gateway::budget::spending::Amounts;
use fal_gateway::budget::{Amount, Spending, Terms};
use fal_gateway::store::windows::{StoredWindow, WantedWindows};
use fal_gateway::store::{Database, StoreError, Transaction};
use tokio_util::sync::CancellationToken;

use super::killed::lasting;
use super::ledger::soon;
use super::{Place, run};

fn one_request() -> Spending {
    let amounts = Amounts {
        units: Amount(1000),
        requests: Amount(1),
        ..Amounts::default()
    };
    Spending::at(false, amounts)
}

async fn windows(store: &Database) -> Vec<StoredWindow> {
    let wanted = WantedWindows {
        owner: None,
        after: Default::default(),
        most: 1000,
    };
    store.windows(wanted).await.unwrap()
}

async fn window(place: &Place) -> StoredWindow {
    let mut windows = windows(&place.open()).await;
    assert_eq!(windows.len(), 1);
    windows.remove(0)
}

/// Keys that each have a budget and have spent one request of it, more of them than are asked for at
/// once by one statement after another.
const KEYS: usize = 70;

fn spend_one_of_each(purses: &Purses) {
    let terms: Terms = "100/total".parse().unwrap();
    for key in 0..KEYS {
        let purse = purses.set(&format!("key/{key}"), &terms);
        let taken = purses.take_anyway(&[purse], &one_request());
        taken.settle(&one_request());
    }
}

/// Waits until so many windows have so much used.
async fn until_used(store: &Database, count: usize, used: i64) {
    let look = async {
        loop {
            let windows = windows(store).await;
            if windows.iter().filter(|window| window.used == used).count() == count {
                return;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), look).await;
    found.expect("the books are told");
}

/// A gateway that learns with its last word to the store that it has drawn something before, in an
/// answer that never came, gives that back too.
#[test]
fn what_was_drawn_and_never_heard_of_is_given_back_at_the_end() {
    let (_folder, places) = lasting();
    for place in places {
        run(async {
            // Its tables are made, which may take longer than a budget waits.
            assert_eq!(windows(&place.open()).await, []);
            let terms: Terms = "100/day".parse().unwrap();
            let stop = CancellationToken::new();
            // The same gateway twice: the second has not heard what the first was given.
            let keeper = |purses: &Arc<Purses>| {
                Keeper::new(Arc::clone(purses), place.open(), "gateway".into())
            };
            let first = Arc::<Purses>::default();
            let purses = [first.set("key/ci", &terms)];
            let worst = one_request();
            tokio::select! {
                () = keeper(&first).keep(stop.clone()) => panic!("nobody told it to stop"),
                drawn = first.admit(&purses, &worst) => drop(drawn.unwrap()),
            }
            assert!(window(&place).await.leased > 0, "{place:?}");
            let second = Arc::<Purses>::default();
            let purse = second.set("key/ci", &terms);
            drop(second.take_anyway(&[purse], &worst));
            stop.cancel();
            keeper(&second).keep(stop).await;
            let window = window(&place).await;
            assert_eq!((window.used, window.leased), (0, 0), "{place:?}");
        });
    }
}

/// Has the store refuse whatever it is told of one key.
async fn refuse_one(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let steps: &[&'static str] = match transaction.is_postgres() {
        true => &[
            "create function refuse() returns trigger language plpgsql as \
             'begin raise exception ''no''; end'",
            "create trigger refused before insert on budget_window for each row \
             when (new.owner = 'key/17') execute function refuse()",
        ],
        false => &[
            "create trigger refused before insert on budget_window when new.owner = 'key/17' \
                    begin select raise(abort, 'no'); end",
        ],
    };
    for step in steps {
        transaction.execute(step, &[]).await?;
    }
    Ok(())
}

#[test]
fn a_window_that_the_store_refuses_keeps_no_other_from_it() {
    let (_folder, places) = lasting();
    for place in places {
        run(async {
            let store = place.open();
            assert_eq!(windows(&store).await, []);
            store.write(soon(), refuse_one).await.unwrap();
            let purses = Arc::<Purses>::default();
            spend_one_of_each(&purses);
            let keeper = Keeper::new(purses, store.clone(), "gateway".into());
            tokio::select! {
                () = keeper.keep(CancellationToken::new()) => panic!("nobody told it to stop"),
                () = until_used(&store, KEYS - 1, 1000) => {}
            }
        });
    }
}

/// Also of windows that the store has forgotten meanwhile, as where a standby has taken over.
#[test]
fn two_gateways_tell_of_the_same_windows_at_the_same_time() {
    let (_folder, places) = lasting();
    for place in places {
        run(async {
            let store = place.open();
            let stop = CancellationToken::new();
            let gateways = [(); 2].map(|()| Arc::<Purses>::default());
            let [one, other] = &gateways;
            let keep = |purses: &Arc<Purses>, name: &str| {
                Keeper::new(Arc::clone(purses), place.open(), name.into()).keep(stop.clone())
            };
            let spend = async {
                gateways.iter().for_each(|purses| spend_one_of_each(purses));
                until_used(&store, KEYS, 2000).await;
                let forget = async |transaction: &Transaction<'_>| {
                    let leases = "delete from budget_lease where owner < 'key/4'";
                    transaction.execute(leases, &[]).await?;
                    let windows = "delete from budget_window where owner < 'key/4'";
                    transaction.execute(windows, &[]).await
                };
                store.write(soon(), forget).await.unwrap();
                gateways.iter().for_each(|purses| spend_one_of_each(purses));
                until_used(&store, KEYS, 4000).await;
                stop.cancel();
            };
            tokio::join!(keep(one, "one"), keep(other, "other"), spend);
            let windows = windows(&store).await;
            let is_right = |window: &StoredWindow| (window.used, window.leased) == (4000, 0);
            assert!(windows.iter().all(is_right), "{place:?} {windows:?}");
        });
    }
}
