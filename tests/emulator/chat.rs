//! The router's chat face: OpenAI's chat completions, with OpenRouter's additions and errors.

use serde_json::{Value, json};

use crate::harness::{Answer, Fal, Streamed, read_stream, send};

const PATH: &str = "/openrouter/router/openai/v1/chat/completions";
const MODEL: &str = "openai/gpt-4o-mini";

fn request(text: &str) -> Value {
    json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] })
}

fn with(mut request: Value, more: &Value) -> Value {
    let fields = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

fn weather() -> Value {
    json!({ "tools": [{ "type": "function", "function": {
        "name": "get_weather", "description": "Current weather of a city",
        "parameters": {
            "type": "object", "required": ["city"],
            "properties": { "city": { "type": "string" } },
        },
    }}]})
}

async fn ask(fal: &Fal, request: &Value) -> Answer {
    send(fal.post(PATH, request)).await
}

async fn stream(fal: &Fal, request: &Value) -> Streamed {
    read_stream(fal.post(PATH, &with(request.clone(), &json!({ "stream": true })))).await
}

/// The chunks of a stream that ends as it should.
fn chunks(streamed: &Streamed) -> Vec<Value> {
    let text = streamed.text();
    let body = text
        .strip_suffix("data: [DONE]\n\n")
        .unwrap_or_else(|| panic!("{text}"));
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The message that chunks add up to, its finish reason and its usage.
fn joined(chunks: &[Value]) -> (Value, Value, Value) {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut calls: Vec<Value> = Vec::new();
    let mut finish = Value::Null;
    for choice in chunks
        .iter()
        .flat_map(|chunk| chunk["choices"].as_array().unwrap())
    {
        let delta = &choice["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(call.clone());
                continue;
            }
            let arguments = &mut calls[index]["function"]["arguments"];
            let more = call["function"]["arguments"].as_str().unwrap();
            *arguments = json!(arguments.as_str().unwrap().to_owned() + more);
        }
        if !choice["finish_reason"].is_null() {
            assert!(finish.is_null(), "two ends");
            finish = choice["finish_reason"].clone();
        }
    }
    let message = json!({ "content": content, "reasoning": reasoning, "tool_calls": calls });
    (message, finish, chunks.last().unwrap()["usage"].clone())
}

#[tokio::test]
async fn an_answer_has_openais_fields_and_openrouters() {
    let fal = Fal::start().await;
    let answer = ask(&fal, &request("echo hello there")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("x-fal-request-id").is_some());
    let answer = answer.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "hello there");
    assert_eq!(
        (&choice["finish_reason"], &choice["native_finish_reason"]),
        (&json!("stop"), &json!("stop"))
    );
    assert_eq!(
        (&answer["model"], &answer["object"]),
        (&json!(MODEL), &json!("chat.completion"))
    );
    assert!(answer["id"].as_str().unwrap().starts_with("gen-"));
    assert!(answer["provider"].is_string() && answer["user_id"].is_string());
    let usage = &answer["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(4), &json!(3))
    );
    // 0.15 and 0.60 dollars for a million tokens.
    assert!((usage["cost"].as_f64().unwrap() - (4.0 * 0.15e-6 + 3.0 * 0.6e-6)).abs() < 1e-12);
}

#[tokio::test]
async fn a_stream_has_true_deltas_comments_usage_and_an_end() {
    let fal = Fal::start().await;
    let streamed = stream(&fal, &request("echo one two three four")).await;
    assert!(streamed.clean && streamed.text().starts_with(": OPENROUTER PROCESSING\n\n"));
    let chunks = chunks(&streamed);
    let (message, finish, usage) = joined(&chunks);
    assert_eq!(
        (&message["content"], &finish),
        (&json!("one two three four"), &json!("stop"))
    );
    assert_eq!(usage["completion_tokens"], 5);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let silent = stream(&fal, &request("echo hi /emulate gap:40ms ping:10ms size:1")).await;
    assert!(silent.text().matches(": OPENROUTER PROCESSING").count() > 2);
}

#[tokio::test]
async fn a_conversation_is_read_natively() {
    let fal = Fal::start().await;
    let request = json!({ "model": MODEL, "messages": [
        { "role": "system", "content": "Be kind." },
        { "role": "user", "content": "My name is Ada." },
        { "role": "assistant", "content": "Hello Ada." },
        { "role": "user", "content": [{ "type": "text", "text": "What is my name?" }] },
    ]});
    let answer = ask(&fal, &request).await.json();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Your name is Ada."
    );
    let seen = json!({ "model": MODEL, "temperature": 0.5, "messages": [
        { "role": "developer", "content": "Be brief." },
        { "role": "user", "content": [
            { "type": "text", "text": "describe" },
            { "type": "image_url", "image_url": { "url": "https://example.com/cat.png" } },
        ]},
    ]});
    let answer = ask(&fal, &seen).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let seen: Value = serde_json::from_str(text).unwrap();
    assert_eq!(seen["system_prompt"], "Be brief.");
    assert_eq!(
        (&seen["image_count"], &seen["temperature"]),
        (&json!(1), &json!(0.5))
    );
}

#[tokio::test]
async fn tools_are_called_and_their_results_answered() {
    let fal = Fal::start().await;
    let mut request = with(request("How is the weather in Paris?"), &weather());
    for streams in [false, true] {
        let (message, finish) = match streams {
            true => {
                let (message, finish, _) = joined(&chunks(&stream(&fal, &request).await));
                (message, finish)
            }
            false => {
                let answer = ask(&fal, &request).await.json();
                let choice = &answer["choices"][0];
                (choice["message"].clone(), choice["finish_reason"].clone())
            }
        };
        assert_eq!(finish, "tool_calls");
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"]["name"], "get_weather");
        assert_eq!(call["function"]["arguments"], r#"{"city":"Paris"}"#);
        assert!(call["id"].as_str().unwrap().starts_with("call_"));
    }
    let message = ask(&fal, &request).await.json()["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].clone();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(message);
    messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "sunny" }));
    let answer = ask(&fal, &request).await.json();
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "get_weather says: sunny"
    );
}

#[tokio::test]
async fn the_choice_of_a_tool_is_heeded() {
    let fal = Fal::start().await;
    let called = async |more: Value| {
        let request = with(
            with(request("call get_weather and get_weather"), &weather()),
            &more,
        );
        let answer = ask(&fal, &request).await.json();
        let calls = answer["choices"][0]["message"]["tool_calls"]
            .as_array()
            .cloned();
        calls.map_or(0, |calls| calls.len())
    };
    assert_eq!(called(json!({})).await, 2);
    assert_eq!(called(json!({ "parallel_tool_calls": false })).await, 1);
    assert_eq!(called(json!({ "tool_choice": "none" })).await, 0);
    let required = json!({ "tool_choice": "required" });
    let answer = ask(&fal, &with(with(request("Hello!"), &weather()), &required))
        .await
        .json();
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (
            message["tool_calls"].as_array().unwrap().len(),
            &message["content"]
        ),
        (1, &Value::Null)
    );
    let slip = with(request("weather in Rome /emulate tool:unknown"), &weather());
    let answer = ask(&fal, &slip).await.json();
    assert_ne!(
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "get_weather"
    );
}

#[tokio::test]
async fn schemas_stops_and_limits_are_kept_by_the_model_itself() {
    let fal = Fal::start().await;
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    let format = json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "x", "strict": true, "schema": schema } } });
    let answer = ask(&fal, &with(request("Give me 7"), &format)).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        json!({ "n": 7 })
    );
    let stopped = with(
        request("echo one two three"),
        &json!({ "stop": ["three", "two"] }),
    );
    let answer = ask(&fal, &stopped).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "one ");
    let short = with(request("echo one two three"), &json!({ "max_tokens": 1 }));
    let choice = ask(&fal, &short).await.json()["choices"][0].clone();
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("one "), &json!("length"))
    );
    // A call that is cut is no JSON any more.
    let cut = with(
        with(request("weather in Rome /emulate silent"), &weather()),
        &json!({ "max_tokens": 2, "tool_choice": "required" }),
    );
    let choice = ask(&fal, &cut).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["arguments"],
        "{\"city\":"
    );
}

#[tokio::test]
async fn reasoning_comes_where_it_is_asked_for_and_goes_back_as_it_came() {
    let fal = Fal::start().await;
    let asked = |model: &str, more: Value| {
        with(
            with(request("Think hard"), &json!({ "model": model })),
            &more,
        )
    };
    let message =
        async |request: Value| ask(&fal, &request).await.json()["choices"][0]["message"].clone();
    let plain = message(asked("google/gemini-2.5-flash", json!({}))).await;
    assert!(plain["reasoning"].is_null());
    for wish in [
        json!({ "reasoning": { "enabled": true } }),
        json!({ "reasoning_effort": "low" }),
    ] {
        let request = asked("google/gemini-2.5-flash", wish);
        let whole = message(request.clone()).await;
        let text = whole["reasoning"].as_str().unwrap();
        assert_eq!(whole["reasoning_details"][0]["text"], text);
        let (streamed, _, usage) = joined(&chunks(&stream(&fal, &request).await));
        assert_eq!(streamed["reasoning"], text);
        assert!(
            usage["completion_tokens_details"]["reasoning_tokens"]
                .as_u64()
                .unwrap()
                > 0
        );
    }
    // Some models cannot do without.
    assert!(message(asked("openai/gpt-oss-120b", json!({}))).await["reasoning"].is_string());
    let hidden = json!({ "reasoning": { "exclude": true } });
    assert!(message(asked("openai/gpt-oss-120b", hidden)).await["reasoning"].is_null());
    let off = ask(
        &fal,
        &asked(
            "openai/gpt-oss-120b",
            json!({ "reasoning": { "enabled": false } }),
        ),
    )
    .await;
    assert_eq!(
        (off.status, &off.json()["error"]["code"]),
        (400, &json!(400))
    );
    assert!(off.text().contains("Reasoning is mandatory"));

    let thought = message(asked("deepseek/deepseek-r1", json!({}))).await;
    let mut next = json!({ "model": "deepseek/deepseek-r1", "messages": [
        { "role": "user", "content": "Think hard" }, thought, { "role": "user", "content": "echo on" },
    ]});
    assert_eq!(ask(&fal, &next).await.status, 200);
    next["messages"][1]["reasoning_details"][0]["text"] = json!("changed");
    assert_eq!(ask(&fal, &next).await.status, 400);
}

#[tokio::test]
async fn refusals_come_in_two_dialects() {
    let fal = Fal::start().await;
    let model = |model: &str| with(request("echo hi"), &json!({ "model": model }));
    let audio =
        json!([{ "role": "user", "content": [{ "type": "input_audio", "input_audio": {} }] }]);
    let orphan = json!([{ "role": "user", "content": "x" }, { "role": "tool", "tool_call_id": "call_1", "content": "y" }]);
    let unanswered = json!([{ "role": "user", "content": "x" },
        { "role": "assistant", "tool_calls": [{ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "user", "content": "and?" }]);
    let schema = json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": {} } } });
    let openrouters = [
        (
            model("nobody/knows"),
            400,
            "nobody/knows is not a valid model ID",
        ),
        (json!({ "messages": [] }), 400, "No models provided"),
        (
            json!({ "model": MODEL, "messages": [] }),
            400,
            "Input required",
        ),
        (
            with(model("openai/gpt-5-chat"), &weather()),
            404,
            "support tool use",
        ),
        (
            with(model("anthropic/claude-3-haiku"), &schema),
            400,
            "response_format",
        ),
        (
            with(request("x"), &json!({ "messages": audio })),
            404,
            "input audio",
        ),
        (
            with(request("x"), &json!({ "messages": orphan })),
            400,
            "role 'tool'",
        ),
        (
            with(request("x"), &json!({ "messages": unanswered })),
            400,
            "tool_call_id",
        ),
        (
            with(request("x"), &json!({ "temperature": 3 })),
            400,
            "temperature",
        ),
        (
            request("hi /emulate error:upstream_429"),
            429,
            "rate-limited",
        ),
        (
            request("hi /emulate error:upstream_402"),
            402,
            "Insufficient credits",
        ),
        (
            request("hi /emulate error:no_tools"),
            404,
            "support tool use",
        ),
        (
            request("hi /emulate error:provider_error"),
            400,
            "Provider returned error",
        ),
    ];
    for (request, status, words) in openrouters {
        let answer = ask(&fal, &request).await;
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.json()["error"]["code"], status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(answer.json()["user_id"].is_string());
        let streamed = send(fal.post(PATH, &with(request, &json!({ "stream": true })))).await;
        assert_eq!(streamed.status, status);
    }
    for (word, status) in [
        ("no_balance", 403),
        ("rate_limit", 429),
        ("runner_503", 503),
        ("key_unknown", 401),
    ] {
        let answer = ask(&fal, &request(&format!("hi /emulate error:{word}"))).await;
        assert_eq!(answer.status, status);
        assert!(answer.json()["detail"].is_string(), "{}", answer.text());
    }
    let bearer = fal
        .http
        .post(format!("{}{PATH}", fal.url))
        .bearer_auth("kid:ksecret");
    assert_eq!(
        send(bearer.body(request("hi").to_string())).await.status,
        401
    );
}

#[tokio::test]
async fn failures_under_200_and_in_mid_stream() {
    let fal = Fal::start().await;
    for word in ["error:error_200", "error_event:1"] {
        let answer = ask(&fal, &request(&format!("hi /emulate {word}"))).await;
        assert_eq!(answer.status, 200, "{word}");
        let answer = answer.json();
        assert_eq!(answer["error"]["code"], 502);
        assert!(answer.get("choices").is_none());
    }
    let streamed = stream(&fal, &request("echo one two three /emulate error_event:2")).await;
    let text = streamed.text();
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back()
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "error");
    assert_eq!(last["error"]["code"], 502);
    assert!(!text.contains("[DONE]"));
    for (word, clean) in [("drop:2", false), ("eof:2", true), ("nofinal", true)] {
        let streamed = stream(
            &fal,
            &request(&format!("echo one two three /emulate {word}")),
        )
        .await;
        assert_eq!(streamed.clean, clean, "{word}");
        assert!(
            !streamed.text().contains("[DONE]") && !streamed.text().contains("\"stop\""),
            "{word}"
        );
    }
    let odd = stream(&fal, &request("echo one /emulate noise bom split:7")).await;
    assert!(odd.text().starts_with('\u{feff}') && odd.text().contains(": noise\n"));
    let burst = stream(&fal, &request("echo one two /emulate burst")).await;
    assert_eq!(burst.chunks.len(), 1);
}

/// What the user said before was answered then; a reply that is asked for again was not.
#[tokio::test]
async fn words_of_earlier_turns_count_only_if_the_reply_is_asked_for_again() {
    let fal = Fal::start().await;
    let turns = |last: &str| {
        json!({ "model": MODEL, "messages": [
            { "role": "user", "content": "hi /emulate status:418" },
            { "role": "assistant", "content": "x" },
            { "role": "user", "content": last },
        ]})
    };
    assert_eq!(ask(&fal, &turns("echo fine")).await.status, 200);
    assert_eq!(
        ask(&fal, &turns("Your previous reply was not valid."))
            .await
            .status,
        418
    );
}

#[tokio::test]
async fn a_queued_call_ends_in_a_whole_completion() {
    let fal = Fal::start().await;
    let body = with(request("echo queued"), &json!({ "stream": true }));
    let ticket = send(fal.post(&format!("/queue{PATH}"), &body)).await.json();
    let url = ticket["status_url"].as_str().unwrap();
    while fal.get(url).await.json()["status"] != "COMPLETED" {}
    let result = fal
        .get(ticket["response_url"].as_str().unwrap())
        .await
        .json();
    assert_eq!(result["choices"][0]["message"]["content"], "queued");
}
