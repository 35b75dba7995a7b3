//! Reading calls takes time in proportion to the text, however it arrives.

use std::time::Duration;

use fal_gateway::translate::contract::Contract;
use fal_gateway::translate::reading::shape::{Shaped, Shaper};

use crate::clock::cpu_time;
use crate::support::{self, CAPABILITIES};

const PATIENCE: Duration = Duration::from_secs(60);

/// Texts that hold much back, or that make a reader begin anew again and again: what stands around
/// the middle, what the middle repeats, and what ends it.
const SHAPES: [(&str, &str, &str); 14] = [
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
            let short = (0..2).map(|_| time(32, PATIENCE)).min().unwrap();
            // Eight times as much text: 8 is proportional, 64 the square.
            let most = short.max(Duration::from_millis(20)) * 24;
            let long = time(256, most);
            assert!(long < most, "{shape:?}, {piece}: {short:?}, then {long:?}");
        }
    }
}

#[test]
fn the_longest_call_arrives_letter_by_letter() {
    let (before, middle, after) = SHAPES[1];
    let around = before.len() + after.len();
    let calls = |length, piece| {
        let deadline = cpu_time() + PATIENCE;
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
