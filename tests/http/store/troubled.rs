//! A store that is slow, stalls or takes nothing more while a response is being made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::background::background;
use super::responses::{events, get, id, post, ready, request, with};
use super::{Place, places};
use crate::support::{
    Call, Emulated, Raw, ScriptedUpstream, Stream, TestGateway, one_and_two_later, until,
};

/// A connection of somebody else to a store in a file.
fn somebody(path: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(path).unwrap();
    other.busy_timeout(Duration::from_secs(20)).unwrap();
    other
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    (folder, path)
}

/// A response that is streamed in the background, whose first half has come and whose second waits.
fn half_made(gateway: &TestGateway) -> (Stream, String) {
    ready(gateway);
    let mut body = background("Hello");
    body["stream"] = true.into();
    let mut reading = gateway.open(&post(&body)).stream();
    let begun = reading.until("\"delta\":\"one\"");
    let id = id(&events(begun)[0]["response"]);
    (reading, id)
}

fn again(gateway: &TestGateway, id: &str) -> String {
    let mut raw = Raw::connect(gateway.address);
    raw.send(&Call::get(&format!("/v1/responses/{id}?stream=true")).to_bytes());
    raw.stream().rest().0
}

fn assert_whole(gateway: &TestGateway, told: &str, id: &str) {
    let told = events(told);
    let last = told.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["store"], true);
    let text = &last["response"]["output"][0]["content"][0]["text"];
    assert_eq!(text, "one two");
    assert_eq!(last["response"], get(gateway, id).json());
}

#[test]
fn whoever_reads_along_hears_more_while_the_store_stalls_and_the_end_when_it_is_kept() {
    let (_folder, path) = file();
    let fal = ScriptedUpstream::start(one_and_two_later());
    let gateway = with(fal.setup(), &Place::File(path.clone())).start();
    let (mut reading, id) = half_made(&gateway);
    let other = somebody(&path);
    other.execute_batch("begin immediate").unwrap();
    fal.open_gate();
    let so_far = reading.until("output_item.done").to_owned();
    assert!(!so_far.contains("response.completed"));
    assert_eq!(get(&gateway, &id).json()["status"], "in_progress");
    other.execute_batch("rollback").unwrap();
    let (told, _) = reading.rest();
    assert_whole(&gateway, &told, &id);
    assert_eq!(again(&gateway, &id), told);
    assert_eq!(fal.requests(), 1);
}

#[test]
fn where_the_store_takes_no_more_events_the_rest_is_told_and_the_response_is_kept() {
    let (_folder, path) = file();
    let fal = ScriptedUpstream::start(one_and_two_later());
    let gateway = with(fal.setup(), &Place::File(path.clone())).start();
    let (reading, id) = half_made(&gateway);
    let full =
        "create trigger full before insert on event_batch begin select raise(abort, 'full'); end";
    somebody(&path).execute_batch(full).unwrap();
    fal.open_gate();
    let (told, _) = reading.rest();
    assert_whole(&gateway, &told, &id);
    assert!(told.contains("output_item.done"));
    // What was kept, and the end.
    let again = again(&gateway, &id);
    let end = again.rfind("event: response.completed").unwrap();
    let (kept, last) = again.split_at(end);
    assert!(told.starts_with(kept) && told.ends_with(last), "{again}");
    assert!(!kept.contains("output_item.done"), "{kept}");
    assert_eq!(fal.requests(), 1);
}

/// The store locks a conversation for a request that was refused meanwhile: it is given back long
/// before the lock would end by itself.
#[test]
fn a_lock_that_came_too_late_is_given_back() {
    let (_folder, path) = file();
    let fal = Emulated::start();
    let setup = with(fal.setup(), &Place::File(path.clone()));
    let gateway = setup.set("store.timeout", "200ms").start();
    let made = || {
        let call = Call::new("POST", "/v1/conversations");
        let made = gateway.call(&call.header("content-type", "application/json").body("{}"));
        (made.status == 200).then(|| id(&made.json()))
    };
    let conversation = until("a conversation", made);
    let mut body = request("echo hi".into());
    body["conversation"] = json!(conversation);
    let other = somebody(&path);
    // Locking takes millions of steps, which is a second, and far less than the lock holds.
    let slow = "create table many (a integer); create table freed (id text); \
                with recursive count(a) as (select 1 union all select a + 1 from count where a < 170) \
                insert into many select a from count; \
                create trigger slow after update of lock_by on conversation begin \
                select count(*) from many as a, many as b, many as c where a.a + b.a + c.a = 0; end; \
                create trigger freed after update of lock_until on conversation \
                when new.lock_until = 0 begin insert into freed values (new.id); end";
    other.execute_batch(slow).unwrap();
    let late = gateway.call(&post(&body));
    assert_eq!(late.verdict(), "503 server_error store_unavailable");
    other.execute_batch("drop trigger slow").unwrap();
    until("the lock is given back", || {
        let freed = "select count(*) from freed";
        let freed: i64 = other.query_row(freed, [], |row| row.get(0)).unwrap();
        (freed > 0).then_some(())
    });
    assert_eq!(fal.count(), 0, "nothing was sent");
    until("an answer", || {
        let answer = gateway.call(&post(&body));
        match answer.status {
            200 => Some(()),
            503 => None,
            _ => panic!("{}", answer.text()),
        }
    });
}

/// A conversation that somebody streams into lets nobody else in, also where he asks through the queue.
#[test]
fn a_conversation_waits_for_the_stream_that_is_made_in_it() {
    let (_folder, places) = places();
    for place in places {
        let fal = ScriptedUpstream::start(one_and_two_later());
        let gateway = with(fal.setup(), &place).start();
        ready(&gateway);
        let call = Call::new("POST", "/v1/conversations");
        let made = gateway.call(&call.header("content-type", "application/json").body("{}"));
        let conversation = id(&made.json());
        let mut body = request("Hello".into());
        (body["conversation"], body["stream"]) = (json!(conversation), true.into());
        let mut first = gateway.open(&post(&body)).stream();
        first.until("\"delta\":\"one\"");
        let locked = gateway.call(&post(&body).header("idempotency-key", "k"));
        assert_eq!(
            locked.verdict(),
            "400 invalid_request_error conversation_locked"
        );
        body["background"] = true.into();
        let refused = gateway.call(&post(&body));
        assert_eq!(refused.verdict(), "400 invalid_request_error invalid_value");
        assert_eq!(fal.requests(), 1);
        fal.open_gate();
        assert!(first.rest().0.contains("response.completed"));
        // The key was taken by nobody, and the conversation is free.
        body["background"] = false.into();
        let second = gateway.call(&post(&body).header("idempotency-key", "k"));
        assert!(second.text().contains("response.completed"));
        assert_eq!(second.header("x-gateway-replayed"), None);
        assert_eq!(fal.requests(), 2);
    }
}
