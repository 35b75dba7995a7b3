//! What the instructions ask for: tools that may or must be called, JSON that must be written.
//!
//! Read sentence by sentence for a few words each, because the wording is the instructor's own.

use serde_json::Value;

use super::{
    envelope::Envelope,
    scan,
    toolbox::{self, Tool},
};

/// The instructions, as far as they were understood.
#[derive(Debug)]
pub(super) struct Brief {
    /// The tools on offer; none if they come without the form of a call.
    pub(super) tools: Vec<Tool>,
    pub(super) envelope: Option<Envelope>,
    pub(super) must: Must,
    /// No more than one call per reply.
    pub(super) one_call: bool,
    pub(super) format: Option<Format>,
    /// The name of the tag in which results come back, key included.
    pub(super) result_tag: Option<String>,
}

/// Whether a tool has to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Must {
    No,
    Any,
    /// This one.
    Named(String),
}

/// The JSON that an answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    /// `true`, which allows everything, where any object will do.
    pub(super) schema: Value,
    /// The object that was shown as an example.
    pub(super) example: Option<Value>,
}

/// Characters between the word "schema" and the schema.
const SCHEMA_REACH: usize = 120;

/// Ways to say that one call is the most.
const ONE_CALL: [&str; 9] = [
    "one call at most",
    "only one call",
    "only one tool",
    "at most one",
    "a single call",
    "a single tool",
    "exactly one call",
    "exactly one tool",
    "one call only",
];

impl Brief {
    pub(super) fn read(instructions: &str) -> Brief {
        let listing = toolbox::read(instructions);
        let (before, after) = match &listing {
            Some(listing) => {
                let (before, rest) = instructions.split_at(listing.range.start);
                (before, rest.split_at(listing.range.len()).1)
            }
            None => (instructions, ""),
        };
        let tools = listing.map(|listing| listing.tools).unwrap_or_default();
        // What explains the tools stands after the list, or else before it.
        let shown_after = Envelope::read(after);
        let explained = match &shown_after {
            Some(_) => "",
            None => explanation(before),
        };
        let envelope = shown_after
            .or_else(|| Envelope::read(before))
            .filter(|_| !tools.is_empty());
        let must = match &envelope {
            Some(_) => must([explained, after], &tools),
            None => Must::No,
        };
        Brief {
            must,
            one_call: scan::sentences(explained)
                .chain(scan::sentences(after))
                .any(|sentence| ONE_CALL.iter().any(|words| sentence.contains(words))),
            format: Format::read(after).or_else(|| Format::read(before)),
            result_tag: result_tag(before).or_else(|| result_tag(after)),
            tools,
            envelope,
        }
    }
}

impl Format {
    /// The last schema that follows the word, or the demand for a JSON object.
    fn read(text: &str) -> Option<Format> {
        let lower = text.to_ascii_lowercase();
        let schema = lower.rmatch_indices("schema").find_map(|(at, word)| {
            let rest = text.get(at + word.len()..)?;
            let open = rest.find('{')?;
            let near = rest.get(..open)?.chars().count() <= SCHEMA_REACH;
            let (schema, _) = scan::json_at(rest.get(open..)?).filter(|_| near)?;
            // An object inside a larger one is a part of that, such as a tool's parameters.
            Some(schema).filter(|_| !rest.get(..open).is_some_and(|text| text.contains('"')))
        });
        let any_object = || {
            scan::sentences(text)
                .any(|sentence| wants_json(&sentence))
                .then_some(Value::Bool(true))
        };
        let example = lower.find("like this").and_then(|at| {
            let rest = text.get(at..)?;
            let open = rest.find('{')?;
            let near = rest.get(..open)?.chars().count() <= SCHEMA_REACH;
            let (example, _) = scan::json_at(rest.get(open..)?).filter(|_| near)?;
            Some(example)
        });
        let schema = schema.or_else(any_object)?;
        Some(Format { schema, example })
    }
}

/// Whether a sentence asks for an answer in JSON, rather than for a call in it.
fn wants_json(sentence: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| sentence.contains(word));
    has(&[
        "json object",
        "valid json",
        "only json",
        "in json",
        "as json",
    ]) && has(&["respond", "reply", "answer", "output", "return"])
        && (!has(&["tool", "call", "block"]) || has(&["no tool", "no call"]))
}

/// What of the text before the list of tools explains them: from the paragraph that shows the form
/// of a call, or else the last one. What stands before is somebody else's text, who may well say
/// that one must use a tool to do something, and does not order a call.
fn explanation(before: &str) -> &str {
    let shows = Envelope::read(before).is_some();
    let mut starts = before
        .rmatch_indices("\n\n")
        .map(|(at, _)| before.get(at..).unwrap_or_default());
    let found = match shows {
        true => starts.find(|text| Envelope::read(text).is_some()),
        false => starts.next(),
    };
    found.unwrap_or(before)
}

/// "You must call a tool", "your reply must be the block", "you have to use get_weather".
fn must(texts: [&str; 2], tools: &[Tool]) -> Must {
    let mut any = Must::No;
    for sentence in texts.into_iter().flat_map(scan::sentences) {
        let duty = ["must", "have to", "required to"]
            .iter()
            .find_map(|duty| sentence.split_once(duty));
        let Some((before, after)) = duty else {
            continue;
        };
        let about_us = ["you", "reply", "answer", "response", "message"]
            .iter()
            .any(|subject| before.contains(subject));
        let verb = scan::words(after)
            .find(|word| !["now", "always", "first", "also", "therefore"].contains(&word.as_str()));
        let does = verb.is_some_and(|verb| {
            ["call", "use", "make", "write", "be", "consist", "contain"].contains(&verb.as_str())
        });
        if !about_us || !does {
            continue;
        }
        let named = tools
            .iter()
            .find(|tool| mentions(after, &tool.name.to_lowercase()));
        if let Some(tool) = named {
            return Must::Named(tool.name.clone());
        }
        if ["tool", "block", "function"]
            .iter()
            .any(|word| after.contains(word))
        {
            any = Must::Any;
        }
    }
    any
}

/// Whether a name stands in a text as a word of its own.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, name)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(name).unwrap_or_default();
        !before.ends_with(part_of_name) && !after.starts_with(part_of_name)
    })
}

/// The first tag whose name speaks of results, such as `tool_result-7K2Q`.
fn result_tag(text: &str) -> Option<String> {
    text.split('<').skip(1).find_map(|rest| {
        let name = rest.split(['>', ' ', '\n']).next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        (name.contains("result") && name.chars().all(plain)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Brief, Must};

    const TOOLS: &str = "To use tools, write this block, starting on its own line:\n<tool_calls k=\"7K2Q\">\n<tool_call>{\"name\": \"TOOL\", \"arguments\": {}}</tool_call>\n</tool_calls>\nEach holds one JSON object, with exactly the parameter names of the tool. Results come back as <tool_result-7K2Q>; never write results yourself.\nTools:\n{\"name\": \"f\", \"parameters\": {}}\n";

    fn must(sentence: &str) -> Must {
        Brief::read(&format!("{TOOLS}{sentence}")).must
    }

    #[test]
    fn duties_are_told_from_explanations() {
        assert_eq!(
            must("If no tool is needed, answer in plain text."),
            Must::No
        );
        assert_eq!(must("You must not write results of tools."), Must::No);
        assert_eq!(must("You MUST call at least one tool."), Must::Any);
        assert_eq!(must("Your whole reply must be the block."), Must::Any);
        assert_eq!(
            must("You must use at least one tool now: reply with the calls and nothing else."),
            Must::Any
        );
        assert_eq!(must("You must call f now."), Must::Named("f".to_owned()));
    }

    #[test]
    fn formats_are_told_from_calls() {
        let read = |text: &str| Brief::read(text).format.map(|format| format.schema);
        assert_eq!(read(TOOLS), None);
        let schema = "Be brief.\n\nAlways respond with a JSON object that's compatible with this schema:\n\n{\"type\": \"object\"}\n\nDon't include any text or Markdown fencing before or after.";
        assert_eq!(read(schema), Some(json!({ "type": "object" })));
        assert_eq!(
            read(&format!("{TOOLS}\n{schema}")),
            Some(json!({ "type": "object" }))
        );
        assert_eq!(
            read("Always respond with a JSON object."),
            Some(json!(true))
        );
        assert_eq!(
            read("If no tool is needed, respond with a JSON object."),
            Some(json!(true))
        );
        assert_eq!(read("Explain what a schema is."), None);
    }

    #[test]
    fn the_tag_of_results_is_found() {
        assert_eq!(
            Brief::read(TOOLS).result_tag.as_deref(),
            Some("tool_result-7K2Q")
        );
    }
}
