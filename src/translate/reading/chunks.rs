//! From the chunks of a chat completion to what is new in them.
//!
//! A chunk holds what was added, so nothing has to be compared with what came before; but most
//! chunks differ from the one before in a single string, and those need not be parsed again: a chunk
//! that begins and ends like the last one, around another string, is that chunk with other words.
//!
//! Calls are kept until the answer ends: their pieces come by index, and no part of a call is of
//! use to anybody. All that is kept, and all that the model writes, is bounded.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::cumulative::end_of_string;
use super::decoder::{Additions, Step};
use super::details::Details;
use super::event::{Fault, FinishReason};
use super::logprobs::Cover;
use super::reader::ReaderLimits;
use super::reported::Reported;
use crate::translate::json::RootEnd;
use crate::wire::fal::usage::tells_work;
use crate::wire::openrouter::answer::{
    CallPiece, ChatAnswer, Choice, ContentParts, MAX_CALLS, Said,
};
use crate::wire::openrouter::error::{ErrorObject, is_about_context};
use crate::wire::text::Text;

/// Follows one answer.
#[derive(Debug)]
pub struct Chunks {
    /// The last chunk that was all text, cut where its text stands.
    template: Option<Template>,
    calls: Vec<NativeCall>,
    details: Details,
    finish: Option<Ending>,
    usage: Option<Reported>,
    has_begun: bool,
    /// What may still be written, in bytes.
    room: usize,
    /// Whether an answer is complete of which no chunk has said why it ends.
    accepts_missing_finish: bool,
    /// Where probabilities are wanted.
    cover: Option<Cover>,
    scratch: Vec<u8>,
}

/// A call, as the model made it: whether the tool exists and the arguments fit is not yet known.
#[derive(Clone, Debug, Default)]
pub struct NativeCall {
    index: Option<u64>,
    id: String,
    pub name: String,
    /// JSON, or what was meant to be.
    pub arguments: String,
    end: RootEnd,
}

/// Why the upstream says that the answer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Reason(FinishReason),
    /// The model, or its provider, failed.
    Failed,
}

/// A chunk around its one growing string.
#[derive(Debug)]
struct Template {
    head: Vec<u8>,
    /// From the closing quote on.
    tail: Vec<u8>,
    speaks: Speaks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Text,
    Reasoning,
}

/// The end of a stream of chunks.
const DONE: &[u8] = b"[DONE]";
/// The longest arguments that are no object and still those of a call, such as `null`.
const LONGEST_OTHER: usize = 16;
/// The most that a call may be named with.
const LONGEST_NAME: usize = 256;

impl Chunks {
    /// For an answer whose text, reasoning and calls are no longer than a whole answer may be.
    /// `top` says how many of the likeliest tokens are wanted in the place of each, where
    /// probabilities are.
    pub fn new(limits: ReaderLimits, top: Option<u8>) -> Self {
        Self {
            template: None,
            calls: Vec::new(),
            details: Details::default(),
            finish: None,
            usage: None,
            has_begun: false,
            room: limits.max_object,
            accepts_missing_finish: limits.accept_missing_final,
            cover: top.map(|top| Cover::new(top, limits.max_object)),
            scratch: Vec::new(),
        }
    }

    /// Takes the data of the next event, or the whole answer where `step` says that nothing comes
    /// after it, and appends what is new to `new`.
    ///
    /// # Errors
    /// What is no chat completion, what is too long to be one, and an error that it reports.
    pub fn advance(&mut self, data: &[u8], step: Step, new: &mut Additions) -> Result<Step, Fault> {
        let before = new.text.len().saturating_add(new.reasoning.len());
        if self.extend(data, new).is_none() {
            if data.trim_ascii() == DONE {
                return match self.finish {
                    Some(_) => Ok(Step::Final),
                    None if self.accepts_missing_finish && self.has_begun => Ok(Step::Final),
                    None => Err(Fault::Disconnected),
                };
            }
            self.parse(data, step, new)?;
        }
        let after = new.text.len().saturating_add(new.reasoning.len());
        self.take_room(after.saturating_sub(before))?;
        Ok(step)
    }

    /// Whether the upstream has said that the answer is complete, whatever may still follow.
    pub fn has_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether any text, reasoning or call has come.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Why the answer has ended, as far as the upstream says so.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        match self.finish {
            Some(Ending::Reason(reason)) => Some(reason),
            Some(Ending::Failed) | None => None,
        }
    }

    /// The usage, once it is reported.
    pub fn reported(&self) -> Option<Reported> {
        self.usage
    }

    /// The calls of the answer.
    pub fn take_calls(&mut self) -> Vec<NativeCall> {
        std::mem::take(&mut self.calls)
    }

    /// The blocks of reasoning that the model wants to have back, as a JSON list; `None` where
    /// there are none.
    pub fn take_details(&mut self) -> Option<String> {
        self.details.take()
    }

    /// The short way: the chunk before, with other words.
    fn extend(&mut self, data: &[u8], new: &mut Additions) -> Option<()> {
        let template = self.template.as_ref()?;
        let rest = data.strip_prefix(template.head.as_slice())?;
        let (said, tail) = rest.split_at_checked(end_of_string(rest)?)?;
        if tail != template.tail.as_slice() {
            return None;
        }
        let into = match template.speaks {
            Speaks::Text => &mut new.text,
            Speaks::Reasoning => &mut new.reasoning,
        };
        match std::str::from_utf8(said) {
            Ok(plain) if !said.iter().any(|byte| *byte == b'\\' || *byte < b' ') => {
                into.push_str(plain);
            }
            _ => {
                self.scratch.clear();
                self.scratch.push(b'"');
                self.scratch.extend_from_slice(said);
                self.scratch.push(b'"');
                let Text(text) = serde_json::from_slice(&self.scratch).ok()?;
                into.push_str(&text);
            }
        }
        Some(())
    }

    /// The long way: a full parse.
    fn parse(&mut self, data: &[u8], step: Step, new: &mut Additions) -> Result<(), Fault> {
        let answer: ChatAnswer<'_> =
            serde_json::from_slice(data).map_err(|_| Fault::Unusable("event is not a chunk"))?;
        let usage = answer.usage.and_then(Reported::read);
        self.usage = usage.or(self.usage);
        let is_answer = answer.choices.is_some() || answer.usage.is_some();
        let choices = answer.choices.map(|list| list.items);
        let first = choices
            .into_iter()
            .flatten()
            .find(|choice| matches!(choice.index, None | Some(0)));
        let first_error = first.as_ref().and_then(|choice| choice.error);
        if let Some(error) = answer.error.or(first_error) {
            // What stands beside an error is no less an answer that was begun.
            self.has_begun |= first.as_ref().is_some_and(Choice::has_said)
                || answer.usage.is_some_and(tells_work);
            return Err(self.fault(&ErrorObject::read(error)));
        }
        if !is_answer {
            return Err(match answer.detail.or(answer.kind) {
                Some(_) => Fault::Model,
                None => Fault::Unusable("no choices"),
            });
        }
        match first {
            Some(choice) => self.take_choice(data, choice, step, new),
            None if step == Step::Final => Err(Fault::Unusable("no choices")),
            None => Ok(()),
        }
    }

    fn take_choice(
        &mut self,
        data: &[u8],
        choice: Choice<'_>,
        step: Step,
        new: &mut Additions,
    ) -> Result<(), Fault> {
        // Probabilities differ from chunk to chunk, so no chunk is like the one before.
        let is_plain = choice.finish_reason.is_none() && self.cover.is_none();
        let is_whole = choice.message.is_some();
        let said = choice.message.or(choice.delta).unwrap_or_default();
        let template = is_plain.then(|| Template::of(data, &said)).flatten();
        self.template = template.or(self.template.take());
        let (begin, thought) = (new.text.len(), new.reasoning.len());
        self.say(said, is_whole, new)?;
        if let Some(cover) = &mut self.cover {
            // Some servers tell those of the reasoning in the same place.
            let is_thought = new.text.len() == begin && new.reasoning.len() > thought;
            let told = choice.logprobs.filter(|_| !is_thought);
            let text = new.text.get(begin..).unwrap_or_default();
            cover.add(text, told, &mut new.spans);
        }
        let finish = choice.finish_reason.as_ref().map(Text::as_str);
        if let Some(word) = finish.filter(|word| !word.is_empty()) {
            self.finish = Some(Ending::of(word));
        } else if step == Step::Final {
            self.finish = self.finish.or(Some(Ending::Reason(FinishReason::Stop)));
        }
        match self.finish {
            Some(Ending::Failed) => Err(Fault::Model),
            _ => Ok(()),
        }
    }

    fn say(&mut self, said: Said<'_>, is_whole: bool, new: &mut Additions) -> Result<(), Fault> {
        let mut thought = Cow::Borrowed("");
        for raw in [said.reasoning, said.reasoning_content]
            .into_iter()
            .flatten()
        {
            if thought.is_empty() {
                thought = string(raw)?;
            }
        }
        if let Some(raw) = said.reasoning_details {
            self.take_room(raw.get().len())?;
            let told = self.details.add(raw);
            if thought.is_empty() {
                thought = Cow::Owned(told);
            }
        }
        new.reasoning.push_str(&thought);
        if let Some(raw) = said.content {
            content(raw, &mut new.text)?;
        }
        // A model that declines says so in words, whatever they are called.
        if let Some(Text(refusal)) = said.refusal {
            new.text.push_str(&refusal);
        }
        let pieces = said.tool_calls.map(|list| list.items).unwrap_or_default();
        self.has_begun |= !new.text.is_empty() || !new.reasoning.is_empty() || !pieces.is_empty();
        pieces
            .into_iter()
            .try_for_each(|piece| self.add_piece(piece, is_whole))
    }

    /// The call that a piece belongs to: by its index, or by its id, or the last one, unless that is
    /// complete and the piece names one.
    fn known_call(&self, piece: &CallPiece<'_>, id: &str) -> Option<usize> {
        let is_named = piece
            .function
            .as_ref()
            .is_some_and(|function| function.name.is_some());
        let is_anonymous = piece.index.is_none() && id.is_empty();
        if is_anonymous {
            let last = self.calls.last()?;
            let goes_on = !(is_named && last.is_complete());
            return self.calls.len().checked_sub(1).filter(|_| goes_on);
        }
        self.calls.iter().rposition(|call| {
            let has_index = piece.index.is_none() || call.index == piece.index;
            has_index && (id.is_empty() || call.id.is_empty() || call.id == id)
        })
    }

    /// Adds a piece to its call. In a whole answer each is a call of its own.
    fn add_piece(&mut self, piece: CallPiece<'_>, is_whole: bool) -> Result<(), Fault> {
        let id = piece.id.as_ref().map_or("", Text::as_str);
        let known = self.known_call(&piece, id).filter(|_| !is_whole);
        let at = match known {
            Some(at) => at,
            None if self.calls.len() >= MAX_CALLS => return Err(Fault::Unusable("too many calls")),
            None => {
                self.calls.push(NativeCall {
                    index: piece.index,
                    ..NativeCall::default()
                });
                self.calls.len().saturating_sub(1)
            }
        };
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        if call.id.is_empty() && id.len() <= LONGEST_NAME {
            call.id.push_str(id);
        }
        let Some(function) = piece.function else {
            return Ok(());
        };
        if let Some(Text(name)) = function.name {
            call.add_name(&name)?;
        }
        let Some(raw) = function.arguments else {
            return Ok(());
        };
        let arguments = match raw.get().starts_with('"') {
            true => string(raw)?,
            false => raw.get().into(),
        };
        call.end.push(&arguments);
        call.arguments.push_str(&arguments);
        let length = arguments.len();
        self.take_room(length)
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.room.checked_sub(bytes) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => Err(Fault::Unusable("answer too large")),
        }
    }

    /// What an error means. A provider that has begun to answer has worked.
    fn fault(&self, error: &ErrorObject<'_>) -> Fault {
        let words = error.words();
        match error.status() {
            _ if self.has_begun => Fault::Model,
            status if is_about_context(status, &words) => Fault::ContextLength,
            Some(429) => Fault::Busy,
            _ => Fault::Model,
        }
    }
}

impl fmt::Display for NativeCall {
    /// On a line of its own, as `name(arguments)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "\n{}({})", self.name, self.arguments)
    }
}

impl NativeCall {
    /// Whether the arguments have ended. It is asked for each piece, so it must not read all of them
    /// again; what is no object is short.
    fn is_complete(&self) -> bool {
        let is_other = || {
            self.arguments.len() <= LONGEST_OTHER
                && serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
        };
        self.end.has_come() || is_other()
    }

    /// Names come whole, and rarely in pieces; some servers repeat them in every piece.
    fn add_name(&mut self, name: &str) -> Result<(), Fault> {
        if self.name == name || !self.arguments.is_empty() {
            return Ok(());
        }
        if self.name.len().saturating_add(name.len()) > LONGEST_NAME {
            return Err(Fault::Unusable("name of a call too long"));
        }
        self.name.push_str(name);
        Ok(())
    }
}

impl Ending {
    fn of(word: &str) -> Self {
        match word {
            "length" | "max_tokens" => Self::Reason(FinishReason::Length),
            "content_filter" => Self::Reason(FinishReason::ContentFilter),
            "tool_calls" | "function_call" => Self::Reason(FinishReason::ToolCalls),
            "error" => Self::Failed,
            _ => Self::Reason(FinishReason::Stop),
        }
    }
}

impl Template {
    /// The template that a chunk gives: one that says nothing but a text, or a thought.
    fn of(data: &[u8], said: &Said<'_>) -> Option<Self> {
        let is_bare = said.refusal.is_none()
            && said.reasoning_content.is_none()
            && said.reasoning_details.is_none()
            && said.tool_calls.is_none();
        let spoken = |raw: Option<&RawValue>| {
            raw.is_some_and(|raw| raw.get().len() > 2 && raw.get().starts_with('"'))
        };
        let (raw, speaks) = match (spoken(said.content), spoken(said.reasoning)) {
            (true, false) => (said.content?, Speaks::Text),
            (false, true) => (said.reasoning?, Speaks::Reasoning),
            _ => return None,
        };
        if !is_bare {
            return None;
        }
        let inside = (raw.get().as_ptr() as usize)
            .checked_sub(data.as_ptr() as usize)?
            .checked_add(1)?;
        let end = inside.checked_add(raw.get().len().checked_sub(2)?)?;
        Some(Self {
            head: data.get(..inside)?.to_vec(),
            tail: data.get(end..)?.to_vec(),
            speaks,
        })
    }
}

/// Appends a content: a string, or a list of parts of which the texts count.
fn content(raw: &RawValue, into: &mut String) -> Result<(), Fault> {
    match raw.get().as_bytes().first() {
        Some(b'"') => into.push_str(&string(raw)?),
        Some(b'[') => {
            let parts: ContentParts<'_> = serde_json::from_str(raw.get())
                .map_err(|_| Fault::Unusable("content is no list of parts"))?;
            let texts = parts.items.into_iter().filter_map(|part| part.text);
            texts.for_each(|Text(text)| into.push_str(&text));
        }
        _ if raw.get() == "null" => {}
        _ => return Err(Fault::Unusable("content is neither a text nor a list")),
    }
    Ok(())
}

fn string(raw: &RawValue) -> Result<Cow<'_, str>, Fault> {
    Text::deserialize(raw)
        .map(|Text(text)| text)
        .map_err(|_| Fault::Unusable("what is said is no string"))
}
