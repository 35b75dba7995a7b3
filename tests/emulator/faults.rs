//! Every fault that a script can ask for.

use fal_gateway::emulator::{Behaviour, ERROR_KINDS, Options};
use serde_json::json;

use crate::harness::{Fal, KEY, read_stream, send};

#[tokio::test]
async fn every_kind_of_error_comes_with_its_status_whole_and_streamed() {
    let fal = Fal::start().await;
    for kind in ERROR_KINDS {
        for path in ["/fal-ai/any-llm", "/fal-ai/any-llm/stream"] {
            let input = json!({ "prompt": format!("hi /emulate error:{}", kind.name) });
            let answer = send(fal.post(path, &input)).await;
            assert_eq!(answer.status, kind.status, "{}", kind.name);
            if answer.header("content-type") == Some("application/json") {
                answer.json();
                assert!(answer.header("x-fal-request-id").is_some(), "{}", kind.name);
                assert!(
                    !answer.text().contains('$'),
                    "{}: {}",
                    kind.name,
                    answer.text()
                );
            } else {
                assert_eq!(answer.header("x-fal-request-id"), None, "{}", kind.name);
            }
        }
    }
}

#[tokio::test]
async fn the_known_texts_are_word_for_word() {
    let fal = Fal::start().await;
    let cases = [
        (
            "key_malformed",
            r#"{"detail":"Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."}"#,
        ),
        (
            "no_key",
            r#"{"detail":"Cannot access application \"fal-ai/any-llm\""}"#,
        ),
        (
            "timeout_504",
            r#"{"detail":"Request timed out","error_type":"request_timeout"}"#,
        ),
        ("crash_500", r#"{"detail":"Internal Server Error"}"#),
    ];
    for (kind, body) in cases {
        assert_eq!(
            fal.ask(&format!("/emulate error:{kind}")).await.text(),
            body
        );
    }
    let gone =
        json!({ "prompt": "/emulate error:model_gone", "model": "anthropic/claude-3.5-sonnet" });
    let detail = send(fal.post("/fal-ai/any-llm", &gone)).await.json()["detail"].clone();
    assert!(
        detail
            .as_str()
            .unwrap()
            .contains("'No endpoints found for anthropic/claude-3.5-sonnet.'")
    );
    let timeout = fal.ask("/emulate error:user_timeout_504").await;
    assert_eq!(timeout.header("x-fal-request-timeout-type"), Some("user"));
    assert_eq!(timeout.header("x-fal-error-type"), Some("request_timeout"));
}

#[tokio::test]
async fn keys_are_refused_as_fal_refuses_them() {
    let options = Options {
        key: Some("kid:ksecret".to_owned()),
        tag: false,
        ..Options::default()
    };
    let fal = Fal::with(options).await;
    let cases = [
        (Some(KEY), 200, ""),
        (
            Some("Key kid"),
            401,
            "Invalid Key Authorization header format",
        ),
        (
            Some("Key other:secret"),
            401,
            "No user found for Key ID and Secret",
        ),
        (Some("Bearer kid:ksecret"), 401, "No user found"),
        (None, 401, "Cannot access application"),
    ];
    for (key, status, text) in cases {
        let mut request = fal
            .http
            .post(format!("{}/fal-ai/any-llm", fal.url))
            .body(r#"{"prompt":"hi"}"#);
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{key:?}");
        assert!(answer.text().contains(text), "{key:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn unknown_places_are_404() {
    let fal = Fal::start().await;
    let app = send(fal.post("/fal-ai/h3-max", &json!({}))).await;
    assert_eq!(
        (app.status, app.text()),
        (404, r#"{"detail":"Application \"h3-max\" not found"}"#)
    );
    let path = send(fal.post("/fal-ai/any-llm/zzz", &json!({}))).await;
    assert_eq!(
        (path.status, path.text()),
        (404, r#"{"detail":"Path /zzz not found"}"#)
    );
    assert_eq!(path.header("x-fal-billable-units"), Some("0"));
    assert_eq!(fal.get("/fal-ai/any-llm").await.status, 405);
}

#[tokio::test]
async fn a_script_that_is_not_understood_is_an_error() {
    let fal = Fal::start().await;
    for words in [
        "nonsense",
        "latency",
        "latency:soon",
        "status:99",
        "error:nothing",
        "size:-1",
        "lf:3",
    ] {
        let answer = fal.ask(&format!("hi\n/emulate {words}")).await;
        assert_eq!(answer.status, 400, "{words}");
        assert!(answer.text().contains("/_emulator/help"), "{words}");
    }
    assert!("nonsense".parse::<Behaviour>().is_err());
    assert_eq!(
        "lf latency:1s"
            .parse::<Behaviour>()
            .unwrap()
            .latency
            .as_secs(),
        1
    );
}

#[tokio::test]
async fn scripts_come_by_options_by_header_and_by_either_prompt() {
    let behaviour = "status:503 retry_after:7".parse().unwrap();
    let fal = Fal::with(Options {
        behaviour,
        tag: false,
        ..Options::default()
    })
    .await;
    let by_options = fal.ask("hi").await;
    assert_eq!(
        (by_options.status, by_options.header("retry-after")),
        (503, Some("7"))
    );
    assert_eq!(fal.ask("hi /emulate plain").await.status, 200);
    let by_header = fal
        .post("/fal-ai/any-llm", &json!({ "prompt": "hi" }))
        .header("x-emulate", "status:418");
    assert_eq!(send(by_header).await.status, 418);
    let by_system = json!({ "prompt": "hi", "system_prompt": "Be kind.\n/emulate status:419" });
    assert_eq!(
        send(fal.post("/fal-ai/any-llm", &by_system)).await.status,
        419
    );
    assert_eq!(
        fal.ask("hi /emulate error:rate_limit").await.json()["type"],
        "concurrent_requests_limit"
    );
}

#[tokio::test]
async fn a_dropped_stream_ends_uncleanly_after_its_events() {
    let fal = Fal::start().await;
    let dropped = fal.stream("echo abcdef /emulate size:1 drop:2").await;
    assert!(!dropped.clean);
    assert_eq!(dropped.outputs(), ["a", "ab"]);
}

#[tokio::test]
async fn a_stream_can_end_cleanly_in_the_middle_of_an_event() {
    let fal = Fal::start().await;
    let cut = fal.stream("echo abcdef /emulate size:1 eof:2").await;
    assert!(cut.clean);
    assert_eq!(cut.text().matches("event: event").count(), 3);
    assert!(!cut.text().ends_with('\n'));
}

#[tokio::test]
async fn an_error_event_is_the_last_one() {
    let fal = Fal::start().await;
    for words in ["error:2", "error_event:2"] {
        let events = fal
            .stream(&format!("echo abcdef /emulate size:1 {words}"))
            .await
            .events();
        assert_eq!(events.len(), 3);
        assert!(events[2]["error"].is_string() && events[1]["error"].is_null());
    }
    let whole = fal.ask("hi /emulate error200").await;
    assert_eq!(whole.status, 200);
    assert!(whole.json()["error"].is_string());
}

#[tokio::test]
async fn bad_bytes_come_where_they_were_asked_for() {
    let fal = Fal::start().await;
    let garbage = fal.stream("echo abcdef /emulate size:1 garbage:1").await;
    assert!(
        garbage
            .text()
            .contains("data: {\"output\": \"half a tho\r\n\r\n")
    );
    assert!(garbage.text().contains("\"partial\": false"));
    let bad = fal.stream("echo abcdef /emulate size:1 badutf8:1").await;
    assert!(String::from_utf8(bad.bytes()).is_err());
    let flood = fal.stream("echo abcdef /emulate flood:2").await;
    assert!(
        flood
            .bytes()
            .split(|&byte| byte == b'\n')
            .any(|line| line.len() > 2 << 20)
    );
}

#[tokio::test]
async fn whole_answers_break_too() {
    let fal = Fal::start().await;
    let input = |word: &str| json!({ "prompt": format!("echo abcdef /emulate {word}") });
    assert!(
        !read_stream(fal.post("/fal-ai/any-llm", &input("drop")))
            .await
            .clean
    );
    for word in ["eof", "garbage", "badutf8"] {
        let answer = send(fal.post("/fal-ai/any-llm", &input(word))).await;
        assert!(
            serde_json::from_slice::<serde_json::Value>(&answer.body).is_err(),
            "{word}"
        );
    }
    let html = send(fal.post("/fal-ai/any-llm", &input("html"))).await;
    assert!(html.status == 502 && html.text().contains("nginx"));
    assert_eq!(html.header("content-type"), Some("text/html"));
    let headed = send(fal.post("/fal-ai/any-llm", &input("headers"))).await;
    assert!(
        headed.header("set-cookie").is_some()
            && headed.header("x-padding").unwrap().len() == 64 << 10
    );
}

#[tokio::test]
async fn calls_over_the_limit_of_concurrent_ones_are_refused() {
    let fal = Fal::start().await;
    let first = fal
        .post(
            "/fal-ai/any-llm/stream",
            &json!({ "prompt": "hi /emulate stall" }),
        )
        .send()
        .await
        .unwrap();
    let refused = fal.ask("hi /emulate concurrency:1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.json(),
        json!({
            "detail": "Reached concurrent requests limit of 1",
            "type": "concurrent_requests_limit",
            "data": { "limit": 1, "current": 2 },
        })
    );
    assert_eq!(fal.ask("hi /emulate concurrency:2").await.status, 200);
    let request_id = first.headers()["x-fal-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    drop(first);
    assert_eq!(fal.ended(&request_id).await["outcome"], "hung_up");
    assert_eq!(fal.ask("hi /emulate concurrency:1").await.status, 200);
}

#[tokio::test]
async fn the_help_page_names_every_kind() {
    let fal = Fal::start().await;
    let help = fal.get("/_emulator/help").await;
    for kind in ERROR_KINDS {
        assert!(help.text().contains(kind.name), "{}", kind.name);
    }
    assert!(help.text().contains("latency:DUR") && help.text().contains("drop[:N]"));
    fal.stop().await;
}
