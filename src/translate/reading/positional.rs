//! Arguments without their names, given to the parameters that they can only be meant for.

use serde_json::Value;

use crate::translate::json::{Schema, members_that_take};
use crate::wire::openai::fields::Fields;

/// More arguments without a name than this are not looked at.
pub const MAX: usize = 8;
/// Nor are tools with more parameters.
const MAX_PARAMETERS: usize = 64;

/// The object that holds these values, each of them JSON, besides the members of `named`. `None`
/// where one could be meant for several parameters, or for none.
///
/// A value is meant for the only parameter that is left, for the only one that takes values of its
/// type, or for the only one of those that is required, in this order.
pub fn object(values: &[String], named: &str, schema: Option<&Schema>) -> Option<String> {
    let schema = schema?.as_value();
    let declared = schema.get("properties")?.as_object()?;
    let Fields(members) = serde_json::from_str(named).ok()?;
    let mut left: Vec<&str> = declared.keys().map(String::as_str).collect();
    if values.len() > MAX || left.len() > MAX_PARAMETERS {
        return None;
    }
    left.retain(|name| !members.iter().any(|(named, _)| named == name));
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &&str| {
        let mut names = required.into_iter().flatten().filter_map(Value::as_str);
        names.any(|required| required == *name)
    };
    let mut steps = 0;
    let mut placed = Vec::new();
    for json in values {
        let taking = members_that_take(schema, &left, json, &mut steps);
        let due = taking.iter().copied().filter(is_required);
        let name = only(left.iter().copied())
            .or_else(|| only(taking.iter().copied()))
            .or_else(|| only(due))?;
        left.retain(|other| *other != name);
        placed.push(format!("{}: {json}", Value::from(name)));
    }
    let members = members.iter();
    placed.extend(members.map(|(name, json)| format!("{}: {json}", Value::from(name.as_ref()))));
    Some(format!("{{{}}}", placed.join(", ")))
}

/// The only item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Schema, object};

    #[test]
    fn a_value_goes_where_it_can_only_be_meant_for() {
        let schema = Schema::new(&json!({
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"], "type": "string"}},
            "required": ["city"],
        }))
        .expect("a schema");
        let two = json!({"properties": {"to": {"type": "string"}, "text": {"type": "string"}}});
        let two = Schema::new(&two).expect("a schema");
        for (schema, values, named, expected) in [
            (&schema, &["\"Oslo\""][..], "{}", Some(r#"{"city":"Oslo"}"#)),
            (
                &schema,
                &["3", "\"Oslo\""],
                "{}",
                Some(r#"{"days":3,"city":"Oslo"}"#),
            ),
            (
                &schema,
                &["\"Oslo\"", "\"c\""],
                "{}",
                Some(r#"{"city":"Oslo","unit":"c"}"#),
            ),
            (
                &schema,
                &["\"c\""],
                r#"{"city": "Oslo"}"#,
                Some(r#"{"city":"Oslo","unit":"c"}"#),
            ),
            (&schema, &["true"], "{}", None),
            (&schema, &["3", "4"], "{}", None),
            (&two, &["\"a\"", "\"b\""], "{}", None),
            (
                &two,
                &["\"a\""],
                r#"{"to": "b"}"#,
                Some(r#"{"to":"b","text":"a"}"#),
            ),
        ] {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            let placed = object(&values, named, Some(schema));
            let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
            assert_eq!(
                placed.as_deref().and_then(parsed),
                expected.and_then(parsed),
                "{values:?}"
            );
        }
    }
}
