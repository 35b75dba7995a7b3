//! Finds tool calls in an answer as it comes.
//!
//! Text goes out as it arrives. Held back is only what could be the beginning of a call: from a
//! line that begins with the form the model was shown, or with one of the forms into which models
//! drift, for as long as it still could be one. The form with the conversation's key is a call
//! where it stands. Every other form is one only if it is all that is left of the message, names a
//! tool that was offered, and stands in no fence unless that is the whole message: a quoted example
//! is text. Where a user or a tool wrote anything of the kind, no other form counts at all, or, where
//! the form that was asked for has no key, only that form as the whole message.

use std::ops::ControlFlow;

use super::block::{ItemScan, Next};
use super::envelope::{self, RawCall};
use super::markup::window;
use super::opening::Opening;
use crate::translate::contract::ToolContract;
use crate::translate::json::Fix;
use crate::translate::tools::Dialect;

/// Watches for calls to the tools with these names.
#[derive(Debug)]
pub struct CallScanner {
    opener: String,
    names: Vec<String>,
    is_lenient: bool,
    /// Whether the list of calls alone was asked for, which has no key.
    is_list: bool,
    /// Whether a call in another form has to be all of the message, text before it included.
    is_alone: bool,
    /// What has come, up to a little of what has gone out already.
    held: String,
    /// From where the next character could begin a call.
    from: usize,
    /// So much of the answer came before what is held.
    before: usize,
    /// So much of what is held is known to be white space.
    blank: usize,
    state: State,
    item: ItemScan,
    found: usize,
    fence: Option<String>,
    is_mid_line: bool,
    has_text: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Text goes through.
    Text,
    /// What is held may turn out to be a call in another form.
    Candidate,
    /// What is held begins as calls do; only its end will tell.
    LikelyCall,
    /// Inside the block with the key; its calls so far have been given out.
    Block,
    /// The block has closed, or it never will.
    Done,
}

/// What a scanner found in one piece.
#[derive(Debug, Default)]
pub struct Scanned {
    pub text: String,
    /// Each with how much of the answer is read once it is over.
    pub calls: Vec<(RawCall, usize)>,
    /// The block broke off after its last call, before its end.
    pub is_unclosed: bool,
    /// The block ended in something that is no call; what it was, for the model to mend.
    pub broken: Option<String>,
}

/// The most white space that is held back because a call may follow it, in bytes.
const MOST_BLANK: usize = 4096;
/// The most that is held back for a call, in bytes.
const MOST_HELD: usize = 1024 * 1024;
/// The most calls in one block.
const MOST_CALLS: usize = 128;
/// The marks of a fence, and what indents them, are shorter than this.
const MOST_FENCE: usize = 64;
const TOO_LONG: &str = "The block of tool calls is too long.";
const EMPTY: &str = "The block of tool calls was empty.";
const CUT_OFF: &str = "The block of tool calls was cut off before its end.";
const TOO_MANY: &str = "The block held too many tool calls.";
const NO_JSON: &str = "A tool call was not a JSON object with a name.";
const NO_CALL: &str = "The block held something that is not a <tool_call>.";

impl CallScanner {
    /// A scanner for the calls that a contract allows.
    pub fn new(contract: &ToolContract) -> Self {
        let names = contract.tools.iter().map(|tool| tool.name.clone());
        let is_list = contract.dialect == Dialect::Json;
        Self {
            opener: format!("<tool_calls k=\"{}\">", contract.key),
            names: names.collect(),
            // Where there is something to repeat, only the key tells a call from a repetition.
            is_lenient: contract.is_lenient && (is_list || !contract.is_quotable),
            is_list,
            is_alone: contract.is_quotable,
            held: String::new(),
            from: 0,
            before: 0,
            blank: 0,
            state: State::Text,
            item: ItemScan::default(),
            found: 0,
            fence: None,
            is_mid_line: false,
            has_text: false,
        }
    }

    /// Takes the next piece. The work is that of looking at each byte a few times, however the
    /// text is cut and however much of it is held.
    pub fn push(&mut self, piece: &str, out: &mut Scanned) {
        if self.state == State::Done {
            return;
        }
        self.held.push_str(piece);
        while self.step(out).is_continue() {}
        if self.state == State::Block && self.rest().len() > MOST_HELD {
            self.give_up_long(out);
        }
        self.before = self.read();
        self.held.drain(..self.from);
        self.from = 0;
    }

    /// How much of the answer has gone out or is certain to be no text. Once the block is over, the
    /// number does not depend on what came after it.
    pub fn read(&self) -> usize {
        self.before.saturating_add(self.from)
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut Scanned) {
        match self.state {
            State::Done => {}
            State::Block => self.finish_block(out),
            State::Text | State::Candidate | State::LikelyCall => match self.other_form() {
                Some(calls) => {
                    let end = self.before.saturating_add(self.held.len());
                    out.calls.extend(calls.into_iter().map(|call| (call, end)));
                }
                None => self.release(self.rest().len(), out),
            },
        }
        self.state = State::Done;
    }

    /// Whether the block has closed, so that whatever follows is not wanted.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether text before the calls, other than white space, has gone out.
    pub fn has_text(&self) -> bool {
        self.has_text
    }

    fn step(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        match self.state {
            State::Done => ControlFlow::Break(()),
            State::Block => self.step_in_block(out),
            State::LikelyCall if self.rest().len() <= MOST_HELD => ControlFlow::Break(()),
            State::LikelyCall => {
                self.state = State::Text;
                self.release_line(out)
            }
            State::Text if self.rest().is_empty() => ControlFlow::Break(()),
            State::Text if self.is_mid_line || self.fence.is_some() => self.release_line(out),
            State::Text | State::Candidate => self.step_at_line_start(out),
        }
    }

    fn step_at_line_start(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        // Blank lines wait for what follows them: before a call they are no text.
        let rest = self.rest();
        let line = rest.get(self.blank..).unwrap_or_default().trim_start();
        let blank = rest.len().saturating_sub(line.len());
        if blank > MOST_BLANK {
            self.blank = blank;
            return self.release_line(out);
        }
        if let Some(inside) = line.strip_prefix(&self.opener) {
            self.from = self.held.len().saturating_sub(inside.len());
            self.state = State::Block;
            return ControlFlow::Continue(());
        }
        let could_open = self.opener.starts_with(line);
        let may_follow = !self.is_alone || !self.has_text;
        let opening = match self.is_lenient && may_follow && !line.is_empty() {
            true if rest.len() <= MOST_HELD => Opening::of(line, &self.names),
            _ => Opening::No,
        };
        self.blank = blank;
        match opening {
            _ if could_open => return ControlFlow::Break(()),
            Opening::Settled => self.state = State::LikelyCall,
            Opening::Open => self.state = State::Candidate,
            Opening::No => {
                self.state = State::Text;
                self.release_blank_lines(out);
                return self.release_line(out);
            }
        }
        ControlFlow::Break(())
    }

    fn step_in_block(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        let rest = self.held.get(self.from..).unwrap_or_default();
        match self.item.next(rest) {
            Next::Unfinished => return ControlFlow::Break(()),
            Next::Call(_, length) | Next::End(length) | Next::Other(length)
                if length > MOST_HELD =>
            {
                self.give_up_long(out);
            }
            Next::Call(Some(call), length) if self.found < MOST_CALLS => {
                self.advance(length);
                out.calls.push((call, self.read()));
                self.found = self.found.saturating_add(1);
                self.item = ItemScan::default();
                return ControlFlow::Continue(());
            }
            Next::End(length) if self.found == 0 => self.give_up(EMPTY, length, out),
            Next::End(length) => {
                self.state = State::Done;
                self.advance(length);
            }
            Next::Call(Some(_), length) => self.give_up(TOO_MANY, length, out),
            Next::Call(None, length) => self.give_up(NO_JSON, length, out),
            Next::Other(length) => self.give_up(NO_CALL, length, out),
        }
        ControlFlow::Break(())
    }

    /// Ends the block, of which this much more was read.
    fn give_up(&mut self, correction: &str, length: usize, out: &mut Scanned) {
        out.broken = Some(correction.to_owned());
        self.state = State::Done;
        self.advance(length);
    }

    fn give_up_long(&mut self, out: &mut Scanned) {
        let length = window(self.rest(), MOST_HELD).len();
        self.give_up(TOO_LONG, length, out);
    }

    fn advance(&mut self, length: usize) {
        self.from = self.from.saturating_add(length);
    }

    /// The message ended inside the block: its last call may lack no more than its closing tags.
    fn finish_block(&mut self, out: &mut Scanned) {
        let item = std::mem::take(&mut self.item);
        match item.last(self.rest()) {
            Some(None) if self.found == 0 => self.give_up(EMPTY, self.rest().len(), out),
            Some(call) => {
                let end = self.before.saturating_add(self.held.len());
                out.is_unclosed = true;
                out.calls.extend(call.map(|call| (call, end)));
            }
            None => self.give_up(CUT_OFF, self.rest().len(), out),
        }
    }

    /// What is held, as calls in another form, if it is nothing else.
    fn other_form(&self) -> Option<Vec<RawCall>> {
        let rest = self.rest().trim_start();
        let is_fenced = rest.starts_with(envelope::FENCES);
        let is_list = envelope::is_call_list(rest);
        let is_possible = match self.state {
            State::Candidate | State::LikelyCall => is_list || !self.is_alone,
            State::Text | State::Block | State::Done => false,
        };
        // In a message with other text, what stands in a fence is an example.
        let is_example = is_fenced && self.has_text && !rest.contains(&self.opener);
        if !is_possible || is_example {
            return None;
        }
        let mut calls = envelope::parse_calls(rest, &self.names)?;
        if let Some(call) = calls.first_mut().filter(|_| self.is_list) {
            call.mended.extend(match () {
                () if is_fenced => Some(Fix::Fence.label()),
                () if rest.starts_with('<') && !call.is_markup => Some(envelope::MARKUP),
                () if !is_list && !call.is_markup => Some(envelope::OTHER_MEMBER),
                () => None,
            });
        }
        Some(calls)
    }

    fn rest(&self) -> &str {
        self.held.get(self.from..).unwrap_or_default()
    }

    /// Lets blank lines before another line go.
    fn release_blank_lines(&mut self, out: &mut Scanned) {
        let blank = self.rest().get(..self.blank).unwrap_or_default();
        if let Some(end) = blank.rfind('\n') {
            self.release(end.saturating_add(1), out);
        }
    }

    /// Lets a line go, or what there is of it.
    fn release_line(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        let rest = self.rest();
        if rest.is_empty() {
            return ControlFlow::Break(());
        }
        let end = rest.find('\n').map(|at| at.saturating_add(1));
        // A fence shows itself by its whole line; until that is there, it could still become one.
        if end.is_none() && !self.is_mid_line && could_be_fence(rest) {
            return ControlFlow::Break(());
        }
        let length = end.unwrap_or(rest.len());
        if !self.is_mid_line {
            self.watch_fence();
        }
        self.release(length, out);
        self.is_mid_line = end.is_none();
        ControlFlow::Continue(())
    }

    fn watch_fence(&mut self) {
        let rest = self.held.get(self.from..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let Some((marks, after)) = fence_marks(line) else {
            return;
        };
        match &self.fence {
            Some(open) if is_bare(line, after) && marks.starts_with(open.as_str()) => {
                self.fence = None;
            }
            None if marks.len() >= 3 => self.fence = Some(marks.to_owned()),
            _ => {}
        }
    }

    fn release(&mut self, length: usize, out: &mut Scanned) {
        let text = self.rest().get(..length).unwrap_or_default();
        let has_text = !text.trim().is_empty();
        out.text.push_str(text);
        self.has_text |= has_text;
        self.advance(length);
        self.blank = self.blank.saturating_sub(length);
    }
}

/// The marks of a fence that a line begins with, and what follows them.
fn fence_marks(line: &str) -> Option<(&str, &str)> {
    let start = line.trim_start();
    let mark = start
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let after = start.trim_start_matches(mark);
    let marks = start.strip_suffix(after)?;
    (line.len().saturating_sub(after.len()) <= MOST_FENCE).then_some((marks, after))
}

/// Whether a line of which more may come could turn out to open or to close a fence, or not to.
fn could_be_fence(line: &str) -> bool {
    let start = line.trim_start();
    if start.is_empty() {
        return line.len() <= MOST_FENCE;
    }
    fence_marks(line).is_some_and(|(_, after)| is_bare(line, after))
}

/// Whether a line holds nothing but the marks of a fence.
fn is_bare(line: &str, after: &str) -> bool {
    after.trim().is_empty() && line.len() <= 2 * MOST_FENCE
}
