//! Through which upstream requests go, who decides that, and what happens where one of them does not
//! serve a request.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, Process, ScriptedUpstream, Setup, Step, TestGateway, question,
};

const MINI: &str = "openai/gpt-4o-mini";
const GONE: &str = r#"{"detail":"Application not found"}"#;

fn auto(setup: Setup) -> Setup {
    setup.set("fal.upstream", "auto")
}

fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A whole answer, in the words of whichever upstream is asked.
fn answered(text: &str) -> Vec<u8> {
    let choice = json!({ "index": 0, "message": { "content": text }, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5 });
    let body = json!({ "output": text, "partial": false, "choices": [choice], "usage": usage });
    http(200, &body.to_string())
}

/// A fal that gives these answers one after the other.
fn scripted(answers: Vec<Vec<u8>>) -> ScriptedUpstream {
    ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        vec![Step::Read, Step::Write(answer.clone()), Step::Close]
    })
}

/// The heads of the requests that a stand-in was sent, and their bodies.
fn sent(fal: &ScriptedUpstream) -> Vec<(String, Value)> {
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let read = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str(body).unwrap())
    };
    requests.map(read).collect()
}

/// Their paths alone.
fn paths(fal: &ScriptedUpstream) -> Vec<String> {
    let path = |(head, _): &(String, Value)| head.split(' ').nth(1).unwrap().to_owned();
    sent(fal).iter().map(path).collect()
}

fn route(answer: &Answer) -> &str {
    answer.header("x-gateway-upstream").unwrap_or("none")
}

fn tools() -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!([{ "type": "function", "function": { "name": "get_weather", "parameters": parameters } }])
}

fn post(gateway: &TestGateway, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let call = Call::new("POST", path).header("content-type", "application/json");
    let call = headers
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value));
    gateway.call(&call.body(body.to_string()))
}

#[test]
fn the_choice_and_its_reason_are_told_on_every_api() {
    let fal = Emulated::start();
    let gateway = auto(fal.setup()).set("fal.prefer", "flat").start();
    let said = json!([{ "role": "user", "content": "echo hi" }]);
    let turns = json!([
        { "role": "user", "content": "Hello" }, { "role": "assistant", "content": "Hi" },
        { "role": "user", "content": "echo hi" },
    ]);
    let own_tool = json!([{ "name": "get_weather", "input_schema": { "type": "object" } }]);
    let flat_tool =
        json!([{ "type": "function", "name": "get_weather", "parameters": { "type": "object" } }]);
    let cases = [
        (
            "/v1/chat/completions",
            json!({ "messages": said }),
            "any-llm; because=flat",
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": turns }),
            "router-openai; because=turns",
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": said, "tools": tools() }),
            "router-openai; because=tools",
        ),
        (
            "/v1/completions",
            json!({ "prompt": "echo hi" }),
            "any-llm; because=flat",
        ),
        (
            "/v1/messages",
            json!({ "max_tokens": 50, "messages": said }),
            "any-llm; because=flat",
        ),
        (
            "/v1/messages",
            json!({ "max_tokens": 50, "messages": said, "tools": own_tool }),
            "router-openai; because=tools",
        ),
        (
            "/v1/responses",
            json!({ "input": "echo hi" }),
            "any-llm; because=flat",
        ),
        (
            "/v1/responses",
            json!({ "input": "echo hi", "tools": flat_tool }),
            "router-openai; because=tools",
        ),
    ];
    for (path, mut body, told) in cases {
        body["model"] = MINI.into();
        for is_stream in [false, true] {
            body["stream"] = is_stream.into();
            let answer = post(&gateway, path, &body, &[]);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(route(&answer), told, "{path} {body}");
        }
        body["stream"] = false.into();
        let explained = post(&gateway, path, &body, &[("x-gateway-explain", "true")]).json();
        let told: Vec<&str> = told.split("; because=").collect();
        assert_eq!(
            [&explained["upstream"], &explained["because"]],
            [told[0], told[1]]
        );
    }
    gateway.until_metric(
        r#"fal_gateway_upstreams_total{because="flat",upstream="any-llm"}"#,
        8.0,
    );
    gateway.until_metric(
        r#"fal_gateway_upstreams_total{because="tools",upstream="router-openai"}"#,
        6.0,
    );
}

#[test]
fn the_log_tells_the_upstream_and_why() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&auto(fal.setup()));
    let mut raw = process.connect(address);
    raw.send(&Call::chat(&question("echo hi", false)).to_bytes());
    assert_eq!(raw.answer().status, 200);
    let line = process.until_requests(1).remove(0);
    let line = line.to_string();
    assert!(line.contains(r#""fal.upstream":"router-openai""#), "{line}");
    assert!(line.contains(r#""fal.because":"native""#), "{line}");
}

#[test]
fn callers_choose_the_upstream_where_they_may() {
    let fal = Emulated::start();
    let open = fal.setup().set("fal.allow_upstream_header", "true").start();
    let body = question("echo hi", false);
    let ask = |gateway: &TestGateway, path: &str, body: &Value, wanted: &str| {
        post(gateway, path, body, &[("x-gateway-upstream", wanted)])
    };
    for (wanted, told) in [
        ("any-llm", "any-llm; because=asked"),
        ("router", "router; because=asked"),
        ("router-openai", "router-openai; because=asked"),
        ("auto", "router-openai; because=native"),
    ] {
        let answer = ask(&open, "/v1/chat/completions", &body, wanted);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(route(&answer), told);
    }
    let calls = fal.count();
    for wanted in ["openai", "", "ROUTER", "any-llm, router"] {
        let error = ask(&open, "/v1/chat/completions", &body, wanted).error();
        assert_eq!(
            [&error["param"], &error["code"]],
            ["x-gateway-upstream", "invalid_value"]
        );
        assert!(
            error["message"].as_str().unwrap().contains("router-openai"),
            "{error}"
        );
    }
    let message = json!({ "model": MINI, "max_tokens": 5, "messages": [{ "role": "user", "content": "Hi" }] });
    let closed = fal.setup().start();
    for (path, body) in [
        ("/v1/chat/completions", &body),
        ("/v1/messages", &message),
        ("/v1/messages/count_tokens", &message),
    ] {
        let answer = ask(&closed, path, body, "any-llm");
        assert_eq!(answer.status, 400);
        assert!(
            answer.text().contains("fal.allow_upstream_header"),
            "{}",
            answer.text()
        );
    }
    let enterprise = fal
        .setup()
        .set("fal.allow_upstream_header", "true")
        .set("fal.enterprise", "true")
        .start();
    let error = ask(&enterprise, "/v1/chat/completions", &body, "router-openai").error();
    assert_eq!(error["param"], "x-gateway-upstream");
    assert_eq!(fal.count(), calls, "nothing of it was sent");
}

#[test]
fn the_router_answers_once_fal_has_no_any_llm_any_more() {
    let fal = Emulated::with(Options {
        gone_apps: vec!["fal-ai/any-llm".to_owned()],
        ..Options::default()
    });
    let (process, address) = Process::serving(&fal.setup());
    for (calls, is_stream) in [(2, false), (3, true)] {
        let mut raw = process.connect(address);
        raw.send(&Call::chat(&question("echo hi", is_stream)).to_bytes());
        let answer = raw.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(route(&answer), "router; because=gone");
        assert_eq!(answer.header("x-gateway-usage"), Some("exact"));
        // fal is not asked for it again.
        assert_eq!(fal.count(), calls);
    }
    // What any-llm would not have taken is no reason to refuse it.
    let mut body = question("", false);
    body["model"] = "google/gemini-2.5-flash".into();
    let recording = json!({"data": "UklGRg==", "format": "wav"});
    body["messages"] = json!([{"role": "user", "content": [
        {"type": "text", "text": "echo heard"},
        {"type": "input_audio", "input_audio": recording},
    ]}]);
    let mut raw = process.connect(address);
    raw.send(&Call::chat(&body).to_bytes());
    let answer = raw.answer();
    assert!(answer.content().starts_with("heard"), "{}", answer.text());
    assert_eq!(route(&answer), "router; because=gone");
    process.until_requests(3);
    let log = process.log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("no longer has any-llm"))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0].contains(r#""dollars_per_million_prompt_tokens":"0.15""#),
        "{}",
        warnings[0]
    );
    assert!(
        warnings[0].contains(r#""dollars_per_million_answer_tokens":"0.6""#),
        "{}",
        warnings[0]
    );
}

#[test]
fn any_llm_is_replaced_only_where_that_was_meant() {
    let gone = http(404, GONE);
    for (setting, value, to_check) in [
        ("fal.when_gone", "refuse", "fal.app"),
        ("fal.app", "my/any-llm", "fal.app"),
        ("fal.upstream", "router", "fal.router_app"),
        ("fal.upstream", "router-openai", "fal.openai_app"),
    ] {
        let fal = scripted(vec![gone.clone()]);
        let answer = fal
            .setup()
            .set(setting, value)
            .start()
            .ask(&question("hi", false));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error upstream_not_found"
        );
        let cure = format!("has to check {to_check}.");
        assert!(answer.text().contains(&cure), "{}", answer.text());
        assert_eq!(fal.requests(), 1);
    }
    // Whoever asks for it by name is told, and pays no other price.
    for upstream in ["any-llm", "auto"] {
        let fal = scripted(vec![gone.clone(), answered("hi")]);
        let gateway = fal
            .setup()
            .set("fal.allow_upstream_header", "true")
            .set("fal.upstream", upstream)
            .start();
        for calls in [1, 2] {
            let call = Call::chat(&question("hi", false)).header("x-gateway-upstream", "any-llm");
            let answer = gateway.call(&call);
            if calls == 1 {
                let verdict = "400 invalid_request_error upstream_not_found";
                assert_eq!(answer.verdict(), verdict, "{upstream}");
            }
            assert_eq!(fal.requests(), calls, "{upstream}");
        }
        assert_eq!(paths(&fal), ["/fal-ai/any-llm", "/fal-ai/any-llm"]);
    }
    for status in [404, 410] {
        let fal = scripted(vec![http(status, GONE), answered("hi")]);
        let answer = fal
            .setup()
            .set("fal.enterprise", "true")
            .start()
            .ask(&question("hi", false));
        assert_eq!(answer.content(), "hi", "{}", answer.text());
        assert_eq!(
            paths(&fal),
            [
                "/fal-ai/any-llm/enterprise",
                "/openrouter/router/enterprise"
            ]
        );
    }
    // All choices of a request go there.
    let fal = scripted(vec![gone.clone(), gone, answered("hi")]);
    let mut body = question("hi", false);
    body["n"] = 2.into();
    let answer = fal.setup().start().ask(&body);
    assert_eq!(
        answer.json()["choices"].as_array().unwrap().len(),
        2,
        "{}",
        answer.text()
    );
    assert_eq!(fal.requests(), 4);
}

#[test]
fn what_one_upstream_refuses_before_working_another_is_asked_once() {
    let no_model = r#"{"error":{"code":400,"message":"x is not a valid model ID"}}"#;
    let no_endpoint = r#"{"error":{"code":404,"message":"No endpoints found for x."}}"#;
    let not_listed = r#"{"detail":[{"loc":["body","model"],"msg":"Input should be 'a/b'","type":"literal_error","ctx":{"expected":"'a/b'"}}]}"#;
    let too_long = r#"{"detail":[{"loc":["body","prompt"],"msg":"too long","type":"string_too_long","ctx":{"max_length":1200}}]}"#;
    let native = "/openrouter/router/openai/v1/chat/completions";
    for (prefer, refusal, second, told) in [
        (
            "native",
            http(400, no_model),
            "/fal-ai/any-llm",
            "any-llm; because=refused",
        ),
        (
            "native",
            http(404, no_endpoint),
            "/fal-ai/any-llm",
            "any-llm; because=refused",
        ),
        (
            "native",
            http(404, GONE),
            "/openrouter/router",
            "router; because=gone",
        ),
        (
            "native",
            http(410, GONE),
            "/openrouter/router",
            "router; because=gone",
        ),
        (
            "flat",
            http(422, not_listed),
            native,
            "router-openai; because=refused",
        ),
        (
            "flat",
            http(422, too_long),
            native,
            "router-openai; because=refused",
        ),
        (
            "flat",
            http(404, GONE),
            native,
            "router-openai; because=gone",
        ),
    ] {
        let fal = scripted(vec![refusal.clone(), answered("hi")]);
        let gateway = auto(fal.setup()).set("fal.prefer", prefer).start();
        let answer = gateway.ask(&question(&"hi ".repeat(500), false));
        assert_eq!(answer.content(), "hi", "{}", answer.text());
        assert_eq!((route(&answer), paths(&fal)[1].as_str()), (told, second));
        assert_eq!(gateway.metric("fal_gateway_fallbacks_total"), 1.0);
        // Once.
        let fal = scripted(vec![refusal]);
        let gateway = auto(fal.setup()).set("fal.prefer", prefer).start();
        assert_ne!(
            gateway.ask(&question(&"hi ".repeat(500), false)).status,
            200
        );
        assert_eq!(fal.requests(), 2);
    }
}

#[test]
fn what_may_have_been_worked_on_is_asked_nowhere_else() {
    let provider = r#"{"error":{"code":400,"message":"Provider returned error"}}"#;
    for refusal in [
        http(400, provider),
        http(429, r#"{"detail":"Too many"}"#),
        http(500, "{}"),
        http(502, "{}"),
        http(503, "{}"),
        http(504, "{}"),
        http(401, "{}"),
        http(
            403,
            r#"{"detail":"User is locked. Reason: Exhausted balance."}"#,
        ),
        http(
            200,
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
        ),
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{"
            .to_vec(),
        Vec::new(),
    ] {
        for prefer in ["native", "flat"] {
            let fal = scripted(vec![refusal.clone()]);
            let gateway = auto(fal.setup()).set("fal.prefer", prefer).start();
            assert_ne!(gateway.ask(&question("hi", false)).status, 200);
            assert_eq!(fal.requests(), 1, "{}", String::from_utf8_lossy(&refusal));
        }
    }
}

#[test]
fn an_upstream_that_is_gone_is_left_alone() {
    let fal = scripted(vec![http(404, GONE), answered("hi")]);
    let gateway = auto(fal.setup()).start();
    for calls in [2, 3] {
        let answer = gateway.ask(&question("hi", false));
        assert_eq!(route(&answer), "router; because=gone");
        assert_eq!(fal.requests(), calls);
    }
    // Whoever cannot go elsewhere asks it all the same.
    let fal = scripted(vec![http(404, GONE), answered("hi")]);
    let gateway = auto(fal.setup()).start();
    let mut body = question("hi", false);
    body["model"] = "anthropic/claude-3.7-sonnet".into();
    assert_ne!(gateway.ask(&body).status, 200);
    assert_eq!(gateway.ask(&body).content(), "hi");
    assert_eq!(paths(&fal), ["/fal-ai/any-llm", "/fal-ai/any-llm"]);
}

/// A request that may make no other call teaches the next one all the same.
#[test]
fn what_is_refused_with_no_calls_left_is_remembered() {
    let toolless =
        json!({ "error": { "code": 404, "message": "No endpoints found that support tool use." } });
    let once = |fal: &ScriptedUpstream| auto(fal.setup()).set("limits.max_calls", "1").start();
    let mut body = question("hi", false);
    body["tools"] = tools();

    let fal = scripted(vec![http(404, &toolless.to_string()), answered("hi")]);
    let gateway = once(&fal);
    assert_eq!(
        gateway.ask(&body).verdict(),
        "400 invalid_request_error unsupported_value"
    );
    assert_eq!(gateway.ask(&body).content(), "hi");
    assert!(sent(&fal)[1].1.get("tools").is_none());

    let fal = scripted(vec![http(404, GONE), answered("hi")]);
    let gateway = once(&fal);
    assert_eq!(
        gateway.ask(&body).verdict(),
        "400 invalid_request_error upstream_not_found"
    );
    assert_eq!(gateway.ask(&body).content(), "hi");
    assert_eq!(paths(&fal)[1], "/openrouter/router");
}

#[test]
fn each_fallback_has_its_own_upstream() {
    let fal = scripted(vec![http(429, r#"{"detail":"Too many"}"#), answered("hi")]);
    let gateway = auto(fal.setup()).start();
    let mut body = question("hi", false);
    body["models"] = json!(["anthropic/claude-3.7-sonnet"]);
    let answer = gateway.ask(&body);
    assert_eq!(answer.content(), "hi", "{}", answer.text());
    assert_eq!(route(&answer), "any-llm; because=model");
    assert_eq!(
        paths(&fal),
        [
            "/openrouter/router/openai/v1/chat/completions",
            "/fal-ai/any-llm"
        ]
    );
}

#[test]
fn fal_is_told_to_keep_nothing_where_somebody_says_so() {
    let asks = |fal: &ScriptedUpstream, setup: Setup, store: Option<bool>| {
        let mut body = question("hi", false);
        body["n"] = 2.into();
        if let Some(store) = store {
            body["store"] = store.into();
        }
        assert_eq!(setup.start().ask(&body).status, 200);
        let heads = sent(fal).into_iter().map(|(head, _)| head.to_lowercase());
        let kept: Vec<bool> = heads
            .map(|head| !head.contains("x-fal-store-io: 0\r\n"))
            .collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0], kept[1]);
        kept[0]
    };
    for upstream in ["any-llm", "router", "router-openai"] {
        for (setting, store, is_kept) in [
            ("true", None, true),
            ("true", Some(true), true),
            ("true", Some(false), false),
            ("false", None, false),
            ("false", Some(true), false),
        ] {
            let fal = scripted(vec![answered("hi")]);
            let setup = fal
                .setup()
                .set("fal.upstream", upstream)
                .set("fal.store_io", setting);
            assert_eq!(
                asks(&fal, setup, store),
                is_kept,
                "{upstream} {setting} {store:?}"
            );
        }
    }
}

#[test]
fn what_is_not_to_be_stored_is_not_kept_by_fal_on_any_api() {
    let said = json!([{ "role": "user", "content": "hi" }]);
    for (path, body) in [
        ("/v1/responses", json!({ "input": "hi" })),
        ("/v1/completions", json!({ "prompt": "hi" })),
        (
            "/v1/messages",
            json!({ "max_tokens": 50, "messages": said }),
        ),
    ] {
        for (store, is_kept) in [(true, true), (false, false)] {
            let fal = scripted(vec![answered("hi")]);
            let mut body = body.clone();
            body["model"] = MINI.into();
            body["store"] = store.into();
            let answer = post(&fal.setup().start(), path, &body, &[]);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let head = sent(&fal).remove(0).0.to_lowercase();
            assert_eq!(!head.contains("x-fal-store-io: 0\r\n"), is_kept, "{path}");
            let keeps = path == "/v1/responses";
            let ignored = (store && !keeps).then_some("store");
            assert_eq!(answer.header("x-gateway-ignored"), ignored, "{path}");
        }
    }
}

/// Headers that ask for something are understood or refused: whoever is not heard might pay.
#[test]
fn a_header_that_is_not_understood_is_refused_before_anything_is_sent() {
    let fal = Emulated::start();
    let gateway = auto(fal.setup())
        .set("fal.allow_upstream_header", "true")
        .start();
    let said = json!([{ "role": "user", "content": "echo hi" }]);
    for (path, body) in [
        ("/v1/chat/completions", json!({ "messages": said })),
        ("/v1/completions", json!({ "prompt": "echo hi" })),
        (
            "/v1/messages",
            json!({ "max_tokens": 50, "messages": said }),
        ),
        ("/v1/responses", json!({ "input": "echo hi" })),
    ] {
        let mut body = body;
        body["model"] = MINI.into();
        for (name, value) in [
            ("x-gateway-explain", "1"),
            ("x-gateway-explain", "True"),
            ("x-gateway-explain", "yes"),
            ("x-gateway-retry", "on"),
            ("x-gateway-strict", "maybe"),
            ("x-gateway-notes", "zzz"),
            ("x-fal-priority", "soon"),
            ("x-gateway-upstream", "openai"),
        ] {
            let answer = post(&gateway, path, &body, &[(name, value)]);
            assert_eq!(answer.status, 400, "{name}: {value}");
            assert!(answer.text().contains(name), "{}", answer.text());
        }
        for (name, value) in [
            ("x-gateway-explain", "true"),
            ("x-gateway-retry", "true"),
            ("x-gateway-strict", "true"),
            ("x-gateway-notes", "body"),
            ("x-fal-priority", "latency"),
            ("x-gateway-upstream", "router"),
        ] {
            let answer = post(&gateway, path, &body, &[(name, value), (name, value)]);
            assert_eq!(answer.status, 400, "{name} twice");
            assert!(answer.text().contains("Send it once"), "{}", answer.text());
        }
    }
    assert_eq!(fal.count(), 0);
    for (name, value) in [("x-gateway-explain", "false"), ("x-gateway-retry", "false")] {
        let call = Call::chat(&question("echo hi", false)).header(name, value);
        assert_eq!(gateway.call(&call).content(), "hi", "{name}");
    }
}

/// An application with OpenAI's face may know its models by ids without a slash.
#[test]
fn another_openai_face_is_asked_for_its_own_models() {
    let fal = scripted(vec![answered("hi")]);
    let gateway = fal
        .setup()
        .set("fal.upstream", "router-openai")
        .set("fal.openai_app", "perceptron/isaac-01/openai/v1")
        .set("models.add", "[{ id = \"isaac-0.1\" }]")
        .set("models.aliases", "{ \"isaac\" = \"isaac-0.1\" }")
        .set("models.default", "isaac-0.1")
        .start();
    for model in ["isaac-0.1", "isaac", ""] {
        let mut body = question("hi", false);
        match model {
            "" => drop(body.as_object_mut().unwrap().remove("model")),
            model => body["model"] = model.into(),
        }
        assert_eq!(gateway.ask(&body).content(), "hi", "{model}");
    }
    for (head, body) in sent(&fal) {
        assert!(head.starts_with("POST /perceptron/isaac-01/openai/v1/chat/completions "));
        assert_eq!(body["model"], "isaac-0.1");
    }
}
