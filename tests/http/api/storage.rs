//! fal's storage as somebody who lies: a file goes to no place that is not fal's, and no address
//! that fal could not fetch goes to a model.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Emulated, ScriptedUpstream, Setup, Step, whole};

fn json_answer(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// What came to each of the three: the storage, the place for files, the model.
struct Outcome {
    answer: Answer,
    stored: usize,
    asked: Vec<String>,
}

/// Sends a request with an image that is uploaded, where the storage names these addresses. In
/// them `$STORAGE` and `$OTHER` are servers of the test.
fn upload(upload_url: &str, file_url: &str) -> Outcome {
    let other = ScriptedUpstream::start(vec![Step::Read, Step::Write(json_answer(&json!({})))]);
    let model = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("a cat"))]);
    let (tell, told) = std::sync::mpsc::channel::<String>();
    let told = std::sync::Mutex::new(told);
    let named = std::sync::Mutex::new(None);
    let (upload_url, file_url) = (upload_url.to_owned(), file_url.to_owned());
    let elsewhere = other.url();
    let storage = ScriptedUpstream::with(move |_| {
        let mut named = named.lock().unwrap();
        let own = named.get_or_insert_with(|| told.lock().unwrap().recv().unwrap());
        let fill = |url: &str| url.replace("$STORAGE", own).replace("$OTHER", &elsewhere);
        let place = json!({"upload_url": fill(&upload_url), "file_url": fill(&file_url)});
        vec![
            Step::Read,
            Step::Write(json_answer(&place)),
            Step::Read,
            Step::Write(json_answer(&json!({}))),
        ]
    });
    tell.send(storage.url()).unwrap();
    let gateway = Setup::towards(&model.url())
        .set("fal.rest_url", &storage.url())
        .set("images.upload_threshold", "10")
        .start();
    let answer = gateway.call(&Call::chat(&json!({
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8gdGhlcmU="}},
        ]}],
    })));
    let requests = |upstream: &ScriptedUpstream| -> Vec<String> {
        let seen = upstream.seen();
        let all = seen.iter().flat_map(|seen| &seen.requests);
        all.map(|request| String::from_utf8_lossy(request).into_owned())
            .collect()
    };
    let puts = [requests(&storage), requests(&other)].concat();
    let puts: Vec<String> = puts
        .into_iter()
        .filter(|put| put.starts_with("PUT"))
        .collect();
    assert!(puts.iter().all(|put| !put.contains("ksecret")), "{puts:?}");
    assert_eq!(requests(&other), [""; 0], "nothing goes elsewhere");
    Outcome {
        answer,
        stored: puts.len(),
        asked: requests(&model),
    }
}

#[test]
fn what_is_configured_is_followed() {
    let outcome = upload("$STORAGE/put?signature=1", "$STORAGE/files/1.png");
    assert_eq!((outcome.answer.status, outcome.stored), (200, 1));
    assert!(
        outcome.asked[0].contains("/files/1.png\"]"),
        "{:?}",
        outcome.asked
    );
    let outcome = upload("$STORAGE/put", "https://v3.fal.media/files/1.png");
    assert_eq!((outcome.answer.status, outcome.stored), (200, 1));
    assert!(outcome.asked[0].contains("[\"https://v3.fal.media/files/1.png\"]"));
}

#[test]
fn places_and_addresses_that_are_not_fals_are_not_followed() {
    let good = "$STORAGE/files/1.png";
    let lies = [
        ("$OTHER/put", good),
        ("https://elsewhere.example/put", good),
        ("file:///etc/passwd", good),
        ("gopher://127.0.0.1/", good),
        ("$STORAGE/put\r\nx: y", good),
        ("$STORAGE/put", "https://169.254.169.254/latest"),
        ("$STORAGE/put", "https://[::1]/x"),
        ("$STORAGE/put", "https://metadata.internal/x"),
        ("$STORAGE/put", "https://x/\r\n"),
        ("$STORAGE/put", "$OTHER/file"),
        ("$STORAGE/put", "$STORAGE/f\r\nx: y"),
        ("$STORAGE/put", "http://example.com/plain"),
        ("$STORAGE/put", "https://user:word@example.com/"),
        ("$STORAGE/put", "javascript:alert(1)"),
        ("$STORAGE/put", ""),
    ];
    for (upload_url, file_url) in lies {
        let outcome = upload(upload_url, file_url);
        let answer = &outcome.answer;
        assert_eq!(
            answer.verdict(),
            "502 server_error upstream_upload_failed",
            "{upload_url} {file_url}"
        );
        assert_eq!(
            (outcome.stored, outcome.asked.len()),
            (0, 0),
            "{upload_url} {file_url}"
        );
        assert!(!answer.text().contains("elsewhere") && !answer.text().contains("169.254"));
    }
}

/// A redirect is another way to name a place.
#[test]
fn a_place_that_points_elsewhere_is_not_followed() {
    let model = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("a cat"))]);
    let storage = ScriptedUpstream::answering(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    );
    let gateway = Setup::towards(&model.url())
        .set("fal.rest_url", &storage.url())
        .set("images.upload_threshold", "10")
        .start();
    let answer = gateway.call(&Call::chat(&json!({
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8gdGhlcmU="}},
            {"type": "text", "text": "what is this?"},
        ]}],
    })));
    assert_eq!(answer.status, 502);
    assert_eq!(model.seen().len(), 0);
}

/// What is stored at fal stays there: what may not be kept goes inside the request.
#[test]
fn nothing_is_stored_at_fal_that_may_not_be_kept() {
    for (store_io, store, is_stored) in [
        ("true", json!(null), true),
        ("true", json!(false), false),
        ("false", json!(null), false),
        ("false", json!(true), false),
    ] {
        let fal = Emulated::start();
        let gateway = fal
            .setup()
            .set("fal.rest_url", &format!("{}/rest", fal.url()))
            .set("images.upload_threshold", "10")
            .set("fal.store_io", store_io)
            .start();
        let mut body = json!({
            "model": "openai/gpt-4o",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8gdGhlcmU="}},
            ]}],
        });
        body["store"] = store.clone();
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let emulated = answer.header("x-gateway-emulated").unwrap_or_default();
        assert_eq!(
            emulated.contains("image_upload"),
            is_stored,
            "{store_io} {store}"
        );
        let asked = fal.requests(1);
        let to_storage = |asked: &&Value| asked["path"].as_str().unwrap().contains("/storage/");
        assert_eq!(
            asked.iter().any(|asked| to_storage(&asked)),
            is_stored,
            "{asked:?}"
        );
    }
}
