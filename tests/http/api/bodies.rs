//! Request bodies: broken, foreign, too large, too slow.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Call, Emulated, question};

const INVALID_JSON: &str = "400 invalid_request_error invalid_json";
const UNSUPPORTED: &str = "415 invalid_request_error unsupported_media_type";
const TOO_LARGE: &str = "413 invalid_request_error request_too_large";

#[test]
fn what_is_not_json_is_said_to_be_no_json() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let good = question("hi", false).to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"\0".to_vec(),
        b"{".to_vec(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        format!("{good}x").into_bytes(),
        format!("{good}{good}").into_bytes(),
        utf16,
        (0..=255).collect(),
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}".to_vec(),
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]}".to_vec(),
        br#"{"messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(),
        br#"{"messages":[{"role":"user","content":"\udc00\ud800"}]}"#.to_vec(),
        "[".repeat(100_000).into_bytes(),
        format!("{{\"x\":{}", "{\"a\":".repeat(100_000)).into_bytes(),
    ];
    for body in bodies {
        let answer = gateway.call(&Call::chat_bytes(body.clone()));
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.verdict(), INVALID_JSON, "{shown}");
    }
    assert_eq!(fal.count(), 0);
    // The process lives, stack and all.
    assert_eq!(gateway.ask(&question("echo hi", false)).content(), "hi");
}

/// Inside a field it is the field that is wrong; the stack is safe there too.
#[test]
fn nesting_without_end_is_refused_wherever_it_stands() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    for field in ["messages", "tools", "stop", "metadata", "nobody_knows"] {
        let rest = match field {
            "messages" => "",
            _ => r#","messages":[{"role":"user","content":"echo hi"}]"#,
        };
        let body = format!(r#"{{"{field}":{open}1{close}{rest}}}"#);
        let answer = gateway.call(&Call::chat_bytes(body));
        assert!(matches!(answer.status, 200 | 400), "{field}");
        let is_ignored = matches!(field, "metadata" | "nobody_knows");
        assert!(answer.status == 400 || is_ignored, "{field}");
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_at_every_level() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    for body in [
        format!(r#"{{"model":"openai/gpt-4o-mini","model":"openai/o1","messages":{messages}}}"#),
        format!(r#"{{"messages":{messages},"messages":{messages}}}"#),
        r#"{"messages":[{"role":"user","content":"hi","content":"ho"}]}"#.to_owned(),
        r#"{"messages":[{"role":"user","role":"system","content":"hi"}]}"#.to_owned(),
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}"#
            .to_owned(),
        format!(
            r#"{{"messages":{messages},"stream_options":{{"include_usage":true,"include_usage":false}}}}"#
        ),
    ] {
        let answer = gateway.call(&Call::chat_bytes(body.clone()));
        let verdict = "400 invalid_request_error invalid_value";
        assert_eq!(answer.verdict(), verdict, "{body}");
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn numbers_out_of_range_are_refused_with_their_parameter() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let digits = "9".repeat(400);
    let stops = format!(
        "{:?}",
        ["a", "b", "c", "d", "e", "f"].map(|stop| stop.repeat(200))
    );
    for (field, value) in [
        ("temperature", "1e999"),
        ("temperature", "-1"),
        ("max_tokens", &digits),
        ("max_tokens", "1.5"),
        ("max_tokens", "0"),
        ("n", "-1"),
        ("n", &digits),
        ("stream", "1"),
        ("stop", &stops),
    ] {
        let body =
            format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],"{field}":{value}}}"#);
        let answer = gateway.call(&Call::chat_bytes(body));
        assert_eq!(answer.status, 400, "{field} {value}");
        assert_eq!(answer.error()["code"], "invalid_value", "{field} {value}");
        assert_eq!(answer.error()["param"], field);
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn only_plain_json_is_read() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = question("echo hi", false).to_string();
    let call = Call::new("POST", "/v1/chat/completions").body(body);
    for media_type in [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json, text/plain",
        "text/json",
        "",
    ] {
        let answer = gateway.call(&call.clone().header("content-type", media_type));
        assert_eq!(answer.verdict(), UNSUPPORTED, "{media_type}");
    }
    assert_eq!(gateway.call(&call).verdict(), UNSUPPORTED, "no media type");
    for coding in ["gzip", "br", "deflate", "identity, gzip", "x"] {
        let call = call.clone().header("content-type", "application/json");
        let answer = gateway.call(&call.header("content-encoding", coding));
        assert_eq!(answer.verdict(), UNSUPPORTED, "{coding}");
    }
    assert_eq!(fal.count(), 0);
    for media_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.api+json",
        "application/json, application/json",
    ] {
        let answer = gateway.call(&call.clone().header("content-type", media_type));
        assert_eq!(answer.content(), "hi", "{media_type}");
    }
    for coding in ["identity", ""] {
        let call = call.clone().header("content-type", "application/json");
        let answer = gateway.call(&call.header("content-encoding", coding));
        assert_eq!(answer.content(), "hi", "{coding}");
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_body() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.max_body", "64KiB").start();
    for length in ["65537", "209715200", "18446744073709551615"] {
        for expect in [false, true] {
            let mut call = Call::chat_bytes("").without("content-length");
            call = call.header("content-length", length);
            if expect {
                call = call.header("expect", "100-continue");
            }
            let mut raw = gateway.connect();
            raw.send(&call.head());
            let mut answer = raw.answer();
            if answer.status == 100 {
                answer = raw.answer();
            }
            assert_eq!(answer.verdict(), TOO_LARGE, "{length}");
            assert_eq!(answer.header("connection"), Some("close"));
            raw.finish_sending();
            assert!(raw.rest().is_empty());
        }
    }
    assert_eq!(fal.count(), 0);
}

/// A client that pays no attention gets to read the refusal all the same, and is not read to the
/// end.
#[test]
fn a_client_that_goes_on_sending_still_reads_the_refusal() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.max_body", "64KiB").start();
    let mut raw = gateway.connect();
    let call = Call::chat_bytes(vec![b' '; 4 << 20]);
    raw.try_send(&call.to_bytes());
    assert_eq!(raw.answer().verdict(), TOO_LARGE);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_when_it_passes_it() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.max_body", "64KiB").start();
    let call = Call::chat_bytes("")
        .without("content-length")
        .header("transfer-encoding", "chunked");
    let mut raw = gateway.connect();
    raw.send(&call.head());
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    // Five chunks pass the limit; the last chunk never comes.
    for _ in 0..5 {
        raw.send(&chunk);
    }
    let answer = raw.answer();
    assert_eq!(answer.verdict(), TOO_LARGE);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(fal.count(), 0);
}

#[test]
fn a_chunked_body_within_the_limit_is_read() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = question("echo hi", false).to_string();
    let (one, two) = body.split_at(20);
    let call = Call::chat_bytes("")
        .without("content-length")
        .header("transfer-encoding", "chunked");
    let mut raw = gateway.connect();
    raw.send(&call.head());
    for part in [one, two, ""] {
        raw.send(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
    }
    assert_eq!(raw.answer().content(), "hi");
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.max_body", "64KiB").start();
    let mut body = question("echo hi", false).to_string();
    body.push_str(&" ".repeat((64 << 10) - body.len()));
    assert_eq!(gateway.call(&Call::chat_bytes(body)).content(), "hi");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = question("echo hi", false).to_string();
    let call = Call::chat_bytes(body.clone()).header("expect", "100-continue");
    let mut raw = gateway.connect();
    raw.send(&call.head());
    assert_eq!(raw.head().status, 100);
    raw.send(body.as_bytes());
    assert_eq!(raw.answer().content(), "hi");
}

/// The limit is on the whole body: a byte now and then does not move it.
#[test]
fn a_body_that_comes_in_drops_is_refused_in_time() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.body_timeout", "400ms").start();
    let upgrade = |call: Call| {
        call.header("connection", "upgrade")
            .header("upgrade", "websocket")
    };
    let call = Call::chat_bytes(question("echo hi", false).to_string());
    for call in [call.clone(), upgrade(call)] {
        let mut raw = gateway.connect();
        let started = Instant::now();
        raw.send(&call.head());
        // The pause is the client's slowness, not a wait for anything.
        while started.elapsed() < Duration::from_millis(700) && raw.try_send(b" ") {
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = raw.answer();
        let verdict = "408 invalid_request_error request_timeout";
        assert_eq!(answer.verdict(), verdict);
        assert!(started.elapsed() < Duration::from_secs(5));
        raw.finish_sending();
        assert!(raw.rest().is_empty());
    }
    assert_eq!(fal.count(), 0);
}

/// What is left of a refused body is never taken for the next request.
#[test]
fn the_rest_of_a_refused_body_is_no_request() {
    let fal = Emulated::start();
    let gateway = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let hidden = Call::chat(&question("echo smuggled", false))
        .header("authorization", "Bearer sk-fg-alice")
        .to_bytes();
    let refused = [
        Call::chat_bytes(hidden.clone()),
        Call::new("POST", "/v1/nothing").body(hidden.clone()),
        Call::new("PUT", "/v1/chat/completions").body(hidden.clone()),
        Call::chat_bytes(hidden.clone()).without("content-type"),
    ];
    for call in refused {
        let mut raw = gateway.connect();
        raw.send(&call.head());
        let answer = raw.answer();
        assert!((400..500).contains(&answer.status));
        raw.try_send(&hidden);
        raw.finish_sending();
        let rest = String::from_utf8(raw.rest()).unwrap();
        assert_eq!(rest, "", "a second answer");
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn a_client_that_leaves_inside_its_body_costs_nothing() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let call = Call::chat(&json!({"messages": []}));
    for by_reset in [false, true] {
        let mut raw = gateway.connect();
        raw.send(&call.head());
        raw.send(b"{");
        if by_reset {
            raw.reset();
        } else {
            drop(raw);
        }
    }
    gateway.until_metric("fal_gateway_active_requests{route=\"chat\"}", 0.0);
    assert_eq!(fal.count(), 0);
}

#[test]
fn text_has_a_limit_of_its_own_and_images_do_not_count_towards_it() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("limits.max_text", "4KiB").start();
    let ask = |text: &str, image: &str| {
        let url = format!("data:image/png;base64,iVBORw0KGgo{image}");
        gateway.ask(&json!({
            "model": "openai/gpt-4o",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": url}},
            ]}],
        }))
    };
    let image = "A".repeat(16 * 1024 + 1);
    assert_eq!(ask("hi", &image).status, 200);
    let answer = ask(&"x".repeat(4096), &image);
    assert_eq!(answer.verdict(), TOO_LARGE);
    // The body was read to its end, so the connection can go on.
    assert_eq!(answer.header("connection"), None);
    let schema = json!({"description": "x".repeat(4096)});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
    let mut request = question("hi", false);
    request["tools"] = json!([tool]);
    assert_eq!(gateway.ask(&request).verdict(), TOO_LARGE);
}
