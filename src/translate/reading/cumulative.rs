//! From "the whole text so far, again and again" to what is new.
//!
//! Every event of fal's stream repeats all the text before it. Parsing each one would cost the
//! square of the answer's length, so events are compared as bytes first: an event that begins with
//! the very bytes of the one before, up to the end of the growing string, and ends like it, is
//! that event plus a few new characters, and only those are unescaped. Everything else (other key
//! order, the closing event, reasoning giving way to the answer, text taken back) is parsed in
//! full, with the same result.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use memchr::memchr2;

use super::decoder::{Additions, Step};
use super::event::Fault;
use super::reported::Reported;
use crate::wire::fal::any_llm::AnyLlmOutput;
use crate::wire::fal::usage::tells_work;
use crate::wire::openrouter::answer::is_something;
use crate::wire::openrouter::error::{is_about_context, status_in};
use crate::wire::text::Text;

/// Follows one answer. What it keeps is the last event, as bytes, and nothing else.
#[derive(Debug, Default)]
pub struct Cumulative {
    /// The last accepted event up to the end of the string that is growing.
    head: Vec<u8>,
    /// The rest of that event, from the closing quote on.
    tail: Vec<u8>,
    /// Which string is growing.
    growing: Growing,
    /// Reasoning from before events that no longer mention it.
    earlier_reasoning: String,
    /// The last event did not extend the one in `head`.
    is_revised: bool,
    /// The last event, when it ended in a character that was still being decoded.
    undecoded: Vec<u8>,
    scratch: Vec<u8>,
    /// Whether usage is told.
    heeds_usage: bool,
    told: Told,
    reported: Option<Reported>,
    /// Whether the last event said that more will come.
    is_partial: bool,
}

/// What the events so far say of the usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// No event yet.
    #[default]
    Unheard,
    /// There were events, and none of them told it.
    Nothing,
    /// The last event tells it, as the first one did.
    Always,
    /// The last event tells it, which those before did not.
    AtTheEnd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Growing {
    #[default]
    Output,
    Reasoning,
}

impl Cumulative {
    /// A decoder for answers that tell their usage, or do not.
    pub fn new(heeds_usage: bool) -> Self {
        Self {
            heeds_usage,
            ..Self::default()
        }
    }

    /// Takes the next event's JSON and appends what is new to `new`. An event without `partial`
    /// counts as `step`.
    ///
    /// # Errors
    /// JSON that is no answer, an error reported by fal, or a closing event whose text is not what
    /// was passed on.
    pub fn advance(
        &mut self,
        event: &[u8],
        step: Step,
        new: &mut Additions,
    ) -> Result<Step, Fault> {
        match self.extend(event, new) {
            Some(step) => Ok(step),
            None => self.parse(event, step, new),
        }
    }

    /// Whether `next` contains all that `event` says, so that `event` need not be read: both are
    /// the event before with its string grown, `next` further than `event`. Where either might end
    /// in the middle of an escape or a character the answer is no, so that what is passed over is
    /// sound and what is read instead is taken.
    pub fn is_superseded(&self, event: &[u8], next: &[u8]) -> bool {
        let Some(said) = event
            .strip_prefix(self.head.as_slice())
            .filter(|_| !self.head.is_empty())
            .and_then(|grown| grown.strip_suffix(self.tail.as_slice()))
        else {
            return false;
        };
        let last = said.get(said.len().saturating_sub(ESCAPED_PAIR)..);
        if last.is_none_or(|last| last.contains(&b'\\')) {
            return false;
        }
        let Some(more) = next
            .strip_prefix(self.head.as_slice())
            .and_then(|grown| grown.strip_prefix(said))
        else {
            return false;
        };
        let grown = end_of_string(more).and_then(|end| more.split_at_checked(end));
        grown.is_some_and(|(grown, tail)| {
            tail == self.tail
                && !grown.first().copied().is_some_and(is_continuation)
                && !ends_undecoded(grown)
        })
    }

    /// The stream ends here without a closing event: what waited for its last character to be
    /// decoded is all there will be of it.
    pub fn settle(&mut self, new: &mut Additions) {
        let event = std::mem::take(&mut self.undecoded);
        if let Ok(said) = Decoded::parse(&event, Step::Partial) {
            self.accept(&event, &said, new);
        }
    }

    /// Whether the last event tells the usage, which comes last, and is not one of those that are
    /// part of an answer for certain.
    pub fn is_complete(&self) -> bool {
        match self.told {
            Told::AtTheEnd => true,
            Told::Always => !self.is_partial,
            Told::Unheard | Told::Nothing => false,
        }
    }

    /// The usage, where the upstream has told it.
    pub fn reported(&self) -> Option<Reported> {
        self.reported
    }

    /// Usage that is told by an event, but not by those before it, is told by the last one, whose
    /// own word goes before: answers about images have no other sign of their end. Where the first
    /// event tells it, it may be the only one or one of many that tell it.
    fn heed_usage(&mut self, said: &mut Decoded<'_>) {
        if !self.heeds_usage {
            return;
        }
        let told = said.usage.and_then(Reported::read);
        self.told = match (told, self.told) {
            (None, _) => Told::Nothing,
            (Some(_), Told::Unheard | Told::Always) => Told::Always,
            (Some(_), Told::Nothing | Told::AtTheEnd) => Told::AtTheEnd,
        };
        self.is_partial = said.partial == Some(true);
        self.reported = told.or(self.reported);
        if said.partial.is_none() && self.told == Told::AtTheEnd {
            said.step = Step::Final;
        }
    }

    /// Whether the last event took back text that had been passed on.
    pub fn is_revised(&self) -> bool {
        self.is_revised
    }

    /// The short way: the event before, a little longer. `None` when it is anything else.
    fn extend(&mut self, event: &[u8], new: &mut Additions) -> Option<Step> {
        if self.head.is_empty() {
            return None;
        }
        let rest = event.strip_prefix(self.head.as_slice())?;
        let (added, tail) = rest.split_at_checked(end_of_string(rest)?)?;
        if tail != self.tail.as_slice() {
            return None;
        }
        let into = match self.growing {
            Growing::Output => &mut new.text,
            Growing::Reasoning => &mut new.reasoning,
        };
        unescape(added, &mut self.scratch, into)?;
        self.head.extend_from_slice(added);
        self.is_revised = false;
        self.undecoded.clear();
        Some(Step::Partial)
    }

    /// The long way: a full parse of this event and of the one before.
    fn parse(&mut self, event: &[u8], step: Step, new: &mut Additions) -> Result<Step, Fault> {
        let mut said = Decoded::parse(event, step)?;
        self.heed_usage(&mut said);
        self.undecoded.clear();
        if said.step == Step::Partial && said.ends_undecoded() {
            self.undecoded.extend_from_slice(event);
            return Ok(Step::Partial);
        }
        let step = said.step;
        match self.accept(event, &said, new) {
            false if step == Step::Final => Err(Fault::Revised),
            _ => Ok(step),
        }
    }

    /// Gives out what an event adds and remembers the event; whether it extends the one before.
    fn accept(&mut self, event: &[u8], said: &Decoded<'_>, new: &mut Additions) -> bool {
        let (old_reasoning, old_text) = self.accepted();
        // Reasoning that is no longer mentioned is not taken back.
        let reasoning = said.reasoning.as_deref().unwrap_or(&old_reasoning);
        let added = (
            added(&old_reasoning, reasoning, said.step),
            added(&old_text, &said.text, said.step),
        );
        self.is_revised = !matches!(added, (Some(_), Some(_)));
        if let (Some(more_reasoning), Some(more_text)) = added {
            new.reasoning.push_str(more_reasoning);
            new.text.push_str(more_text);
            self.learn(event, said);
            if said.reasoning.is_none() {
                self.earlier_reasoning = old_reasoning;
            }
        }
        !self.is_revised
    }

    /// Reasoning and text of the event that `head` and `tail` are.
    fn accepted(&self) -> (String, String) {
        let event = [self.head.as_slice(), self.tail.as_slice()].concat();
        match Decoded::parse(&event, Step::Partial) {
            Ok(said) => (
                said.reasoning
                    .map_or_else(|| self.earlier_reasoning.clone(), Cow::into_owned),
                said.text.into_owned(),
            ),
            Err(_) => (String::new(), String::new()),
        }
    }

    /// Remembers an event, cut where its growing string ends.
    fn learn(&mut self, event: &[u8], said: &Decoded<'_>) {
        let has_reasoning = said.reasoning.as_ref().is_some_and(|text| !text.is_empty());
        let (growing, raw) = match said.text.is_empty() && has_reasoning {
            true => (Growing::Reasoning, said.raw_reasoning),
            false => (Growing::Output, said.raw_text),
        };
        self.growing = growing;
        self.head.clear();
        self.tail.clear();
        let end = raw.and_then(|raw| {
            let offset = (raw.get().as_ptr() as usize).checked_sub(event.as_ptr() as usize)?;
            offset.checked_add(raw.get().len())?.checked_sub(1)
        });
        if let Some((head, tail)) = end.and_then(|end| event.split_at_checked(end)) {
            self.head.extend_from_slice(head);
            self.tail.extend_from_slice(tail);
        }
    }
}

/// One event, parsed.
struct Decoded<'e> {
    step: Step,
    text: Cow<'e, str>,
    reasoning: Option<Cow<'e, str>>,
    raw_text: Option<&'e RawValue>,
    raw_reasoning: Option<&'e RawValue>,
    partial: Option<bool>,
    usage: Option<&'e RawValue>,
}

impl<'e> Decoded<'e> {
    /// An event without `partial` counts as `step`.
    fn parse(event: &'e [u8], step: Step) -> Result<Self, Fault> {
        let output: AnyLlmOutput<'e> =
            serde_json::from_slice(event).map_err(|_| Fault::Unusable("not fal's JSON"))?;
        refuse_error(&output)?;
        let step = match output.partial {
            None => step,
            Some(true) => Step::Partial,
            Some(false) => Step::Final,
        };
        let reasoning = string(output.reasoning)?;
        let text = match (string(output.output)?, &reasoning, step) {
            (Some(text), ..) => text,
            (None, Some(_), Step::Partial) => Cow::Borrowed(""),
            (None, ..) => return Err(Fault::Unusable("no output")),
        };
        Ok(Self {
            step,
            text,
            reasoning,
            raw_text: output.output,
            raw_reasoning: output.reasoning,
            partial: output.partial,
            usage: output.usage,
        })
    }

    fn ends_undecoded(&self) -> bool {
        let reasoning = self.reasoning.as_deref().unwrap_or_default();
        self.text.ends_with(UNDECODED) || reasoning.ends_with(UNDECODED)
    }
}

/// What a tokenizer shows for a character whose bytes have not all come yet. An event that ends
/// in it is waited out: the next one brings the character.
const UNDECODED: char = '\u{fffd}';
/// Bytes of the longest escape of one character: two surrogates.
const ESCAPED_PAIR: usize = "\\ud83d\\ude00".len();

/// Whether the inside of a JSON string ends in [`UNDECODED`], in whichever spelling.
fn ends_undecoded(inside: &[u8]) -> bool {
    let escape = inside.get(inside.len().saturating_sub(6)..);
    inside.ends_with("\u{fffd}".as_bytes())
        || escape.is_some_and(|escape| escape.eq_ignore_ascii_case(b"\\ufffd"))
}

/// Whether a byte stands inside a character of several bytes.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// What `new` has beyond `old`; `None` when it does not extend it. A closing event may drop
/// white space from the end.
fn added<'n>(old: &str, new: &'n str, step: Step) -> Option<&'n str> {
    new.strip_prefix(old).or_else(|| {
        let is_trimmed =
            step == Step::Final && old.trim_end() == new.trim_end() && old.starts_with(new);
        is_trimmed.then_some("")
    })
}

/// fal reports an error in an answer whose HTTP status is 200. A model that has begun to answer has
/// worked.
fn refuse_error(output: &AnyLlmOutput<'_>) -> Result<(), Fault> {
    let has_begun = is_something(output.output)
        || is_something(output.reasoning)
        || output.usage.is_some_and(tells_work);
    if output
        .kind
        .is_some_and(|kind| kind.get().contains("concurrent_requests_limit"))
    {
        return Err(Fault::Busy);
    }
    match output
        .error
        .or(output.detail.filter(|_| output.output.is_none()))
    {
        None => Ok(()),
        Some(_) if has_begun => Err(Fault::Model),
        Some(error) => Err(fault_of(error.get())),
    }
}

/// The kind of error that fal's text is about. Its providers' texts begin with `Error code: NNN`.
pub fn fault_of(error: &str) -> Fault {
    let error = error.to_ascii_lowercase();
    match status_in(&error) {
        status if is_about_context(status, &error) => Fault::ContextLength,
        Some(429) => Fault::Busy,
        _ if error.contains("rate limit") => Fault::Busy,
        _ => Fault::Model,
    }
}

fn string(raw: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, Fault> {
    raw.map(|raw| serde_json::from_str(raw.get()).map(|Text(text)| text))
        .transpose()
        .map_err(|_| Fault::Unusable("output is no string"))
}

/// Where the string whose inside begins here ends: the offset of its closing quote.
pub(super) fn end_of_string(inside: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let offset = memchr2(b'"', b'\\', inside.get(at..)?)?;
        at = at.checked_add(offset)?;
        match inside.get(at) {
            Some(b'"') => return Some(at),
            _ => at = at.checked_add(2)?,
        }
    }
}

/// Appends the text that the inside of a JSON string stands for. `None` when it is no such thing,
/// or ends in a character that is still being decoded.
fn unescape(inside: &[u8], scratch: &mut Vec<u8>, into: &mut String) -> Option<()> {
    scratch.clear();
    scratch.push(b'"');
    scratch.extend_from_slice(inside);
    scratch.push(b'"');
    let mut reader = serde_json::Deserializer::from_slice(scratch);
    let Text(text) = Text::deserialize(&mut reader).ok()?;
    if text.ends_with(UNDECODED) {
        return None;
    }
    into.push_str(&text);
    Some(())
}
