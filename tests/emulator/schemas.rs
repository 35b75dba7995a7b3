//! A model that is told to write JSON writes some that its schema allows, or slips.

use serde_json::{Value, json};

use crate::{
    harness::Fal,
    instructions::{after_results, allows, calls_in, format_of, keyed_and},
};

fn person() -> Value {
    json!({
        "type": "object",
        "properties": { "name": { "type": "string" }, "age": { "type": "integer" }, "nice": { "type": "boolean" } },
        "required": ["name", "age", "nice"],
        "additionalProperties": false,
    })
}

const RIGHT: &str = r#"{"name": "Ada Lovelace", "age": 36, "nice": true}"#;

async fn slip(words: &str) -> String {
    let fal = Fal::start().await;
    let prompt = format!("Describe Ada Lovelace, 36 /emulate {words}");
    fal.told(&format_of(&person()), &prompt).await
}

#[tokio::test]
async fn a_schema_is_filled_from_the_message_and_the_results() {
    let fal = Fal::start().await;
    let asked = "Extract: Ada Lovelace is 36";
    let wordings = [
        format_of(&person()),
        format!("Be brief.\n\n{}", format_of(&person())),
        format!(
            "Answer in JSON.\nThe JSON schema:\n```json\n{:#}\n```",
            person()
        ),
        keyed_and(&format_of(&person())),
    ];
    for system in wordings {
        assert_eq!(fal.told(&system, asked).await, RIGHT, "{system}");
    }
    let both = keyed_and(&format_of(&person()));
    let called = fal.told(&both, "The weather in Paris, please").await;
    assert_eq!(calls_in(&called).1.len(), 1);
    let results = after_results("Who was she?", &[("get_weather", "Ada Lovelace, 36")]);
    assert_eq!(fal.told(&both, &results).await, RIGHT);
}

#[tokio::test]
async fn any_json_object_will_do_without_a_schema() {
    let fal = Fal::start().await;
    let output = fal
        .told(
            "Always respond with a JSON object. Don't include any text around it.",
            "Hi",
        )
        .await;
    assert_eq!(output, r#"{"answer": "Hi"}"#);
}

/// Schemas with everything that tools and answers are described by.
fn schemas() -> Vec<Value> {
    vec![
        json!({ "type": "object", "properties": {} }),
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 3, "uniqueItems": true }),
        json!({ "type": ["null", "string"], "minLength": 30, "maxLength": 31 }),
        json!({ "type": "string", "maxLength": 3 }),
        json!({ "type": "string", "pattern": "^[A-Z]{2}-\\d{3,}(x|y)?$", "minLength": 10 }),
        json!({ "const": { "a": [1] } }),
        json!({ "enum": [null, 4, "x"] }),
        json!({ "type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7 }),
        json!({ "type": "integer", "minimum": 11, "multipleOf": 5 }),
        json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5 }),
        json!({ "type": "number", "maximum": -3.25 }),
        json!({ "prefixItems": [{ "type": "integer" }, { "type": "string" }], "items": false, "type": "array" }),
        json!({ "type": "object", "additionalProperties": { "type": "number" }, "minProperties": 2 }),
        json!({ "type": "object", "required": ["undeclared"], "additionalProperties": { "type": "array", "items": {} } }),
        json!({
            "type": "object",
            "properties": {
                "when": { "type": "string", "format": "date-time" }, "day": { "type": "string", "format": "date" },
                "at": { "type": "string", "format": "time" }, "id": { "type": "string", "format": "uuid" },
                "mail": { "type": "string", "format": "email" }, "site": { "type": "string", "format": "uri" },
                "host": { "type": "string", "format": "ipv4" }, "span": { "type": "string", "format": "duration" },
            },
            "required": ["when", "day", "at", "id", "mail", "site", "host", "span"],
        }),
        json!({
            "allOf": [
                { "type": "object", "properties": { "a": { "type": "integer", "minimum": 3 } }, "required": ["a"] },
                { "properties": { "a": { "maximum": 4 }, "b": { "$ref": "#/$defs/b" } }, "required": ["b"] },
            ],
            "$defs": { "b": { "enum": ["one"] } },
        }),
        json!({
            "type": "object",
            "properties": { "pet": { "oneOf": [{ "$ref": "#/definitions/Cat" }, { "$ref": "#/definitions/Dog" }], "discriminator": { "propertyName": "kind" } } },
            "required": ["pet"],
            "definitions": {
                "Cat": { "type": "object", "properties": { "kind": { "const": "cat" }, "lives": { "type": "integer", "minimum": 9 } }, "required": ["kind", "lives"] },
                "Dog": { "type": "object", "properties": { "kind": { "const": "dog" } }, "required": ["kind"] },
            },
        }),
        // A tree, a linked list and an expression: recursion through a list, null and a union.
        json!({ "type": "object", "properties": { "children": { "type": "array", "items": { "$ref": "#" } } }, "required": ["children"] }),
        json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": { "type": "object", "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] } }, "required": ["next"] } },
        }),
        json!({
            "$ref": "#/$defs/expression",
            "$defs": {
                "expression": { "anyOf": [{ "$ref": "#/$defs/sum" }, { "type": "number" }] },
                "sum": {
                    "type": "object",
                    "properties": { "left": { "$ref": "#/$defs/expression" }, "right": { "$ref": "#/$defs/expression" } },
                    "required": ["left", "right"], "additionalProperties": false,
                },
            },
        }),
    ]
}

#[tokio::test]
async fn any_reasonable_schema_gets_a_valid_value() {
    let fal = Fal::start().await;
    for schema in schemas() {
        for message in [
            "Fill it in",
            "Ada (ada@example.org, 3, -7.5, 100) met \"Bob\" on 2024-05-06",
        ] {
            let output = fal.told(&format_of(&schema), message).await;
            let value =
                serde_json::from_str(&output).unwrap_or_else(|_| panic!("{schema}: {output}"));
            assert!(allows(&schema, &value), "{schema}: {output}");
        }
    }
}

#[tokio::test]
async fn slips_in_the_json() {
    assert_eq!(slip("").await, RIGHT);
    assert_eq!(
        slip("json:python").await,
        "{'name': 'Ada Lovelace', 'age': 36, 'nice': True}"
    );
    assert_eq!(slip("json:trailing").await, RIGHT.replace('}', ",}"));
    assert_eq!(slip("json:empty").await, "");
    let types = RIGHT.replace("36", "\"36\"").replace("true", "\"true\"");
    assert_eq!(slip("json:types").await, types);
    assert!(
        slip("json:smart")
            .await
            .starts_with("{“name”: “Ada Lovelace”, ")
    );
    assert!(
        slip("json:keys")
            .await
            .starts_with("{name: \"Ada Lovelace\", age: 36")
    );
    assert!(
        slip("json:comment")
            .await
            .starts_with("{/* as asked */ \"name\"")
    );
    assert_eq!(slip("json:braces").await, format!("{RIGHT}}}"));
    assert_eq!(slip("json:escape").await, RIGHT.replace("lace", "lace\n"));
    assert_eq!(slip("json:array").await, format!("[{RIGHT}]"));
    assert_eq!(slip("json:fenced").await, format!("```json\n{RIGHT}\n```"));
    assert_eq!(slip("json:string").await, json!(RIGHT).to_string());
    let invalid = slip("json:invalid").await;
    assert_eq!(invalid, RIGHT.replacen(": ", " ", 1));
    let wrong = serde_json::from_str(&slip("json:wrong").await).unwrap();
    assert!(!allows(&person(), &wrong), "{wrong}");
    let cut = slip("json:truncated").await;
    assert!(RIGHT.starts_with(&cut) && cut.len() > 10, "{cut}");
    let prose = slip("json:prose json:fenced").await;
    assert!(
        prose.contains("\n\n```json\n{\"name\"") && prose.starts_with("Sure!"),
        "{prose}"
    );
    assert!(slip("json:refuse").await.starts_with("I'm sorry"));
}

#[tokio::test]
async fn wrong_json_is_corrected_when_asked_for_again() {
    let fal = Fal::start().await;
    let system = format_of(&person());
    let reask = "Describe Ada Lovelace, 36 /emulate json:wrong json:fenced\n\nYour previous reply was not valid: /: \"name\" is a required property.";
    assert_eq!(fal.told(&system, reask).await, RIGHT);
    let stubborn = fal
        .told(&system, &reask.replace("json:fenced", "stubborn"))
        .await;
    assert_ne!(stubborn, RIGHT);
}
