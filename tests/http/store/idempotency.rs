//! `Idempotency-Key`, on every engine and every paid route.

use std::thread;
use std::time::Duration;

use fal_gateway::store::Transaction;
use fal_gateway::store::responses::{Claimed, Keyed, Owner};
use serde_json::{Value, json};

use super::interrupted::{LONG, change, each};
use super::kills::Victim;
use super::responses::{delete, id, on_each, on_each_with, ready, with};
use super::{Place, places};
use crate::support::{
    Answer, Call, Emulated, Raw, ScriptedUpstream, Step, final_event, one_and_two_later, question,
    sse, sse_head, until,
};

/// Every paid route, with a request that says this.
fn routes(text: &str) -> [(&'static str, Value); 4] {
    let messages = json!([{"role": "user", "content": text}]);
    [
        ("/v1/chat/completions", question(text, false)),
        ("/v1/completions", json!({"prompt": text})),
        (
            "/v1/responses",
            json!({"model": "openai/gpt-4o-mini", "input": text}),
        ),
        (
            "/v1/messages",
            json!({"model": "openai/gpt-4o-mini", "max_tokens": 100, "messages": messages}),
        ),
    ]
}

fn keyed(key: &str, path: &str, body: &Value) -> Call {
    let call = Call::new("POST", path).header("content-type", "application/json");
    call.header("idempotency-key", key).body(body.to_string())
}

fn chat(key: &str, text: &str) -> Call {
    keyed(key, "/v1/chat/completions", &question(text, false))
}

fn replayed(answer: &Answer) -> Option<&str> {
    answer.header("x-gateway-replayed")
}

/// What cannot be a key is refused as well where nothing is sent, since it would be refused later.
#[test]
fn what_cannot_be_a_key_is_refused_whatever_is_asked() {
    on_each(|fal, gateway| {
        for (path, body) in routes("echo hi") {
            for key in ["", "a key", &"k".repeat(256)] {
                for explains in ["true", "false"] {
                    let call = keyed(key, path, &body).header("x-gateway-explain", explains);
                    let answer = gateway.call(&call);
                    assert_eq!(answer.status, 400, "{path} {key:?}: {}", answer.text());
                    assert!(answer.text().contains("Idempotency-Key"), "{path} {key:?}");
                }
            }
        }
        assert_eq!(fal.count(), 0);
    });
}

/// What no reader of JSON takes may stand where nobody reads it.
#[test]
fn a_key_holds_for_every_body_that_is_taken() {
    on_each(|fal, gateway| {
        let mut calls = 0;
        for (path, body) in routes("echo hi") {
            let body = body.to_string();
            let values = [r#""\ud800""#, "1e999", &"9".repeat(400)];
            let mut odd = vec![format!("\u{feff}{body}")];
            odd.extend(values.map(|value| format!("{{\"zzz\":{value},{}", &body[1..])));
            for body in odd {
                let key = format!("key-{calls}");
                let send = |body: &str| {
                    gateway.call(&keyed(&key, path, &Value::Null).body(body.to_owned()))
                };
                let first = send(&body);
                assert_eq!((first.status, replayed(&first)), (200, None), "{body}");
                calls += 1;
                let again = send(&body);
                assert_eq!(
                    (again.status, replayed(&again)),
                    (200, Some("answer")),
                    "{path} {body}"
                );
                assert_eq!(again.text(), first.text(), "{path} {body}");
                let other = send(&body.replace("echo hi", "echo ho"));
                assert_eq!(other.status, 422, "{path} {body}");
                assert_eq!(fal.count(), calls, "{path} {body}");
            }
        }
    });
}

#[test]
fn a_request_with_a_key_is_worked_on_once() {
    on_each(|fal, gateway| {
        let mut calls = 0;
        for (path, body) in routes("echo hi") {
            for stream in [false, true] {
                let mut body = body.clone();
                body["stream"] = stream.into();
                let key = format!("key-{calls}");
                let first = gateway.call(&keyed(&key, path, &body));
                assert_eq!(
                    (first.status, replayed(&first)),
                    (200, None),
                    "{}",
                    first.text()
                );
                calls += 1;
                // Another spelling is the same request.
                let spelt =
                    keyed(&key, path, &body).body(serde_json::to_string_pretty(&body).unwrap());
                for again in [keyed(&key, path, &body), spelt] {
                    let again = gateway.call(&again);
                    assert_eq!(
                        (again.status, replayed(&again)),
                        (200, Some("answer")),
                        "{path}"
                    );
                    assert_eq!(again.text(), first.text(), "{path}");
                    for name in ["content-type", "x-fal-request-id", "x-gateway-usage"] {
                        assert_eq!(again.header(name), first.header(name), "{path} {name}");
                    }
                }
                assert_eq!(fal.count(), calls, "{path}");
            }
        }
        let (first, second) = (
            gateway.ask(&question("echo hi", false)),
            gateway.ask(&question("echo hi", false)),
        );
        assert_ne!(
            first.json()["id"],
            second.json()["id"],
            "without a key nothing is the same"
        );
    });
}

#[test]
fn a_key_belongs_to_its_request_and_its_caller() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| setup.set("auth.keys", &keys),
        |fal, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let first = by("sk-alice", chat("mine", "echo hi"));
            assert_eq!(first.status, 200);
            let others = [
                chat("mine", "echo ho"),
                keyed("mine", "/v1/completions", &json!({"prompt": "echo hi"})),
                chat("mine", "echo hi").header("x-fal-priority", "latency"),
            ];
            for other in others {
                let refused = by("sk-alice", other);
                assert_eq!(
                    refused.verdict(),
                    "422 invalid_request_error idempotency_mismatch"
                );
            }
            assert_eq!(fal.count(), 1);
            let foreign = by("sk-bob", chat("mine", "echo ho"));
            assert_eq!((foreign.status, replayed(&foreign)), (200, None));
            for bad in ["", "two words", &"k".repeat(256)] {
                let refused = by("sk-alice", chat(bad, "echo hi"));
                assert_eq!(
                    refused.verdict(),
                    "400 invalid_request_error invalid_value",
                    "{bad:?}"
                );
            }
            assert_eq!(
                by("sk-alice", chat(&"k".repeat(255), "echo hi")).status,
                200
            );
        },
    );
}

#[test]
fn what_failed_for_nothing_is_tried_again_and_what_was_paid_for_is_told_again() {
    on_each(|fal, gateway| {
        let free = chat("free", "/emulate status:500\nhi");
        let paid = chat("paid", "Hi /emulate error200");
        let first = gateway.call(&free);
        assert_eq!(first.status, 502, "{}", first.text());
        let calls = fal.count();
        assert_eq!(gateway.call(&free).status, 502);
        assert!(fal.count() > calls, "it is tried again");
        let first = gateway.call(&paid);
        let calls = fal.count();
        let again = gateway.call(&paid);
        assert_eq!(
            (again.status, replayed(&again)),
            (first.status, Some("failure"))
        );
        assert_eq!(again.header("x-should-retry"), Some("false"));
        assert_eq!(again.error()["code"], first.error()["code"]);
        assert_eq!(fal.count(), calls);
        // What is refused before anything is sent leaves no trace.
        let refused = keyed("mended", "/v1/chat/completions", &json!({"messages": []}));
        assert_eq!(gateway.call(&refused).status, 400);
        assert_eq!(gateway.call(&chat("mended", "echo hi")).status, 200);
    });
}

/// Leaves, and waits until the gateway has noticed: it closes the connection then.
fn leave(client: Raw) {
    client.finish_sending();
    client.rest();
}

/// Whoever repeats a request while it runs gets its answer, and so does who has left and comes back.
#[test]
fn a_request_that_runs_is_joined_and_outlives_its_client() {
    let (_folder, places) = places();
    for place in places {
        for stream in [false, true] {
            let fal = ScriptedUpstream::start(one_and_two_later());
            let gateway = with(fal.setup(), &place).start();
            let call = keyed(
                &format!("k-{stream}"),
                "/v1/chat/completions",
                &question("hi", stream),
            );
            let first = gateway.open(&call);
            fal.until_requests(1);
            thread::scope(|scope| {
                let joined = scope.spawn(|| gateway.call(&call));
                leave(first);
                fal.open_gate();
                let joined = joined.join().unwrap();
                assert_eq!((joined.status, replayed(&joined)), (200, Some("answer")));
                assert!(joined.text().contains("two"), "{}", joined.text());
            });
            assert_eq!(fal.requests(), 1);
            if stream {
                let text = gateway.call(&call).text();
                assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            }
        }
    }
}

#[test]
fn a_key_is_known_after_a_restart() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let fal = Emulated::start();
        let call = chat("k", "echo hi");
        let first = with(fal.setup(), &place).start();
        ready(&first);
        let answer = first.call(&call);
        first.begin_stop();
        first.finished();
        let second = with(fal.setup(), &place).start();
        ready(&second);
        let again = second.call(&call);
        assert_eq!(
            (again.text(), replayed(&again)),
            (answer.text(), Some("answer"))
        );
        assert_eq!(fal.count(), 1);
    }
}

#[test]
fn an_answer_that_cannot_be_kept_is_delivered_and_never_paid_for_again() {
    let (_folder, places) = places();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place).set("store.max_bytes", "64KiB");
        let gateway = setup.start();
        let call = chat("large", &format!("echo {}", "word ".repeat(10_000)));
        assert_eq!(gateway.call(&call).status, 200);
        let again = gateway.call(&call);
        assert_eq!(
            again.verdict(),
            "409 invalid_request_error idempotency_answer_lost"
        );
        assert_eq!(again.header("x-should-retry"), Some("false"));
        assert_eq!(fal.count(), 1);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn without_the_store_nothing_is_sent_for_a_key() {
    use crate::support::{PostgresServer, Relay};
    let (line, url) = Relay::to(&PostgresServer::database());
    let fal = Emulated::start();
    let setup = fal.setup().set("store.timeout", "300ms");
    let gateway = setup.set("store.url", &url).start();
    until("the store is met", || {
        (gateway.call(&chat("first", "echo hi")).status == 200).then_some(())
    });
    let calls = fal.count();
    for trouble in [Relay::stall as fn(&Relay), Relay::cut] {
        trouble(&line);
        let refused = gateway.call(&chat("second", "echo hi"));
        assert_eq!(refused.verdict(), "503 server_error store_unavailable");
        assert_eq!(gateway.ask(&question("echo hi", false)).status, 200);
        line.flow();
    }
    assert_eq!(fal.count(), calls + 2);
}

#[cfg(feature = "postgres")]
#[test]
fn two_gateways_work_on_a_request_once() {
    let (_folder, mut places) = places();
    let place = places.pop().unwrap();
    let fal = ScriptedUpstream::start(one_and_two_later());
    let start = || with(fal.setup(), &place).start();
    let gateways = [start(), start()];
    let call = keyed("k", "/v1/chat/completions", &question("hi", false));
    thread::scope(|scope| {
        let answers = gateways
            .each_ref()
            .map(|gateway| scope.spawn(|| gateway.call(&call)));
        fal.until_requests(1);
        fal.open_gate();
        let [one, other] = answers.map(|answer| answer.join().unwrap().json());
        assert_eq!(one, other);
    });
    assert_eq!(fal.requests(), 1);
}

const AT_WORK: &str = "fal_gateway_active_requests{route=\"chat\"}";

#[test]
fn who_only_waits_and_leaves_holds_no_place() {
    let (_folder, places) = places();
    for place in places {
        for stream in [false, true] {
            let fal = ScriptedUpstream::start(one_and_two_later());
            let gateway = with(fal.setup(), &place).start();
            let body = question("hi", stream);
            let call = keyed(&format!("k-{stream}"), "/v1/chat/completions", &body);
            let first = gateway.open(&call);
            fal.until_requests(1);
            for _ in 0..3 {
                let waits = gateway.open(&call);
                gateway.until_metric(AT_WORK, 2.0);
                leave(waits);
                gateway.until_metric(AT_WORK, 1.0);
            }
            fal.open_gate();
            assert!(!first.rest_of_one().is_empty());
            let again = gateway.call(&call);
            assert_eq!((again.status, replayed(&again)), (200, Some("answer")));
            assert_eq!(fal.requests(), 1);
        }
    }
}

/// A file that somebody else keeps from being written to, until the guard is dropped.
fn locked(path: &std::path::Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(path).unwrap();
    other
        .busy_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    other.execute_batch("begin immediate").unwrap();
    other
}

/// Its claim is there, and nobody works on it: it is given back.
#[test]
fn a_client_that_leaves_while_the_store_is_slow_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let fal = Emulated::start();
    let gateway = with(fal.setup(), &Place::File(path.clone())).start();
    assert_eq!(gateway.call(&chat("first", "echo hi")).status, 200);
    let lock = locked(&path);
    let client = gateway.open(&chat("k", "echo hi"));
    gateway.until_metric(AT_WORK, 1.0);
    leave(client);
    drop(lock);
    let again = gateway.call(&chat("k", "echo hi"));
    assert_eq!(
        (again.status, replayed(&again)),
        (200, None),
        "{}",
        again.text()
    );
    assert_eq!(fal.count(), 2);
}

/// The store commits what nobody waits for any more.
#[test]
fn a_claim_that_came_too_late_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let fal = Emulated::start();
    let setup = with(fal.setup(), &Place::File(path.clone()));
    let gateway = setup.set("store.timeout", "200ms").start();
    let until_served = |key: &str| {
        until("an answer", || {
            let answer = gateway.call(&chat(key, "echo hi"));
            match answer.status {
                200 => Some(replayed(&answer).map(str::to_owned)),
                503 => None,
                _ => panic!("{}", answer.text()),
            }
        })
    };
    assert_eq!(until_served("first"), None);
    let calls = fal.count();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .busy_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    // Claiming takes millions of steps, which is a second, and far less than its lease.
    let slow = "create table many (a integer); \
                with recursive count(a) as (select 1 union all select a + 1 from count where a < 170) \
                insert into many select a from count; \
                create trigger slow after insert on idempotent_request begin \
                select count(*) from many as a, many as b, many as c where a.a + b.a + c.a = 0; end";
    other.execute_batch(slow).unwrap();
    let late = gateway.call(&chat("k", "echo hi"));
    assert_eq!(late.verdict(), "503 server_error store_unavailable");
    other.execute_batch("drop trigger slow").unwrap();
    assert_eq!(until_served("k"), None);
    assert_eq!(fal.count(), calls + 1);
}

#[test]
fn the_answer_to_a_key_is_deleted_with_what_it_is_kept_as() {
    on_each(|fal, gateway| {
        let stored = |stream: bool| {
            let mut body = question("echo hi", stream);
            body["store"] = true.into();
            ("/v1/chat/completions", body)
        };
        let response = |more: &[(&str, bool)]| {
            let mut body = json!({"model": "openai/gpt-4o-mini", "input": "echo hi"});
            for (name, value) in more {
                body[*name] = (*value).into();
            }
            ("/v1/responses", body)
        };
        let requests = [
            response(&[]),
            response(&[("stream", true)]),
            response(&[("background", true)]),
            stored(false),
            stored(true),
        ];
        for (at, (path, body)) in requests.iter().enumerate() {
            let call = keyed(&format!("k-{at}"), path, body);
            let text = gateway.call(&call).text();
            let object: Value = match text.lines().find_map(|line| line.strip_prefix("data: ")) {
                None => serde_json::from_str(&text).unwrap(),
                Some(first) => serde_json::from_str(first).unwrap(),
            };
            let object = object.get("response").unwrap_or(&object);
            let calls = fal.requests(at + 1).len();
            let gone = match *path {
                "/v1/responses" => delete(gateway, &id(object)),
                _ => gateway.call(&Call::new("DELETE", &format!("{path}/{}", id(object)))),
            };
            assert_eq!(gone.status, 200, "{path} {}", gone.text());
            let again = gateway.call(&call);
            assert_eq!(
                again.verdict(),
                "409 invalid_request_error idempotency_answer_lost",
                "{path} {body}"
            );
            // fal is also told to leave what is deleted.
            if body["background"] != true {
                assert_eq!(fal.count(), calls, "{path}");
            }
        }
    });
}

/// Nothing is left of it on the books either.
#[test]
fn what_is_deleted_frees_the_room_of_its_answer_too() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let fal = Emulated::start();
        let gateway = with(fal.setup(), &place).start();
        let body = json!({"model": "openai/gpt-4o-mini", "input": "echo hi"});
        let answer = gateway.call(&keyed("k", "/v1/responses", &body));
        let taken = || {
            let sum = async |transaction: &Transaction<'_>| {
                let sum = "select cast(coalesce(sum(bytes), 0) as bigint) from space";
                transaction.first(sum, &[]).await?.unwrap().integer(0)
            };
            super::run(place.open().read(super::ledger::soon(), sum)).unwrap()
        };
        assert!(taken() > 0);
        assert_eq!(delete(&gateway, &id(&answer.json())).status, 200);
        assert_eq!(taken(), 0, "{place:?}");
    }
}

#[test]
fn a_failure_that_cost_nothing_is_no_answer_however_final_it_sounds() {
    let hash = fal_gateway::config::KeyHash::of("sk-alice");
    let keys =
        format!("[[keys]]\nname = \"alice\"\nhash = \"{hash}\"\nbudgets = [\"1 req/total\"]\n");
    let (_folder, places) = places();
    // Books are kept in no memory.
    for place in places.into_iter().skip(1) {
        let fal = Emulated::start();
        let gateway = with(fal.setup().file(&keys), &place).start();
        let ask = |key: &str| {
            let call = chat(key, "echo hi").header("authorization", "Bearer sk-alice");
            gateway.call(&call)
        };
        until("the budget is there", || {
            (ask("first").status == 200).then_some(())
        });
        for _ in 0..2 {
            let refused = ask("second");
            assert_eq!(
                refused.verdict(),
                "429 insufficient_quota insufficient_quota"
            );
            assert_eq!(refused.header("x-should-retry"), Some("false"));
            assert_eq!(replayed(&refused), None);
        }
        assert_eq!(fal.count(), 1);
    }
}

/// The head has left when fal says that it does nothing, and still the request may be tried again.
#[test]
fn a_stream_that_failed_for_nothing_is_tried_again() {
    let (_folder, places) = places();
    for place in places {
        let fal = ScriptedUpstream::with(|number| {
            let said = match number {
                0 => sse("{\"output\": null, \"error\": \"Error code: 429 - busy\"}"),
                _ => final_event("hello"),
            };
            vec![
                Step::Read,
                Step::Write(sse_head()),
                Step::Gate(1),
                Step::Write(said),
                Step::Close,
            ]
        });
        let setup = with(fal.setup(), &place).set("server.heartbeat", "30ms");
        let gateway = setup.start();
        let call = keyed("k", "/v1/chat/completions", &question("hi", true));
        let mut first = gateway.open(&call).stream();
        first.until("keep-alive");
        fal.open_gate();
        let (failed, _) = first.rest();
        assert!(failed.contains("\"error\""), "{failed}");
        let again = gateway.call(&call);
        assert_eq!((again.status, replayed(&again)), (200, None));
        assert_eq!(again.streamed_text(), "hello");
        let third = gateway.call(&call);
        assert_eq!(replayed(&third), Some("answer"));
        assert_eq!(fal.requests(), 2);
    }
}

/// Whether fal may have been asked is written down before it is. A process that dies before that leaves
/// the key to whoever repeats the request; one that dies later may have paid.
#[test]
fn whoever_dies_before_fal_is_asked_leaves_the_key_to_others() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let fal = ScriptedUpstream::start(one_and_two_later());
        let setup = with(fal.setup(), &place);
        let first = Victim::start(&setup);
        let call = chat("k", "hi");
        let _waits = first.open(&call);
        fal.until_requests(1);
        first.kill();
        let dead =
            "update idempotent_request set held_until = 0 where is_begun = 1 and is_done = 0";
        assert_eq!(change(&place, dead), 1);
        let second = Victim::start(&setup);
        let again = second.call(&call);
        assert_eq!(
            again.verdict(),
            "409 invalid_request_error idempotency_answer_lost"
        );
        // As it was until a moment before.
        let unsent = "update idempotent_request set is_begun = 0 where is_begun = 1";
        assert_eq!(change(&place, unsent), 1);
        fal.open_gate();
        let other = second.call(&chat("k", "ho"));
        assert_eq!(
            other.verdict(),
            "422 invalid_request_error idempotency_mismatch"
        );
        let again = second.call(&call);
        assert_eq!((again.status, replayed(&again)), (200, None));
        let told = second.call(&call);
        assert_eq!(
            (told.text(), replayed(&told)),
            (again.text(), Some("answer"))
        );
        assert_eq!(fal.requests(), 2);
    }
}

/// Of several that find a key whose holder is gone, one works on the request; and who was slow finds
/// that it is held by another.
#[test]
fn a_key_is_taken_over_once_and_not_from_whoever_holds_it() {
    each(async |responses, database| {
        let held_by = |holder: &str| Keyed {
            id: "idem_1".to_owned(),
            owner: Owner::new("local"),
            meaning: "this".to_owned(),
            holder: holder.to_owned(),
        };
        let claim = |holder: &str, lease| responses.claim(held_by(holder), lease, LONG);
        let brief = responses.claim(held_by("a"), Duration::ZERO, LONG / 2);
        assert_eq!(brief.await.unwrap(), Claimed::Yes);
        let ends = async || {
            let read = async |transaction: &Transaction<'_>| {
                let row = transaction
                    .first("select expires_at from thread", &[])
                    .await?;
                row.map(|row| row.integer(0)).transpose()
            };
            let deadline = tokio::time::Instant::now() + LONG;
            database.read(deadline, read).await.unwrap().unwrap()
        };
        let before = ends().await;
        assert_eq!(claim("b", LONG).await.unwrap(), Claimed::Yes);
        // The key is known for as long as one that comes new.
        assert!(ends().await >= before + 30_000);
        assert_eq!(claim("c", LONG).await.unwrap(), Claimed::Running);
        let begin = |holder: &str| responses.begin_claimed(held_by(holder), LONG);
        assert!(!begin("a").await.unwrap());
        assert!(begin("b").await.unwrap());
        assert!(
            responses
                .hold_claim(&held_by("b"), Duration::ZERO)
                .await
                .unwrap()
        );
        assert_eq!(claim("c", LONG).await.unwrap(), Claimed::Lost);
    });
}
