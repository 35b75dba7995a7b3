//! Schemas that cannot be checked, wherever a request may hold one: without `strict` they cost only
//! the check, which is named; under `strict` a refusal names the place.

use fal_gateway::translate::rejection::Cause;
use serde_json::{Value, json};

use crate::support::{self, CAPABILITIES};

/// A part of a schema that cannot be checked, and the keyword at fault.
const UNCHECKABLE: [(&str, &str); 5] = [
    (r#"{"type": "string", "pattern": "^(?!a)b"}"#, "pattern"),
    (r#"{"type": "string", "pattern": ".{0,4000}"}"#, "pattern"),
    (
        r#"{"type": "object", "unevaluatedProperties": false}"#,
        "unevaluatedProperties",
    ),
    (r##"{"$dynamicRef": "#node"}"##, "$dynamicRef"),
    (r##"{"$ref": "#/$defs/none"}"##, "$ref"),
];

/// Where a request may hold a schema: the body, with `SCHEMA` and `STRICT` to be filled in, and the
/// schema's path.
const PLACES: [(&str, &str); 5] = [
    (
        r#""tools": [{"type": "function", "function": {"name": "f", "strict": STRICT, "parameters": SCHEMA}}]"#,
        "tools[0].function.parameters",
    ),
    (
        r#""tools": [{"type": "function", "function": {"name": "e"}}, {"type": "function", "function": {"name": "f", "strict": STRICT, "parameters": SCHEMA}}], "tool_choice": {"type": "function", "function": {"name": "f"}}"#,
        "tools[1].function.parameters",
    ),
    (
        r#""functions": [{"name": "f", "strict": STRICT, "parameters": SCHEMA}]"#,
        "functions[0].parameters",
    ),
    (
        r#""response_format": {"type": "json_schema", "json_schema": {"name": "f", "strict": STRICT, "schema": SCHEMA}}"#,
        "response_format.json_schema.schema",
    ),
    (
        r#""model": "openai/gpt-4o", "tools": [{"type": "function", "function": {"name": "f", "strict": STRICT, "parameters": SCHEMA}}], "stream": true"#,
        "tools[0].function.parameters",
    ),
];

fn body(place: &str, schema: &str, strict: bool) -> String {
    let fields = place.replace("SCHEMA", schema);
    let fields = fields.replace("STRICT", if strict { "true" } else { "false" });
    format!(r#"{{"messages": [{{"role": "user", "content": "Hi"}}], {fields}}}"#)
}

fn around(part: &str) -> String {
    format!(
        r#"{{"type": "object", "properties": {{"ok": {{"type": "integer"}}, "email": {part}}}}}"#
    )
}

#[test]
fn what_cannot_be_checked_is_offered_all_the_same_and_named() {
    for (part, keyword) in UNCHECKABLE {
        for (place, path) in PLACES {
            let request = body(place, &around(part), false);
            let plan = support::plan(request.as_bytes(), &CAPABILITIES)
                .unwrap_or_else(|rejection| panic!("{request}: {rejection:?}"));
            let named = format!("{path}.properties.email.{keyword}");
            assert!(
                plan.notes.ignored.iter().any(|name| *name == named),
                "{named}"
            );
            let texts = plan.call.texts().concat();
            assert!(
                texts.contains(&format!("\"{keyword}\"")),
                "the model is told: {texts}"
            );
        }
    }
}

#[test]
fn under_strict_what_cannot_be_checked_is_refused_by_its_path() {
    for (part, keyword) in UNCHECKABLE {
        for (place, path) in PLACES {
            let request = body(place, &around(part), true);
            let rejection = support::plan(request.as_bytes(), &CAPABILITIES).unwrap_err();
            assert_eq!(rejection.cause, Cause::UnsupportedValue);
            let named = format!("{path}.properties.email.{keyword}");
            assert_eq!(rejection.param.as_deref(), Some(named.as_str()));
            assert!(
                rejection.message.contains("is not supported"),
                "{}",
                rejection.message
            );
        }
    }
}

#[test]
fn a_request_that_wants_no_field_ignored_is_refused_instead() {
    let mut capabilities = CAPABILITIES.clone();
    capabilities.strict = true;
    let (place, path) = PLACES[0];
    let request = body(place, &around(UNCHECKABLE[0].0), false);
    let rejection = support::plan(request.as_bytes(), &capabilities).unwrap_err();
    let param = rejection.param.unwrap_or_default();
    assert!(param.starts_with(path), "{param}");
}

#[test]
fn what_is_no_schema_is_refused_by_its_path_in_every_place() {
    for strict in [false, true] {
        for (place, path) in PLACES {
            for schema in [
                r#"{"type": "nonsense"}"#,
                r#"{"description": "cut \ud83d"}"#,
            ] {
                let request = body(place, schema, strict);
                let rejection = support::plan(request.as_bytes(), &CAPABILITIES).unwrap_err();
                assert_eq!(rejection.param.as_deref(), Some(path));
                assert!(
                    !rejection.message.contains("nests deeper"),
                    "{}",
                    rejection.message
                );
            }
        }
    }
}

#[test]
fn one_tool_of_many_costs_no_other_its_check() {
    let tool = |at: usize| {
        let part = match at {
            7 => r#"{"type": "string", "pattern": "(?<!a)b"}"#,
            _ => r#"{"type": "string", "maxLength": 3}"#,
        };
        let schema: Value = serde_json::from_str(&around(part)).unwrap();
        json!({"type": "function", "function": {"name": format!("t{at}"), "parameters": schema}})
    };
    let tools = (0..128).map(tool).collect::<Vec<_>>();
    let request = json!({"messages": [{"role": "user", "content": "Hi"}], "tools": tools});
    let request = request.to_string();
    let plan = support::plan(request.as_bytes(), &CAPABILITIES).unwrap();
    assert_eq!(
        plan.notes.ignored,
        ["tools[7].function.parameters.properties.email.pattern"]
    );
    let contract = plan.reading.contract.tools.unwrap();
    for (at, tool) in contract.tools.iter().enumerate() {
        let schema = tool.schema.as_ref().unwrap();
        assert_eq!(schema.check(&json!({"email": "long"})).is_ok(), at == 7);
        assert!(schema.check(&json!({"ok": "x"})).is_err());
    }
}
