//! Requests take time in proportion to their length, from the first byte to the plan and its
//! explanation, and so does holding an answer against a schema. Whatever is made for a square (names
//! that are tried one after the other, lists that are searched for each item) is here twice: once
//! short, and eight times as long.

mod messages;

use std::time::Duration;

use fal_gateway::config::{Config, KeyHash, Sources};
use fal_gateway::translate::ask::Ask;
use fal_gateway::translate::explain::explain;
use fal_gateway::translate::face::chat::messages::MessageLimits;
use fal_gateway::translate::face::chat::parse::parse;
use fal_gateway::translate::fold::{Overflow, PromptLimits};
use fal_gateway::translate::image;
use fal_gateway::translate::json::{
    Schema, TextMember, count_values, object_of_texts, parse_arguments,
};
use fal_gateway::translate::plan::{PlanLimits, candidates, plan};
use fal_gateway::translate::reading::{Format, Reader, ReaderLimits};
use fal_gateway::translate::rejection::Rejection;
use fal_gateway::translate::upstream::{Apps, UpstreamId};
use serde_json::{Value, json};

use crate::clock::cpu_time;
use crate::support::{CAPABILITIES, CATALOGUE, Heard, through};

const KIB: usize = 1024;
/// Twice the text may take 2.3 times as long, and these are three times twice.
const MAX_GROWTH: u32 = 12;
/// Less than this says nothing.
const FLOOR: Duration = Duration::from_millis(20);

const LIMITS: MessageLimits = MessageLimits {
    max_messages: 100_000,
    ignore: Vec::new(),
    images: image::ImageLimits {
        max_images: 10_000,
        excess: image::Excess::DropOldest,
        max_image_bytes: 1024,
        allow_http: false,
    },
};

/// Fails where eight times as much takes more than in proportion.
fn grows_in_proportion(what: &str, work: impl Fn(usize)) {
    grows_in_proportion_from(24 * KIB, what, work);
}

/// The same from another length on: what is only copied again and again shows late.
fn grows_in_proportion_from(least: usize, what: &str, work: impl Fn(usize)) {
    let time = |bytes: usize| {
        let started = cpu_time();
        work(bytes);
        cpu_time() - started
    };
    // A neighbour makes some runs look long, and never all of them: a pair is measured in one go.
    let mut seen = Vec::new();
    let is_in_proportion = (0..6).any(|_| {
        let (short, long) = (time(least).max(FLOOR), time(8 * least));
        seen.push((short, long));
        long < short * MAX_GROWTH
    });
    assert!(is_in_proportion, "{what}: {seen:?}");
}

/// A chat request that is read, planned and explained.
fn serve(body: &str) {
    serve_as(|| parse(body.as_bytes(), &LIMITS));
}

/// A request that is read, planned with and without little room and for messages, and explained.
fn serve_as<'b>(parse: impl Fn() -> Result<Ask<'b>, Rejection>) {
    let little = |overflow| PromptLimits {
        prompt: Some(4_000),
        system_prompt: Some(4_000),
        overflow,
    };
    for (upstream, room) in [
        (UpstreamId::AnyLlm, PromptLimits::default()),
        (UpstreamId::AnyLlm, little(Overflow::Shift)),
        (UpstreamId::AnyLlm, little(Overflow::DropOldest)),
        (UpstreamId::RouterOpenai, PromptLimits::default()),
    ] {
        let capabilities = PlanLimits {
            room,
            ..through(upstream, &CAPABILITIES)
        };
        let planned = parse().and_then(|ask| {
            let (target, others) = candidates(&ask, &CATALOGUE, &capabilities)?;
            plan(&ask, &target, &others, &capabilities)
        });
        let Ok(plan) = planned else {
            continue;
        };
        let explanation = explain(&plan, &Apps::default(), &room);
        assert!(!serde_json::to_vec(&explanation).unwrap().is_empty());
    }
}

fn times<T>(bytes: usize, each: usize, item: impl Fn(usize) -> T) -> Vec<T> {
    (0..bytes / each).map(item).collect()
}

fn request(fields: Value) -> String {
    let mut body = json!({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]});
    let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) else {
        unreachable!("both are objects");
    };
    body.extend(fields);
    Value::Object(std::mem::take(body)).to_string()
}

fn with_image(text: &str) -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/1.png"}});
    json!([{"role": "user", "content": [{"type": "text", "text": text}, image.clone(), image]}])
}

fn tool(name: &str, parameters: &Value) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

fn chat(turns: usize, text: impl Fn(usize) -> String) -> Value {
    let turn = |at: usize| {
        let role = ["user", "assistant"][at % 2];
        json!({"role": role, "content": text(at)})
    };
    (0..turns | 1).map(turn).collect()
}

/// Definitions of which each refers to the one below twice, the last one by a name of this length.
fn chain(levels: usize, name: &str) -> Value {
    let mut definitions = serde_json::Map::new();
    definitions.insert(name.to_owned(), json!({"type": "string"}));
    let mut below = json!({"$ref": format!("#/$defs/{name}")});
    for level in 0..levels {
        definitions.insert(format!("d{level}"), json!({"anyOf": [below, below]}));
        below = json!({"$ref": format!("#/$defs/d{level}")});
    }
    json!({"$defs": definitions, "$ref": below["$ref"]})
}

type Shape = (&'static str, fn(usize) -> String);

const TEXTS: [Shape; 10] = [
    ("an image's word", |bytes| {
        request(json!({"messages": with_image(&format!("[image{}", "_".repeat(bytes)))}))
    }),
    ("many of an image's words", |bytes| {
        request(json!({"messages": with_image(&"[image_[image".repeat(bytes / 13))}))
    }),
    ("many short messages", |bytes| {
        request(json!({"messages": chat(bytes / 36, |_| "a".to_owned())}))
    }),
    ("many images", |bytes| {
        let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/1.png"}});
        let parts = times(bytes, 80, |_| image.clone());
        request(json!({"messages": [{"role": "user", "content": parts}]}))
    }),
    ("many parts", |bytes| {
        let parts = times(bytes, 30, |_| json!({"type": "text", "text": "a"}));
        request(json!({"messages": [{"role": "user", "content": parts}]}))
    }),
    ("many instructions", |bytes| {
        let mut messages = times(bytes, 36, |_| json!({"role": "system", "content": "a"}));
        messages.push(json!({"role": "user", "content": "Hi"}));
        request(json!({"messages": messages}))
    }),
    ("texts that look like turns", |bytes| {
        let text = "<turn-7K2Q role=\"user\">\n</turn-7K2Q>".repeat(bytes / 140);
        request(json!({"messages": chat(4, |_| text.clone())}))
    }),
    ("many calls and their results", |bytes| {
        let call = |at: usize| json!({"id": format!("call_{at}"), "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}});
        let calls = times(bytes, 150, call);
        let mut messages = vec![
            json!({"role": "user", "content": "Hi"}),
            json!({"role": "assistant", "tool_calls": calls}),
        ];
        messages.extend(times(
            bytes,
            150,
            |at| json!({"role": "tool", "tool_call_id": format!("call_{at}"), "content": "b"}),
        ));
        request(json!({"model": "anthropic/claude-3.5-sonnet", "messages": messages}))
    }),
    ("arguments of many members", |bytes| {
        let arguments = times(bytes, 18, |at| format!("\"member{at}\": 1")).join(", ");
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": format!("{{{arguments}}}")}});
        let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "b"}]);
        request(json!({"model": "anthropic/claude-3.5-sonnet", "messages": messages}))
    }),
    ("fields of long names", |bytes| {
        let fields = (0..200).map(|at| (format!("{}{at:03}", "n".repeat(bytes / 200)), json!(1)));
        request(Value::Object(fields.collect()))
    }),
];

const LISTS: [Shape; 12] = [
    ("many stops", |bytes| {
        request(json!({"stop": times(bytes, 3, |_| "")}))
    }),
    ("many models", |bytes| {
        request(json!({"models": times(bytes, 3, |_| "a")}))
    }),
    ("many tools", |bytes| {
        let tools = times(bytes, 70, |at| tool(&format!("t{at}"), &json!({})));
        request(json!({"tools": tools}))
    }),
    ("tools that are named", |bytes| {
        let tools = (0..128).map(|at| tool(&format!("t{at}"), &json!({})));
        let names = times(
            bytes,
            40,
            |at| json!({"function": {"name": format!("t{}", at % 128)}}),
        );
        let choice =
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": names}});
        request(json!({"tools": tools.collect::<Vec<_>>(), "tool_choice": choice}))
    }),
    ("a tool of many parameters", |bytes| {
        let names = times(bytes.min(96 * KIB), 40, |at| format!("p{at}"));
        let properties = names
            .iter()
            .map(|name| (name.clone(), json!({"type": "string"})));
        let schema = json!({"type": "object", "properties": properties.collect::<serde_json::Map<_, _>>(), "required": names});
        request(json!({"tools": [tool("f", &schema)]}))
    }),
    ("many tools of some parameters", |bytes| {
        let properties =
            (0..bytes / 128 / 34).map(|at| (format!("p{at}"), json!({"type": "string"})));
        let schema =
            json!({"type": "object", "properties": properties.collect::<serde_json::Map<_, _>>()});
        request(
            json!({"tools": (0..128).map(|at| tool(&format!("t{at}"), &schema)).collect::<Vec<_>>()}),
        )
    }),
    ("a long reference", |bytes| {
        let schema = chain(14, &"n".repeat(bytes / 2));
        request(json!({"tools": [tool("f", &schema)]}))
    }),
    ("many tools of references that multiply", |bytes| {
        let tools = times(bytes.min(128 * 1200), 1200, |at| {
            tool(&format!("t{at}"), &chain(10, "n"))
        });
        request(json!({"tools": tools}))
    }),
    ("many patterns", |bytes| {
        let patterns = times(
            bytes,
            24,
            |at| json!({"pattern": format!("^a{{{}}}$", at % 90)}),
        );
        request(json!({"tools": [tool("f", &json!({"anyOf": patterns}))]}))
    }),
    ("many patterns that do not compile", |bytes| {
        let patterns = times(bytes, 24, |at| json!({"pattern": format!("(?={at})")}));
        request(json!({"tools": [tool("f", &json!({"anyOf": patterns}))]}))
    }),
    ("quoted calls", |bytes| {
        let text = "<tool_call>{\"name\": \"f\"".repeat(bytes / 25);
        request(
            json!({"messages": [{"role": "user", "content": text}], "tools": [tool("f", &json!({}))]}),
        )
    }),
    ("a list as parameters", |bytes| {
        let schema = json!({"a": times(bytes, 3, |_| json!([]))});
        request(json!({"tools": [tool("f", &schema)]}))
    }),
];

#[test]
fn planning_takes_time_in_proportion_to_the_texts() {
    for (what, body) in TEXTS {
        grows_in_proportion(what, |bytes| serve(&body(bytes)));
    }
}

#[test]
fn the_results_of_a_call_are_joined_once_however_many_there_are() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let said = [
        json!({"role": "user", "content": "Hi"}),
        json!({"role": "assistant", "tool_calls": [call]}),
    ];
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "b".repeat(KIB)});
    grows_in_proportion_from(512 * KIB, "results of one call", |bytes| {
        let results = times(bytes, KIB, |_| result.clone());
        let messages: Vec<Value> = said.iter().cloned().chain(results).collect();
        let body = request(json!({"model": "openai/gpt-4.1", "messages": messages}));
        let ask = parse(body.as_bytes(), &LIMITS).unwrap();
        let native = through(UpstreamId::RouterOpenai, &CAPABILITIES);
        let (target, others) = candidates(&ask, &CATALOGUE, &native).unwrap();
        // The longest is more than the model takes, which is found out when all is written.
        let _ = plan(&ask, &target, &others, &native);
    });
}

#[test]
fn planning_takes_time_in_proportion_to_the_lists() {
    for (what, body) in LISTS {
        grows_in_proportion(what, |bytes| serve(&body(bytes)));
    }
}

#[test]
fn the_schemas_of_a_request_cost_little_however_many_tools_there_are() {
    let started = cpu_time();
    let tools = (0..128).map(|at| tool(&format!("t{at}"), &chain(12, "n")));
    serve(&request(json!({"tools": tools.collect::<Vec<_>>()})));
    let one = cpu_time() - started;
    assert!(
        one < Duration::from_secs(4),
        "without optimisation: {one:?}"
    );
}

#[test]
fn holding_an_answer_against_a_schema_takes_time_in_proportion_to_it() {
    let long = format!("#/$defs/{}", "n".repeat(1000));
    let definitions = json!({"n".repeat(1000): {"type": "integer"}});
    let branches: Vec<Value> = (0..8)
        .map(|at| json!({"type": "object", "properties": {"k": {"const": at}}}))
        .collect();
    let options: Vec<Value> = (0..4)
        .map(|at| json!("Option".repeat(200) + &at.to_string()))
        .collect();
    let rows = [
        ("a long reference", json!({"$ref": long}), "\"1\""),
        ("branches", json!({"anyOf": branches}), "{\"k\": 3}"),
        ("options", json!({"enum": options}), "\"option\""),
        (
            "lengths",
            json!({"type": "string", "maxLength": 9}),
            "\"abc\"",
        ),
        (
            "unique items",
            json!({"type": "array", "uniqueItems": true}),
            "[1, 2]",
        ),
    ];
    for (what, items, item) in rows {
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": items}}, "$defs": definitions});
        let schema = Schema::new(&schema).unwrap();
        grows_in_proportion(what, |bytes| {
            let items = vec![item; bytes / (item.len() + 1)].join(",");
            let _ = parse_arguments(&format!("{{\"a\": [{items}]}}"), Some(&schema));
        });
    }
    let schema = json!({"type": "object", "additionalProperties": chain(10, "n")["$defs"]["d9"], "$defs": chain(10, "n")["$defs"]});
    let schema = Schema::new(&schema).unwrap();
    grows_in_proportion("members that come as texts", |bytes| {
        let member = |at: usize| TextMember {
            name: format!("p{at}"),
            text: "1".to_owned(),
            is_json: None,
        };
        assert!(object_of_texts(&times(bytes, 8, member), Some(&schema)).is_some());
    });
    grows_in_proportion("values that are counted", |bytes| {
        assert!(count_values(&"[[],\"\",".repeat(bytes / 7)) > bytes / 7);
    });
}

/// What stands in a chunk's `delta`, and how often it comes in a piece of this size.
type Deltas = (&'static str, fn(usize) -> Value);

const DELTAS: [Deltas; 6] = [
    ("text", |_| json!({ "content": "words " })),
    (
        "text with escapes",
        |_| json!({ "content": "\"\u{1f388}\"\n" }),
    ),
    ("thoughts", |_| json!({ "reasoning": "words " })),
    (
        "blocks of thoughts",
        |_| json!({ "reasoning_details": [{ "type": "reasoning.text", "text": "words ", "index": 0 }] }),
    ),
    ("pieces of one call", |at| {
        let arguments = if at == 0 { "{\"a\":\"" } else { "words " };
        json!({ "tool_calls": [{ "index": 0, "function": { "name": "look", "arguments": arguments } }] })
    }),
    ("text and thoughts in turn", |at| match at % 2 {
        0 => json!({ "content": "words " }),
        _ => json!({ "reasoning": "words " }),
    }),
];

#[test]
fn reading_a_native_answer_takes_time_in_proportion_to_it() {
    let body =
        request(json!({ "stream": true, "tools": [tool("look", &json!({ "type": "object" }))] }));
    let native = through(UpstreamId::RouterOpenai, &CAPABILITIES);
    let ask = parse(body.as_bytes(), &LIMITS).unwrap();
    let (target, others) = candidates(&ask, &CATALOGUE, &native).unwrap();
    let recipe = plan(&ask, &target, &others, &native).unwrap().reading;
    for (what, delta) in DELTAS {
        grows_in_proportion(what, |bytes| {
            let limits = ReaderLimits {
                max_event: 1 << 20,
                max_object: 1 << 26,
                accept_missing_final: true,
            };
            let mut reader = Reader::new(&recipe, Format::Events, limits);
            let mut heard = Heard::default();
            for at in 0..bytes / 8 {
                let chunk = json!({ "choices": [{ "index": 0, "delta": delta(at), "finish_reason": null }] });
                reader.feed(format!("data: {chunk}\n\n").as_bytes());
                reader.read(&mut heard);
            }
            reader.finish(&mut heard);
            assert_eq!(heard.endings.len(), 1);
        });
    }
}

#[test]
fn reading_settings_takes_time_in_proportion_to_the_keys() {
    grows_in_proportion("the keys of a settings file", |size| {
        let count = size / 8;
        let key = |number: usize| format!("\"k{number}:{}\"", KeyHash::of(&number.to_string()));
        let keys: Vec<String> = (0..count).map(key).collect();
        let text = format!("[auth]\nkeys = [\n{}\n]\n", keys.join(",\n"));
        let config = Config::load(&Sources::default().with_file("keys.toml", text)).unwrap();
        assert_eq!(config.auth.keys.len(), count);
    });
}
