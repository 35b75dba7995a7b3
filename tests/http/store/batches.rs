//! How calls come into the ledger: in batches, each once, whole or in pieces.

use std::sync::Arc;
use std::time::Duration;

use fal_gateway::accounts::LedgerWriter;
use fal_gateway::observe::calls::CallQueue;
use fal_gateway::observe::metrics::Metrics;
use fal_gateway::store::ledger::Source;
use fal_gateway::store::{StoreError, Transaction};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ledger::{DAY, batch, count, ended, report, rows, soon, write};
use super::{places, run};

/// A batch that was written without its gateway's knowing, and is tried in pieces then, counts once.
#[test]
fn halves_of_a_batch_that_was_written_unseen_are_not_written_again() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let call = |at| ended(DAY + at, "ci", "openai/gpt-4o", 1000, "yes");
        let whole = batch(1, (1..=5).map(call).collect());
        let (first, second) = whole.halves().unwrap();
        assert_eq!((first.last_row(), second.first_row), (2, 3));
        write(&database, &whole);
        for piece in [first, second, batch(6, vec![call(6)]).as_ref().clone()] {
            write(&database, &Arc::new(piece));
        }
        let numbers: Vec<i64> = rows(&database).iter().map(|row| row.place.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "{place:?}");
        let all = report(&database, &[], &[(0, i64::MAX)], Source::Sums);
        assert_eq!(all[0].sums.calls, 6, "{place:?}");
    }
}

/// What the store does not take costs nobody else his row.
#[test]
fn of_a_batch_that_the_store_refuses_only_the_call_is_lost_that_it_refuses() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        assert_eq!(rows(&database), []);
        let refuse = async |transaction: &Transaction<'_>| {
            let refuse = match transaction.is_postgres() {
                true => "alter table ledger add constraint odd check (key <> 'odd')",
                false => {
                    "create trigger odd before insert on ledger when new.key = 'odd' \
                     begin select raise(abort, 'odd'); end"
                }
            };
            transaction.execute(refuse, &[]).await
        };
        run(database.write(soon(), refuse)).unwrap();
        let (queue, stop) = (Arc::new(CallQueue::default()), CancellationToken::new());
        queue.allow(50);
        queue.push(["one", "odd", "two"].map(|key| ended(DAY, key, "m", 1000, "yes")));
        let metrics = Arc::new(Metrics::new().unwrap());
        let counter = Arc::clone(&metrics);
        let writer = LedgerWriter::new(queue, database.clone(), metrics, "gate".into());
        let count = |outcome| counter.ledger_rows.with_label_values(&[outcome]).get();
        run(async {
            let done = async {
                while count("written") + count("lost") < 3 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                stop.cancel();
            };
            tokio::join!(writer.write(stop.clone()), done)
        });
        assert_eq!((count("written"), count("lost")), (2, 1), "{place:?}");
        let keys: Vec<String> = rows(&database).into_iter().map(|row| row.key).collect();
        assert_eq!(keys, ["one", "two"], "{place:?}");
    }
}

/// Has each batch that is written leave a row.
async fn count_batches(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let steps: &[&'static str] = match transaction.is_postgres() {
        true => &[
            "create table batches (batch bigint)",
            "create function note_batch() returns trigger language plpgsql as \
             'begin insert into batches values (new.batch); return new; end'",
            "create trigger noted after insert or update on ledger_writer for each row \
             execute function note_batch()",
        ],
        false => &[
            "create table batches (batch bigint)",
            "create trigger inserted after insert on ledger_writer \
             begin insert into batches values (new.batch); end",
            "create trigger updated after update on ledger_writer \
             begin insert into batches values (new.batch); end",
        ],
    };
    for step in steps {
        transaction.execute(step, &[]).await?;
    }
    Ok(())
}

/// However many calls end one after another, the store is asked once a second, and once more for each
/// full batch.
#[test]
fn a_busy_gateway_does_not_write_each_call_by_itself() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        // A server's tables are made when it is first asked.
        assert_eq!(rows(&database), []);
        run(database.write(soon(), count_batches)).unwrap();
        let (queue, stop) = (Arc::new(CallQueue::default()), CancellationToken::new());
        queue.allow(50_000);
        let metrics = Arc::new(Metrics::new().unwrap());
        let calls = Arc::clone(&queue);
        let writer = LedgerWriter::new(calls, database.clone(), metrics, "gate".into());
        let begun = Instant::now();
        let pushed = run(async {
            let load = async {
                let mut pushed = 0;
                let mut tick = tokio::time::interval(Duration::from_millis(2));
                while begun.elapsed() < Duration::from_millis(2500) {
                    tick.tick().await;
                    queue.push([ended(DAY, "ci", "m", 1000, "yes")]);
                    pushed += 1;
                }
                stop.cancel();
                pushed
            };
            tokio::join!(load, writer.write(stop.clone())).0
        });
        let seconds = i64::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        let batches = count(&database, "select count(*) from batches");
        // The last is the one at the end.
        let most = seconds + pushed / 500 + 1;
        assert!(
            batches <= most,
            "{batches} of {most} for {pushed} calls, {place:?}"
        );
        assert!(batches > 0, "{place:?}");
    }
}
