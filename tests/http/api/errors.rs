//! Every error a caller can meet: status, type, code, what the SDKs are told, and how often fal
//! was called for it.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Emulated, ScriptedUpstream, Step, Stream, question};

/// A refusal by fal and what becomes of it.
struct Refused {
    /// Status line and headers, without those for the body.
    head: &'static str,
    body: &'static str,
    verdict: &'static str,
    retry: Option<&'static str>,
}

const fn refused(
    head: &'static str,
    body: &'static str,
    verdict: &'static str,
    retry: Option<&'static str>,
) -> Refused {
    Refused {
        head,
        body,
        verdict,
        retry,
    }
}

const NO_RETRY: Option<&str> = Some("false");
const DETAIL: &str = r#"{"detail":"kid:ksecret at http://10.0.0.1/x failed"}"#;
const HTML: &str = "<html><body><h1>nginx: kid:ksecret</h1></body></html>";
const BAD_FIELD: &str =
    r#"{"detail":[{"loc":["body","temperature"],"msg":"no","type":"less_than_equal"}]}"#;

#[rustfmt::skip]
const REFUSALS: &[Refused] = &[
    refused("400 Bad Request", DETAIL, "400 invalid_request_error upstream_rejected", None),
    refused("422 Unprocessable Entity", BAD_FIELD, "400 invalid_request_error upstream_rejected", None),
    refused("422 Unprocessable Entity", HTML, "400 invalid_request_error upstream_rejected", None),
    refused("401 Unauthorized", DETAIL, "400 invalid_request_error upstream_auth_failed", NO_RETRY),
    refused("403 Forbidden", DETAIL, "400 invalid_request_error upstream_auth_failed", NO_RETRY),
    refused("402 Payment Required", DETAIL, "429 insufficient_quota insufficient_quota", NO_RETRY),
    refused("403 Forbidden", r#"{"detail":"User is locked. Reason: Exhausted balance."}"#, "429 insufficient_quota insufficient_quota", NO_RETRY),
    refused("404 Not Found", DETAIL, "400 invalid_request_error upstream_not_found", NO_RETRY),
    refused("429 Too Many Requests", DETAIL, "429 rate_limit_error rate_limit_exceeded", None),
    refused("500 Internal Server Error", DETAIL, "502 server_error upstream_error", None),
    refused("502 Bad Gateway", HTML, "502 server_error upstream_error", None),
    refused("503 Service Unavailable", DETAIL, "503 server_error upstream_unavailable", None),
    refused("504 Gateway Timeout", DETAIL, "504 server_error upstream_timeout", None),
    refused("599 Odd", DETAIL, "502 server_error upstream_error", None),
    refused("418 Teapot", DETAIL, "400 invalid_request_error upstream_error", NO_RETRY),
    refused("503 Service Unavailable", r#"{"error_type":"concurrent_requests_limit","detail":"x"}"#, "429 rate_limit_error rate_limit_exceeded", None),
    refused("204 No Content", "", "400 invalid_request_error upstream_invalid_response", NO_RETRY),
    refused("302 Found\r\nlocation: /elsewhere", "", "400 invalid_request_error upstream_invalid_response", NO_RETRY),
    refused("307 Temporary Redirect\r\nlocation: /elsewhere", "", "400 invalid_request_error upstream_invalid_response", NO_RETRY),
];

impl Refused {
    fn upstream(&self) -> ScriptedUpstream {
        ScriptedUpstream::answering(format!(
            "HTTP/1.1 {}\r\nx-fal-request-id: fal-9\r\ncontent-length: {}\r\n\r\n{}",
            self.head,
            self.body.len(),
            self.body
        ))
    }
}

#[test]
fn every_refusal_of_fals_has_its_one_answer_whole_and_streamed() {
    for refusal in REFUSALS {
        for stream in [false, true] {
            let fal = refusal.upstream();
            let gateway = fal.setup().set("fal.when_gone", "refuse").start();
            let answer = gateway.ask(&question("planted-prompt", stream));
            let case = format!("{} {stream}", refusal.head);
            assert_eq!(answer.verdict(), refusal.verdict, "{case}");
            assert_eq!(answer.header("x-should-retry"), refusal.retry, "{case}");
            assert!(!answer.text().contains("planted-prompt"), "{case}");
            assert_eq!(fal.requests(), 1, "{case}");
        }
    }
}

#[test]
fn a_refused_field_is_named_and_fals_request_id_is_passed_on() {
    let fal = REFUSALS[1].upstream();
    let answer = fal.setup().start().ask(&question("hi", false));
    assert_eq!(answer.error()["param"], "temperature");
    assert_eq!(answer.header("x-fal-request-id"), Some("fal-9"));
    assert!(!answer.text().contains("fal-9"), "{}", answer.text());
}

/// fal has one name for what each API calls otherwise.
#[test]
fn a_refused_field_goes_by_the_name_that_the_caller_gave_it() {
    let said = json!([{"role": "user", "content": "hi"}]);
    let chat = |more: Value| {
        let mut body = json!({"model": "openai/gpt-4o-mini", "messages": said});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ("/v1/chat/completions", body)
    };
    let model = "openai/gpt-4o-mini";
    let message = json!({"model": model, "max_tokens": 9, "speed": "fast", "messages": said});
    for ((path, body), field, name) in [
        (chat(json!({"max_tokens": 9})), "max_tokens", "max_tokens"),
        (
            chat(json!({"max_completion_tokens": 9})),
            "max_tokens",
            "max_completion_tokens",
        ),
        (chat(json!({"priority": "latency"})), "priority", "priority"),
        (
            chat(json!({"service_tier": "flex"})),
            "priority",
            "service_tier",
        ),
        (
            (
                "/v1/responses",
                json!({"model": model, "input": "hi", "max_output_tokens": 9}),
            ),
            "max_tokens",
            "max_output_tokens",
        ),
        (("/v1/messages", message), "priority", "speed"),
    ] {
        let detail = json!({"detail": [{"loc": ["body", field], "msg": "no", "type": "wrong"}]});
        let detail = detail.to_string();
        let fal = ScriptedUpstream::answering(format!(
            "HTTP/1.1 422 No\r\ncontent-length: {}\r\n\r\n{detail}",
            detail.len()
        ));
        let call = Call::new("POST", path).header("content-type", "application/json");
        let answer = fal.setup().start().call(&call.body(body.to_string()));
        assert_eq!(answer.status, 400);
        let refused = format!("fal refused the value of '{name}'");
        assert!(answer.text().contains(&refused), "{}", answer.text());
        if path != "/v1/messages" {
            assert_eq!(answer.error()["param"], name);
        }
    }
    let detail = json!({"detail": [{"loc": ["body", "priority"], "msg": "no", "type": "wrong"}]});
    let detail = detail.to_string();
    let fal = ScriptedUpstream::answering(format!(
        "HTTP/1.1 422 No\r\ncontent-length: {}\r\n\r\n{detail}",
        detail.len()
    ));
    let call = Call::chat(&question("hi", false)).header("x-fal-priority", "latency");
    assert_eq!(
        fal.setup().start().call(&call).error()["param"],
        "x-fal-priority"
    );
}

/// A model that is listed exists here, whatever fal says of it.
#[test]
fn a_model_that_fal_refuses_is_said_to_be_refused_by_fal() {
    let body = r#"{"error":{"code":404,"message":"No endpoints found matching your data policy"}}"#;
    let fal = ScriptedUpstream::answering(format!(
        "HTTP/1.1 404 No\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = fal.setup().set("fal.upstream", "router-openai").start();
    for (model, is_listed) in [("gpt-4o-mini", true), ("openai/gpt-4o-minni", false)] {
        let mut body = question("hi", false);
        body["model"] = model.into();
        let answer = gateway.ask(&body);
        assert_eq!(
            answer.verdict(),
            "404 invalid_request_error model_not_found"
        );
        let error = answer.error();
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("fal does not serve the model 'openai/gpt-4o-min"),
            "{message}"
        );
        assert!(!message.contains("does not exist"), "{message}");
        assert_eq!(
            message.contains("although GET /v1/models lists it"),
            is_listed,
            "{message}"
        );
        assert!(message.contains("Closest: "), "{message}");
    }
}

/// Whoever asks fal about a call needs its id most when what came back was useless.
#[test]
fn fals_request_id_is_passed_on_with_an_answer_that_is_none() {
    for head in [
        "302 Found\r\nlocation: /elsewhere",
        "200 OK\r\ncontent-type: text/html",
        "200 OK\r\ncontent-encoding: gzip",
    ] {
        let fal = ScriptedUpstream::answering(format!(
            "HTTP/1.1 {head}\r\nx-fal-request-id: fal-9\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        ));
        let gateway = fal.setup().start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(answer.header("x-fal-request-id"), Some("fal-9"), "{head}");
            assert!(
                !answer.text().contains("fal-9"),
                "{head}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn retry_after_is_passed_on_if_it_makes_sense() {
    for (sent, passed_on) in [
        ("0", Some("0")),
        ("7", Some("7")),
        ("3600", Some("3600")),
        ("3601", None),
        ("-1", None),
        ("99999999999999999999", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let head = format!("HTTP/1.1 {status}\r\nretry-after: {sent}\r\n");
            let fal = ScriptedUpstream::answering(format!("{head}content-length: 2\r\n\r\n{{}}"));
            let answer = fal.setup().start().ask(&question("hi", false));
            assert_eq!(answer.header("retry-after"), passed_on, "{status} {sent}");
        }
    }
}

/// A body that is refused before fal is called, and the verdict.
#[rustfmt::skip]
fn refused_bodies() -> Vec<(Value, &'static str, Value)> {
    let with = |name: &str, value: Value| {
        let mut body = question("hi", false);
        body[name] = value;
        body
    };
    vec![
        (json!([]), "400 invalid_request_error invalid_json", Value::Null),
        (json!({"model": "openai/gpt-4o-mini"}), "400 invalid_request_error missing_required_parameter", json!("messages")),
        (with("model", json!("no-such-model")), "404 invalid_request_error model_not_found", json!("model")),
        (with("temperature", json!("warm")), "400 invalid_request_error invalid_value", json!("temperature")),
        (with("temperature", json!(2.5)), "400 invalid_request_error invalid_value", json!("temperature")),
        (with("max_tokens", json!(-1)), "400 invalid_request_error invalid_value", json!("max_tokens")),
        (with("stream", json!("yes")), "400 invalid_request_error invalid_value", json!("stream")),
        (with("n", json!(5)), "400 invalid_request_error unsupported_value", json!("n")),
        (with("n", json!(0)), "400 invalid_request_error invalid_value", json!("n")),
        (with("messages", json!([{"role": "oracle", "content": "hi"}])), "400 invalid_request_error invalid_value", json!("messages[0].role")),
        (with("messages", json!([])), "400 invalid_request_error invalid_value", json!("messages")),
        (with("stop", json!(vec!["x"; 500])), "400 invalid_request_error invalid_value", json!("stop")),
    ]
}

#[test]
fn what_is_wrong_with_a_request_is_said_before_fal_is_called() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (body, verdict, param) in refused_bodies() {
        let answer = gateway.ask(&body);
        assert_eq!(answer.verdict(), verdict, "{body}");
        assert_eq!(answer.error()["param"], param, "{body}");
        assert_eq!(answer.header("x-should-retry"), None, "{body}");
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn paths_and_methods_that_are_not_served_get_an_error_of_openais_form() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let chat = "/v1/chat/completions";
    #[rustfmt::skip]
    let cases = [
        ("GET", "/v1/nothing", "404 invalid_request_error unknown_url"),
        ("GET", "/v1/completions/", "404 invalid_request_error unknown_url"),
        ("GET", "/v1/chat/completions/../../../etc/passwd", "404 invalid_request_error unknown_url"),
        ("GET", "/v1/%0d%0aset-cookie:x=1/%1b[31m", "404 invalid_request_error unknown_url"),
        ("GET", "/v1/completions", "405 invalid_request_error method_not_allowed"),
        ("DELETE", chat, "405 invalid_request_error method_not_allowed"),
        ("OPTIONS", chat, "405 invalid_request_error method_not_allowed"),
        ("TRACE", chat, "405 invalid_request_error method_not_allowed"),
        ("POST", "/v1/models", "405 invalid_request_error method_not_allowed"),
        ("POST", "/healthz", "405 invalid_request_error method_not_allowed"),
        ("GET", "/v1/models/no/such", "404 invalid_request_error model_not_found"),
    ];
    for (method, path, verdict) in cases {
        let answer = gateway.call(&Call::new(method, path));
        assert_eq!(answer.verdict(), verdict, "{method} {path}");
        assert!(!answer.text().contains('\u{1b}'));
    }
    let socket = Call::new("GET", "/v1/responses").header("upgrade", "websocket");
    let answer = gateway.call(&socket.header("connection", "upgrade"));
    assert_eq!(
        answer.verdict(),
        "426 invalid_request_error websocket_not_supported"
    );
    assert_eq!(answer.header("upgrade"), Some("HTTP/1.1"));
    assert_eq!(fal.count(), 0);
}

#[test]
fn fal_that_cannot_be_reached_may_be_called_again() {
    // The port was free a moment ago, and nobody listens on it now.
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (url, tries) in [
        (url.as_str(), "1"),
        (url.as_str(), "3"),
        ("https://no-such-host.invalid", "1"),
    ] {
        let setup = crate::support::Setup::towards(url);
        let gateway = setup.set("fal.connect_attempts", tries).start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(
                answer.verdict(),
                "502 server_error upstream_unreachable",
                "{url}"
            );
            assert_eq!(answer.header("x-should-retry"), None);
        }
    }
}

#[test]
fn every_failure_after_sending_tells_the_sdks_not_to_repeat_it() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<html";
    let error = r#"{"output":"","partial":false,"error":"Error: kid:ksecret ran out"}"#;
    let error = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{error}",
        error.len()
    );
    for (fal, verdict) in [
        (
            ScriptedUpstream::answering(html),
            "400 invalid_request_error upstream_invalid_response",
        ),
        (
            ScriptedUpstream::answering(error),
            "400 invalid_request_error upstream_error",
        ),
        (
            ScriptedUpstream::start(vec![Step::Read, Step::Close]),
            "400 invalid_request_error upstream_disconnected",
        ),
        (
            ScriptedUpstream::start(vec![Step::Read, Step::Hold]),
            "400 invalid_request_error upstream_timeout",
        ),
    ] {
        let gateway = fal.setup().set("fal.first_byte_timeout", "300ms").start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(answer.verdict(), verdict);
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{verdict}");
        }
        assert_eq!(fal.requests(), 2, "{verdict}");
    }
}

/// fal reports what its provider said under status 200 as well; the text tells what it was.
#[test]
fn an_error_inside_a_good_answer_is_told_by_its_text() {
    for (said, verdict) in [
        (
            "Error code: 400 - maximum context length is 8192 tokens",
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            "Error code: 429 - slow down",
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            "Error code: 429 - number of input tokens has exceeded what you may send",
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            "Error code: 402 - Prompt tokens limit exceeded: 16742 > 16381.",
            "502 server_error upstream_error",
        ),
        (
            "Error code: 503 - context window cache is being warmed up",
            "503 server_error upstream_unavailable",
        ),
        (
            "Number of input tokens exceeds the limit per min",
            "400 invalid_request_error upstream_error",
        ),
        (
            "Error code: 404 - No endpoints found that support tool use",
            "400 invalid_request_error upstream_error",
        ),
        ("out of cheese", "400 invalid_request_error upstream_error"),
    ] {
        let body = json!({"output": "", "partial": false, "error": said}).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let fal = ScriptedUpstream::answering(answer);
        let answer = fal.setup().start().ask(&question("hi", false));
        assert_eq!(answer.verdict(), verdict);
        assert_eq!(fal.requests(), 1);
    }
}

/// Half an answer may have been paid for, whatever the error beside it says.
#[test]
fn an_error_beside_the_beginning_of_an_answer_is_not_to_be_repeated() {
    let said = |code: u16| format!("Error code: {code} - try again later");
    for body in [
        json!({"output": "Half of an", "partial": false, "error": said(503)}),
        json!({"output": "Half of an", "partial": false, "error": said(429)}),
        json!({"output": "", "reasoning": "Half of a", "partial": false, "error": said(503)}),
    ] {
        let body = body.to_string();
        for (is_stream, kind, body) in [
            (false, "application/json", body.clone()),
            (true, "text/event-stream", format!("data: {body}\n\n")),
        ] {
            let fal = ScriptedUpstream::answering(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let answer = fal.setup().start().ask(&question("hi", is_stream));
            let verdict = "400 invalid_request_error upstream_error";
            assert_eq!(answer.verdict(), verdict, "{body}");
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{body}");
        }
    }
}

/// A prompt offers no tools, so an error about them teaches nothing.
#[test]
fn a_lack_of_what_was_not_asked_for_is_no_refusal() {
    let error = "Error code: 404 - No endpoints found that support tool use";
    let body = json!({"output": "", "partial": false, "error": error}).to_string();
    let fal = ScriptedUpstream::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = fal.setup().start();
    let mut asked = question("hi", false);
    asked["tools"] = json!([{ "type": "function", "function": { "name": "get_weather" } }]);
    for _ in 0..2 {
        let answer = gateway.ask(&asked);
        let verdict = "400 invalid_request_error upstream_error";
        assert_eq!(answer.verdict(), verdict, "{}", answer.text());
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
}

/// The emulator's model slips in the same way when it is asked again.
#[test]
fn what_the_model_gets_wrong_twice_has_a_code_of_its_own() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}},
        "required": ["city"], "additionalProperties": false});
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "strict": true,
        "description": "The weather of a city", "parameters": parameters}})
    };
    let tools = json!([tool("get_weather"), tool("get_climate")]);
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "strict": true,
        "schema": parameters}});
    for (slip, asked, code) in [
        (
            "tool:none",
            json!({"tools": tools, "tool_choice": "required"}),
            "tool_choice_not_met",
        ),
        ("tool:missing", json!({"tools": tools}), "tool_call_invalid"),
        (
            "json:wrong",
            json!({"response_format": format}),
            "json_schema_not_met",
        ),
    ] {
        let fal = Emulated::start();
        let gateway = fal.setup().start();
        for stream in [false, true] {
            let prompt = format!("How is the weather in Paris?\n/emulate {slip} silent stubborn");
            let mut body = question(&prompt, stream);
            for (field, value) in asked.as_object().unwrap() {
                body[field] = value.clone();
            }
            let answer = gateway.ask(&body);
            assert_eq!(
                answer.verdict(),
                format!("400 invalid_request_error {code}")
            );
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{code}");
        }
        assert_eq!(fal.count(), 4, "each was asked for twice: {code}");
    }
}

#[test]
fn an_error_event_becomes_an_http_error_or_the_last_frame() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let early = gateway.ask(&question("/emulate error_event:0\nhi", true));
    assert_eq!(early.verdict(), "400 invalid_request_error upstream_error");
    assert_eq!(early.header("x-should-retry"), Some("false"));
    let late = gateway.ask(&question(
        "/emulate error_event:2 gap:20ms\necho one two",
        true,
    ));
    assert_eq!(late.status, 200);
    let error = Stream::error(&late.text());
    assert_eq!(error["code"], "upstream_error");
    // Some clients look at the type of a frame, LiteLLM only into its message.
    assert_eq!(error["type"], "invalid_request_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("(invalid_request_error)."), "{message}");
    assert_eq!(fal.count(), 2);
}

/// The emulator's named errors stand for what fal was seen to send.
#[test]
fn no_error_of_the_emulators_leads_to_anything_but_an_envelope() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("fal.when_gone", "refuse").start();
    for kind in fal_gateway::emulator::ERROR_KINDS {
        for stream in [false, true] {
            let prompt = format!("/emulate error:{}\nplanted-prompt", kind.name);
            let answer: Answer = gateway.ask(&question(&prompt, stream));
            let verdict = answer.verdict();
            assert!((400..600).contains(&answer.status), "{}", kind.name);
            assert!(!answer.text().contains("planted"), "{verdict}");
        }
    }
    // A model that has to reason is asked again, since it refused before it worked.
    let again = 2;
    let kinds = fal_gateway::emulator::ERROR_KINDS.len();
    assert_eq!(fal.count(), 2 * kinds + again);
}

#[test]
fn a_key_the_caller_brought_is_the_callers_to_mend() {
    let fal = Emulated::with(Options {
        key: Some("kid:right".to_owned()),
        ..Options::default()
    });
    let gateway = fal.setup().without_fal_key().start();
    for stream in [false, true] {
        let call = Call::chat(&question("hi", stream)).header("authorization", "Bearer kid:wrong");
        let answer = gateway.call(&call);
        assert_eq!(
            answer.verdict(),
            "401 invalid_request_error invalid_api_key"
        );
        assert!(!answer.text().contains("wrong\""));
    }
}

#[test]
fn a_key_the_caller_brought_that_may_not_do_this_is_the_callers_to_mend() {
    let refusal = &REFUSALS[4];
    let fal = refusal.upstream();
    let gateway = fal.setup().without_fal_key().start();
    let call = Call::chat(&question("hi", false)).header("authorization", "Bearer kid:scoped");
    let answer = gateway.call(&call);
    assert_eq!(refusal.head, "403 Forbidden");
    assert_eq!(
        answer.verdict(),
        "401 invalid_request_error invalid_api_key"
    );
    assert!(answer.text().contains("scopes"), "{}", answer.text());
}
