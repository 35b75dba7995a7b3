//! Where the items of responses lie, and what the version before has kept.

use std::path::Path;
use std::time::Duration;

use fal_gateway::store::responses::{
    Chain, Continued, Kept, NewItem, NewResponse, Order, Owner, Page, Responses,
};
use fal_gateway::store::{Database, Transaction, migrations};
use serde_json::json;

use super::ledger::soon;
use super::lists::page_of;
use super::responses::{continuing, create, get, id, on_each, prompt, request, with};
use super::{Place, places, run};
use crate::support::Emulated;

/// How many items have rows of their own.
fn rows(path: &Path) -> i64 {
    let store = rusqlite::Connection::open(path).unwrap();
    let count = "select count(*) from item";
    store.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn items_that_lead_to_their_response_need_no_rows_and_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let fal = Emulated::start();
    let gateway = with(fal.setup(), &Place::File(path.clone())).start();
    let input = json!([
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Second"},
        {"role": "user", "content": "Third"}
    ]);
    let first = create(&gateway, &request(input));
    let second = create(&gateway, &continuing(&id(&first), "Fourth".into()));
    assert_eq!(rows(&path), 0);
    assert_eq!(
        get(&gateway, &id(&second)).json()["output"],
        second["output"]
    );
    let items = |query: &str| {
        let path = format!("/v1/responses/{}/input_items{query}", id(&first));
        gateway.get(&path).json()
    };
    let all = items("?order=asc");
    let texts = all["data"].as_array().unwrap().iter();
    let texts: Vec<_> = texts
        .map(|item| item["content"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["First", "Second", "Third"]);
    let after = all["data"][2]["id"].as_str().unwrap();
    let page = items(&format!("?order=desc&limit=1&after={after}"));
    assert_eq!(page["data"][0], all["data"][1]);
    assert_eq!(page["has_more"], true);
    // Both an item that was said and one that was asked, and what has another id by a row.
    for item in [&second["output"][0], &all["data"][0]] {
        let own = json!({"id": "msg_own", "role": "user", "content": "Own"});
        let reference = json!({"type": "item_reference", "id": item["id"]});
        create(&gateway, &request(json!([own, reference])));
        let text = item["content"][0]["text"].as_str().unwrap();
        assert!(prompt(&fal).contains(text), "{text}");
    }
    assert_eq!(rows(&path), 4);
    let own = json!([{"type": "item_reference", "id": "msg_own"}]);
    create(&gateway, &request(own));
    assert!(prompt(&fal).contains("Own"));
}

/// A file as the version before has left it: a response, one that continues it, and a thread of two whose
/// time is over.
fn old_file(path: &Path) {
    let store = rusqlite::Connection::open(path).unwrap();
    for step in migrations::MIGRATIONS
        .iter()
        .filter(|step| step.number < 16)
    {
        store.execute_batch(step.sqlite).unwrap();
        let note = "insert into schema_version values (?1, ?2, 0, '0.1.0')";
        store.execute(note, (step.number, step.name)).unwrap();
    }
    let far = i64::MAX;
    for (thread, until) in [("resp_old", far), ("resp_over", 1)] {
        let insert = "insert into thread values (?1, 'local', ?2, 700)";
        store.execute(insert, (thread, until)).unwrap();
        let more = format!("{thread}_more");
        for (id, parent, depth) in [(thread, None, 0), (&more, Some(thread), 1)] {
            let insert = "insert into response (id, owner, thread, parent, depth, chain_bytes, status, \
                          created_at, expires_at, bytes, head, tail) \
                          values (?1, 'local', ?2, ?3, ?4, 100, 'completed', 0, ?5, 350, '{\"output\":[', ']}')";
            let values = (id, thread, parent, depth, until);
            store.execute(insert, values).unwrap();
            for direction in [0, 1] {
                let item = format!("msg_{id}_{direction}");
                let body = format!("{{\"id\":\"{item}\"}}");
                let insert = "insert into item values (?1, ?2, 0, ?3, 'local', ?4)";
                store.execute(insert, (id, direction, item, body)).unwrap();
            }
        }
    }
    let space = "insert into space values ('local', 1400), ('other', 30)";
    store.execute(space, ()).unwrap();
}

#[test]
fn what_the_version_before_has_kept_is_there_and_goes_with_its_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    old_file(&path);
    let database = Place::File(path.clone()).open();
    let responses = Responses::new(database.clone(), 1 << 20);
    let owner = Owner::new("local");
    run(async {
        let old = responses.get(&owner, "resp_old").await.unwrap().unwrap();
        assert_eq!(old.json, "{\"output\":[{\"id\":\"msg_resp_old_1\"}]}");
        let page = Page {
            limit: 5,
            order: Order::OldestFirst,
            after: None,
        };
        let listed = responses.input_items(&owner, "resp_old", page).await;
        let listed = page_of(listed.unwrap()).items;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].0, "msg_resp_old_0");
        // What is new stands behind what is old.
        let new = NewResponse {
            id: "resp_0123456789abcdefnew".to_owned(),
            parent: Some("resp_old_more".to_owned()),
            conversation: None,
            status: "completed",
            head: "{".to_owned(),
            tail: "}".to_owned(),
            input: vec![item("msg_0123456789abcdef_in")],
            output: vec![item("msg_0123456789abcdef_out")],
            retention: Duration::from_secs(60),
        };
        assert_eq!(responses.put(&owner, new).await.unwrap(), Kept::Yes);
        let continued = Continued {
            previous: Some("resp_0123456789abcdefnew".to_owned()),
            items: vec!["msg_resp_old_1".to_owned()],
            ..Continued::default()
        };
        let found = responses.before(&owner, continued, 1 << 20).await.unwrap();
        let Chain::Found { before, items, .. } = found else {
            panic!("{found:?}");
        };
        let ids = [
            "msg_resp_old_0",
            "msg_resp_old_1",
            "msg_resp_old_more_0",
            "msg_resp_old_more_1",
            "msg_0123456789abcdef_in",
            "msg_0123456789abcdef_out",
        ];
        assert_eq!(before, ids.map(|id| item(id).body));
        assert_eq!(items.len(), 1);
        assert!(!responses.sweep().await.unwrap());
        assert!(responses.delete(&owner, "resp_old").await.unwrap());
    });
    let left = left(&database);
    assert_eq!(left, (2, 2, left.2, left.2), "{left:?}");
    assert_eq!(run(database.check()).unwrap(), Vec::<String>::new());
}

fn item(id: &str) -> NewItem {
    NewItem {
        id: id.to_owned(),
        body: format!("{{\"id\":\"{id}\"}}"),
    }
}

/// How many responses are there and how many items have rows, and what is taken up, by owners and in all.
fn left(database: &Database) -> (i64, i64, i64, i64) {
    let read = database.read(soon(), async |transaction: &Transaction<'_>| {
        let counts = "select cast((select count(*) from response where deleted_at is null) as bigint), \
                      cast((select count(*) from item) as bigint), \
                      cast((select coalesce(sum(bytes), 0) from space) as bigint), \
                      cast((select sum(bytes) from space_sum) as bigint)";
        let row = transaction.first(counts, &[]).await?.unwrap();
        Ok((
            row.integer(0)?,
            row.integer(1)?,
            row.integer(2)?,
            row.integer(3)?,
        ))
    });
    run(read).unwrap()
}

/// The version before counts for each owner alone, and may do so beside this one.
#[test]
fn what_all_owners_take_up_is_counted_whoever_counts_it_for_one() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        for (statement, all) in [
            (
                "insert into space (owner, bytes) values ('a', 7), ('b', 5)",
                12,
            ),
            (
                "insert into space (owner, bytes) values ('a', 3), ('c', 1) \
                 on conflict (owner) do update set bytes = space.bytes + excluded.bytes",
                16,
            ),
            ("update space set bytes = bytes - 4 where owner <> 'c'", 8),
            ("delete from space where owner = 'a'", 2),
            ("delete from space", 0),
        ] {
            let write = database.write(soon(), async move |transaction: &Transaction<'_>| {
                transaction.execute(statement, &[]).await
            });
            run(write).unwrap();
            assert_eq!(left(&database), (0, 0, all, all), "{place:?}: {statement}");
        }
    }
}

/// Many that are kept at once share a transaction, in which some of them make room for others.
#[test]
fn what_is_kept_at_once_is_counted_like_what_is_kept_by_itself() {
    const MOST: usize = 40_000;
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let responses = Responses::new(database.clone(), MOST);
        let owner = |number: i64| Owner::new(format!("owner-{}", number % 3));
        let put = |number: i64| {
            let responses = responses.clone();
            async move { responses.put(&owner(number), new_response(number)).await }
        };
        run(async {
            responses.sweep().await.unwrap();
            for kept in futures::future::join_all((0..120).map(put)).await {
                assert_eq!(kept.unwrap(), Kept::Yes, "{place:?}");
            }
        });
        let (count, _, owners, all) = left(&database);
        assert!((10..100).contains(&count), "{place:?}: {count}");
        assert_eq!(owners, all, "{place:?}");
        let threads = "select cast(coalesce(sum(bytes), 0) as bigint) from thread";
        assert_eq!(owners, self::count(&database, threads), "{place:?}");
        assert!(
            owners <= i64::try_from(MOST).unwrap(),
            "{place:?}: {owners}"
        );
        run(async {
            let delete = |number: i64| {
                let responses = responses.clone();
                async move {
                    responses
                        .delete(&owner(number), &new_response(number).id)
                        .await
                }
            };
            let deleted = futures::future::join_all((0..120).map(delete)).await;
            let deleted = deleted.into_iter().filter(|one| *one.as_ref().unwrap());
            assert_eq!(i64::try_from(deleted.count()).unwrap(), count, "{place:?}");
        });
        assert_eq!(left(&database), (0, 0, 0, 0), "{place:?}");
        sweep_all(&database, &responses);
        let owners = "select count(*) from space";
        assert_eq!(self::count(&database, owners), 0, "{place:?}");
    }
}

/// Lets the time of all threads be over, and deletes them.
fn sweep_all(database: &Database, responses: &Responses) {
    run(async {
        let end = async |transaction: &Transaction<'_>| {
            let end = "update thread set expires_at = 1";
            transaction.execute(end, &[]).await
        };
        database.write(soon(), end).await.unwrap();
        while responses.sweep().await.unwrap() {}
    });
    assert_eq!(count(database, "select count(*) from thread"), 0);
}

/// One of a size of its own.
fn new_response(number: i64) -> NewResponse {
    let id = format!("resp_{number:048}");
    NewResponse {
        parent: None,
        conversation: None,
        status: "completed",
        head: "{\"output\":[".to_owned(),
        tail: "]}".to_owned(),
        input: vec![item(&format!("msg_{number:016}_in"))],
        output: vec![item(&format!("msg_{}", "x".repeat(number as usize)))],
        retention: Duration::from_secs(3600),
        id,
    }
}

/// The number that a statement gives.
fn count(database: &Database, statement: &'static str) -> i64 {
    let read = database.read(soon(), async move |transaction: &Transaction<'_>| {
        transaction.first(statement, &[]).await?.unwrap().integer(0)
    });
    run(read).unwrap()
}

/// Whoever keeps something waits for nobody who has changed what others take up and is not done yet.
#[cfg(feature = "postgres")]
#[test]
fn who_deletes_of_many_owners_keeps_nobody_waiting() {
    let database = Place::Server(crate::support::PostgresServer::database()).open();
    let within = database.clone();
    let outer = database.write(soon(), async move |transaction: &Transaction<'_>| {
        let many = "insert into space (owner, bytes) \
                    select 'a' || named, 3 from generate_series(1, 100) as named";
        transaction.execute(many, &[]).await?;
        let inner = within.write(soon(), async |transaction: &Transaction<'_>| {
            let many = "insert into space (owner, bytes) \
                        select 'b' || named, 4 from generate_series(1, 100) as named";
            transaction.execute(many, &[]).await
        });
        inner.await
    });
    assert_eq!(run(outer).unwrap(), 100);
    assert_eq!(left(&database), (0, 0, 700, 700));
}

/// A response to these items, kept for so long.
fn response(id: &str, retention: Duration, input: Vec<NewItem>) -> NewResponse {
    NewResponse {
        id: id.to_owned(),
        parent: None,
        conversation: None,
        status: "completed",
        head: "{".to_owned(),
        tail: "}".to_owned(),
        input,
        output: Vec::new(),
        retention,
    }
}

#[test]
fn what_is_over_is_deleted_in_portions() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let responses = Responses::new(database.clone(), 1 << 20);
        run(async {
            for at in 0..30 {
                let new = response(&format!("resp_{at}"), Duration::ZERO, vec![item("msg_a")]);
                let owner = Owner::new(format!("owner {at}"));
                assert_eq!(responses.put(&owner, new).await.unwrap(), Kept::Yes);
            }
            assert!(responses.sweep().await.unwrap(), "{place:?}");
            assert!(!responses.sweep().await.unwrap(), "{place:?}");
        });
        assert_eq!(left(&database), (0, 0, 0, 0), "{place:?}");
    }
}

/// Within the time that the store has for it.
#[test]
fn thousands_of_items_of_one_response_can_be_named() {
    const COUNT: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let fal = Emulated::start();
    let gateway = with(fal.setup(), &Place::File(path.clone())).start();
    let said = |at: usize| json!({"role": "user", "content": format!("word {at}")});
    let first = create(&gateway, &request((0..COUNT).map(said).collect()));
    assert_eq!(rows(&path), 0);
    let (mut ids, mut after) = (Vec::new(), String::new());
    while ids.len() < COUNT {
        let page = format!(
            "/v1/responses/{}/input_items?order=asc&limit=100{after}",
            id(&first)
        );
        let page = gateway.get(&page).json();
        ids.extend(page["data"].as_array().unwrap().iter().map(id));
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
    let names = ids
        .iter()
        .map(|id| json!({"type": "item_reference", "id": id}));
    create(&gateway, &request(names.collect()));
    let prompt = prompt(&fal);
    for at in [0, COUNT / 2, COUNT - 1] {
        assert!(prompt.contains(&format!("word {at}")), "{at}");
    }
}

/// All that ids lead to is looked up at once, so that ids which nobody has cost next to nothing.
#[test]
fn items_of_many_responses_are_found_among_thousands_of_ids_that_nobody_has() {
    const COUNT: usize = 300;
    let (_folder, places) = places();
    for place in places {
        let responses = Responses::new(place.open(), 1 << 24);
        let owner = Owner::new("local");
        let there = |at: usize| format!("msg_{at:016}in");
        run(async {
            for at in 0..COUNT {
                let id = format!("resp_{at:016}more");
                let new = response(&id, Duration::from_secs(60), vec![item(&there(at))]);
                assert_eq!(responses.put(&owner, new).await.unwrap(), Kept::Yes);
            }
            let foreign = response(
                "resp_foreign890123456",
                Duration::from_secs(60),
                vec![item("msg_foreign890123456")],
            );
            let other = Owner::new("other");
            assert_eq!(responses.put(&other, foreign).await.unwrap(), Kept::Yes);
            let made_up = (0..4_000).map(|at| format!("msg_made{at:012}in"));
            let odd = [
                "msg_",
                "msg_%%%%%%%%%%%%%%%%in",
                "msg_\"'\"'\"'\"'\"'\"'\"'\"'in",
                "msg_0000000000000000",
                "msg_foreign890123456",
            ];
            let items = (0..COUNT).map(there).chain(made_up);
            let continued = Continued {
                items: items.chain(odd.map(str::to_owned)).collect(),
                ..Continued::default()
            };
            let found = responses.before(&owner, continued, 1 << 20).await.unwrap();
            let Chain::Found { items, .. } = found else {
                panic!("{place:?}: {found:?}");
            };
            let expected = (0..COUNT).map(|at| (there(at), item(&there(at)).body));
            assert_eq!(items, expected.collect(), "{place:?}");
        });
    }
}

#[test]
fn small_items_of_many_large_responses_are_not_all_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = Place::File(folder.path().join("store.sqlite")).open();
    let responses = Responses::new(database, 1 << 20);
    let owner = Owner::new("local");
    let common = |at: usize| format!("{at:016}");
    run(async {
        for at in 0..4 {
            let mut large = item(&format!("msg_{}large", common(at)));
            large.body = format!("\"{}\"", "x".repeat(1000));
            let small = item(&format!("msg_{}small", common(at)));
            let id = format!("resp_{}more", common(at));
            let new = response(&id, Duration::from_secs(60), vec![large, small]);
            assert_eq!(responses.put(&owner, new).await.unwrap(), Kept::Yes);
        }
        for (count, most, is_found) in [(4, 10_000, true), (1, 500, true), (4, 1_500, false)] {
            let items = (0..count).map(|at| format!("msg_{}small", common(at)));
            let continued = Continued {
                items: items.collect(),
                ..Continued::default()
            };
            match responses.before(&owner, continued, most).await.unwrap() {
                Chain::Found { items, .. } if is_found => assert_eq!(items.len(), count),
                Chain::TooLong if !is_found => {}
                other => panic!("{count} of {most}: {other:?}"),
            }
        }
    });
}

#[test]
fn an_id_means_what_was_said_under_it_and_else_what_was_sent_last() {
    on_each(|fal, gateway| {
        let first = create(gateway, &request("Old words".into()));
        let listed = gateway.get(&format!("/v1/responses/{}/input_items", id(&first)));
        let asked = id(&listed.json()["data"][0]);
        let said = &first["output"][0];
        for (role, sent) in [("user", asked.as_str()), ("assistant", &id(said))] {
            let again =
                json!({"type": "message", "id": sent, "role": role, "content": "New words"});
            let more = json!({"role": "user", "content": "And?"});
            create(gateway, &request(json!([again, more])));
        }
        let name = |id: &str| request(json!([{"type": "item_reference", "id": id}]));
        create(gateway, &name(&asked));
        let asked = prompt(fal);
        assert!(
            asked.contains("New words") && !asked.contains("Old words"),
            "{asked}"
        );
        create(gateway, &name(&id(said)));
        let told = prompt(fal);
        let text = said["content"][0]["text"].as_str().unwrap();
        assert!(told.contains(text) && !told.contains("New words"), "{told}");
    });
}
