//! Models asked through the router's prompt faces: what an answer cost, how its end is known, and
//! what its refusals mean.

use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Setup, Step, Stream, TestGateway, question,
};

const PATH: &str = "/openrouter/router";
/// It sees, and costs 0.3 and 2.5 dollars for a million tokens in and out.
const MODEL: &str = "google/gemini-2.5-flash";

fn router(setup: Setup) -> Setup {
    setup.set("fal.upstream", "router")
}

/// An HTTP answer of this status.
fn http(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {length}\r\nx-fal-request-id: fal-1\r\n\r\n{body}"
    )
    .into_bytes()
}

fn refusal(status: u16, detail: &str) -> Vec<u8> {
    http(
        status,
        "application/json",
        &json!({ "detail": detail }).to_string(),
    )
}

fn whole(body: &Value) -> Vec<u8> {
    http(200, "application/json", &body.to_string())
}

fn events(events: &[Value]) -> Vec<u8> {
    let frames = events.iter().map(|event| format!("data: {event}\r\n\r\n"));
    http(200, "text/event-stream", &frames.collect::<String>())
}

fn usage() -> Value {
    json!({ "prompt_tokens": 40, "completion_tokens": 227, "total_tokens": 267, "cost": 0.0005795 })
}

/// A gateway in front of a fal that gives these answers one after the other.
fn scripted(answers: Vec<Vec<u8>>) -> (ScriptedUpstream, TestGateway) {
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        vec![Step::Read, Step::Write(answer.clone()), Step::Close]
    });
    let gateway = router(fal.setup()).start();
    (fal, gateway)
}

/// The paths and bodies that a stand-in was sent.
fn sent(fal: &ScriptedUpstream) -> Vec<(String, Value)> {
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let read = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        (path, serde_json::from_str(body).unwrap())
    };
    requests.map(read).collect()
}

fn with_usage(mut body: Value) -> Value {
    if body["stream"] == true {
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}

/// The usage of an answer, whole or streamed.
fn told(answer: &Answer) -> Value {
    match answer.text().starts_with("data: ") {
        false => answer.json()["usage"].clone(),
        true => Stream::chunks(&answer.text()).last().unwrap()["usage"].clone(),
    }
}

#[test]
fn an_answer_comes_with_the_tokens_and_the_cost_that_fal_tells() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    for is_stream in [false, true] {
        let mut body = with_usage(question("echo Zoë 🎈", is_stream));
        body["model"] = MODEL.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-upstream"), Some("router"));
        assert_eq!(answer.header("x-gateway-usage"), Some("exact"));
        let usage = told(&answer);
        let count = |field: &str| usage[field].as_u64().unwrap();
        let cost =
            count("prompt_tokens") as f64 * 0.3e-6 + count("completion_tokens") as f64 * 2.5e-6;
        assert!((usage["cost"].as_f64().unwrap() - cost).abs() < 1e-12);
        if !is_stream {
            let header = answer.header("x-gateway-cost").unwrap();
            let header: f64 = header.strip_suffix(" usd").unwrap().parse().unwrap();
            assert_eq!(usage["cost"], header);
        }
    }
    let asked = fal.requests(2);
    assert_eq!(asked[0]["path"], PATH);
    assert_eq!(asked[1]["path"], format!("{PATH}/stream"));
}

#[test]
fn what_several_choices_cost_is_added_up() {
    let answer = whole(&json!({ "output": "Hi.", "partial": false, "usage": usage() }));
    let (fal, gateway) = scripted(vec![answer]);
    let mut body = question("Hello", false);
    body["n"] = 3.into();
    let answer = gateway.ask(&body);
    assert_eq!(answer.header("x-gateway-cost"), Some("0.0017385 usd"));
    assert_eq!(told(&answer)["cost"], 0.0017385);
    assert_eq!(told(&answer)["completion_tokens"], 3 * 227);
    assert_eq!(sent(&fal).len(), 3);
}

#[test]
fn any_llm_costs_units() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (model, cost, dollars) in [
        ("google/gemini-2.5-flash-lite", "1 unit", 0.001),
        ("openai/gpt-4o", "10 units", 0.01),
    ] {
        let mut body = question("echo hello", false);
        body["model"] = model.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.header("x-gateway-upstream"), Some("any-llm"));
        assert_eq!(answer.header("x-gateway-cost"), Some(cost));
        assert_eq!(told(&answer)["cost"], dollars);
    }
    let gateway = fal
        .setup()
        .set("fal.app", PATH.trim_start_matches('/'))
        .start();
    let answer = gateway.ask(&question("echo hello", false));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-gateway-cost"),
        None,
        "another app has other prices"
    );
}

#[test]
fn the_end_of_a_stream_is_known_by_each_of_its_signs() {
    let said = |output: &str| json!({ "output": output, "usage": null });
    let ended = |output: &str| json!({ "output": output, "usage": usage() });
    let partial =
        |output: &str, usage: Value| json!({ "output": output, "partial": true, "usage": usage });
    let good = [
        vec![
            partial("a", Value::Null),
            json!({ "output": "ab", "partial": false, "usage": null }),
        ],
        vec![said("a"), ended("ab")],
        vec![ended("ab")],
        vec![ended("a"), ended("ab")],
        vec![partial("a", Value::Null), partial("ab", usage())],
        // What follows the end is not heard.
        vec![said("a"), ended("ab"), said("abc")],
    ];
    for stream in good {
        let (_, gateway) = scripted(vec![events(&stream)]);
        let answer = gateway.ask(&question("Hello", true));
        assert_eq!(Stream::text(&answer.text()), "ab", "{stream:?}");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{stream:?}");
    }
    for stream in [
        vec![said("a"), said("ab")],
        vec![partial("a", usage()), partial("ab", usage())],
        vec![partial("a", Value::Null), partial("ab", Value::Null)],
    ] {
        let (_, gateway) = scripted(vec![events(&stream)]);
        let answer = gateway.ask(&question("Hello", true));
        assert!(
            answer.text().contains("upstream_disconnected"),
            "{stream:?}"
        );
        assert!(!answer.text().contains("[DONE]"), "{stream:?}");
    }
}

#[test]
fn figures_that_cannot_be_are_not_passed_on() {
    for cost in [json!(-1), json!(1e9), json!("0.1")] {
        let mut usage = usage();
        usage["cost"] = cost.clone();
        let (_, gateway) = scripted(vec![whole(&json!({ "output": "Hi.", "usage": usage }))]);
        let answer = gateway.ask(&question("Hello", false));
        assert_eq!(answer.status, 200, "{cost}");
        assert_eq!(answer.header("x-gateway-cost"), None, "{cost}");
        assert_eq!(told(&answer).get("cost"), None, "{cost}");
        assert_eq!(told(&answer)["completion_tokens"], 227, "{cost}");
    }
}

#[test]
fn usage_that_was_promised_and_not_told_is_named_as_estimated() {
    let stream = events(&[json!({ "output": "Hi.", "partial": false })]);
    let (_, gateway) = scripted(vec![stream]);
    let answer = gateway.ask(&with_usage(question("Hello", true)));
    assert_eq!(answer.header("x-gateway-usage"), Some("exact"));
    let chunks = Stream::chunks(&answer.text());
    let last = chunks.last().unwrap();
    assert_eq!(last["gateway"], json!({ "usage": "estimated" }));
    assert_eq!(last["usage"].get("cost"), None);
}

/// The same where the numbers stand in other places of the last event.
#[test]
fn every_api_says_at_the_end_of_a_stream_where_its_token_counts_come_from() {
    let stream = events(&[json!({ "output": "Hi.", "partial": false })]);
    let (_, gateway) = scripted(vec![stream]);
    let said = json!([{ "role": "user", "content": "Hello" }]);
    for (path, body, kind, place) in [
        (
            "/v1/messages",
            json!({ "model": MODEL, "max_tokens": 50, "stream": true, "messages": said }),
            "message_delta",
            "/gateway",
        ),
        (
            "/v1/responses",
            json!({ "model": MODEL, "stream": true, "input": "Hello", "store": false }),
            "response.completed",
            "/response/gateway",
        ),
    ] {
        for notes in [false, true] {
            let call = Call::new("POST", path).header("content-type", "application/json");
            let call = match notes {
                true => call.header("x-gateway-notes", "body"),
                false => call,
            };
            let answer = gateway.call(&call.body(body.to_string()));
            assert_eq!(answer.header("x-gateway-usage"), Some("exact"));
            let text = answer.text();
            let name = format!("event: {kind}\ndata: ");
            let (_, event) = text.split_once(&name).unwrap();
            let event: Value = serde_json::from_str(event.lines().next().unwrap()).unwrap();
            let gateway = event.pointer(place).unwrap();
            assert_eq!(gateway["usage"], "estimated", "{text}");
            assert_eq!(gateway.get("emulated").is_some(), notes, "{text}");
        }
    }
}

#[test]
fn a_message_comes_with_its_cost() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    let said = json!([{ "role": "user", "content": "echo hi" }]);
    for is_stream in [false, true] {
        let body =
            json!({ "model": MODEL, "max_tokens": 50, "stream": is_stream, "messages": said });
        let call = Call::new("POST", "/v1/messages").header("content-type", "application/json");
        let answer = gateway.call(&call.body(body.to_string()));
        let text = answer.text();
        let usage = match is_stream {
            false => answer.json()["usage"].clone(),
            true => {
                let (_, event) = text.split_once("event: message_delta\ndata: ").unwrap();
                let event: Value = serde_json::from_str(event.lines().next().unwrap()).unwrap();
                assert!(event.get("gateway").is_none(), "{text}");
                event["usage"].clone()
            }
        };
        let count = |field: &str| usage[field].as_u64().unwrap() as f64;
        let cost = count("input_tokens") * 0.3e-6 + count("output_tokens") * 2.5e-6;
        assert!(
            (usage["cost"].as_f64().unwrap() - cost).abs() < 1e-12,
            "{text}"
        );
    }
}

#[test]
fn images_go_to_vision_and_its_streams_end() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    for is_stream in [false, true] {
        let mut body = question("", is_stream);
        body["model"] = MODEL.into();
        body["messages"][0]["content"] = json!([
            { "type": "text", "text": "echo seen" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,aGVsbG8=" } },
        ]);
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = match is_stream {
            true => Stream::text(&answer.text()),
            false => answer.content(),
        };
        assert!(text.starts_with("seen"), "{text}");
    }
    let paths: Vec<Value> = fal
        .requests(2)
        .iter()
        .map(|asked| asked["path"].clone())
        .collect();
    assert_eq!(
        paths,
        [
            json!(format!("{PATH}/vision")),
            json!(format!("{PATH}/vision/stream"))
        ]
    );
}

#[test]
fn models_that_must_reason_are_let_reason() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    // The catalogue does not know the variant, so the first refusal teaches it.
    for (model, calls) in [
        ("openai/gpt-oss-120b:nitro", 2),
        ("openai/gpt-oss-120b:nitro", 1),
    ] {
        let before = fal.count();
        let mut body = question("echo thought", false);
        body["model"] = model.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(fal.count() - before, calls, "{model}");
    }
    let mut body = question("echo thought", false);
    body["model"] = "openai/gpt-oss-120b:nitro".into();
    body["reasoning_effort"] = "none".into();
    let answer = gateway.ask(&body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-ignored"), Some("reasoning_effort"));
}

/// What one refusal has taught is not forgotten over the next.
#[test]
fn a_model_that_must_reason_is_let_reason_in_a_shorter_prompt_too() {
    let too_long = json!({ "detail": [{
        "loc": ["body", "prompt"], "msg": "too long", "type": "string_too_long", "ctx": { "max_length": 1200 },
    }] });
    let answers = [
        refusal(400, "Reasoning is mandatory and cannot be disabled"),
        http(422, "application/json", &too_long.to_string()),
        whole(&json!({ "output": "Hi.", "usage": usage() })),
    ];
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        vec![Step::Read, Step::Write(answer.clone()), Step::Close]
    });
    let shifting = fal.setup().set("limits.overflow", "shift");
    let gateway = router(shifting).start();
    let turn = |role: &str| json!({ "role": role, "content": "word ".repeat(100) });
    let messages: Vec<Value> = ["user", "assistant"]
        .repeat(2)
        .into_iter()
        .map(turn)
        .collect();
    let messages = [messages, vec![json!({ "role": "user", "content": "Hi" })]].concat();
    let answer = gateway.ask(&json!({ "model": "x/y", "messages": messages }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bodies: Vec<Value> = sent(&fal).into_iter().map(|(_, body)| body).collect();
    let reasons = |body: &Value| body["reasoning"] == true;
    assert_eq!(
        bodies.iter().map(reasons).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert!(bodies[2]["prompt"].as_str().unwrap().len() <= 1200);
}

#[test]
fn priority_is_dropped_with_a_note() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    for (field, value) in [("priority", "latency"), ("service_tier", "flex")] {
        let mut body = question("echo hi", false);
        body[field] = value.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.header("x-gateway-ignored"), Some(field));
    }
}

#[test]
fn refusals_in_openrouters_words_are_understood() {
    let cases = [
        (400, "x/y is not a valid model ID", 404, "model_not_found"),
        (404, "No endpoints found for x/y.", 404, "model_not_found"),
        (400, "Provider returned error", 400, "upstream_error"),
        (
            404,
            "No endpoints found that support image input",
            400,
            "unsupported_value",
        ),
        (
            404,
            "Application \"router\" not found",
            400,
            "upstream_not_found",
        ),
        (410, "Gone", 400, "upstream_not_found"),
        (
            400,
            "Error code: 400 - {'message': 'prompt is too long: 210000 tokens > 200000 maximum'}",
            400,
            "context_length_exceeded",
        ),
        (
            400,
            "Quota exceeded; maximum context length is 5000 tokens",
            400,
            "context_length_exceeded",
        ),
        (
            400,
            "Error code: 429 - number of input tokens has exceeded what you may send",
            429,
            "rate_limit_exceeded",
        ),
        (
            400,
            "Error code: 402 - Prompt tokens limit exceeded: 16742 > 16381",
            502,
            "upstream_error",
        ),
        (
            403,
            "Request blocked by our web application firewall",
            400,
            "upstream_auth_failed",
        ),
        (
            403,
            "User is locked. Reason: Exhausted balance.",
            429,
            "insufficient_quota",
        ),
    ];
    for (status, words, told, code) in cases {
        let (fal, gateway) = scripted(vec![refusal(status, words)]);
        let answer = gateway.ask(&question("Hello", false));
        assert_eq!(answer.status, told, "{words}: {}", answer.text());
        assert_eq!(answer.error()["code"], code, "{words}");
        assert_eq!(sent(&fal).len(), 1, "{words}");
    }
}

#[test]
fn a_providers_error_is_never_asked_again() {
    let (fal, gateway) = scripted(vec![refusal(400, "Provider returned error")]);
    let mut body = question("Hello", false);
    body["models"] = json!(["openai/gpt-4o-mini"]);
    let answer = gateway.ask(&body);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(sent(&fal).len(), 1);
}

#[test]
fn a_stream_of_the_router_fails_as_any_other_does() {
    let fal = Emulated::start();
    let gateway = router(fal.setup()).start();
    for (script, code) in [
        ("drop:2", "upstream_disconnected"),
        ("eof:2", "upstream_disconnected"),
        ("garbage:2", "upstream_invalid_response"),
        ("error:upstream_429", "rate_limit_exceeded"),
        ("error:no_balance", "insufficient_quota"),
    ] {
        let before = fal.count();
        let text = format!("/emulate {script}\necho one two three four");
        let answer = gateway.ask(&question(&text, true));
        assert!(answer.text().contains(code), "{script}: {}", answer.text());
        assert!(!answer.text().contains("[DONE]"), "{script}");
        assert_eq!(fal.count() - before, 1, "{script}");
    }
}

#[test]
fn nothing_of_accounts_and_providers_leaves() {
    let wrapped = "Error code: 400 - {'error': {'message': 'max_tokens is too large', 'code': 400, 'metadata': \
                   {'raw': 'PLANTED', 'provider_name': 'PLANTED'}}, 'user_id': 'PLANTED'}";
    let planted = json!({
        "output": "Hi.", "partial": false, "error": null, "model": "PLANTED", "provider": "PLANTED",
        "user_id": "PLANTED", "metadata": { "raw": "PLANTED" },
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "cost": 0.1, "user_id": "PLANTED", "is_byok": "PLANTED" },
    });
    let failed = json!({ "output": "", "partial": false, "error": "PLANTED" });
    let answers = [
        refusal(400, wrapped),
        whole(&planted),
        events(std::slice::from_ref(&planted)),
        whole(&failed),
        events(&[failed]),
    ];
    for answer in answers {
        let is_stream = answer.windows(12).any(|part| part == b"event-stream");
        let (_, gateway) = scripted(vec![answer]);
        let mut body = question("Hello", is_stream);
        body["max_tokens"] = 5.into();
        let answer = gateway.ask(&body);
        assert!(!answer.text().contains("PLANTED"), "{}", answer.text());
        let headers = format!("{:?}", answer.headers);
        assert!(!headers.contains("PLANTED"), "{headers}");
    }
    let (_, gateway) = scripted(vec![refusal(400, wrapped)]);
    let answer = gateway.ask(&question("Hello", false));
    assert!(
        answer.text().contains("max_tokens is too large"),
        "{}",
        answer.text()
    );
}
