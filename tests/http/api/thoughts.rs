//! Blocks of reasoning that models want to have back: they go to the model that wrote them, and to no
//! other, whoever is asked next.

use serde_json::{Value, json};

use crate::contract::description::Judge;
use crate::support::{Answer, Call, Emulated, ScriptedUpstream, Step, Stream, TestGateway};

const WRITER: &str = "google/gemini-2.5-flash";
const OTHER: &str = "google/gemini-2.5-flash-lite";

fn post(gateway: &TestGateway, path: &str, body: &Value) -> Answer {
    let call = Call::new("POST", path).header("content-type", "application/json");
    gateway.call(&call.body(body.to_string()))
}

fn parameters() -> Value {
    json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] })
}

/// The first question of a chat, to a model that reasons before it calls.
fn question(stream: bool) -> Value {
    let tool = json!({
        "type": "function",
        "function": { "name": "get_weather", "parameters": parameters() },
    });
    json!({
        "model": WRITER, "reasoning_effort": "low", "tools": [tool], "stream": stream,
        "messages": [{ "role": "user", "content": "What is the weather in Oslo?" }],
    })
}

/// The same, with a reply of this model that called, and what came of its call.
fn after(message: Value, model: &str) -> Value {
    let id = message["tool_calls"][0]["id"].clone();
    let result = json!({ "role": "tool", "tool_call_id": id, "content": "rain" });
    let mut body = question(false);
    body["model"] = model.into();
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([message, result]);
    body
}

fn last(fal: &Emulated, calls: usize) -> Value {
    fal.requests(calls).pop().unwrap()["body"].clone()
}

#[test]
fn in_a_chat_they_go_to_the_model_that_wrote_them_and_to_no_other() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("fal.upstream", "router-openai").start();
    let judge = Judge::new();
    let whole = post(&gateway, "/v1/chat/completions", &question(false)).json();
    assert_eq!(
        judge.schema_faults("ChatCompletion", &whole),
        [""; 0],
        "{whole}"
    );
    let message = whole["choices"][0]["message"].clone();
    let written = message["reasoning_details"].clone();
    assert_eq!(written[0]["model"], WRITER, "{message}");
    let answer = post(
        &gateway,
        "/v1/chat/completions",
        &after(message.clone(), WRITER),
    );
    assert_eq!(
        (answer.status, answer.header("x-gateway-ignored")),
        (200, None)
    );
    let sent = last(&fal, 2)["messages"][1]["reasoning_details"].clone();
    assert!(sent[0].get("model").is_none(), "{sent}");
    assert_eq!(sent[0]["signature"], written[0]["signature"]);
    // The stand-in refuses what another model has signed.
    let answer = post(&gateway, "/v1/chat/completions", &after(message, OTHER));
    assert_eq!(answer.content(), "get_weather says: rain");
    let ignored = answer.header("x-gateway-ignored");
    assert_eq!(ignored, Some("messages[].reasoning_details"));
    assert!(
        last(&fal, 3)["messages"][1]
            .get("reasoning_details")
            .is_none()
    );
    // In a stream they name it as well.
    let stream = post(&gateway, "/v1/chat/completions", &question(true)).text();
    let chunks = Stream::chunks(&stream);
    for chunk in &chunks {
        assert_eq!(
            judge.schema_faults("ChatCompletionChunk", chunk),
            [""; 0],
            "{chunk}"
        );
    }
    let named =
        |chunk: &Value| chunk["choices"][0]["delta"]["reasoning_details"][0]["model"] == WRITER;
    assert!(chunks.iter().any(named), "{stream}");
}

#[test]
fn through_messages_they_do_the_same() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("fal.upstream", "router-openai").start();
    let tool = json!({ "name": "get_weather", "input_schema": parameters() });
    let mut body = json!({
        "model": WRITER, "max_tokens": 4000, "tools": [tool],
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "messages": [{ "role": "user", "content": "What is the weather in Oslo?" }],
    });
    let content = post(&gateway, "/v1/messages", &body).json()["content"].clone();
    let id = content.as_array().unwrap().last().unwrap()["id"].clone();
    let result = json!({ "type": "tool_result", "tool_use_id": id, "content": "rain" });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": content }),
        json!({ "role": "user", "content": [result] }),
    ]);
    for (calls, model, has_them) in [(2, WRITER, true), (3, OTHER, false)] {
        body["model"] = model.into();
        assert_eq!(post(&gateway, "/v1/messages", &body).status, 200);
        let sent = last(&fal, calls)["messages"][1]["reasoning_details"].clone();
        assert_eq!(sent.is_array(), has_them, "{sent}");
    }
}

#[test]
fn a_model_that_is_fallen_back_on_gets_none_of_anothers() {
    let refusal =
        json!({ "error": { "code": 404, "message": format!("No endpoints found for {WRITER}.") } });
    let choice = json!({ "index": 0, "message": { "content": "rain" }, "finish_reason": "stop" });
    let http = |status: u16, body: &Value| {
        let body = body.to_string();
        let length = body.len();
        format!(
            "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    let answers = [
        http(404, &refusal),
        http(200, &json!({ "choices": [choice] })),
    ];
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers[number.min(1)].clone().into_bytes();
        vec![Step::Read, Step::Write(answer), Step::Close]
    });
    let gateway = fal.setup().set("fal.upstream", "router-openai").start();
    let block = json!({ "type": "reasoning.encrypted", "data": "AA==", "model": WRITER });
    let call = json!({ "id": "c", "type": "function", "function": { "name": "get_weather", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": [call], "reasoning_details": [block] });
    let mut body = after(message, WRITER);
    body["models"] = json!([OTHER]);
    let answer = post(&gateway, "/v1/chat/completions", &body);
    assert_eq!(answer.content(), "rain", "{}", answer.text());
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let sent: Vec<Value> = requests
        .map(|request| {
            let text = String::from_utf8(request).unwrap();
            serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
        })
        .collect();
    let data = |body: &Value| body["messages"][1]["reasoning_details"][0]["data"].clone();
    assert_eq!(
        sent.iter().map(data).collect::<Vec<_>>(),
        [json!("AA=="), Value::Null]
    );
    assert_eq!(sent[1]["model"], OTHER);
}
