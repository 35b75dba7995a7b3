//! What breaks Claude Code and its like behind gateways, and the test that keeps it from breaking
//! here.
//!
//! | What breaks | Test |
//! |---|---|
//! | counting is absent, buys answers, or says 0 | `messages`: `tokens_are_counted_without_a_call_and_never_as_none`; `tests/anthropic`: `test_the_context_is_shown_without_a_call` |
//! | system messages among the others; blank texts; foreign thoughts; tools' results in any order | golden `messages/plan`: `system-message-*`, `blank-texts-*`, `thinking-with-any-signature`, `tool-results-*` |
//! | the billing header ends the shared beginning of prompts | `the_second_request_of_a_session_begins_as_the_first_did` |
//! | blocks that overlap; a call's arguments cut; no `stop_reason` | `pure/messages`: `the_blocks_of_a_stream_are_those_of_the_whole_answer` |
//! | unknown fields and edits of the context are refused | `whatever_claude_code_sends_is_taken`; golden `tools-with-every-known-field` |
//! | a web search that nobody runs | golden `tool-run-by-anthropic-*`, `server-tools-in-history` |
//! | images in results vanish, or end the session | golden `tool-result-with-an-image`, `image-*-a-blind-model` |
//! | usage is told in one place only | `messages`: `an_answer_has_anthropics_shape_whole_and_as_a_stream` |
//! | names of background models lead nowhere | `messages`: `names_of_claudes_lead_to_models_that_are_there` |
//! | `max_tokens` above the model's own, and stops that were none | `max_tokens_is_lowered_to_what_each_model_can_write`, `an_answer_that_ends_by_itself_is_not_called_cut` |
//! | slow first words, clients that left | `messages`: `a_silent_stream_begins_and_pings`; `the_call_ends_when_the_client_leaves` |
//! | an answer in another API's shape; a 200 before a failure | `whole_is_what_nobody_asked_to_be_streamed`, `a_failure_before_the_first_words_is_no_stream` |
//! | `/v1` in the base URL, the other key's header, no key at all | `messages`: `messages_are_served_where_the_base_url_went_wrong_and_azures_path_names_its_model`, `a_key_opens_in_either_header_and_x_api_key_counts`; `contract/routes`: `all_but_probes_ask_for_a_key` |
//! | schemas with rarer words | `schemas_of_every_kind_are_offered` |
//! | failures and refusals that are not told | `messages`: `a_call_goes_out_and_its_result_comes_back`; golden `messages/reading`: `refusal` |
//! | foreign envelopes | `messages`: `whatever_is_refused_is_refused_in_anthropics_envelope` |
//! | models that the list does not show | `messages`: `models_are_listed_in_the_shape_of_whoever_asks` |
//! | calls that arrive as text | `calls_in_other_forms_are_calls_here_too` |
//! | threads that are not kept | `messages`: `threads_are_refused_in_the_way_that_makes_sdks_send_everything` |

use serde_json::{Value, json};

use super::messages::{ask, events, post, request, verdict};
use crate::support::{
    Call, Emulated, ScriptedUpstream, Step, TestGateway, event, final_event, sse_head, whole,
};

/// What would be sent, or the refusal.
fn explain(gateway: &TestGateway, body: &Value) -> Value {
    let call = post("/v1/messages", body).header("x-gateway-explain", "true");
    gateway.call(&call).json()
}

fn bash() -> Value {
    json!({"name": "Bash", "description": "Runs a command.", "input_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {"command": {"type": "string"}}, "required": ["command"], "additionalProperties": false,
    }})
}

/// A request as Claude Code makes it, for this session's turns.
fn of_session(billing: &str, messages: &Value) -> Value {
    json!({
        "model": "openai/gpt-4o-mini", "max_tokens": 32000, "stream": true,
        "system": [
            {"type": "text", "text": format!("x-anthropic-billing-header: {billing};")},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [bash()],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "{\"session_id\":\"a\"}"},
        "messages": messages,
    })
}

fn turns(result: &Value) -> Value {
    json!([
        {"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nBe kind.\n</system-reminder>\n"}, {"type": "text", "text": "echo hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "Agents: none."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": ""}, {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}, "caller": {"type": "direct"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result, "is_error": false, "cache_control": {"type": "ephemeral"}}]},
    ])
}

#[test]
fn whatever_claude_code_sends_is_taken() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let first: Vec<Value> = turns(&json!("a.txt")).as_array().unwrap()[..2].to_vec();
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let image = json!({"type": "image", "source": {"type": "base64", "data": png, "media_type": "image/png"}});
    let mut with_pdf = turns(&json!("PDF file read"));
    let pdf = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}});
    let content = with_pdf[3]["content"].as_array_mut().unwrap();
    content.push(pdf);
    let mut title = of_session("t", &json!([{"role": "user", "content": "echo hi"}]));
    title["tools"] = json!([]);
    title["thinking"] = json!({"type": "disabled"});
    title["output_config"] = json!({"format": {"type": "json_schema", "schema": {
        "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": false,
    }}});
    let mut subagent = of_session("s", &json!(first));
    subagent["temperature"] = json!(1);
    for (what, body) in [
        ("the first request", of_session("a", &json!(first))),
        ("a result", of_session("b", &turns(&json!("a.txt")))),
        (
            "a result in blocks",
            of_session("b", &turns(&json!([{"type": "text", "text": "a.txt"}]))),
        ),
        (
            "an image for a model that cannot see",
            of_session("c", &turns(&json!([image]))),
        ),
        ("a document beside its result", of_session("d", &with_pdf)),
        ("a title", title),
        ("an agent of an agent", subagent),
    ] {
        let explained = explain(&gateway, &body);
        assert_eq!(
            explained["object"], "gateway.explanation",
            "{what}: {explained}"
        );
        let call = post("/v1/messages?beta=true", &body).header(
            "anthropic-beta",
            "context-management-2025-06-27,effort-2025-11-24",
        );
        assert_eq!(gateway.call(&call).status, 200, "{what}");
    }
}

/// fal's provider caches what requests share, and the header differs between those of one session.
#[test]
fn the_second_request_of_a_session_begins_as_the_first_did() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let all = turns(&json!("a.txt"));
    let first: Vec<Value> = all.as_array().unwrap()[..2].to_vec();
    let system = |billing: &str, messages: &Value| {
        let explained = explain(&gateway, &of_session(billing, messages));
        explained["requests"][0]["input"]["system_prompt"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (before, after) = (
        system("cc_version=1", &json!(first)),
        system("cc_version=2", &all),
    );
    assert!(after.starts_with(&before), "{before}\n----\n{after}");
    assert!(!after.contains("billing"), "{after}");
}

#[test]
fn max_tokens_is_lowered_to_what_each_model_can_write() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let list = Call::get("/v1/models?limit=1000").header("anthropic-version", "2026-10-21");
    let models = gateway.call(&list).json();
    let mut lowered = 0;
    for model in models["data"].as_array().unwrap() {
        let mut body = request("hi", false);
        body["model"] = model["id"].clone();
        body["max_tokens"] = json!(64_000);
        let explained = explain(&gateway, &body);
        let sent = explained["requests"][0]["input"]["max_tokens"].as_u64();
        let sent = sent.unwrap_or_else(|| panic!("{}: {explained}", model["id"]));
        let most = model["max_tokens"].as_u64().unwrap_or(64_000);
        assert_eq!(sent, most.min(64_000), "{}", model["id"]);
        lowered += usize::from(sent < 64_000);
    }
    assert!(lowered > 0);
}

#[test]
fn an_answer_that_ends_by_itself_is_not_called_cut() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for max_tokens in [32_000, 64_000] {
        let mut body = request("count 10", false);
        body["max_tokens"] = json!(max_tokens);
        assert_eq!(ask(&gateway, &body).json()["stop_reason"], "end_turn");
        body["stream"] = json!(true);
        let events = events(&ask(&gateway, &body).text());
        assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "end_turn");
    }
}

#[test]
fn the_call_ends_when_the_client_leaves() {
    for stream in [false, true] {
        let fal = ScriptedUpstream::start(vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("a")),
        ]);
        let gateway = fal.setup().start();
        let client = gateway.open(&post("/v1/messages", &request("hi", stream)));
        fal.until_requests(1);
        drop(client);
        fal.until_closed();
        gateway.until_metric("fal_gateway_client_disconnects_total", 1.0);
        assert_eq!(fal.requests(), 1);
    }
}

#[test]
fn whole_is_what_nobody_asked_to_be_streamed() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut body = request("echo hi", false);
    for stream in [Some(json!(false)), None, Some(Value::Null)] {
        match stream {
            Some(value) => body["stream"] = value,
            None => drop(body.as_object_mut().unwrap().remove("stream")),
        }
        let answer = ask(&gateway, &body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["type"], "message");
    }
}

#[test]
fn a_failure_before_the_first_words_is_no_stream() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (command, expected) in [
        ("status:500", "502 api_error upstream_error"),
        ("status:429", "429 rate_limit_error rate_limit_exceeded"),
    ] {
        let body = request(&format!("/emulate {command}\nhi"), true);
        assert_eq!(verdict(&ask(&gateway, &body)), expected);
    }
}

#[test]
fn schemas_of_every_kind_are_offered() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {
            "at": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991_u64},
            "path": {"type": "string", "pattern": "^[^\\x00]+$", "minLength": 1},
            "mode": {"anyOf": [{"const": "a"}, {"enum": ["b", "c"]}], "default": "a"},
            "edits": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/edit"}},
            "more": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": ["string", "null"]}},
        },
        "required": ["path"], "additionalProperties": false,
        "$defs": {"edit": {"type": "object", "properties": {"old": {"type": "string"}, "new": {"type": "string"}}}},
    });
    let mut body = request("call Edit {\"path\":\"a\"}", false);
    body["tools"] = json!([{"name": "Edit", "input_schema": schema, "strict": true}]);
    let answer = ask(&gateway, &body);
    let message = answer.json();
    let call = message["content"].as_array().unwrap().last().unwrap();
    assert_eq!(call["input"], json!({"path": "a"}), "{message}");
    assert_eq!(answer.header("x-gateway-ignored"), None);
}

/// Models without tools of their own write calls in many ways, and each of them is read here too.
#[test]
fn calls_in_other_forms_are_calls_here_too() {
    let forms = [
        "I look.\n<function_calls>\n<invoke name=\"Bash\">\n<parameter name=\"command\">ls | head</parameter>\n</invoke>\n</function_calls>",
        "<invoke name=\"Bash\">\n<parameter name=\"command\">ls | head</parameter>\n</invoke>",
        "{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls | head\"}}",
        "I look.\n```json\n{\"name\": \"Bash\", \"input\": {\"command\": \"ls | head\"}}\n```",
        "<tool_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls | head\"}}</tool_call>",
        "[TOOL_CALLS]Bash{\"command\": \"ls | head\"}",
    ];
    for form in forms {
        for stream in [false, true] {
            let fal = ScriptedUpstream::answering(match stream {
                false => whole(form),
                true => [sse_head(), final_event(form)].concat(),
            });
            let gateway = fal.setup().start();
            let mut body = request("Look around.", stream);
            body["tools"] = json!([bash()]);
            let answer = ask(&gateway, &body);
            let (input, reason) = match stream {
                false => {
                    let message = answer.json();
                    let block = message["content"]
                        .as_array()
                        .unwrap()
                        .last()
                        .unwrap()
                        .clone();
                    (block["input"].clone(), message["stop_reason"].clone())
                }
                true => {
                    let events = events(&answer.text());
                    let pieces = events
                        .iter()
                        .filter_map(|event| event["delta"]["partial_json"].as_str());
                    let input =
                        serde_json::from_str(&pieces.collect::<String>()).unwrap_or_default();
                    (
                        input,
                        events[events.len() - 2]["delta"]["stop_reason"].clone(),
                    )
                }
            };
            assert_eq!(
                (&input, &reason),
                (&json!({"command": "ls | head"}), &json!("tool_use")),
                "{form}"
            );
            assert_eq!(fal.requests(), 1, "{form}");
        }
    }
}
