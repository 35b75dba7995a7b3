//! The memory that a request takes, whatever it is made of, and gives back.

use std::fs;

use crate::support::{Call, Emulated, Process, Raw};

/// The longest body here, in bytes.
const LONGEST: usize = 3 << 20;
/// How much memory each byte of a body may take at its peak.
const MAX_EACH: usize = 10;

/// Every list and every free-form field, to be filled with its smallest items: what stands before
/// them, the item, and what stands after them.
const SHAPES: [(&str, &str, &str); 22] = [
    (r#""messages": ["#, r#"{"role":"user"}"#, "]"),
    (r#""messages": ["#, r#"{"role":""}"#, "]"),
    (r#""messages": ["#, "0", "]"),
    (
        r#""messages": [{"role": "user", "content": ["#,
        r#"{"type":""}"#,
        "]}]",
    ),
    (
        r#""messages": [{"role": "user", "content": ["#,
        r#"{"type":"text","text":"a"}"#,
        "]}]",
    ),
    (
        r#""messages": [{"role": "assistant", "tool_calls": ["#,
        "{}",
        "]}]",
    ),
    (
        r#""messages": [{"role": "assistant", "tool_calls": ["#,
        r#"{"function":{"name":""}}"#,
        "]}]",
    ),
    (r#""tools": ["#, r#"{"type":""}"#, "]"),
    (r#""functions": ["#, r#"{"name":""}"#, "]"),
    (
        r#""tools": [{"type": "function", "function": {"name": "a"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ["#,
        "{}",
        "]}}",
    ),
    (r#""models": ["#, r#""""#, "]"),
    (r#""stop": ["#, r#""""#, "]"),
    (r#""modalities": ["#, r#""""#, "]"),
    (
        r#""tools": [{"type": "function", "function": {"name": "a", "parameters": {"a": ["#,
        "0",
        "]}}}]",
    ),
    (
        r#""tools": [{"type": "function", "function": {"name": "a", "parameters": {"a": ["#,
        "[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]",
        "]}}}]",
    ),
    (
        r#""tools": [{"type": "function", "function": {"name": "a", "parameters": {"a": ["#,
        r#"{"":{"":{"":{"":{}}}}}"#,
        "]}}}]",
    ),
    (
        r#""response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"a": ["#,
        r#"{"":0}"#,
        "]}}}",
    ),
    (r#""logit_bias": {"a": ["#, "0", "]}"),
    (r#""metadata": ["#, "[]", "]"),
    (r#""unheard_of": ["#, "{}", "]"),
    (r#""stream_options": {"a": ["#, "{}", "]}"),
    (
        r#""messages": [{"role": "user", "content": ""#,
        "a\\n",
        "\"}]",
    ),
];

/// The same for the other APIs, with the beginning of a request to each.
#[rustfmt::skip]
const OTHERS: [(&str, &str, (&str, &str, &str)); 9] = [
    (MESSAGES, HELLO, (r#""system": ["#, r#"{"type":"text","text":"a"}"#, "]")),
    (MESSAGES, r#""max_tokens": 9, "#, (r#""messages": [{"role": "user", "content": ["#, r#"{"type":""}"#, "]}]")),
    (MESSAGES, r#""max_tokens": 9, "#, (r#""messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": ["#, r#"{"type":"text","text":"a"}"#, "]}]}]")),
    (MESSAGES, r#""max_tokens": 9, "#, (r#""messages": [{"role": "assistant", "content": [{"type": "web_search_tool_result", "content": ["#, "{}", "]}]}]")),
    (MESSAGES, HELLO, (r#""context_management": {"edits": ["#, r#"{"type":""}"#, "]}")),
    (RESPONSES, "", (r#""input": ["#, r#"{"role":"user"}"#, "]")),
    (RESPONSES, "", (r#""input": [{"role": "user", "content": ["#, r#"{"type":""}"#, "]}]")),
    (RESPONSES, r#""input": "Hi", "#, (r#""tools": ["#, r#"{"type":""}"#, "]")),
    (RESPONSES, r#""input": "Hi", "tools": [{"type": "function", "name": "a"}], "#, (r#""tool_choice": {"type": "allowed_tools", "tools": ["#, r#"{"type":""}"#, "]}")),
];
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const HELLO: &str = r#""max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "#;

fn body(shape: (&str, &str, &str)) -> Vec<u8> {
    let ask = match shape.0.starts_with("\"messages\"") {
        true => "",
        false => r#""messages": [{"role": "user", "content": "Hi"}], "#,
    };
    filled(ask, shape)
}

fn filled(ask: &str, (before, item, after): (&str, &str, &str)) -> Vec<u8> {
    let between = if after.starts_with('"') { "" } else { "," };
    let each = item.len() + between.len();
    let left = LONGEST - ask.len() - before.len() - after.len() - 64;
    let items = vec![item; left / each].join(between);
    format!(r#"{{"model": "google/gemini-2.5-flash", {ask}{before}{items}{after}}}"#).into_bytes()
}

/// The most memory that a process had in use at once, in bytes.
fn peak(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() * 1024
}

#[test]
fn no_body_takes_ten_times_its_size_and_all_of_it_is_given_back() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup().set("server.workers", "1"));
    let ask = |path: &str, body: Vec<u8>| {
        let call = Call::new("POST", path)
            .header("content-type", "application/json")
            .body(body)
            .header("x-gateway-explain", "true");
        let mut raw = Raw::connect(address);
        raw.send(&call.to_bytes());
        raw.answer().status
    };
    const CHAT: &str = "/v1/chat/completions";
    ask(CHAT, body(SHAPES[21]));
    let idle = process.resident_kib();
    let chats = SHAPES.map(|shape| (CHAT, shape, body(shape)));
    let others = OTHERS.map(|(path, ask, shape)| (path, shape, filled(ask, shape)));
    for (path, shape, body) in chats.into_iter().chain(others) {
        let before = process.resident_kib() * 1024;
        // Forgets the peak so far (proc(5), clear_refs).
        fs::write(format!("/proc/{}/clear_refs", process.id()), "5").unwrap();
        let status = ask(path, body);
        assert!([200, 400].contains(&status), "{status}: {path} {shape:?}");
        let peak = peak(&process).saturating_sub(before);
        assert!(
            peak < MAX_EACH * LONGEST,
            "{path} {shape:?} took {peak} bytes"
        );
    }
    let left = process.resident_kib();
    assert!(left < 2 * idle, "{idle} KiB before, {left} KiB after");
}
