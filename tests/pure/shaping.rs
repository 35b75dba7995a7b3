//! Calls and JSON in generated answers: nothing depends on the cuts, nothing else is touched, and
//! what is delivered keeps its promises.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use fal_gateway::translate::contract::Contract;
use fal_gateway::translate::reading::Call;
use fal_gateway::translate::reading::shape::{Shaped, Shaper, Verdict};

use crate::support::{self, CAPABILITIES, cases};

/// What an answer came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    text: String,
    calls: Vec<Call>,
    verdict: Verdict,
}

/// Gives a text to a shaper in pieces of these many characters, and the rest at once.
fn shape(contract: &Contract, text: &str, lengths: &[usize]) -> Outcome {
    let mut shaper = Shaper::new(contract.clone());
    let mut shaped = Shaped::default();
    let mut letters = text.chars();
    let mut pieces: Vec<String> = lengths
        .iter()
        .map(|length| letters.by_ref().take(*length).collect())
        .collect();
    pieces.push(letters.collect());
    for piece in &pieces {
        shaper.push(piece, &mut shaped);
        if shaper.is_done() {
            break;
        }
    }
    let verdict = shaper.finish(&mut shaped);
    Outcome {
        text: shaped.text,
        calls: shaped.calls,
        verdict,
    }
}

/// What the requests here say about tools and formats.
const WISHES: [&str; 7] = [
    r#""tools": [LOOSE, STRICT]"#,
    r#""tools": [LOOSE, STRICT], "parallel_tool_calls": false"#,
    r#""tools": [LOOSE, STRICT], "tool_choice": "required""#,
    r#""tools": [STRICT], "tool_choice": "required""#,
    r#""tools": [LOOSE], "response_format": {"type": "json_object"}"#,
    r#""response_format": {"type": "json_object"}, "stream": true"#,
    r#""response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": SCHEMA}}"#,
];

const SCHEMA: &str =
    r#"{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}"#;

fn contract(wish: &str) -> Contract {
    let loose =
        r#"{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}"#;
    let strict = r#"{"type": "function", "function": {"name": "find", "strict": true, "parameters": SCHEMA}}"#;
    let wish = wish.replace("LOOSE", loose).replace("STRICT", strict);
    let wish = wish.replace("SCHEMA", SCHEMA);
    let body = format!(r#"{{"messages": [{{"role": "user", "content": "Hi"}}], {wish}}}"#);
    let plan = support::plan(body.as_bytes(), &CAPABILITIES).unwrap();
    plan.reading.contract
}

fn any_contract() -> impl Strategy<Value = Contract> {
    select(&WISHES[..]).prop_map(contract)
}

/// What calls and JSON consist of, whole, broken and imitated. `KEY` is the conversation's.
const FRAGMENTS: [&str; 39] = [
    "<tool_calls k=\"KEY\">",
    "<tool_calls k=\"KEY\">\n",
    "<tool_calls k=\"0000\">\n",
    "<tool_calls>",
    "<tool_calls-KEY>",
    "</tool_calls>",
    "<tool_call>",
    "<tool_call id=\"a\">",
    "</tool_call>",
    "</tool_call>\n",
    "<function_calls>",
    "</function_calls>\n",
    "<tool_result-KEY>18</tool_result-KEY>",
    "{\"name\": \"look\", \"arguments\": {}}",
    "{\"name\": \"look\", \"arguments\": {\"a\": [1, \"}\"]}}",
    "{\"name\": \"find\", \"arguments\": {\"city\": \"Rome\"}}",
    "{\"name\": \"find\", \"arguments\": {\"town\": \"Rome\"}}",
    "{\"name\": \"find\", \"arguments\": \"{\\\"city\\\": \\\"Rome\\\"}\"}",
    "{'name': 'look', 'arguments': {'a': None,}}",
    "{\"name\": \"lose\"}",
    "{\"name\": \"lo",
    "{\"tool_calls\": [",
    "{\"city\": \"Rome\"}",
    "{\"city\": \"Ro",
    "[",
    "]",
    "}",
    ",",
    "\"",
    "\\",
    "\n",
    "\n\n",
    " ",
    "```\n",
    "```json\n",
    "~~~",
    "Let me look.",
    "é🎈",
    "I'm sorry, but no.",
];

/// Whole calls as they stand in a block; some are wrong.
const CALLS: [&str; 7] = [
    "<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": \"</tool_call>\"}}</tool_call>\n",
    "<tool_call>{\"name\": \"find\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>",
    "<tool_call id=\"b\">\n{\"name\": \"find\", \"arguments\": {\"town\": 1}}\n</tool_call>\n",
    "<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": \"b\"}</tool_call>\n",
    "<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": \"b}}</tool_call>\n",
    "<tool_call>{'name': 'LOOK', 'parameters': {}}</tool_call> ",
    "{\"name\": \"look\"}\n",
];

fn answer() -> impl Strategy<Value = String> {
    let fragments =
        |most: usize| vec(select(&FRAGMENTS[..]), 0..most).prop_map(|pieces| pieces.concat());
    let calls = vec(select(&CALLS[..]), 0..4).prop_map(|calls| calls.concat());
    let opener = select(&FRAGMENTS[..5]);
    let closer = select(vec!["</tool_calls>", "</tool_calls>\n", "</tool_c", ""]);
    let before = select(vec!["", "\n", "Let me look.\n", "Well.\n\n", "a", "```\n"]);
    prop_oneof![
        fragments(9),
        (before, opener, calls, fragments(2), closer, fragments(3)).prop_map(
            |(before, opener, calls, slip, closer, after)| {
                format!("{before}{opener}{calls}{slip}{closer}{after}")
            }
        ),
    ]
}

/// The text with the contract's own key.
fn keyed(text: &str, contract: &Contract) -> String {
    match &contract.tools {
        Some(tools) => text.replace("KEY", tools.key.as_str()),
        None => text.to_owned(),
    }
}

/// The promises that hold for whatever a model writes.
fn judge(contract: &Contract, outcome: &Outcome) -> Result<(), TestCaseError> {
    let tools = contract.tools.as_ref();
    for (index, call) in outcome.calls.iter().enumerate() {
        prop_assert_eq!(call.index, index);
        let arguments: Map<String, Value> = serde_json::from_str(&call.arguments).unwrap();
        let mut known = tools.into_iter().flat_map(|tools| &tools.tools);
        let tool = known.find(|tool| tool.name == call.name).unwrap();
        if let (true, Some(schema)) = (tool.is_strict, &tool.schema) {
            let arguments = Value::Object(arguments);
            prop_assert!(schema.check(&arguments).is_ok(), "{}", arguments);
        }
    }
    if let Some(tools) = tools {
        prop_assert!(tools.is_parallel || outcome.calls.len() <= 1);
        if tools.is_required && outcome.verdict == Verdict::Met {
            prop_assert!(!outcome.calls.is_empty());
            prop_assert_eq!(&outcome.text, "");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn an_answer_is_the_same_however_it_is_cut_and_keeps_its_promises(
        contract in any_contract(), text in answer(), lengths in vec(0..12usize, 0..24),
    ) {
        let text = keyed(&text, &contract);
        let whole = shape(&contract, &text, &[]);
        judge(&contract, &whole)?;
        prop_assert_eq!(&shape(&contract, &text, &lengths), &whole);
        prop_assert_eq!(&shape(&contract, &text, &vec![1; text.len()]), &whole);
    }

    #[test]
    fn any_text_at_all_is_put_up_with(
        contract in any_contract(), text in any::<String>(), lengths in vec(0..5usize, 0..9),
    ) {
        let whole = shape(&contract, &text, &[]);
        judge(&contract, &whole)?;
        prop_assert_eq!(&shape(&contract, &text, &lengths), &whole);
    }

    #[test]
    fn what_looks_like_no_call_goes_through_as_it_is(
        text in "[a-z \n\t<>/é.:}\\]]{0,60}", lengths in vec(0..5usize, 0..9),
    ) {
        let contract = contract(WISHES[0]);
        let outcome = shape(&contract, &text, &lengths);
        prop_assert_eq!(outcome.text, text);
        prop_assert_eq!(outcome.calls, []);
        prop_assert_eq!(outcome.verdict, Verdict::Met);
    }
}

/// How long an element may be is the same question before its end is there and after.
#[test]
fn an_element_that_says_too_much_is_text_however_it_is_cut() {
    let contract = contract(WISHES[0]);
    for length in [10, 56, 57, 58, 60, 61, 62, 64, 100] {
        let text = format!(
            "<tool_calls k=\"{}\">\n{{\"name\": \"look\"}}\n</tool_calls>",
            "x".repeat(length)
        );
        let whole = shape(&contract, &text, &[]);
        assert_eq!(shape(&contract, &text, &vec![1; text.len()]), whole);
        assert_eq!(whole.text.is_empty(), length < 60, "{length}");
    }
}

/// A form in which models write calls; `CALLS` are their objects, `EACH` stands around each.
const FORMS: [(&str, &str); 7] = [
    (
        "<tool_calls k=\"KEY\">\nCALLS</tool_calls>",
        "<tool_call>@</tool_call>\n",
    ),
    (
        "<tool_calls k=\"KEY\">CALLS</tool_calls>\nHere are the results.",
        "<tool_call id=\"1\">\n@\n</tool_call>",
    ),
    (
        "<tool_calls>CALLS\n</tool_calls>\n",
        "\n<tool_call>@</tool_call>",
    ),
    ("CALLS", "<tool_call>@</tool_call>\n"),
    ("```json\nCALLS```", "@\n"),
    ("[CALLS]", "@"),
    (
        "{\"tool_calls\": [CALLS]}",
        "{\"id\": \"1\", \"type\": \"function\", \"function\": @}",
    ),
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(&FRAGMENTS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,3}", inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn calls_are_found_with_their_arguments_in_every_form(
        form in select(&FORMS[..]), before in select(vec!["", "Let me look.\n", "\n\n"]),
        arguments in vec(vec(("[a-z]{1,3}", value()), 0..3), 1..4),
        lengths in vec(0..12usize, 0..40),
    ) {
        let contract = contract(WISHES[0]);
        let arguments: Vec<Value> = arguments
            .into_iter()
            .map(|fields| Value::Object(fields.into_iter().collect()))
            .collect();
        let (whole, each) = form;
        let written: Vec<String> = arguments
            .iter()
            .map(|arguments| each.replace('@', &json!({"name": "look", "arguments": arguments}).to_string()))
            .collect();
        let separator = if whole.contains("[CALLS]") { ", " } else { "" };
        let text = keyed(whole, &contract).replace("CALLS", &written.join(separator));
        let outcome = shape(&contract, &format!("{before}{text}"), &lengths);
        prop_assert_eq!(outcome.text.trim(), before.trim());
        prop_assert_eq!(outcome.verdict, Verdict::Met);
        let found: Vec<Value> = outcome
            .calls
            .iter()
            .map(|call| serde_json::from_str(&call.arguments).unwrap())
            .collect();
        prop_assert_eq!(found, arguments);
    }
}
