//! The queue, from submission to result, webhook and cancellation.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, UnparsedPublicKey},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::harness::{Answer, Fal, read_stream, send};

async fn submit(fal: &Fal, path: &str, prompt: &str) -> Value {
    let answer = send(fal.post(path, &json!({ "prompt": prompt }))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Follows the status stream to its end.
async fn completed(fal: &Fal, submitted: &Value) -> Vec<Value> {
    let url = format!(
        "{}/stream?logs=1",
        submitted["status_url"].as_str().unwrap()
    );
    read_stream(fal.request("GET", &url)).await.events()
}

async fn result(fal: &Fal, submitted: &Value) -> Answer {
    completed(fal, submitted).await;
    fal.get(submitted["response_url"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_submission_names_its_addresses_without_the_subpath() {
    let fal = Fal::start().await;
    let submitted = submit(&fal, "/queue/fal-ai/any-llm/vision", "echo a").await;
    let id = submitted["request_id"].as_str().unwrap();
    let url = format!("{}/queue/fal-ai/any-llm/requests/{id}", fal.url);
    assert_eq!(submitted["status"], "IN_QUEUE");
    assert_eq!(submitted["queue_position"], 0);
    assert_eq!(submitted["response_url"], url);
    assert_eq!(submitted["status_url"], format!("{url}/status"));
    assert_eq!(submitted["cancel_url"], format!("{url}/cancel"));
}

#[tokio::test]
async fn a_poller_meets_every_state_in_every_spelling() {
    let fal = Fal::start().await;
    let submitted = submit(&fal, "/queue/fal-ai/any-llm", "echo queued").await;
    let id = submitted["request_id"].as_str().unwrap();
    let base = format!("/queue/fal-ai/any-llm/requests/{id}");
    assert_eq!(
        fal.get(&base).await.text(),
        r#"{"detail":"Request is still in progress"}"#
    );

    let waiting = fal.get(&format!("{base}/status?logs=0")).await;
    assert_eq!(
        (waiting.status, &waiting.json()["logs"]),
        (202, &Value::Null)
    );
    assert_eq!(waiting.json()["queue_position"], 0);

    let events = completed(&fal, &submitted).await;
    let last = events.last().unwrap();
    assert_eq!(last["status"], "COMPLETED");
    assert!(last["metrics"]["inference_time"].is_number());

    for path in [
        format!("{base}/status/?logs=true"),
        format!("/queue/fal-ai/any-llm/vision/requests/{id}/status?logs=1"),
    ] {
        let done = fal.get(&path).await;
        assert_eq!(
            (done.status, &done.json()["status"]),
            (200, &json!("COMPLETED")),
            "{path}"
        );
        assert_eq!(done.json()["logs"].as_array().unwrap().len(), 2);
    }
    for path in [base.clone(), format!("{base}/"), format!("{base}/response")] {
        let answer = fal.get(&path).await;
        assert_eq!(
            (answer.status, &answer.json()["output"]),
            (200, &json!("queued")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_status_stream_is_data_only_with_line_feeds() {
    let fal = Fal::start().await;
    let submitted = submit(&fal, "/queue/fal-ai/any-llm", "echo a").await;
    let url = format!("{}/stream", submitted["status_url"].as_str().unwrap());
    let streamed = read_stream(fal.request("GET", &url)).await;
    assert!(
        streamed
            .text()
            .starts_with("data: {\"status\": \"IN_QUEUE\", \"request_id\": ")
    );
    assert!(!streamed.text().contains('\r'));
    let states: Vec<Value> = streamed
        .events()
        .iter()
        .map(|event| event["status"].clone())
        .collect();
    assert_eq!(states, ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
}

#[tokio::test]
async fn a_failed_call_is_completed_with_its_error() {
    let fal = Fal::start().await;
    let submitted = submit(
        &fal,
        "/queue/fal-ai/any-llm",
        "a /emulate error:content_policy",
    )
    .await;
    let last = completed(&fal, &submitted).await.pop().unwrap();
    assert_eq!(
        (&last["status"], &last["error_type"]),
        (&json!("COMPLETED"), &json!("content_policy_violation"))
    );
    let failed = fal.get(submitted["response_url"].as_str().unwrap()).await;
    assert_eq!(failed.status, 422);
    assert_eq!(
        failed.json()["detail"][0]["type"],
        "content_policy_violation"
    );
}

#[tokio::test]
async fn errors_of_the_door_refuse_the_submission_itself() {
    let fal = Fal::start().await;
    let refused = send(fal.post(
        "/queue/fal-ai/any-llm",
        &json!({ "prompt": "a /emulate error:no_balance" }),
    ))
    .await;
    assert_eq!(refused.status, 403);
    let keyless = fal
        .http
        .post(format!("{}/queue/fal-ai/any-llm", fal.url))
        .body("{}");
    assert_eq!(send(keyless).await.status, 401);
}

#[tokio::test]
async fn cancelling_ends_a_call_once() {
    let fal = Fal::start().await;
    let submitted = submit(&fal, "/queue/fal-ai/any-llm", "a /emulate hang").await;
    let cancel = || send(fal.request("PUT", submitted["cancel_url"].as_str().unwrap()));
    let first = cancel().await;
    assert_eq!(
        (first.status, first.text()),
        (202, r#"{"status":"CANCELLATION_REQUESTED"}"#)
    );
    let cancelled = result(&fal, &submitted).await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["error_type"]),
        (499, &json!("client_cancelled"))
    );
    let second = cancel().await;
    assert_eq!(
        (second.status, second.text()),
        (400, r#"{"status":"ALREADY_COMPLETED"}"#)
    );
}

#[tokio::test]
async fn an_unknown_request_is_not_found_even_without_a_key() {
    let fal = Fal::start().await;
    for (method, path) in [
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/status/stream"),
        ("PUT", "/cancel"),
    ] {
        let url = format!("{}/queue/fal-ai/any-llm/requests/nobody{path}", fal.url);
        let answer = send(fal.http.request(method.parse().unwrap(), url)).await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, r#"{"status":"NOT_FOUND"}"#)
        );
    }
}

#[tokio::test]
async fn a_submission_may_refuse_a_long_queue() {
    let fal = Fal::start().await;
    submit(&fal, "/queue/fal-ai/any-llm", "one").await;
    let path = "/queue/fal-ai/any-llm?fal_max_queue_length=";
    let second = submit(&fal, &format!("{path}1"), "two").await;
    assert_eq!(second["queue_position"], 1);
    let third = send(fal.post(&format!("{path}1"), &json!({ "prompt": "three" }))).await;
    assert_eq!(third.status, 429);
}

#[tokio::test]
async fn a_webhook_is_told_with_a_signature_that_verifies() {
    let fal = Fal::start().await;
    for (prompt, status) in [
        ("echo told", "OK"),
        ("a /emulate error:content_policy", "ERROR"),
    ] {
        let hook = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http%3A%2F%2F{}%2Fhook%3Fa%3Db", hook.local_addr().unwrap());
        let submitted = submit(
            &fal,
            &format!("/queue/fal-ai/any-llm?fal_webhook={url}"),
            prompt,
        )
        .await;
        let (head, body) = receive(&hook).await;
        let notice: Value = serde_json::from_slice(&body).unwrap();
        assert!(head.starts_with("post /hook?a=b "), "{head}");
        assert_eq!(notice["request_id"], submitted["request_id"]);
        assert_eq!(notice["gateway_request_id"], submitted["request_id"]);
        assert_eq!(notice["status"], status);
        if status == "OK" {
            assert_eq!(notice["payload"]["output"], "told");
        } else {
            assert_eq!(notice["error"], "Invalid status code: 422");
            assert!(notice["payload"]["detail"].is_array());
        }
        verify(&fal, &head, &body).await;
    }
}

/// Takes one request, answers 200, and returns its lower-case head and its body.
async fn receive(hook: &TcpListener) -> (String, Vec<u8>) {
    let (mut socket, _) = hook.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        socket.read_buf(&mut bytes).await.unwrap();
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let body = bytes[end + 4..].to_vec();
        if body.len() >= header(&head, "content-length").parse::<usize>().unwrap() {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            return (head, body);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

/// Verifies the signature as fal's documentation tells receivers to.
async fn verify(fal: &Fal, head: &str, body: &[u8]) {
    let jwks = fal.get("/rest/.well-known/jwks.json").await.json();
    let key = URL_SAFE
        .decode(jwks["keys"][0]["x"].as_str().unwrap())
        .unwrap();
    let message = [
        header(head, "x-fal-webhook-request-id"),
        header(head, "x-fal-webhook-user-id"),
        header(head, "x-fal-webhook-timestamp"),
        &hex(digest(&SHA256, body).as_ref()),
    ]
    .join("\n");
    let signature = unhex(header(head, "x-fal-webhook-signature"));
    UnparsedPublicKey::new(&ED25519, key)
        .verify(message.as_bytes(), &signature)
        .unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// What users of an account without balance have met: no refusal, and no end.
#[tokio::test]
async fn a_call_can_wait_for_ever() {
    let fal = Fal::start().await;
    let body = json!({ "prompt": "hi /emulate stuck" });
    let ticket = send(fal.post("/queue/fal-ai/any-llm", &body)).await.json();
    let url = |field: &str| ticket[field].as_str().unwrap();
    for _ in 0..3 {
        let status = fal.get(url("status_url")).await;
        assert_eq!(
            (status.status, &status.json()["status"]),
            (202, &json!("IN_QUEUE"))
        );
    }
    let cancelled = send(fal.request("PUT", url("cancel_url"))).await;
    assert_eq!(cancelled.status, 400);
    assert_eq!(fal.get(url("response_url")).await.status, 400);
}
