//! Types as a schema declares them, one row each.

use fal_gateway::translate::json::{Schema, coerce};
use serde_json::{Value, json};

/// Coerces and says how, after making sure that the result fits when something was done.
fn coerced(schema: &Value, value: &Value) -> (Value, Vec<&'static str>) {
    let mut result = value.clone();
    let fixes = coerce(&mut result, schema);
    if fixes.is_empty() {
        assert_eq!(&result, value, "no fix is reported");
    } else {
        let schema = Schema::new(schema).expect("the schema is within limits");
        assert_eq!(schema.check(&result), Ok(()), "{value} became {result}");
    }
    (result, fixes.into_iter().map(|fix| fix.label()).collect())
}

#[test]
fn each_type_takes_what_spells_it() {
    let integers = json!({"type": "array", "items": {"type": "integer"}});
    let rows = [
        (
            json!({"type": "integer"}),
            json!("5"),
            json!(5),
            "string-to-number",
        ),
        (
            json!({"type": "integer"}),
            json!("5.0"),
            json!(5),
            "string-to-number",
        ),
        (
            json!({"type": "number"}),
            json!("-2.5e3"),
            json!(-2500.0),
            "string-to-number",
        ),
        (
            json!({"type": ["integer", "null"]}),
            json!("5"),
            json!(5),
            "string-to-number",
        ),
        (
            json!({"type": "integer"}),
            json!(5.0),
            json!(5),
            "float-to-integer",
        ),
        (
            json!({"type": "boolean"}),
            json!("true"),
            json!(true),
            "string-to-boolean",
        ),
        (
            json!({"type": "boolean"}),
            json!("False"),
            json!(false),
            "string-to-boolean",
        ),
        (
            integers.clone(),
            json!("[1, 2]"),
            json!([1, 2]),
            "string-to-json",
        ),
        (
            json!({"type": "object"}),
            json!("{\"b\": 1, \"a\": 2}"),
            json!({"b": 1, "a": 2}),
            "string-to-json",
        ),
        (integers.clone(), json!(1), json!([1]), "value-to-array"),
        (
            json!({"enum": ["Low", "High"]}),
            json!("HIGH"),
            json!("High"),
            "enum-case",
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!("5"),
            json!(5),
            "string-to-number",
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "integer"}}}),
            json!("5"),
            json!(5),
            "string-to-number",
        ),
        (
            json!({"oneOf": [{"$ref": "#/$defs/n"}, {"type": "array"}], "$defs": {"n": {"type": "integer"}}}),
            json!("5"),
            json!(5),
            "string-to-number",
        ),
    ];
    for (schema, value, expected, fix) in rows {
        assert_eq!(coerced(&schema, &value), (expected, vec![fix]), "{schema}");
    }
}

#[test]
fn what_would_lose_or_guess_stays() {
    let rows = [
        (json!({"type": ["integer", "string"]}), json!("5")),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            json!("5"),
        ),
        (
            json!({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}),
            json!("true"),
        ),
        (json!({"type": "integer"}), json!("5.5")),
        (json!({"type": "integer"}), json!(5.5)),
        (json!({"type": "integer"}), json!(1e300)),
        (json!({"type": "integer"}), json!(" 5")),
        (json!({"type": "integer"}), json!("1_000")),
        (json!({"type": "integer"}), json!("12345678901234567890123")),
        (json!({"type": "number"}), json!(5.0)),
        (json!({"type": "boolean"}), json!("yes")),
        (json!({"type": "boolean"}), json!(1)),
        (json!({"type": "array"}), json!("a")),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(null),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!("[12345678901234567890123]"),
        ),
        (json!({"enum": ["a", "A"]}), json!("a")),
        (json!({"enum": ["ab", "AB"]}), json!("Ab")),
        (
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"a": null}),
        ),
        (json!({"properties": {"a": {"type": "string"}}}), json!({})),
        (json!({}), json!("5")),
        (json!(true), json!("5")),
        (json!({"$ref": "#"}), json!("5")),
    ];
    for (schema, value) in rows {
        assert_eq!(coerced(&schema, &value), (value, vec![]), "{schema}");
    }
}

#[test]
fn a_schema_is_followed_to_where_the_values_are() {
    let schema = json!({
        "properties": {
            "shape": {"anyOf": [
                {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["kind"]},
                {"properties": {"kind": {"const": "label"}, "r": {"type": "string"}}, "required": ["kind"]},
            ]},
            "pair": {"prefixItems": [{"type": "integer"}], "items": {"type": "boolean"}},
        },
        "additionalProperties": {"type": "integer"},
    });
    let value = json!({
        "z": "1",
        "shape": {"r": "2.5", "kind": "circle"},
        "pair": ["1", "true", "false"],
        "a": "2",
    });
    let (result, _) = coerced(&schema, &value);
    let expected = r#"{"z":1,"shape":{"r":2.5,"kind":"circle"},"pair":[1,true,false],"a":2}"#;
    assert_eq!(result.to_string(), expected);
    let label = json!({"shape": {"kind": "label", "r": "2.5"}});
    assert_eq!(coerced(&schema, &label), (label, vec![]));
}

#[test]
fn a_recursive_schema_is_followed_as_deep_as_the_value_goes() {
    let schema = json!({
        "properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}},
    });
    let value = json!({"n": "1", "next": {"n": "2", "next": {"n": "3"}}});
    let expected = json!({"n": 1, "next": {"n": 2, "next": {"n": 3}}});
    assert_eq!(
        coerced(&schema, &value),
        (expected, vec!["string-to-number"])
    );
}
