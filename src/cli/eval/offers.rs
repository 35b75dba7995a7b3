//! The tools and the formats of the tasks.

use serde_json::{Value, json};

pub(super) fn tools() -> Value {
    let weather = json!({
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city for some days",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 14},
                },
                "required": ["city"],
            },
        },
    });
    json!([weather, mail()])
}

/// As many tools as an agent has.
pub(super) fn many_tools() -> Value {
    let texts = |names: &[&str]| -> Value {
        let members = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": "string"})));
        Value::Object(members.collect())
    };
    let tool = |name: &str, description: &str, properties: Value, required: &[&str]| {
        json!({"type": "function", "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        }})
    };
    let amount = json!({
        "amount": {"type": "number"}, "from": {"type": "string"}, "to": {"type": "string"},
    });
    let mut tools = vec![
        tool(
            "read_file",
            "Read a file of the project",
            texts(&["path"]),
            &["path"],
        ),
        tool(
            "write_file",
            "Write a file of the project",
            texts(&["path", "text"]),
            &["path", "text"],
        ),
        tool(
            "list_folder",
            "List the files in a folder",
            texts(&["path"]),
            &["path"],
        ),
        tool(
            "run_command",
            "Run a command in a shell",
            texts(&["command"]),
            &["command"],
        ),
        tool(
            "search_web",
            "Search the web",
            texts(&["query"]),
            &["query"],
        ),
        tool(
            "convert_currency",
            "Convert an amount of money",
            amount,
            &["amount", "from", "to"],
        ),
        tool(
            "translate_text",
            "Translate a text",
            texts(&["text", "language"]),
            &["text", "language"],
        ),
    ];
    if let Value::Array(usual) = self::tools() {
        tools.extend(usual);
    }
    Value::Array(tools)
}

pub(super) fn time() -> Value {
    json!({
        "type": "function",
        "function": {"name": "get_time", "description": "The time of day"},
    })
}

pub(super) fn order() -> Value {
    json!({
        "type": "function",
        "function": {
            "name": "order_goods",
            "description": "Order goods for the shop",
            "parameters": {
                "type": "object",
                "properties": {
                    "amount": {"type": "integer"},
                    "speed": {"type": "string", "enum": ["standard", "express"]},
                    "marks": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["amount", "speed", "marks"],
            },
        },
    })
}

pub(super) fn mail() -> Value {
    json!({
        "type": "function",
        "function": {
            "name": "send_mail",
            "description": "Send an e-mail to someone",
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}, "urgent": {"type": "boolean"}},
                "required": ["to"],
            },
        },
    })
}

pub(super) fn booking() -> Value {
    json!({
        "type": "function",
        "function": {
            "name": "book_table",
            "description": "Book a table in the restaurant",
            "strict": true,
            "parameters": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "when": {
                        "type": "object",
                        "properties": {
                            "day": {"type": "string", "enum": ["thursday", "friday", "saturday"]},
                            "hour": {"type": "integer", "minimum": 12, "maximum": 23},
                        },
                        "required": ["day", "hour"],
                        "additionalProperties": false,
                    },
                    "guests": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                    "outside": {"type": "boolean"},
                },
                "required": ["name", "when", "guests", "outside"],
                "additionalProperties": false,
            },
        },
    })
}

pub(super) fn city_format() -> Value {
    json!({
        "type": "json_schema",
        "json_schema": {
            "name": "city",
            "schema": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
                "required": ["city", "inhabitants"],
            },
        },
    })
}

pub(super) fn person_format(strict: bool) -> Value {
    json!({
        "type": "json_schema",
        "json_schema": {
            "name": "person",
            "strict": strict,
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "age": {"type": "integer"},
                    "nice": {"type": "boolean"},
                },
                "required": ["name", "age", "nice"],
                "additionalProperties": false,
            },
        },
    })
}
