//! Bytes from fal's side that are not what HTTP, server-sent events or JSON allow: each ends in
//! its error, after one call and in time.

use crate::api::upstream::{DISCONNECTED, ERROR, INVALID, TIMEOUT, assert_fails, write};
use crate::support::{ScriptedUpstream, Step, event, final_event, question, sse, sse_head, whole};

fn answer(head: &str, body: &str) -> Vec<Step> {
    vec![write(format!("HTTP/1.1 {head}\r\n\r\n{body}")), Step::Close]
}

/// An answer of this type whose body is in chunks, written as they are.
fn chunks(media_type: &str, raw: &[u8]) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    vec![write([head.as_bytes(), raw].concat()), Step::Close]
}

#[test]
fn heads_that_http_does_not_allow() {
    let body = r#"{"output":"smuggled","partial":false}"#;
    let length = body.len();
    let json = "200 OK\r\ncontent-type: application/json\r\n";
    let mut cases: Vec<(String, Vec<Step>, &str)> = Vec::new();
    for lines in [
        format!("content-length: {length}\r\ncontent-length: 5"),
        format!("content-length: {length}, 5"),
        "content-length: -1".to_owned(),
        format!("content-length: +{length}"),
        "content-length: 0x10".to_owned(),
        "content-length: 1180591620717411303424".to_owned(),
        "a header without a colon".to_owned(),
        "x-a: b\0c".to_owned(),
        "x\u{1}a: b".to_owned(),
        ": no name".to_owned(),
    ] {
        cases.push((
            lines.clone(),
            answer(&format!("{json}{lines}"), body),
            INVALID,
        ));
    }
    for status in [
        "000 Zero",
        "99 Low",
        "1000 High",
        "abc Word",
        "-200 Minus",
        "",
    ] {
        let lines = format!("{status}\r\ncontent-type: application/json");
        cases.push((status.to_owned(), answer(&lines, body), INVALID));
    }
    for status in [
        "201 Created",
        "202 Accepted",
        "205 Reset",
        "206 Partial",
        "301 Moved",
        "303 Other",
        "304 Same",
        "308 Moved",
        "399 Odd",
    ] {
        let lines = format!("{status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0");
        cases.push((status.to_owned(), answer(&lines, ""), INVALID));
    }
    for encoding in ["gzip", "br", "identity, gzip", "gzip, gzip"] {
        let lines =
            format!("200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {encoding}");
        cases.push((encoding.to_owned(), answer(&lines, ""), INVALID));
    }
    for (name, steps, expected) in [
        (
            "HTTP/0.9",
            vec![write("just words\n"), Step::Close],
            INVALID,
        ),
        (
            "an alert of TLS",
            vec![write(b"\x15\x03\x03\0\x02\x02\x28".to_vec()), Step::Close],
            INVALID,
        ),
        (
            "frames of HTTP/2",
            vec![
                write(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80".to_vec()),
                Step::Close,
            ],
            INVALID,
        ),
        (
            "another version",
            vec![write("HTTP/3.7 200 OK\r\n\r\n"), Step::Close],
            INVALID,
        ),
        (
            "zeros without end",
            vec![Step::Flood(vec![0; 8192])],
            INVALID,
        ),
        (
            "a header without end",
            vec![
                write("HTTP/1.1 200 OK\r\nx-a: "),
                Step::Flood(vec![b'a'; 8192]),
            ],
            INVALID,
        ),
        (
            "headers without end",
            vec![
                write("HTTP/1.1 200 OK\r\n"),
                Step::Flood(b"x-a: b\r\n".repeat(1024)),
            ],
            INVALID,
        ),
        (
            "early hints without end",
            vec![Step::Drip(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())],
            TIMEOUT,
        ),
        (
            "go on, and nothing more",
            vec![write("HTTP/1.1 100 Continue\r\n\r\n")],
            TIMEOUT,
        ),
    ] {
        cases.push((name.to_owned(), steps, expected));
    }
    for (name, steps, expected) in &cases {
        assert_fails(name, steps, expected);
    }
}

#[test]
fn bodies_that_http_does_not_allow() {
    let cases: [(&str, Vec<Step>, &str); 7] = [
        ("a chunk size that is none", chunks("application/json", b"zz\r\n{}\r\n0\r\n\r\n"), DISCONNECTED),
        ("a chunk size past 64 bits", chunks("application/json", b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), DISCONNECTED),
        ("a negative chunk", chunks("text/event-stream", b"-5\r\n{}\r\n0\r\n\r\n"), DISCONNECTED),
        ("a chunk longer than its size", chunks("text/event-stream", b"2\r\ndata: x\r\n0\r\n\r\n"), DISCONNECTED),
        ("no chunk at all", chunks("text/event-stream", b""), DISCONNECTED),
        ("a stream shorter than promised", vec![write([b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n".to_vec(), event("one")].concat()), Step::Close], DISCONNECTED),
        ("an extension without end", vec![write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5;"), Step::Flood(vec![b'a'; 8192])], DISCONNECTED),
    ];
    for (name, steps, expected) in cases {
        assert_fails(name, &steps, expected);
    }
}

/// Each as a whole answer and as an event of a stream.
#[test]
fn json_that_is_no_answer() {
    let deep = format!(
        r#"{{"output":"x","partial":false,"a":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let half_deep = format!(
        r#"{{"output":"x","partial":false,"a":{}"#,
        "{\"a\":".repeat(30_000)
    );
    let utf16: String = "{\0\"\0o\0u\0t\0p\0u\0t\0\"\0:\0\"\0x\0\"\0}\0".to_owned();
    let cases: [(&str, &str); 18] = [
        ("", INVALID),
        ("nothing", INVALID),
        ("true", INVALID),
        ("7", INVALID),
        ("\"output\"", INVALID),
        ("[]", INVALID),
        ("{}", INVALID),
        (r#"{"partial":false}"#, INVALID),
        (r#"{"output":{},"partial":false}"#, INVALID),
        (r#"{"output":["x"],"partial":false}"#, INVALID),
        (r#"{"output":true,"partial":false}"#, INVALID),
        (r#"{"output":NaN,"partial":false}"#, INVALID),
        (r#"{"output":"x","partial":false} and more"#, INVALID),
        (r#"{"output":"\ud800","partial":false}"#, INVALID),
        (r#"{'output':'x'}"#, INVALID),
        (&deep, INVALID),
        (&half_deep, INVALID),
        (&utf16, INVALID),
    ];
    for (json, expected) in cases {
        let shown: String = json.chars().take(60).collect();
        let length = json.len();
        let lines = format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}");
        assert_fails(&shown, &answer(&lines, json), expected);
        if json.is_empty() {
            continue;
        }
        for first in [Vec::new(), event("one")] {
            let bytes = [sse_head(), first, sse(json)].concat();
            assert_fails(&shown, &[write(bytes), Step::Close], expected);
        }
    }
    for error in [r#""boom""#, r#"{"message":"boom"}"#, "7", "[\"boom\"]"] {
        let json = format!(r#"{{"output":"","partial":false,"error":{error}}}"#);
        let bytes = [sse_head(), sse(&json)].concat();
        assert_fails(error, &[write(bytes), Step::Close], ERROR);
    }
}

/// What is odd and harmless does no harm.
#[test]
fn oddities_that_are_understood() {
    let body = r#"{"output":"hi","partial":false}"#;
    let length = body.len();
    let answers: Vec<Vec<Step>> = vec![
        answer("200", body),
        answer(
            "200 OK\r\ncontent-type: application/json; charset=utf-8",
            body,
        ),
        answer(
            &format!(
                "200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\ncontent-length: {length}"
            ),
            body,
        ),
        chunks(
            "application/json",
            format!("{length:x};a=b\r\n{body}\r\n0\r\nx-trailer: 1\r\n\r\n").as_bytes(),
        ),
        vec![
            write([whole("hi"), b"and more".to_vec()].concat()),
            Step::Close,
        ],
        vec![
            write([sse_head(), final_event("hi"), b"data: [DONE]\n\n".to_vec()].concat()),
            Step::Close,
        ],
        vec![
            write(
                [
                    sse_head(),
                    b"\n\n\n\n:\n\nevent: ping\n\n".to_vec(),
                    final_event("hi"),
                ]
                .concat(),
            ),
            Step::Close,
        ],
    ];
    for steps in answers {
        let shown = format!("{:?}", steps.first())
            .chars()
            .take(200)
            .collect::<String>();
        let fal = ScriptedUpstream::start([&[Step::Read], steps.as_slice()].concat());
        let gateway = fal.setup().set("fal.pool_idle", "0").start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            let text = match stream {
                true => answer.streamed_text(),
                false => answer.content(),
            };
            assert_eq!(text, "hi", "{shown}, stream {stream}");
        }
    }
}
