//! The books of budgets, where what is said about them is lost on its way.

use std::sync::Arc;

use fal_gateway::access::purses::Purses;
use fal_gateway::accounts::Keeper;
use fal_gateway::budget::spending::Amounts;
use fal_gateway::budget::{Amount, Spending, Terms};
use fal_gateway::store::windows::{StoredWindow, WantedWindows};
use tokio_util::sync::CancellationToken;

use super::killed::lasting;
use super::{Place, run};

fn one_request() -> Spending {
    let amounts = Amounts {
        units: Amount(1000),
        requests: Amount(1),
        ..Amounts::default()
    };
    Spending::at(false, amounts)
}

async fn window(place: &Place) -> StoredWindow {
    let wanted = WantedWindows {
        owner: None,
        after: Default::default(),
        most: 2,
    };
    let mut windows = place.open().windows(wanted).await.unwrap();
    assert_eq!(windows.len(), 1);
    windows.remove(0)
}

/// A gateway that learns with its last word to the store that it has drawn something before, in an
/// answer that never came, gives that back too.
#[test]
fn what_was_drawn_and_never_heard_of_is_given_back_at_the_end() {
    let (_folder, places) = lasting();
    for place in places {
        run(async {
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
