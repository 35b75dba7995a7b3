//! What is kept of tools that were seen before, as callers meet it.

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use crate::support::{Call, Emulated, TestGateway};

fn request(value: &str) -> Value {
    let kind = json!({"type": "string", "enum": [value]});
    let parameters = json!({
        "type": "object", "properties": {"kind": kind}, "required": ["kind"], "additionalProperties": false,
    });
    // Long enough to be most of the body, so that a list that is known is not read again.
    let description = "picks ".repeat(1000);
    let function = json!({"name": "pick", "description": description, "strict": true, "parameters": parameters});
    json!({
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "pick one"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
    })
}

fn picked(gateway: &TestGateway, key: &str, value: &str) -> Value {
    let call = Call::chat(&request(value)).header("authorization", &format!("Bearer {key}"));
    let answer = gateway.call(&call).json();
    let arguments = &answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"];
    let arguments = arguments.as_str().unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str::<Value>(arguments).unwrap()["kind"].clone()
}

#[test]
fn callers_with_tools_of_one_name_never_meet() {
    let keys = ["ann", "ben"].map(|name| {
        let hash = KeyHash::of(name);
        format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\n")
    });
    for upstream in ["any-llm", "router-openai"] {
        let fal = Emulated::start();
        let gateway = fal
            .setup()
            .set("fal.upstream", upstream)
            .file(&keys.concat())
            .start();
        for _ in 0..3 {
            for (key, value) in [
                ("ann", "left"),
                ("ben", "right"),
                ("ann", "up"),
                ("ben", "left"),
            ] {
                assert_eq!(picked(&gateway, key, value), value, "{key} {upstream}");
                // Also where the tools stand inside a prompt.
                let asked = fal.ended()["body"].to_string().replace("\\\"", "\"");
                assert!(asked.contains(&format!("\"{value}\"")), "{asked}");
                let others = ["left", "right", "up"]
                    .into_iter()
                    .filter(|other| *other != value);
                for other in others {
                    assert!(!asked.contains(&format!("\"{other}\"")), "{asked}");
                }
            }
        }
    }
}
