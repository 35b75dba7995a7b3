//! Finds tool calls in an answer as it comes.
//!
//! Text goes out as it arrives. Held back is only what could be the beginning of a call: from a
//! line that begins with the form the model was shown, or with one of the forms into which models
//! drift, for as long as it still could be one. The form with the conversation's key is a call
//! where it stands. Every other form is one only if it is all that is left of the message, names a
//! tool that was offered, and does not stand inside a fence with other text: a quoted example is
//! text, and so is a call that a tool's result or a user forged.

use std::ops::ControlFlow;

use super::envelope::{self, RawCall};
use crate::translate::key::Key;

/// Watches for calls to the tools with these names.
#[derive(Debug)]
pub struct CallScanner {
    opener: String,
    names: Vec<String>,
    is_lenient: bool,
    /// From where the next character could begin a call.
    held: String,
    state: State,
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
    /// Inside the block with the key; its calls so far have been given out.
    Block,
    /// The block has closed, or it never will.
    Done,
}

/// What a scanner found in one piece.
#[derive(Debug, Default)]
pub struct Scanned {
    pub text: String,
    pub calls: Vec<RawCall>,
    /// The block ended in something that is no call; what it was, for the model to mend.
    pub broken: Option<String>,
}

/// The most white space that is held back because a call may follow it, in bytes.
const MOST_BLANK: usize = 4096;
/// The most that is held back for a call, in bytes.
const MOST_HELD: usize = 1024 * 1024;

impl CallScanner {
    /// A scanner for the block with this key, and for other forms if `is_lenient`.
    pub fn new(key: &Key, names: Vec<String>, is_lenient: bool) -> Self {
        Self {
            opener: format!("<tool_calls k=\"{key}\">"),
            names,
            is_lenient,
            held: String::new(),
            state: State::Text,
            fence: None,
            is_mid_line: false,
            has_text: false,
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str, out: &mut Scanned) {
        if self.state == State::Done {
            return;
        }
        self.held.push_str(piece);
        while self.step(out).is_continue() {}
        if self.held.len() > MOST_HELD {
            out.broken = Some("The block of tool calls is too long.".to_owned());
            self.state = State::Done;
        }
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut Scanned) {
        match self.state {
            State::Done => {}
            State::Block => self.finish_block(out),
            State::Text | State::Candidate => match self.other_form() {
                Some(calls) => out.calls.extend(calls),
                None => self.release(self.held.len(), out),
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
            State::Candidate if self.could_be_other_form() => ControlFlow::Break(()),
            State::Candidate => {
                self.state = State::Text;
                self.release_line(out)
            }
            State::Text if self.held.is_empty() => ControlFlow::Break(()),
            State::Text if self.is_mid_line || self.fence.is_some() => self.release_line(out),
            State::Text => self.step_at_line_start(out),
        }
    }

    fn step_at_line_start(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        // Blank lines wait for what follows them: before a call they are no text.
        let line = self.held.trim_start();
        if line.is_empty() && self.held.len() > MOST_BLANK {
            return self.release_line(out);
        }
        if line.starts_with(&self.opener) {
            let inside = line.get(self.opener.len()..).unwrap_or_default().to_owned();
            self.held = inside;
            self.state = State::Block;
            return ControlFlow::Continue(());
        }
        if line.is_empty() || self.opener.starts_with(line) {
            return ControlFlow::Break(());
        }
        if self.is_lenient && self.could_be_other_form() {
            self.state = State::Candidate;
            return ControlFlow::Break(());
        }
        self.release_line(out)
    }

    fn step_in_block(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        match envelope::next_in_block(&self.held) {
            envelope::Next::Unfinished => return ControlFlow::Break(()),
            envelope::Next::Call { json, length } => {
                match envelope::parse_call(json) {
                    Some(call) => out.calls.push(call),
                    None => {
                        out.broken =
                            Some("A tool call was not a JSON object with a name.".to_owned())
                    }
                }
                self.held.drain(..length);
            }
            envelope::Next::End => {
                self.state = State::Done;
                self.held.clear();
            }
            envelope::Next::Other => {
                out.broken = Some("The block held something that is not a <tool_call>.".to_owned());
                self.state = State::Done;
            }
        }
        match out.broken {
            Some(_) => {
                self.state = State::Done;
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// The message ended inside the block: its last call may lack no more than its closing tags.
    fn finish_block(&mut self, out: &mut Scanned) {
        if self.held.trim().is_empty() {
            return;
        }
        match envelope::last_in_block(&self.held).and_then(envelope::parse_call) {
            Some(call) => out.calls.push(call),
            None => {
                out.broken = Some("The block of tool calls was cut off before its end.".to_owned())
            }
        }
    }

    fn could_be_other_form(&self) -> bool {
        self.held.len() <= MOST_HELD && envelope::could_be_calls(&self.held, &self.names)
    }

    /// What is held, as calls in another form, if it is nothing else.
    fn other_form(&self) -> Option<Vec<RawCall>> {
        let is_possible = self.is_lenient && self.state == State::Candidate;
        is_possible
            .then(|| envelope::parse_calls(&self.held, &self.names))
            .flatten()
    }

    /// Lets a line go, or what there is of it.
    fn release_line(&mut self, out: &mut Scanned) -> ControlFlow<()> {
        let end = self.held.find('\n').and_then(|at| at.checked_add(1));
        // A fence shows itself by its whole line; until that is there, it could still become one.
        if end.is_none() && !self.is_mid_line && could_be_fence(&self.held) {
            return ControlFlow::Break(());
        }
        if !self.is_mid_line {
            self.watch_fence();
        }
        self.release(end.unwrap_or(self.held.len()), out);
        self.is_mid_line = end.is_none();
        ControlFlow::Continue(())
    }

    fn watch_fence(&mut self) {
        let line = self.held.lines().next().unwrap_or_default().trim();
        let marks: String = line
            .chars()
            .take_while(|letter| matches!(letter, '`' | '~'))
            .collect();
        match &self.fence {
            Some(open) if line.len() == marks.len() && marks.starts_with(open.as_str()) => {
                self.fence = None
            }
            None if marks.len() >= 3 => self.fence = Some(marks),
            _ => {}
        }
    }

    fn release(&mut self, length: usize, out: &mut Scanned) {
        let rest = self.held.split_off(length);
        self.has_text |= !self.held.trim().is_empty();
        out.text.push_str(&self.held);
        self.held = rest;
    }
}

fn could_be_fence(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty()
        && (line.chars().all(|letter| letter == '`') || line.chars().all(|letter| letter == '~'))
}
