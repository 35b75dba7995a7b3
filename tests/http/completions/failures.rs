//! What goes wrong at fal, in the words of this API.

use serde_json::{Value, json};

use crate::harness::Gateway;

#[actix_web::test]
async fn before_the_first_text_a_failure_is_a_status() {
    let gateway = Gateway::start().await;
    let cases = [
        ("error:rate_limit", 429, "rate_limit_exceeded"),
        ("error:no_balance", 429, "insufficient_quota"),
        ("error200", 400, "upstream_error"),
        ("drop:0", 400, "upstream_disconnected"),
    ];
    for (fault, status, code) in cases {
        for stream in [false, true] {
            // An echo is no first text: it is known before fal has said anything.
            let more = json!({"echo": true, "stream": stream});
            let prompt = format!("echo never /emulate {fault}");
            let answer = gateway.complete(&prompt, more).await;
            let error = &answer.json()["error"];
            assert_eq!(
                (answer.status, &error["code"]),
                (status, &json!(code)),
                "{fault}"
            );
        }
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn after_it_the_error_is_the_last_event() {
    let gateway = Gateway::start().await;
    let prompt = "echo abcdefghijklmnopqrstuvwxyz /emulate drop:2 size:5";
    let events = gateway.stream(prompt, json!({})).await.events();
    let (last, before) = events.split_last().unwrap();
    assert!(!before.is_empty());
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!(error["error"]["code"], "upstream_disconnected");
    assert!(error.get("choices").is_none());
    for event in before {
        let chunk: Value = serde_json::from_str(event).unwrap();
        assert_eq!(chunk["choices"][0]["finish_reason"], Value::Null);
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn what_fal_says_of_the_prompt_names_the_prompt() {
    let gateway = Gateway::start().await;
    for stream in [false, true] {
        let prompt = "this prompt is longer than ten characters /emulate limit:10";
        let answer = gateway.complete(prompt, json!({"stream": stream})).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400);
        assert_eq!(error["code"], "string_above_max_length");
        assert_eq!(error["param"], "prompt");
    }
    gateway.stop().await;
}
