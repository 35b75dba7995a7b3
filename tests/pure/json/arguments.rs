//! The whole ladder, as the arguments of a tool call climb it.

use fal_gateway::translate::json::{
    Arguments, ArgumentsError, Fix, Schema, Violation, parse_arguments,
};
use serde_json::{Value, json};

fn weather() -> Schema {
    let schema = json!({
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "units": {"enum": ["celsius", "fahrenheit"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["city"],
        "additionalProperties": false,
    });
    Schema::new(&schema).expect("the schema is within limits")
}

fn parsed(text: &str) -> Result<(String, Vec<&'static str>), ArgumentsError> {
    parse_arguments(text, Some(&weather()))
        .map(|Arguments { json, fixes }| (json, fixes.into_iter().map(Fix::label).collect()))
}

#[test]
fn a_text_that_needs_no_coercion_is_not_written_anew() {
    let text = "{ \"days\" : 3,\n  \"city\": \"Par\\u0069s\" }";
    assert_eq!(parsed(text), Ok((text.to_owned(), vec![])));
}

#[test]
fn every_rung_is_reported() {
    let text = "I call it with:\n```json\n{'city': 'Paris', \"days\": \"3\", \"units\": \"Celsius\", \"tags\": \"a\",}\n```";
    let json = r#"{"city":"Paris","days":3,"units":"celsius","tags":["a"]}"#;
    let fixes = vec![
        "fence",
        "single-quotes",
        "trailing-comma",
        "string-to-number",
        "enum-case",
        "value-to-array",
    ];
    assert_eq!(parsed(text), Ok((json.to_owned(), fixes)));
}

#[test]
fn an_object_in_a_json_string_is_taken_out() {
    let text = r#""{\"city\": \"Paris\"}""#;
    let json = r#"{"city": "Paris"}"#.to_owned();
    assert_eq!(parsed(text), Ok((json, vec!["unwrapped"])));
}

#[test]
fn what_is_no_object_is_told_from_what_is_no_json() {
    for text in ["", "null and void", "Use {braces}", "{\"city\": 1_000}"] {
        assert_eq!(parsed(text), Err(ArgumentsError::NotJson), "{text}");
    }
    for text in ["null", "5", "[1]", "[{\"city\": \"Paris\"}]", "\"5\""] {
        assert_eq!(parsed(text), Err(ArgumentsError::NotAnObject), "{text}");
    }
}

#[test]
fn a_number_that_would_be_rounded_keeps_the_text_as_it_is() {
    let schema = json!({"properties": {"id": {"type": "integer"}, "n": {"type": "integer"}}});
    let schema = Schema::new(&schema).expect("the schema is within limits");
    let exact = "{\"id\": 123456789012345678901234567890, \"n\": 1}";
    let parsed = parse_arguments(exact, Some(&schema)).map(|arguments| arguments.json);
    assert_eq!(parsed, Ok(exact.to_owned()));
    let both = "{\"id\": 123456789012345678901234567890, \"n\": \"1\"}";
    assert!(parse_arguments(both, Some(&schema)).is_err());
}

#[test]
fn without_a_schema_only_spelling_is_touched() {
    let text = r#"{"n": "5", "id": 123456789012345678901234567890,}"#;
    let arguments = parse_arguments(text, None).map(|arguments| arguments.json);
    let json = r#"{"n": "5", "id": 123456789012345678901234567890}"#;
    assert_eq!(arguments, Ok(json.to_owned()));
}

#[test]
fn a_text_that_broke_off_is_marked() {
    let (json, fixes) = parsed(r#"{"city": "Par"#).expect("the city is a string");
    assert_eq!(json, r#"{"city": "Par"}"#);
    assert_eq!(fixes, vec![Fix::Closed.label()]);
    assert!(!Fix::Closed.is_lossless());
}

#[test]
fn violations_say_where_and_fit_into_a_prompt() {
    let error = parsed(r#"{"days": "soon", "tags": [1], "color": "red"}"#).unwrap_err();
    let ArgumentsError::Violations(violations) = &error else {
        unreachable!("it is an object: {error:?}");
    };
    let mut paths = violations.iter().map(|violation| violation.path.as_str());
    assert!(paths.any(|path| path == "/tags/0"), "{violations:?}");
    let message = error.message();
    assert!(message.contains("/days: "), "{message}");
    assert!(message.contains("city"), "{message}");
}

#[test]
fn messages_stay_short() {
    let violation = Violation {
        path: format!("/{}", "é".repeat(150)),
        says: "ü".repeat(160),
        is_missing: false,
    };
    let many = ArgumentsError::Violations(vec![violation; 5]);
    for error in [many, ArgumentsError::NotJson, ArgumentsError::NotAnObject] {
        assert!(error.message().chars().count() <= 600);
    }
}

/// However much else is wrong, and where one of several schemas requires it.
#[test]
fn what_is_missing_is_told_first() {
    let wrong: Value = (0..20).map(|n| (format!("k{n}"), Value::from(n))).collect();
    let deep = json!({"properties": {"a": {"required": ["b"]}}, "additionalProperties": {"type": "string"}});
    let either = json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    let typed = json!({"properties": {"a": {"type": "string"}}, "required": ["a"]});
    for (schema, value, expected) in [
        (
            &deep,
            json!({"k": 1, "l": 2, "m": 3, "n": 4, "o": 5, "a": {}}),
            true,
        ),
        (&deep, wrong, false),
        (&either, json!({"c": 1}), true),
        (&typed, json!({"a": 1}), false),
        (&typed, json!({}), true),
    ] {
        let schema = Schema::new(schema).expect("the schema is within limits");
        let violations = schema.check(&value).unwrap_err();
        assert_eq!(
            violations[0].is_missing, expected,
            "{value}: {violations:?}"
        );
    }
}

#[test]
fn five_violations_are_enough() {
    let schema = json!({"additionalProperties": {"type": "string"}});
    let schema = Schema::new(&schema).expect("the schema is within limits");
    let value = (0..20).map(|n| (format!("k{n}"), Value::from(n))).collect();
    let violations = schema.check(&Value::Object(value)).unwrap_err();
    assert_eq!(violations.len(), 5);
}

#[test]
fn values_are_taken_out_of_a_copy_of_the_schema() {
    let echoes = [
        r#"{"type": "object", "properties": {"city": "Paris"}, "required": ["city"]}"#,
        r#"{"properties": {"city": "Paris"}}"#,
        r#"{"title": "W", "type": "object", "properties": {"city": "Paris"}, "additionalProperties": false}"#,
    ];
    for echo in echoes {
        let expected = Ok((r#"{"city": "Paris"}"#.to_owned(), vec!["schema-echo"]));
        assert_eq!(parsed(echo), expected, "{echo}");
    }
    let no_echoes = [
        r#"{"type": "object", "properties": {"city": {"type": "string"}}}"#,
        r#"{"type": "object", "properties": {"city": "Paris"}, "days": 3}"#,
        r#"{"type": "object", "properties": {"town": "Paris"}}"#,
    ];
    for text in no_echoes {
        assert!(parsed(text).is_err(), "{text}");
    }
}

/// A schema that allows anything beside what it declares allows the copy as well.
#[test]
fn a_copy_of_a_lenient_schema_is_no_value_either() {
    let parsed = |schema: &Value, text: &str| {
        let schema = Schema::new(schema).unwrap();
        parse_arguments(text, Some(&schema)).unwrap().json
    };
    let lenient = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let echo = r#"{"type": "object", "properties": {"city": "Paris"}}"#;
    assert_eq!(parsed(&lenient, echo), r#"{"city": "Paris"}"#);
    let other = r#"{"type": "object", "properties": {"town": "Paris"}}"#;
    assert_eq!(parsed(&lenient, other), other);
    let of_schemas = json!({"properties": {"type": {}, "properties": {}, "city": {}}});
    assert_eq!(parsed(&of_schemas, echo), echo);
}

#[test]
fn what_holds_a_name_twice_is_no_checked_value() {
    let twins = [
        r#"{"city": 1, "city": "Paris"}"#,
        r#"{"city": "Paris", "\u0063ity": "Rome"}"#,
        r#"{'city': 'Paris', 'city': 'Rome',}"#,
    ];
    for text in twins {
        assert_eq!(parsed(text), Err(ArgumentsError::NamesTwice), "{text}");
    }
}
