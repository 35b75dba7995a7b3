//! Anthropic's Messages API, as its clients meet it.

use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, End, ScriptedUpstream, Step, TestGateway, event, final_event, sse_head,
    whole,
};

pub(super) fn request(text: &str, stream: bool) -> Value {
    json!({
        "model": "openai/gpt-4o-mini", "max_tokens": 1000, "stream": stream,
        "messages": [{"role": "user", "content": text}],
    })
}

pub(super) fn post(path: &str, body: &Value) -> Call {
    Call::new("POST", path)
        .header("content-type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .body(body.to_string())
}

pub(super) fn ask(gateway: &TestGateway, body: &Value) -> Answer {
    gateway.call(&post("/v1/messages", body))
}

/// Status, type and code of an error, which has to be in Anthropic's envelope.
pub(super) fn verdict(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!(body["type"], "error", "{body}");
    let id = answer.header("request-id");
    assert_eq!(body["request_id"].as_str(), id, "the id is the header's");
    assert_eq!(answer.header("x-request-id"), id);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!(
        "{} {} {}",
        answer.status,
        text(&body["error"]["type"]),
        text(&body["error"]["details"]["error_code"])
    )
}

/// The events of a stream, which has to keep to the grammar: a block at a time, its deltas of its
/// kind, numbers without gaps, and one ending.
pub(super) fn events(body: &str) -> Vec<Value> {
    let frames = body.strip_suffix("\n\n").unwrap().split("\n\n");
    let mut events: Vec<Value> = Vec::new();
    let (mut open, mut next) = (None, 0);
    for frame in frames {
        let (name, data) = frame.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name, format!("event: {}", event["type"].as_str().unwrap()));
        let kind = event["type"].as_str().unwrap();
        let last = events.last().map(|event| event["type"].clone());
        assert!(
            last != Some(json!("message_stop")) && last != Some(json!("error")),
            "{body}"
        );
        match kind {
            "message_start" => assert!(events.is_empty()),
            "ping" => assert!(!events.is_empty()),
            "content_block_start" => {
                assert_eq!(
                    (open, event["index"].as_u64()),
                    (None, Some(next)),
                    "{body}"
                );
                open = Some(event["content_block"]["type"].as_str().unwrap().to_owned());
            }
            "content_block_delta" => {
                let delta = event["delta"]["type"].as_str().unwrap();
                let block = match delta {
                    "text_delta" => "text",
                    "input_json_delta" => "tool_use",
                    _ => "thinking",
                };
                assert_eq!(
                    (open.as_deref(), event["index"].as_u64()),
                    (Some(block), Some(next))
                );
            }
            "content_block_stop" => {
                assert!(open.take().is_some(), "{body}");
                next += 1;
            }
            "message_delta" | "message_stop" | "error" => assert_eq!(open, None, "{body}"),
            other => panic!("{other} is no event of Anthropic's"),
        }
        events.push(event);
    }
    let last = events.last().unwrap()["type"].as_str().unwrap();
    assert!(["message_stop", "error"].contains(&last), "{body}");
    events
}

#[test]
fn an_answer_has_anthropics_shape_whole_and_as_a_stream() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let answer = ask(&gateway, &request("echo hello there", false));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(
        body["content"],
        json!([{"type": "text", "text": "hello there"}])
    );
    assert_eq!(
        (&body["type"], &body["role"]),
        (&json!("message"), &json!("assistant"))
    );
    assert_eq!(
        (&body["stop_reason"], &body["stop_sequence"]),
        (&json!("end_turn"), &Value::Null)
    );
    assert_eq!(body["model"], "openai/gpt-4o-mini");
    assert!(body["id"].as_str().unwrap().starts_with("msg_"));
    assert!(answer.header("request-id").is_some());

    let answer = ask(&gateway, &request("echo hello there", true));
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let events = events(&answer.text());
    let texts = events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str());
    assert_eq!(texts.collect::<String>(), "hello there");
    let started = &events[0]["message"];
    let ended = &events[events.len() - 2];
    assert_eq!(
        started["usage"]["input_tokens"],
        body["usage"]["input_tokens"]
    );
    assert_eq!(
        ended["usage"]["input_tokens"],
        body["usage"]["input_tokens"]
    );
    assert_eq!(
        ended["usage"]["output_tokens"],
        body["usage"]["output_tokens"]
    );
    assert_eq!(ended["delta"]["stop_reason"], "end_turn");
}

#[test]
fn the_stop_sequence_that_ended_an_answer_is_told() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for stream in [false, true] {
        let mut body = request("echo one two three", stream);
        body["stop_sequences"] = json!(["nine", " three"]);
        let answer = ask(&gateway, &body);
        let told = match stream {
            false => answer.json(),
            true => events(&answer.text()).into_iter().rev().nth(1).unwrap()["delta"].clone(),
        };
        assert_eq!(told["stop_reason"], "stop_sequence", "{told}");
        assert_eq!(told["stop_sequence"], " three");
    }
}

#[test]
fn a_key_opens_in_either_header_and_x_api_key_counts() {
    let fal = Emulated::start();
    let gateway = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let (right, wrong) = ("sk-fg-alice", "sk-fg-mallory");
    for (api_key, bearer, status) in [
        (Some(right), None, 200),
        (None, Some(right), 200),
        (Some(right), Some(right), 200),
        (Some(right), Some(wrong), 200),
        (Some(wrong), Some(right), 401),
        (None, None, 401),
    ] {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let mut call = post(path, &request("echo hi", false));
            if let Some(key) = api_key {
                call = call.header("x-api-key", key);
            }
            if let Some(key) = bearer {
                call = call.header("authorization", &format!("Bearer {key}"));
            }
            let answer = gateway.call(&call);
            assert_eq!(answer.status, status, "{api_key:?} {bearer:?}");
            if status == 401 {
                assert_eq!(verdict(&answer), "401 authentication_error invalid_api_key");
            }
        }
    }
}

#[test]
fn both_versions_and_any_beta_are_taken() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for version in ["2023-06-01", "2026-10-21", "2030-01-01", "yesterday"] {
        let call = Call::new("POST", "/v1/messages?beta=true")
            .header("content-type", "application/json")
            .header("anthropic-version", version)
            .header("anthropic-beta", "context-1m-2025-08-07,what-comes-next")
            .body(request("echo hi", false).to_string());
        assert_eq!(gateway.call(&call).status, 200, "{version}");
    }
}

#[test]
fn whatever_is_refused_is_refused_in_anthropics_envelope() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.max_body", "4096").start();
    let large = request(&"x".repeat(8192), false);
    let json_type = |call: Call| call.header("content-type", "application/json");
    let plain = Call::new("POST", "/v1/messages")
        .header("content-type", "text/plain")
        .body("hi");
    let bare = |method: &str, path: &str| {
        Call::new(method, path).header("anthropic-version", "2023-06-01")
    };
    for (call, expected) in [
        (
            post("/v1/messages", &json!({})),
            "400 invalid_request_error missing_required_parameter",
        ),
        (
            post("/v1/messages", &large),
            "413 request_too_large request_too_large",
        ),
        (plain, "415 invalid_request_error unsupported_media_type"),
        (
            json_type(Call::new("POST", "/v1/messages")).body("{"),
            "400 invalid_request_error invalid_json",
        ),
        (
            Call::new("GET", "/v1/messages"),
            "405 invalid_request_error method_not_allowed",
        ),
        (
            Call::new("GET", "/v1/messages/batches"),
            "404 not_found_error unsupported_endpoint",
        ),
        (
            bare("GET", "/v1/files"),
            "404 not_found_error unsupported_endpoint",
        ),
        (
            bare("GET", "/v1/nowhere"),
            "404 not_found_error unknown_url",
        ),
        (
            bare("GET", "/v1/models/nobody"),
            "404 not_found_error model_not_found",
        ),
    ] {
        assert_eq!(verdict(&gateway.call(&call)), expected);
    }
    let mut unknown = request("hi", false);
    unknown["model"] = json!("gpt-4o-mimi");
    let answer = ask(&gateway, &unknown);
    assert_eq!(verdict(&answer), "404 not_found_error model_not_found");
    assert!(
        answer.text().contains("openai/gpt-4o-mini"),
        "the nearest name is told"
    );
    assert_eq!(fal.count(), 0, "nothing was sent");
}

#[test]
fn a_failure_has_a_status_that_nobody_repeats_unless_nothing_was_paid() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("tools.max_reasks", "0").start();
    for (command, expected, retried) in [
        ("status:500", "502 api_error upstream_error", None),
        (
            "status:429",
            "429 rate_limit_error rate_limit_exceeded",
            None,
        ),
    ] {
        let answer = ask(
            &gateway,
            &request(&format!("/emulate {command}\nhi"), false),
        );
        assert_eq!(verdict(&answer), expected);
        assert_eq!(answer.header("x-should-retry"), retried, "{command}");
    }
}

#[test]
fn what_may_have_been_paid_is_a_mistake_of_nobodys_and_is_not_repeated() {
    let fal = ScriptedUpstream::answering(sse_head());
    let gateway = fal.setup().start();
    let answer = ask(&gateway, &request("hi", true));
    assert_eq!(
        verdict(&answer),
        "400 invalid_request_error upstream_disconnected"
    );
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(fal.requests(), 1);
}

#[test]
fn a_gateway_that_stops_is_overloaded_and_nothing_was_sent() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Gate(1), Step::Write(whole("hi"))]);
    let gateway = fal.setup().set("server.drain_timeout", "20s").start();
    let mut running = gateway.open(&post("/v1/messages", &request("hi", false)));
    fal.until_requests(1);
    gateway.begin_stop();
    crate::support::until("draining", || {
        Some(gateway.get("/readyz")).filter(|answer| answer.status == 503)
    });
    let refused = ask(&gateway, &request("hi", false));
    assert_eq!(verdict(&refused), "529 overloaded_error shutting_down");
    assert_eq!(refused.header("retry-after"), Some("1"));
    fal.open_gate();
    assert_eq!(running.answer().json()["content"][0]["text"], "hi");
    gateway.finished();
}

/// A client that hears of an error inside a block sends the whole request again.
#[test]
fn an_error_in_mid_stream_comes_behind_the_end_of_its_block() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("Hello")),
        Step::Close,
    ]);
    let gateway = fal.setup().start();
    let (body, end) = gateway
        .open(&post("/v1/messages", &request("hi", true)))
        .stream()
        .rest();
    assert_eq!(end, End::Clean);
    let events = events(&body);
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    assert_eq!(kinds[kinds.len() - 2..], ["content_block_stop", "error"]);
    assert_eq!(
        events.last().unwrap()["error"]["type"],
        "invalid_request_error"
    );
}

/// The head waits one heartbeat for fal's first words; then the stream begins and is kept alive.
#[test]
fn a_silent_stream_begins_and_pings() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Gate(1),
        Step::Write(final_event("late")),
        Step::Close,
    ]);
    let gateway = fal.setup().set("server.heartbeat", "30ms").start();
    let mut reading = gateway
        .open(&post("/v1/messages", &request("hi", true)))
        .stream();
    let pings = "event: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping";
    let begun = reading.until(pings);
    let mut frames = begun.split("\n\n");
    let first = frames.find(|frame| !frame.starts_with("event: ping"));
    assert!(
        first.is_some_and(|first| first.starts_with("event: message_start\n")),
        "{begun}"
    );
    fal.open_gate();
    let (body, _) = reading.rest();
    let events = events(&body);
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "message_start")
            .count(),
        1
    );
    assert!(body.contains("\"late\""));
    assert_eq!(fal.requests(), 1);
}

#[test]
fn tokens_are_counted_without_a_call_and_never_as_none() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let count = |body: &Value| {
        let answer = gateway.call(&post("/v1/messages/count_tokens", body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-usage"), Some("estimated"));
        answer.json()["input_tokens"].as_u64().unwrap()
    };
    let mut body = request("echo some words that are to be counted, one by one", false);
    body.as_object_mut().unwrap().remove("max_tokens");
    let counted = count(&body);
    let least = count(
        &json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "a"}]}),
    );
    assert!(least >= 1 && least < counted);
    let mut with_tools = body.clone();
    with_tools["tools"] = json!([{"name": "weather", "description": "The weather of a city.", "input_schema": {"type": "object"}}]);
    assert!(count(&with_tools) > counted, "tools count");
    let mut too_long = body.clone();
    too_long["messages"] = json!([
        {"role": "user", "content": "word ".repeat(80_000)},
        {"role": "assistant", "content": "word ".repeat(80_000)},
        {"role": "user", "content": "Go on."},
    ]);
    assert!(
        count(&too_long) > 128_000,
        "what is too long is counted all the same"
    );
    assert_eq!(fal.count(), 0);
    body["max_tokens"] = json!(1000);
    let told = ask(&gateway, &body).json()["usage"]["input_tokens"]
        .as_u64()
        .unwrap();
    assert_eq!(told, counted);
    too_long["max_tokens"] = json!(1000);
    let refused = ask(&gateway, &too_long);
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.starts_with("prompt is too long: ")
            && message.ends_with(" tokens > 128000 maximum"),
        "{message}"
    );
    let mut incurable = too_long.clone();
    incurable["system"] = json!("word ".repeat(150_000));
    assert_eq!(
        verdict(&ask(&gateway, &incurable)),
        "400 invalid_request_error string_above_max_length"
    );
}

#[test]
fn models_are_listed_in_the_shape_of_whoever_asks() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let get = |path: &str| {
        gateway
            .call(&Call::get(path).header("anthropic-version", "2026-10-21"))
            .json()
    };
    let list = get("/v1/models?limit=2");
    assert_eq!(
        (&list["has_more"], list["data"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    let next = get(&format!(
        "/v1/models?limit=2&after_id={}",
        list["last_id"].as_str().unwrap()
    ));
    assert_ne!(next["first_id"], list["first_id"]);
    let all = get("/v1/models?limit=1000");
    let ids: Vec<&str> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.contains(&"openai/gpt-4o-mini") && ids.contains(&"anthropic-gw/openai/gpt-4o-mini")
    );
    assert_eq!(all["has_more"], false);
    for id in ["openai%2Fgpt-4o-mini", "anthropic-gw/openai/gpt-4o-mini"] {
        assert_eq!(
            get(&format!("/v1/models/{id}"))["display_name"],
            "openai/gpt-4o-mini"
        );
    }
    assert_eq!(gateway.get("/v1/models").json()["object"], "list");
}

/// Whoever ignored this would answer the next request, which holds the last message alone.
#[test]
fn threads_are_refused_in_the_way_that_makes_sdks_send_everything() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut body = request("hi", false);
    body["thread"] = json!({"type": "create"});
    let answer = ask(&gateway, &body);
    assert_eq!(
        verdict(&answer),
        "400 invalid_request_error thread_unsupported_request"
    );
    assert_eq!(
        answer.json()["error"]["details"]["unsupported"],
        json!(["thread"])
    );
    body["thread"] = json!({"type": "continue", "previous_message_id": "msg_1"});
    assert_eq!(
        verdict(&ask(&gateway, &body)),
        "400 invalid_request_error thread_not_found"
    );
    assert_eq!(fal.count(), 0);
}

#[test]
fn names_of_claudes_lead_to_models_that_are_there() {
    let fal = Emulated::start();
    let setup = fal
        .setup()
        .set("models.claude_large", "google/gemini-2.5-flash");
    let gateway = setup
        .set("models.claude_small", "openai/gpt-5-nano")
        .start();
    for (name, expected) in [
        ("claude-opus-4-8", "google/gemini-2.5-flash"),
        ("claude-sonnet-5", "google/gemini-2.5-flash"),
        ("claude-sonnet-5[1m]", "google/gemini-2.5-flash"),
        ("claude-fable-5", "google/gemini-2.5-flash"),
        ("claude-haiku-4-5-20251001", "openai/gpt-5-nano"),
        ("claude-3-haiku", "anthropic/claude-3-haiku"),
        ("anthropic-gw/openai/gpt-4o-mini", "openai/gpt-4o-mini"),
    ] {
        let mut body = request("echo hi", false);
        body["model"] = json!(name);
        assert_eq!(ask(&gateway, &body).json()["model"], expected, "{name}");
    }
}

#[test]
fn messages_are_served_where_the_base_url_went_wrong_and_azures_path_names_its_model() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for path in [
        "/v1/v1/messages",
        "/messages",
        "/v1/messages/",
        "//v1/messages",
    ] {
        assert_eq!(
            gateway.call(&post(path, &request("echo hi", false))).status,
            200,
            "{path}"
        );
    }
    let body = json!({"messages": [{"role": "user", "content": "echo hi"}]});
    for path in [
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/openai/deployments/openai%2Fgpt-4o/chat/completions",
    ] {
        let call = Call::new("POST", path)
            .header("content-type", "application/json")
            .header("api-key", "demo")
            .body(body.to_string());
        let answer = gateway.call(&call);
        assert_eq!(answer.json()["model"], "openai/gpt-4o", "{path}");
    }
}

#[test]
fn a_call_goes_out_and_its_result_comes_back() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut body = request("Weather in Paris?", false);
    body["tools"] = json!([{"name": "weather", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}]);
    body["tool_choice"] = json!({"type": "any"});
    let answer = ask(&gateway, &body).json();
    assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
    let called = &answer["content"][0];
    assert_eq!(
        (&called["type"], &called["name"]),
        (&json!("tool_use"), &json!("weather"))
    );
    assert!(called["id"].as_str().unwrap().starts_with("toolu_"));
    assert!(called["input"]["city"].is_string(), "{answer}");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": answer["content"]}));
    messages.push(json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": called["id"], "content": "22 degrees", "is_error": true},
    ]}));
    body["tool_choice"] = json!({"type": "auto"});
    let answer = ask(&gateway, &body).json();
    assert_eq!(answer["content"][0]["text"], "weather says: 22 degrees");
    let sent = serde_json::to_string(&fal.requests(2)).unwrap();
    assert!(sent.contains("error=\\\"true\\\">22 degrees"), "{sent}");
}
