//! What a caller wants, in our own words: no wire format, OpenAI's or fal's, reaches past here.
//!
//! Every public API of the gateway is turned into an [`Ask`] by its face, and everything behind
//! the faces works on asks alone.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::body::SentTools;
use super::image::{Excess, ImageLimits};
use super::media::Media;
use super::model::Modality;
use super::notes::Notes;
use super::terms::Terms;
use super::tools::ToolSet;

/// One request, parsed: every value in it is known to be usable.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The model's name as the caller wrote it; `None` asks for the default.
    pub model: Option<Cow<'a, str>>,
    /// Whether the API knows no conversations: there is one text, and the answer goes on with it.
    pub is_text: bool,
    pub conversation: Conversation<'a>,
    /// Whether its oldest turns may be left out where it would be too long, whatever the operator
    /// has set.
    pub drops_oldest: bool,
    /// Where the last image stands in the request, for refusals of it.
    pub last_image: Option<String>,
    /// Where the last recording or video stands.
    pub last_media: Option<String>,
    pub sampling: Sampling,
    pub reasoning: Reasoning,
    /// How much of it; `None` leaves that to the model.
    pub effort: Option<Effort>,
    /// The blocks of reasoning that earlier replies came with, by their turns.
    pub thoughts: Vec<(usize, Thoughts)>,
    pub priority: Option<Priority>,
    /// What the caller calls `priority`, for refusals of it.
    pub priority_name: &'static str,
    /// How likely the answer's tokens were, where the caller wants to know.
    pub logprobs: Option<Logprobs>,
    /// Texts at which the answer ends; none of them is empty.
    pub stop: Vec<String>,
    /// Whether the caller is told at which of them the answer ended. No upstream tells that, so the
    /// gateway has to find the end itself.
    pub names_stop: bool,
    /// How many answers are wanted, at least one.
    pub choices: u32,
    pub delivery: Delivery,
    /// The tools that may be called; `None` when none may.
    pub tools: Option<ToolSet<'a>>,
    pub format: AnswerFormat<'a>,
    /// Models to try, in order, when the first one refuses before working.
    pub fallbacks: Vec<Cow<'a, str>>,
    /// Whether fal may keep what is asked and answered, as far as the caller says.
    pub may_be_kept: bool,
    /// What became of the request's fields so far.
    pub notes: Notes,
    /// What the fields are called, for refusals of them.
    pub names: &'static FieldNames,
    /// The model to take where nothing is known of the name that the caller wrote.
    pub stand_in: Option<Cow<'a, str>>,
    /// Whether what is said of reasoning is only meant for models that can be told so.
    pub reasons_if_able: bool,
    /// How many bytes of the request were images, recordings and videos that have been left out.
    pub omitted_bytes: usize,
    /// The request's list of tools as it was sent, whether they are offered or not.
    pub sent_tools: Option<SentTools<'a>>,
    /// What comes of the tools and the schema, where somebody has seen the same before.
    pub terms: Option<Arc<Terms>>,
}

impl Ask<'_> {
    /// Leaves the oldest images out where there are more than the limits allow, and the oldest recordings
    /// and videos, and notes it.
    pub fn within(mut self, limits: &ImageLimits) -> Self {
        let drops = limits.excess == Excess::DropOldest;
        if !drops {
            return self;
        }
        let most = limits.max_images;
        let images = self.conversation.leave_out_oldest(&[Modality::Image], most);
        if images > 0 {
            self.notes.ignored(self.names.image);
        }
        let before = [Modality::Audio, Modality::Video].map(|kind| self.conversation.count(kind));
        let media = [Modality::Audio, Modality::Video];
        let media = self.conversation.leave_out_oldest(&media, most);
        for (kind, before) in [Modality::Audio, Modality::Video].into_iter().zip(before) {
            if self.conversation.count(kind) < before {
                self.notes.ignored(self.names.of(kind));
            }
        }
        self.omitted_bytes = images.saturating_add(media);
        self
    }

    /// How many bytes of the request are images, recordings and videos, those that were left out
    /// included.
    pub fn attached_bytes(&self) -> usize {
        let shown = self.conversation.attached_bytes();
        shown.saturating_add(self.omitted_bytes)
    }
}

/// Blocks of reasoning of one reply, which the model that wrote them wants to have back as they were.
/// No other can read them, and providers refuse what another has signed.
#[derive(Clone, Debug)]
pub struct Thoughts {
    pub origin: Origin,
    /// A JSON list.
    pub blocks: Box<RawValue>,
}

/// Who wrote blocks of reasoning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model of this id. They come from an upstream that has messages, and there is only one.
    Model(String),
    /// Some model of this maker, by the form of the blocks.
    Maker(&'static str),
    /// Nobody says.
    Unknown,
    /// Several models, so that none of them wants to have all.
    Several,
}

impl Origin {
    /// Whether this model may have written them.
    pub fn may_be(&self, model: &str) -> bool {
        match self {
            Self::Model(id) => without_variant(id) == without_variant(model),
            Self::Maker(maker) => model.starts_with(maker),
            Self::Unknown => true,
            Self::Several => false,
        }
    }
}

/// An id without what stands behind a colon, such as `:nitro`: how it is served.
fn without_variant(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// Which probabilities of tokens a caller wants to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logprobs {
    /// How many of the likeliest tokens in the place of each, from 0 to 20.
    pub top: u8,
    /// Whether the operator lets requests pass that cannot have them.
    pub is_dispensable: bool,
    /// The same for the likeliest in the place of each.
    pub is_top_dispensable: bool,
}

/// What an API calls the fields that problems speak of.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldNames {
    /// What is asked: the messages, or the prompt.
    pub asked: &'static str,
    /// What holds the instructions.
    pub instructions: &'static str,
    /// What the answer's form is asked for with.
    pub format: &'static str,
    /// What reasoning is asked for with.
    pub reasoning: &'static str,
    /// What says in a word how much of it is wanted.
    pub effort: &'static str,
    /// What says it in tokens.
    pub budget: &'static str,
    /// The models to fall back on.
    pub fallbacks: &'static str,
    /// An image, as the path of any.
    pub image: &'static str,
    /// A recording and a video, as the paths of any; `None` where the API knows none.
    pub audio: Option<&'static str>,
    pub video: Option<&'static str>,
}

impl FieldNames {
    /// The path of any image, recording or video.
    pub fn of(&self, kind: Modality) -> &'static str {
        match kind {
            Modality::Image => self.image,
            Modality::Audio => self.audio.unwrap_or(self.asked),
            Modality::Video => self.video.unwrap_or(self.asked),
            Modality::Text | Modality::File => self.asked,
        }
    }
}

/// Who said what. Adjacent text parts of a message are already one text, messages that say
/// nothing are gone, and a conversation always has something to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation<'a> {
    /// The text of the leading system and developer messages, joined by blank lines.
    pub instructions: Option<Cow<'a, str>>,
    /// Everything after them, in order.
    pub turns: Vec<Turn<'a>>,
    /// The beginning of the answer, when the caller wrote it: the last message was the assistant's.
    pub prefill: Option<Cow<'a, str>>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    pub speaker: Speaker<'a>,
    pub parts: Vec<Part<'a>>,
}

/// Who speaks in a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Speaker<'a> {
    /// A system or developer message after the first turn.
    System,
    User {
        name: Option<Cow<'a, str>>,
    },
    Assistant {
        name: Option<Cow<'a, str>>,
    },
    /// The result of a tool call; `name` is the function's, as far as the history tells.
    Tool {
        call_id: Cow<'a, str>,
        name: Option<Cow<'a, str>>,
        /// Whether the caller said that the call has failed.
        has_failed: bool,
    },
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    Text(Cow<'a, str>),
    /// An image's address: `https:` or a data URI.
    Image(Cow<'a, str>),
    /// A recording or a video, which stands in messages of users alone.
    Media(Media<'a>),
    ToolCall(ToolCall<'a>),
}

/// A tool call in the history. `arguments` is what the model wrote, usually a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub arguments: Cow<'a, str>,
}

/// The form that the answer's text has to have.
#[derive(Clone, Debug)]
pub enum AnswerFormat<'a> {
    Text,
    /// Any JSON object.
    JsonObject,
    JsonSchema(AnswerSchema<'a>),
}

/// A JSON schema that the answer has to match.
#[derive(Clone, Debug)]
pub struct AnswerSchema<'a> {
    /// A JSON object.
    pub schema: &'a RawValue,
    /// Where it stands in the request, for refusals of it.
    pub path: &'static str,
    /// What the answer is for, in words for the model.
    pub description: Option<Cow<'a, str>>,
    /// Whether an answer that does not match may never be delivered.
    pub strict: bool,
}

/// How the next token is chosen, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// At least one.
    pub max_tokens: Option<u64>,
    /// What the caller calls `max_tokens`, for refusals of it.
    pub max_tokens_name: &'static str,
    pub finer: FinerSampling,
    /// Whether the API makes everybody name a number, so that one above what is possible is lowered
    /// rather than refused.
    pub lowers_max_tokens: bool,
}

/// Sampling parameters that only some upstreams and models have. `None` also stands for a value
/// that changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FinerSampling {
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub min_p: Option<f64>,
    pub top_k: Option<u64>,
    pub seed: Option<i64>,
}

/// How much a model is to reason, where it reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// OpenAI's word for it: `minimal` to `xhigh`.
    Level(&'static str),
    /// In tokens.
    Budget(u64),
}

/// Whether the model shall reason, and whether the caller wants to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reasoning {
    /// The caller did not say.
    #[default]
    Unsaid,
    Off,
    Hidden,
    Shown,
}

/// What fal shall optimise for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Throughput,
    Latency,
}

/// How the answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Stream { include_usage: bool },
}

/// What stands in the place of what a model cannot see or hear.
fn omitted(kind: Modality) -> Cow<'static, str> {
    match kind {
        Modality::Audio => "[audio omitted]".into(),
        Modality::Video => "[video omitted]".into(),
        _ => "[image omitted]".into(),
    }
}

impl Conversation<'_> {
    /// How many bytes of the request its images, recordings and videos take up.
    pub fn attached_bytes(&self) -> usize {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        let sizes = parts.map(|part| match part {
            Part::Image(url) => url.len(),
            Part::Media(media) => media.len(),
            Part::Text(_) | Part::ToolCall(_) => 0,
        });
        sizes.sum()
    }

    /// How many images, recordings or videos it holds.
    pub fn count(&self, kind: Modality) -> usize {
        self.turns.iter().map(|turn| turn.count(&[kind])).sum()
    }

    /// Whether any tool was called in it.
    pub fn has_calls(&self) -> bool {
        let is_call = |part: &Part<'_>| matches!(part, Part::ToolCall(_));
        let has_call = |turn: &Turn<'_>| turn.parts.iter().any(is_call);
        let is_result = |turn: &Turn<'_>| matches!(turn.speaker, Speaker::Tool { .. });
        self.turns
            .iter()
            .any(|turn| has_call(turn) || is_result(turn))
    }

    /// Whether the question holds an image, a recording or a video.
    pub fn asks_about(&self, kind: Modality) -> bool {
        let question = self.question().and_then(|at| self.turns.get(at));
        question.is_some_and(|turn| turn.count(&[kind]) > 0)
    }

    /// Leaves images, recordings or videos out of all messages but the question, with a text in their
    /// place, for models that cannot see or hear them. Whether there were any.
    pub fn leave_out(&mut self, kind: Modality) -> bool {
        let question = self.question();
        let mut has_left_out = false;
        for (at, turn) in self.turns.iter_mut().enumerate() {
            if Some(at) == question || turn.count(&[kind]) == 0 {
                continue;
            }
            has_left_out = true;
            let mut all = usize::MAX;
            let _ = turn.leave_out(&[kind], &mut all);
        }
        has_left_out
    }

    /// Leaves the oldest of these kinds out where there are more than `most`, with a text in their place,
    /// but none that came since the last reply. How many bytes they took up.
    ///
    /// They go by halves of what is possible, so that the next messages of a conversation leave its
    /// beginning as it is, which providers have cached.
    fn leave_out_oldest(&mut self, kinds: &[Modality], most: usize) -> usize {
        let of_turn = |turn: &Turn<'_>| turn.count(kinds);
        let count = |turns: &[Turn<'_>]| turns.iter().map(of_turn).sum::<usize>();
        let reply = self
            .turns
            .iter()
            .rposition(|turn| matches!(turn.speaker, Speaker::Assistant { .. }));
        let (before, _) = self.turns.split_at(reply.map_or(0, |at| at + 1));
        let (all, old) = (count(&self.turns), count(before));
        let step = (most / 2).max(1);
        let mut left = all.saturating_sub(most).div_ceil(step) * step;
        left = left.min(old);
        self.leave_out_first(kinds, left)
    }

    /// Leaves the first ones of these kinds out, so many of them, with a text in their place. How many
    /// bytes they took up.
    pub fn leave_out_first(&mut self, kinds: &[Modality], mut left: usize) -> usize {
        let mut bytes = 0_usize;
        for turn in &mut self.turns {
            if left == 0 {
                break;
            }
            bytes = bytes.saturating_add(turn.leave_out(kinds, &mut left));
        }
        bytes
    }

    /// What is shown in messages before the question, in order.
    pub fn shown_before_question(&self) -> impl Iterator<Item = Modality> {
        let question = self.question();
        let before = self.turns.iter().enumerate();
        let before = before.take_while(move |(at, _)| Some(*at) != question);
        let parts = before.flat_map(|(_, turn)| &turn.parts);
        parts.filter_map(Part::attached)
    }

    /// The message that the answer is about: the last one that is not the system's. A tool's result
    /// is none, and neither is what comes right behind one: that is how clients show what the tool
    /// has seen.
    fn question(&self) -> Option<usize> {
        let turns = self.turns.iter().enumerate().rev();
        let mut said = turns.filter(|(_, turn)| turn.speaker != Speaker::System);
        let last = said.next();
        let is_result = |turn: Option<(usize, &Turn<'_>)>| {
            turn.is_some_and(|(_, turn)| matches!(turn.speaker, Speaker::Tool { .. }))
        };
        match is_result(last) || is_result(said.next()) {
            true => None,
            false => last.map(|(at, _)| at),
        }
    }

    /// Every text in the conversation that a caller supplied, for those who must look at all of it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let turns = self.turns.iter().flat_map(Turn::texts);
        let instructions = self.instructions.as_deref();
        let prefill = self.prefill.as_deref();
        instructions.into_iter().chain(turns).chain(prefill)
    }
}

/// Adds a text to a message, on a line of its own when a text came before it.
pub fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: Cow<'a, str>) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(before)) => *before = join(std::mem::take(before), "\n", &text),
        _ => parts.push(Part::Text(text)),
    }
}

/// Extends a text; the first extension copies it, the ones after that do not.
pub fn join<'a>(before: Cow<'a, str>, between: &str, text: &str) -> Cow<'a, str> {
    let mut joined = before.into_owned();
    joined.push_str(between);
    joined.push_str(text);
    Cow::Owned(joined)
}

impl Part<'_> {
    /// What it is besides a text or a call.
    pub fn attached(&self) -> Option<Modality> {
        match self {
            Self::Image(_) => Some(Modality::Image),
            Self::Media(media) => Some(media.kind()),
            Self::Text(_) | Self::ToolCall(_) => None,
        }
    }

    /// How many bytes that takes up.
    fn attached_bytes(&self) -> usize {
        match self {
            Self::Image(url) => url.len(),
            Self::Media(media) => media.len(),
            Self::Text(_) | Self::ToolCall(_) => 0,
        }
    }
}

impl Turn<'_> {
    fn count(&self, kinds: &[Modality]) -> usize {
        let is_one = |part: &&Part<'_>| part.attached().is_some_and(|kind| kinds.contains(&kind));
        self.parts.iter().filter(is_one).count()
    }

    /// Puts a text in the place of the first of its images, recordings or videos, `left` at most, and
    /// takes their number from `left`. How many bytes they took up.
    fn leave_out(&mut self, kinds: &[Modality], left: &mut usize) -> usize {
        let mut bytes = 0_usize;
        if self.count(kinds) == 0 {
            return bytes;
        }
        for part in std::mem::take(&mut self.parts) {
            let kind = part.attached().filter(|kind| kinds.contains(kind));
            let Some(kind) = kind.filter(|_| *left > 0) else {
                match part {
                    Part::Text(text) => push_text(&mut self.parts, text),
                    part => self.parts.push(part),
                }
                continue;
            };
            *left -= 1;
            bytes = bytes.saturating_add(part.attached_bytes());
            push_text(&mut self.parts, omitted(kind));
        }
        bytes
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let named = match &self.speaker {
            Speaker::System => [None, None],
            Speaker::User { name } | Speaker::Assistant { name } => [name.as_deref(), None],
            Speaker::Tool { call_id, name, .. } => [Some(call_id.as_ref()), name.as_deref()],
        };
        let parts = self.parts.iter().flat_map(|part| match part {
            Part::Text(text) => [Some(text.as_ref()), None, None],
            Part::Image(_) | Part::Media(_) => [None, None, None],
            Part::ToolCall(call) => [
                Some(call.id.as_ref()),
                Some(call.name.as_ref()),
                Some(call.arguments.as_ref()),
            ],
        });
        named.into_iter().chain(parts).flatten()
    }
}
