//! The limits of keys and projects.

use std::thread;

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Step, TestGateway, event, one_and_two_later,
    question, sse_head, until, whole,
};

fn key(name: &str, more: &str) -> String {
    let hash = KeyHash::of(name);
    format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\n{more}\n")
}

fn chat(key: &str, body: &Value) -> Call {
    Call::chat(body).header("authorization", &format!("Bearer {key}"))
}

fn ask(gateway: &TestGateway, key: &str) -> Answer {
    gateway.call(&chat(key, &question("hi", false)))
}

/// A whole answer after which the connection is not used again.
fn last() -> Vec<u8> {
    let answer = String::from_utf8(whole("hi")).unwrap();
    answer
        .replacen("\r\n", "\r\nconnection: close\r\n", 1)
        .into_bytes()
}

fn number(answer: &Answer, header: &str) -> u64 {
    let value = answer.header(header);
    value.unwrap_or_else(|| panic!("{header}")).parse().unwrap()
}

#[test]
fn as_many_requests_as_allowed_come_in_on_whatever_route_and_the_rest_is_told_when() {
    let fal = Emulated::start();
    let text = key("ci", "requests_per_minute = 3") + &key("other", "");
    let gateway = fal.setup().file(&text).start();
    let completion = Call::new("POST", "/v1/completions")
        .header("authorization", "Bearer ci")
        .header("content-type", "application/json")
        .body(json!({"model": "openai/gpt-4o-mini", "prompt": "hi"}).to_string());
    let calls = [
        chat("ci", &question("hi", false)),
        completion.clone(),
        chat("ci", &question("hi", true)),
    ];
    for (call, left) in calls.iter().zip([2, 1, 0]) {
        let answer = gateway.call(call);
        assert_eq!(answer.status, 200);
        assert_eq!(number(&answer, "x-ratelimit-limit-requests"), 3);
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left);
        let reset = answer.header("x-ratelimit-reset-requests").unwrap();
        assert!(reset.ends_with('s'), "{reset}");
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);
    }
    for call in [chat("ci", &question("hi", true)), completion] {
        let refused = gateway.call(&call);
        assert_eq!(refused.verdict(), "429 requests rate_limit_exceeded");
        assert_eq!(refused.header("x-gateway-limit"), Some("key/ci requests"));
        assert_eq!(refused.header("x-should-retry"), None);
        assert!((1..=60).contains(&number(&refused, "retry-after")));
        assert!((1..=60_000).contains(&number(&refused, "retry-after-ms")));
        assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0);
        let message = refused.error()["message"].to_string();
        let words = "in key ci on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in ";
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(fal.count(), 3);
    assert_eq!(
        gateway.metric("fal_gateway_limited_total{kind=\"requests\"}"),
        2.0
    );
    let other = ask(&gateway, "other");
    assert_eq!(other.status, 200);
    assert_eq!(other.header("x-ratelimit-limit-requests"), None);
}

/// However many come at once, and by whichever of its keys.
#[test]
fn a_crowd_gets_as_many_calls_as_the_project_allows() {
    let fal = Emulated::start();
    let text = key("a", "project = \"web\"")
        + &key("b", "project = \"web\"\nrequests_per_minute = 1000")
        + "[[projects]]\nname = \"web\"\nrequests_per_minute = 7\n";
    let gateway = fal.setup().file(&text).start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asking: Vec<_> = (0..100)
            .map(|number| {
                let key = if number % 2 == 0 { "a" } else { "b" };
                let gateway = &gateway;
                scope.spawn(move || ask(gateway, key).status)
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 93);
    assert_eq!(fal.count(), 7);
    assert_eq!(
        ask(&gateway, "a").header("x-gateway-limit"),
        Some("project/web requests")
    );
}

#[test]
fn a_request_holds_its_place_until_its_answer_or_its_client_is_gone() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => one_and_two_later(),
        2 => vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("one")),
            Step::Hold,
        ],
        _ => vec![Step::Read, Step::Write(last()), Step::Close],
    });
    let gateway = fal.setup().file(&key("ci", "concurrency = 1")).start();
    let stream = chat("ci", &question("hi", true));
    let refuse = || {
        let refused = ask(&gateway, "ci");
        assert_eq!(refused.verdict(), "429 requests rate_limit_exceeded");
        assert_eq!(
            refused.header("x-gateway-limit"),
            Some("key/ci concurrency")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
    };
    let mut running = gateway.open(&stream).stream();
    running.until("one");
    refuse();
    fal.open_gate();
    assert!(running.rest().0.contains("[DONE]"));
    let served = || (ask(&gateway, "ci").status == 200).then_some(());
    until("a free place", served);
    let mut left = gateway.open(&stream).stream();
    left.until("one");
    refuse();
    left.into_raw().reset();
    until("a free place", served);
}

#[test]
fn tokens_are_counted_by_what_was_paid_and_given_back_by_what_was_not() {
    let failed = b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let fal = ScriptedUpstream::with(move |number| match number {
        0 => vec![Step::Read, Step::Write(failed.clone()), Step::Close],
        _ => vec![Step::Read, Step::Write(last()), Step::Close],
    });
    let gateway = fal
        .setup()
        .file(&key("ci", "tokens_per_minute = 3000"))
        .start();
    let left = |answer: &Answer| number(answer, "x-ratelimit-remaining-tokens");
    let failed = ask(&gateway, "ci");
    assert_eq!(failed.status, 503);
    let reckoned = 3000 - left(&failed);
    assert!(reckoned > 1000, "an answer may be long");
    let first = ask(&gateway, "ci");
    assert_eq!(
        3000 - left(&first),
        reckoned,
        "the failed one was given back"
    );
    let used = first.json()["usage"]["total_tokens"].as_u64().unwrap();
    let second = until("the settlement", || {
        let answer = ask(&gateway, "ci");
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(3000 - left(&second), reckoned + used);
    // A prompt that never fits is not to be tried again.
    let long = gateway.call(&chat("ci", &question(&"many words ".repeat(3000), false)));
    assert_eq!(long.verdict(), "429 tokens rate_limit_exceeded");
    assert_eq!(long.header("x-should-retry"), Some("false"));
    assert_eq!(long.header("retry-after"), None);
    assert_eq!(fal.requests(), 3);
}

#[test]
fn what_is_not_asked_of_fal_takes_nothing() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .file(&key("ci", "requests_per_minute = 1"))
        .start();
    for _ in 0..3 {
        let wrong = gateway.call(&chat("ci", &json!({"messages": []})));
        assert_eq!(wrong.status, 400);
        let explain = chat("ci", &question("hi", false)).header("x-gateway-explain", "true");
        assert_eq!(gateway.call(&explain).status, 200);
    }
    assert_eq!(ask(&gateway, "ci").status, 200);
    assert_eq!(ask(&gateway, "ci").status, 429);
}
