//! Programs that run the calls they get and ask again, for as long as they get any: against the
//! emulator every such loop has an end.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::support::{Emulated, TestGateway};

/// More rounds than any loop may have.
const MANY: usize = 12;

fn tool(name: &str, parameter: &str) -> Value {
    json!({"type": "function", "function": {
        "name": name, "description": "Does what its name says",
        "parameters": {
            "type": "object", "required": [parameter],
            "properties": {parameter: {"type": "string"}},
        },
    }})
}

/// What an agent did: the tools that it ran, round by round, and the text it ended with.
struct Played {
    ran: Vec<String>,
    text: String,
}

/// Runs what is called, each time with this result, until there is text.
fn play(gateway: &TestGateway, request: &Value, result: &str) -> Played {
    let mut request = request.clone();
    let mut ran = Vec::new();
    for _ in 0..MANY {
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let message = answer.json()["choices"][0]["message"].clone();
        let calls = message["tool_calls"].as_array().cloned();
        let Some(calls) = calls.filter(|calls| !calls.is_empty()) else {
            let text = message["content"].as_str().unwrap().to_owned();
            return Played { ran, text };
        };
        let messages = request["messages"].as_array_mut().unwrap();
        messages.push(message);
        for call in calls {
            let name = call["function"]["name"].as_str().unwrap().to_owned();
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
            let ends = name == "final_answer";
            ran.push(name);
            if ends {
                return Played {
                    ran,
                    text: String::new(),
                };
            }
        }
    }
    panic!("no end after {MANY} rounds: {ran:?}");
}

fn demo() -> Emulated {
    Emulated::with(Options {
        behaviour: "showcase".parse().unwrap(),
        ..Options::default()
    })
}

/// A gateway for each way to that fal: prompts, and messages with tools apart.
fn gateways(fal: &Emulated) -> impl Iterator<Item = TestGateway> {
    ["any-llm", "router", "router-openai"]
        .into_iter()
        .map(|upstream| fal.setup().set("fal.upstream", upstream).start())
}

const SYSTEM: [&str; 6] = [
    "You must use the webfetch tool to read links.",
    "You must always call a tool. You have to use webfetch for every question.",
    "Your reply must contain a tool call, never answer in text.",
    "You are required to use webfetch first.\n\nYou must use webfetch.\n\nTools:\nwebfetch",
    "<tool_calls>\n<tool_call>{\"name\": \"webfetch\", \"arguments\": {}}</tool_call>\n</tool_calls>\nYou must write this block.",
    "Be kind.",
];

#[test]
fn a_loop_of_calls_ends_whatever_the_callers_instructions_insist_on() {
    for fal in [Emulated::start(), demo()] {
        for gateway in gateways(&fal) {
            for system in SYSTEM {
                for question in ["Read the file a.txt", "Fetch https://example.com", "Hello!"] {
                    let request = json!({
                        "model": "openai/gpt-4o-mini",
                        "messages": [
                            {"role": "system", "content": system},
                            {"role": "user", "content": question},
                        ],
                        "tools": [tool("webfetch", "url")],
                    });
                    let played = play(&gateway, &request, "Error: not a URL");
                    assert!(played.ran.len() <= 1, "{system}: {:?}", played.ran);
                }
            }
        }
    }
}

/// The turn after a result, as an agent sends it that was never told to stop.
#[test]
fn a_result_is_answered_in_text() {
    let fal = Emulated::start();
    for gateway in gateways(&fal) {
        let call = json!({"id": "call_1", "type": "function",
            "function": {"name": "webfetch", "arguments": "{\"url\":\"example\"}"}});
        let request = json!({
            "model": "openai/gpt-4o-mini",
            "messages": [
                {"role": "system", "content": SYSTEM[0]},
                {"role": "user", "content": "Read the file a.txt"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Error: not a URL"},
            ],
            "tools": [tool("webfetch", "url")],
        });
        let played = play(&gateway, &request, "Error: not a URL");
        assert_eq!(played.ran, [""; 0]);
        assert_eq!(played.text, "webfetch says: Error: not a URL");
    }
}

/// Agents whose every step is a required call end with a tool that says so.
#[test]
fn a_loop_of_required_calls_ends_with_the_tool_that_ends_it() {
    let fal = Emulated::start();
    for gateway in gateways(&fal) {
        let request = json!({
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "How old is the oldest tree?"}],
            "tools": [tool("web_search", "query"), tool("final_answer", "answer")],
            "tool_choice": "required",
        });
        let played = play(&gateway, &request, "nothing found");
        let (last, before) = played.ran.split_last().unwrap();
        assert_eq!(last, "final_answer");
        assert!(before.len() <= 3, "{before:?}");
    }
}

/// Some programs answer text with "use a tool", for ever.
#[test]
fn a_program_that_insists_on_calls_gets_text_in_the_end() {
    for fal in [Emulated::start(), demo()] {
        for gateway in gateways(&fal) {
            let insists =
                json!({"role": "user", "content": "You did not use webfetch. Use webfetch."});
            let mut messages = vec![json!({"role": "user", "content": "Fetch the news"})];
            let mut calls = 0;
            for _ in 0..MANY {
                let request = json!({
                    "model": "openai/gpt-4o-mini", "messages": messages,
                    "tools": [tool("webfetch", "url")],
                });
                let played = play(&gateway, &request, "Error: not a URL");
                calls += played.ran.len();
                messages.push(json!({"role": "assistant", "content": played.text}));
                messages.push(insists.clone());
            }
            assert!(calls <= 4, "{calls} calls");
        }
    }
}

/// What a first look at the demo shows: a plan while it is written, a call, an end.
#[test]
fn the_demo_tells_a_plan_calls_what_changes_nothing_and_ends() {
    let fal = demo();
    for gateway in gateways(&fal) {
        let tools = [
            "bash",
            "write_file",
            "readFile",
            "todo_list",
            "fetch_and_run",
        ];
        let tools: Vec<Value> = tools.iter().map(|name| tool(name, "path")).collect();
        for question in [
            "Delete all files",
            "run the tests with bash",
            "Write a poem",
            "Hi",
        ] {
            let request = json!({
                "model": "openai/gpt-4o-mini",
                "messages": [{"role": "user", "content": question}],
                "tools": tools,
            });
            let first = gateway.ask(&request).json()["choices"][0]["message"].clone();
            let plan = first["content"].as_str().unwrap();
            assert!(
                plan.starts_with("Here is my plan:") && plan.contains("emulator"),
                "{plan}"
            );
            let played = play(&gateway, &request, &"x".repeat(5000));
            assert_eq!(played.ran, ["todo_list"], "{question}");
            assert!(
                played.text.contains("I am the emulator of fal-gateway"),
                "{}",
                played.text
            );
            assert!(played.text.len() < 1000);
        }
        // What is asked for by name is called, as everywhere.
        let request = json!({
            "model": "openai/gpt-4o-mini", "tools": tools,
            "messages": [{"role": "user", "content": "call bash"}],
        });
        assert_eq!(play(&gateway, &request, "done").ran, ["bash"]);
        // Nothing to look at: nothing is called.
        let request = json!({
            "model": "openai/gpt-4o-mini", "tools": [tool("bash", "command")],
            "messages": [{"role": "user", "content": "Hi"}],
        });
        assert_eq!(play(&gateway, &request, "done").ran, [""; 0]);
    }
}
