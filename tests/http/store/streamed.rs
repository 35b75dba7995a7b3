//! Responses that are streamed in the background, on every engine: read along, read again from any event,
//! by somebody else and elsewhere, called off, interrupted.

use std::net::SocketAddr;
#[cfg(feature = "postgres")]
use std::time::Instant;

#[cfg(feature = "postgres")]
use fal_gateway::store::Transaction;
use fal_gateway::store::responses::{Begun, EventBatch, NewJob, Owner};
use serde_json::Value;

use super::background::{assert_described, background, cancel, ended, until_status};
#[cfg(feature = "postgres")]
use super::interrupted::jobs;
use super::interrupted::{LONG, call, change, each, new_job, new_response};
use super::killed::{ended as ended_at, lasting, serving};
use super::ledger::rows;
#[cfg(feature = "postgres")]
use super::ledger::soon;
use super::responses::{create, delete, events, get, id, on_each, on_each_with, post, ready, with};
#[cfg(feature = "postgres")]
use super::run;
use super::{Place, handed_over, places};
use crate::contract::description::Judge;
#[cfg(feature = "postgres")]
use crate::support::PostgresServer;
use crate::support::{
    Call, Emulated, Raw, ScriptedUpstream, Step, Stream, event, final_event, sse_head, until,
};

fn streamed(input: &str) -> Value {
    let mut request = background(input);
    request["stream"] = true.into();
    request
}

/// Half an answer, and the rest of it behind a gate.
fn halves() -> Vec<Step> {
    vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Gate(1),
        Step::Write(final_event("one two")),
        Step::Close,
    ]
}

fn events_of(id: &str, after: Option<usize>) -> Call {
    let after = after.map_or(String::new(), |after| format!("&starting_after={after}"));
    Call::get(&format!("/v1/responses/{id}?stream=true{after}"))
}

fn open(address: SocketAddr, call: &Call) -> Stream {
    let mut raw = Raw::connect(address);
    raw.send(&call.to_bytes());
    raw.stream()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap());
    kinds.collect()
}

fn response_of(body: &str) -> String {
    id(&events(body)[0]["response"])
}

#[test]
fn its_events_are_the_same_for_whoever_reads_them_from_wherever() {
    on_each(|fal, gateway| {
        let first = gateway.call(&post(&streamed("Tell me something long, in many words.")));
        assert_eq!(first.status, 200, "{}", first.text());
        assert!(first.header("x-gateway-upstream").is_some());
        let first = first.text();
        let told = events(&first);
        let numbers = told
            .iter()
            .map(|event| event["sequence_number"].as_u64().unwrap());
        assert!(numbers.eq(0..told.len() as u64), "{first}");
        let kinds = kinds(&told);
        let begin = [
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.output_item.added",
        ];
        assert_eq!(&kinds[..4], &begin);
        assert_eq!(kinds.last(), Some(&"response.completed"));
        let status = |at: usize| told[at]["response"]["status"].clone();
        assert_eq!(
            [status(0), status(1), status(2)],
            ["queued", "queued", "in_progress"]
        );
        let id = response_of(&first);
        let last = &told.last().unwrap()["response"];
        assert_described(last);
        assert_eq!(last, &get(gateway, &id).json());
        assert_eq!(gateway.call(&events_of(&id, None)).text(), first);
        let judge = Judge::new();
        for event in &told {
            assert_eq!(judge.schema_faults("ResponseEvent", event), [""; 0]);
        }
        let frames: Vec<&str> = first.split_inclusive("\n\n").collect();
        for after in 0..told.len() - 1 {
            let rest = gateway.call(&events_of(&id, Some(after))).text();
            assert_eq!(rest, frames[after + 1..].concat(), "{after}");
        }
        // Never nothing, and no waiting.
        let end = frames[told.len() - 1..].concat();
        assert_eq!(gateway.call(&events_of(&id, Some(9_999))).text(), end);
        assert_eq!(fal.count(), 1);
    });
}

#[test]
fn it_is_made_to_its_end_whoever_reads_and_is_told_as_it_comes() {
    let (_folder, places) = places();
    for place in places {
        let fal = ScriptedUpstream::start(halves());
        let gateway = with(fal.setup(), &place).start();
        ready(&gateway);
        let mut first = gateway.open(&post(&streamed("Hello"))).stream();
        let begun = first.until("\"delta\":\"one\"").to_owned();
        let id = response_of(&begun);
        until_status(&gateway, &id, "in_progress");
        // Two read along, and the one that asked for it leaves.
        let mut second = open(gateway.address, &events_of(&id, None));
        let seen = second.until("\"delta\":\"one\"").to_owned();
        assert!(seen.starts_with(&begun), "{seen}");
        let third = open(gateway.address, &events_of(&id, Some(4)));
        first.into_raw().reset();
        fal.open_gate();
        let (whole, _) = second.rest();
        let (rest, _) = third.rest();
        assert_eq!(
            kinds(&events(&whole)).last(),
            Some(&"response.completed"),
            "{whole}"
        );
        let frames: Vec<&str> = whole.split_inclusive("\n\n").collect();
        assert_eq!(rest, frames[5..].concat());
        let response = get(&gateway, &id).json();
        assert_eq!(response["status"], "completed");
        assert_eq!(response["output"][0]["content"][0]["text"], "one two");
        assert_eq!(fal.requests(), 1);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn another_gateway_on_the_same_database_tells_and_ends_it() {
    let (_folder, places) = places();
    for place in places {
        if !matches!(place, Place::Server(_)) {
            continue;
        }
        let never = || [halves()[..3].to_vec(), vec![Step::Hold]].concat();
        let fal = ScriptedUpstream::with(move |number| match number {
            0 => halves(),
            _ => never(),
        });
        let setup = with(fal.setup(), &place);
        let (maker, other) = (setup.clone().start(), setup.start());
        ready(&maker);
        ready(&other);
        let mut first = maker.open(&post(&streamed("Hello"))).stream();
        let id = response_of(first.until("\"delta\":\"one\""));
        let mut along = open(other.address, &events_of(&id, None));
        along.until("\"delta\":\"one\"");
        fal.open_gate();
        let (here, _) = first.rest();
        let (there, _) = along.rest();
        assert_eq!(here, there);
        // And calls another one off.
        let mut first = maker.open(&post(&streamed("Hello again"))).stream();
        let id = response_of(first.until("\"delta\":\"one\""));
        let along = open(other.address, &events_of(&id, Some(2)));
        assert_eq!(cancel(&other, &id).json()["status"], "cancelled");
        for (body, _) in [first.rest(), along.rest()] {
            assert!(body.contains("\"code\":\"cancelled\""), "{body}");
        }
        fal.until_closed();
    }
}

/// Has the store count how often somebody looks for events, and stops that. What only reads may take locks
/// of this kind, which are there until its connection ends.
#[cfg(feature = "postgres")]
const COUNTED: &str = "alter table event_log rename to event_log_uncounted; \
                       create view event_log as select * from event_log_uncounted \
                       where pg_try_advisory_lock_shared(7, cast(random() * 2000000000 as int))";
#[cfg(feature = "postgres")]
const UNCOUNTED: &str = "drop view event_log; alter table event_log_uncounted rename to event_log";

#[cfg(feature = "postgres")]
fn looks(place: &Place) -> i64 {
    let read = async move |transaction: &Transaction<'_>| {
        let count = "select count(*) from pg_locks where locktype = 'advisory' and classid = 7";
        let row = transaction.first(count, &[]).await?;
        row.unwrap().integer(0)
    };
    run(place.open().read(soon(), read)).unwrap()
}

/// However many wait there, one looks for all of them, and goes on when another one leaves.
#[cfg(feature = "postgres")]
#[test]
fn readers_elsewhere_look_into_the_store_together() {
    const COMMENT: &str = ": nothing yet\n\n";
    let address = PostgresServer::database();
    let place = Place::Server(address.clone());
    // More at once than is passed on.
    let long = final_event(&("one ".to_owned() + &"and more ".repeat(100_000)));
    let end = vec![Step::Write(long), Step::Close];
    let fal = ScriptedUpstream::start([halves()[..4].to_vec(), end].concat());
    let setup = with(fal.setup(), &place).set("server.heartbeat", "1s");
    let (maker, other) = (setup.clone().start(), setup.start());
    ready(&maker);
    ready(&other);
    let mut first = maker.open(&post(&streamed("Hello"))).stream();
    let id = response_of(first.until("\"delta\":\"one\""));
    let afters = [None, Some(0), Some(3), Some(9_999)].into_iter().cycle();
    let mut readers: Vec<_> = afters
        .take(30)
        .map(|after| (after, open(other.address, &events_of(&id, after))))
        .collect();
    let quiet = COMMENT.repeat(2);
    for (_, reader) in &mut readers {
        reader.until(&quiet);
    }
    PostgresServer::prepare(&address, COUNTED);
    let begun = Instant::now();
    let quiet = COMMENT.repeat(6);
    for (_, reader) in &mut readers {
        reader.until(&quiet);
    }
    let seconds = i64::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let looks = looks(&place);
    PostgresServer::prepare(&address, UNCOUNTED);
    assert!((1..=4 * seconds).contains(&looks), "{looks} in {seconds} s");
    // Those who came first leave.
    for (_, reader) in readers.drain(..15) {
        reader.into_raw().reset();
    }
    fal.open_gate();
    let whole = first.rest().0.replace(COMMENT, "");
    let frames: Vec<&str> = whole.split_inclusive("\n\n").collect();
    for (after, reader) in readers {
        let told = reader.rest().0.replace(COMMENT, "");
        // The last event and what says that it was the last always come.
        let begin = after.map_or(0, |after| (after + 1).min(frames.len() - 2));
        assert_eq!(told, frames[begin..].concat(), "{after:?}");
    }
}

#[test]
fn one_that_is_called_off_ends_at_fal_and_for_its_readers() {
    on_each(|fal, gateway| {
        let mut reading = gateway
            .open(&post(&streamed("Hello /emulate stall:2")))
            .stream();
        let id = response_of(reading.until("output_text.delta"));
        let cancelled = cancel(gateway, &id);
        assert_eq!(cancelled.status, 200, "{}", cancelled.text());
        assert_eq!(cancelled.json()["status"], "cancelled");
        let (body, _) = reading.rest();
        let told = events(&body);
        let last = told.last().unwrap();
        assert_eq!(
            (&last["type"], &last["code"]),
            (&"error".into(), &"cancelled".into())
        );
        assert!(body.ends_with("data: [DONE]\n\n"));
        // What was told is told again, and the end behind it.
        let again = gateway.call(&events_of(&id, None)).text();
        assert!(again.ends_with("data: [DONE]\n\n"), "{again}");
        assert_eq!(events(&again).last(), Some(last));
        fal.ended();
        assert_eq!(cancel(gateway, &id).json()["status"], "cancelled");
        // One that is deleted is called off, and leaves nothing.
        let mut reading = gateway
            .open(&post(&streamed("Hello /emulate stall:2")))
            .stream();
        let id = response_of(reading.until("output_text.delta"));
        assert_eq!(delete(gateway, &id).status, 200);
        let (body, _) = reading.rest();
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
        assert_eq!(gateway.call(&events_of(&id, None)).status, 404);
    });
}

#[test]
fn what_fails_before_it_begins_is_refused_and_what_fails_later_is_told() {
    on_each_with(
        |setup| setup.set("responses.max_background", "1"),
        |_, gateway| {
            let refused = gateway.call(&post(&streamed("Hello /emulate error:auth")));
            assert!(refused.status >= 400, "{}", refused.text());
            // Nothing is left of it that would count.
            until("room for another one", || {
                let failed = gateway.call(&post(&streamed("Hello /emulate drop:2")));
                (failed.status == 200).then_some(failed)
            });
            let failed = gateway.call(&post(&streamed("Hi /emulate drop:2"))).text();
            let told = events(&failed);
            let (error, last) = (&told[told.len() - 2], &told[told.len() - 1]);
            assert_eq!(error["type"], "error");
            assert_eq!(error["code"], "upstream_disconnected");
            assert_eq!(last["type"], "response.failed");
            let response = get(gateway, &response_of(&failed)).json();
            assert_eq!(&last["response"], &response);
            assert_described(&response);
            assert_eq!(response["status"], "failed");
            assert_eq!(response["error"]["type"], "upstream_disconnected");
            let again = gateway.call(&events_of(&id(&response), None)).text();
            assert_eq!(again, failed);
            // The last event always comes, the one before it only to those who have not had it.
            let number = error["sequence_number"].as_u64().unwrap() as usize;
            let rest = gateway.call(&events_of(&id(&response), Some(number)));
            assert_eq!(kinds(&events(&rest.text())), ["response.failed"]);
        },
    );
}

#[test]
fn nobody_reads_what_is_somebody_elses() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| setup.set("auth.keys", &keys),
        |_, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let told = by("sk-alice", post(&streamed("Hello"))).text();
            let id = response_of(&told);
            let foreign = by("sk-bob", events_of(&id, None));
            let unknown = by("sk-bob", events_of("resp_none", None));
            assert_eq!(foreign.status, 404);
            assert_eq!(foreign.text().replace(&id, "resp_none"), unknown.text());
            assert_eq!(by("sk-alice", events_of(&id, None)).text(), told);
        },
    );
}

#[test]
fn there_are_as_many_as_there_may_be_of_both_kinds() {
    on_each_with(
        |setup| setup.set("responses.max_background", "1"),
        |_, gateway| {
            let mut reading = gateway
                .open(&post(&streamed("Hello /emulate stall:2")))
                .stream();
            let id = response_of(reading.until("output_text.delta"));
            for body in [background("Hello"), streamed("Hello")] {
                let refused = gateway.call(&post(&body));
                assert_eq!(refused.status, 429, "{}", refused.text());
            }
            assert_eq!(cancel(gateway, &id).status, 200);
            let done = create(gateway, &background("Hello"));
            assert_eq!(
                ended(gateway, &super::responses::id(&done))["status"],
                "completed"
            );
        },
    );
}

/// Each stream has a place among all requests, so no one may have all of them.
#[test]
fn an_owner_reads_so_many_at_once_and_no_more() {
    let fal = ScriptedUpstream::start(halves());
    let gateway = fal.setup().start();
    let mut first = gateway.open(&post(&streamed("Hello"))).stream();
    let id = response_of(first.until("\"delta\":\"one\""));
    let mut readers: Vec<_> = (0..32)
        .map(|_| open(gateway.address, &events_of(&id, None)))
        .collect();
    for reader in &mut readers {
        reader.until("\"delta\":\"one\"");
    }
    let refused = gateway.call(&events_of(&id, None));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.error()["code"], "rate_limit_exceeded");
    fal.open_gate();
    for reader in readers {
        assert!(reader.rest().0.contains("response.completed"));
    }
    until("there is room again", || {
        (gateway.call(&events_of(&id, None)).status == 200).then_some(())
    });
}

#[test]
fn one_with_an_idempotency_key_is_made_once() {
    on_each(|fal, gateway| {
        let keyed = || gateway.call(&post(&streamed("Hello")).header("idempotency-key", "one"));
        let first = keyed();
        assert_eq!(first.status, 200, "{}", first.text());
        let again = until("the answer as it was kept", || {
            let again = keyed();
            (again.header("x-gateway-replayed") == Some("answer")).then_some(again)
        });
        assert_eq!(again.text(), first.text());
        assert_eq!(fal.count(), 1);
    });
}

#[test]
fn after_a_kill_it_has_failed_and_nothing_is_asked_twice() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place);
        let (first, address) = serving(&setup);
        let mut reading = open(address, &post(&streamed("Hello /emulate stall:2")));
        let seen = reading.until("output_text.delta").to_owned();
        let id = response_of(&seen);
        first.signal("KILL");
        drop(first);
        let (mut second, address) = serving(&setup);
        let last = events(&seen).last().unwrap()["sequence_number"].clone();
        let reading = open(
            address,
            &events_of(&id, last.as_u64().map(|last| last as usize)),
        );
        let response = ended_at(address, &id);
        assert_eq!(response["status"], "failed", "{response}");
        assert_eq!(response["error"]["type"], "gateway_lost");
        let (body, _) = reading.rest();
        let told = events(&body);
        assert_eq!(kinds(&told).last(), Some(&"response.failed"), "{body}");
        // Behind everything that anybody can have read.
        let number = told[0]["sequence_number"].as_u64();
        assert!(number > last.as_u64(), "{body}");
        assert_eq!(told.last().unwrap()["response"], response);
        assert_eq!(fal.count(), 1);
        second.signal("TERM");
        second.exit();
        let charged = rows(&place.open());
        let charged: Vec<_> = charged.iter().map(|row| row.billed.as_str()).collect();
        assert_eq!(charged, ["maybe"]);
    }
}

#[test]
fn an_orderly_stop_ends_it_and_says_so() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place).set("server.drain_timeout", "1s");
        let first = setup.clone().start();
        ready(&first);
        let mut reading = first
            .open(&post(&streamed("Hello /emulate stall:2")))
            .stream();
        let id = response_of(reading.until("output_text.delta"));
        first.begin_stop();
        let (body, _) = reading.rest();
        assert_eq!(
            kinds(&events(&body)).last(),
            Some(&"response.failed"),
            "{body}"
        );
        first.finished();
        let second = setup.start();
        ready(&second);
        let response = ended_at(second.address, &id);
        assert_eq!(response["status"], "failed");
        assert_eq!(response["error"]["type"], "shutting_down", "{response}");
        assert_eq!(second.call(&events_of(&id, None)).text(), body);
    }
}

#[test]
fn each_call_is_charged_once_whatever_ends_it() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let keys = handed_over::key("ci", "\"9/total\"");
        let setup = handed_over::setup(&fal, &place, &keys);
        let gateway = setup.set("server.drain_timeout", "1s").start();
        ready(&gateway);
        let ours = |call: Call| call.header("authorization", "Bearer ci");
        let begin = |input: &str| {
            let begin = || {
                let mut raw = Raw::connect(gateway.address);
                raw.send(&ours(post(&streamed(input))).to_bytes());
                raw.stream_if_ready()
            };
            let mut reading = until("there is a budget to draw from", begin);
            let id = response_of(reading.until("output_text.delta"));
            (reading, id)
        };
        let (reading, _) = begin("Hello");
        assert!(reading.rest().0.contains("response.completed"));
        let (reading, id) = begin("Hello /emulate stall:2");
        let off = ours(Call::new("POST", &format!("/v1/responses/{id}/cancel")));
        assert_eq!(gateway.call(&off).json()["status"], "cancelled");
        reading.rest();
        let (reading, _) = begin("Hello /emulate stall:2");
        gateway.begin_stop();
        assert!(reading.rest().0.contains("response.failed"));
        gateway.finished();
        assert_eq!(handed_over::used(&place, "key/ci"), (3000, 0));
        let mut charged = handed_over::charged(&place);
        charged.sort_unstable();
        let row = |billed| handed_over::row("ci", billed);
        assert_eq!(charged, [row("maybe"), row("maybe"), row("yes")]);
        assert_eq!(fal.count(), 3);
    }
}

#[test]
fn events_are_kept_for_a_while_and_the_response_longer() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let gateway = with(fal.setup(), &place).start();
        ready(&gateway);
        let told = gateway.call(&post(&streamed("Hello"))).text();
        let id = response_of(&told);
        assert_eq!(change(&place, "update event_log set kept_until = 1"), 1);
        let refused = gateway.call(&events_of(&id, Some(3)));
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.error()["param"], "starting_after");
        // From the beginning it is told from the response.
        let again = events(&gateway.call(&events_of(&id, None)).text());
        assert_eq!(again.last().unwrap()["response"], get(&gateway, &id).json());
    }
}

fn batch(first: i64, next: i64, bytes: usize) -> EventBatch {
    EventBatch {
        first,
        next,
        events: vec![b'x'; bytes],
    }
}

fn streamed_job() -> NewJob {
    NewJob {
        events: Some(batch(0, 2, 100)),
        ..new_job()
    }
}

#[test]
fn what_is_appended_twice_is_there_once() {
    each(async |responses, _| {
        let owner = Owner::new("local");
        let begun = responses.begin(&owner, new_response(), streamed_job(), ("g", LONG));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
        let more = vec![batch(2, 5, 10), batch(5, 9, 20)];
        for _ in 0..2 {
            let appended = responses.append_events("g", "resp_1", more.clone());
            assert!(appended.await.unwrap());
        }
        let page = responses
            .events(&owner, "resp_1", 0)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            page.batches,
            [vec![batch(0, 2, 100)], more.clone()].concat()
        );
        assert_eq!((page.end, page.is_gone), (None, false));
        let page = responses
            .events(&owner, "resp_1", 4)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.batches, more);
        let page = responses
            .events(&owner, "resp_1", 9)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.batches, []);
        // Nobody else's to read or to write.
        let other = Owner::new("other");
        assert_eq!(responses.events(&other, "resp_1", 0).await.unwrap(), None);
        let foreign = responses.append_events("h", "resp_1", vec![batch(9, 10, 1)]);
        assert!(!foreign.await.unwrap());
    });
}

#[test]
fn events_take_room_and_give_it_back() {
    each(async |responses, database| {
        let owner = Owner::new("local");
        let taken = async || {
            let read = async move |transaction: &fal_gateway::store::Transaction<'_>| {
                let sums = "select cast(coalesce((select sum(bytes) from space), 0) as bigint), \
                            cast(coalesce((select sum(bytes) from thread), 0) as bigint), \
                            cast((select count(*) from event_batch) as bigint)";
                let row = transaction.first(sums, &[]).await?.unwrap();
                Ok((row.integer(0)?, row.integer(1)?, row.integer(2)?))
            };
            database.read(super::ledger::soon(), read).await.unwrap()
        };
        let begun = responses.begin(&owner, new_response(), streamed_job(), ("g", LONG));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
        let (before, _, _) = taken().await;
        let long = responses.append_events("g", "resp_1", vec![batch(2, 3, 200_000)]);
        assert!(long.await.unwrap());
        let (after, thread, batches) = taken().await;
        assert!(after >= before + 150_000, "{before} {after}");
        assert_eq!((after, batches), (thread, 2));
        // What has no room is not there, and the rest is.
        let too_long = responses.append_events("g", "resp_1", vec![batch(3, 4, 400_000)]);
        assert!(too_long.await.is_err());
        assert_eq!(taken().await, (after, thread, 2));
        assert!(responses.intend("g", "resp_1", call()).await.unwrap());
        responses
            .cancel(&owner, "resp_1", LONG, |_| None)
            .await
            .unwrap();
        assert!(responses.delete(&owner, "resp_1").await.unwrap());
        let (space, thread, batches) = taken().await;
        assert_eq!((space, thread, batches), (0, 0, 0));
    });
}

#[test]
fn events_whose_time_is_over_are_deleted_and_their_response_stays() {
    events_are_swept("update event_log set kept_until = 1");
}

/// It has deleted the job, and knows nothing of events.
#[test]
fn events_that_an_older_program_has_left_are_deleted() {
    events_are_swept("update event_log set kept_until = null, end_number = null");
}

fn events_are_swept(over: &'static str) {
    each(async |responses, database| {
        let owner = Owner::new("local");
        let begun = responses.begin(&owner, new_response(), streamed_job(), ("g", LONG));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
        assert!(!responses.sweep().await.unwrap());
        responses
            .cancel(&owner, "resp_1", LONG, |_| None)
            .await
            .unwrap();
        let end = async || {
            responses
                .events(&owner, "resp_1", 2)
                .await
                .unwrap()
                .unwrap()
        };
        assert!(end().await.end.is_some_and(|end| end > 2));
        let over = async move |transaction: &fal_gateway::store::Transaction<'_>| {
            transaction.execute(over, &[]).await
        };
        database.write(super::ledger::soon(), over).await.unwrap();
        responses.sweep().await.unwrap();
        let page = responses
            .events(&owner, "resp_1", 0)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((page.batches, page.is_gone), (Vec::new(), true));
        assert!(responses.get(&owner, "resp_1").await.unwrap().is_some());
        assert!(responses.delete(&owner, "resp_1").await.unwrap());
        let left = async |transaction: &fal_gateway::store::Transaction<'_>| {
            let left = "select cast(coalesce(sum(bytes), 0) as bigint) from space";
            transaction.first(left, &[]).await?.unwrap().integer(0)
        };
        assert_eq!(database.read(super::ledger::soon(), left).await.unwrap(), 0);
    });
}

/// The store cannot take down yet that the call is made, so it waits, and is called off.
#[cfg(feature = "postgres")]
#[test]
fn a_call_that_is_called_off_before_it_is_made_costs_nothing() {
    let (_folder, mut places) = lasting();
    let place = places.pop().unwrap();
    let fal = Emulated::start();
    let setup = handed_over::setup(&fal, &place, &handed_over::key("ci", "\"9/total\""));
    let gateway = setup.start();
    ready(&gateway);
    let ours = |call: Call| call.header("authorization", "Bearer ci");
    let open = || gateway.open(&ours(post(&streamed("Hello"))));
    let first = until("there is a budget to draw from", || {
        open().stream_if_ready()
    });
    assert!(first.rest().0.contains("response.completed"));
    for sql in [
        "create function busy() returns trigger language plpgsql as \
         'begin raise exception ''busy'' using errcode = ''40001''; end'",
        "create trigger busy before insert on submission for each row execute function busy()",
    ] {
        change(&place, sql);
    }
    let reading = open();
    let id = until("the job", || jobs(&place).pop());
    let off = ours(Call::new("POST", &format!("/v1/responses/{id}/cancel")));
    assert_eq!(gateway.call(&off).json()["status"], "cancelled");
    reading.rest_of_one();
    gateway.begin_stop();
    gateway.finished();
    assert_eq!(handed_over::used(&place, "key/ci"), (1000, 0));
    let charged = handed_over::charged(&place);
    assert_eq!(charged, [handed_over::row("ci", "yes")]);
    assert_eq!(fal.count(), 1);
}
