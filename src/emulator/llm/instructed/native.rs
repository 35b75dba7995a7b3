//! The same model where its provider hands it tools and schemas apart from the text: it calls by
//! name, and nothing has to be learnt from instructions.

use serde_json::Value;

use super::{
    brief::{Brief, Format, Must},
    choose, is_echo,
    moment::{Moment, Outcome, is_reask},
    shaping, showcase, slipped,
    toolbox::Tool,
};
use crate::emulator::{
    llm::{
        Input,
        commands::{self, Said, exactly, plainly},
        conversation::{self, Conversation, Turn},
        prose,
    },
    script::{Behaviour, Quirk, Slip},
};

/// A conversation as it stands when the model is asked.
#[derive(Debug)]
pub(in crate::emulator) struct Ask {
    /// Everything besides the conversation; its prompt is not looked at.
    pub(in crate::emulator) input: Input,
    pub(in crate::emulator) messages: Vec<Message>,
    pub(in crate::emulator) tools: Vec<Offered>,
    pub(in crate::emulator) duty: Duty,
    pub(in crate::emulator) one_call: bool,
    /// The schema that the answer has to fit; `true` where any object will do.
    pub(in crate::emulator) schema: Option<Value>,
}

/// A message, as far as the model looks at it.
#[derive(Debug)]
pub(in crate::emulator) struct Message {
    pub(in crate::emulator) role: String,
    pub(in crate::emulator) text: String,
    /// The tool whose result it is.
    pub(in crate::emulator) tool: Option<String>,
}

/// A tool on offer.
#[derive(Debug)]
pub(in crate::emulator) struct Offered {
    pub(in crate::emulator) name: String,
    pub(in crate::emulator) description: String,
    pub(in crate::emulator) parameters: Value,
}

/// Whether a tool has to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Duty {
    /// None may be.
    Never,
    Free,
    Any,
    Named(String),
}

/// What the model says.
#[derive(Clone, Debug, Default)]
pub(in crate::emulator) struct Reply {
    pub(in crate::emulator) text: String,
    /// The bytes of the text matter.
    pub(in crate::emulator) exact: bool,
    /// Names and arguments.
    pub(in crate::emulator) calls: Vec<(String, Value)>,
    /// What it thinks, if it is asked to.
    pub(in crate::emulator) reasoning: String,
}

/// Answers `ask`, slipping as `behaviour` says as far as it can go wrong without a form to keep.
pub(in crate::emulator) fn answer(ask: &Ask, behaviour: &Behaviour) -> Reply {
    let moment = moment(&ask.messages);
    let corrected = behaviour.corrected(moment.reasks);
    let mut reply = called(ask, &moment, &corrected)
        .or_else(|| told(ask, behaviour))
        .unwrap_or_else(|| spoken(ask, &moment, &corrected));
    reply.reasoning = prose::reasoning(&moment.message, 2);
    reply
}

fn said(said: Said) -> Reply {
    Reply {
        text: said.text,
        exact: said.exact,
        ..Reply::default()
    }
}

fn called(ask: &Ask, moment: &Moment<'_>, behaviour: &Behaviour) -> Option<Reply> {
    let must = match &ask.duty {
        Duty::Never => return None,
        Duty::Free => Must::No,
        Duty::Any => Must::Any,
        Duty::Named(name) => Must::Named(name.clone()),
    };
    if ask.tools.is_empty() || (moment.reasks == 0 && is_echo(&moment.message)) {
        return None;
    }
    let tools = ask.tools.iter().map(|tool| Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.parameters.clone(),
    });
    let brief = Brief {
        tools: tools.collect(),
        envelope: None,
        must,
        one_call: ask.one_call,
        format: None,
        result_tag: None,
    };
    let shows = behaviour.has(Quirk::Showcase);
    if let Some(tool) = showcase::first(&brief, moment).filter(|_| shows) {
        let call = choose::call(tool, &moment.message);
        return Some(Reply {
            text: showcase::plan(tool),
            calls: vec![(call.name, call.arguments)],
            ..Reply::default()
        });
    }
    let calls = choose::calls(&brief, moment);
    if moment.results.is_empty() || !calls.is_empty() {
        if behaviour.makes(Slip::CallNothing) {
            return Some(said(exactly("")));
        }
        if behaviour.makes(Slip::CallInProse) {
            return Some(said(plainly("I would rather talk about it first.")));
        }
    }
    if calls.is_empty() {
        return None;
    }
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    let sentence = format!("I will use {} for that.", names.join(" and "));
    let is_silent = brief.must != Must::No || behaviour.has(Quirk::Silent);
    let calls = slipped::slipped_calls(&brief, calls, behaviour).into_iter();
    Some(Reply {
        text: if is_silent { String::new() } else { sentence },
        exact: is_silent,
        calls: calls.map(|call| (call.name, call.arguments)).collect(),
        ..Reply::default()
    })
}

/// What its instructions make it write, as in a prompt: tools and forms can be described to it here
/// as well.
fn told(ask: &Ask, behaviour: &Behaviour) -> Option<Reply> {
    if ask.schema.is_some() {
        return None;
    }
    let replied = ask
        .messages
        .iter()
        .rposition(|message| message.role == "assistant");
    let since = ask.messages.get(replied.map_or(0, |at| at + 1)..)?;
    let asked = since.iter().filter(|message| message.role == "user");
    let texts: Vec<&str> = asked.map(|message| message.text.as_str()).collect();
    let prompt = texts.join("\n\n");
    super::reply(&ask.input, &conversation::read(&prompt), behaviour).map(said)
}

fn spoken(ask: &Ask, moment: &Moment<'_>, behaviour: &Behaviour) -> Reply {
    if moment.reasks > 0 || !is_echo(&moment.message) {
        if let Some(schema) = &ask.schema {
            let format = format(ask, schema);
            return said(exactly(shaping::write(&format, moment, behaviour)));
        }
        let shows = behaviour.has(Quirk::Showcase);
        if let Some(end) = showcase::end(moment).filter(|_| shows) {
            return said(end);
        }
        if let Some(report) = moment.report() {
            return said(plainly(report));
        }
    }
    let last = ask
        .messages
        .iter()
        .rposition(|message| message.role == "user");
    let (before, _) = ask.messages.split_at(last.unwrap_or(0));
    let turns = before.iter().map(|message| Turn {
        role: &message.role,
        text: &message.text,
    });
    let conversation = Conversation {
        key: None,
        turns: turns.collect(),
        message: &moment.message,
    };
    said(commands::answer(&ask.input, &conversation))
}

/// The JSON that is wanted: where any object would do, the one that the instructions describe.
fn format(ask: &Ask, schema: &Value) -> Format {
    let instructions = ask.input.system_prompt.as_deref().unwrap_or_default();
    let is_free = *schema == Value::Bool(true);
    let described = Brief::read(instructions).format.filter(|_| is_free);
    described.unwrap_or_else(|| Format {
        schema: schema.clone(),
        example: None,
    })
}

/// What is to be answered: the user's last message that is no complaint about a reply, and what
/// tools gave for it.
fn moment(messages: &[Message]) -> Moment<'_> {
    let wants = |message: &Message| message.role == "user" && !is_reask(&message.text);
    let asked = messages.iter().rposition(wants);
    let (before, after) = messages.split_at(asked.map_or(0, |at| at + 1));
    let message = before.last().map_or("", |message| message.text.as_str());
    let earlier = before.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let repeats = earlier
        .iter()
        .filter(|earlier| earlier.role == "user" && earlier.text.trim() == message.trim())
        .count();
    let mut moment = Moment {
        message: message.into(),
        reasks: after
            .iter()
            .filter(|message| message.role == "user")
            .count(),
        correction: "",
        rounds: 0,
        repeats,
        results: Vec::new(),
    };
    let mut previous = "";
    for message in after {
        if message.role == "tool" {
            if previous != "tool" {
                moment.rounds += 1;
                moment.results.clear();
            }
            moment.results.push(Outcome {
                tool: message.tool.as_deref(),
                text: &message.text,
            });
        }
        previous = &message.role;
    }
    moment
}
