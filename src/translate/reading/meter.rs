//! Counts an answer's tokens and tells whether `max_tokens` cut it.

use super::event::{FinishReason, Texts, Usage, UsageSource};
use super::reported::Reported;
use crate::translate::cost::Cost;
use crate::translate::plan::Recipe;
use crate::translate::usage::TokenEstimate;

/// Watches a model's text go by.
#[derive(Debug)]
pub struct Meter {
    prompt_tokens: u64,
    /// What earlier attempts have cost.
    before: Usage,
    /// What a call costs, however long its answer.
    price: Option<Cost>,
    reported: Option<Reported>,
    max_tokens: Option<u64>,
    reasoning: TokenEstimate,
    text: TokenEstimate,
    /// Text of which it is not certain yet that it belongs to the answer, and how much came before.
    waiting: String,
    before_waiting: usize,
    ends_finished: bool,
    /// For those who count exactly.
    kept: Option<Texts>,
}

impl Meter {
    pub fn new(reading: &Recipe) -> Self {
        Self {
            prompt_tokens: reading.prompt_tokens,
            before: Usage::NOTHING,
            price: reading.price,
            reported: None,
            max_tokens: reading.max_tokens,
            reasoning: TokenEstimate::default(),
            text: TokenEstimate::default(),
            waiting: String::new(),
            before_waiting: 0,
            ends_finished: true,
            kept: None,
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

    /// What the upstream has told so far of what the call came to.
    pub fn report(&mut self, reported: Option<Reported>) {
        self.reported = reported;
    }

    /// Whether the upstream tells a cost that cannot be one.
    pub fn has_unsound_cost(&self) -> bool {
        self.reported.is_some_and(|told| told.has_unsound_cost)
    }

    /// Tokens so far, with those of earlier attempts, as the upstream tells them, or else estimated.
    pub fn usage(&self) -> Usage {
        self.before.and(self.own_usage())
    }

    /// Tokens of this attempt alone.
    pub fn own_usage(&self) -> Usage {
        let told = self.reported.unwrap_or_default();
        let own = match told.tokens {
            Some(tokens) => Usage {
                prompt: tokens.prompt,
                completion: tokens.completion,
                reasoning: tokens.reasoning,
                cached: tokens.cached,
                source: UsageSource::Reported,
                cost: None,
            },
            None => {
                let reasoning = self.reasoning.tokens();
                Usage {
                    prompt: self.prompt_tokens,
                    completion: reasoning.saturating_add(self.text.tokens()),
                    reasoning,
                    ..Usage::default()
                }
            }
        };
        Usage {
            cost: told.cost.or(self.price),
            ..own
        }
    }

    /// Why an answer that ran to its end has ended.
    ///
    /// fal does not tell, so it is concluded. Where it tells how many tokens were written, these
    /// have reached `max_tokens` or not. Elsewhere an answer whose estimated length reaches `max_tokens`
    /// was cut. Within a fifth below the limit and a sixth above it the estimate alone cannot
    /// tell, and there an answer that ends as finished texts do counts as finished.
    pub fn finish_reason(&self) -> FinishReason {
        let Some(limit) = self.max_tokens else {
            return FinishReason::Stop;
        };
        let told = self.reported.and_then(|told| told.tokens);
        if let Some(tokens) = told {
            return match tokens.completion >= limit {
                true => FinishReason::Length,
                false => FinishReason::Stop,
            };
        }
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
