//! Reads a tool that is written as a signature: `name(city: string, unit?: "c"|"f") - description`.

use serde_json::{Map, Value, json};

use super::toolbox::Tool;

/// The tool on a line, if the line is one. Without parentheses, its arguments can be anything, and
/// only a dash, or a colon after a name in lower case, or the end of the line tells it from prose.
pub(super) fn read(line: &str) -> Option<Tool> {
    let line = line.trim();
    let end = line
        .find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let separators = if name.starts_with(char::is_uppercase) {
        "-–—"
    } else {
        "-–—:"
    };
    let (parameters, rest) = match inside_brackets(rest) {
        Some((inside, after)) => (members(inside), after),
        None => {
            let after = rest.trim_start();
            if !after.is_empty() && !after.starts_with(|c| separators.contains(c)) {
                return None;
            }
            (json!({ "type": "object" }), rest)
        }
    };
    let description = rest.trim_start_matches([' ', '-', '–', '—', ':']);
    (!name.is_empty()).then(|| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters,
    })
}

/// The schema of `a: T, b?: T`.
fn members(text: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for member in split(text, ',') {
        let (name, kind) = member.split_once(':').unwrap_or((member, "any"));
        let name = name.trim();
        let plain = name.trim_end_matches('?').trim_matches(['"', '\'']);
        if plain.is_empty() || plain.starts_with("...") {
            continue;
        }
        if !name.ends_with('?') {
            required.push(json!(plain));
        }
        let kind = split(kind, '=').into_iter().next().unwrap_or_default();
        properties.insert(plain.to_owned(), schema(kind));
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The schema of a type.
fn schema(kind: &str) -> Value {
    let kind = kind.trim();
    let options = split(kind, '|');
    if options.len() > 1 {
        let literals: Option<Vec<Value>> = options.iter().map(|option| literal(option)).collect();
        return match literals {
            Some(literals) => json!({ "enum": literals }),
            None => json!({ "anyOf": options.into_iter().map(schema).collect::<Vec<_>>() }),
        };
    }
    if let Some(item) = kind.strip_suffix("[]") {
        return json!({ "type": "array", "items": schema(item) });
    }
    if let Some((inside, "")) = inside_brackets(kind) {
        return match kind.chars().next() {
            Some('{') => members(inside),
            Some('(') => schema(inside),
            _ => json!({ "type": "array", "items": schema(inside) }),
        };
    }
    let list = kind.strip_suffix('>').and_then(|kind| kind.split_once('<'));
    if let Some((_, item)) = list.filter(|(name, _)| name.eq_ignore_ascii_case("array")) {
        return json!({ "type": "array", "items": schema(item) });
    }
    if let Some(literal) = literal(kind) {
        return json!({ "const": literal });
    }
    match kind.to_lowercase().as_str() {
        "string" | "str" => json!({ "type": "string" }),
        "integer" | "int" => json!({ "type": "integer" }),
        "number" | "float" => json!({ "type": "number" }),
        "boolean" | "bool" => json!({ "type": "boolean" }),
        "null" | "none" => json!({ "type": "null" }),
        "array" | "list" => json!({ "type": "array" }),
        "object" | "dict" => json!({ "type": "object" }),
        _ => json!({}),
    }
}

/// A quoted string, a number or a truth value.
fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    let quoted = text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''));
    quoted
        .map(|text| json!(text))
        .or_else(|| serde_json::from_str(text).ok())
        .filter(|value: &Value| value.is_string() || value.is_number() || value.is_boolean())
}

/// Splits at a character that stands in no brackets and no quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = find_outside(rest, |c| c == separator) {
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.strip_prefix(separator).unwrap_or(after);
    }
    parts.push(rest);
    parts
}

/// What stands between the bracket that opens `text` and the one that closes it, and what follows.
fn inside_brackets(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix(['(', '{', '['])?;
    let end = find_outside(inside, |c| matches!(c, ')' | '}' | ']'))?;
    let (inside, after) = inside.split_at(end);
    Some((inside, after.get(1..)?))
}

/// Where the first character stands that is wanted and is in no brackets and no quotes.
fn find_outside(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            (Some(open), _) => quote = (char != open).then_some(open),
            (None, '"' | '\'') => quote = Some(char),
            (None, _) if depth == 0 && wanted(char) => return Some(at),
            (None, '(' | '{' | '[' | '<') => depth += 1,
            (None, ')' | '}' | ']' | '>') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn a_signature_becomes_a_schema() {
        let tool = read(
            "get_weather(city: string, unit?: \"c\"|\"f\", at?: {day: integer, hours: number[]}) - Weather, now (or soon)",
        )
        .expect("a tool");
        assert_eq!(tool.name, "get_weather");
        assert_eq!(tool.description, "Weather, now (or soon)");
        assert_eq!(
            tool.parameters,
            json!({
                "type": "object",
                "properties": {
                    "city": { "type": "string" },
                    "unit": { "enum": ["c", "f"] },
                    "at": {
                        "type": "object",
                        "properties": {
                            "day": { "type": "integer" },
                            "hours": { "type": "array", "items": { "type": "number" } },
                        },
                        "required": ["day", "hours"],
                    },
                },
                "required": ["city"],
            })
        );
    }

    #[test]
    fn prose_is_no_signature() {
        for line in [
            "If no tool is needed, answer in plain text.",
            "Answer me",
            "",
            "<a>",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
