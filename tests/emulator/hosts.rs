//! The other hosts: storage, tokens and the browser's proxy.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::harness::{Fal, send};

#[tokio::test]
async fn an_initiated_upload_needs_no_key_and_can_be_read_back() {
    let fal = Fal::start().await;
    let path = "/rest/storage/upload/initiate?storage_type=fal-cdn-v3";
    let body = json!({ "content_type": "image/png", "file_name": "a/../b c.png" });
    let urls = send(fal.post(path, &body)).await.json();
    let (upload, file) = (
        urls["upload_url"].as_str().unwrap(),
        urls["file_url"].as_str().unwrap(),
    );
    assert!(file.starts_with(&format!("{}/files/", fal.url)) && file.ends_with("/a_.._b_c.png"));
    assert_eq!(fal.get(file).await.status, 404);
    assert_eq!(send(fal.http.put(upload).body("pixels")).await.status, 200);
    let read = fal.get(file).await;
    assert_eq!(
        (read.text(), read.header("content-type")),
        ("pixels", Some("image/png"))
    );
}

#[tokio::test]
async fn parts_join_in_the_order_of_their_numbers() {
    let fal = Fal::start().await;
    let javascript = json!({ "content_type": "text/plain", "file_name": "a.txt" });
    let urls = send(fal.post("/rest/storage/upload/initiate-multipart", &javascript))
        .await
        .json();
    let (path, query) = urls["upload_url"]
        .as_str()
        .unwrap()
        .split_once('?')
        .unwrap();
    for (number, text) in [(2, "world"), (1, "hello ")] {
        let part = send(fal.http.put(format!("{path}/{number}?{query}")).body(text)).await;
        assert_eq!(part.json()["partNumber"], number);
    }
    assert_eq!(
        send(fal.http.post(format!("{path}/complete?{query}")))
            .await
            .status,
        200
    );
    assert_eq!(
        fal.get(urls["file_url"].as_str().unwrap()).await.text(),
        "hello world"
    );
}

#[tokio::test]
async fn a_token_opens_the_file_store_and_the_app() {
    let fal = Fal::with(Options {
        key: Some("kid:ksecret".to_owned()),
        ..Options::default()
    })
    .await;
    let answer = send(fal.post(
        "/rest/storage/auth/token?storage_type=fal-cdn-v3",
        &json!({}),
    ))
    .await
    .json();
    assert_eq!(
        (&answer["token_type"], &answer["base_url"]),
        (&json!("Bearer"), &json!(fal.url))
    );
    let token = answer["token"].as_str().unwrap();
    let upload = |token: &str| {
        let request = fal
            .http
            .post(format!("{}/files/upload", fal.url))
            .bearer_auth(token);
        send(
            request
                .header("content-type", "text/plain")
                .header("x-fal-file-name", "n.txt")
                .body("text"),
        )
    };
    let access_url = upload(token).await.json()["access_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(fal.get(&access_url).await.text(), "text");
    assert_eq!(upload("forged").await.status, 401);

    let temporary = send(fal.post("/rest/tokens/", &json!({ "allowed_apps": ["any-llm"] })))
        .await
        .json();
    let url = format!(
        "{}/fal-ai/any-llm?fal_jwt_token={}",
        fal.url,
        temporary.as_str().unwrap()
    );
    assert_eq!(
        send(fal.http.post(url).body(r#"{"prompt":"hi"}"#))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_proxy_leads_to_the_host_it_is_told() {
    let fal = Fal::start().await;
    let by_proxy = |target: &str, body: &Value| {
        let request = fal.http.post(format!("{}/api/fal/proxy", fal.url));
        send(
            request
                .header("x-fal-target-url", target)
                .body(body.to_string()),
        )
    };
    let prompt = json!({ "prompt": "echo by proxy" });
    let run = by_proxy("https://fal.run/fal-ai/any-llm", &prompt).await;
    assert_eq!(run.json()["output"], "by proxy");
    let queued = by_proxy(
        "https://queue.fal.run/fal-ai/any-llm?fal_max_queue_length=5",
        &prompt,
    )
    .await;
    assert_eq!(queued.json()["status"], "IN_QUEUE");
    let upload = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3";
    assert!(by_proxy(upload, &json!({})).await.json()["upload_url"].is_string());
    assert_eq!(
        by_proxy("https://example.com/fal.run", &prompt)
            .await
            .status,
        412
    );
    assert_eq!(by_proxy("https://notfal.run/x", &prompt).await.status, 412);
    let untold = fal
        .http
        .post(format!("{}/api/fal/proxy", fal.url))
        .body("{}");
    assert_eq!(send(untold).await.status, 400);
}

#[tokio::test]
async fn browsers_are_let_in() {
    let fal = Fal::start().await;
    let answer = send(fal.http.request(
        "OPTIONS".parse().unwrap(),
        format!("{}/fal-ai/any-llm", fal.url),
    ))
    .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("Authorization")
    );
}
