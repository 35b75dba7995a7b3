//! How likely an answer's tokens were, and of which of them what is delivered is made.
//!
//! Upstreams tell tokens beside the text, which need not keep step with it; and not all of the text
//! is delivered: it may end before a stop sequence, or lose a block of reasoning. A token counts where
//! it was delivered whole. Nothing is claimed of a text that is not what the tokens spell.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::event::{Event, Sink};
use crate::wire::openrouter::answer::{Logprobs, TokenLogprob as Told, TopLogprob};
use crate::wire::text::Text;

/// A token, how likely it was, and what was likely in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    pub token: LikelyToken,
    pub top: Vec<LikelyToken>,
}

/// A token, and the logarithm of its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct LikelyToken {
    pub text: String,
    pub logprob: f64,
    /// In UTF-8. Some tokens are a part of a character, which their text cannot show.
    pub bytes: Vec<u8>,
}

/// A stretch of a model's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    Token(TokenLogprob),
    /// Text whose tokens are not told.
    Untold(String),
}

impl Span {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Token(token) => &token.token.bytes,
            Self::Untold(text) => text.as_bytes(),
        }
    }
}

/// Finds out of which tokens a model's text is made. Its spans spell the text, from its beginning.
#[derive(Debug)]
pub struct Cover {
    /// How many of the likeliest are wanted in the place of each.
    top: usize,
    /// What may still be told, in bytes.
    room: usize,
    /// Tokens whose text has not come.
    waiting: VecDeque<TokenLogprob>,
    /// The beginning of the first one of them.
    uncovered: String,
}

impl Cover {
    /// For so many of the likeliest in the place of each token, told in at most so many bytes.
    pub fn new(top: u8, room: usize) -> Self {
        Self {
            top: top.into(),
            room,
            waiting: VecDeque::new(),
            uncovered: String::new(),
        }
    }

    /// Takes the next text, with what is told of its tokens, and gives the spans that it completes.
    pub fn add(&mut self, text: &str, told: Option<&RawValue>, out: &mut Vec<Span>) {
        let tokens = told.map_or_else(Vec::new, |raw| self.read(raw));
        let is_alone = self.waiting.is_empty() && self.uncovered.is_empty();
        if is_alone && tokens.is_empty() {
            if !text.is_empty() {
                out.push(Span::Untold(text.to_owned()));
            }
            return;
        }
        let own = spelling(text, &tokens).map(|from| tokens.iter().skip(from).cloned());
        let own: Option<Vec<_>> = own.map(Iterator::collect);
        self.uncovered.push_str(text);
        self.waiting.extend(tokens);
        if self.join(out) {
            return;
        }
        self.waiting.clear();
        let lost = std::mem::take(&mut self.uncovered);
        let before = lost
            .len()
            .saturating_sub(own.as_ref().map_or(0, |_| text.len()));
        if let Some(before) = lost.get(..before).filter(|before| !before.is_empty()) {
            out.push(Span::Untold(before.to_owned()));
        }
        out.extend(own.into_iter().flatten().map(Span::Token));
    }

    /// Joins tokens and text as far as they go; whether they fit.
    fn join(&mut self, out: &mut Vec<Span>) -> bool {
        let mut rest = self.uncovered.as_bytes();
        let mut joined = Vec::new();
        while let Some(token) = self.waiting.front() {
            let bytes = &token.token.bytes;
            match rest.strip_prefix(bytes.as_slice()) {
                Some(after) => rest = after,
                None if bytes.starts_with(rest) => break,
                None => return false,
            }
            joined.extend(self.waiting.pop_front().map(Span::Token));
        }
        if self.waiting.is_empty() && !rest.is_empty() {
            return false;
        }
        // The rest may begin within a character. What is left of it is the beginning of a token.
        let done = self.uncovered.len().saturating_sub(rest.len());
        match self.uncovered.is_char_boundary(done) {
            true => drop(self.uncovered.drain(..done)),
            false => return false,
        }
        out.extend(joined);
        true
    }

    fn read(&mut self, raw: &RawValue) -> Vec<TokenLogprob> {
        let Some(room) = self.room.checked_sub(raw.get().len()) else {
            return Vec::new();
        };
        self.room = room;
        let told: Option<Logprobs<'_>> = serde_json::from_str(raw.get()).ok();
        let tokens = told.and_then(|told| told.content).unwrap_or_default();
        let tokens = tokens.into_iter().map(|told| self.token(told));
        // A token without letters, such as the one that ends a text, is no part of it.
        tokens
            .filter(|token| !token.token.bytes.is_empty())
            .collect()
    }

    fn token(&self, told: Told<'_>) -> TokenLogprob {
        let top = told.top_logprobs.unwrap_or_default().into_iter();
        let top = top.take(self.top).map(
            |TopLogprob {
                 token,
                 logprob,
                 bytes,
             }| likely(token, logprob, bytes),
        );
        TokenLogprob {
            top: top.collect(),
            token: likely(told.token, told.logprob, told.bytes),
        }
    }
}

fn likely(Text(token): Text<'_>, logprob: f64, bytes: Option<Vec<u8>>) -> LikelyToken {
    LikelyToken {
        bytes: bytes.unwrap_or_else(|| token.as_bytes().to_vec()),
        text: token.into_owned(),
        logprob,
    }
}

/// From which one on the tokens spell a text, if they do: those before it belong to what is no text.
fn spelling(text: &str, tokens: &[TokenLogprob]) -> Option<usize> {
    let mut rest = text.as_bytes();
    let mut from = tokens.len();
    for token in tokens.iter().rev() {
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_suffix(token.token.bytes.as_slice())?;
        from = from.saturating_sub(1);
    }
    (rest.is_empty() && !text.is_empty()).then_some(from)
}

/// The tokens of a model's text that have not been delivered.
#[derive(Debug, Default)]
pub struct Claims {
    spans: VecDeque<Span>,
    /// How many bytes of the first one have been delivered.
    within: usize,
    /// How many bytes lie behind the delivery.
    behind: usize,
    has_begun: bool,
    /// Whether what is delivered is not what the tokens spell.
    is_lost: bool,
}

impl Claims {
    /// Takes what the next text is made of.
    pub fn expect(&mut self, spans: &mut Vec<Span>) {
        if !self.is_lost {
            self.spans.extend(spans.drain(..));
        }
    }

    /// What comes before this many bytes of the model's text is not delivered.
    pub fn skip_to(&mut self, bytes: usize) {
        while let Some(span) = self.spans.front() {
            let end = self.behind.saturating_add(span.bytes().len());
            if end > bytes {
                break;
            }
            self.behind = end;
            self.within = 0;
            self.spans.pop_front();
        }
    }

    /// The tokens that are complete with a text, which is delivered now.
    pub fn claim(&mut self, text: &str) -> Vec<TokenLogprob> {
        let mut claimed = Vec::new();
        let mut text = text.as_bytes();
        while !text.is_empty() && !self.is_lost {
            let Some(span) = self.spans.front() else {
                self.is_lost = true;
                break;
            };
            let bytes = span.bytes();
            let rest = bytes.get(self.within..).unwrap_or_default();
            let length = rest.len().min(text.len());
            match (text.split_at_checked(length), rest.get(..length)) {
                (Some((said, after)), Some(spelt)) if said == spelt => {
                    text = after;
                    self.has_begun = true;
                    self.within = self.within.saturating_add(length);
                    if self.within == bytes.len() {
                        self.pass(&mut claimed);
                    }
                }
                _ => text = self.resume(text),
            }
        }
        if self.is_lost {
            self.spans.clear();
        }
        claimed
    }

    /// Leaves the first span behind.
    fn pass(&mut self, claimed: &mut Vec<TokenLogprob>) {
        self.behind = self.behind.saturating_add(self.within);
        self.within = 0;
        if let Some(Span::Token(token)) = self.spans.pop_front() {
            claimed.push(token);
        }
    }

    /// A text and its tokens differ: white space may have been left out, and an answer that follows
    /// another begins on a line of its own.
    fn resume<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        let is_blank = |span: &Span| span.bytes().trim_ascii().is_empty();
        match (self.spans.front(), text.split_first()) {
            (Some(first), _) if self.within == 0 && is_blank(first) => {
                self.skip_to(self.behind.saturating_add(first.bytes().len()));
                text
            }
            (_, Some((b'\n', after))) if !self.has_begun => after,
            _ => {
                self.is_lost = true;
                text
            }
        }
    }
}

/// Passes events on, and before each text the tokens that are complete with it.
pub struct Claiming<'c> {
    claims: &'c mut Option<Claims>,
    sink: &'c mut dyn Sink,
}

impl<'c> Claiming<'c> {
    /// Where nobody wants to know of tokens there are no `claims`.
    pub fn over(claims: &'c mut Option<Claims>, sink: &'c mut dyn Sink) -> Self {
        Self { claims, sink }
    }
}

impl Sink for Claiming<'_> {
    fn event(&mut self, event: Event<'_>) {
        if let (Some(claims), Event::Text(text)) = (&mut self.claims, event) {
            let claimed = claims.claim(text);
            if !claimed.is_empty() {
                self.sink.event(Event::Logprobs(&claimed));
            }
        }
        self.sink.event(event);
    }
}
