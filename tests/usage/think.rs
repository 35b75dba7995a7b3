//! Reasoning that a model writes into its output.

use serde_json::{Value, json};

use super::harness::{Gateway, asking, with};

fn message(body: &Value) -> &Value {
    &body["choices"][0]["message"]
}

#[actix_web::test]
async fn an_inlined_block_is_the_same_as_fals_own_field() {
    let gateway = Gateway::start(|_| {}).await;
    let shown = json!({ "reasoning_effort": "high" });
    let plain = gateway.ask(&with(asking("reason it"), &shown)).await.json();
    let inlined = with(asking("/emulate inline_think\nreason it"), &shown);
    let inlined = gateway.ask(&inlined).await.json();
    assert_eq!(message(&inlined), message(&plain));
    let details = |body: &Value| body["usage"]["completion_tokens_details"].clone();
    assert_eq!(details(&inlined), details(&plain));
    assert_ne!(details(&plain)["reasoning_tokens"], 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_block_nobody_asked_to_see_is_dropped_and_counted() {
    let gateway = Gateway::start(|_| {}).await;
    let hidden = json!({ "reasoning": { "enabled": true, "exclude": true } });
    let request = with(asking("/emulate inline_think\nreason it"), &hidden);
    let body = gateway.ask(&request).await.json();
    let content = message(&body)["content"].as_str().unwrap();
    assert!(
        content.starts_with("Having thought it through"),
        "{content}"
    );
    assert!(message(&body).get("reasoning").is_none());
    let details = &body["usage"]["completion_tokens_details"];
    assert_ne!(details["reasoning_tokens"], 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_streamed_block_comes_as_reasoning_before_the_content() {
    let gateway = Gateway::start(|_| {}).await;
    let fields = json!({ "stream": true, "reasoning_effort": "high" });
    for size in [1, 2, 3, 7, 50] {
        let prompt = format!("/emulate inline_think size:{size}\nreason it");
        let answer = gateway.ask(&with(asking(prompt), &fields)).await;
        let content = answer.joined("content");
        assert!(
            content.starts_with("Having thought it through"),
            "{content}"
        );
        let reasoning = answer.joined("reasoning_content");
        assert!(reasoning.starts_with("The message begins"), "{reasoning}");
        assert!(!reasoning.contains("think>"), "{reasoning}");
        let chunks = answer.chunks();
        let first = |field: &str| {
            chunks.iter().position(|chunk| {
                chunk["choices"][0]["delta"][field]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            })
        };
        assert!(first("reasoning_content") < first("content"));
        let steps = chunks.iter().filter(|chunk| {
            chunk["choices"][0]["delta"]
                .get("reasoning_content")
                .is_some()
        });
        assert!(steps.count() > 5, "reasoning is streamed, not saved up");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_block_given_twice_is_delivered_once() {
    let gateway = Gateway::start(|_| {}).await;
    let shown = json!({ "reasoning_effort": "high" });
    let request = with(asking("echo <think>Hm.</think>Yes."), &shown);
    let body = gateway.ask(&request).await.json();
    assert_eq!(message(&body)["content"], "Yes.");
    let reasoning = message(&body)["reasoning"].as_str().unwrap();
    assert!(
        reasoning.starts_with("The message begins \"echo"),
        "{reasoning}"
    );
    assert!(!reasoning.ends_with("Hm."), "{reasoning}");
    gateway.stop().await;
}

#[actix_web::test]
async fn tags_later_in_the_text_stay() {
    let gateway = Gateway::start(|_| {}).await;
    let text = "Write <think>so</think>, or <thinking>.";
    let body = gateway.ask(&asking(format!("echo {text}"))).await.json();
    assert_eq!(message(&body)["content"], text);
    gateway.stop().await;
}
