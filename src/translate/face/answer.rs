//! Answers in the making: what every face does alike with the events of an answer.
//!
//! A whole answer is the same for every face until it is written, so [`WholeAnswer`] only collects.
//! In a stream every event becomes frames at once: [`StreamedAnswer`] knows when a choice begins
//! and when all of them have ended, and a face's [`FrameWriter`] knows what that looks like.

use bytes::Bytes;

use crate::translate::cost::Cost;
use crate::translate::face::state::Record;
use crate::translate::problem::Problem;
use crate::translate::reading::{Call, Event, Fault, Finish, FinishReason, TokenLogprob, Usage};

/// Takes the events of an answer with several choices.
pub trait AnswerSink {
    fn event(&mut self, choice: usize, event: Event<'_>);
}

/// An answer that is read to its end before it is written.
#[derive(Debug)]
pub struct WholeAnswer {
    pub choices: Vec<WholeChoice>,
    /// What it cost, choices included that did not come to their end.
    pub cost: Option<Cost>,
}

/// One choice of it.
#[derive(Debug, Default)]
pub struct WholeChoice {
    pub text: String,
    /// How likely its tokens were, as far as that is told.
    pub logprobs: Vec<TokenLogprob>,
    pub reasoning: String,
    /// A JSON list.
    pub reasoning_blocks: Option<String>,
    pub refusal: Option<String>,
    pub calls: Vec<Call>,
    /// In which order all of this was said.
    pub order: Vec<Segment>,
    finish: Option<Finish>,
    fault: Option<Fault>,
}

/// A stretch of a choice: with a text, where it ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    Text {
        to: usize,
    },
    Reasoning {
        to: usize,
    },
    /// The next call.
    Call,
    Refusal,
}

impl WholeAnswer {
    /// An answer with this many choices.
    pub fn new(choices: u32) -> Self {
        Self {
            choices: (0..choices).map(|_| WholeChoice::default()).collect(),
            cost: None,
        }
    }

    /// What went wrong in a choice, if anything did.
    pub fn fault(&self) -> Option<Fault> {
        self.choices.iter().find_map(|choice| choice.fault)
    }

    /// The choices that have ended well, with their places among those that were asked for.
    pub fn complete(&self) -> impl Iterator<Item = (u32, &WholeChoice)> {
        let numbered = (0..).zip(&self.choices);
        numbered.filter(|(_, choice)| choice.finish.is_some())
    }

    fn finishes(&self) -> impl Iterator<Item = Usage> {
        let finishes = self.choices.iter().filter_map(|choice| choice.finish);
        finishes.map(|finish| finish.usage)
    }

    /// The tokens of the complete choices together, and what all cost.
    pub fn usage(&self) -> Usage {
        Usage {
            cost: self.cost,
            ..Usage::of_choices(self.finishes())
        }
    }

    /// Bytes of text in all choices, for whoever makes room for it.
    pub fn text_bytes(&self) -> usize {
        self.choices.iter().map(|choice| choice.text.len()).sum()
    }
}

impl WholeChoice {
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let said = Segment::Text {
            to: self.text.len(),
        };
        match self.order.last_mut() {
            Some(last @ Segment::Text { .. }) => *last = said,
            _ => self.order.push(said),
        }
    }

    fn reasoning(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.reasoning.push_str(text);
        let said = Segment::Reasoning {
            to: self.reasoning.len(),
        };
        match self.order.last_mut() {
            Some(last @ Segment::Reasoning { .. }) => *last = said,
            _ => self.order.push(said),
        }
    }

    /// Why the choice has ended.
    pub fn finish_reason(&self) -> FinishReason {
        self.finish
            .map_or(FinishReason::Stop, |finish| finish.reason)
    }
}

impl AnswerSink for WholeAnswer {
    fn event(&mut self, choice: usize, event: Event<'_>) {
        let Some(choice) = self.choices.get_mut(choice) else {
            return;
        };
        match event {
            Event::Logprobs(tokens) => choice.logprobs.extend_from_slice(tokens),
            Event::Text(text) => choice.text(text),
            Event::Reasoning(text) => choice.reasoning(text),
            Event::Call(call) => {
                choice.calls.push(call.clone());
                choice.order.push(Segment::Call);
            }
            Event::ReasoningBlocks(blocks) => choice.reasoning_blocks = Some(blocks.to_owned()),
            Event::Refusal(words) => {
                choice.refusal = Some(words.to_owned());
                choice.order.push(Segment::Refusal);
            }
            // A whole answer's notes are written once all of it is known.
            Event::Mended(_) => {}
            Event::Finished(finish) => choice.finish = Some(finish),
            Event::Failed(fault) => choice.fault = Some(fault),
            Event::Unmet(unmet) => choice.fault = Some(unmet.fault),
        }
    }
}

/// Writes the frames of one API's stream. Each frame is written whole, with its blank line.
pub trait FrameWriter {
    /// What keeps a silent stream alive: clients ignore it, and proxies do not cut it. It may come
    /// before anything else.
    fn ping(&mut self, out: &mut Vec<u8>);

    /// What says that the answer is going to be made, where nobody waits for it.
    fn queue(&mut self, _out: &mut Vec<u8>) {}
    /// What comes first of an answer that is being made.
    fn begin(&mut self, _out: &mut Vec<u8>) {}
    /// What comes first in a choice, whatever follows.
    fn open(&mut self, out: &mut Vec<u8>, choice: usize);
    /// How likely the tokens were that the next text is made of. An API without a place for it leaves
    /// it out.
    fn logprobs(&mut self, _tokens: &[TokenLogprob]) {}
    fn text(&mut self, out: &mut Vec<u8>, choice: usize, text: &str);
    fn reasoning(&mut self, out: &mut Vec<u8>, choice: usize, text: &str);
    /// What the model wants to have back with its calls, as a JSON list. An API without a place for
    /// it leaves it out.
    fn reasoning_blocks(&mut self, _out: &mut Vec<u8>, _choice: usize, _blocks: &str) {}
    fn call(&mut self, out: &mut Vec<u8>, choice: usize, call: &Call);
    fn refusal(&mut self, out: &mut Vec<u8>, choice: usize, words: &str);
    /// What had to be mended so far; nothing is written for it before the choice is closed.
    fn mended(&mut self, names: &[&'static str]);
    /// What comes last in a choice.
    fn close(&mut self, out: &mut Vec<u8>, choice: usize, reason: FinishReason);
    /// The answer as it is kept, once every choice is closed; none where it is not to be kept.
    fn record(&self, _usage: Usage, _whole: &WholeAnswer) -> Option<Record> {
        None
    }
    /// Whether it needs the whole answer for that.
    fn needs_whole(&self) -> bool {
        false
    }
    /// The answer is not kept after all, and says so from here on.
    fn forget(&mut self) {}
    /// What comes when every choice is closed.
    fn end(&mut self, out: &mut Vec<u8>, usage: Usage);
    /// What comes last in a stream that fails.
    fn fail(&mut self, out: &mut Vec<u8>, problem: &Problem);
}

/// Frames that leave together take no more than this, in bytes, unless much has come at once.
const USUAL_FRAMES: usize = 512;

/// A streamed answer: events go in, frames come out.
#[derive(Debug)]
pub struct StreamedAnswer<W> {
    writer: W,
    out: Vec<u8>,
    choices: Vec<StreamedChoice>,
    /// The same as a whole, where it is kept so.
    whole: Option<WholeAnswer>,
    /// Whether the end is written by [`end`](Self::end) alone.
    holds_end: bool,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct StreamedChoice {
    has_begun: bool,
    finish: Option<Finish>,
    fault: Option<Fault>,
}

impl<W: FrameWriter> StreamedAnswer<W> {
    /// A stream with this many choices.
    pub fn new(writer: W, choices: u32) -> Self {
        Self {
            writer,
            out: Vec::new(),
            choices: vec![StreamedChoice::default(); choices as usize],
            whole: None,
            holds_end: false,
            has_ended: false,
        }
    }

    /// The same stream, whose end waits to be asked for: something has to be done before it.
    pub fn holding_its_end(mut self) -> Self {
        self.holds_end = true;
        if self.writer.needs_whole() {
            let choices = u32::try_from(self.choices.len()).unwrap_or(u32::MAX);
            self.whole = Some(WholeAnswer::new(choices));
        }
        self
    }

    /// Says that the answer is going to be made, as the first thing of all.
    pub fn queue(&mut self) {
        self.writer.queue(&mut self.out);
    }

    /// Says that it is being made.
    pub fn begin(&mut self) {
        self.writer.begin(&mut self.out);
    }

    /// The frames that are ready, all together. Room for usual ones stays, and for larger ones does not:
    /// a stream may be silent for long.
    pub fn take_frames(&mut self) -> Option<Bytes> {
        if self.out.is_empty() {
            return None;
        }
        if self.out.capacity() > USUAL_FRAMES {
            return Some(std::mem::take(&mut self.out).into());
        }
        let frames = Bytes::copy_from_slice(&self.out);
        self.out.clear();
        Some(frames)
    }

    /// What went wrong in a choice, if anything did. The others go on, and what they say is not
    /// lost; when all of them have ended the stream waits for [`fail`](Self::fail).
    pub fn fault(&self) -> Option<Fault> {
        self.choices.iter().find_map(|choice| choice.fault)
    }

    /// Whether anything has been written.
    pub fn has_begun(&self) -> bool {
        self.choices.iter().any(|choice| choice.has_begun)
    }

    /// Whether the last frame has been written.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether all has been said, and only the end is missing.
    pub fn waits_for_its_end(&self) -> bool {
        let mut choices = self.choices.iter();
        !self.has_ended && choices.all(|choice| choice.finish.is_some())
    }

    /// The answer as it is kept, where it is to be.
    pub fn record(&mut self) -> Option<Record> {
        let (usage, mut none) = (self.usage(), WholeAnswer::new(0));
        let whole = self.whole.as_mut().unwrap_or(&mut none);
        whole.cost = usage.cost;
        self.writer.record(usage, whole)
    }

    /// The answer is not kept after all.
    pub fn forget(&mut self) {
        self.writer.forget();
    }

    /// Ends a stream that waits for it.
    pub fn end(&mut self) {
        if self.waits_for_its_end() {
            self.has_ended = true;
            let usage = self.usage();
            self.writer.end(&mut self.out, usage);
        }
    }

    /// The tokens of all choices that have finished.
    fn usage(&self) -> Usage {
        let finishes = self.choices.iter().filter_map(|choice| choice.finish);
        Usage::of_choices(finishes.map(|finish| finish.usage))
    }

    /// Ends the stream with an error, and nothing comes after it.
    pub fn fail(&mut self, problem: &Problem) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        self.writer.fail(&mut self.out, problem);
    }

    /// What is sent while there is nothing to send.
    pub fn ping(&mut self) -> Bytes {
        let mut ping = Vec::with_capacity(32);
        self.writer.ping(&mut ping);
        ping.into()
    }

    fn begin_choice(&mut self, index: usize) {
        if let Some(choice) = self.choices.get_mut(index)
            && !std::mem::replace(&mut choice.has_begun, true)
        {
            self.writer.open(&mut self.out, index);
        }
    }

    fn break_off(&mut self, choice: usize, fault: Fault) {
        if let Some(choice) = self.choices.get_mut(choice) {
            choice.fault = choice.fault.or(Some(fault));
        }
    }

    fn finish(&mut self, choice: usize, finish: Finish) {
        self.writer.close(&mut self.out, choice, finish.reason);
        if let Some(choice) = self.choices.get_mut(choice) {
            choice.finish = Some(finish);
        }
        if !self.holds_end {
            self.end();
        }
    }
}

impl<W: FrameWriter> AnswerSink for StreamedAnswer<W> {
    fn event(&mut self, choice: usize, event: Event<'_>) {
        if self.has_ended {
            return;
        }
        if let Some(whole) = &mut self.whole {
            whole.event(choice, event);
        }
        if !matches!(event, Event::Failed(_) | Event::Unmet(_) | Event::Mended(_)) {
            self.begin_choice(choice);
        }
        match event {
            Event::Logprobs(tokens) => self.writer.logprobs(tokens),
            Event::Text(text) => self.writer.text(&mut self.out, choice, text),
            Event::Reasoning(text) => self.writer.reasoning(&mut self.out, choice, text),
            Event::Call(call) => self.writer.call(&mut self.out, choice, call),
            Event::ReasoningBlocks(blocks) => {
                self.writer.reasoning_blocks(&mut self.out, choice, blocks);
            }
            Event::Refusal(words) => self.writer.refusal(&mut self.out, choice, words),
            Event::Mended(names) => self.writer.mended(names),
            Event::Finished(finish) => self.finish(choice, finish),
            Event::Failed(fault) => self.break_off(choice, fault),
            Event::Unmet(unmet) => self.break_off(choice, unmet.fault),
        }
    }
}
