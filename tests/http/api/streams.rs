//! Streams, seen by their client.

use crate::support::{
    Call, Emulated, End, ScriptedUpstream, Step, Stream, event, final_event, question,
    silent_at_first, sse_head,
};

fn ask() -> Call {
    Call::chat(&question("hi", true))
}

#[test]
fn a_stream_has_the_headers_that_keep_it_flowing_and_none_of_fals() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: a=b\r\n\
        access-control-allow-origin: *\r\nclear-site-data: \"*\"\r\nx-evil: 1\r\nserver: evil\r\n\
        x-fal-request-id: fal-7\r\nconnection: close\r\n\r\n";
    let fal = ScriptedUpstream::answering([head.as_bytes(), &final_event("hi")].concat());
    let answer = fal.setup().start().call(&ask());
    assert_eq!(answer.streamed_text(), "hi");
    let header = |name: &str| answer.header(name).unwrap_or("").to_owned();
    assert!(header("content-type").starts_with("text/event-stream"));
    assert!(header("cache-control").contains("no-cache"));
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("x-fal-request-id"), "fal-7");
    assert!(header("x-request-id").starts_with("req_"));
    for absent in [
        "content-length",
        "content-encoding",
        "set-cookie",
        "access-control-allow-origin",
        "clear-site-data",
        "x-evil",
        "server",
    ] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
}

#[test]
fn a_whole_answer_has_none_of_fals_headers_either() {
    let body = r#"{"output":"hi","partial":false}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\n\
        access-control-allow-origin: *\r\nclear-site-data: \"*\"\r\nx-evil: 1\r\nserver: evil\r\n\
        x-fal-request-id: fal-7\r\n\r\n";
    let fal = ScriptedUpstream::answering([head, body].concat());
    let answer = fal.setup().start().ask(&question("hi", false));
    assert_eq!(answer.content(), "hi");
    assert_eq!(answer.header("x-fal-request-id"), Some("fal-7"));
    for (name, _) in &answer.headers {
        let is_ours = [
            "content-",
            "date",
            "x-request-id",
            "x-fal-",
            "x-gateway-",
            "openai-",
            "cache-control",
            "x-content-type-options",
        ]
        .iter()
        .any(|start| name.starts_with(start));
        assert!(is_ours, "{name}");
    }
}

#[test]
fn every_piece_leaves_before_the_next_one_comes() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Gate(1),
        Step::Write(event("one two")),
        Step::Gate(2),
        Step::Write(final_event("one two three")),
        Step::Close,
    ]);
    let gateway = fal.setup().start();
    let mut reading = gateway.open(&ask()).stream();
    let body = reading.until("\"one\"");
    assert!(!body.contains("two"));
    fal.open_gate();
    let body = reading.until("\" two\"");
    assert!(!body.contains("three") && !body.contains("finish_reason\":\"stop"));
    fal.open_gate();
    let (body, end) = reading.rest();
    assert_eq!(
        (Stream::text(&body).as_str(), end),
        ("one two three", End::Clean)
    );
    assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
}

/// Two hundred events, each in an HTTP chunk of its own, as fal sends them, but all at once.
#[test]
fn events_that_come_together_are_read_and_sent_together() {
    let text = "so much text ".repeat(16);
    let grown = (1..=200).map(|length| event(&text[..length]));
    let mut burst = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for data in grown.chain([final_event(&text)]) {
        burst.extend(format!("{:x}\r\n", data.len()).into_bytes());
        burst.extend(data);
        burst.extend(b"\r\n");
    }
    burst.extend(b"0\r\n\r\n");
    let fal = ScriptedUpstream::answering(burst);
    let answer = fal.setup().start().call(&ask());
    assert_eq!(answer.streamed_text(), text);
    let deltas = answer.text().matches("\"delta\"").count();
    assert!(deltas < 40, "{deltas} chunks for 200 events");
}

#[test]
fn nothing_comes_after_the_end_even_if_fal_goes_on() {
    let more = [
        final_event("hi"),
        event("hi there"),
        final_event("hi there"),
    ]
    .concat();
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write([sse_head(), more].concat())]);
    let answer = fal.setup().start().call(&ask());
    assert_eq!(answer.streamed_text(), "hi");
    assert_eq!(answer.text().matches("[DONE]").count(), 1);
    fal.until_closed();
}

#[test]
fn a_silent_stream_is_kept_alive_by_comments() {
    let fal = ScriptedUpstream::start(silent_at_first());
    let gateway = fal.setup().set("server.heartbeat", "30ms").start();
    let mut reading = gateway.open(&ask()).stream();
    let three = ": keep-alive\n\n".repeat(3);
    let body = reading.until(&three);
    assert!(!body.contains("data:"), "{body}");
    fal.open_gate();
    reading.until(&format!("}}\n\n{three}"));
    fal.open_gate();
    let (body, end) = reading.rest();
    assert_eq!((Stream::text(&body).as_str(), end), ("one two", End::Clean));
}

#[test]
fn comments_are_off_when_switched_off() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.heartbeat", "0s").start();
    let answer = gateway.ask(&question("/emulate first:50ms gap:20ms\necho a b c", true));
    assert_eq!(answer.streamed_text(), "a b c");
    assert!(!answer.text().contains("keep-alive"));
}

#[test]
fn comments_do_not_hide_that_fal_has_been_silent_for_too_long() {
    for first in [Vec::new(), event("one")] {
        let fal = ScriptedUpstream::start(vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(first),
        ]);
        let gateway = fal
            .setup()
            .set("server.heartbeat", "50ms")
            .set("fal.idle_timeout", "400ms")
            .set("fal.first_byte_timeout", "400ms")
            .start();
        let (body, end) = gateway.open(&ask()).stream().rest();
        assert!(body.contains(": keep-alive\n\n"));
        assert_eq!(Stream::error(&body)["code"], "upstream_timeout");
        assert_eq!(end, End::Clean);
        fal.until_closed();
    }
}

/// Two choices: one keeps talking, the other fell silent.
/// The silent one is given up at its own limit, and the other goes on.
#[test]
fn a_choice_that_talks_does_not_hide_one_that_is_silent() {
    let fal = ScriptedUpstream::with(|number| {
        let mut steps = vec![Step::Read, Step::Write(sse_head()), Step::Write(event("a"))];
        if number == 1 {
            steps.push(Step::Drip(b": alive\n\n".to_vec()));
        }
        steps
    });
    let gateway = fal.setup().set("fal.idle_timeout", "400ms").start();
    let mut body = question("hi", true);
    body["n"] = 2.into();
    let reading = gateway.open(&Call::chat(&body)).stream();
    gateway.until_metric("fal_gateway_upstream_errors_total{kind=\"timeout\"}", 1.0);
    fal.until("the silent one closed", |seen| seen[0].closed.map(drop));
    assert!(fal.seen()[1].closed.is_none());
    drop(reading);
    fal.until_closed();
}

#[test]
fn fals_own_comments_count_as_a_sign_of_life() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("fal.idle_timeout", "500ms").start();
    let prompt = "/emulate ping:50ms gap:900ms size:2\necho abcd";
    let answer = gateway.ask(&question(prompt, true));
    assert_eq!(answer.streamed_text(), "abcd");
    assert!(answer.text().ends_with("[DONE]\n\n"));
}

#[test]
fn no_stream_lasts_longer_than_the_total_limit() {
    for stream in [false, true] {
        let fal = Emulated::start();
        let gateway = fal.setup().set("fal.total_timeout", "500ms").start();
        let prompt = "/emulate gap:50ms size:1\nlong 4000";
        let answer = gateway.ask(&question(prompt, stream));
        if stream {
            let error = Stream::error(&answer.text());
            assert_eq!(error["code"], "upstream_timeout");
        } else {
            // A whole answer comes in one piece: its silence is cut at the same limit.
            let answer = gateway.ask(&question("/emulate latency:30s\nhi", false));
            assert_eq!(
                answer.verdict(),
                "400 invalid_request_error upstream_timeout"
            );
        }
    }
}

#[test]
fn the_total_limit_holds_before_the_head_as_well() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
    let gateway = fal.setup().set("fal.total_timeout", "300ms").start();
    for stream in [false, true] {
        let answer = gateway.ask(&question("hi", stream));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error upstream_timeout"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_names_fals_request() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Close,
    ]);
    let gateway = fal.setup().start();
    for stream in [true, false] {
        let answer = gateway.ask(&question("hi", stream));
        let error = match stream {
            true => Stream::error(&answer.text()),
            false => answer.error(),
        };
        assert_eq!(error["code"], "upstream_disconnected");
        assert_eq!(answer.header("x-fal-request-id"), Some("fal-1"));
    }
}
