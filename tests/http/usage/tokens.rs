//! Estimated and exact counts.

use std::time::Duration;

use fal_gateway::config::UsageCount;
use fal_gateway::translate::{tokenizer, usage};
use serde_json::{Value, json};

use super::texts::{BOUND_PERCENT, SAMPLES};
use crate::harness::{Gateway, asking, with};

const COUNTED: &str = "counted; o200k_base";
/// What chat templates add around a prompt, by our estimate.
const AROUND: u64 = 7;

fn exact(text: &str) -> u64 {
    tokenizer::count(text, || true).unwrap()
}

async fn counting() -> Gateway {
    Gateway::with(|config| config.usage.count = UsageCount::Exact).await
}

fn assert_counts(usage: &Value, prompt: u64, completion: u64, reasoning: u64) {
    assert_eq!(usage["prompt_tokens"], prompt, "{usage}");
    assert_eq!(usage["completion_tokens"], completion, "{usage}");
    assert_eq!(usage["total_tokens"], prompt + completion, "{usage}");
    let details = &usage["completion_tokens_details"];
    assert_eq!(details["reasoning_tokens"], reasoning, "{usage}");
}

#[test]
fn the_estimate_stays_within_its_bound() {
    for sample in SAMPLES {
        let (estimated, exact) = (usage::tokens(sample.text) as f64, exact(sample.text) as f64);
        let error = (estimated / exact - 1.0) * 100.0;
        assert!(
            error.abs() <= BOUND_PERCENT,
            "{}: {error:+.1} %",
            sample.kind
        );
    }
}

#[test]
fn the_estimate_does_not_depend_on_cuts() {
    for sample in SAMPLES {
        let mut in_letters = usage::TokenEstimate::default();
        for letter in sample.text.chars() {
            in_letters.push(letter.encode_utf8(&mut [0; 4]));
        }
        assert_eq!(
            in_letters.tokens(),
            usage::tokens(sample.text),
            "{}",
            sample.kind
        );
    }
}

#[actix_web::test]
async fn whole_answers_are_counted() {
    let gateway = counting().await;
    for sample in SAMPLES {
        let prompt = format!("echo {}", sample.text);
        let answer = gateway.ask(&asking(prompt.as_str())).await;
        assert_eq!(answer.header("x-gateway-usage"), Some(COUNTED));
        let body = answer.json();
        let content = body["choices"][0]["message"]["content"].as_str().unwrap();
        assert_counts(&body["usage"], exact(&prompt) + AROUND, exact(content), 0);
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stream_that_was_asked_for_its_usage_is_counted() {
    let gateway = counting().await;
    let fields = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let answer = gateway.ask(&with(asking("count 500"), &fields)).await;
    assert_eq!(answer.header("x-gateway-usage"), Some(COUNTED));
    let usage = answer.chunks().pop().unwrap()["usage"].clone();
    let content = answer.joined("content");
    assert_counts(&usage, exact("count 500") + AROUND, exact(&content), 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stream_whose_usage_nobody_sees_is_not_counted() {
    let gateway = counting().await;
    let answer = gateway
        .ask(&with(asking("count 5"), json!({ "stream": true })))
        .await;
    assert_eq!(answer.header("x-gateway-usage"), Some("estimated"));
    assert_eq!(answer.joined("content"), "1 2 3 4 5");
    gateway.stop().await;
}

#[actix_web::test]
async fn every_choice_and_what_was_hidden_are_counted_and_the_prompt_once() {
    let gateway = counting().await;
    let fields = json!({ "n": 2, "reasoning": { "enabled": true, "exclude": true } });
    let body = gateway
        .ask(&with(asking("reason it"), &fields))
        .await
        .json();
    let fields = json!({ "reasoning_effort": "high" });
    let shown = gateway
        .ask(&with(asking("reason it"), &fields))
        .await
        .json();
    let message = &shown["choices"][0]["message"];
    let reasoning = exact(message["reasoning"].as_str().unwrap());
    let content = exact(message["content"].as_str().unwrap());
    let prompt = exact("reason it") + AROUND;
    assert_counts(&shown["usage"], prompt, reasoning + content, reasoning);
    assert!(body["choices"][0]["message"].get("reasoning").is_none());
    assert_counts(
        &body["usage"],
        prompt,
        2 * (reasoning + content),
        2 * reasoning,
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn instructions_count_as_prompt() {
    let gateway = counting().await;
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "echo yes" },
    ]);
    let body = gateway
        .ask(&with(asking(""), json!({ "messages": messages })))
        .await
        .json();
    let prompt = exact("Be brief.") + exact("echo yes") + AROUND;
    assert_counts(&body["usage"], prompt, exact("yes"), 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_client_that_leaves_while_tokens_are_counted_leaves_nothing_behind() {
    let gateway = counting().await;
    let fields = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let request = with(asking("long 200000"), &fields);
    for patience_ms in [1, 5, 20, 80] {
        let patience = Duration::from_millis(patience_ms);
        let _ = tokio::time::timeout(patience, async {
            gateway.chat(&request).send().await.unwrap().bytes().await
        })
        .await;
    }
    let body = gateway.ask(&asking("echo still here")).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], "still here");
    gateway.stop().await;
}

#[actix_web::test]
async fn counts_are_estimates_unless_asked_for() {
    let gateway = Gateway::start().await;
    let answer = gateway.ask(&asking("echo hello")).await;
    assert_eq!(answer.header("x-gateway-usage"), Some("estimated"));
    let tokens = usage::tokens("hello");
    assert_eq!(answer.json()["usage"]["completion_tokens"], tokens);
    gateway.stop().await;
}
