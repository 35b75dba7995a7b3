//! Schemas that cannot be checked in full: what is left of them is checked, and the rest is named.

use fal_gateway::translate::json::{Partial, Schema, SchemaBudget, SchemaError, coerce};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn raw(schema: &Value) -> Box<RawValue> {
    RawValue::from_string(schema.to_string()).unwrap()
}

fn in_part(schema: &Value) -> Partial {
    let budget = &mut SchemaBudget::default();
    Schema::parse_in_part(&raw(schema), budget).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn in_full(schema: &Value) -> Result<Schema, SchemaError> {
    Schema::parse(&raw(schema), &mut SchemaBudget::default())
}

/// A property whose schema is `inner`, beside one that can be checked.
fn with(inner: &Value) -> Value {
    json!({"type": "object", "properties": {"v": inner, "count": {"type": "integer"}}})
}

#[test]
fn a_pattern_that_does_not_run_in_linear_time_costs_only_its_check() {
    let long = "a".repeat(300);
    let patterns = [
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
        r"(?<!\d)\d{3}$",
        r"(?=a)a",
        r"(a)\1",
        r"(?P=q)",
        r"(?>a)",
        r"^{",
        r"[]",
        r"^\w+\Z",
        r".{0,4000}",
        r"[a-z]{0,50000}",
        long.as_str(),
    ];
    for pattern in patterns {
        let schema = with(&json!({"type": "string", "pattern": pattern}));
        let partial = in_part(&schema);
        assert_eq!(partial.unchecked, [".properties.v.pattern"], "{pattern}");
        let check = |value| partial.schema.check(&value);
        assert!(check(json!({"v": "anything", "count": 1})).is_ok());
        assert!(check(json!({"v": 1})).is_err(), "the type is still checked");
        assert!(
            check(json!({"count": "x"})).is_err(),
            "so is what is beside"
        );
        let error = in_full(&schema).expect_err("strict promises all of it");
        assert!(
            matches!(&error, SchemaError::Unsupported { path, .. } if path == ".properties.v.pattern")
        );
        let says = error.to_string();
        assert!(says.ends_with("is not supported."), "{says}");
        assert!(says.chars().count() < 400, "{says}");
    }
}

#[test]
fn a_keyword_or_a_reference_that_is_not_supported_costs_only_its_check() {
    let rows = [
        (
            json!({"unevaluatedProperties": false}),
            "unevaluatedProperties",
        ),
        (json!({"unevaluatedItems": false}), "unevaluatedItems"),
        (json!({"$dynamicRef": "#a"}), "$dynamicRef"),
        (json!({"$recursiveRef": "#"}), "$recursiveRef"),
        (json!({"$ref": "https://example.com/a.json"}), "$ref"),
        (json!({"$ref": "#/$defs/nowhere"}), "$ref"),
        (json!({"$ref": "#anchor"}), "$ref"),
        (json!({"$ref": format!("#/{}", "n".repeat(1024))}), "$ref"),
        (json!({"$id": "https://example.com/inner"}), "$id"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "$schema",
        ),
    ];
    for (inner, keyword) in rows {
        let schema = with(&inner);
        let partial = in_part(&schema);
        assert_eq!(partial.unchecked, [format!(".properties.v.{keyword}")]);
        assert!(partial.schema.check(&json!({"count": "x"})).is_err());
        let error = in_full(&schema).expect_err("strict promises all of it");
        assert!(error.to_string().contains("not supported"), "{error}");
    }
}

#[test]
fn a_reference_may_be_written_as_people_write_it() {
    for name in [
        "List[Foo]",
        "Map<K,V>",
        "a b",
        "{a}",
        "a|b",
        "`a`",
        "ü",
        "50%",
    ] {
        let pointer = name.replace('%', "%25");
        let schema = json!({
            "type": "object",
            "properties": {"a": {"$ref": format!("#/$defs/{pointer}")}, "next": {"$ref": ""}},
            "$defs": {name: {"type": "string"}},
        });
        let schema = in_full(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schema.check(&json!({"a": "x", "next": {"a": "y"}})).is_ok());
        assert!(schema.check(&json!({"next": {"a": 1}})).is_err());
    }
}

#[test]
fn any_draft_will_do_where_nothing_is_promised() {
    let drafts = [
        "http://json-schema.org/draft-03/schema#",
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/schema#",
        "https://spec.openapis.org/oas/3.1/dialect/base",
        "",
        "x",
    ];
    for draft in drafts {
        let schema =
            json!({"$schema": draft, "type": "object", "properties": {"n": {"type": "integer"}}});
        let partial = in_part(&schema);
        assert_eq!(partial.unchecked, [".$schema"]);
        assert!(partial.schema.check(&json!({"n": "x"})).is_err());
        assert!(in_full(&schema).is_err());
    }
    // A bound of draft 4, with and without saying so.
    let bounds = json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true});
    let partial = in_part(&bounds);
    assert!(partial.unchecked.is_empty());
    assert!(partial.schema.check(&json!(0)).is_err());
    assert!(partial.schema.check(&json!(1)).is_ok());
    // What no draft that is known here allows says nothing where another one is named.
    let odd = json!({"$schema": "https://example.com/mine", "required": true});
    assert_eq!(in_part(&odd).unchecked, [""]);
}

#[test]
fn leaving_something_out_never_asks_for_more() {
    let bad = json!({"type": "string", "pattern": "(?=a)a"});
    let rows = [
        (json!({"not": bad}), json!("a")),
        (json!({"oneOf": [bad, {"type": "string"}]}), json!("b")),
        (json!({"if": bad, "then": {"maxLength": 0}}), json!("b")),
        (
            json!({"contains": bad, "maxContains": 1}),
            json!(["a", "b"]),
        ),
        (
            json!({"patternProperties": {"(?=a)a": {}}, "additionalProperties": false}),
            json!({"a": 1}),
        ),
        (
            json!({"$defs": {"a": bad}, "not": {"$ref": "#/$defs/a"}}),
            json!("b"),
        ),
        (
            json!({"$defs": {"a": bad}, "oneOf": [{"$ref": "#/$defs/a"}, {"const": "b"}]}),
            json!("b"),
        ),
    ];
    for (schema, value) in rows {
        let partial = in_part(&schema);
        assert!(!partial.unchecked.is_empty());
        assert_eq!(partial.schema.check(&value), Ok(()), "{schema}");
        let mut coerced = value.clone();
        coerce(&mut coerced, partial.schema.as_value());
        assert_eq!(coerced, value);
    }
}

#[test]
fn what_exceeds_a_limit_is_not_checked_and_what_is_no_schema_is_refused() {
    let deep = (0..40).fold(json!({}), |inner, _| json!({"items": inner}));
    let wide = json!({"enum": (0..5_000).collect::<Vec<_>>()});
    let circle = json!({"$ref": "#"});
    let data = json!({"$ref": "#/default", "default": {"type": "string"}});
    for schema in [deep, wide, circle, data] {
        assert_eq!(in_part(&schema).unchecked, [""]);
        assert!(in_full(&schema).is_err());
    }
    let refused = [
        json!({"type": "nonsense"}).to_string(),
        json!({"description": "x".repeat(256 * 1024)}).to_string(),
        r#"{"description": "cut \ud83d"}"#.to_owned(),
        r#"{"const": 1e400}"#.to_owned(),
    ];
    let says = [
        "not valid",
        "262144 bytes",
        "stands for no character",
        "out of range",
    ];
    for (schema, says) in refused.into_iter().zip(says) {
        let schema = RawValue::from_string(schema).unwrap();
        let error = Schema::parse_in_part(&schema, &mut SchemaBudget::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn all_schemas_of_a_request_share_one_budget() {
    let link = |at: usize| json!({"$ref": format!("#/$defs/d{at}")});
    let mut definitions = serde_json::Map::new();
    definitions.insert("d0".to_owned(), json!({"type": "string"}));
    for at in 1..9 {
        definitions.insert(
            format!("d{at}"),
            json!({"anyOf": [link(at - 1), link(at - 1)]}),
        );
    }
    let heavy = raw(&json!({"$defs": definitions, "$ref": "#/$defs/d8"}));
    let light = raw(&json!({"type": "object"}));
    let budget = &mut SchemaBudget::default();
    let mut unchecked = 0;
    for _ in 0..128 {
        let partial = Schema::parse_in_part(&heavy, budget).unwrap();
        unchecked += partial.unchecked.len();
        let partial = Schema::parse_in_part(&light, budget).unwrap();
        assert!(
            partial.unchecked.is_empty(),
            "one tool costs no other its check"
        );
    }
    assert!((64..128).contains(&unchecked), "{unchecked}");
}
