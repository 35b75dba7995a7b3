//! Counts an answer's tokens and tells whether `max_tokens` cut it.

use super::chunks::Reported;
use super::event::{FinishReason, Texts, Usage};
use crate::translate::plan::Reading;
use crate::translate::usage::TokenEstimate;

/// Watches a model's text go by.
#[derive(Debug)]
pub struct Meter {
    prompt_tokens: u64,
    /// What earlier attempts have cost.
    before: Usage,
    max_tokens: Option<u64>,
    reasoning: TokenEstimate,
    text: TokenEstimate,
    /// Text of which it is not certain yet that it belongs to the answer, and how much came before.
    waiting: String,
    before_waiting: usize,
    ends_finished: bool,
    /// For those who count exactly.
    kept: Option<Texts>,
    /// What the upstream says, which is exact.
    reported: Option<Reported>,
}

impl Meter {
    pub fn new(reading: &Reading) -> Self {
        Self {
            prompt_tokens: reading.prompt_tokens,
            before: Usage::default(),
            max_tokens: reading.max_tokens,
            reasoning: TokenEstimate::default(),
            text: TokenEstimate::default(),
            waiting: String::new(),
            before_waiting: 0,
            ends_finished: true,
            kept: None,
            reported: None,
        }
    }

    /// Adds what an earlier attempt has cost.
    pub fn count_on(&mut self, before: &Self) {
        self.before = before.usage();
    }

    /// Keeps all texts from now on.
    pub fn keep_texts(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// The texts that were kept.
    pub fn take_texts(&mut self) -> Texts {
        self.kept.take().unwrap_or_default()
    }

    pub fn add_reasoning(&mut self, piece: &str) {
        self.reasoning.push(piece);
        if let Some(kept) = &mut self.kept {
            kept.reasoning.push_str(piece);
        }
    }

    /// Takes text that is passed on. What a model writes after a stop sequence is not counted: how
    /// much of it arrives before the call is dropped is chance.
    pub fn add_text(&mut self, piece: &str) {
        self.text.push(piece);
        if let Some(kept) = &mut self.kept {
            kept.text.push_str(piece);
        }
        if let Some(last) = piece.trim_end().chars().next_back() {
            self.ends_finished = is_an_ending(last);
        }
    }

    /// Takes text that is counted once it is certain that it belongs to the answer.
    pub fn expect_text(&mut self, piece: &str) {
        self.waiting.push_str(piece);
    }

    /// Counts what has been waiting, up to this place in all that has ever waited.
    pub fn count_until(&mut self, place: usize) {
        let length = place.saturating_sub(self.before_waiting);
        let mut waiting = std::mem::take(&mut self.waiting);
        if let Some(text) = waiting.get(..length) {
            self.add_text(text);
            self.before_waiting = self.before_waiting.saturating_add(length);
            waiting.drain(..length);
        }
        self.waiting = waiting;
    }

    /// Counts all that has been waiting.
    pub fn count_waiting(&mut self) {
        self.count_until(self.before_waiting.saturating_add(self.waiting.len()));
    }

    /// What came does not end as finished texts do, whatever its last character.
    pub fn add_unfinished(&mut self) {
        self.ends_finished = false;
    }

    /// Takes what the upstream reports, if it does.
    pub fn report(&mut self, reported: Option<Reported>) {
        self.reported = reported;
    }

    /// Tokens so far: as they are reported, or else estimated.
    pub fn usage(&self) -> Usage {
        let reasoning = self.reasoning.tokens();
        let own = Usage {
            prompt: self.prompt_tokens,
            completion: reasoning.saturating_add(self.text.tokens()),
            reasoning,
        };
        let own = self.reported.map_or(own, |reported| Usage {
            prompt: reported.prompt,
            completion: reported.completion,
            reasoning: reported.reasoning,
        });
        Usage {
            prompt: self.before.prompt.saturating_add(own.prompt),
            completion: self.before.completion.saturating_add(own.completion),
            reasoning: self.before.reasoning.saturating_add(own.reasoning),
        }
    }

    /// Why an answer that ran to its end has ended.
    ///
    /// fal does not tell, so it is concluded: an answer whose estimated length reaches `max_tokens`
    /// was cut. Within a fifth below the limit and a sixth above it the estimate alone cannot
    /// tell, and there an answer that ends as finished texts do counts as finished.
    pub fn finish_reason(&self) -> FinishReason {
        let Some(limit) = self.max_tokens else {
            return FinishReason::Stop;
        };
        let tokens = self.reasoning.tokens().saturating_add(self.text.tokens());
        let is_surely_cut = tokens.saturating_mul(6) >= limit.saturating_mul(7);
        let is_possibly_cut = tokens.saturating_mul(5) >= limit.saturating_mul(4);
        match is_surely_cut || (is_possibly_cut && !self.ends_finished) {
            true => FinishReason::Length,
            false => FinishReason::Stop,
        }
    }
}

/// Characters that finished texts end in: full stops of several scripts, closing marks and fences.
fn is_an_ending(letter: char) -> bool {
    matches!(
        letter,
        '.' | '!'
            | '?'
            | '…'
            | '。'
            | '！'
            | '？'
            | '।'
            | '؟'
            | ')'
            | ']'
            | '}'
            | '"'
            | '”'
            | '»'
            | '`'
            | '>'
            | ':'
            | ';'
    )
}
