//! Validation errors in the words of pydantic 2 and FastAPI, with which fal's apps are written.

use serde::Serialize;
use serde_json::{Value, json};

/// One entry of the `detail` list of a 422.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(in crate::emulator) struct Invalid(Box<Entry>);

#[derive(Clone, Debug, Serialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Value>,
    msg: String,
    input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl Invalid {
    fn new(kind: &'static str, loc: &[Value], msg: impl Into<String>, input: &Value) -> Invalid {
        let loc = std::iter::once(json!("body"))
            .chain(loc.iter().cloned())
            .collect();
        Invalid(Box::new(Entry {
            kind,
            loc,
            msg: msg.into(),
            input: input.clone(),
            ctx: None,
        }))
    }

    fn with_ctx(mut self, ctx: Value) -> Invalid {
        self.0.ctx = Some(ctx);
        self
    }

    pub(super) fn missing(loc: &[Value], input: &Value) -> Invalid {
        Invalid::new("missing", loc, "Field required", input)
    }

    pub(super) fn not_json(offset: usize, message: &str) -> Invalid {
        Invalid::new(
            "json_invalid",
            &[json!(offset)],
            "JSON decode error",
            &json!({}),
        )
        .with_ctx(json!({ "error": message }))
    }

    pub(super) fn not_an_object(input: &Value) -> Invalid {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        Invalid::new("model_attributes_type", &[], msg, input)
    }

    pub(super) fn not_a_string(loc: &[Value], input: &Value) -> Invalid {
        Invalid::new("string_type", loc, "Input should be a valid string", input)
    }

    pub(super) fn not_a_list(loc: &[Value], input: &Value) -> Invalid {
        Invalid::new("list_type", loc, "Input should be a valid list", input)
    }

    pub(super) fn too_long(loc: &[Value], input: &Value, max: usize) -> Invalid {
        let msg = format!("String should have at most {max} characters");
        Invalid::new("string_too_long", loc, msg, input).with_ctx(json!({ "max_length": max }))
    }

    pub(super) fn not_one_of(loc: &[Value], input: &Value, options: &str) -> Invalid {
        Invalid::new(
            "literal_error",
            loc,
            format!("Input should be {options}"),
            input,
        )
        .with_ctx(json!({ "expected": options }))
    }

    pub(super) fn image_unreadable(loc: &[Value], input: &Value) -> Invalid {
        let msg = "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format.";
        Invalid::new("image_load_error", loc, msg, input)
    }

    pub(super) fn file_unreachable(loc: &[Value], input: &Value) -> Invalid {
        let msg =
            "Failed to download the file. Please check if the URL is accessible and try again.";
        Invalid::new("file_download_error", loc, msg, input)
    }
}

/// A number in pydantic's lax mode: a number, a bool, or a text that reads as a number.
pub(super) fn parse_float(field: &str, value: &Value) -> Result<f64, Invalid> {
    let loc = [json!(field)];
    match value {
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::INFINITY)),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::String(text) => text.trim().parse().map_err(|_| {
            let msg = "Input should be a valid number, unable to parse string as a number";
            Invalid::new("float_parsing", &loc, msg, value)
        }),
        _ => Err(Invalid::new(
            "float_type",
            &loc,
            "Input should be a valid number",
            value,
        )),
    }
}

/// As [`parse_float`], between `least` and `most`.
pub(super) fn parse_float_within(
    field: &str,
    value: &Value,
    least: f64,
    most: f64,
) -> Result<f64, Invalid> {
    let number = parse_float(field, value)?;
    let loc = [json!(field)];
    if number > most {
        let msg = format!("Input should be less than or equal to {most}");
        return Err(
            Invalid::new("less_than_equal", &loc, msg, value).with_ctx(json!({ "le": most }))
        );
    }
    if number < least {
        let msg = format!("Input should be greater than or equal to {least}");
        return Err(
            Invalid::new("greater_than_equal", &loc, msg, value).with_ctx(json!({ "ge": least }))
        );
    }
    Ok(number)
}

/// A whole number in pydantic's lax mode.
pub(super) fn parse_int(field: &str, value: &Value) -> Result<i64, Invalid> {
    let loc = [json!(field)];
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| whole(number.as_f64()?))
            .ok_or_else(|| {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                Invalid::new("int_from_float", &loc, msg, value)
            }),
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::String(text) => text.trim().parse().map_err(|_| {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            Invalid::new("int_parsing", &loc, msg, value)
        }),
        _ => Err(Invalid::new(
            "int_type",
            &loc,
            "Input should be a valid integer",
            value,
        )),
    }
}

fn whole(number: f64) -> Option<i64> {
    let exact = number.fract() == 0.0 && number.abs() < 9e15;
    exact.then_some(number as i64)
}

/// A truth value in pydantic's lax mode.
pub(super) fn parse_bool(field: &str, value: &Value) -> Result<bool, Invalid> {
    let loc = [json!(field)];
    let lower = value.as_str().map(str::to_lowercase);
    match (value, lower.as_deref()) {
        (Value::Bool(flag), _) => Ok(*flag),
        (_, Some("true" | "t" | "yes" | "y" | "on" | "1")) => Ok(true),
        (_, Some("false" | "f" | "no" | "n" | "off" | "0")) => Ok(false),
        (Value::Number(number), _) if number.as_f64() == Some(1.0) => Ok(true),
        (Value::Number(number), _) if number.as_f64() == Some(0.0) => Ok(false),
        (Value::Number(_) | Value::String(_), _) => {
            let msg = "Input should be a valid boolean, unable to interpret input";
            Err(Invalid::new("bool_parsing", &loc, msg, value))
        }
        _ => Err(Invalid::new(
            "bool_type",
            &loc,
            "Input should be a valid boolean",
            value,
        )),
    }
}
