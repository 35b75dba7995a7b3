//! Relaying to a server that speaks OpenAI's API, here a stub that says what it is told to.

use fal_gateway::emulator::{Options, Overheard};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::harness::{Fal, TIMEOUT, read_stream, send};

const DELTAS: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
: note\n\n\
data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hmm\"}}]}\n\n\
data: {\"choices\":[{\"delta\":{\"content\":\"Hél\"}}]}\n\n\
data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n\
data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n\
data: [DONE]\n\n";

async fn relaying() -> (Fal, TcpListener) {
    let stub = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        relay: Some(format!("http://{}/v1/", stub.local_addr().unwrap())),
        relay_key: Some("sk-relay".to_owned()),
        relay_model: Some("llama3".to_owned()),
        ..Options::default()
    };
    (Fal::with(options).await, stub)
}

/// Takes one request off the stub's port: its lower-case head, its body, and the connection.
async fn take(stub: &TcpListener) -> (String, Value, TcpStream) {
    let (mut socket, _) = stub.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        socket.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if let Ok(body) = serde_json::from_str(body) {
            return (head.to_lowercase(), body, socket);
        }
    }
}

async fn answer(socket: &mut TcpStream, status: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    );
    socket
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    socket.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_call_becomes_a_chat_completion_and_its_deltas_grow_again() {
    let (fal, stub) = relaying().await;
    let input = json!({
        "prompt": "hi", "system_prompt": "Be brief", "model": "openai/gpt-4o", "temperature": 0.5,
        "max_tokens": 9, "image_urls": ["https://example.com/a.png"],
    });
    let call = tokio::spawn(read_stream(
        fal.post("/fal-ai/any-llm/vision/stream", &input),
    ));
    let (head, asked, mut socket) = take(&stub).await;
    answer(&mut socket, "200 OK", DELTAS).await;
    assert!(head.starts_with("post /v1/chat/completions "), "{head}");
    assert!(head.contains("authorization: bearer sk-relay"), "{head}");
    assert_eq!(
        asked,
        json!({
            "model": "llama3", "stream": true, "temperature": 0.5, "max_tokens": 9,
            "messages": [
                { "role": "system", "content": "Be brief" },
                { "role": "user", "content": [
                    { "type": "text", "text": "hi" },
                    { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
                ] },
            ],
        })
    );
    let events = call.await.unwrap().events();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event["output"].clone(), event["partial"].clone()))
        .collect();
    let expected = [("", true), ("Hél", true), ("Héllo", true), ("Héllo", false)];
    assert_eq!(
        seen,
        expected.map(|(output, partial)| (json!(output), json!(partial)))
    );
    assert!(events.iter().all(|event| event["reasoning"] == "Hmm"));
}

#[tokio::test]
async fn a_whole_answer_is_collected() {
    let (fal, stub) = relaying().await;
    let call = tokio::spawn(send(
        fal.post("/fal-ai/any-llm", &json!({ "prompt": "hi" })),
    ));
    let (_, asked, mut socket) = take(&stub).await;
    answer(&mut socket, "200 OK", DELTAS).await;
    assert_eq!(
        asked["messages"],
        json!([{ "role": "user", "content": "hi" }])
    );
    let expected =
        json!({ "output": "Héllo", "reasoning": "Hmm", "partial": false, "error": null });
    assert_eq!(call.await.unwrap().json(), expected);
}

/// With a relay, its server's models answer, and what they write can be overheard.
#[tokio::test]
async fn every_models_id_is_taken_and_the_text_is_handed_over() {
    let stub = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let overheard = Overheard::default();
    let options = Options {
        relay: Some(format!("http://{}/v1", stub.local_addr().unwrap())),
        overheard: Some(overheard.clone()),
        ..Options::default()
    };
    let fal = Fal::with(options).await;
    let input = json!({ "prompt": "hi", "model": "qwen/qwen2.5-coder-1.5b-instruct" });
    let call = tokio::spawn(send(fal.post("/fal-ai/any-llm", &input)));
    let (_, asked, mut socket) = take(&stub).await;
    answer(&mut socket, "200 OK", DELTAS).await;
    assert_eq!(asked["model"], input["model"]);
    assert_eq!(call.await.unwrap().status, 200);
    assert_eq!(*overheard.lock().unwrap(), ["Héllo"]);
}

#[tokio::test]
async fn its_errors_are_wrapped_as_fal_wraps_them() {
    let (fal, stub) = relaying().await;
    let call = tokio::spawn(send(
        fal.post("/fal-ai/any-llm/stream", &json!({ "prompt": "hi" })),
    ));
    let (_, _, mut socket) = take(&stub).await;
    answer(
        &mut socket,
        "429 Too Many",
        r#"{"error":{"message":"slow down"}}"#,
    )
    .await;
    let refused = call.await.unwrap();
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["detail"],
        r#"Error code: 429 - {"error":{"message":"slow down"}}"#
    );

    drop(stub);
    assert_eq!(fal.ask("hi").await.status, 503);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_in_an_error() {
    let (fal, stub) = relaying().await;
    for (body, text) in [
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hal\"}}]}\n\n",
            "ended early",
        ),
        (
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
            "overloaded",
        ),
        ("data: nonsense\n\n", "not JSON"),
    ] {
        let call = tokio::spawn(read_stream(
            fal.post("/fal-ai/any-llm/stream", &json!({ "prompt": "hi" })),
        ));
        let (_, _, mut socket) = take(&stub).await;
        answer(&mut socket, "200 OK", body).await;
        let last = call.await.unwrap().events().pop().unwrap();
        assert!(last["error"].as_str().unwrap().contains(text), "{last}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_relayed_call() {
    let (fal, stub) = relaying().await;
    let call = tokio::spawn(
        fal.post("/fal-ai/any-llm/stream", &json!({ "prompt": "hi" }))
            .send(),
    );
    let (_, _, mut socket) = take(&stub).await;
    call.abort();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, socket.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(read.is_err() || rest.is_empty());
}

/// A local model on the router's faces: its words grow under a prompt, and go through as they are
/// where messages were sent.
#[tokio::test]
async fn the_routers_faces_are_relayed_too() {
    let (fal, stub) = relaying().await;
    let input = json!({ "prompt": "hi", "model": "any/model" });
    let call = tokio::spawn(read_stream(fal.post("/openrouter/router/stream", &input)));
    let (_, asked, mut socket) = take(&stub).await;
    answer(&mut socket, "200 OK", DELTAS).await;
    assert_eq!(asked["model"], "llama3");
    let last = call.await.unwrap().events().pop().unwrap();
    assert_eq!(last["output"], "Héllo");
    assert_eq!(last["usage"]["cost"], 0.0);

    let chat = "/openrouter/router/openai/v1/chat/completions";
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let request =
        json!({ "model": "any/model", "messages": messages, "tools": tools, "stream": true });
    let call = tokio::spawn(read_stream(fal.post(chat, &request)));
    let (head, asked, mut socket) = take(&stub).await;
    answer(&mut socket, "200 OK", DELTAS).await;
    assert!(head.contains("authorization: bearer sk-relay"), "{head}");
    assert_eq!(
        asked,
        json!({
            "model": "llama3", "messages": messages, "tools": tools, "stream": true,
            "stream_options": { "include_usage": true },
        })
    );
    assert_eq!(call.await.unwrap().text(), DELTAS);

    let request = json!({ "model": "any/model", "messages": messages });
    let call = tokio::spawn(send(fal.post(chat, &request)));
    let (_, asked, mut socket) = take(&stub).await;
    assert_eq!(asked["stream"], false);
    answer(&mut socket, "429 Too Many", "{\"error\":\"slow down\"}").await;
    let refused = call.await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (429, &json!(429))
    );
    assert!(refused.text().contains("slow down"));
}
