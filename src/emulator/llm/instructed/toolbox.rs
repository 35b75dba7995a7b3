//! The list of tools in the instructions: one per line after a heading, as JSON or as a signature.

use std::ops::Range;

use serde_json::{Value, json};

use super::{scan, signature};

/// A tool as it is offered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: String,
    /// The schema of its arguments.
    pub(super) parameters: Value,
}

/// The tools and the bytes of the instructions that list them.
#[derive(Debug, PartialEq)]
pub(super) struct Listing {
    pub(super) tools: Vec<Tool>,
    pub(super) range: Range<usize>,
}

/// Longest line that is taken for the list's heading.
const LONGEST_HEADING: usize = 40;

/// The last list in `text` that has a heading and a tool.
pub(super) fn read(text: &str) -> Option<Listing> {
    let mut at = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if is_heading(line)
            && let Some(rest) = text.get(at..)
        {
            let (tools, length) = list(rest);
            if !tools.is_empty() {
                found = Some(Listing {
                    tools,
                    range: at..at + length,
                });
            }
        }
    }
    found
}

/// `Tools:`, `## Available tools`, and the like.
fn is_heading(line: &str) -> bool {
    let line = line.trim();
    let marked = line.ends_with(':') || line.starts_with('#') || line.ends_with("**");
    let words = line.trim_matches(['#', '*', ':', ' ']).to_lowercase();
    marked && line.len() <= LONGEST_HEADING && words.ends_with("tools")
}

/// The tools at the start of `text`, and how many bytes of it list them. Blank and indented lines
/// belong to the list; the first other line that is no tool ends it.
fn list(text: &str) -> (Vec<Tool>, usize) {
    let mut tools = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(line) = rest.split_inclusive('\n').next()
    {
        let entry = rest.trim_start_matches([' ', '\t', '-', '*', '•']);
        let indent = rest.len() - entry.len();
        let json = scan::json_at(entry).filter(|(value, _)| value.is_object() || value.is_array());
        if let Some((value, length)) = json {
            tools.extend(offered(&value));
            at += indent + length;
            continue;
        }
        if let Some(tool) = entry.lines().next().and_then(signature::read) {
            tools.push(tool);
        } else if !continues(line) {
            break;
        }
        at += line.len();
    }
    (tools, at)
}

fn continues(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with([' ', '\t']) || line.starts_with("```")
}

/// The tools that a JSON entry offers: one, several in a list, or one as OpenAI wraps it.
fn offered(value: &Value) -> Vec<Tool> {
    if let Value::Array(items) = value {
        return items.iter().flat_map(offered).collect();
    }
    let tool = value.get("function").unwrap_or(value);
    let Some(name) = tool.get("name").and_then(Value::as_str) else {
        return Vec::new();
    };
    let schema = ["parameters", "input_schema", "schema"];
    let parameters = schema.iter().find_map(|member| tool.get(member));
    let description = tool.get("description").and_then(Value::as_str);
    vec![Tool {
        name: name.to_owned(),
        description: description.unwrap_or_default().to_owned(),
        parameters: parameters
            .cloned()
            .unwrap_or_else(|| json!({ "type": "object" })),
    }]
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn lists_are_read_in_any_of_their_forms() {
        let lists = [
            "Tools:\n{\"name\": \"a\", \"parameters\": {}}\n{\"name\": \"b\"}\nIf no tool is needed, answer.",
            "## Available tools\n\n- a(x: string) - does a\n- b() - does b\n\nIf not, answer.",
            "Tools:\n[{\"type\": \"function\", \"function\": {\"name\": \"a\"}},\n {\"name\": \"b\"}]\nIf not.",
            "Your tools:\n\n{\n  \"name\": \"a\"\n}\n{\n  \"name\": \"b\"\n}",
            "Tools:\na - does a\n  and more\nb\nIf no tool is needed, answer in plain text.",
        ];
        for list in lists {
            let listing = read(list).expect("a list");
            let names: Vec<_> = listing
                .tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect();
            assert_eq!(names, ["a", "b"], "{list}");
        }
        assert_eq!(read("I have tools:\nhammers and nails"), None);
    }
}
