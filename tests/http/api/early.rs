//! Streams that begin before fal does: while fal's head is awaited, the connection is kept alive, and
//! what comes of the request is told in the stream.

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, ScriptedUpstream, Step, Stream, TestGateway, final_event, question, sse_head,
};

/// What fal does once it may.
fn later(then: Vec<u8>) -> Vec<Step> {
    vec![Step::Read, Step::Gate(1), Step::Write(then), Step::Close]
}

fn answered(text: &str) -> Vec<u8> {
    [sse_head(), final_event(text)].concat()
}

fn refused(status: u16) -> Vec<u8> {
    let body = r#"{"detail":"no"}"#;
    format!(
        "HTTP/1.1 {status} No\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nx-fal-request-id: fal-1\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A gateway whose heart beats fast, in front of this fal.
fn hasty(fal: &ScriptedUpstream) -> TestGateway {
    let setup = fal.setup().set("fal.pool_idle", "0");
    setup.set("server.heartbeat", "50ms").start()
}

fn call(path: &str, body: &Value) -> Call {
    Call::new("POST", path)
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// A streamed request to each API, and its sign of life as long as nothing is known.
fn routes() -> [(&'static str, Value, &'static str); 4] {
    const COMMENT: &str = ": keep-alive\n\n";
    const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let model = "openai/gpt-4o-mini";
    let messages = json!([{ "role": "user", "content": "hi" }]);
    [
        ("/v1/chat/completions", question("hi", true), COMMENT),
        (
            "/v1/completions",
            json!({ "model": model, "stream": true, "prompt": "hi" }),
            COMMENT,
        ),
        (
            "/v1/responses",
            json!({ "model": model, "stream": true, "input": "hi" }),
            COMMENT,
        ),
        (
            "/v1/messages",
            json!({ "model": model, "stream": true, "max_tokens": 50, "messages": messages }),
            PING,
        ),
    ]
}

/// Opens a stream and waits for two signs of life; its head, and what there is of it.
fn begun(gateway: &TestGateway, call: &Call, ping: &str) -> (Answer, Stream) {
    let mut raw = gateway.open(call);
    let head = raw.head();
    let mut stream = raw.stream_behind(&head);
    let pings = stream.until(&ping.repeat(2));
    assert!(pings.starts_with(ping), "{pings}");
    (head, stream)
}

#[test]
fn a_stream_begins_before_fal_does_and_is_whole() {
    for (path, mut body, ping) in routes() {
        body["top_p"] = 0.5.into();
        let fal = ScriptedUpstream::start(later(answered("at last")));
        let gateway = hasty(&fal);
        let (head, stream) = begun(&gateway, &call(path, &body), ping);
        let kind = head.header("content-type");
        assert_eq!(kind, Some("text/event-stream; charset=utf-8"), "{path}");
        assert!(head.header("x-request-id").is_some(), "{path}");
        // Whatever will be known later.
        for missing in ["x-gateway-upstream", "x-gateway-usage", "x-fal-request-id"] {
            assert_eq!(head.header(missing), None, "{path}: {missing}");
        }
        fal.open_gate();
        let (body, _) = stream.rest();
        assert!(body.contains("at last"), "{path}: {body}");
        let told = body.contains("\"gateway\":{\"emulated\":[],\"ignored\":[\"top_p\"]");
        assert!(told, "{path}: {body}");
        let ending = match path {
            "/v1/messages" => "event: message_stop",
            "/v1/responses" => "event: response.completed",
            _ => "data: [DONE]",
        };
        assert_eq!(body.matches(ending).count(), 1, "{path}: {body}");
        if path == "/v1/responses" {
            // Comments have no number, and come before what has.
            let first = body.split("\n\n").find(|frame| !frame.starts_with(':'));
            let first = first.unwrap();
            assert!(first.starts_with("event: response.created"), "{body}");
            assert!(first.contains("\"sequence_number\":0"), "{body}");
        }
        assert_eq!(fal.requests(), 1);
        gateway.until_metric("fal_gateway_open_streams", 0.0);
    }
}

/// The status says nothing any more, but the code does, and so does the log.
#[test]
fn what_goes_wrong_then_is_told_in_the_stream() {
    for (path, body, ping) in routes() {
        for (then, code) in [
            (refused(429), "rate_limit_exceeded"),
            (refused(503), "upstream_unavailable"),
            (refused(401), "upstream_auth_failed"),
            (b"HTTP/1.1 200 O".to_vec(), "upstream_disconnected"),
            (
                [sse_head(), b"data: {oops\n\n".to_vec()].concat(),
                "upstream_invalid_response",
            ),
        ] {
            let fal = ScriptedUpstream::start(later(then));
            let gateway = hasty(&fal);
            let (_, stream) = begun(&gateway, &call(path, &body), ping);
            fal.open_gate();
            let (told, _) = stream.rest();
            if path == "/v1/chat/completions" {
                assert_eq!(Stream::error(&told)["code"], code, "{told}");
            }
            let ending = match path {
                "/v1/messages" => "event: error\n",
                "/v1/responses" => "event: response.failed\n",
                _ => "\"code\":",
            };
            assert_eq!(told.matches(ending).count(), 1, "{path} {code}: {told}");
            assert_eq!(fal.requests(), 1, "{path} {code}");
            gateway.until_metric("fal_gateway_open_streams", 0.0);
            let metrics = gateway.get("/metrics").text();
            let counted = metrics.lines().filter(|line| {
                line.starts_with("fal_gateway_requests_total{")
                    && line.contains(&format!("error_type=\"{code}\""))
                    && line.contains("status=\"200\"")
            });
            assert_eq!(counted.count(), 1, "{path} {code}: {metrics}");
        }
    }
}

#[test]
fn fal_that_never_begins_is_given_up_in_time() {
    let fal = ScriptedUpstream::start(vec![Step::Read]);
    let setup = fal.setup().set("server.heartbeat", "50ms");
    let gateway = setup.set("fal.first_byte_timeout", "400ms").start();
    let stream = gateway.open(&Call::chat(&question("hi", true))).stream();
    let (body, _) = stream.rest();
    assert!(body.starts_with(": keep-alive\n\n"), "{body}");
    assert_eq!(Stream::error(&body)["code"], "upstream_timeout");
    fal.until_closed();
}

#[test]
fn a_fallback_and_each_choice_are_awaited_alike() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => later(refused(429)),
        _ => vec![
            Step::Read,
            Step::Gate(2),
            Step::Write(answered("from another")),
            Step::Close,
        ],
    });
    let gateway = hasty(&fal);
    let mut body = question("hi", true);
    body["models"] = json!(["openai/gpt-4o"]);
    body["n"] = 2.into();
    let (_, mut stream) = begun(&gateway, &Call::chat(&body), ": keep-alive\n\n");
    fal.open_gate();
    fal.until_requests(2);
    let pings = stream.until(&": keep-alive\n\n".repeat(3)).len();
    stream.until(&": keep-alive\n\n".repeat(pings / 14 + 2));
    fal.open_gate();
    let (body, _) = stream.rest();
    assert_eq!(body.matches("from another").count(), 2, "{body}");
    assert!(body.contains("\"model\":\"openai/gpt-4o\""), "{body}");
    assert_eq!(fal.requests(), 3);
}

#[test]
fn whoever_leaves_before_fal_begins_ends_the_call() {
    let fal = ScriptedUpstream::start(later(answered("hi")));
    let gateway = hasty(&fal);
    let (_, stream) = begun(
        &gateway,
        &Call::chat(&question("hi", true)),
        ": keep-alive\n\n",
    );
    drop(stream);
    fal.until_closed();
    gateway.until_metric("fal_gateway_client_disconnects_total", 1.0);
    gateway.until_metric("fal_gateway_open_streams", 0.0);
}

/// What is refused before fal is asked, or by fal within a heartbeat, has its status.
#[test]
fn what_is_refused_in_time_has_its_status() {
    let fal = ScriptedUpstream::answering(refused(401));
    let gateway = fal.setup().set("server.heartbeat", "20s").start();
    let answer = gateway.ask(&question("hi", true));
    let verdict = "400 invalid_request_error upstream_auth_failed";
    assert_eq!(answer.verdict(), verdict);
    assert_eq!(answer.header("x-fal-request-id"), Some("fal-1"));
    // However fast the heart beats, nothing begins before fal is asked.
    let hash = KeyHash::of("sk-one");
    let keys = format!("[[keys]]\nname = \"one\"\nhash = \"{hash}\"\nrequests_per_minute = 1\n");
    let gateway = fal
        .setup()
        .file(&keys)
        .set("server.heartbeat", "1ms")
        .start();
    let call = |body: &Value| Call::chat(body).header("authorization", "Bearer sk-one");
    let mut body = question("hi", true);
    body["temperature"] = "hot".into();
    assert_eq!(gateway.call(&call(&body)).status, 400);
    body["temperature"] = 1.into();
    gateway.call(&call(&body));
    let answer = gateway.call(&call(&body));
    assert_eq!(answer.verdict(), "429 requests rate_limit_exceeded");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(fal.requests(), 2);
}

/// One that failed for nothing may be tried again, and one that may have been paid for is told again.
#[test]
fn a_key_remembers_what_it_would_remember_of_any_stream() {
    for (then, is_paid) in [(refused(429), false), (b"HTTP/1.1 200 O".to_vec(), true)] {
        let fal = ScriptedUpstream::with(move |number| match number {
            0 => later(then.clone()),
            _ => vec![Step::Read, Step::Write(answered("hello")), Step::Close],
        });
        let gateway = hasty(&fal);
        let call = Call::chat(&question("hi", true)).header("idempotency-key", "k");
        let (_, stream) = begun(&gateway, &call, ": keep-alive\n\n");
        fal.open_gate();
        let (first, _) = stream.rest();
        let again = gateway.call(&call);
        assert_eq!(again.status, 200, "{}", again.text());
        match is_paid {
            true => assert_eq!(Stream::error(&again.text()), Stream::error(&first)),
            false => assert_eq!(again.streamed_text(), "hello"),
        }
        assert_eq!(fal.requests(), 1 + usize::from(!is_paid));
    }
}

/// The client leaves, and comes back for the answer.
#[test]
fn work_under_a_key_goes_on_when_its_client_leaves_before_fal_begins() {
    let fal = ScriptedUpstream::start(later(answered("hello")));
    let gateway = hasty(&fal);
    let call = Call::chat(&question("hi", true)).header("idempotency-key", "k");
    let (_, stream) = begun(&gateway, &call, ": keep-alive\n\n");
    drop(stream);
    fal.open_gate();
    let again = gateway.call(&call);
    assert_eq!(again.streamed_text(), "hello");
    assert_eq!(fal.requests(), 1);
}

/// Codex repeats a response that has failed; a failure that may have been paid for is told again.
#[test]
fn a_paid_failure_of_a_response_is_told_again_without_a_call() {
    let fal = ScriptedUpstream::start(later(b"HTTP/1.1 200 O".to_vec()));
    let gateway = hasty(&fal);
    let [_, _, (path, body, ping), _] = routes();
    let (_, stream) = begun(&gateway, &call(path, &body), ping);
    fal.open_gate();
    assert!(stream.rest().0.contains("upstream_disconnected"));
    let again = gateway.call(&call(path, &body));
    assert_eq!(again.header("x-gateway-replayed"), Some("failure"));
    assert_eq!(fal.requests(), 1);
}

#[test]
fn a_response_that_began_early_is_kept() {
    let fal = ScriptedUpstream::start(later(answered("hello")));
    let gateway = hasty(&fal);
    let [_, _, (path, mut body, ping), _] = routes();
    body["store"] = true.into();
    let (_, stream) = begun(&gateway, &call(path, &body), ping);
    fal.open_gate();
    let (told, _) = stream.rest();
    let mut data = told.lines().filter_map(|line| line.strip_prefix("data: {"));
    let last = data.next_back().unwrap();
    let last: Value = serde_json::from_str(&format!("{{{last}")).unwrap();
    assert_eq!(last["type"], "response.completed", "{told}");
    let id = last["response"]["id"].as_str().unwrap();
    let kept = gateway.get(&format!("/v1/responses/{id}"));
    assert_eq!(kept.json()["output"], last["response"]["output"]);
}

#[test]
fn a_stop_that_waits_no_longer_is_told_in_the_stream() {
    let fal = ScriptedUpstream::start(vec![Step::Read]);
    let setup = fal.setup().set("server.heartbeat", "50ms");
    let gateway = setup.set("server.drain_timeout", "300ms").start();
    let call = Call::chat(&question("hi", true));
    let (_, stream) = begun(&gateway, &call, ": keep-alive\n\n");
    gateway.begin_stop();
    let (body, _) = stream.rest();
    assert_eq!(Stream::error(&body)["code"], "shutting_down", "{body}");
    fal.until_closed();
}
