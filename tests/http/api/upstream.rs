//! What fal can do wrong on the wire: each fault has its code, before the first event as an HTTP
//! error and after it as the last frame, with one call and a closed connection.

use std::time::{Duration, Instant};

use crate::support::{
    Answer, Call, Emulated, Process, ScriptedUpstream, Setup, Step, Stream, event, final_event,
    question, sse, sse_head, whole,
};

pub(crate) const DISCONNECTED: &str = "upstream_disconnected";
pub(crate) const INVALID: &str = "upstream_invalid_response";
pub(crate) const TIMEOUT: &str = "upstream_timeout";
pub(crate) const ERROR: &str = "upstream_error";

fn head(media_type: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n{more}\r\n").into_bytes()
}

fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head("text/event-stream", "transfer-encoding: chunked\r\n");
    for part in parts {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn code(answer: &Answer) -> String {
    let error = match answer.status {
        200 => Stream::error(&answer.text()),
        _ => answer.error(),
    };
    error["code"].as_str().unwrap().to_owned()
}

/// Plays a script to a streaming and a whole request; each must fail with this code, in time.
pub(crate) fn assert_fails(name: &str, steps: &[Step], expected: &str) {
    for stream in [false, true] {
        let script = [&[Step::Read], steps].concat();
        let fal = ScriptedUpstream::start(script);
        let gateway = fal
            .setup()
            .set("fal.first_byte_timeout", "500ms")
            .set("fal.idle_timeout", "500ms")
            .set("fal.max_event", "64KiB")
            .set("fal.max_answer", "64KiB")
            .set("fal.pool_idle", "0")
            .start();
        let started = Instant::now();
        let answer = gateway.ask(&question("planted-prompt", stream));
        assert_eq!(code(&answer), expected, "{name}, stream {stream}");
        assert!(started.elapsed() < Duration::from_secs(10), "{name}");
        assert!(!answer.text().contains("planted"), "{name}");
        assert_eq!(fal.requests(), 1, "{name}");
        let ended_by_us = !matches!(steps.last(), Some(Step::Close | Step::Reset));
        if ended_by_us {
            fal.until_closed();
        }
    }
}

pub(crate) fn write(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Write(bytes.into())
}

#[test]
fn faults_of_the_head() {
    let big = "x".repeat(1024);
    let headers: String = (0..2048).map(|n| format!("x-{n}: {big}\r\n")).collect();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Step>, &str)> = vec![
        ("no head", vec![Step::Hold], TIMEOUT),
        ("half a head", vec![write("HTTP/1.1 200 OK\r\ncont")], TIMEOUT),
        ("closed before the head", vec![Step::Close], DISCONNECTED),
        ("reset before the head", vec![Step::Reset], DISCONNECTED),
        ("closed inside the head", vec![write("HTTP/1.1 200 O"), Step::Close], DISCONNECTED),
        ("not HTTP", vec![write("SSH-2.0-OpenSSH_9.6\r\n\r\n")], INVALID),
        ("not HTTP, then closed", vec![write("220 mail ready\r\n"), Step::Close], INVALID),
        ("two MiB of headers", vec![write(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))], INVALID),
        ("HTML", vec![write(head("text/html", "content-length: 6\r\n")), write("<html>")], INVALID),
        ("plain text", vec![write(head("text/plain", "content-length: 2\r\n")), write("hi")], INVALID),
        ("101", vec![write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")], INVALID),
        ("206", vec![write("HTTP/1.1 206 Partial\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n")], INVALID),
        ("compressed", vec![write(head("application/json", "content-encoding: gzip\r\ncontent-length: 3\r\n")), write("\x1f\u{b}")], INVALID),
    ];
    for (name, steps, expected) in cases {
        assert_fails(name, &steps, expected);
    }
}

#[test]
fn faults_of_a_whole_body() {
    let json = |body: &[u8]| {
        let length = format!("content-length: {}\r\n", body.len());
        write([head("application/json", &length), body.to_vec()].concat())
    };
    let cases: Vec<(&str, Step, Option<Step>, &str)> = vec![
        ("empty", json(b""), None, INVALID),
        ("not JSON", json(b"{\"output\": \"half"), None, INVALID),
        ("a list", json(b"[]"), None, INVALID),
        ("null output", json(b"{\"output\":null}"), None, INVALID),
        ("a number for output", json(b"{\"output\":7}"), None, INVALID),
        ("not UTF-8", json(b"{\"output\":\"\xff\"}"), None, INVALID),
        ("too large", json(&[b' '; 70_000]), None, INVALID),
        ("an error", json(br#"{"output":"","error":"boom"}"#), None, ERROR),
        (
            "shorter than promised",
            write([head("application/json", "content-length: 99\r\n"), b"{\"output\"".to_vec()].concat()),
            Some(Step::Close),
            DISCONNECTED,
        ),
        (
            "silent inside",
            write([head("application/json", "content-length: 99\r\n"), b"{\"output\"".to_vec()].concat()),
            None,
            TIMEOUT,
        ),
        (
            "no last chunk",
            write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"out\r\n".to_vec()),
            Some(Step::Close),
            DISCONNECTED,
        ),
    ];
    for (name, step, end, expected) in cases {
        let steps: Vec<Step> = std::iter::once(step).chain(end).collect();
        assert_fails(name, &steps, expected);
    }
}

/// Faults of a stream, each at its very beginning and after a first event.
#[test]
fn faults_of_a_stream() {
    let half = |event: Vec<u8>| event[..event.len() / 2].to_vec();
    let mut cut_event = chunked(&[&event("one"), &half(event("one two"))]);
    cut_event.extend_from_slice(b"0\r\n\r\n");
    let mut no_last_chunk = chunked(&[&event("one")]);
    no_last_chunk.extend_from_slice(b"ff\r\nx");
    let late_cases: Vec<(&str, Vec<Step>, &str)> = vec![
        ("closed", vec![Step::Close], DISCONNECTED),
        ("reset", vec![Step::Reset], DISCONNECTED),
        ("silent", vec![Step::Hold], TIMEOUT),
        (
            "cut in an event",
            vec![write(half(event("one two"))), Step::Close],
            DISCONNECTED,
        ),
        ("garbage", vec![write(sse("{\"output\": \"half"))], INVALID),
        ("a number", vec![write(sse("{\"output\": 7}"))], INVALID),
        (
            "null output",
            vec![write(sse("{\"output\": null, \"partial\": false}"))],
            INVALID,
        ),
        (
            "not UTF-8",
            vec![write(b"data: {\"output\":\"\xff\"}\n\n".to_vec())],
            INVALID,
        ),
        (
            "an endless line",
            vec![Step::Flood(vec![b'a'; 8192])],
            INVALID,
        ),
        (
            "an error",
            vec![write(sse(r#"{"output":"one","error":"boom"}"#))],
            ERROR,
        ),
        (
            "an error event",
            vec![write(
                b"event: error\ndata: {\"detail\":\"boom\"}\n\n".to_vec(),
            )],
            ERROR,
        ),
    ];
    for (name, steps, expected) in &late_cases {
        for first in [Vec::new(), event("one")] {
            let opening = [sse_head(), first].concat();
            let steps = [&[write(opening)], steps.as_slice()].concat();
            assert_fails(name, &steps, expected);
        }
    }
    for (name, bytes) in [
        ("a proper end inside an event", cut_event),
        ("no last chunk", no_last_chunk),
        (
            "a proper end without the closing event",
            [chunked(&[&event("one")]), b"0\r\n\r\n".to_vec()].concat(),
        ),
        (
            "an empty stream",
            [chunked(&[]), b"0\r\n\r\n".to_vec()].concat(),
        ),
        (
            "only comments",
            [chunked(&[b": hi\n\n"]), b"0\r\n\r\n".to_vec()].concat(),
        ),
    ] {
        assert_fails(name, &[write(bytes), Step::Close], DISCONNECTED);
    }
}

#[test]
fn text_that_was_streamed_before_the_fault_is_delivered() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        write([sse_head(), event("one"), event("one two")].concat()),
        Step::Reset,
    ]);
    let gateway = fal.setup().start();
    let mut reading = gateway.open(&Call::chat(&question("hi", true))).stream();
    reading.until("upstream_disconnected");
    let (body, _) = reading.rest();
    assert_eq!(Stream::error(&body)["code"], DISCONNECTED);
    assert!(Stream::text(&body).is_empty() || Stream::text(&body).starts_with("one"));
}

#[test]
fn a_stream_without_its_closing_event_can_be_taken_as_complete() {
    let bytes = [chunked(&[&event("one two")]), b"0\r\n\r\n".to_vec()].concat();
    for (setting, is_accepted) in [("error", false), ("accept", true)] {
        let fal = ScriptedUpstream::answering(bytes.clone());
        let gateway = fal.setup().set("fal.missing_final", setting).start();
        let streamed = gateway.ask(&question("hi", true));
        let whole = gateway.ask(&question("hi", false));
        if is_accepted {
            assert_eq!(streamed.streamed_text(), "one two");
            assert!(streamed.text().ends_with("data: [DONE]\n\n"));
            assert_eq!(whole.content(), "one two");
        } else {
            assert_eq!(code(&streamed), DISCONNECTED);
            assert_eq!(code(&whole), DISCONNECTED);
        }
    }
}

/// The same where it ends with the sign of its end, and nothing has said why it ends.
#[test]
fn a_stream_without_a_finish_reason_can_be_taken_as_complete() {
    let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"one two"}}]}"#;
    let frames = format!("{chunk}\n\ndata: [DONE]\n\n").into_bytes();
    let bytes = [chunked(&[&frames]), b"0\r\n\r\n".to_vec()].concat();
    let nothing = [chunked(&[b"data: [DONE]\n\n"]), b"0\r\n\r\n".to_vec()].concat();
    for (setting, is_accepted) in [("error", false), ("accept", true)] {
        let before = |bytes: &[u8]| {
            let fal = ScriptedUpstream::answering(bytes.to_vec());
            let setup = fal.setup().set("fal.upstream", "router-openai");
            (setup.set("fal.missing_final", setting).start(), fal)
        };
        let (gateway, _fal) = before(&bytes);
        let streamed = gateway.ask(&question("hi", true));
        match is_accepted {
            true => assert_eq!(streamed.streamed_text(), "one two"),
            false => assert!(streamed.text().contains(DISCONNECTED)),
        }
        assert_eq!(streamed.text().ends_with("data: [DONE]\n\n"), is_accepted);
        let (gateway, _fal) = before(&nothing);
        assert_eq!(
            code(&gateway.ask(&question("hi", true))),
            DISCONNECTED,
            "{setting}"
        );
    }
}

#[test]
fn a_connection_cut_inside_an_event_is_never_taken_as_complete() {
    let fal = ScriptedUpstream::answering([sse_head(), event("one"), b"data: {".to_vec()].concat());
    let gateway = fal.setup().set("fal.missing_final", "accept").start();
    assert_eq!(code(&gateway.ask(&question("hi", true))), DISCONNECTED);
}

#[test]
fn however_fal_writes_its_stream_the_text_is_exact() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let text = "na\u{ef}ve \u{1f469}\u{200d}\u{1f680} \u{4f60}\u{597d} end";
    for words in [
        "split:1 size:3",
        "split:2 cr size:2",
        "lf split:3",
        "cr",
        "bom noise",
        "two_lines split:5",
        "repeat:2 size:3",
        "bare",
        "burst",
        "key_order noise lf",
        "unescaped split:1 size:1",
        "nonulls",
        "replacement size:2",
        "headers",
        "ping:5ms gap:10ms",
    ] {
        let prompt = format!("/emulate {words}\necho {text}");
        let answer = gateway.ask(&question(&prompt, true));
        assert_eq!(answer.streamed_text(), text, "{words}");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{words}");
        assert_eq!(
            gateway.ask(&question(&prompt, false)).content(),
            text,
            "{words}"
        );
    }
}

#[test]
fn early_hints_before_the_answer_are_skipped() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(3);
    let fal = ScriptedUpstream::answering([hints, whole("hi")].concat());
    assert_eq!(
        fal.setup().start().ask(&question("hi", false)).content(),
        "hi"
    );
}

#[test]
fn text_that_fal_takes_back_ends_the_stream_with_an_error() {
    let fal = ScriptedUpstream::answering(
        [
            sse_head(),
            event("one two"),
            event("one"),
            final_event("other"),
        ]
        .concat(),
    );
    let answer = fal.setup().start().ask(&question("hi", true));
    // Either nothing of it had left yet, and the client gets exactly the final text, or it is told.
    if answer.status == 200 && answer.text().contains("[DONE]") {
        assert_eq!(answer.streamed_text(), "other");
    } else {
        assert_eq!(code(&answer), "upstream_revised");
    }
}

#[test]
fn an_idle_connection_that_fal_closed_does_no_harm() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => vec![Step::Read, write(whole("hi")), Step::Gate(1), Step::Close],
        _ => vec![Step::Serve(whole("hi"))],
    });
    let gateway = fal.setup().start();
    assert_eq!(gateway.ask(&question("hi", false)).content(), "hi");
    fal.open_gate();
    // fal's side is closed before the next request is sent.
    fal.until("closed by the script", |seen| seen[0].closed);
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(gateway.ask(&question("hi", false)));
    }
    let failed = answers.iter().filter(|answer| answer.status != 200).count();
    assert!(failed <= 1, "{failed} of 5 failed");
}

#[test]
fn a_second_answer_nobody_asked_for_reaches_nobody() {
    let forged = [whole("mine"), whole("forged")].concat();
    let fal = ScriptedUpstream::with(move |number| match number {
        0 => vec![Step::Read, write(forged.clone())],
        _ => vec![Step::Serve(whole("later"))],
    });
    let gateway = fal.setup().start();
    assert_eq!(gateway.ask(&question("hi", false)).content(), "mine");
    let mut refused = 0;
    for _ in 0..4 {
        let answer = gateway.ask(&question("hi", false));
        assert!(!answer.text().contains("forged"));
        refused += usize::from(answer.status != 200);
    }
    assert!(refused <= 1);
}

#[test]
fn a_connection_whose_answer_was_not_read_to_its_end_is_not_used_again() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => vec![
            Step::Read,
            write(chunked(&[&sse("{oops"), &event("secret of one")])),
        ],
        _ => vec![Step::Read, write(whole("two"))],
    });
    let gateway = fal.setup().start();
    assert_eq!(code(&gateway.ask(&question("one", true))), INVALID);
    assert_eq!(gateway.ask(&question("two", false)).content(), "two");
    let seen = fal.seen();
    assert!(seen.iter().all(|connection| connection.requests.len() == 1));
}

/// A refusal whose body drips must not hold the request for ever.
#[test]
fn a_refusal_whose_body_never_ends_is_answered_in_time() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        write("HTTP/1.1 422 No\r\ncontent-length: 60000\r\n\r\n"),
        Step::Drip(b" ".to_vec()),
    ]);
    let gateway = fal.setup().set("fal.idle_timeout", "500ms").start();
    let started = Instant::now();
    let answer = gateway.ask(&question("hi", false));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error upstream_rejected"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    fal.until_closed();
}

#[test]
fn a_refusal_with_a_huge_body_is_not_read_to_its_end() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        write("HTTP/1.1 503 No\r\nconnection: close\r\n\r\n"),
        Step::Flood(vec![b'x'; 65536]),
    ]);
    let answer = fal.setup().start().ask(&question("hi", true));
    assert_eq!(answer.verdict(), "503 server_error upstream_unavailable");
    fal.until_closed();
    assert!(fal.seen()[0].written < 32 << 20);
}

/// Whoever refuses a request for its head need not read its body, and a connection that is closed with
/// bytes unread is reset.
#[test]
fn a_refusal_that_comes_before_the_request_is_read_is_told_as_that() {
    let fal = ScriptedUpstream::start(vec![
        Step::ReadSome,
        write("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        Step::Close,
    ]);
    let gateway = fal.setup().start();
    for length in [10, 100_000, 900_000] {
        let mut body = question(&"x".repeat(length), true);
        body["model"] = "google/gemini-2.5-flash".into();
        let answer = gateway.ask(&body);
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error upstream_auth_failed",
            "{length} bytes"
        );
    }
}

#[test]
fn the_head_of_an_answer_is_read_whatever_its_case_and_without_a_coding() {
    for header in [
        "content-type: Application/JSON",
        "content-type: application/json; charset=UTF-8\r\ncontent-encoding: identity",
        "content-type: application/json\r\ncontent-encoding: Identity",
    ] {
        let whole = String::from_utf8(whole("hi")).unwrap();
        let answer = whole.replace("content-type: application/json", header);
        let fal = ScriptedUpstream::answering(answer);
        let answer = fal.setup().start().ask(&question("hi", false));
        assert_eq!(answer.content(), "hi", "{header}");
    }
    for header in [
        "content-type: TEXT/Event-Stream",
        "content-type: text/event-stream\r\ncontent-encoding: identity",
    ] {
        let head = String::from_utf8(sse_head()).unwrap();
        let head = head.replace("content-type: text/event-stream; charset=utf-8", header);
        let fal = ScriptedUpstream::answering([head.into_bytes(), final_event("hi")].concat());
        let answer = fal.setup().start().ask(&question("hi", true));
        assert_eq!(answer.streamed_text(), "hi", "{header}");
    }
}

#[test]
fn an_event_of_64_mebibytes_is_refused_at_the_limit_and_not_read_on() {
    for (media_type, stream) in [("text/event-stream", true), ("application/json", false)] {
        let fal = ScriptedUpstream::start(vec![
            Step::Read,
            write(head(media_type, "connection: close\r\n")),
            write("data: {\"output\": \""),
            Step::Flood(vec![b'a'; 1 << 20]),
        ]);
        let (process, address) = Process::serving(&fal.setup());
        let before = process.resident_kib();
        let mut raw = process.connect(address);
        raw.send(&Call::chat(&question("hi", stream)).to_bytes());
        assert_eq!(code(&raw.answer()), INVALID);
        fal.until_closed();
        let written = fal.seen()[0].written;
        assert!(written < 40 << 20, "{written} bytes were taken");
        let grown = process.resident_kib().saturating_sub(before);
        assert!(grown < 96 << 10, "grew by {grown} KiB");
    }
}

/// A listener whose queue is full drops further attempts without a word.
#[test]
fn connecting_that_takes_too_long_may_be_repeated() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = |_| {
        let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let filler = filler.unwrap();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address.into());
        filler
    };
    let _fillers: Vec<_> = (0..8).map(fill).collect();
    let setup = Setup::towards(&format!("http://{address}"));
    let gateway = setup.set("fal.connect_timeout", "300ms").start();
    let answer = gateway.ask(&question("hi", false));
    assert_eq!(answer.verdict(), "504 server_error upstream_timeout");
    assert_eq!(answer.header("x-should-retry"), None);
}
