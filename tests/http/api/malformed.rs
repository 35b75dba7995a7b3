//! Malformed HTTP: refused, closed, and never half understood.

use std::time::Duration;

use crate::support::{Call, Emulated, TestGateway, question};

/// Sends bytes, and asserts that nothing is answered twice, that any answer is a refusal, and that
/// the connection closes.
fn assert_refused(gateway: &TestGateway, name: &str, bytes: &[u8]) {
    let mut raw = gateway.connect();
    raw.try_send(bytes);
    let (took, said) = raw.closed_after();
    let answers = said.matches("HTTP/1.1 ").count();
    assert!(answers <= 1, "{name}: {said}");
    if answers == 1 {
        assert!(
            said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 50"),
            "{name}: {said}"
        );
        assert!(!said.starts_with("HTTP/1.1 500"), "{name}: {said}");
    }
    assert!(took < Duration::from_secs(10), "{name}: {took:?}");
}

fn quick(fal: &Emulated) -> TestGateway {
    let setup = fal.setup().set("server.header_timeout", "700ms");
    setup.set("server.body_timeout", "700ms").start()
}

/// A request head with these lines, and after the blank one whatever `rest` is.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{lines}\r\n{rest}"
    )
    .into_bytes()
}

#[test]
fn lengths_that_can_be_read_in_two_ways_are_refused() {
    let fal = Emulated::start();
    let gateway = quick(&fal);
    let body = question("echo smuggled", false).to_string();
    let hidden = String::from_utf8(Call::chat(&question("echo smuggled", false)).to_bytes());
    let hidden = hidden.unwrap();
    let length = body.len();
    let chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    #[rustfmt::skip]
    let cases = [
        ("both", format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), chunks.clone()),
        ("both, other order", format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"), chunks.clone()),
        ("two lengths", format!("content-length: {length}\r\ncontent-length: 5\r\n"), body.clone()),
        ("a list of lengths", format!("content-length: {length}, 5\r\n"), body.clone()),
        ("a plus", format!("content-length: +{length}\r\n"), body.clone()),
        ("a minus", "content-length: -1\r\n".to_owned(), body.clone()),
        ("past 64 bits", "content-length: 18446744073709551621\r\n".to_owned(), body.clone()),
        ("hexadecimal", "content-length: 0x5\r\n".to_owned(), body.clone()),
        ("empty length", "content-length: \r\n".to_owned(), body.clone()),
        ("xchunked", "transfer-encoding: xchunked\r\n".to_owned(), chunks.clone()),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n".to_owned(), chunks.clone()),
        ("chunked not last", "transfer-encoding: chunked, gzip\r\n".to_owned(), chunks.clone()),
        ("identity", "transfer-encoding: identity\r\n".to_owned(), chunks.clone()),
        ("space before the colon", format!("content-length : {length}\r\n"), body.clone()),
        ("a folded header", format!("x-a: b\r\n c\r\ncontent-length: {length}\r\n"), body.clone()),
        ("a chunk longer than its size", "transfer-encoding: chunked\r\n".to_owned(), format!("2\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk size that is no number", "transfer-encoding: chunked\r\n".to_owned(), format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ("a negative chunk", "transfer-encoding: chunked\r\n".to_owned(), "-1\r\n\r\n".to_owned()),
    ];
    for (name, lines, rest) in cases {
        assert_refused(&gateway, name, &post(&lines, &format!("{rest}{hidden}")));
    }
    let old = post(
        "transfer-encoding: chunked\r\n",
        &format!("{chunks}{hidden}"),
    );
    let old = String::from_utf8(old)
        .unwrap()
        .replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert_refused(&gateway, "HTTP/1.0 with chunks", old.as_bytes());
    assert_eq!(fal.count(), 0);
}

#[test]
fn heads_that_are_not_http_are_refused() {
    let fal = Emulated::start();
    let gateway = quick(&fal);
    let body = question("echo hi", false).to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let with = |lines: &str| post(&format!("{length}{lines}"), &body);
    let big = "a".repeat(512 << 10);
    let many: String = (0..5000).map(|n| format!("x-{n}: 1\r\n")).collect();
    let no_host = String::from_utf8(with(""))
        .unwrap()
        .replacen("host: 127.0.0.1\r\n", "", 1);
    let mut tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    tls.extend([7; 512]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no host", no_host.into_bytes()),
        ("two hosts", with("host: evil.example\r\n")),
        ("two equal hosts", with("host: 127.0.0.1\r\n")),
        ("NUL in a header", with("x-a: a\0b\r\n")),
        ("a bare CR in a header", with("x-a: a\rb: c\r\n")),
        (
            "half a megabyte in a header",
            with(&format!("x-a: {big}\r\n")),
        ),
        ("five thousand headers", with(&many)),
        (
            "a request line of half a megabyte",
            format!("GET /{big} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes(),
        ),
        ("TLS", tls),
        (
            "the preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        (
            "HTTP/9.9",
            b"GET /livez HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n".to_vec(),
        ),
        ("no version", b"GET /livez\r\n\r\n".to_vec()),
        ("noise", (1..=255).cycle().take(4096).collect()),
    ];
    for (name, bytes) in cases {
        assert_refused(&gateway, name, &bytes);
    }
    assert_eq!(fal.count(), 0);
    assert_eq!(gateway.ask(&question("echo hi", false)).content(), "hi");
}

#[test]
fn connect_opens_no_tunnel() {
    let fal = Emulated::start();
    let gateway = quick(&fal);
    let target = fal.url().replace("http://", "");
    let mut raw = gateway.connect();
    raw.send(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes());
    let answer = raw.head();
    assert!((400..600).contains(&answer.status), "{answer:?}");
    assert_eq!(fal.count(), 0);
}

/// The request line may name a whole address; it is ours or refused, and never fetched.
#[test]
fn an_absolute_address_in_the_request_line_is_not_fetched() {
    let fal = Emulated::start();
    let elsewhere = crate::support::ScriptedUpstream::start(vec![]);
    let target = format!("{}/v1/chat/completions", elsewhere.url());
    let call = |target: &str| {
        Call::new("POST", target)
            .header("content-type", "application/json")
            .body(question("echo hi", false).to_string())
    };
    let open = fal.setup().start();
    let evil = open.call(&call("http://evil.example/v1/chat/completions"));
    assert_eq!(evil.status, 403);
    let keyed = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let answer = keyed.call(&call(&target).header("authorization", "Bearer sk-fg-alice"));
    assert_eq!(answer.content(), "hi");
    assert_eq!(elsewhere.seen().len(), 0);
}

/// Whatever a caller puts into a header that comes back cannot break out of its line.
#[test]
fn a_request_id_comes_back_only_if_it_is_one() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let call = |id: &str| Call::get("/livez").header("x-request-id", id);
    for id in ["abc", "req_1.2:3-4", &"a".repeat(128)] {
        let answer = gateway.call(&call(id));
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
    for id in ["", "a b", "a\"b", "caf\u{e9}", "<script>", &"a".repeat(129)] {
        let answer = gateway.call(&call(id));
        let given = answer.header("x-request-id").unwrap();
        assert!(given.starts_with("req_"), "{id}: {given}");
    }
}
