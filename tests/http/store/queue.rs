//! What fal's queue says, and what it leaves open: nothing is asked of it twice, and only what it says of
//! a call is taken for the end of that.

use serde_json::{Value, json};

use super::background::{background, ended};
use super::killed;
use super::responses::{create, id, post};
use crate::support::{ScriptedUpstream, Step};

/// An answer on a connection that ends with it, so that the next request is the next connection.
fn says(status: &str, body: &Value) -> Vec<Step> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let bytes = [head, body].concat().into_bytes();
    vec![Step::Read, Step::Write(bytes), Step::Close]
}

/// A queue that answers one request after the other like this, and the last way ever after.
fn queue(answers: Vec<(&'static str, Value)>) -> ScriptedUpstream {
    let last = answers.len() - 1;
    ScriptedUpstream::with(move |number| {
        let (status, body) = &answers[number.min(last)];
        says(status, body)
    })
}

fn taken() -> (&'static str, Value) {
    ("200 OK", json!({"request_id": "r-1", "status": "IN_QUEUE"}))
}

fn completed() -> (&'static str, Value) {
    (
        "200 OK",
        json!({"request_id": "r-1", "status": "COMPLETED"}),
    )
}

fn answered() -> (&'static str, Value) {
    let answer =
        json!({"output": "Here it is.", "reasoning": null, "partial": false, "error": null});
    ("200 OK", answer)
}

fn asked(fal: &ScriptedUpstream) -> Vec<String> {
    let seen = fal.seen().into_iter().flat_map(|one| one.requests);
    seen.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

fn submissions(fal: &ScriptedUpstream) -> usize {
    let asked = asked(fal).into_iter();
    asked.filter(|request| request.starts_with("POST ")).count()
}

#[test]
fn what_the_queue_does_not_give_at_the_moment_is_asked_for_again() {
    let fal = queue(vec![
        taken(),
        completed(),
        ("502 Bad Gateway", json!({"detail": "no"})),
        ("429 Too Many Requests", json!({"detail": "slowly"})),
        (
            "400 Bad Request",
            json!({"detail": "Request is still in progress"}),
        ),
        answered(),
    ]);
    let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
    let begun = create(&gateway, &background("Hello"));
    let done = ended(&gateway, &id(&begun));
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["output"][0]["content"][0]["text"], "Here it is.");
    assert_eq!((submissions(&fal), fal.requests()), (1, 6));
}

#[test]
fn what_the_queue_never_gives_has_an_end() {
    let fal = queue(vec![
        taken(),
        completed(),
        ("503 Service Unavailable", json!({"detail": "no"})),
    ]);
    let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
    let begun = create(&gateway, &background("Hello"));
    let done = killed::ended(gateway.address, &id(&begun));
    assert_eq!(done["status"], "failed", "{done}");
    assert_eq!(submissions(&fal), 1);
    assert!(fal.requests() >= 8, "asked again {:?}", asked(&fal));
}

#[test]
fn a_call_that_the_queue_says_has_failed_has_failed() {
    let failed = json!({"request_id": "r-1", "status": "COMPLETED", "error": "Runner died"});
    let refused = json!({"detail": "Runner died"});
    for result in [answered(), ("500 Internal Server Error", refused)] {
        let fal = queue(vec![taken(), ("200 OK", failed.clone()), result]);
        let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
        let begun = create(&gateway, &background("Hello"));
        let done = ended(&gateway, &id(&begun));
        assert_eq!(done["status"], "failed", "{done}");
        assert_eq!(done["output"], json!([]));
        // Once submitted, once looked at, once fetched; perhaps once called off.
        assert_eq!(submissions(&fal), 1);
        assert!(fal.requests() <= 4, "{:?}", asked(&fal));
    }
}

#[test]
fn a_queue_that_does_not_say_whether_it_took_a_call_is_not_asked_again() {
    for status in [
        "408 Request Timeout",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "504 Gateway Timeout",
    ] {
        let fal = queue(vec![(status, json!({"detail": "no"}))]);
        let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
        let mut body = background("Hello");
        body["models"] = json!(["openai/gpt-4o"]);
        let failed = gateway.call(&post(&body));
        assert!(failed.status >= 400, "{status}: {}", failed.text());
        assert_eq!(failed.header("x-should-retry"), Some("false"), "{status}");
        assert_eq!(fal.requests(), 1, "{status}");
    }
}

#[test]
fn a_queue_that_did_not_take_a_call_may_be_asked_for_another() {
    let fal = queue(vec![
        ("503 Service Unavailable", json!({"detail": "no"})),
        taken(),
        completed(),
        answered(),
    ]);
    let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
    let mut body = background("Hello");
    body["models"] = json!(["openai/gpt-4o"]);
    let begun = create(&gateway, &body);
    let done = ended(&gateway, &id(&begun));
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["model"], "openai/gpt-4o");
    assert_eq!(submissions(&fal), 2);
}

#[test]
fn fal_is_told_not_to_do_anything_twice() {
    let fal = queue(vec![taken(), completed(), answered()]);
    let gateway = fal.setup().set("fal.queue_url", &fal.url()).start();
    create(&gateway, &background("Hello"));
    let first = asked(&fal).swap_remove(0).to_lowercase();
    assert!(first.contains("\r\nx-fal-no-retry: 1\r\n"), "{first}");
}
