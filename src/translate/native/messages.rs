//! The messages of a conversation, as providers take them.
//!
//! They are the caller's own, in his order, but for what providers insist on: each result of a call
//! stands directly behind the message with the call, each call has one, ids and names are of plain
//! letters, and images stand in user messages.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::value::RawValue;

use crate::translate::ask::{Conversation, Part, Speaker, Thoughts, ToolCall, Turn};
use crate::translate::media::Media;
use crate::wire::openrouter::request::{
    self as wire, CalledFunction, Content, FileUrl, InputAudio, Message, Role,
};

/// What stands for the result of a call that the history does not tell.
const NO_RESULT: &str = "[no result]";
/// What stands in the place of an image that is shown in the next message.
const SHOWN_BELOW: &str = "[image: see the next message]";
/// The longest id or name.
const LONGEST: usize = 64;

/// Writes the messages. `instructions` come first, and `thoughts` are the blocks of reasoning of
/// earlier replies, by their turns: those go along that `model` may have written.
pub fn messages<'a>(
    conversation: &Conversation<'a>,
    instructions: Option<Cow<'a, str>>,
    thoughts: &[(usize, Thoughts)],
    model: &str,
) -> Vec<Message<'a>> {
    let results = Results::of(&conversation.turns);
    let mut writer = Writer {
        turns: &conversation.turns,
        results,
        thoughts: thoughts
            .iter()
            .filter(|(_, thoughts)| thoughts.origin.may_be(model))
            .map(|(turn, thoughts)| (*turn, &*thoughts.blocks))
            .collect(),
        ids: HashSet::new(),
        next_id: 0,
        images: Vec::new(),
        out: Vec::with_capacity(conversation.turns.len().saturating_add(2)),
    };
    writer
        .out
        .extend(instructions.map(|text| said(Role::System, text)));
    for (at, turn) in conversation.turns.iter().enumerate() {
        writer.write(at, turn);
    }
    if let Some(prefill) = &conversation.prefill {
        writer.out.push(said(Role::Assistant, prefill.clone()));
    }
    writer.out
}

/// A message that is a text.
pub fn said<'a>(role: Role, text: Cow<'a, str>) -> Message<'a> {
    Message {
        role,
        content: Some(Content::Text(text)),
        name: None,
        reasoning_details: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
    }
}

/// Which turns hold the results of which calls.
#[derive(Debug, Default)]
struct Results {
    /// The turns with results of a call, by the place of the call.
    by_call: HashMap<CallPlace, Vec<usize>>,
    /// Turns with results of calls that the history does not have.
    loose: HashSet<usize>,
}

/// A call of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CallPlace {
    turn: usize,
    part: usize,
}

impl Results {
    /// Each result answers the last call of its id before it; without an id, the first call of its
    /// name that has no result yet.
    fn of(turns: &[Turn<'_>]) -> Self {
        let mut results = Self::default();
        let mut by_id: HashMap<&str, CallPlace> = HashMap::new();
        let mut by_name: HashMap<&str, VecDeque<CallPlace>> = HashMap::new();
        for (turn, said) in turns.iter().enumerate() {
            if let Speaker::Tool { call_id, name, .. } = &said.speaker {
                let place = match call_id.as_ref() {
                    "" => by_name
                        .get_mut(name.as_deref().unwrap_or_default())
                        .and_then(VecDeque::pop_front),
                    id => by_id.get(id).copied(),
                };
                match place {
                    Some(place) => results.by_call.entry(place).or_default().push(turn),
                    None => {
                        results.loose.insert(turn);
                    }
                }
            }
            for (part, call) in calls(said) {
                let place = CallPlace { turn, part };
                match call.id.as_ref() {
                    "" => by_name.entry(&call.name).or_default().push_back(place),
                    id => {
                        by_id.insert(id, place);
                    }
                }
            }
        }
        results
    }
}

struct Writer<'c, 'a> {
    turns: &'c [Turn<'a>],
    results: Results,
    thoughts: HashMap<usize, &'c RawValue>,
    /// The ids of calls that are taken.
    ids: HashSet<Cow<'a, str>>,
    /// The number of the next id that is made up.
    next_id: usize,
    /// Images that may not stand where they stood.
    images: Vec<Cow<'a, str>>,
    out: Vec<Message<'a>>,
}

impl<'a> Writer<'_, 'a> {
    fn write(&mut self, at: usize, turn: &Turn<'a>) {
        match &turn.speaker {
            Speaker::System => {
                let content = self.text_of(&turn.parts);
                self.push(Role::System, content, None);
            }
            Speaker::User { name } => {
                let content = content(&turn.parts);
                self.out.push(Message {
                    content: Some(content),
                    name: name.as_ref().and_then(plain),
                    ..said(Role::User, Cow::Borrowed(""))
                });
            }
            Speaker::Assistant { name } => self.write_reply(at, turn, name.as_ref()),
            Speaker::Tool { name, .. } if self.results.loose.contains(&at) => {
                let text = self.text_of(&turn.parts);
                let name = name.as_deref().unwrap_or("a tool");
                let told = format!("Result of {name}:\n{text}");
                self.push(Role::User, Cow::Owned(told), None);
            }
            Speaker::Tool { .. } => {}
        }
        self.show_images();
    }

    /// A reply, and behind it the results of its calls.
    fn write_reply(&mut self, at: usize, turn: &Turn<'a>, name: Option<&Cow<'a, str>>) {
        let text = self.text_of(&turn.parts);
        let mut answered = Vec::new();
        let mut tool_calls = Vec::new();
        for (part, call) in calls(turn) {
            let id = self.id(&call.id);
            let place = CallPlace { turn: at, part };
            answered.push((id.clone(), self.results.by_call.remove(&place)));
            tool_calls.push(wire::ToolCall {
                id,
                kind: "function",
                function: CalledFunction {
                    name: plain(&call.name).unwrap_or(Cow::Borrowed("tool")),
                    arguments: arguments(call),
                },
            });
        }
        let thoughts = self.thoughts.get(&at).copied();
        let is_silent = text.is_empty() && !tool_calls.is_empty();
        self.out.push(Message {
            content: (!is_silent).then_some(Content::Text(text)),
            name: name.and_then(plain),
            reasoning_details: thoughts.map(|blocks| Cow::Owned(blocks.to_owned())),
            tool_calls,
            ..said(Role::Assistant, Cow::Borrowed(""))
        });
        for (id, turns) in answered {
            let content = match turns {
                Some(turns) => self.results_in(&turns),
                None => Cow::Borrowed(NO_RESULT),
            };
            self.push(Role::Tool, content, Some(id));
        }
    }

    /// What the turns with a call's results say.
    fn results_in(&mut self, turns: &[usize]) -> Cow<'a, str> {
        let all = self.turns;
        let mut told = Vec::with_capacity(turns.len());
        for turn in turns.iter().filter_map(|at| all.get(*at)) {
            let text = self.text_of(&turn.parts);
            // The format has no other place for it.
            let has_failed = matches!(
                turn.speaker,
                Speaker::Tool {
                    has_failed: true,
                    ..
                }
            );
            told.push(match has_failed {
                true => Cow::Owned(format!("The call has failed: {text}")),
                false => text,
            });
        }
        match told.len() {
            0 | 1 => told.pop().unwrap_or_default(),
            _ => Cow::Owned(told.join("\n")),
        }
    }

    fn push(&mut self, role: Role, text: Cow<'a, str>, tool_call_id: Option<Cow<'a, str>>) {
        self.out.push(Message {
            tool_call_id,
            ..said(role, text)
        });
    }

    /// The text of a message that can hold nothing else; its images are shown behind it.
    fn text_of(&mut self, parts: &[Part<'a>]) -> Cow<'a, str> {
        let is_image = |part: &&Part<'a>| matches!(part, Part::Image(_));
        if !parts.iter().any(|part| is_image(&part)) {
            return text(parts);
        }
        let mut lines = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => lines.push(text.as_ref()),
                Part::Image(url) => {
                    self.images.push(url.clone());
                    lines.push(SHOWN_BELOW);
                }
                // Recordings and videos stand in users' messages alone.
                Part::Media(_) | Part::ToolCall(_) => {}
            }
        }
        Cow::Owned(lines.join("\n"))
    }

    fn show_images(&mut self) {
        if self.images.is_empty() {
            return;
        }
        let images = std::mem::take(&mut self.images);
        let parts = images.into_iter().map(image).collect();
        self.out.push(Message {
            content: Some(Content::Parts(parts)),
            ..said(Role::User, Cow::Borrowed(""))
        });
    }

    /// An id that no other call has. The caller's own is kept where a provider takes it.
    fn id(&mut self, id: &Cow<'a, str>) -> Cow<'a, str> {
        let is_fit = is_plain(id) && !self.ids.contains(id);
        let mut chosen = Some(id.clone()).filter(|_| is_fit);
        let id = loop {
            if let Some(id) = chosen.take().filter(|id| !self.ids.contains(id)) {
                break id;
            }
            chosen = Some(Cow::Owned(format!("call_{}", self.next_id)));
            self.next_id = self.next_id.saturating_add(1);
        };
        self.ids.insert(id.clone());
        id
    }
}

/// The calls of a turn, with their places among its parts.
fn calls<'t, 'a>(turn: &'t Turn<'a>) -> impl Iterator<Item = (usize, &'t ToolCall<'a>)> {
    let parts = turn.parts.iter().enumerate();
    parts.filter_map(|(at, part)| match part {
        Part::ToolCall(call) => Some((at, call)),
        Part::Text(_) | Part::Image(_) | Part::Media(_) => None,
    })
}

/// What a user says.
fn content<'a>(parts: &[Part<'a>]) -> Content<'a> {
    if parts.iter().all(|part| part.attached().is_none()) {
        return Content::Text(text(parts));
    }
    let shown = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(wire::Part::Text { text: text.clone() }),
        Part::Image(url) => Some(image(url.clone())),
        Part::Media(shown) => Some(media(shown.clone())),
        Part::ToolCall(_) => None,
    });
    Content::Parts(shown.collect())
}

/// A text, and the images, recordings and videos that it speaks of.
pub fn illustrated<'a>(
    text: Cow<'a, str>,
    images: Vec<Cow<'a, str>>,
    shown: Vec<Media<'a>>,
) -> Content<'a> {
    if images.is_empty() && shown.is_empty() {
        return Content::Text(text);
    }
    let images = images.into_iter().map(image);
    let parts = std::iter::once(wire::Part::Text { text }).chain(images);
    Content::Parts(parts.chain(shown.into_iter().map(media)).collect())
}

fn image(url: Cow<'_, str>) -> wire::Part<'_> {
    let image_url = FileUrl { url };
    wire::Part::ImageUrl { image_url }
}

fn media(shown: Media<'_>) -> wire::Part<'_> {
    match shown {
        Media::Audio { format, data } => wire::Part::InputAudio {
            input_audio: InputAudio {
                data,
                format: format.word,
            },
        },
        Media::Video(url) => wire::Part::VideoUrl {
            video_url: FileUrl { url },
        },
    }
}

/// The text of parts of which no two follow each other.
fn text<'a>(parts: &[Part<'a>]) -> Cow<'a, str> {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        Part::Image(_) | Part::Media(_) | Part::ToolCall(_) => None,
    });
    let texts: Vec<&Cow<'a, str>> = texts.collect();
    match texts.as_slice() {
        [] => Cow::Borrowed(""),
        [text] => (*text).clone(),
        several => {
            let lines: Vec<&str> = several.iter().map(AsRef::as_ref).collect();
            Cow::Owned(lines.join("\n"))
        }
    }
}

/// The arguments of a call as the JSON object that providers read.
fn arguments<'a>(call: &ToolCall<'a>) -> Cow<'a, str> {
    let is_object = serde_json::from_str::<&RawValue>(&call.arguments)
        .is_ok_and(|raw| raw.get().starts_with('{'));
    match is_object {
        true => call.arguments.clone(),
        false => Cow::Owned(serde_json::json!({ "input": call.arguments }).to_string()),
    }
}

/// A name as providers take it: letters, digits, hyphens and underscores. `None` where nothing would be left to tell by.
fn plain<'n>(name: &Cow<'n, str>) -> Option<Cow<'n, str>> {
    if is_plain(name) {
        return Some(name.clone());
    }
    let letters = name.chars().take(LONGEST);
    let fit = letters.map(|letter| if is_fit(letter) { letter } else { '_' });
    let fit: String = fit.collect();
    fit.contains(|letter| letter != '_')
        .then_some(Cow::Owned(fit))
}

fn is_plain(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_fit)
}

fn is_fit(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}
