//! Schemas and answers made to exhaust whoever looks at them.
//!
//! Work is bounded by counting, see the unit tests; the timer here is loose and only tells bounded
//! from unbounded.

use std::time::{Duration, Instant};

use fal_gateway::translate::json::{Schema, SchemaError, coerce, parse_arguments, repair, root};
use serde_json::{Map, Value, json};

/// Far more than any of it takes without optimisation on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);

fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < TIMEOUT, "it took {:?}", start.elapsed());
    result
}

fn refusal(schema: &Value) -> SchemaError {
    soon(|| Schema::new(schema)).expect_err("the schema is refused")
}

/// Definitions that each refer to the next one twice, within what `wrap` makes of them.
fn bomb(wrap: fn(Value, Value) -> Value) -> Value {
    let link = |n: usize| json!({"$ref": format!("#/$defs/a{n}")});
    let mut definitions = (0..40)
        .map(|n| (format!("a{n}"), wrap(link(n + 1), link(n + 1))))
        .collect::<Map<_, _>>();
    definitions.insert("a40".to_owned(), json!({"type": "string"}));
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

#[test]
fn limits_are_named() {
    let long = json!({"description": "x".repeat(256 * 1024)});
    let deep = (0..33).fold(json!({}), |inner, _| json!({"not": inner}));
    let wide = json!({"enum": (0..5_000).collect::<Vec<_>>()});
    let pattern = json!({"pattern": "a".repeat(257)});
    let patterns = (0..60).map(|n| (format!("^{n}[ab]{{999}}"), json!({})));
    let patterns = json!({"patternProperties": patterns.collect::<Map<_, _>>()});
    let rows = [
        (long, "262144 bytes"),
        (deep, "32 levels"),
        (wide, "5000 values"),
        (pattern, "256 bytes"),
        (patterns, "50000 states"),
        (
            json!({"$ref": "https://example.com/a.json"}),
            "'https://example.com/a.json'",
        ),
        (
            json!({"$ref": "file:///etc/passwd"}),
            "'file:///etc/passwd'",
        ),
        (json!({"$ref": "#/$defs/nowhere"}), "'#/$defs/nowhere'"),
        (
            json!({"$ref": "#/default", "default": {"pattern": "a"}}),
            "not a schema",
        ),
        (json!({"$dynamicRef": "#a"}), "$dynamicRef"),
        (json!({"items": {"$id": "https://example.com/"}}), "$id"),
        (json!({"pattern": "(?=a)a"}), "not supported"),
        (json!({"pattern": r"(a)\1"}), "not supported"),
        (json!({"pattern": r"\p{L}{1000}"}), "50000 states"),
        (json!({"type": "strin"}), "not valid"),
        (json!({"type": 5}), "not valid"),
        (json!([]), "not valid"),
    ];
    for (schema, expected) in rows {
        let message = refusal(&schema).to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.chars().count() < 400, "{message}");
    }
}

#[test]
fn references_that_multiply_in_place_are_refused() {
    let all = |a, b| json!({"allOf": [a, b]});
    let any = |a, b| json!({"not": {"anyOf": [a, b]}});
    let conditional = |a, b| json!({"if": a, "then": b, "else": {}});
    for wrap in [all as fn(_, _) -> _, any, conditional] {
        assert_eq!(refusal(&bomb(wrap)), SchemaError::TooCostly);
    }
}

#[test]
fn references_in_a_circle_are_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}),
        json!({"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        assert_eq!(refusal(&schema), SchemaError::TooCostly);
    }
}

#[test]
fn references_that_multiply_with_the_value_are_compiled_once_and_checked_as_far_as_it_goes() {
    let schema = bomb(|a, b| json!({"properties": {"x": a, "y": b}}));
    let schema = soon(|| Schema::new(&schema)).expect("it costs what the value costs");
    assert_eq!(soon(|| schema.check(&json!({"x": {"y": {}}}))), Ok(()));
}

#[test]
fn a_recursive_schema_checks_trees() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name"],
    });
    let schema = Schema::new(&schema).expect("recursion through values ends with them");
    let tree = json!({"name": "a", "children": [{"name": "b", "children": []}]});
    assert_eq!(schema.check(&tree), Ok(()));
    let broken = json!({"name": "a", "children": [{"name": "b", "children": [{}]}]});
    let violations = schema.check(&broken).unwrap_err();
    assert_eq!(violations[0].path, "/children/0/children/0");
}

#[test]
fn branches_that_multiply_with_every_level_end_in_a_violation() {
    let branch = |n: usize| json!({"properties": {"next": {"$ref": "#"}, "n": {"type": "integer", "minimum": n}}});
    let schema = json!({"anyOf": (0..4).map(branch).collect::<Vec<_>>()});
    let schema = Schema::new(&schema).expect("the schema is within limits");
    let deep = (0..60).fold(json!({"n": "x"}), |inner, _| json!({"next": inner}));
    let violations = soon(|| schema.check(&deep)).unwrap_err();
    assert!(violations[0].says.contains("too large"), "{violations:?}");
    let mut value = deep;
    soon(|| coerce(&mut value, schema.as_value()));
}

#[test]
fn patterns_run_in_linear_time() {
    for pattern in ["^(a+)+$", "^(a|a)*$", "(x+x+)+y", "[ab]*a[ab]{60}c"] {
        let schema = json!({"items": {"pattern": pattern}});
        let schema = Schema::new(&schema).expect("the pattern is within limits");
        let value = json!([format!("{}!", "ab".repeat(5_000)), "a".repeat(20_000) + "!"]);
        let _ = soon(|| schema.check(&value));
    }
}

#[test]
fn large_patterns_are_matched_with_short_texts_only() {
    let schema = Schema::new(&json!({"pattern": "^[ab]*a[ab]{9999}c$"})).expect("within limits");
    assert!(soon(|| schema.check(&json!("ab".repeat(200_000)))).is_err());
    let ordinary = json!({"items": {"pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}$"}});
    let schema = Schema::new(&ordinary).expect("within limits");
    let ids = json!(vec!["01234567-89ab-0123456789ab"; 1_000]);
    assert_eq!(schema.check(&ids), Ok(()));
}

#[test]
fn the_deepest_checks_fit_on_the_stack_of_a_thread() {
    let link = |n: usize| json!({"anyOf": [{"$ref": format!("#/$defs/a{}", n + 1)}]});
    let mut definitions = (0..3)
        .map(|n| (format!("a{n}"), link(n)))
        .collect::<Map<_, _>>();
    definitions.insert(
        "a3".to_owned(),
        json!({"properties": {"n": {"$ref": "#/$defs/a0"}}, "additionalProperties": false}),
    );
    let schema = json!({"$defs": definitions, "$ref": "#/$defs/a0"});
    let schema = Schema::new(&schema).expect("within limits");
    for depth in [20, 30, 31, 32, 33, 120] {
        let deep = (0..depth).fold(json!({"x": 1}), |inner, _| json!({"n": inner}));
        assert!(schema.check(&deep).is_err());
        coerce(&mut deep.clone(), schema.as_value());
    }
    let chain = json!({"$defs": (0..2_000).map(|n| (format!("a{n}"), json!({"$ref": format!("#/$defs/a{}", n + 1)}))).collect::<Map<_, _>>()});
    assert!(Schema::new(&chain).is_err());
}

#[test]
fn many_wrong_items_are_one_violation() {
    let schema = Schema::new(&json!({"items": {"type": "string"}})).expect("it is small");
    let value = Value::from((0..100_000).collect::<Vec<_>>());
    let violations = soon(|| schema.check(&value)).unwrap_err();
    assert_eq!(violations.len(), 1);
}

#[test]
fn texts_of_nothing_but_brackets_end() {
    let texts = [
        "[".repeat(200_000),
        "{\"a\":".repeat(100_000),
        "{\"a\":[".repeat(100_000),
        "]".repeat(200_000),
        "\"".repeat(200_000),
        "\\".repeat(200_000),
        "/*".repeat(100_000),
        "{\"a\":\"\\".repeat(50_000),
        "[1 ".repeat(100_000),
        "{\"k\" ".repeat(100_000),
        format!("[{}", ",".repeat(200_000)),
    ];
    for text in texts {
        let _ = soon(|| root(&text));
        assert_eq!(soon(|| repair(&text)), None);
        assert!(soon(|| parse_arguments(&text, None)).is_err());
    }
}

#[test]
fn strings_are_not_read_once_per_branch() {
    let branch = json!({"type": "array", "items": {"type": "integer"}});
    let schema = json!({"anyOf": vec![branch; 900]});
    let mut value = json!(format!("[{}", "1,".repeat(400_000)));
    assert_eq!(soon(|| coerce(&mut value, &schema)), []);
}
