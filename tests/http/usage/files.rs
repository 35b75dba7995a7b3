//! Files and images of a request, and images that are uploaded first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::harness::{Gateway, asking, with};

/// Enough of an image for those who look at its first bytes.
fn png(bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.resize(bytes, 7);
    png
}

fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

fn image(url: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": url } })
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
        json!({ "model": "google/gemini-2.5-flash" }),
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

async fn uploading() -> Gateway {
    Gateway::with(|config| config.images.upload_threshold = Some(1000)).await
}

#[actix_web::test]
async fn a_text_file_reaches_fal_as_text_under_its_name() {
    let gateway = Gateway::start().await;
    let notes = file("text/markdown", "notes.md", "# Bröt\nchen".as_bytes());
    let request = asking(json!([text("echo this:"), notes, text("Well?")]));
    let body = gateway.ask(&request).await.json();
    let said = content(&body);
    let (_, rest) = said.split_once("[file-").unwrap();
    let (key, _) = rest.split_once(' ').unwrap();
    let expected =
        format!("this:\n[file-{key} notes.md]\n# Bröt\nchen\n[end of file-{key}]\nWell?");
    assert_eq!(said, expected);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_file_that_is_an_image_is_seen_as_one() {
    let gateway = Gateway::start().await;
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
    let gateway = Gateway::start().await;
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

#[actix_web::test]
async fn large_images_are_uploaded_and_small_ones_are_not() {
    let gateway = uploading().await;
    let (small, large) = (png(100), png(50_000));
    let mut webp = b"RIFF\0\0\0\0WEBPVP8 ".to_vec();
    webp.resize(50_000, 0);
    let elsewhere = "https://example.com/a.png";
    let request = seeing(json!([
        text("describe"),
        image(&data_uri("image/png", &small)),
        image(&data_uri("image/png", &large)),
        image(elsewhere),
        file("image/webp", "b.webp", &webp),
    ]));
    for choices in [1, 2] {
        let answer = gateway
            .ask(&with(request.clone(), json!({ "n": choices })))
            .await;
        assert!(
            answer
                .header("x-gateway-emulated")
                .unwrap_or_default()
                .contains("image_upload")
        );
        let [first, second, third, fourth] = images(&answer.json()).try_into().unwrap();
        assert_eq!(first["bytes"], 100);
        assert_eq!(third["url"], elsewhere);
        assert!(fourth["url"].as_str().unwrap().ends_with("/image.webp"));
        let kept = gateway.get(second["url"].as_str().unwrap()).await;
        assert_eq!(kept.body, large);
    }
    assert_eq!(
        gateway.seen_by_fal("/storage/").await.len(),
        4,
        "two images, twice"
    );
    let records = gateway.seen_by_fal("/files/").await;
    let puts = records.iter().filter(|record| record["method"] == "PUT");
    assert_eq!(puts.clone().count(), 4);
    for put in puts {
        let headers = put["headers"].as_object().unwrap();
        assert!(
            !headers.contains_key("authorization"),
            "the fal key stays with fal"
        );
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn nothing_is_uploaded_unless_asked_for() {
    let gateway = Gateway::start().await;
    let request = seeing(json!([
        text("describe"),
        image(&data_uri("image/png", &png(50_000)))
    ]));
    let answer = gateway.ask(&request).await;
    assert!(
        !answer
            .header("x-gateway-emulated")
            .unwrap_or_default()
            .contains("image_upload")
    );
    assert_eq!(images(&answer.json())[0]["bytes"], 50_000);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_failed_upload_calls_no_model() {
    let request = seeing(json!([
        text("describe"),
        image(&data_uri("image/png", &png(5000)))
    ]));
    for (rest_url, status, code, should_retry) in [
        (
            Some("http://127.0.0.1:9"),
            502,
            "upstream_unreachable",
            None,
        ),
        // The emulator's own root is no storage: 404, now and the next time.
        (None, 400, "upstream_upload_failed", Some("false")),
    ] {
        let gateway = Gateway::with(|config| {
            config.images.upload_threshold = Some(1000);
            config.fal.rest_url = match rest_url {
                Some(url) => Url::parse(url).unwrap(),
                None => config.fal.url.clone(),
            };
        })
        .await;
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], code);
        assert_eq!(answer.header("x-should-retry"), should_retry);
        assert!(gateway.seen_by_fal("any-llm").await.is_empty());
        gateway.stop().await;
    }
}

#[actix_web::test]
async fn an_upload_that_takes_too_long_ends_the_request() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rest_url = format!("http://{}", silent.local_addr().unwrap());
    let gateway = Gateway::with(|config| {
        config.images.upload_threshold = Some(1000);
        config.fal.first_byte_timeout = Some(std::time::Duration::from_millis(200));
        config.fal.rest_url = Url::parse(&rest_url).unwrap();
    })
    .await;
    let request = seeing(json!([
        text("describe"),
        image(&data_uri("image/png", &png(5000)))
    ]));
    let answer = gateway.ask(&request).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "upstream_timeout");
    assert_eq!(answer.header("x-should-retry"), None);
    gateway.stop().await;
}
