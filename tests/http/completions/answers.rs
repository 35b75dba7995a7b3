//! What reaches fal, and what a whole answer says.

use serde_json::{Value, json};

use crate::completions::harness::stopped;
use crate::harness::{Gateway, send};

#[actix_web::test]
async fn the_prompt_reaches_fal_unchanged_and_alone() {
    let gateway = Gateway::start().await;
    let prompt = " user: hi\nassistant: \u{1f44d} <conversation-7K2Q> ";
    for asked in [json!(prompt), json!([prompt])] {
        let body = json!({"model": "openai/gpt-4o-mini", "prompt": asked, "stream": false, "temperature": 0.1});
        let answer = send(gateway.post("/v1/completions", &body)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-gateway-fold"), None);
    }
    let expected = json!({"prompt": prompt, "model": "openai/gpt-4o-mini", "temperature": 0.1});
    assert_eq!(gateway.asked_of_fal().await, [expected.clone(), expected]);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_whole_answer_is_a_text_completion() {
    let gateway = Gateway::start().await;
    let answer = gateway.complete("echo Hello.", json!({})).await;
    assert_eq!(answer.header("x-gateway-usage"), Some("estimated"));
    assert!(answer.header("x-fal-request-id").is_some());
    let mut json = answer.json();
    let id = json["id"].take();
    assert!(id.as_str().unwrap().starts_with("cmpl-"));
    assert!(json["created"].take().as_u64().unwrap() > 1_700_000_000);
    let usage = json["usage"].take();
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    let expected = json!({
        "id": null, "object": "text_completion", "created": null, "model": "openai/gpt-4o-mini",
        "choices": [{"text": "Hello.", "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": null,
    });
    assert_eq!(json, expected);
    gateway.stop().await;
}

#[actix_web::test]
async fn an_answer_is_as_long_as_it_wants_unless_asked_otherwise() {
    let gateway = Gateway::start().await;
    let (text, reason) = gateway.complete("count 60", json!({})).await.only_choice();
    assert!(text.ends_with(" 59 60"), "{text}");
    assert_eq!(reason, "stop");
    let cut = gateway.complete("count 60", json!({"max_tokens": 5})).await;
    assert_eq!(cut.only_choice().1, "length");
    let asked = gateway.asked_of_fal().await;
    assert_eq!(
        [&asked[0]["max_tokens"], &asked[1]["max_tokens"]],
        [&Value::Null, &json!(5)]
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn an_echo_puts_the_prompt_first_and_costs_no_tokens() {
    let gateway = Gateway::start().await;
    let plain = gateway.complete("echo and more", json!({})).await;
    let echoed = gateway
        .complete("echo and more", json!({"echo": true}))
        .await;
    assert_eq!(plain.only_choice(), stopped("and more"));
    assert_eq!(echoed.only_choice(), stopped("echo and moreand more"));
    assert_eq!(echoed.json()["usage"], plain.json()["usage"]);
    assert_eq!(echoed.header("x-gateway-emulated"), Some("echo"));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stop_sequence_cuts_the_answer_but_not_the_echo() {
    let gateway = Gateway::start().await;
    let more = json!({"stop": ["<END>"], "echo": true});
    let answer = gateway.complete("echo one <END> two", more).await;
    assert_eq!(answer.only_choice(), stopped("echo one <END> twoone "));
    gateway.stop().await;
}

#[actix_web::test]
async fn several_choices_are_several_calls() {
    let gateway = Gateway::start().await;
    let answer = gateway.complete("echo twin", json!({"n": 2})).await;
    assert_eq!(answer.choices(), [stopped("twin"), stopped("twin")]);
    assert_eq!(gateway.asked_of_fal().await.len(), 2);
    gateway.stop().await;
}

#[actix_web::test]
async fn reasoning_may_happen_but_is_not_shown() {
    let gateway = Gateway::start().await;
    let answer = gateway
        .complete("reason", json!({"reasoning_effort": "high"}))
        .await;
    let choice = &answer.json()["choices"][0];
    let mut fields: Vec<&str> = choice
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["finish_reason", "index", "logprobs", "text"]);
    assert_eq!(gateway.asked_of_fal().await[0]["reasoning"], true);
    gateway.stop().await;
}

#[actix_web::test]
async fn what_has_no_effect_is_named_and_what_says_nothing_is_not() {
    let gateway = Gateway::start().await;
    // Values that clients send by default.
    let nothing = json!({
        "n": 1, "best_of": 1, "echo": false, "suffix": null, "logprobs": null, "logit_bias": {}, "top_p": 1,
        "frequency_penalty": 0, "presence_penalty": 0, "max_tokens": null, "stop": null, "stream_options": null,
    });
    let answer = gateway.complete("echo hi", nothing).await;
    assert_eq!(answer.only_choice(), stopped("hi"));
    assert_eq!(answer.header("x-gateway-ignored"), None);
    assert_eq!(answer.header("x-gateway-emulated"), None);

    let something =
        json!({"seed": 7, "top_p": 0.5, "user": "u", "include_reasoning": true, "invented": 1});
    let answer = gateway.complete("echo hi", something).await;
    let ignored = "seed, top_p, user, include_reasoning, invented";
    let named: std::collections::BTreeSet<_> = ignored.split(", ").collect();
    let header = answer.header("x-gateway-ignored").unwrap();
    assert_eq!(
        header
            .split(", ")
            .collect::<std::collections::BTreeSet<_>>(),
        named
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn fal_s_priority_can_be_asked_for() {
    let gateway = Gateway::start().await;
    gateway.complete("hi", json!({"priority": "latency"})).await;
    gateway
        .complete("hi", json!({"service_tier": "flex"}))
        .await;
    let asked = gateway.asked_of_fal().await;
    assert_eq!(
        [&asked[0]["priority"], &asked[1]["priority"]],
        ["latency", "throughput"]
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn the_notes_stand_in_the_body_where_they_are_wanted() {
    let gateway = Gateway::with(|config| config.compat.notes_in_body = true).await;
    let more = json!({"echo": true, "seed": 1});
    let notes = json!({"emulated": ["echo"], "ignored": ["seed"]});
    let whole = gateway.complete("echo hi", more.clone()).await;
    assert_eq!(whole.json()["gateway"], notes);
    let chunks = gateway.stream("echo hi", more).await.chunks();
    let (first, rest) = chunks.split_first().unwrap();
    assert_eq!(first["gateway"], notes);
    assert!(rest.iter().all(|chunk| chunk.get("gateway").is_none()));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_request_can_be_explained_without_being_made() {
    let gateway = Gateway::start().await;
    let body = json!({"prompt": "echo hi"});
    let request = gateway.post("/v1/completions", &body);
    let answer = send(request.header("x-gateway-explain", "true")).await;
    assert_eq!(answer.json()["requests"][0]["input"]["prompt"], "echo hi");
    assert_eq!(gateway.asked_of_fal().await, Vec::<Value>::new());
    gateway.stop().await;
}

#[actix_web::test]
async fn another_model_can_stand_in() {
    let gateway = Gateway::start().await;
    let more = json!({"model": "nobody/nothing", "models": ["openai/gpt-4o-mini"]});
    let answer = gateway.complete("echo hi", more).await;
    assert_eq!(answer.only_choice(), stopped("hi"));
    assert_eq!(answer.json()["model"], "openai/gpt-4o-mini");
    gateway.stop().await;
}
