//! A model's text to calls and JSON: the same however it is cut, and what is delivered keeps its
//! promises.

use fal_gateway::translate::contract::{Contract, FormatContract};
use fal_gateway::translate::json::Schema;
use fal_gateway::translate::reading::shape::{Shaped, Shaper};
use fal_gateway::translate::reading::{Call, Verdict};
use serde_json::{Map, Value};

use super::collector::{asked, chance, pieces};

/// What an answer came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    text: String,
    calls: Vec<Call>,
    verdict: Verdict,
}

pub(crate) fn check(data: &[u8]) {
    let (reading, bytes) = asked(data);
    let text = String::from_utf8_lossy(&bytes);
    let contract = &reading.contract;
    let whole = shape(contract, [text.as_ref()]);
    judge(contract, &whole);
    let cut = shape(contract, pieces(&text, &mut chance(data)));
    assert_eq!(cut, whole, "cut anywhere");
    let letters = text.split_inclusive(|_: char| true);
    assert_eq!(shape(contract, letters), whole, "letter by letter");
}

fn shape<'t>(contract: &Contract, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    let mut shaper = Shaper::new(contract.clone());
    let mut shaped = Shaped::default();
    for piece in pieces {
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

fn judge(contract: &Contract, outcome: &Outcome) {
    let tools = contract.tools.as_ref();
    for (index, call) in outcome.calls.iter().enumerate() {
        assert_eq!(call.index, index);
        let arguments: Map<String, Value> =
            serde_json::from_str(&call.arguments).expect("arguments are an object");
        let mut known = tools.into_iter().flat_map(|tools| &tools.tools);
        let tool = known
            .find(|tool| tool.name == call.name)
            .expect("only tools that were offered are called");
        if let (true, Some(schema)) = (tool.is_strict, &tool.schema) {
            fits(schema, &Value::Object(arguments));
        }
    }
    if let Some(tools) = tools {
        assert!(tools.is_parallel || outcome.calls.len() <= 1);
        if tools.is_required && outcome.verdict == Verdict::Met {
            assert!(!outcome.calls.is_empty());
            assert_eq!(outcome.text, "");
        }
    }
    if let FormatContract::Json {
        schema,
        is_strict: true,
        is_held: true,
    } = &contract.format
        && outcome.verdict == Verdict::Met
        && outcome.calls.is_empty()
    {
        let answer = serde_json::from_str(&outcome.text).expect("the answer is JSON");
        if let Some(schema) = schema {
            fits(schema, &answer);
        }
    }
}

fn fits(schema: &Schema, value: &Value) {
    assert_eq!(schema.check(value), Ok(()), "{value}");
}
