//! Lists of what is kept: how long a page may be, and what looking through many takes, on every engine.

use std::pin::pin;
use std::time::Duration;

use fal_gateway::store::responses::{
    Chain, Continued, Filter, Listed, Listing, NewCompletion, NewItem, NewResponse, Order, Owner,
    Page, Responses, Search,
};
use fal_gateway::store::{Database, StoreError, Transaction, migrations};
use futures::future::{Either, select};
use serde_json::{Value, json};

use super::ledger::soon;
use super::responses::on_each_with;
use super::{Place, places, run};
use crate::support::{Call, TestGateway};

const MIB: usize = 1 << 20;
const KEPT: Duration = Duration::from_secs(600);

fn owner() -> Owner {
    Owner::new("local")
}

/// Items of so many MiB each.
fn items(sizes: &[usize]) -> Vec<NewItem> {
    let items = sizes.iter().enumerate().map(|(at, size)| NewItem {
        id: format!("item_{at}"),
        body: format!("\"{}\"", "x".repeat(size * MIB)),
    });
    items.collect()
}

fn completion(id: &str, body: String, messages: Vec<NewItem>) -> NewCompletion {
    NewCompletion {
        id: id.to_owned(),
        model: "m".to_owned(),
        metadata: "{}".to_owned(),
        body,
        messages,
        retention: KEPT,
    }
}

/// The ids of each page of a list.
fn pages(order: Order, list: impl Fn(Page) -> Result<Listing, StoreError>) -> Vec<Vec<String>> {
    let mut pages: Vec<Vec<String>> = Vec::new();
    loop {
        let last = pages.last().and_then(|ids| ids.last()).cloned();
        let page = list(Page {
            limit: 100,
            order,
            after: last,
        })
        .unwrap();
        pages.push(page.items.into_iter().map(|(id, _)| id).collect());
        if !page.has_more {
            return pages;
        }
    }
}

pub(super) fn page_of(listed: Listed) -> Listing {
    match listed {
        Listed::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_has_eight_mebibytes_at_most_and_one_item_at_least() {
    const SIZES: [usize; 6] = [3, 3, 3, 9, 1, 1];
    let forward: [&[usize]; 4] = [&[0, 1], &[2], &[3], &[4, 5]];
    let backward: [&[usize]; 4] = [&[5, 4], &[3], &[2, 1], &[0]];
    let (_folder, places) = places();
    for place in places {
        let kept = Responses::new(place.open(), 1 << 30);
        let items = || items(&SIZES);
        run(kept.put(&owner(), response("resp_1", items(), Vec::new()))).unwrap();
        let conversation = "conv_1".to_owned();
        run(kept.create_conversation(&owner(), conversation, "{}".to_owned(), items(), KEPT))
            .unwrap();
        let messages = completion("chatcmpl-0", "{".to_owned(), items());
        run(kept.put_completion(&owner(), messages)).unwrap();
        for (order, ids) in [
            (Order::OldestFirst, forward),
            (Order::NewestFirst, backward),
        ] {
            let ids = ids.map(|page| {
                page.iter()
                    .map(|at| format!("item_{at}"))
                    .collect::<Vec<_>>()
            });
            let input = pages(order, |page| {
                run(kept.input_items(&owner(), "resp_1", page)).map(page_of)
            });
            let said = pages(order, |page| {
                run(kept.conversation_items(&owner(), "conv_1", page)).map(page_of)
            });
            let asked = pages(order, |page| {
                run(kept.completion_messages(&owner(), "chatcmpl-0", page)).map(page_of)
            });
            for pages in [input, said, asked] {
                assert_eq!(pages, ids, "{place:?} {order:?}");
            }
        }
    }
}

fn response(id: &str, input: Vec<NewItem>, output: Vec<NewItem>) -> NewResponse {
    NewResponse {
        id: id.to_owned(),
        parent: None,
        conversation: None,
        status: "completed",
        head: String::new(),
        tail: String::new(),
        input,
        output,
        retention: KEPT,
    }
}

fn item(id: &str, body: &str) -> NewItem {
    NewItem {
        id: id.to_owned(),
        body: format!("\"{body}\""),
    }
}

/// What is found of items that a request names.
fn named(kept: &Responses, ids: Vec<String>, most: usize) -> Chain {
    let continued = Continued {
        items: ids,
        ..Continued::default()
    };
    run(kept.before(&owner(), continued, most)).unwrap()
}

/// Output goes before what was sent, and what was sent last before the rest.
#[test]
fn many_items_are_found_by_their_ids_at_once() {
    let (_folder, places) = places();
    for place in places {
        let kept = Responses::new(place.open(), 1 << 30);
        let ids: Vec<String> = (0..3000).map(|at| format!("item_{at}")).collect();
        let input = ids.iter().map(|id| item(id, "old")).collect();
        let said = vec![item("said", "said")];
        run(kept.put(&owner(), response("resp_1", input, said))).unwrap();
        let again = vec![item("item_0", "new"), item("said", "sent")];
        run(kept.put(&owner(), response("resp_2", again, Vec::new()))).unwrap();
        let talk = vec![item("talk", "talk"), item("item_1", "talk")];
        let conversation = "conv_1".to_owned();
        run(kept.create_conversation(&owner(), conversation, "{}".to_owned(), talk, KEPT)).unwrap();
        let mut wanted = ids.clone();
        wanted.extend(["said", "talk", "none", "a\0", "it's \"so\""].map(str::to_owned));
        let Chain::Found { items, .. } = named(&kept, wanted.clone(), 1 << 20) else {
            panic!("{place:?}");
        };
        assert_eq!(items.len(), 3002, "{place:?}");
        let told = ["item_0", "item_1", "item_2999", "said", "talk"].map(|id| items[id].as_str());
        let expected = ["new", "old", "old", "said", "talk"].map(|body| format!("\"{body}\""));
        assert_eq!(told, expected.each_ref().map(String::as_str), "{place:?}");
        let too_long = named(&kept, wanted, 5000);
        assert!(matches!(too_long, Chain::TooLong), "{too_long:?}");
    }
}

/// Puts responses into the tables at once, each of which was asked the same item with a number of its own,
/// and one more whose time is over.
fn put_copies(database: &Database, count: i64) {
    const NUMBERS: &str = "with recursive number (at) as \
                           (select cast($1 as bigint) union all select at - 1 from number where at > 0) ";
    let put = async move |transaction: &Transaction<'_>| {
        let threads = "insert into thread (id, owner, expires_at, bytes) \
                       values ('kept', 'local', $1, 100), ('over', 'local', 1, 100)";
        transaction.execute(threads, &[i64::MAX.into()]).await?;
        let responses = "insert into response (id, owner, thread, depth, chain_bytes, status, created_at, \
                         expires_at, bytes, head, tail) \
                         select 'copy_' || cast(at as text), 'local', \
                         case when at = $1 then 'over' else 'kept' end, \
                         0, 0, 'completed', at, 0, 100, '', '' from number";
        let items = "insert into item (response, direction, position, id, owner, body, created_at) \
                     select 'copy_' || cast(at as text), 0, 0, 'again', 'local', cast(at as text), at \
                     from number";
        for copies in [responses, items] {
            let sql = [NUMBERS, copies].concat().leak();
            transaction.execute(sql, &[count.into()]).await?;
        }
        Ok(())
    };
    run(database.write(soon(), put)).unwrap();
}

/// A client that goes on by references alone has the gateway write what it names once more each time.
#[test]
fn an_item_is_found_however_often_it_was_sent_again() {
    const COUNT: i64 = 120_000;
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let kept = Responses::new(database.clone(), 1 << 30);
        let said = "msg_0123456789abcdefsaid";
        let first = "resp_0123456789abcdeffirst";
        run(kept.put(&owner(), response(first, Vec::new(), vec![item(said, "x")]))).unwrap();
        put_copies(&database, COUNT);
        let find = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned());
            match named(&kept, ids.collect(), 1 << 20) {
                Chain::Found { items, .. } => items,
                other => panic!("{place:?}: {other:?}"),
            }
        };
        assert_eq!(
            find(&["again"])["again"],
            (COUNT - 1).to_string(),
            "{place:?}"
        );
        let again = vec![item("again", "latest"), item(said, "y")];
        run(kept.put(&owner(), response("resp_again", again, Vec::new()))).unwrap();
        let found = find(&["again", said, "none"]);
        assert_eq!(found.len(), 2, "{place:?}");
        assert_eq!(
            (&*found["again"], &*found[said]),
            ("\"latest\"", "\"x\""),
            "{place:?}"
        );
    }
}

/// Also of what the version before has kept, which knew no times of items.
#[test]
fn the_latest_copy_that_was_kept_before_is_found() {
    let (_folder, places) = places();
    for place in places {
        if matches!(place, Place::Memory) {
            continue;
        }
        let database = place.open();
        let kept = Responses::new(database.clone(), 1 << 30);
        for (id, said) in [
            ("resp_one", "older"),
            ("resp_two", "newer"),
            ("resp_zed", "oldest"),
        ] {
            let sent = vec![item("again", said), item(said, "once")];
            run(kept.put(&owner(), response(id, sent, Vec::new()))).unwrap();
        }
        let step = migrations::MIGRATIONS
            .iter()
            .find(|step| step.name == "copies of items")
            .unwrap();
        let is_file = matches!(place, Place::File(_));
        let step = if is_file { step.sqlite } else { step.postgres };
        place.execute(&format!(
            "update response set created_at = 2 where id = 'resp_one'; \
             update response set created_at = 3 where id = 'resp_two'; \
             update response set created_at = 1 where id = 'resp_zed'; \
             drop index item_by_id; alter table item drop column created_at; \
             create index item_by_id on item (owner, id); {step}"
        ));
        let ids = ["again", "older"].map(str::to_owned);
        match named(&kept, ids.to_vec(), 1 << 20) {
            Chain::Found { items, .. } => {
                assert_eq!(&*items["again"], "\"newer\"", "{place:?}");
                assert_eq!(&*items["older"], "\"once\"", "{place:?}");
            }
            other => panic!("{place:?}: {other:?}"),
        }
    }
}

#[test]
fn a_page_of_completions_has_an_end_too() {
    let (_folder, places) = places();
    for place in places {
        let kept = Responses::new(place.open(), 1 << 30);
        for (at, size) in [3, 3, 3, 9, 1].into_iter().enumerate() {
            let body = format!("{{\"text\":\"{}\"", "x".repeat(size * MIB));
            run(kept.put_completion(
                &owner(),
                completion(&format!("chatcmpl-{at}"), body, Vec::new()),
            ))
            .unwrap();
        }
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let listed = pages(order, |page| {
                run(kept.completions(&owner(), Filter::default(), page)).map(|found| match found {
                    Search::Found(listing) => listing,
                    Search::NotThere | Search::TooMany { .. } => panic!("there are few"),
                })
            });
            let mut all: Vec<_> = listed.iter().flatten().collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 5, "{listed:?}");
            assert!((3..=5).contains(&listed.len()), "{listed:?}");
        }
    }
}

/// Puts many completions into the tables at once.
fn put_many(database: &Database, count: i64) {
    let put = async move |transaction: &Transaction<'_>| {
        let names: Vec<String> = (0..count).map(|at| format!("chatcmpl-{at:06}")).collect();
        let thread =
            "insert into thread (id, owner, expires_at, bytes) values ($1, 'local', $2, 100)";
        let kept = "insert into chat_completion (id, owner, created_at, model, metadata, body) \
                    values ($1, 'local', $2, 'm', '{\"topic\":\"tea\"}', '{\"id\":1')";
        let threads: Vec<_> = names
            .iter()
            .map(|name| [name.into(), i64::MAX.into()])
            .collect();
        let completions: Vec<_> = names
            .iter()
            .zip(0_i64..)
            .map(|(name, at)| [name.into(), at.into()])
            .collect();
        transaction.execute_each(thread, &threads).await?;
        transaction.execute_each(kept, &completions).await
    };
    run(database.write(soon(), put)).unwrap();
}

#[test]
fn a_search_through_many_completions_has_an_end_and_lets_others_read_meanwhile() {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let kept = Responses::new(database.clone(), 1 << 30);
        // Makes the tables of a server.
        assert_eq!(run(kept.completion(&owner(), "none")).unwrap(), None);
        put_many(&database, 5_300);
        let filter = || Filter {
            model: None,
            metadata: [("topic".to_owned(), "rum".to_owned())].into(),
        };
        let page = |after: Option<String>| Page {
            limit: 20,
            order: Order::OldestFirst,
            after,
        };
        let (found, owner) = (owner(), owner());
        let first = run(async {
            let search = pin!(kept.completions(&found, filter(), page(None)));
            let other = pin!(kept.completion(&owner, "chatcmpl-000001"));
            match select(search, other).await {
                Either::Left(_) => panic!("the other reader has waited for all of the search"),
                Either::Right((read, search)) => {
                    assert!(read.unwrap().is_some());
                    search.await.unwrap()
                }
            }
        });
        let Search::TooMany { searched, last } = first else {
            panic!("{first:?}");
        };
        assert_eq!(
            (searched, last.as_str()),
            (5_000, "chatcmpl-004999"),
            "{place:?}"
        );
        let rest = run(kept.completions(&owner, filter(), page(Some(last)))).unwrap();
        let Search::Found(rest) = rest else {
            panic!("{rest:?}");
        };
        assert_eq!((rest.items.len(), rest.has_more), (0, false));
    }
}

fn list(gateway: &TestGateway, path: &str, limit: usize) -> (u16, Value) {
    let answer = gateway.call(&Call::get(&format!("{path}/items?limit={limit}")));
    (answer.status, answer.json())
}

#[test]
fn what_lists_take_up_counts_as_memory_and_is_given_back() {
    on_each_with(
        |setup| {
            setup
                .set("limits.max_body_memory", "2MiB")
                .set("server.max_body", "1MiB")
        },
        |_, gateway| {
            let post = |path: &str, body: &Value| {
                let call = Call::new("POST", path).header("content-type", "application/json");
                let answer = gateway.call(&call.body(body.to_string()));
                assert_eq!(answer.status, 200, "{}", answer.text());
                answer.json()
            };
            let made = post("/v1/conversations", &json!({}));
            let path = format!("/v1/conversations/{}", made["id"].as_str().unwrap());
            for _ in 0..2 {
                let item = json!({"role": "user", "content": "x".repeat(600 * 1024)});
                post(&format!("{path}/items"), &json!({"items": [item]}));
            }
            for _ in 0..5 {
                let (status, one) = list(gateway, &path, 1);
                assert_eq!((status, &one["has_more"]), (200, &json!(true)));
            }
            let (status, both) = list(gateway, &path, 2);
            assert_eq!(
                (status, &both["error"]["code"]),
                (503, &json!("overloaded"))
            );
        },
    );
}
