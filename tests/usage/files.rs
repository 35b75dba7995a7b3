//! Files and images of a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::harness::{Gateway, asking, with};

/// Enough of an image for those who look at its first bytes.
fn png(bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.resize(bytes, 7);
    png
}

fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn file(media_type: &str, name: &str, bytes: &[u8]) -> Value {
    json!({ "type": "file", "file": { "file_data": data_uri(media_type, bytes), "filename": name } })
}

/// A request with images, for a model that sees them.
fn seeing(content: Value) -> Value {
    with(
        asking(content),
        &json!({ "model": "google/gemini-2.5-flash" }),
    )
}

fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap()
}

/// The images that fal saw, as the emulator describes them.
fn images(body: &Value) -> Vec<Value> {
    let description: Value = serde_json::from_str(content(body)).unwrap();
    description["images"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_text_file_reaches_fal_as_text_under_its_name() {
    let gateway = Gateway::start(|_| {}).await;
    let notes = file("text/markdown", "notes.md", "# Bröt\nchen".as_bytes());
    let request = asking(json!([text("echo this:"), notes, text("Well?")]));
    let body = gateway.ask(&request).await.json();
    let expected = "this:\n[file notes.md]\n# Bröt\nchen\n[end of file notes.md]\nWell?";
    assert_eq!(content(&body), expected);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_file_that_is_an_image_is_seen_as_one() {
    let gateway = Gateway::start(|_| {}).await;
    let request = seeing(json!([
        text("describe"),
        file("image/png", "a.png", &png(500))
    ]));
    let body = gateway.ask(&request).await.json();
    assert_eq!(
        images(&body),
        [json!({ "source": "data", "type": "image/png", "bytes": 500 })]
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn other_files_are_refused_with_their_position_and_a_cure() {
    let gateway = Gateway::start(|_| {}).await;
    let by_id = json!({ "type": "file", "file": { "file_id": "file-123" } });
    let pdf = file("application/pdf", "a.pdf", b"%PDF-1.7");
    for (part, field, cure) in [
        (by_id, "file_id", "file_data"),
        (pdf, "file_data", "Extract the file's text"),
    ] {
        let answer = gateway.ask(&asking(json!([text("echo"), part]))).await;
        assert_eq!(answer.status, 400);
        let error = answer.json()["error"].clone();
        assert_eq!(error["code"], "unsupported_value");
        assert_eq!(
            error["param"],
            format!("messages[0].content[1].file.{field}")
        );
        assert!(error["message"].as_str().unwrap().contains(cure), "{error}");
    }
    assert!(gateway.seen_by_fal("").await.is_empty());
    gateway.stop().await;
}
