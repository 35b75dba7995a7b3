//! What becomes of each request field: the table in the code and the description agree, and both
//! are true.

use std::collections::BTreeMap;

use fal_gateway::translate::draft::Fate;
use fal_gateway::translate::face::chat::parameters::PARAMETERS;
use serde_json::{Value, json};

use crate::description::{Judge, document};
use crate::world::{World, question, send, with};

pub(crate) fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Forwarded => "forwarded",
        Fate::Emulated => "emulated",
        Fate::Ignored => "ignored",
        Fate::Refused => "refused",
    }
}

#[test]
fn the_description_says_of_each_field_what_the_table_says() {
    let in_code: BTreeMap<_, _> = PARAMETERS
        .iter()
        .map(|row| {
            (
                row.name.to_owned(),
                (name(row.fate).to_owned(), row.says.to_owned()),
            )
        })
        .collect();
    let document = document();
    let text = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    let described: BTreeMap<_, _> =
        document["components"]["schemas"]["ChatCompletionRequest"]["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, field)| {
                let fate = text(&field["x-gateway-fate"]);
                (name.clone(), (fate, text(&field["x-gateway-how"])))
            })
            .collect();
    assert_eq!(described, in_code);
}

/// A value with an effect, for every field that is not refused.
fn telling_values() -> Value {
    json!({
        "stop": ["zzz"], "stream_options": {"include_usage": true}, "n": 2,
        "reasoning_effort": "low", "service_tier": "flex", "reasoning": {"enabled": true},
        "include_reasoning": true, "temperature": 0.5, "max_tokens": 900,
        "max_completion_tokens": 900, "stream": true, "model": "gpt-4o-mini",
        "priority": "latency", "top_p": 0.5, "frequency_penalty": 1, "presence_penalty": 1,
        "seed": 1, "verbosity": "low", "prediction": {"type": "content", "content": "x"},
        "store": true, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h",
        "prompt_cache_options": {"ttl": "5m"}, "top_k": 40, "min_p": 0.1,
        "repetition_penalty": 1.1, "provider": {"order": ["x"]}, "transforms": ["middle-out"],
        "messages": [{"role": "user", "content": "echo hi"}], "parallel_tool_calls": true,
    })
}

#[actix_web::test]
async fn each_field_meets_the_fate_that_is_written() {
    let world = World::open("");
    let judge = Judge::new();
    let values = telling_values();
    for row in PARAMETERS.iter().filter(|row| row.fate != Fate::Refused) {
        let value = &values[row.name];
        assert!(!value.is_null(), "no telling value for {}", row.name);
        let request = with(question("echo hi"), json!({ row.name: value }));
        assert_eq!(
            judge.schema_faults("ChatCompletionRequest", &request),
            [""; 0],
            "{}",
            row.name
        );
        let answer = send(world.chat(&request)).await;
        assert_eq!(answer.status, 200, "{}: {:?}", row.name, answer.body);
        judge.judge("POST", "/v1/chat/completions", &answer);
        let noted = |header| answer.header(header) == Some(row.name);
        // Two of them say nothing here: messages show in the fold, calls need tools.
        let is_quiet = matches!(row.name, "messages" | "parallel_tool_calls");
        let (emulated, ignored) = match row.fate {
            Fate::Emulated => (!is_quiet, false),
            Fate::Ignored => (false, !is_quiet),
            Fate::Forwarded | Fate::Refused => (false, false),
        };
        assert_eq!(noted("x-gateway-emulated"), emulated, "{}", row.name);
        assert_eq!(noted("x-gateway-ignored"), ignored, "{}", row.name);
    }
}

#[actix_web::test]
async fn refused_fields_are_refused_unless_they_say_nothing() {
    let world = World::open("");
    let judge = Judge::new();
    let cases = json!({
        "response_format": [{"type": "json_object"}, {"type": "text"}],
        "tools": [[{"type": "function", "function": {"name": "f"}}], []],
        "tool_choice": ["required", "auto"],
        "functions": [[{"name": "f"}], []],
        "function_call": [{"name": "f"}, "none"],
        "logprobs": [true, false],
        "top_logprobs": [3, 0],
        "logit_bias": [{"50256": -100}, {}],
        "modalities": [["text", "audio"], ["text"]],
        "audio": [{"voice": "alloy", "format": "wav"}, null],
        "web_search_options": [{}, null],
        "moderation": [{}, null],
        "models": [["openai/gpt-4o"], []],
        "plugins": [[{"id": "web"}], []],
    });
    for row in PARAMETERS.iter().filter(|row| row.fate == Fate::Refused) {
        let case = &cases[row.name];
        assert!(case.is_array(), "no case for {}", row.name);
        for (value, status) in [(&case[0], 400), (&case[1], 200)] {
            let request = with(question("echo hi"), json!({ row.name: value }));
            let fits = judge
                .schema_faults("ChatCompletionRequest", &request)
                .is_empty();
            assert_eq!(fits, status == 200, "{} = {value}", row.name);
            let answer = send(world.chat(&request)).await;
            assert_eq!(answer.status, status, "{} = {value}", row.name);
            judge.judge("POST", "/v1/chat/completions", &answer);
            if status == 400 {
                let param = answer.json()["error"]["param"].clone();
                let of_the_field = [json!(row.name), json!("tool_choice")];
                assert!(of_the_field.contains(&param), "{}: {param}", row.name);
            }
        }
    }
}
