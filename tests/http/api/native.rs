//! Models asked through fal's OpenAI face: what goes as it is and what is emulated, and that all
//! promises hold there too.

use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Setup, Step, Stream, TestGateway, question,
};

const PATH: &str = "/openrouter/router/openai/v1/chat/completions";

fn native(setup: Setup) -> Setup {
    setup.set("fal.upstream", "router-openai")
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

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let body = json!({ "id": "gen-PLANTED", "provider": "PLANTED", "user_id": "PLANTED", "choices": [choice] });
    format!("data: {body}\n\n")
}

/// A stream of these chunks, and its proper end.
fn stream(chunks: &[String]) -> Vec<u8> {
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5 } });
    let end = format!("data: {usage}\n\ndata: [DONE]\n\n");
    http(200, "text/event-stream", &(chunks.concat() + &end))
}

fn said(text: &str) -> Vec<u8> {
    let choice = json!({ "index": 0, "message": { "content": text }, "finish_reason": "stop" });
    http(
        200,
        "application/json",
        &json!({ "choices": [choice] }).to_string(),
    )
}

/// A gateway in front of a fal that gives these answers one after the other.
fn scripted(answers: Vec<Vec<u8>>) -> (ScriptedUpstream, TestGateway) {
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        vec![Step::Read, Step::Write(answer.clone()), Step::Close]
    });
    let gateway = native(fal.setup()).start();
    (fal, gateway)
}

/// The bodies that a stand-in was sent.
fn sent(fal: &ScriptedUpstream) -> Vec<Value> {
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let body = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("POST {PATH} ")), "{head}");
        serde_json::from_str(body).unwrap()
    };
    requests.map(body).collect()
}

fn with_tools(text: &str, model: &str, stream: bool) -> Value {
    let parameters = json!({
        "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"],
        "additionalProperties": false,
    });
    let tool = json!({
        "type": "function",
        "function": { "name": "get_weather", "description": "The weather in a city.", "parameters": parameters, "strict": true },
    });
    let mut body = question(text, stream);
    body["model"] = model.into();
    body["tools"] = json!([tool]);
    body
}

/// The calls of an answer, as names and arguments.
fn calls(answer: &Answer, is_stream: bool) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    let mut add = |call: &Value| {
        let text = |field: &str| {
            call["function"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        match call["id"].is_string() {
            true => calls.push((text("name"), text("arguments"))),
            false => calls.last_mut().unwrap().1 += &text("arguments"),
        }
    };
    let all = |message: &Value| {
        message["tool_calls"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    match is_stream {
        false => all(&answer.json()["choices"][0]["message"])
            .iter()
            .for_each(&mut add),
        true => {
            for chunk in Stream::chunks(&answer.text()) {
                all(&chunk["choices"][0]["delta"]).iter().for_each(&mut add);
            }
        }
    }
    calls
}

#[test]
fn texts_come_with_what_they_cost_whole_and_in_pieces() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    for is_stream in [false, true] {
        let mut body = question("echo Zoë 🎈", is_stream);
        body["stream_options"] = match is_stream {
            true => json!({ "include_usage": true }),
            false => Value::Null,
        };
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (text, usage) = match is_stream {
            false => (answer.content(), answer.json()["usage"].clone()),
            true => {
                let chunks = Stream::chunks(&answer.text());
                (
                    answer.streamed_text(),
                    chunks.last().unwrap()["usage"].clone(),
                )
            }
        };
        assert_eq!(text, "Zoë 🎈");
        // The stand-in counts four characters for a token.
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"]),
            (&json!(3), &json!(2))
        );
    }
    let asked = &fal.requests(2)[1];
    assert_eq!(asked["path"], PATH);
}

#[test]
fn tools_are_called_natively_or_as_they_are_described_to_the_model() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    for (model, is_native) in [
        ("openai/gpt-4o-mini", true),
        ("meta-llama/llama-4-maverick", false),
    ] {
        for is_stream in [false, true] {
            let answer = gateway.ask(&with_tools(
                "What is the weather in Oslo?",
                model,
                is_stream,
            ));
            let [(name, arguments)] = &calls(&answer, is_stream)[..] else {
                panic!("{}", answer.text());
            };
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert_eq!(
                (name.as_str(), arguments),
                ("get_weather", json!({ "city": "Oslo" }))
            );
            let requests = fal.requests(1);
            let body = requests.last().unwrap().to_string();
            assert_eq!(
                body.contains("tool_choice") || body.contains("\"tools\""),
                is_native,
                "{body}"
            );
        }
    }
}

#[test]
fn what_a_model_refuses_before_working_is_emulated_and_remembered() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    // The gateway knows nothing of this model, and the stand-in lists it without tools.
    let body = with_tools(
        "What is the weather in Oslo?",
        "meta-llama/llama-3.2-1b-instruct:nitro",
        false,
    );
    for calls_by_then in [2, 3] {
        let answer = gateway.ask(&body);
        assert_eq!(calls(&answer, false).len(), 1, "{}", answer.text());
        assert_eq!(fal.count(), calls_by_then);
    }
}

/// An error in the place of an answer says as much under the status 200, whole or as the first chunk: the
/// request is planned anew, and the next one with it.
#[test]
fn what_a_model_refuses_under_200_is_emulated_and_remembered() {
    let error =
        json!({ "error": { "code": 404, "message": "No endpoints found that support tool use." } });
    let error = error.to_string();
    let events = format!(": wait\n\ndata: {error}\n\n");
    for (refusal, is_stream) in [
        (http(200, "application/json", &error), false),
        (http(200, "application/json", &error), true),
        (http(200, "text/event-stream", &events), false),
        (http(200, "text/event-stream", &events), true),
    ] {
        let answered = match is_stream {
            true => stream(&[chunk(&json!({ "content": "none is needed" }), Some("stop"))]),
            false => said("none is needed"),
        };
        let (fal, gateway) = scripted(vec![refusal, answered]);
        let body = with_tools("hi", "openai/gpt-4o-mini", is_stream);
        for calls_by_then in [2, 3] {
            let answer = gateway.ask(&body);
            let text = match is_stream {
                true => answer.streamed_text(),
                false => answer.content(),
            };
            assert_eq!(text, "none is needed", "{}", answer.text());
            assert_eq!(fal.requests(), calls_by_then);
        }
        let sent = sent(&fal);
        let told: Vec<bool> = sent
            .iter()
            .map(|body| body.get("tools").is_some())
            .collect();
        assert_eq!(told, [true, false, false]);
        let refused = gateway.metric("fal_gateway_upstream_errors_total{kind=\"lacks\"}");
        assert_eq!(refused, 1.0);
    }
}

/// Each part of it may have been paid for: what was said, or counted, before the error.
#[test]
fn a_refusal_behind_the_beginning_of_an_answer_is_not_planned_anew() {
    let error =
        json!({ "error": { "code": 404, "message": "No endpoints found that support tool use." } });
    let begun = chunk(&json!({ "content": "Let me" }), None);
    let counted = json!({ "choices": [], "usage": { "completion_tokens": 3, "cost": 0.5 },
        "error": error["error"] });
    for (events, text) in [
        (format!("{begun}data: {error}\n\n"), "Let me"),
        (format!("data: {counted}\n\n"), ""),
    ] {
        let (fal, gateway) = scripted(vec![http(200, "text/event-stream", &events), said("no")]);
        let answer = gateway.ask(&with_tools("hi", "openai/gpt-4o-mini", true));
        let shown = answer.text();
        assert!(shown.contains("upstream_error"), "{shown}");
        assert!(shown.contains(text), "{shown}");
        assert_eq!(fal.requests(), 1, "{shown}");
    }
}

/// One of several choices is refused, and the others are the answer.
#[test]
fn what_is_refused_of_one_choice_is_remembered() {
    let error =
        json!({ "error": { "code": 404, "message": "No endpoints found that support tool use." } });
    for status in [200, 404] {
        let refusal = http(status, "application/json", &error.to_string());
        let (fal, gateway) = scripted(vec![said("hi"), refusal, said("hi")]);
        let mut body = with_tools("hi", "openai/gpt-4o-mini", false);
        body["n"] = 2.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.content(), "hi", "{}", answer.text());
        assert!(answer.header("x-gateway-missing-choices").is_some());
        body["n"] = 1.into();
        assert_eq!(gateway.ask(&body).content(), "hi");
        let told = |at: usize| sent(&fal)[at].get("tools").is_some();
        assert_eq!((told(1), told(2)), (true, false), "{status}");
    }
}

#[test]
fn a_reply_that_breaks_a_promise_is_asked_for_again_with_the_same_messages() {
    let wrong = json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "get_weather", "arguments": "{\"town\":1}" } }] });
    let right = json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "get_weather", "arguments": "{\"city\":\"Oslo\"}" } }] });
    let (wrong, right) = (
        chunk(&wrong, Some("tool_calls")),
        chunk(&right, Some("tool_calls")),
    );
    let (fal, gateway) = scripted(vec![stream(std::slice::from_ref(&wrong)), stream(&[right])]);
    let answer = gateway.ask(&with_tools("hi", "openai/gpt-4o-mini", true));
    assert_eq!(
        calls(&answer, true),
        [("get_weather".to_owned(), "{\"city\":\"Oslo\"}".to_owned())]
    );
    let [first, second] = &sent(&fal)[..] else {
        panic!()
    };
    let messages = |body: &Value| body["messages"].as_array().unwrap().clone();
    let (first, second) = (messages(first), messages(second));
    assert_eq!(second.len(), first.len() + 1);
    assert_eq!(second[..first.len()], first[..]);
    let complaint = second.last().unwrap()["content"].as_str().unwrap();
    assert!(
        complaint.contains("get_weather({\"town\":1})"),
        "{complaint}"
    );

    let (fal, gateway) = scripted(vec![stream(&[wrong])]);
    let answer = gateway.ask(&with_tools("hi", "openai/gpt-4o-mini", false));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error tool_call_invalid"
    );
    assert!(fal.requests() <= 3);
}

#[test]
fn blocks_of_reasoning_come_with_calls_and_go_back_unchanged() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    let mut body = with_tools(
        "What is the weather in Oslo?",
        "google/gemini-2.5-flash",
        false,
    );
    body["reasoning_effort"] = "low".into();
    let message = gateway.ask(&body).json()["choices"][0]["message"].clone();
    assert!(
        message["reasoning_details"][0]["signature"].is_string(),
        "{message}"
    );
    let result = json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain" });
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([message, result]);
    // The stand-in refuses blocks whose signature is not that of their text.
    let answer = gateway.ask(&body);
    assert_eq!(answer.content(), "get_weather says: rain");
    assert_eq!(answer.header("x-gateway-ignored"), None);
}

/// Callers of this API send all blocks of a message back, whether or not they understand them.
#[test]
fn blocks_of_reasoning_go_back_unchanged_through_messages_too() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    let ask = |body: &Value| {
        let call = Call::new("POST", "/v1/messages").header("content-type", "application/json");
        gateway.call(&call.body(body.to_string()))
    };
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let tool = json!({ "name": "get_weather", "description": "The weather in a city.", "input_schema": parameters });
    let mut body = json!({
        "model": "google/gemini-2.5-flash", "max_tokens": 4000, "tools": [tool],
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "messages": [{ "role": "user", "content": "What is the weather in Oslo?" }],
    });
    let content = ask(&body).json()["content"].clone();
    let kinds: Vec<&str> = content
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect();
    assert!(
        kinds.ends_with(&["redacted_thinking", "tool_use"]),
        "{kinds:?}"
    );
    let id = content.as_array().unwrap().last().unwrap()["id"].clone();
    let result = json!({ "type": "tool_result", "tool_use_id": id, "content": "rain" });
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": content }));
    messages.push(json!({ "role": "user", "content": [result] }));
    let answer = ask(&body).json();
    let said = answer["content"].as_array().unwrap().last().unwrap();
    assert_eq!(said["text"], "get_weather says: rain");
    // The stand-in refuses blocks whose signature is not that of their text.
    let sent = fal.requests(2).pop().unwrap()["body"].clone();
    let details = &sent["messages"][1]["reasoning_details"];
    assert!(
        details[0]["signature"].is_string() && details[0]["text"].is_string(),
        "{sent}"
    );
    // Somebody else's are not taken for them.
    body["messages"][1]["content"][0] =
        json!({ "type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix" });
    body["messages"][1]["content"][kinds.len() - 2] =
        json!({ "type": "redacted_thinking", "data": "fal-gateway.1.!" });
    assert_eq!(ask(&body).status, 200);
    let sent = fal.requests(3).pop().unwrap()["body"].clone();
    assert!(sent["messages"][1]["reasoning_details"].is_null(), "{sent}");
    // In a stream they are a block of their own, which begins and ends before the call.
    body["messages"].as_array_mut().unwrap().truncate(1);
    body["stream"] = true.into();
    let stream = ask(&body).text();
    let at = |part: &str| {
        stream
            .find(part)
            .unwrap_or_else(|| panic!("no {part} in {stream}"))
    };
    let sealed = at(r#""type":"redacted_thinking","data":"fal-gateway.1."#);
    let call = at(r#""type":"tool_use""#);
    assert!(
        sealed < call && stream[sealed..call].contains("content_block_stop"),
        "{stream}"
    );
}

#[test]
fn a_stop_sequence_ends_the_answer_whether_or_not_the_upstream_heeds_it() {
    let heedless = stream(&[
        chunk(&json!({ "content": "one EN" }), None),
        chunk(&json!({ "content": "D two" }), None),
        chunk(&json!({ "content": "" }), Some("stop")),
    ]);
    for is_stream in [false, true] {
        let (fal, gateway) = scripted(vec![match is_stream {
            true => heedless.clone(),
            false => said("one END two"),
        }]);
        let mut body = question("hi", is_stream);
        body["stop"] = json!(["END"]);
        let answer = gateway.ask(&body);
        let text = if is_stream {
            answer.streamed_text()
        } else {
            answer.content()
        };
        assert_eq!(text, "one ");
        assert_eq!(sent(&fal)[0]["stop"], json!(["END"]));
    }
}

/// The upstream would end the answer without saying where.
#[test]
fn the_stop_sequence_is_told_to_those_whose_api_tells_it() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    let body = json!({
        "model": "openai/gpt-4o-mini", "max_tokens": 100, "stop_sequences": ["4"],
        "messages": [{"role": "user", "content": "count 9"}],
    });
    let call = Call::new("POST", "/v1/messages").header("content-type", "application/json");
    let answer = gateway.call(&call.body(body.to_string())).json();
    assert_eq!(answer["stop_reason"], "stop_sequence", "{answer}");
    assert_eq!(answer["stop_sequence"], "4", "{answer}");
}

#[test]
fn each_choice_is_a_call_of_its_own() {
    let fal = Emulated::start();
    let gateway = native(fal.setup()).start();
    for is_stream in [false, true] {
        let before = fal.count();
        let mut body = question("echo hi", is_stream);
        body["n"] = 3.into();
        assert_eq!(gateway.ask(&body).status, 200);
        assert_eq!(fal.count(), before + 3);
    }
}

/// Refusals in both dialects: by their shape, then by their status, and never in their own words.
#[test]
fn every_refusal_is_told_in_our_words() {
    let error = |code: u16, message: &str| {
        let metadata =
            json!({ "raw": "PLANTED", "provider_name": "PLANTED", "reasons": ["PLANTED"] });
        let error =
            json!({ "code": code, "message": format!("{message} PLANTED"), "metadata": metadata });
        json!({ "error": error, "user_id": "PLANTED" }).to_string()
    };
    let raw = |words: &str| {
        let error = json!({ "code": 400, "message": "Provider returned error", "metadata": { "raw": words } });
        json!({ "error": error, "user_id": "PLANTED" }).to_string()
    };
    let cases = [
        (
            400,
            error(400, "x/y is not a valid model ID"),
            "404 invalid_request_error model_not_found",
        ),
        (
            404,
            error(404, "No endpoints found for x/y."),
            "404 invalid_request_error model_not_found",
        ),
        (
            402,
            error(402, "Insufficient credits"),
            "502 server_error upstream_error",
        ),
        (
            429,
            error(429, "Rate limited"),
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            400,
            error(400, "This endpoint's maximum context length is 10 tokens."),
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            403,
            error(403, "requires moderation. Your input was flagged"),
            "400 invalid_request_error content_policy_violation",
        ),
        (
            400,
            error(400, "Provider returned error"),
            "400 invalid_request_error upstream_error",
        ),
        (
            502,
            error(502, "Provider returned error"),
            "502 server_error upstream_error",
        ),
        (
            200,
            error(502, "Provider returned error"),
            "400 invalid_request_error upstream_error",
        ),
        (
            200,
            error(400, "x/y is not a valid model ID"),
            "404 invalid_request_error model_not_found",
        ),
        (
            200,
            error(404, "No endpoints found that support tool use."),
            "400 invalid_request_error unsupported_value",
        ),
        (
            200,
            error(402, "Insufficient credits"),
            "502 server_error upstream_error",
        ),
        (
            200,
            error(503, "No provider available"),
            "503 server_error upstream_unavailable",
        ),
        (
            200,
            r#"{"detail":"Too many","type":"concurrent_requests_limit"}"#.to_owned(),
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            400,
            raw("prompt is too long: 210000 tokens > 200000 maximum"),
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            400,
            raw(
                "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
            ),
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            400,
            raw("Input tokens exceed the configured limit of 272000 tokens."),
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            200,
            raw("prompt is too long: 210000 tokens > 200000 maximum"),
            "400 invalid_request_error context_length_exceeded",
        ),
        (
            429,
            error(
                429,
                "This request would exceed your rate limit of 40,000 input tokens per minute",
            ),
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            402,
            error(
                402,
                "Prompt tokens limit exceeded: 16742 > 16381. To increase, visit settings/credits",
            ),
            "502 server_error upstream_error",
        ),
        (
            200,
            error(402, "Prompt tokens limit exceeded: 16742 > 16381."),
            "502 server_error upstream_error",
        ),
        (
            429,
            error(
                429,
                "Too many requests: input tokens exceeded for this minute",
            ),
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            200,
            error(429, "exceed your input token allowance (30k ITPM)"),
            "429 rate_limit_error rate_limit_exceeded",
        ),
        (
            529,
            error(529, "overloaded. Please reduce the length of your requests"),
            "502 server_error upstream_error",
        ),
        (
            503,
            error(503, "context window cache is being warmed up"),
            "503 server_error upstream_unavailable",
        ),
        (
            400,
            raw("messages: tool_choice 'x' names an unknown tool"),
            "400 invalid_request_error upstream_error",
        ),
        (
            403,
            r#"{"detail":"Request blocked by our web application firewall"}"#.to_owned(),
            "400 invalid_request_error upstream_auth_failed",
        ),
        (
            401,
            r#"{"detail":"No user found"}"#.to_owned(),
            "400 invalid_request_error upstream_auth_failed",
        ),
        (
            403,
            r#"{"detail":"User is locked. Reason: Exhausted balance."}"#.to_owned(),
            "429 insufficient_quota insufficient_quota",
        ),
        (
            404,
            r#"{"detail":"Path not found"}"#.to_owned(),
            "400 invalid_request_error upstream_not_found",
        ),
    ];
    for (status, body, verdict) in cases {
        for is_stream in [false, true] {
            let (fal, gateway) = scripted(vec![http(status, "application/json", &body)]);
            let answer = gateway.ask(&question("hi", is_stream));
            let found = match answer.status {
                200 => {
                    let frame = Stream::chunks(&answer.text()).pop().unwrap();
                    let error = &frame["error"];
                    format!(
                        "400 {} {}",
                        error["type"].as_str().unwrap(),
                        error["code"].as_str().unwrap()
                    )
                }
                _ => answer.verdict(),
            };
            assert_eq!(found, verdict, "{status} {body}");
            assert_eq!(fal.requests(), 1, "{body}");
            let everything = format!(
                "{:?} {} {}",
                answer.headers,
                answer.text(),
                gateway.get("/metrics").text()
            );
            assert!(!everything.contains("PLANTED"), "{everything}");
        }
    }
}

/// Half an answer may have been paid for, and so may one that a cost stands beside, whatever the error
/// says.
#[test]
fn an_error_beside_what_was_worked_on_is_not_to_be_repeated() {
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 0, "cost": 0.5 });
    let choice = |what: &str, said: Value, error: Option<&Value>| {
        let mut choice = json!({ "index": 0, "finish_reason": "error" });
        choice[what] = said;
        if let Some(error) = error {
            choice["error"] = error.clone();
        }
        json!([choice])
    };
    let call = json!([{ "index": 0, "id": "c", "function": { "name": "f", "arguments": "{" } }]);
    for code in [503, 429, 402] {
        let error = json!({ "code": code, "message": "Try again later" });
        for (what, is_stream) in [("message", false), ("delta", true)] {
            let half = json!({ "content": "Half" });
            for body in [
                json!({ "choices": choice(what, half.clone(), Some(&error)) }),
                json!({ "choices": choice(what, half, None), "error": error }),
                json!({ "choices": choice(what, json!({ "reasoning": "Half" }), None), "error": error }),
                json!({ "choices": choice(what, json!({ "tool_calls": call }), None), "error": error }),
                json!({ "choices": choice(what, json!({ "content": "" }), Some(&error)), "usage": usage }),
                json!({ "error": error, "usage": usage }),
            ] {
                let bytes = match is_stream {
                    false => http(200, "application/json", &body.to_string()),
                    true => http(200, "text/event-stream", &format!("data: {body}\n\n")),
                };
                let (fal, gateway) = scripted(vec![bytes]);
                let answer = gateway.ask(&question("hi", is_stream));
                let verdict = "400 invalid_request_error upstream_error";
                assert_eq!(answer.verdict(), verdict, "{body}");
                assert_eq!(answer.header("x-should-retry"), Some("false"), "{body}");
                assert_eq!(fal.requests(), 1);
            }
        }
    }
}

/// One caller's mistake in a parameter is not another's.
#[test]
fn a_mistake_in_a_parameter_teaches_nothing_of_the_model() {
    let mistake = "messages: tool_choice 'x' names an unknown tool";
    let error = json!({ "error": { "code": 400, "message": mistake } });
    let refused = http(400, "application/json", &error.to_string());
    let (fal, gateway) = scripted(vec![refused, said("fine")]);
    let body = with_tools("hi", "openai/gpt-4o-mini", false);
    assert_eq!(
        gateway.ask(&body).verdict(),
        "400 invalid_request_error upstream_rejected"
    );
    assert_eq!(gateway.ask(&body).content(), "fine");
    assert!(sent(&fal).iter().all(|sent| sent.get("tools").is_some()));
}

#[test]
fn an_answer_that_breaks_off_is_an_error_and_is_not_asked_for_again() {
    let begun = chunk(&json!({ "content": "one" }), None);
    let broken = json!({ "error": { "code": 502, "message": "PLANTED" }, "choices": [{ "index": 0, "delta": {}, "finish_reason": "error" }] });
    let endings = [
        (String::new(), "upstream_disconnected"),
        ("data: [DONE]\n\n".to_owned(), "upstream_disconnected"),
        (
            "data: {\"choices\": half a tho\n\n".to_owned(),
            "upstream_invalid_response",
        ),
        (format!("data: {broken}\n\n"), "upstream_error"),
        (chunk(&json!({}), Some("error")), "upstream_error"),
    ];
    for (ending, code) in endings {
        let body = format!(": OPENROUTER PROCESSING\n\n{begun}{ending}");
        let (fal, gateway) = scripted(vec![http(200, "text/event-stream", &body)]);
        let answer = gateway.ask(&question("hi", true));
        let chunks = Stream::chunks(&answer.text());
        assert_eq!(chunks.last().unwrap()["error"]["code"], code, "{body}");
        assert!(!answer.text().contains("[DONE]") && !answer.text().contains("PLANTED"));
        assert_eq!(fal.requests(), 1);
    }
}

/// What was told before the connection broke is complete, and was paid for.
#[test]
fn an_answer_that_has_finished_is_delivered_whatever_becomes_of_the_connection() {
    let body = chunk(&json!({ "content": "one" }), None) + &chunk(&json!({}), Some("stop"));
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n";
    for last in [Step::Close, Step::Reset] {
        let bytes = format!("{head}{body}").into_bytes();
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(bytes), last]);
        let gateway = native(fal.setup()).start();
        let answer = gateway.ask(&question("hi", true));
        assert_eq!(answer.streamed_text(), "one");
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_client_that_leaves_ends_the_call() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let begun = format!("{head}{}", chunk(&json!({ "content": "one" }), None));
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(begun.into_bytes()),
        Step::Hold,
    ]);
    let gateway = native(fal.setup()).start();
    let mut stream = gateway.open(&Call::chat(&question("hi", true))).stream();
    stream.until("one");
    drop(stream);
    crate::support::until("the call ends", || fal.seen()[0].closed);
}

#[test]
fn endless_answers_end_at_their_limit() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
    let piece = json!({ "tool_calls": [{ "index": 0, "function": { "name": "get_weather", "arguments": "x".repeat(1000) } }] });
    let flood = chunk(&piece, None).into_bytes();
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(head), Step::Flood(flood)]);
    let gateway = native(fal.setup()).set("fal.max_answer", "64KiB").start();
    let answer = gateway.ask(&with_tools("hi", "openai/gpt-4o-mini", true));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error upstream_invalid_response"
    );
}

/// Accounts, providers and ids of other people's requests stand in every answer.
#[test]
fn nothing_of_fals_account_or_its_provider_gets_out() {
    let whole = json!({
        "id": "PLANTED", "provider": "PLANTED", "model": "PLANTED", "object": "PLANTED", "created": 1,
        "system_fingerprint": "PLANTED", "user_id": "PLANTED", "PLANTED": "PLANTED",
        "choices": [{
            "index": 0, "finish_reason": "stop", "native_finish_reason": "PLANTED",
            "logprobs": { "content": "PLANTED" },
            "message": {
                "role": "PLANTED", "content": "fine", "refusal": null, "annotations": ["PLANTED"],
                "images": [{ "image_url": { "url": "PLANTED" } }], "PLANTED": "PLANTED",
            },
        }],
        "usage": {
            "prompt_tokens": 1, "completion_tokens": 1, "cost": 0.1, "is_byok": "PLANTED",
            "cost_details": { "upstream_inference_cost": "PLANTED" },
        },
    });
    let mut delta = whole.clone();
    let choice = &mut delta["choices"][0];
    choice["delta"] = choice["message"].take();
    choice.as_object_mut().unwrap().remove("message");
    let body = format!("data: {delta}\n\ndata: [DONE]\n\n");
    let answers = [
        (false, http(200, "application/json", &whole.to_string())),
        (true, http(200, "text/event-stream", &body)),
    ];
    for (is_stream, bytes) in answers {
        let (_fal, gateway) = scripted(vec![bytes]);
        let call = Call::chat(&question("hi", is_stream)).header("x-gateway-notes", "body");
        let answer = gateway.call(&call);
        assert!(answer.text().contains("fine"), "{}", answer.text());
        let metrics = gateway.get("/metrics").text();
        let everything = format!("{:?} {} {metrics}", answer.headers, answer.text());
        assert!(!everything.contains("PLANTED"), "{everything}");
    }
}
