//! What people see who point an agent at the emulator to look at it: a plan as it is written, one
//! call that changes nothing, and an end.
//!
//! An agent runs what it is told to, so of its tools only one that seems to look at things is
//! called, whatever the message asks for.

use super::{
    brief::{Brief, Must},
    calling,
    choose::{self, Call, words_of_name},
    envelope::Envelope,
    moment::Moment,
    toolbox::Tool,
};
use crate::emulator::{
    llm::commands::{Said, plainly},
    script::{Behaviour, Quirk},
};

/// Words in the names of tools that look at things, the most harmless first.
const LOOKS: [&str; 20] = [
    "list", "ls", "glob", "tree", "find", "search", "grep", "read", "view", "cat", "show", "get",
    "status", "time", "weather", "lookup", "query", "look", "fetch", "browse",
];

/// Words in the names of tools that do things.
const DOES: [&str; 30] = [
    "add", "agent", "apply", "bash", "buy", "command", "create", "delete", "edit", "exec",
    "execute", "insert", "install", "kill", "move", "patch", "pay", "post", "put", "remove",
    "rename", "replace", "run", "send", "set", "shell", "task", "terminal", "update", "write",
];

/// Characters of a result that are repeated.
const QUOTED: usize = 240;

/// The plan and the call with which a task begins; `None` where a call is due anyhow.
pub(super) fn begin(
    brief: &Brief,
    envelope: &Envelope,
    moment: &Moment<'_>,
    behaviour: &Behaviour,
) -> Option<Said> {
    let tool = first(brief, moment).filter(|_| !envelope.alone)?;
    let call: Call = choose::call(tool, &moment.message);
    let mut silent = behaviour.clone();
    silent.quirks.insert(Quirk::Silent);
    let block = calling::write(brief, envelope, vec![call], &silent).text;
    Some(plainly(format!("{}\n\n{block}", plan(tool))))
}

/// The tool with which a task begins; `None` where a call is due anyhow, or none looks harmless.
pub(super) fn first<'b>(brief: &'b Brief, moment: &Moment<'_>) -> Option<&'b Tool> {
    let is_new = moment.rounds == 0 && !choose::is_enough(moment);
    if brief.must != Must::No || !is_new || choose::spells_out(&brief.tools, &moment.message) {
        return None;
    }
    harmless(&brief.tools)
}

/// What is said before that tool is called.
pub(super) fn plan(tool: &Tool) -> String {
    format!(
        "Here is my plan:\n\n\
         1. I call {}, which seems to change nothing.\n\
         2. I tell you what came back.\n\
         3. I stop, because I am an emulator and have no model behind me.",
        tool.name
    )
}

/// The end, once results are there.
pub(super) fn end(moment: &Moment<'_>) -> Option<Said> {
    let outcome = moment.results.last()?;
    let teller = outcome.tool.unwrap_or("The tool");
    let text = match outcome.text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", outcome.text.split_at(end).0),
        None => outcome.text.to_owned(),
    };
    Some(plainly(format!(
        "{teller} came back with this:\n\n{text}\n\n\
         That was the plan. I am the emulator of fal-gateway: everything between your program and \
         me is real, but there is no model here, so nothing was worked on. With a fal key, \
         `fal-gateway serve` lets one answer."
    )))
}

/// The tool that looks at things and does nothing else, as far as its name tells.
fn harmless(tools: &[Tool]) -> Option<&Tool> {
    let rank = |tool: &&Tool| {
        let words: Vec<String> = words_of_name(&tool.name).collect();
        let does = words.iter().any(|word| DOES.contains(&word.as_str()));
        let looks = LOOKS
            .iter()
            .position(|look| words.iter().any(|word| word == look));
        looks.filter(|_| !does)
    };
    tools
        .iter()
        .filter(|tool| rank(tool).is_some())
        .min_by_key(rank)
}
