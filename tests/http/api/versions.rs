//! Older versions of HTTP, offers of newer ones, and what is no HTTP at all.

use serde_json::Value;

use crate::support::{Call, Emulated, Raw, question};

const OFFERS: [(&str, &str); 6] = [
    ("Upgrade, HTTP2-Settings", "h2c"),
    ("upgrade", "websocket"),
    ("keep-alive, Upgrade", "WebSocket"),
    ("Upgrade", ""),
    ("upgrade", "TLS/1.2, HTTP/2.0"),
    ("keep-alive", "websocket"),
];

fn with_offer(call: Call, (connection, upgrade): (&str, &str)) -> Call {
    let call = call.header("connection", connection);
    match upgrade {
        "" => call,
        name => call
            .header("upgrade", name)
            .header("http2-settings", "AAMAAABkAAQAAP__"),
    }
}

fn chunked(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let call = Call::chat_bytes("")
        .without("content-length")
        .header("connection", "Upgrade")
        .header("upgrade", "h2c")
        .header("transfer-encoding", "chunked");
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    [call.head(), chunks.into_bytes()].concat()
}

/// Java's client offers HTTP/2 with each request, and a common nginx snippet sends the bare word.
#[test]
fn an_offer_to_switch_protocols_changes_nothing() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for offer in OFFERS {
        let mut raw = gateway.connect();
        for stream in [false, true, false] {
            let body = question("echo hi", stream);
            raw.send(&with_offer(Call::chat(&body), offer).to_bytes());
            let answer = raw.answer();
            assert_eq!(answer.status, 200, "{offer:?}");
            assert_eq!(answer.header("connection"), None, "{offer:?}");
            assert_eq!(answer.header("upgrade"), None, "{offer:?}");
            let text = match stream {
                true => answer.streamed_text(),
                false => answer.content(),
            };
            assert_eq!(text, "hi");
        }
        raw.send(&with_offer(Call::get("/v1/models"), offer).to_bytes());
        assert_eq!(raw.answer().status, 200, "{offer:?}");
        raw.send(&chunked(&question("echo hi", false)));
        assert_eq!(raw.answer().content(), "hi");
    }
}

#[test]
fn hundreds_of_requests_with_an_offer_follow_each_other_on_a_connection() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut raw = gateway.connect();
    let call = with_offer(Call::chat(&question("echo hi", false)), OFFERS[0]);
    // As Java does it: the head first, then the body.
    let (head, body) = (call.head(), call.to_bytes().split_off(call.head().len()));
    for _ in 0..400 {
        raw.send(&head);
        raw.send(&body);
        assert_eq!(raw.answer().content(), "hi");
    }
}

#[test]
fn what_looks_like_an_offer_in_a_body_is_left_alone() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let words = "echo Upgrade: h2c and connection: upgrade";
    let body = format!(
        "{{\"messages\":\r\n[{{\"role\":\"user\",\"content\":\"{words}\"}}],\r\n\"upgrade\":1,\nupgrade"
    );
    // No JSON, as its last line looks like a header; what matters is that it came whole.
    let answer = gateway.call(&Call::chat_bytes(format!("{body}: 1\n\n}}")));
    assert_eq!(answer.status, 400);
    let answer = gateway.ask(&question(words, false));
    assert_eq!(answer.content(), &words["echo ".len()..]);
}

fn old(call: &Call) -> Vec<u8> {
    let text = String::from_utf8(call.to_bytes()).unwrap();
    text.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
}

fn told(mut raw: Raw, bytes: &[u8]) -> (String, String) {
    raw.send(bytes);
    let said = String::from_utf8(raw.rest()).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// HTTP/1.0 knows no chunks, and nobody has to name a host.
#[test]
fn an_old_client_gets_a_stream_that_ends_with_the_connection() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for keep in ["close", "keep-alive"] {
        for host in [true, false] {
            let mut call = Call::chat(&question("echo hi", true)).header("connection", keep);
            if !host {
                call = call.without("host");
            }
            let (head, body) = told(gateway.connect(), &old(&call));
            assert!(head.starts_with("http/1.0 200"), "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
            assert!(body.starts_with("data: "), "{body}");
            assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
        }
    }
    let whole = Call::chat(&question("echo hi", false)).without("host");
    let (head, body) = told(gateway.connect(), &old(&whole));
    assert!(head.starts_with("http/1.0 200"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
}

/// The heads of answers are used again, on other connections too.
#[test]
fn an_old_client_closes_no_connection_but_its_own() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut others: Vec<Raw> = (0..3).map(|_| gateway.connect()).collect();
    for round in 0..3 {
        let closing = Call::get("/livez").header("connection", "close");
        let (head, _) = told(gateway.connect(), &old(&closing));
        assert!(head.starts_with("http/1.0 200"), "{head}");
        for raw in &mut others {
            for path in ["/livez", "/v1/models/nope"] {
                raw.send(&Call::get(path).to_bytes());
                let answer = raw.answer();
                assert_eq!(answer.status, if path == "/livez" { 200 } else { 404 });
                assert_eq!(answer.header("connection"), None, "{round}");
            }
        }
    }
    let mut kept = gateway.connect();
    for _ in 0..3 {
        kept.send(&old(&Call::get("/livez").header("connection", "keep-alive")));
        let answer = kept.answer();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
}

#[test]
fn what_is_no_http_is_refused_in_words() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.header_timeout", "300ms").start();
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let big = "a".repeat(200 << 10);
    for (name, bytes, expected) in [
        (
            "no host",
            "GET /livez HTTP/1.1\r\n\r\n".to_owned(),
            "400 invalid_request_error malformed_request",
        ),
        (
            "too many headers",
            format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
            "431 invalid_request_error headers_too_large",
        ),
        (
            "too large a header",
            format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {big}\r\n\r\n"),
            "431 invalid_request_error headers_too_large",
        ),
        (
            "half a head",
            "GET /livez HT".to_owned(),
            "408 invalid_request_error request_timeout",
        ),
    ] {
        let mut raw = gateway.connect();
        raw.try_send(bytes.as_bytes());
        let answer = raw.answer();
        assert_eq!(answer.verdict(), expected, "{name}");
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(raw.rest().is_empty(), "{name}");
    }
    let counted = "fal_gateway_requests_total{error_source=\"caller\",error_type=\"malformed_request\",model=\"\",route=\"other\",status=\"400\",stream=\"false\"}";
    gateway.until_metric(counted, 1.0);
}
