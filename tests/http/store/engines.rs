//! What a database promises, whatever lies beneath it.

use std::time::Duration;

use fal_gateway::store::{Database, StoreError, Transaction, Value, migrations};
use tokio::time::Instant;

use super::{places, run};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn put(
    database: &Database,
    name: &'static str,
    value: &'static [u8],
) -> Result<u64, StoreError> {
    let insert = "insert into meta (name, value) values ($1, $2)";
    database
        .write(soon(), async move |transaction| {
            transaction
                .execute(insert, &[name.into(), Value::Bytes(value)])
                .await
        })
        .await
}

async fn count(database: &Database) -> i64 {
    let counted = database.read(soon(), async |transaction| {
        let row = transaction.first("select count(*) from meta", &[]).await?;
        row.unwrap().integer(0)
    });
    counted.await.unwrap()
}

#[test]
fn what_is_committed_is_there_and_what_fails_leaves_nothing() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        run(async {
            assert_eq!(put(&database, "one", b"\0\x01").await.unwrap(), 1);
            let failed = database.write(soon(), async |transaction| {
                transaction.execute("delete from meta", &[]).await?;
                Err::<(), _>(StoreError::Full)
            });
            assert!(matches!(failed.await, Err(StoreError::Full)), "{place:?}");
            let again = put(&database, "one", b"twice").await;
            assert!(
                matches!(again, Err(StoreError::Failed(_))),
                "{place:?}: {again:?}"
            );
            assert_eq!(count(&database).await, 1, "{place:?}");
        });
    }
}

#[test]
fn values_come_back_as_they_were_given() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        run(database.write(soon(), async |transaction| {
            let make = "create table thing (a bigint, b text, c bytea, d text)";
            transaction.execute(make, &[]).await?;
            // Out of their order, and one of them twice.
            let insert = "insert into thing (b, a, c, d) values ($2, $1, $3, coalesce($4, $2))";
            let values = [
                i64::MIN.into(),
                "naïve ? ' text".into(),
                Value::Bytes(b"\0\xff"),
                Value::Null,
            ];
            transaction.execute(insert, &values).await?;
            let mut row = transaction
                .first("select a, b, c, d, null from thing", &[])
                .await?
                .unwrap();
            assert_eq!(row.integer(0)?, i64::MIN);
            assert_eq!(row.text(1)?, "naïve ? ' text");
            assert_eq!(row.bytes(2)?, b"\0\xff");
            assert_eq!(row.text(3)?, "naïve ? ' text");
            assert_eq!(row.optional_text(4)?, None);
            assert!(row.integer(1).is_err());
            Ok(())
        }))
        .unwrap();
    }
}

#[test]
fn a_fault_in_a_transaction_ends_that_transaction_alone() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        run(async {
            let wrong = database.write(soon(), async |transaction| {
                transaction.execute("no sql", &[]).await
            });
            assert!(
                matches!(wrong.await, Err(StoreError::Failed(_))),
                "{place:?}"
            );
            put(&database, "after", b"").await.unwrap();
            assert_eq!(count(&database).await, 1, "{place:?}");
        });
    }
}

/// Those who write together fail by themselves: neither an error nor a fault of ours takes others along.
#[test]
fn what_is_written_together_fails_by_itself_and_is_there_once() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        run(async {
            database.reach().await.unwrap();
            let put = |number: i64| {
                let database = database.clone();
                async move {
                    let insert = "insert into meta (name, value) values ($1, $2)";
                    let write = async move |transaction: &Transaction<'_>| {
                        let name = number.to_string();
                        let values = [(&name).into(), Value::Bytes(b"")];
                        transaction.execute(insert, &values).await?;
                        if number % 10 == 3 {
                            // Work that takes its time, behind which others do not wait for more.
                            std::thread::sleep(Duration::from_millis(25));
                        }
                        match number {
                            7 => Err(StoreError::Full),
                            _ => Ok(number),
                        }
                    };
                    database.write_together(soon(), write).await
                }
            };
            let written = futures::future::join_all((0..40).map(put)).await;
            for (number, written) in (0..).zip(written) {
                match number {
                    7 => assert!(matches!(written, Err(StoreError::Full)), "{written:?}"),
                    _ => assert_eq!(written.unwrap(), number),
                }
            }
            assert_eq!(count(&database).await, 39, "{place:?}");
        });
    }
}

#[test]
fn whoever_waits_longer_than_he_will_is_told_that_it_is_busy() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let late = run(database.write(Instant::now(), async |_| Ok(())));
        assert!(matches!(late, Err(StoreError::Busy)), "{place:?}");
    }
}

#[test]
fn two_that_start_at_once_both_find_their_tables() {
    let (_folder, places) = places();
    for place in places {
        let open = || {
            let database = place.open();
            run(database.reach()).unwrap();
            let status = run(database.status()).unwrap();
            assert_eq!(status.version(), migrations::newest());
            assert_eq!(status.applied.len(), migrations::MIGRATIONS.len());
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(open);
            }
        });
    }
}

#[test]
fn tables_of_a_newer_program_are_left_alone() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let future = migrations::newest() + 7;
        let database = place.open();
        run(database.write(soon(), async move |transaction| {
            let insert = "insert into schema_version (number, name, applied_at, program) values ($1, $2, $3, $4)";
            let values = [future.into(), "later".into(), 0.into(), "9.9.9".into()];
            transaction.execute(insert, &values).await
        }))
        .unwrap();
        let settings = place.config().store;
        let reached = Database::open(&settings).and_then(|database| run(database.reach()));
        let Err(StoreError::Newer { found, known }) = reached else {
            panic!("{place:?}: {reached:?}");
        };
        assert_eq!((found, known), (future, migrations::newest()));
        // To look at it is possible all the same.
        let status = run(Database::open_as_it_is(&settings).unwrap().status()).unwrap();
        assert_eq!(status.version(), future);
    }
}

#[test]
fn many_at_once_are_all_served() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        run(async {
            let make = "create table counter (id bigint primary key, value bigint not null)";
            database
                .write(soon(), async |transaction| {
                    transaction.execute(make, &[]).await
                })
                .await
                .unwrap();
            let begin = "insert into counter values (1, 0)";
            database
                .write(soon(), async |transaction| {
                    transaction.execute(begin, &[]).await
                })
                .await
                .unwrap();
            let step = || {
                database.write(soon(), async |transaction| {
                    transaction
                        .execute("update counter set value = value + 1 where id = 1", &[])
                        .await
                })
            };
            let all = futures::future::join_all((0..200).map(|_| step())).await;
            assert!(all.iter().all(|one| matches!(one, Ok(1))), "{place:?}");
            let read = database.read(soon(), async |transaction| {
                transaction
                    .first("select value from counter", &[])
                    .await?
                    .unwrap()
                    .integer(0)
            });
            assert_eq!(read.await.unwrap(), 200, "{place:?}");
        });
    }
}

/// The certificate of a server is checked, its name and all, by the authority that is named for it.
#[cfg(feature = "postgres")]
#[test]
fn the_line_to_a_server_is_as_safe_as_its_address_says() {
    use crate::support::{Authority, PostgresServer};
    use fal_gateway::config::{Config, Sources};
    let near = PostgresServer::database();
    let named = near.replace("127.0.0.1", "localhost");
    let (known, other) = (PostgresServer::authority().file(), Authority::new());
    let strange = "UnknownIssuer";
    for (address, mode, authority, refusal) in [
        (&near, "", None, None),
        (&named, "?sslmode=disable", None, None),
        (&named, "?sslmode=require", Some(known), None),
        (&named, "?sslmode=verify-full", Some(known), None),
        (&named, "?sslmode=verify-full", None, Some(strange)),
        (
            &named,
            "?sslmode=require",
            Some(other.file()),
            Some("BadSignature"),
        ),
        (
            &near,
            "?sslmode=verify-full",
            Some(known),
            Some("not valid for name"),
        ),
    ] {
        let variable = |name: &str| format!("FAL_GATEWAY__STORE__{name}");
        let sources = Sources::default().with_env(variable("URL"), format!("{address}{mode}"));
        let sources = match authority {
            Some(file) => sources.with_env(variable("CA_FILE"), file.display().to_string()),
            None => sources,
        };
        let database = Database::open(&Config::load(&sources).unwrap().store).unwrap();
        let status = run(database.status());
        let shown = format!("{address}{mode}, {authority:?}: {status:?}");
        match (status, refusal) {
            (Ok(_), None) => {}
            (Err(error), Some(refusal)) => assert!(error.to_string().contains(refusal), "{shown}"),
            _ => panic!("{shown}"),
        }
    }
}
