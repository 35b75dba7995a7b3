//! A line to PostgreSQL that stalls, and one that is cut.

use std::thread;
use std::time::{Duration, Instant};

use fal_gateway::store::{Database, StoreError};
use tokio::time::Instant as Deadline;

use super::{Place, run};
use crate::support::{Held, PostgresServer, Relay, until};

fn write(database: &Database, limit: Duration) -> Result<u64, StoreError> {
    let put = "insert into meta (name, value) values ('n' || (select count(*) from meta), '')";
    let deadline = Deadline::now() + limit;
    run(database.write(deadline, async |transaction| {
        transaction.execute(put, &[]).await
    }))
}

/// A write that finds its way, at some time.
fn until_it_works(database: &Database) {
    until("the store works again", || {
        write(database, Duration::from_secs(5)).ok()
    });
}

#[test]
fn a_line_that_stalls_costs_no_more_than_the_deadline() {
    let (line, address) = Relay::to(&PostgresServer::database());
    let database = Place::Server(address).open();
    until_it_works(&database);
    line.stall();
    for _ in 0..6 {
        let begun = Instant::now();
        let failed = write(&database, Duration::from_millis(200));
        assert!(
            matches!(failed, Err(StoreError::Busy | StoreError::Gone(_))),
            "{failed:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(6));
    }
    line.flow();
    until_it_works(&database);
}

#[test]
fn a_line_that_is_cut_is_told_of_at_once_and_made_again() {
    let (line, address) = Relay::to(&PostgresServer::database());
    let database = Place::Server(address).open();
    until_it_works(&database);
    line.cut();
    let begun = Instant::now();
    for _ in 0..6 {
        let failed = write(&database, Duration::from_secs(30));
        assert!(matches!(failed, Err(StoreError::Gone(_))), "{failed:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    line.flow();
    until_it_works(&database);
}

#[test]
fn a_server_that_is_not_there_at_the_start_is_taken_when_it_is() {
    let (line, address) = Relay::to(&PostgresServer::database());
    line.cut();
    let database = Place::Server(address).open();
    assert!(matches!(
        write(&database, Duration::from_secs(5)),
        Err(StoreError::Gone(_))
    ));
    line.flow();
    until_it_works(&database);
}

#[test]
fn what_waits_for_a_new_connection_is_done_by_one_that_is_free_before() {
    let direct = PostgresServer::database();
    let (line, address) = Relay::to(&direct);
    let database = Place::Server(address).open();
    until_it_works(&database);
    line.shut();
    let held = Held::new(&direct, "lock table meta in access exclusive mode");
    thread::scope(|scope| {
        let first = scope.spawn(|| write(&database, Duration::from_secs(60)));
        until("it waits", || (held.waiting() == 1).then_some(()));
        // The server is slow to take this one's connection, for longer than it may wait.
        let second = scope.spawn(|| write(&database, Duration::from_millis(2500)));
        until("it connects", || (line.outside() > 0).then_some(()));
        drop(held);
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
    });
}
