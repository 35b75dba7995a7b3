//! What becomes of each request field: the tables in the code and the description agree, and both
//! are true.

use std::collections::BTreeMap;

use fal_gateway::translate::draft::{Fate, Parameter};
use fal_gateway::translate::face::{chat, completions, messages, responses};
use fal_gateway::translate::fates;
use fal_gateway::translate::upstream::UpstreamId;
use serde_json::{Value, json};

use crate::contract::description::{Judge, document};
use crate::harness::{Gateway, asking, send, with};

/// An API with such a table.
pub(crate) struct Face {
    pub(crate) path: &'static str,
    /// The schema of its requests.
    pub(crate) schema: &'static str,
    pub(crate) table: &'static [Parameter],
    /// The least request.
    least: fn() -> Value,
}

pub(crate) const CHAT: Face = Face {
    path: "/v1/chat/completions",
    schema: "ChatCompletionRequest",
    table: chat::parameters::PARAMETERS,
    least: || asking("echo hi"),
};

pub(crate) const COMPLETIONS: Face = Face {
    path: "/v1/completions",
    schema: "CompletionRequest",
    table: completions::parameters::PARAMETERS,
    least: || json!({"prompt": "echo hi"}),
};

/// Its fates are met in the golden files of its plans.
pub(crate) const MESSAGES: Face = Face {
    path: "/v1/messages",
    schema: "MessageRequest",
    table: messages::parameters::PARAMETERS,
    least: || json!({"model": "openai/gpt-4o-mini", "max_tokens": 100, "messages": [{"role": "user", "content": "echo hi"}]}),
};

pub(crate) const RESPONSES: Face = Face {
    path: "/v1/responses",
    schema: "ResponseRequest",
    table: responses::parameters::PARAMETERS,
    least: || json!({"input": "echo hi"}),
};

pub(crate) const FACES: [Face; 4] = [CHAT, COMPLETIONS, MESSAGES, RESPONSES];

/// What becomes of a field on an upstream: first where the model takes it, then where it does not.
pub(crate) fn fate_on(row: &Parameter, upstream: UpstreamId) -> String {
    let fates = fates::on(row, upstream);
    match fates.unless {
        None => name(fates.fate).to_owned(),
        Some((_, otherwise)) => format!("{}, or {}", name(fates.fate), name(otherwise)),
    }
}

pub(crate) fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Forwarded => "forwarded",
        Fate::Emulated => "emulated",
        Fate::Ignored => "ignored",
        Fate::Refused => "refused",
    }
}

#[test]
fn the_description_says_of_each_field_what_the_tables_say() {
    let document = document();
    let text = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    for face in FACES {
        let rows = face.table.iter();
        let in_code: BTreeMap<_, _> = rows
            .map(|row| {
                let fate = name(row.fate).to_owned();
                (row.name.to_owned(), (fate, row.says.to_owned()))
            })
            .collect();
        let schema = &document["components"]["schemas"][face.schema];
        let fields = schema["properties"].as_object().unwrap().iter();
        let described: BTreeMap<_, _> = fields
            .map(|(name, field)| {
                let fate = text(&field["x-gateway-fate"]);
                (name.clone(), (fate, text(&field["x-gateway-how"])))
            })
            .collect();
        assert_eq!(described, in_code);
    }
}

fn function() -> Value {
    json!({"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }})
}

/// The same for the fields that only responses have.
fn telling_values_of_responses() -> Value {
    json!({
        "input": "echo hi", "instructions": "Be brief.", "max_output_tokens": 900,
        "text": {"format": {"type": "json_object"}}, "truncation": "auto", "max_tool_calls": 3,
        "context_management": [{"type": "compaction"}], "client_metadata": {"turn_id": "1"},
    })
}

/// A value with an effect in this API; some fields have another form in each.
fn telling_value(face: &Face, name: &str) -> Value {
    let tool = with(function(), json!({"type": "function"}));
    match (face.path, name) {
        ("/v1/responses", "reasoning") => json!({"effort": "low"}),
        ("/v1/responses", "tools") => json!([tool]),
        ("/v1/responses", "stream_options") => json!({"include_obfuscation": true}),
        (_, "audio") => json!({"voice": "alloy", "format": "wav"}),
        _ => with(telling_values(), telling_values_of_responses())[name].clone(),
    }
}

/// What a field needs beside it to have an effect.
fn company(face: &Face, name: &str) -> Value {
    let tool = with(function(), json!({"type": "function"}));
    match name {
        "tool_choice" | "parallel_tool_calls" if face.path == "/v1/responses" => {
            json!({"tools": [tool]})
        }
        // Without a stream it says nothing.
        "stream_options" => json!({"stream": true}),
        "tool_choice" | "parallel_tool_calls" => {
            json!({"tools": [{"type": "function", "function": function()}]})
        }
        "function_call" => json!({"functions": [function()]}),
        _ => json!({}),
    }
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
        "messages": [{"role": "user", "content": "echo hi"}], "parallel_tool_calls": false,
        "response_format": {"type": "json_object"}, "tools": [{"type": "function", "function": function()}], "tool_choice": "required",
        "functions": [function()], "function_call": {"name": "get_weather"},
        "models": ["openai/gpt-4o"], "prompt": ["echo hi"], "echo": true,
    })
}

#[actix_web::test]
async fn each_field_meets_the_fate_that_is_written() {
    let world = Gateway::open("");
    let judge = Judge::new();
    for face in [CHAT, COMPLETIONS, RESPONSES] {
        for row in face.table.iter().filter(|row| row.fate != Fate::Refused) {
            let what = format!("{} of {}", row.name, face.path);
            let value = match row.name {
                "previous_response_id" => {
                    let first = send(world.post(face.path, &(face.least)())).await;
                    first.json()["id"].clone()
                }
                "background" => true.into(),
                "conversation" => {
                    let made = send(world.post("/v1/conversations", &json!({}))).await;
                    made.json()["id"].clone()
                }
                name => telling_value(&face, name),
            };
            assert!(!value.is_null(), "no telling value for {what}");
            let request = with((face.least)(), json!({ row.name: value }));
            let request = with(request, company(&face, row.name));
            let faults = judge.schema_faults(face.schema, &request);
            assert!(faults.is_empty(), "{what}: {faults:?}");
            let answer = send(world.post(face.path, &request)).await;
            assert_eq!(answer.status, 200, "{what}: {:?}", answer.body);
            judge.judge("POST", face.path, &answer);
            let noted = |header| {
                let names = answer.header(header).unwrap_or_default();
                names.split(", ").any(|name| name == row.name)
            };
            // Messages show in the fold.
            let is_quiet = ["messages", "input"].contains(&row.name);
            let (emulated, ignored) = match row.fate {
                Fate::Emulated => (!is_quiet, false),
                Fate::Ignored => (false, !is_quiet),
                Fate::Forwarded | Fate::Refused => (false, false),
            };
            assert_eq!(noted("x-gateway-emulated"), emulated, "{what}");
            assert_eq!(noted("x-gateway-ignored"), ignored, "{what}");
        }
    }
}

/// For every field that can be refused: a value that is, and one that is not.
fn refused_and_accepted() -> Value {
    json!({
        "logprobs": [true, false],
        "top_logprobs": [3, 0],
        "logit_bias": [{"50256": -100}, {}],
        "modalities": [["text", "audio"], ["text"]],
        "web_search_options": [{}, null],
        "moderation": [{}, null],
        "plugins": [[{"id": "web"}], []],
        "suffix": ["the end", ""],
        "best_of": [2, 1],
        "include": [["message.output_text.logprobs"], ["reasoning.encrypted_content"]],
        "prompt": [{"id": "pmpt_1"}, null],
    })
}

#[actix_web::test]
async fn refused_fields_are_refused_unless_they_say_nothing() {
    let world = Gateway::open("");
    let judge = Judge::new();
    let cases = refused_and_accepted();
    for face in [CHAT, COMPLETIONS, RESPONSES] {
        for row in face.table.iter().filter(|row| row.fate == Fate::Refused) {
            let case = &cases[row.name];
            assert!(case.is_array(), "no case for {}", row.name);
            for (value, status) in [(&case[0], 400), (&case[1], 200)] {
                let what = format!("{} = {value}", row.name);
                let request = with((face.least)(), json!({ row.name: value }));
                let fits = judge.schema_faults(face.schema, &request).is_empty();
                // What some models take is described, whoever else refuses it.
                let is_described = row.unless_listed.is_some();
                assert_eq!(fits, status == 200 || is_described, "{what}");
                let answer = send(world.post(face.path, &request)).await;
                assert_eq!(answer.status, status, "{what}");
                judge.judge("POST", face.path, &answer);
                if status == 400 {
                    assert_eq!(answer.json()["error"]["param"], row.name, "{what}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn what_a_setting_lets_pass_is_ignored_and_named() {
    let world =
        Gateway::open("[compat]\nignore = [\"logprobs\", \"top_logprobs\", \"logit_bias\"]\n");
    let some = Gateway::open("[compat]\nignore = [\"logit_bias\"]\n");
    let chat = json!({"logprobs": true, "top_logprobs": 20, "logit_bias": {"1712": -100}});
    let completions = json!({"logprobs": 5, "logit_bias": {"1712": -100}});
    for (face, fields) in [(CHAT, chat), (COMPLETIONS, completions)] {
        let names = fields
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        for is_stream in [false, true] {
            let request = with((face.least)(), fields.clone());
            let request = with(request, json!({"stream": is_stream}));
            let answer = send(world.post(face.path, &request)).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let ignored = answer.header("x-gateway-ignored").unwrap_or_default();
            let mut ignored = ignored.split(", ").collect::<Vec<_>>();
            ignored.sort_unstable();
            let mut names = names.clone();
            names.sort_unstable();
            assert_eq!(ignored, names);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(body.contains("\"logprobs\":null"), "{body}");
            let strict = world
                .post(face.path, &request)
                .header("x-gateway-strict", "true");
            assert_eq!(send(strict).await.status, 400);
            let refused = send(some.post(face.path, &request)).await;
            assert_eq!(refused.json()["error"]["param"], "logprobs");
        }
    }
}
