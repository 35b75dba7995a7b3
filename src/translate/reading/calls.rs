//! Finds tool calls in an answer as it comes.
//!
//! | Form | Where it counts |
//! |---|---|
//! | the block with the conversation's key | at the beginning of a line outside of fences, or behind text if a call follows |
//! | tokens of a family of models | anywhere outside of fences, if nothing but calls follows |
//! | JSON, elements, `Action:` | at the beginning of a line, if nothing but calls follows |
//! | the same in a fence, after text | the same, if the arguments fit |
//! | functions, as in a program | as the whole message, if the arguments fit |
//!
//! Every form but the first has to name a tool that was offered, and none counts of which the like
//! stands in what was said before: see [`quoted`](crate::translate::quoted). Text goes out as it
//! arrives; what could be the beginning of a call is held back for as long as it could be one.

mod release;

use std::ops::ControlFlow;

use super::block::{ItemScan, Next};
use super::envelope::{self, RawArguments, RawCall};
use super::fence::FenceWatch;
use super::fitting;
use super::leniency;
use super::marks::could_be_mark_in_line;
use super::markup::window;
use super::opening::Opening;
use super::parse::parse_calls;
use crate::translate::contract::ToolContract;
use crate::translate::json::Fix;
use crate::translate::tools::Dialect;

/// Watches for calls to the tools with these names.
#[derive(Debug)]
pub struct CallScanner {
    opener: String,
    names: Vec<String>,
    contract: ToolContract,
    is_lenient: bool,
    /// Whether the list of calls alone was asked for, which has no key.
    is_list: bool,
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
    /// The calls in blocks so far, and how many of them stand in blocks that have closed.
    said: Vec<(String, RawArguments)>,
    said_before: usize,
    /// Where the last block ended, in what is held.
    after_block: usize,
    blocks: usize,
    fence: FenceWatch,
    is_mid_line: bool,
    /// Whether a call may begin here although it is in the midst of a line.
    is_at_mark: bool,
    has_text: bool,
    /// Whether no call of the current block has been found yet.
    item_is_first: bool,
    /// Texts that began as calls do and were none.
    tries: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Text goes through.
    Text,
    /// What is held may turn out to be a call in another form.
    Candidate,
    /// What is held begins as calls do; only its end will tell.
    LikelyCall,
    /// Inside a block with the key; its calls so far have been given out.
    Block,
    /// Behind a block, where another one may follow.
    AfterBlock,
    /// The last block has closed, or it never will.
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
const MAX_BLANK: usize = 4096;
/// The most that is held back for a call, in bytes.
const MAX_HELD: usize = 1024 * 1024;
/// The most calls in one block.
const MAX_CALLS: usize = 128;
/// The most that may stand between two blocks, in bytes.
const MAX_BETWEEN: usize = 512;
/// Texts that begin as calls do and are none, before no more are looked for.
const MAX_TRIES: usize = 16;
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
            is_lenient: contract.is_lenient || contract.is_arguments_only,
            is_list,
            contract: contract.clone(),
            held: String::new(),
            from: 0,
            before: 0,
            blank: 0,
            state: State::Text,
            item: ItemScan::default(),
            found: 0,
            said: Vec::new(),
            said_before: 0,
            after_block: 0,
            blocks: 0,
            fence: FenceWatch::default(),
            is_mid_line: false,
            is_at_mark: false,
            has_text: false,
            item_is_first: true,
            tries: 0,
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
        if self.state == State::Block && self.rest().len() > MAX_HELD {
            self.give_up_long(out);
        }
        self.before = self.read();
        self.held.drain(..self.from);
        self.after_block = self.after_block.saturating_sub(self.from);
        self.from = 0;
    }

    /// How much of the answer has gone out or is certain to be no text. Once the last block is over,
    /// the number does not depend on what came after it.
    pub fn read(&self) -> usize {
        self.before.saturating_add(self.from)
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut Scanned) {
        while !self.finish_state(out) {
            while self.step(out).is_continue() {}
        }
        self.state = State::Done;
    }

    /// Ends what the text ends in; whether that was the last of it.
    fn finish_state(&mut self, out: &mut Scanned) -> bool {
        match self.state {
            State::Done | State::AfterBlock => {}
            State::Block => self.finish_block(out),
            State::Candidate | State::LikelyCall => {
                if let Some(calls) = self.other_form() {
                    let end = self.before.saturating_add(self.held.len());
                    out.calls.extend(calls.into_iter().map(|call| (call, end)));
                    return true;
                }
                return self.pass_over(out);
            }
            State::Text => self.release(self.rest().len(), out),
        }
        true
    }

    /// What began as a call does was none; whether nothing is left behind its first line.
    fn pass_over(&mut self, out: &mut Scanned) -> bool {
        self.tries = self.tries.saturating_add(1);
        self.is_lenient &= self.tries < MAX_TRIES;
        self.state = State::Text;
        self.is_at_mark = false;
        self.release_blank_lines(out);
        if self.release_line(true, out).is_break() {
            self.release(self.rest().len(), out);
        }
        self.rest().is_empty()
    }

    /// Whether the block has closed, so that whatever follows is not wanted.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether a block has closed, after which nothing counts but another one.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::AfterBlock | State::Done)
    }

    fn step(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        match self.state {
            State::Done => ControlFlow::Break(()),
            State::Block => self.step_in_block(out),
            State::AfterBlock => self.step_after_block(),
            State::LikelyCall if self.rest().len() <= MAX_HELD => ControlFlow::Break(()),
            State::LikelyCall => {
                self.state = State::Text;
                self.release_line(true, out)
            }
            State::Text if self.rest().is_empty() => ControlFlow::Break(()),
            State::Text if self.fence.is_open() => self.release_line(true, out),
            State::Text if self.is_mid_line && !self.is_at_mark => self.release_line(false, out),
            State::Text | State::Candidate => self.step_at_start(out),
        }
    }

    /// At the beginning of a line, or of a mark within one.
    fn step_at_start(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        // Blank lines wait for what follows them: before a call they are no text.
        let rest = self.rest();
        let line = rest.get(self.blank..).unwrap_or_default().trim_start();
        let blank = rest.len().saturating_sub(line.len());
        if blank > MAX_BLANK {
            self.blank = blank;
            return self.release_line(true, out);
        }
        let is_call = match self.opens_block(line) {
            Opening::Settled => {
                let inside = line.len().saturating_sub(self.opener.len());
                self.from = self.held.len().saturating_sub(inside);
                self.state = State::Block;
                self.blocks = self.blocks.saturating_add(1);
                return ControlFlow::Continue(());
            }
            opening => opening,
        };
        let is_looked_at = self.is_lenient && !line.is_empty() && rest.len() <= MAX_HELD;
        let opening = match is_looked_at && (!self.is_mid_line || could_be_mark_in_line(line)) {
            true => Opening::of(line, &self.names),
            false => Opening::No,
        };
        self.blank = blank;
        match opening {
            _ if is_call == Opening::Open => return ControlFlow::Break(()),
            Opening::Settled => self.state = State::LikelyCall,
            Opening::Open => self.state = State::Candidate,
            Opening::No => {
                self.state = State::Text;
                self.is_at_mark = false;
                self.release_blank_lines(out);
                return self.release_line(true, out);
            }
        }
        ControlFlow::Break(())
    }

    /// Whether a text begins with the block. In the midst of a line it does so only if a call
    /// follows: the form may be spoken of.
    fn opens_block(&self, text: &str) -> Opening {
        let Some(inside) = text.strip_prefix(&self.opener) else {
            return match self.opener.starts_with(text) {
                true => Opening::Open,
                false => Opening::No,
            };
        };
        let inside = inside.trim_start();
        match self.is_mid_line {
            true if inside.is_empty() => Opening::Open,
            true if !inside.starts_with(['{', '[', '<']) => Opening::No,
            _ => Opening::Settled,
        }
    }

    /// Behind a block: white space, or a sentence, before the next one; anything else is not wanted.
    fn step_after_block(&mut self) -> ControlFlow<()> {
        let rest = self.held.get(self.after_block..).unwrap_or_default();
        let line = rest.trim_start();
        let at = self.held.len().saturating_sub(line.len());
        if at.saturating_sub(self.from) > MAX_BETWEEN {
            self.state = State::Done;
            return ControlFlow::Break(());
        }
        if line.starts_with(&self.opener) {
            self.from = at.saturating_add(self.opener.len());
            self.state = State::Block;
            self.blocks = self.blocks.saturating_add(1);
            return ControlFlow::Continue(());
        }
        if self.opener.starts_with(line) {
            return ControlFlow::Break(());
        }
        match line.find('\n') {
            Some(end) if self.after_block == self.from => {
                self.after_block = at.saturating_add(end).saturating_add(1);
                ControlFlow::Continue(())
            }
            None if self.after_block == self.from && line.len() <= MAX_BETWEEN => {
                ControlFlow::Break(())
            }
            _ => {
                self.state = State::Done;
                ControlFlow::Break(())
            }
        }
    }

    fn step_in_block(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        let rest = self.held.get(self.from..).unwrap_or_default();
        match self.item.next(rest) {
            Next::Unfinished => return ControlFlow::Break(()),
            Next::Calls(_, length) | Next::End(length) | Next::Other(length)
                if length > MAX_HELD =>
            {
                self.give_up_long(out);
            }
            Next::Calls(Some(calls), length)
                if self.found.saturating_add(calls.len()) > MAX_CALLS =>
            {
                self.give_up(TOO_MANY, length, out);
            }
            Next::Calls(Some(calls), length) if !calls.is_empty() => {
                self.advance(length);
                self.found = self.found.saturating_add(calls.len());
                let is_further = self.blocks > 1 && self.item_is_first;
                let label = is_further.then_some(leniency::BLOCKS);
                for mut call in calls {
                    let said = (call.name.clone(), call.arguments.clone());
                    let mut earlier = self.said.iter().take(self.said_before);
                    // A model that writes its block again repeats itself.
                    if earlier.any(|call| *call == said) {
                        continue;
                    }
                    self.said.push(said);
                    call.mended.extend(label);
                    out.calls.push((call, self.read()));
                }
                self.item_is_first = false;
                self.item = ItemScan::default();
                return ControlFlow::Continue(());
            }
            Next::End(length) if self.found == 0 => self.give_up(EMPTY, length, out),
            Next::End(length) => {
                self.advance(length);
                self.state = State::AfterBlock;
                self.after_block = self.from;
                self.said_before = self.said.len();
                self.item = ItemScan::default();
                self.item_is_first = true;
                return ControlFlow::Continue(());
            }
            Next::Calls(_, length) => self.give_up(NO_JSON, length, out),
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
        let length = window(self.rest(), MAX_HELD).len();
        self.give_up(TOO_LONG, length, out);
    }

    fn advance(&mut self, length: usize) {
        self.from = self.from.saturating_add(length);
    }

    /// The message ended inside the block: its last call may lack no more than its closing tags.
    fn finish_block(&mut self, out: &mut Scanned) {
        let item = std::mem::take(&mut self.item);
        match item.last(self.rest()) {
            Some(calls) if self.found == 0 && calls.is_empty() => {
                self.give_up(EMPTY, self.rest().len(), out);
            }
            Some(calls) => {
                let end = self.before.saturating_add(self.held.len());
                out.is_unclosed = true;
                out.calls.extend(calls.into_iter().map(|call| (call, end)));
            }
            None => self.give_up(CUT_OFF, self.rest().len(), out),
        }
    }

    /// What is held, as calls in another form, if it is nothing else.
    fn other_form(&self) -> Option<Vec<RawCall>> {
        let rest = self.rest().trim_start();
        let is_fenced = rest.starts_with(envelope::FENCES);
        let is_list = envelope::is_call_list(rest);
        let mut calls = parse_calls(rest, &self.names)?;
        let is_after_text = is_fenced && self.has_text && !rest.contains(&self.opener);
        let is_asked = self.is_list && is_list && !self.has_text;
        for call in &mut calls {
            fitting::name_tool(call, &self.contract.tools);
            if !self.contract.is_arguments_only
                && fitting::is_quoted(call, &self.contract, is_asked)
            {
                return None;
            }
            if is_after_text {
                call.mended.push(leniency::FENCE);
            }
            let could_be_program = call.is_weak && call.mended.contains(&leniency::FUNCTION);
            let has_to_fit = call.is_weak || is_after_text;
            if (could_be_program && self.has_text)
                || (has_to_fit && !fitting::fits(call, &self.contract.tools))
            {
                return None;
            }
        }
        if let Some(call) = calls.first_mut().filter(|_| self.is_list) {
            let is_json = call.form == envelope::Form::Json;
            call.mended.extend(match () {
                () if is_fenced && !is_after_text => Some(Fix::Fence.label()),
                () if rest.starts_with('<') && is_json => Some(leniency::MARKUP),
                () if !is_list && is_json => Some(leniency::OTHER_MEMBER),
                () => None,
            });
        }
        Some(calls)
    }

    fn rest(&self) -> &str {
        self.held.get(self.from..).unwrap_or_default()
    }
}
