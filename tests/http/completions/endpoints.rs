//! OpenAI's endpoints that this gateway does not have.

use serde_json::json;

use crate::harness::{Gateway, send};

#[actix_web::test]
async fn an_endpoint_that_is_not_here_says_so_and_what_to_do_instead() {
    let gateway = Gateway::start().await;
    let cases = [
        (
            "POST",
            "/v1/responses/resp_1/rerun",
            "This part of the Responses API",
            "'previous_response_id'",
        ),
        ("POST", "/v1/responses/compact", "Compaction", "a summary"),
        (
            "POST",
            "/v1/conversations/conv_1/compact",
            "This part of the Conversations API",
            "'previous_response_id'",
        ),
        (
            "POST",
            "/v1/assistants",
            "Assistants API",
            "/v1/chat/completions",
        ),
        (
            "POST",
            "/v1/threads/t/runs",
            "Assistants API",
            "/v1/chat/completions",
        ),
        ("GET", "/v1/realtime", "Realtime API", "\"stream\": true"),
        (
            "POST",
            "/v1/realtime/sessions",
            "Realtime API",
            "\"stream\": true",
        ),
        (
            "POST",
            "/v1/embeddings",
            "Embeddings API",
            "another provider",
        ),
        (
            "POST",
            "/v1/moderations",
            "Moderations API",
            "another provider",
        ),
        ("POST", "/v1/audio/speech", "Audio API", "fal"),
        ("POST", "/v1/audio/transcriptions", "Audio API", "fal"),
        ("POST", "/v1/images/generations", "Images API", "fal"),
        ("POST", "/v1/videos", "Videos API", "fal"),
        ("GET", "/v1/files", "Files API", "messages"),
        ("GET", "/v1/files/file-1/content", "Files API", "messages"),
        ("POST", "/v1/uploads", "Uploads API", "messages"),
        ("POST", "/v1/vector_stores", "Vector stores API", "messages"),
        ("POST", "/v1/batches", "Batch API", "/v1/chat/completions"),
        (
            "POST",
            "/v1/fine_tuning/jobs",
            "Fine-tuning API",
            "/v1/models",
        ),
        (
            "POST",
            "/v1/engines/davinci/completions",
            "Engines API",
            "/v1/models",
        ),
        (
            "POST",
            "/v1/fim/completions",
            "Fill-in-the-middle",
            "another provider",
        ),
    ];
    for (method, path, name, cure) in cases {
        let request = match method {
            "POST" => gateway.post(path, &json!({"model": "gpt-4o", "input": "hi"})),
            method => gateway.request(method, path),
        };
        let answer = send(request).await;
        let error = answer.json()["error"].take();
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(error["type"], "invalid_request_error", "{path}");
        assert_eq!(error["code"], "unsupported_endpoint", "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(name) && message.contains(cure),
            "{path}: {message}"
        );
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_path_that_nobody_knows_is_another_matter() {
    let gateway = Gateway::start().await;
    for path in ["/v1/nowhere", "/v1/responsesx", "/responses", "/v1"] {
        let answer = send(gateway.post(path, &json!({}))).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["code"], "unknown_url", "{path}");
    }
    gateway.stop().await;
}
