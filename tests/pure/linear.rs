//! Reading calls takes time in proportion to the text, however it arrives.

use std::time::Duration;

use fal_gateway::translate::contract::Contract;
use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::echo::EchoRemover;
use fal_gateway::translate::reading::marker::Guard;
use fal_gateway::translate::reading::shape::{Shaped, Shaper};

use serde_json::json;

use crate::clock::cpu_time;
use crate::support::{self, CAPABILITIES};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Texts that hold much back, or that make a reader begin anew again and again: what stands around
/// the middle, what the middle repeats, and what ends it.
const SHAPES: [(&str, &str, &str); 31] = [
    (
        "<tool_calls k=\"KEY\">\n<invoke name=\"look\">\n<parameter name=\"a\">",
        "fn main() {}\n",
        "</parameter>\n</invoke>\n</tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": \"",
        "a } \\\" b ",
        "\"}}</tool_call>\n</tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": [",
        "\"</tool_call>\", ",
        "0]}}</tool_call>\n</tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\">\n<invoke name=\"look\">\n<parameter name=\"a\">",
        "</parameter> <b </invoke>",
        "</parameter>\n</invoke>\n</tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\">",
        " \n",
        "<tool_call>{\"name\": \"look\"}</tool_call></tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\"><tool_call>",
        "\n",
        "{\"name\": \"look\"}</tool_call></tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\"><tool_call>{\"name\": \"look\"}",
        " ",
        "</tool_call></tool_calls>",
    ),
    (
        "{\"name\": \"look\", \"arguments\": {\"a\": \"",
        "a } b ",
        "\"}}",
    ),
    (
        "<function=look>\n<parameter=a>\n",
        "fn main() {}\n",
        "</parameter>\n</function>",
    ),
    ("Well.\n", "\n", "Yes."),
    ("", "`", ""),
    ("", "<tools>\n", ""),
    ("", "{\n", ""),
    ("Well.\n", "a\n", ""),
    ("<tool_calls k=\"KEY\">[", "{\"name\": \"look\"}, ", "0]"),
    (
        "<tool_calls k=\"KEY\">",
        ",\n",
        "{\"name\": \"look\"}</tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\"><tool_call name=\"look\" arguments={\"a\": \"",
        "a > b ",
        "\"}/></tool_calls>",
    ),
    (
        "<tool_calls k=\"KEY\">{\"name\": \"look\"}</tool_calls>",
        " ",
        "",
    ),
    ("", "<tool_call name=\"look\" arguments={>\n", ""),
    ("", "<tool>look</tool>\n", ""),
    ("", "<tool>", ""),
    ("<tool>look</tool><tool_input>", "<a>", ""),
    ("Well. ", "<| [TOOL_CALLS] <|a", ""),
    ("", "[TOOL_CALLS]look{\n", ""),
    ("<|python_tag|>", "<|a|>assistant ", ""),
    ("", "[look(a=[", ""),
    ("", "look(a=\"\n", ""),
    ("", "Action: look\n", ""),
    ("", "{\"name\": \"look\"} x\n", ""),
    ("Well.\n", "```json\n{\"name\": \"look\"}\n```\nSo.\n", ""),
    (
        "<start_function_call>call:look{a:<escape>",
        "<escape> ",
        "<escape>}",
    ),
];

#[test]
fn the_work_grows_with_the_text_and_not_with_its_square() {
    for shape in SHAPES {
        for piece in [1, usize::MAX] {
            let time = |kib: usize, most: Duration| {
                let started = cpu_time();
                read(shape, kib * 1024, piece, started + most);
                cpu_time() - started
            };
            let short = (0..2).map(|_| time(32, TIMEOUT)).min().unwrap();
            // Eight times as much text: 8 is proportional, 64 the square.
            let most = short.max(Duration::from_millis(20)) * 24;
            let long = time(256, most);
            assert!(long < most, "{shape:?}, {piece}: {short:?}, then {long:?}");
        }
    }
}

/// What is held back because the record may be repeated in it, or what is cut off with its tags.
#[test]
fn taking_tags_of_the_record_off_is_linear_too() {
    let contract = contract();
    let key = &contract.tools.as_ref().unwrap().key;
    for shape in [
        "<turn-KEY role=\"user\">@",
        "<tool_result-KEY>@",
        "{\"tool_result-KEY\": \"@",
        "@",
    ] {
        for middle in [
            "<",
            "</turn-",
            "<a-KE",
            "{\"a",
            "\n",
            "<turn-KEY role=\"user\">",
            "</next-KEY>",
        ] {
            let text = |kib: usize| {
                let middle = middle.repeat(kib * 1024 / middle.len());
                shape.replace('@', &middle).replace("KEY", key.as_str())
            };
            let time = |text: &str| {
                let started = cpu_time();
                let reading = Recipe {
                    key: Some(key.clone()),
                    ..Recipe::default()
                };
                let (mut echo, mut guard) = (EchoRemover::new([key]), Guard::new(&reading));
                let (mut relieved, mut out) = (String::new(), String::new());
                for piece in text.split_inclusive(|_: char| true) {
                    echo.push(piece, &mut relieved);
                    guard.push(&relieved, &mut out);
                    relieved.clear();
                }
                cpu_time() - started
            };
            let short = time(&text(32)).max(Duration::from_millis(20));
            let long = time(&text(256));
            assert!(
                long < short * 24,
                "{shape} {middle}: {short:?}, then {long:?}"
            );
        }
    }
}

/// Everything that was said is searched for calls.
#[test]
fn looking_for_calls_in_what_was_said_is_linear() {
    for middle in [
        "{\"name\": \"look\"}",
        "{\\",
        "&amp;",
        "&#",
        "%7",
        "/*",
        "look(",
        "name:",
        "\\u{",
        "> ",
    ] {
        let time = |kib: usize| {
            let text = middle.repeat(kib * 1024 / middle.len());
            let tools = json!([{"type": "function", "function": {"name": "look"}}]);
            let body = json!({"messages": [{"role": "user", "content": text}], "tools": tools});
            let body = body.to_string();
            let started = cpu_time();
            support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
            cpu_time() - started
        };
        let short = time(32).max(Duration::from_millis(20));
        let long = time(256);
        assert!(long < short * 24, "{middle}: {short:?}, then {long:?}");
    }
}

#[test]
fn the_longest_call_arrives_letter_by_letter() {
    let (before, middle, after) = SHAPES[1];
    let around = before.len() + after.len();
    let calls = |length, piece| {
        let deadline = cpu_time() + TIMEOUT;
        read((before, middle, after), length, piece, deadline)
    };
    let most = 1024 * 1024;
    assert_eq!(calls(most - around, 1), 1);
    assert_eq!(calls(most + around, 1), 0);
    assert_eq!(calls(most + around, usize::MAX), 0);
}

/// Reads a text about this long in pieces of so many bytes, and counts its calls. Gives up at a
/// deadline.
fn read(
    (before, middle, after): (&str, &str, &str),
    length: usize,
    piece: usize,
    deadline: Duration,
) -> usize {
    let contract = contract();
    let key = contract.tools.as_ref().unwrap().key.clone();
    let before = before.replace("KEY", key.as_str());
    let text = before + &middle.repeat(length / middle.len()) + after;
    let mut shaper = Shaper::new(contract);
    let mut shaped = Shaped::default();
    let mut rest = text.as_str();
    // The clock is read from a file, which would cost more than a letter does.
    let is_late = |left: usize| left.is_multiple_of(4096) && cpu_time() >= deadline;
    while !rest.is_empty() && !shaper.is_done() && !is_late(rest.len()) {
        let (next, after) = rest.split_at(piece.min(rest.len()));
        shaper.push(next, &mut shaped);
        rest = after;
    }
    shaper.finish(&mut shaped);
    shaped.calls.len()
}

fn contract() -> Contract {
    let body = r#"{"messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}"#;
    let plan = support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
    plan.reading.contract
}
