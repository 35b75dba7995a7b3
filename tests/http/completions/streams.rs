//! Streams: objects of the same shape as the whole answer, and together the same answer.

use serde_json::{Value, json};

use crate::completions::harness::stopped;
use crate::harness::Gateway;

#[actix_web::test]
async fn a_stream_is_text_completions_whose_last_has_the_reason() {
    let gateway = Gateway::start().await;
    // What arrives together is passed on together: the events come one after the other.
    let prompt = "/emulate size:3 gap:20ms\necho Hello there, you.";
    let answer = gateway.stream(prompt, json!({})).await;
    let chunks = answer.chunks();
    assert!(chunks.len() > 3, "{chunks:?}");
    let (last, before) = chunks.split_last().unwrap();
    for chunk in &chunks {
        assert_eq!(chunk["object"], "text_completion");
        assert_eq!(chunk["model"], "openai/gpt-4o-mini");
        assert!(chunk["id"].as_str().unwrap().starts_with("cmpl-"));
        assert_eq!(chunk["id"], last["id"]);
        assert_eq!(chunk["created"], last["created"]);
        assert_eq!(chunk["choices"].as_array().unwrap().len(), 1);
        assert_eq!(chunk["choices"][0]["logprobs"], Value::Null);
        assert!(chunk.get("usage").is_none());
    }
    for chunk in before {
        let choice = chunk["choices"][0].as_object().unwrap();
        assert_eq!(choice["finish_reason"], Value::Null);
        assert_ne!(choice["text"], "", "an object that says nothing");
    }
    let end = json!([{"text": "", "index": 0, "logprobs": null, "finish_reason": "stop"}]);
    assert_eq!(last["choices"], end);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let gateway = Gateway::start().await;
    let requests = [
        ("count 30", json!({})),
        ("unicode", json!({})),
        ("echo a\n\nb\r\nc", json!({"echo": true})),
        ("echo one<END>two /emulate size:1", json!({"stop": "<END>"})),
        (
            "echo one<END>two",
            json!({"stop": "<END>", "echo": true, "n": 3}),
        ),
        ("count 60", json!({"max_tokens": 5, "echo": true})),
        ("reason", json!({"reasoning_effort": "low"})),
        ("echo never /emulate empty", json!({"echo": true})),
    ];
    for (prompt, more) in requests {
        let whole = gateway.complete(prompt, more.clone()).await;
        let mut asks_usage = more.clone();
        asks_usage["stream_options"] = json!({"include_usage": true});
        let stream = gateway.stream(prompt, asks_usage).await;
        assert_eq!(stream.choices(), whole.choices(), "{prompt:?} {more}");
        // How far fal was read past a stop sequence, and so what it cost, depends on the network.
        if more.get("stop").is_none() {
            let usage = &stream.chunks().pop().unwrap()["usage"];
            assert_eq!(usage, &whole.json()["usage"], "{prompt:?} {more}");
        }
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn an_echo_is_the_first_object_of_each_choice() {
    let gateway = Gateway::start().await;
    let prompt = "echo again and again";
    let chunks = gateway
        .stream(prompt, json!({"echo": true, "n": 2}))
        .await
        .chunks();
    for index in [0, 1] {
        let first = chunks
            .iter()
            .find(|chunk| chunk["choices"][0]["index"] == index);
        assert_eq!(first.unwrap()["choices"][0]["text"], prompt);
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stop_sequence_is_found_across_chunks() {
    let gateway = Gateway::start().await;
    let prompt = "echo before<END>after /emulate size:1";
    let answer = gateway
        .stream(prompt, json!({"stop": ["<END>", "never"]}))
        .await;
    assert_eq!(answer.only_choice(), stopped("before"));
    gateway.stop().await;
}

#[actix_web::test]
async fn choices_stream_side_by_side() {
    let gateway = Gateway::start().await;
    let prompt = "echo abcdefghijklmnopqrstuvwxyz /emulate size:2 gap:20ms";
    let answer = gateway.stream(prompt, json!({"n": 2})).await;
    let alphabet = stopped("abcdefghijklmnopqrstuvwxyz");
    assert_eq!(answer.choices(), [alphabet.clone(), alphabet]);
    let chunks = answer.chunks();
    let ends = |index: u64| {
        let mine = chunks
            .iter()
            .enumerate()
            .filter(move |(_, chunk)| chunk["choices"][0]["index"] == index);
        let positions: Vec<usize> = mine.map(|(position, _)| position).collect();
        (positions[0], positions[positions.len() - 1])
    };
    let ((first, first_end), (second, second_end)) = (ends(0), ends(1));
    assert!(
        first.max(second) < first_end.min(second_end),
        "one choice waited for the other"
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn usage_comes_last_when_asked_for() {
    let gateway = Gateway::start().await;
    let more = json!({"n": 2, "stream_options": {"include_usage": true}});
    let chunks = gateway.stream("echo count me", more).await.chunks();
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["object"], "text_completion");
    assert!(last["usage"]["total_tokens"].as_u64().unwrap() > 0);
    for chunk in before {
        assert_eq!(chunk.get("usage"), Some(&Value::Null));
    }
    gateway.stop().await;
}
