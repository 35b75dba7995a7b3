//! `POST /v1/responses` without its memory: what a stream holds, how it is kept alive.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{
    Call, Emulated, ScriptedUpstream, Step, TestGateway, event, final_event, silent_at_first,
    sse_head, until,
};

fn post(body: &Value) -> Call {
    Call::new("POST", "/v1/responses")
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: {"));
    let events = data.map(|event| serde_json::from_str(&format!("{{{event}")).unwrap());
    events.collect()
}

fn long_request() -> Value {
    json!({"model": "google/gemini-2.5-flash", "input": "Hi", "stream": true, "instructions": "word ".repeat(140_000)})
}

/// A stream that answers at once and does not end before the gate is opened.
fn endless() -> ScriptedUpstream {
    ScriptedUpstream::with(|_| {
        vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("one")),
            Step::Gate(1),
            Step::Write(final_event("one")),
            Step::Close,
        ]
    })
}

fn in_little_memory(fal: &ScriptedUpstream) -> TestGateway {
    let setup = fal.setup().set("server.max_body", "1MiB");
    setup.set("limits.max_body_memory", "1MiB").start()
}

/// Its last event repeats the request, so the memory of that is not free before.
#[test]
fn what_a_stream_repeats_of_its_request_counts_as_memory_until_its_end() {
    let fal = endless();
    let gateway = in_little_memory(&fal);
    let mut first = gateway.open(&post(&long_request())).stream();
    first.until("output_text.delta");
    let refused = gateway.call(&post(&long_request()));
    assert_eq!(refused.status, 503, "{}", refused.text());
    // A short one does not need what is counted.
    let short = json!({"model": "openai/gpt-4o-mini", "input": "Hi", "stream": true});
    let mut beside = gateway.open(&post(&short)).stream();
    beside.until("output_text.delta");
    drop(first);
    until("the memory is free again", || {
        let mut again = gateway.open(&post(&long_request()));
        (again.head().status == 200).then_some(())
    });
}

/// Where nothing of a request is repeated, its memory is free as soon as fal has it.
#[test]
fn what_no_answer_repeats_is_given_back_at_once() {
    let fal = endless();
    let gateway = in_little_memory(&fal);
    let long = "word ".repeat(140_000);
    let body =
        json!({"model": "google/gemini-2.5-flash", "input": long, "stream": true, "store": false});
    let mut first = gateway.open(&post(&body)).stream();
    first.until("output_text.delta");
    let mut second = gateway.open(&post(&body)).stream();
    second.until("output_text.delta");
}

#[test]
fn a_silent_stream_is_kept_alive_by_short_events() {
    let fal = ScriptedUpstream::start(silent_at_first());
    let gateway = fal.setup().set("server.heartbeat", "30ms").start();
    let tools: Vec<Value> = (0..40)
        .map(|number| json!({"type": "function", "name": format!("tool_{number}"), "description": "Does it."}))
        .collect();
    let request = json!({
        "model": "openai/gpt-4o-mini", "input": "Hi", "stream": true, "temperature": 0.5,
        "instructions": "word ".repeat(1000), "tools": tools
    });
    let mut reading = gateway.open(&post(&request)).stream();
    reading.until("\"sequence_number\":4,");
    fal.open_gate();
    reading.until("\"delta\":\"one\"");
    reading.until("\"sequence_number\":14,");
    fal.open_gate();
    let (body, _) = reading.rest();
    let events = events(&body);
    let (begun, rest) = events.split_at(2);
    assert_eq!(begun[1]["response"]["tools"].as_array().unwrap().len(), 40);
    let is_heartbeat = |event: &&Value| event["type"] == "response.in_progress";
    let heartbeats: Vec<&Value> = rest.iter().filter(is_heartbeat).collect();
    assert!(heartbeats.len() > 5, "{}", heartbeats.len());
    for heartbeat in heartbeats {
        assert!(heartbeat.to_string().len() < 1000, "{heartbeat}");
        let response = &heartbeat["response"];
        assert_eq!(response["id"], begun[0]["response"]["id"]);
        assert_eq!(response["temperature"], 0.5);
        assert_eq!(response["status"], "in_progress");
    }
    let numbers: Vec<u64> = (0..events.len() as u64).collect();
    let given = events
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap());
    assert_eq!(given.collect::<Vec<_>>(), numbers);
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["tools"], json!(request_tools(&request)));
    assert_eq!(last["instructions"], request["instructions"]);
}

/// As they are repeated: with what a typed client looks for.
fn request_tools(request: &Value) -> Vec<Value> {
    let tools = request["tools"].as_array().unwrap().iter().cloned();
    let complete = tools.map(|mut tool| {
        tool["strict"] = Value::Null;
        tool["parameters"] = Value::Null;
        tool
    });
    complete.collect()
}

#[test]
fn a_response_says_when_it_was_complete() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let ask = |input: &str, most: u32| {
        let body =
            json!({"model": "openai/gpt-4o-mini", "input": input, "max_output_tokens": most});
        gateway.call(&post(&body)).json()
    };
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    let before = now();
    let complete = ask("echo yes /emulate latency:1100ms", 100);
    let after = now();
    let [created, completed] =
        ["created_at", "completed_at"].map(|name| complete[name].as_u64().unwrap());
    assert!(before <= created && created <= completed, "{complete}");
    // It was at work for more than a second by then.
    assert!(before < completed && completed <= after, "{complete}");
    assert_eq!(ask("count 500", 5)["completed_at"], Value::Null);
}

#[test]
fn tokens_are_counted_without_a_call() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let count = |body: &Value| {
        let call = Call::new("POST", "/v1/responses/input_tokens");
        let call = call.header("content-type", "application/json");
        let answer = gateway.call(&call.body(body.to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-usage"), Some("estimated"));
        assert_eq!(answer.json()["object"], "response.input_tokens");
        answer.json()["input_tokens"].as_u64().unwrap()
    };
    let mut body =
        json!({"model": "openai/gpt-4o-mini", "input": "some words that are to be counted"});
    let counted = count(&body);
    assert!(counted > 3);
    // As the usage of the answer has it.
    let answered = gateway.call(&post(&body)).json();
    assert_eq!(answered["usage"]["input_tokens"], counted);
    body["tools"] =
        json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    body["personality"] = json!("friendly");
    assert!(count(&body) > counted, "tools count");
    assert!(count(&json!({"input": "word ".repeat(300_000)})) > 128_000);
    assert_eq!(fal.requests(1).len(), 1);
}

#[test]
fn nothing_is_compacted_and_the_error_says_what_to_do() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let call = Call::new("POST", "/v1/responses/compact");
    let answer = gateway.call(&call.header("content-type", "application/json").body("{}"));
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error()["code"], "unsupported_endpoint");
    assert!(answer.text().contains("summary"), "{}", answer.text());
}

/// A request that fails after fal has worked.
fn failing(stream: bool) -> Value {
    json!({"model": "openai/gpt-4o-mini", "input": "Hi /emulate error200", "stream": stream, "temperature": 1})
}

/// What a request has failed with, and whether that was told before.
fn failure(gateway: &TestGateway, call: &Call) -> (String, bool) {
    let answer = gateway.call(call);
    let text = answer.text();
    let error = match answer.status {
        200 => events(&text)
            .into_iter()
            .find(|event| event["type"] == "error")
            .unwrap_or_else(|| panic!("{text}")),
        _ => answer.error(),
    };
    let is_replayed = answer.header("x-gateway-replayed") == Some("failure");
    (error["code"].as_str().unwrap().to_owned(), is_replayed)
}

#[test]
fn a_failure_that_may_have_been_paid_for_is_told_again_without_a_call() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let first = ("upstream_error".to_owned(), false);
    let again = ("upstream_error".to_owned(), true);
    for (number, stream) in [(1, false), (2, true)] {
        assert_eq!(failure(&gateway, &post(&failing(stream))), first);
        // Codex sends 30 of them; others write the same request in another way.
        for _ in 0..30 {
            assert_eq!(failure(&gateway, &post(&failing(stream))), again);
        }
        let respelt = format!(
            r#"{{ "temperature": 1.0, "stream": {stream}, "input": "H\u0069 /emulate error200", "model": "openai/gpt-4o-mini" }}"#
        );
        let respelt = post(&Value::Null).body(respelt);
        assert_eq!(failure(&gateway, &respelt), again);
        let repeated = gateway.call(&post(&failing(stream)));
        assert_eq!(repeated.status, 400);
        assert_eq!(repeated.header("x-should-retry"), Some("false"));
        assert_eq!(fal.requests(number).len(), number);
    }
    assert_eq!(
        gateway.metric("fal_gateway_failures_replayed_total"),
        2.0 * 32.0
    );
}

#[test]
fn a_failure_is_told_again_whatever_stands_where_nobody_reads() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let odd = ["\u{feff}{", r#"{"zzz":"\ud800","#, r#"{"zzz":1e999,"#];
    for (number, begin) in (1..).zip(odd) {
        let body = failing(false).to_string();
        let call = post(&Value::Null).body(format!("{begin}{}", &body[1..]));
        let told = [(); 3].map(|()| failure(&gateway, &call).1);
        assert_eq!(told, [false, true, true], "{begin}");
        assert_eq!(fal.requests(number).len(), number, "{begin}");
    }
}

#[test]
fn whoever_wants_to_ask_again_does() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let call = post(&failing(false));
    let first = failure(&gateway, &call);
    assert!(!first.1);
    let wanted = call.header("x-gateway-retry", "true");
    assert_eq!(failure(&gateway, &wanted), first);
    assert_eq!(failure(&gateway, &wanted), first);
    // A turn that a person has begun anew is another request, as Codex numbers them.
    let mut other = failing(false);
    other["client_metadata"] = json!({"turn_id": "2"});
    assert_eq!(failure(&gateway, &post(&other)), first);
    assert_eq!(fal.requests(4).len(), 4);
    // An explanation sends nothing.
    let explained = gateway.call(&post(&failing(false)).header("x-gateway-explain", "true"));
    assert_eq!(explained.status, 200);
}

#[test]
fn what_failed_for_one_caller_has_not_failed_for_another() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .env("FAL_GATEWAY_KEYS", "one-key,other-key")
        .start();
    let ask = |key: &str| {
        let call = post(&failing(false)).header("authorization", &format!("Bearer {key}"));
        failure(&gateway, &call).1
    };
    let told_again = ["one-key", "other-key", "one-key", "other-key"].map(ask);
    assert_eq!(told_again, [false, false, true, true]);
}

/// It may help to ask again, and costs nothing.
#[test]
fn what_was_not_paid_for_is_asked_again() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let body = json!({"model": "openai/gpt-4o-mini", "input": "Hi /emulate error:rate_limit"});
    for _ in 0..2 {
        let answer = gateway.call(&post(&body));
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-replayed"), None);
    }
    assert_eq!(fal.requests(2).len(), 2);
}

/// Whole exchanges, from the oldest on, and only where the caller allows it.
#[test]
fn what_is_too_long_is_refused_or_cut_as_the_caller_says() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("limits.max_prompt_chars", "600").start();
    let mut input = Vec::new();
    for (number, word) in ["first", "second", "third"].iter().enumerate() {
        input.push(json!({"role": "user", "content": format!("{word} {}", "x".repeat(120))}));
        let call = json!({"type": "function_call", "call_id": format!("call_{number}"), "name": "look", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": format!("call_{number}"), "output": format!("seen {word}")});
        input.extend([call, output]);
    }
    input.push(json!({"role": "user", "content": "echo the end"}));
    let ask = |truncation: &str| {
        let body = json!({"model": "openai/gpt-4o-mini", "input": input, "truncation": truncation});
        gateway.call(&post(&body))
    };
    let refused = ask("disabled");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.error()["code"], "context_length_exceeded");
    assert_eq!(refused.error()["param"], "input");
    let cut = ask("auto");
    assert_eq!(cut.status, 200, "{}", cut.text());
    let fold = cut.header("x-gateway-fold").unwrap_or_default().to_owned();
    assert!(fold.contains("dropped="), "{fold}");
    let emulated = cut.header("x-gateway-emulated").unwrap_or_default();
    assert!(emulated.contains("truncation"), "{emulated}");
    assert_eq!(cut.json()["truncation"], "auto");
    let requests = fal.requests(1);
    let prompt = requests[0]["body"]["prompt"].as_str().unwrap();
    assert!(
        !prompt.contains("first") && prompt.contains("echo the end"),
        "{prompt}"
    );
    // No output stays whose call is gone.
    for word in ["second", "third"] {
        assert_eq!(
            prompt.contains(&format!("{word} x")),
            prompt.contains(&format!("seen {word}"))
        );
    }
}
