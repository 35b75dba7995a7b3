//! Decides which tools a message is to be answered with.

use serde_json::{Map, Value, json};

use super::{
    brief::{Brief, Must, mentions},
    instance::{self, Optional},
    moment::Moment,
    scan,
    toolbox::Tool,
};

/// A call that the model makes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// Points that a tool needs before a message seems to ask for it. A word of its name is enough;
/// of its parameters and its description it takes two.
const ENOUGH: usize = 2;

/// Words that say nothing about a tool.
const EMPTY_WORDS: [&str; 36] = [
    "about", "all", "and", "any", "are", "call", "can", "does", "for", "from", "get", "give",
    "given", "has", "have", "how", "into", "not", "one", "please", "return", "returns", "some",
    "tell", "that", "the", "this", "tool", "use", "value", "what", "when", "which", "with", "you",
    "your",
];

/// How often tools are run for one message. An agent goes on for as long as it gets calls.
const MAX_ROUNDS: usize = 3;

/// How often a message is taken anew that was there before. An agent that wants calls says so again
/// and again.
const MAX_REPEATS: usize = 2;

/// Words in the names of tools with which an agent's work ends, for agents that take no other end.
const ENDS: [&str; 7] = [
    "answer",
    "complete",
    "completion",
    "done",
    "final",
    "finish",
    "submit",
];

/// The calls that are due: those the message spells out, or the one it seems to ask for, or the one
/// that the instructions insist on. None while results are to be answered, unless they insist or
/// the message has a next step; and none once it [`is_enough`], whatever anybody insists on.
pub(super) fn calls(brief: &Brief, moment: &Moment<'_>) -> Vec<Call> {
    let tools = brief.tools.as_slice();
    if is_enough(moment) {
        let ends = |tool: &&Tool| words_of_name(&tool.name).any(|word| ENDS.contains(&&*word));
        let end = tools.iter().find(ends).filter(|_| brief.must != Must::No);
        return end
            .map(|tool| call(tool, &moment.message))
            .into_iter()
            .collect();
    }
    let steps = spelt_out(tools, &moment.message);
    let step = steps.into_iter().nth(moment.rounds);
    let mut calls = match step {
        Some(calls) => calls,
        None => wanted(brief, moment)
            .map(|tool| vec![call(tool, &moment.message)])
            .unwrap_or_default(),
    };
    if brief.one_call {
        calls.truncate(1);
    }
    calls
}

fn wanted<'b>(brief: &'b Brief, moment: &Moment<'_>) -> Option<&'b Tool> {
    let asked_for = || best_match(&brief.tools, &moment.message);
    match &brief.must {
        Must::Named(name) => brief.tools.iter().find(|tool| tool.name == *name),
        Must::Any => asked_for().or(brief.tools.first()),
        Must::No if moment.rounds > 0 => None,
        Must::No => asked_for(),
    }
}

/// A call of `tool` with what the message says, or with examples.
pub(super) fn call(tool: &Tool, message: &str) -> Call {
    let arguments = instance::make(&tool.parameters, message, Optional::Mentioned);
    Call {
        name: tool.name.clone(),
        arguments: arguments
            .filter(Value::is_object)
            .unwrap_or_else(|| Value::Object(Map::new())),
    }
}

/// The tool that shares most words with the message; the first of equals.
fn best_match<'t>(tools: &'t [Tool], message: &str) -> Option<&'t Tool> {
    let said: Vec<String> = telling_words(message).collect();
    let shared = |text: &str| {
        let mut words: Vec<String> = telling_words(text).collect();
        words.sort();
        words.dedup();
        words.iter().filter(|word| said.contains(word)).count()
    };
    let points = |tool: &Tool| {
        let parameters = tool.parameters.get("properties").and_then(Value::as_object);
        let names: Vec<&str> = parameters
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        3 * shared(&spaced(&tool.name)) + shared(&tool.description) + shared(&names.join(" "))
    };
    let best = tools
        .iter()
        .map(points)
        .max()
        .filter(|most| *most >= ENOUGH)?;
    tools.iter().find(|tool| points(tool) == best)
}

/// `getWeather` as `get Weather`.
fn spaced(name: &str) -> String {
    let mut spaced = String::new();
    for char in name.chars() {
        if char.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(char);
    }
    spaced
}

/// The words of a text that say something, without a plural's `s`.
fn telling_words(text: &str) -> impl Iterator<Item = String> + '_ {
    scan::words(text)
        .filter(|word| word.chars().count() > 2 && !EMPTY_WORDS.contains(&word.as_str()))
        .map(|word| match word.strip_suffix('s') {
            Some(singular) if singular.len() > 2 => singular.to_owned(),
            _ => word,
        })
}

/// Whether a task has gone on for long enough: somebody has to end it.
pub(super) fn is_enough(moment: &Moment<'_>) -> bool {
    moment.rounds >= MAX_ROUNDS || moment.repeats >= MAX_REPEATS
}

/// Whether a message spells its calls out.
pub(super) fn spells_out(tools: &[Tool], message: &str) -> bool {
    !spelt_out(tools, message).is_empty()
}

/// The words that a tool's name is made of.
pub(super) fn words_of_name(name: &str) -> impl Iterator<Item = String> {
    let words: Vec<String> = scan::words(&spaced(name)).collect();
    words.into_iter()
}

/// The calls of `call NAME {json} and NAME2, then use NAME3`, step by step. The name has to be one
/// of a tool; JSON goes through as it is, valid or not.
fn spelt_out(tools: &[Tool], message: &str) -> Vec<Vec<Call>> {
    let mut steps: Vec<Vec<Call>> = Vec::new();
    let mut next_step = true;
    let mut rest = message;
    let mut ordered = false;
    while let Some((word, after)) = next_word(rest) {
        rest = after;
        let tool = tools.iter().find(|tool| tool.name == word);
        if let Some(tool) = tool.filter(|_| ordered) {
            let (arguments, after) = arguments(rest);
            rest = after;
            let call = arguments.map_or_else(
                || call(tool, message),
                |arguments| Call {
                    name: tool.name.clone(),
                    arguments,
                },
            );
            match steps.last_mut().filter(|_| !next_step) {
                Some(step) => step.push(call),
                None => steps.push(vec![call]),
            }
            next_step = false;
            continue;
        }
        match word.to_lowercase().as_str() {
            "call" | "use" => ordered = true,
            "then" => next_step = true,
            "and" | "the" | "tool" | "also" => {}
            _ => ordered = false,
        }
    }
    steps
}

/// The next run of characters that a tool's name can have, and what follows it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let (_, rest) = text.split_at(text.find(in_name)?);
    let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// The JSON object right after a name, and what follows it.
fn arguments(text: &str) -> (Option<Value>, &str) {
    let start = text.trim_start_matches([' ', '`', '(', ':', '\n']);
    let object = scan::json_at(start).filter(|(value, _)| value.is_object());
    match object {
        Some((value, length)) => (Some(value), start.split_at(length).1),
        None => (None, text),
    }
}

/// A name that no tool has.
pub(super) fn unknown_name(tools: &[Tool]) -> String {
    let mut name = "consult_oracle".to_owned();
    while tools.iter().any(|tool| mentions(&tool.name, &name)) {
        name.push('_');
    }
    name
}

/// An argument that a tool does not have.
pub(super) fn add_unknown(arguments: &mut Map<String, Value>) {
    arguments.insert("thoughts".to_owned(), json!("This seems useful."));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Tool, best_match, spelt_out};

    fn tools() -> Vec<Tool> {
        let tool = |name: &str, description: &str| Tool {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] }),
        };
        vec![
            tool("get_weather", "The weather in a place, now"),
            tool("getTime", "What clocks show in some place"),
        ]
    }

    #[test]
    fn words_decide_on_a_tool() {
        let best = |message| best_match(&tools(), message).map(|tool| tool.name.clone());
        assert_eq!(
            best("How are the weathers in Paris?").as_deref(),
            Some("get_weather")
        );
        assert_eq!(best("what time is it?").as_deref(), Some("getTime"));
        assert_eq!(best("what do clocks show?").as_deref(), Some("getTime"));
        assert_eq!(best("Hello, how are you?"), None);
    }

    #[test]
    fn calls_can_be_spelt_out() {
        let steps = spelt_out(
            &tools(),
            "Please call get_weather {\"city\": 1} and `getTime` for Rome, then use get_weather.",
        );
        let names: Vec<Vec<&str>> = steps
            .iter()
            .map(|step| step.iter().map(|call| call.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["get_weather", "getTime"], vec!["get_weather"]]);
        let first = steps.first().and_then(|step| step.first()).expect("a call");
        assert_eq!(first.arguments, json!({ "city": 1 }));
        assert!(spelt_out(&tools(), "they call get weather {} a tool").is_empty());
    }
}
