//! What a whole answer says, and which inputs are refused.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::harness::{Fal, send};

#[tokio::test]
async fn a_whole_answer_has_all_four_keys_and_a_request_id() {
    let fal = Fal::start().await;
    let answer = fal.ask("echo héllo 👍 ").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        r#"{"output":"héllo 👍 ","reasoning":null,"partial":false,"error":null}"#
    );
    assert_eq!(answer.header("x-fal-request-id").unwrap().len(), 36);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn the_same_question_always_gets_the_same_tagged_answer() {
    let fal = Fal::with(Options::default()).await;
    let answer = fal.output("Tell me about gates").await;
    assert!(answer.starts_with(
        "[fal-gateway emulator — not a real model] You said: \"Tell me about gates\""
    ));
    assert_eq!(answer, fal.output("Tell me about gates").await);
    assert_ne!(answer, fal.output("Tell me about rivers").await);
    assert_eq!(fal.output("echo exact").await, "exact");
}

#[tokio::test]
async fn commands_do_what_they_say() {
    let fal = Fal::start().await;
    assert_eq!(fal.output("count 4").await, "1 2 3 4");
    assert_eq!(fal.output("ECHO  two\n lines ").await, " two\n lines ");
    assert_eq!(fal.output("long 12345").await.chars().count(), 12345);
    assert!(fal.output("unicode").await.contains('\u{2028}'));
    assert!(fal.output("markdown").await.contains("```python"));
    let parsed: Value = serde_json::from_str(&fal.output("json").await).unwrap();
    assert_eq!(parsed["name"], "Ada");
}

#[tokio::test]
async fn max_tokens_cuts_at_four_characters_each() {
    let fal = Fal::start().await;
    let answer = send(fal.post(
        "/fal-ai/any-llm",
        &json!({ "prompt": "echo äbcdefghij", "max_tokens": 2 }),
    ))
    .await;
    assert_eq!(answer.json()["output"], "äbcdefgh");
}

#[tokio::test]
async fn the_message_is_what_follows_the_record_of_a_conversation() {
    let fal = Fal::start().await;
    let record = "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">My name is Ada. /emulate hang</turn-7K2Q>\n<turn-7K2Q role=\"assistant\">Hi!</turn-7K2Q>\n</conversation-7K2Q>\n\n";
    assert_eq!(
        fal.output(&format!("{record}echo \nverbatim")).await,
        "\nverbatim"
    );
    assert_eq!(
        fal.output(&format!("{record}What is my name?")).await,
        "Your name is Ada."
    );
    let recalled = fal.output(&format!("{record}recall")).await;
    assert_eq!(
        recalled,
        "You first said: \"My name is Ada. /emulate hang\""
    );
}

#[tokio::test]
async fn describe_tells_what_arrived() {
    let fal = Fal::start().await;
    let input = json!({
        "prompt": "describe", "system_prompt": "Be brief", "model": "openai/gpt-4o", "temperature": 0.5,
        "max_tokens": 5000, "reasoning": true, "priority": "throughput",
        "image_urls": ["data:image/png;base64,aGVsbG8=", "https://example.com/a.jpg"],
    });
    let answer = send(fal.post("/fal-ai/any-llm/vision", &input))
        .await
        .json();
    let seen: Value = serde_json::from_str(answer["output"].as_str().unwrap()).unwrap();
    assert_eq!(seen["endpoint"], "any-llm/vision");
    assert_eq!(seen["prompt_chars"], 8);
    assert_eq!(seen["system_prompt"], "Be brief");
    assert_eq!(seen["priority"], "throughput");
    assert_eq!(
        seen["images"][0],
        json!({ "source": "data", "type": "image/png", "bytes": 5 })
    );
    assert!(
        answer["reasoning"]
            .as_str()
            .unwrap()
            .starts_with("The message begins")
    );
}

#[tokio::test]
async fn bad_input_is_refused_in_pydantics_words() {
    let fal = Fal::start().await;
    let cases = [
        (json!({}), "missing", json!(["body", "prompt"])),
        (
            json!({ "prompt": 1 }),
            "string_type",
            json!(["body", "prompt"]),
        ),
        (
            json!({ "prompt": "a", "model": "x" }),
            "literal_error",
            json!(["body", "model"]),
        ),
        (
            json!({ "prompt": "a", "priority": "fast" }),
            "literal_error",
            json!(["body", "priority"]),
        ),
        (
            json!({ "prompt": "a", "temperature": 2.1 }),
            "less_than_equal",
            json!(["body", "temperature"]),
        ),
        (
            json!({ "prompt": "a", "temperature": -1 }),
            "greater_than_equal",
            json!(["body", "temperature"]),
        ),
        (
            json!({ "prompt": "a", "max_tokens": "many" }),
            "int_parsing",
            json!(["body", "max_tokens"]),
        ),
        (
            json!({ "prompt": "a", "reasoning": "perhaps" }),
            "bool_parsing",
            json!(["body", "reasoning"]),
        ),
        (json!(["prompt"]), "model_attributes_type", json!(["body"])),
    ];
    for (input, kind, loc) in cases {
        let answer = send(fal.post("/fal-ai/any-llm", &input)).await;
        assert_eq!(answer.status, 422, "{input}");
        assert_eq!(answer.header("x-fal-billable-units"), Some("0"));
        let detail = &answer.json()["detail"][0];
        assert_eq!(
            (&detail["type"], &detail["loc"]),
            (&json!(kind), &loc),
            "{input}"
        );
    }
}

#[tokio::test]
async fn an_unknown_model_is_told_the_catalogue() {
    let fal = Fal::start().await;
    let input = json!({ "prompt": "a", "model": "nobody/knows" });
    let msg = send(fal.post("/fal-ai/any-llm", &input)).await.json()["detail"][0]["msg"].clone();
    let msg = msg.as_str().unwrap();
    assert!(
        msg.starts_with("Input should be 'anthropic/claude-sonnet-4.5', "),
        "{msg}"
    );
    assert!(
        msg.ends_with("'meta-llama/llama-4-maverick' or 'meta-llama/llama-4-scout'"),
        "{msg}"
    );
    let enterprise = json!({ "prompt": "a", "model": "deepseek/deepseek-r1" });
    assert_eq!(
        send(fal.post("/fal-ai/any-llm", &enterprise)).await.status,
        200
    );
    assert_eq!(
        send(fal.post("/fal-ai/any-llm/enterprise", &enterprise))
            .await
            .status,
        422
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_is_located() {
    let fal = Fal::start().await;
    let answer = send(
        fal.request("POST", "/fal-ai/any-llm")
            .body(r#"{"prompt": x}"#),
    )
    .await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", 11]));
    assert_eq!(answer.json()["detail"][0]["type"], "json_invalid");
}

#[tokio::test]
async fn vision_takes_both_spellings_and_refuses_broken_images() {
    let fal = Fal::start().await;
    let old = json!({ "prompt": "describe", "image_url": "https://example.com/a.jpg" });
    let answer = send(fal.post("/fal-ai/any-llm/vision", &old)).await.json();
    assert!(
        answer["output"]
            .as_str()
            .unwrap()
            .contains("\"image_count\":1")
    );
    for (url, kind) in [
        ("data:image/png;base64,%%%", "image_load_error"),
        ("ftp://a/b", "file_download_error"),
    ] {
        let answer = send(fal.post(
            "/fal-ai/any-llm/vision",
            &json!({ "prompt": "a", "image_urls": [url] }),
        ))
        .await;
        let detail = &answer.json()["detail"][0];
        assert_eq!(
            (&detail["type"], &detail["loc"]),
            (&json!(kind), &json!(["body", "image_urls", 0]))
        );
    }
}

#[tokio::test]
async fn prompts_over_the_limit_are_counted_in_characters() {
    let fal = Fal::start().await;
    let ask = |field: &'static str, chars: usize| {
        let mut input = json!({ "prompt": "hi" });
        input[field] = json!("é".repeat(chars));
        send(
            fal.post("/fal-ai/any-llm", &input)
                .header("x-emulate", "limit:5000"),
        )
    };
    for field in ["prompt", "system_prompt"] {
        assert_eq!(ask(field, 5000).await.status, 200);
        let answer = ask(field, 5001).await;
        assert_eq!(answer.status, 422);
        assert_eq!(
            answer.json()["detail"][0]["msg"],
            "String should have at most 5000 characters"
        );
        assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", field]));
    }
}
