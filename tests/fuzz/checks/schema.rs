//! A schema on the first line and a value after it: both are chosen by strangers, and neither may
//! cost much or be held against the other wrongly.

use fal_gateway::translate::json::{Schema, SchemaBudget, coerce, parse_arguments};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (schema, value) = text.split_once('\n').unwrap_or((&text, "null"));
    let Ok(schema) = serde_json::from_str::<&RawValue>(schema) else {
        return;
    };
    let whole = Schema::parse(schema, &mut SchemaBudget::default());
    let part = Schema::parse_in_part(schema, &mut SchemaBudget::default());
    match (&whole, &part) {
        (Ok(whole), Ok(part)) => {
            hold(whole, value);
            assert!(part.unchecked.is_empty(), "{:?}", part.unchecked);
        }
        (Err(error), Ok(part)) => {
            hold(&part.schema, value);
            assert!(error.to_string().chars().count() < 400, "{error}");
        }
        (Err(error), Err(_)) => assert!(error.to_string().chars().count() < 400, "{error}"),
        (Ok(_), Err(error)) => panic!("what can be checked can be checked in part: {error}"),
    }
}

fn hold(schema: &Schema, text: &str) {
    if let Ok(arguments) = parse_arguments(text, Some(schema)) {
        let value: Value = serde_json::from_str(&arguments.json).expect("arguments are JSON");
        assert!(value.is_object());
        assert_eq!(schema.check(&value), Ok(()), "{value}");
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if let Err(violations) = schema.check(&value) {
        assert!((1..=5).contains(&violations.len()));
        for violation in violations {
            assert!(violation.to_string().chars().count() < 400, "{violation}");
        }
    }
    let mut coerced = value.clone();
    let fixes = coerce(&mut coerced, schema.as_value());
    assert_eq!(
        fixes.is_empty(),
        coerced == value,
        "{value} became {coerced}: {fixes:?}"
    );
}
