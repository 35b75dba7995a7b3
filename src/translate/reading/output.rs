//! When the text and the calls of an attempt go out.
//!
//! Text goes out as it comes. It waits for the verdict on the attempt where waiting costs nothing,
//! in an answer that is delivered whole, and where an earlier attempt has given out text: what
//! follows that is only known at the end. Another text follows on a line of its own; with calls, one
//! explanation of them is enough.

use super::event::{Event, Sink};
use super::shape::Shaped;
use super::verdict::BestEffort;
use crate::translate::plan::Recipe;

/// Passes on what an attempt has come to.
#[derive(Debug, Default)]
pub struct OutputBuffer {
    waits: bool,
    waiting: Shaped,
    /// What all attempts together have said ends with this.
    last: Option<char>,
    /// What earlier attempts have said ends with this.
    last_before: Option<char>,
}

impl OutputBuffer {
    pub fn new(reading: &Recipe) -> Self {
        Self {
            waits: reading.is_whole,
            ..Self::default()
        }
    }

    /// Goes on after an earlier attempt.
    pub fn follow(&mut self, before: &Self) {
        self.last = before.last;
        self.last_before = before.last;
        self.waits |= before.last.is_some();
    }

    /// Takes what is ready, and gives it out or keeps it.
    pub fn deliver(&mut self, shaped: &mut Shaped, sink: &mut dyn Sink) {
        if self.waits {
            self.waiting.text.push_str(&shaped.text);
            self.waiting.calls.append(&mut shaped.calls);
            shaped.text.clear();
            return;
        }
        self.last = shaped.text.chars().next_back().or(self.last);
        give_out(shaped, sink);
    }

    /// Gives out what has been kept: the attempt is what was asked for.
    pub fn release(&mut self, sink: &mut dyn Sink) {
        let kept = std::mem::take(&mut self.waiting);
        let BestEffort { text, calls, .. } = self.following(kept);
        self.last = text.chars().next_back().or(self.last);
        give_out(&mut Shaped { text, calls }, sink);
    }

    /// What to deliver should nothing better come, with what has been kept.
    pub fn complete(&mut self, instead: BestEffort) -> BestEffort {
        let mut kept = std::mem::take(&mut self.waiting);
        kept.text.push_str(&instead.text);
        kept.calls.extend(instead.calls);
        self.following(kept)
    }

    /// The same, as it follows what earlier attempts have said.
    fn following(&self, Shaped { mut text, calls }: Shaped) -> BestEffort {
        match self.last_before {
            Some(_) if !calls.is_empty() || text.trim().is_empty() => text.clear(),
            Some(last) if last != '\n' && !text.starts_with('\n') => text.insert(0, '\n'),
            Some(_) | None => {}
        }
        BestEffort {
            text,
            calls,
            ..BestEffort::default()
        }
    }
}

fn give_out(shaped: &mut Shaped, sink: &mut dyn Sink) {
    if !shaped.text.is_empty() {
        sink.event(Event::Text(&shaped.text));
    }
    shaped.text.clear();
    for call in shaped.calls.drain(..) {
        sink.event(Event::Call(&call));
    }
}
