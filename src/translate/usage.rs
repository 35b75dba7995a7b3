//! Token counts, estimated: fal reports none.
//!
//! See [`super::tokenizer`] for counts that are exact.
//!
//! The estimate walks over the text once and needs no dictionary. It counts words by length,
//! digits by threes, punctuation by runs, and ideographs and emoji one by one, which is how
//! byte-pair encodings of today's models behave on average.

/// Tokens that chat templates add around a prompt.
const TEMPLATE_TOKENS: u64 = 7;
/// What providers charge for an image of middling size.
const IMAGE_TOKENS: u64 = 258;

/// Estimated tokens of a prompt, its instructions and its images.
pub fn prompt_tokens(prompt: &str, system_prompt: Option<&str>, images: usize) -> u64 {
    let mut estimate = TokenEstimate::default();
    estimate.push(system_prompt.unwrap_or_default());
    estimate.end_word();
    estimate.push(prompt);
    estimate.tokens() + tokens_around(images)
}

/// Tokens of a prompt that stand in no text: its images and the template around it.
pub fn tokens_around(images: usize) -> u64 {
    TEMPLATE_TOKENS + images as u64 * IMAGE_TOKENS
}

/// Estimated tokens of a text.
pub fn tokens(text: &str) -> u64 {
    let mut estimate = TokenEstimate::default();
    estimate.push(text);
    estimate.tokens()
}

/// Estimates the tokens of a text that arrives in pieces. Where the pieces are cut does not matter.
#[derive(Clone, Debug, Default)]
pub struct TokenEstimate {
    thousandths: u64,
    class: Class,
    run: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Space,
    Newline,
    Letter,
    Digit,
    Punctuation,
    OtherLetter,
    Ideograph,
    Symbol,
}

impl TokenEstimate {
    /// Adds a piece of text.
    pub fn push(&mut self, text: &str) {
        for letter in text.chars() {
            let class = Class::of(letter);
            if class != self.class {
                self.end_word();
                self.class = class;
            }
            self.run += 1;
        }
    }

    /// The estimate so far.
    pub fn tokens(&self) -> u64 {
        (self.thousandths + self.class.cost(self.run)).div_ceil(1000)
    }

    fn end_word(&mut self) {
        self.thousandths += self.class.cost(self.run);
        self.run = 0;
    }
}

impl Class {
    fn of(letter: char) -> Self {
        match letter {
            'a'..='z' | 'A'..='Z' => Self::Letter,
            '0'..='9' => Self::Digit,
            ' ' | '\t' => Self::Space,
            '\n' | '\r' => Self::Newline,
            _ if letter.is_ascii() => Self::Punctuation,
            '\u{2e80}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Self::Ideograph,
            '\u{2000}'..='\u{2e7f}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f000}'..='\u{1ffff}' => {
                Self::Symbol
            }
            _ => Self::OtherLetter,
        }
    }

    /// Thousandths of a token for a run of this class, fitted to the o200k encoding.
    fn cost(self, run: u64) -> u64 {
        match (self, run) {
            (_, 0) => 0,
            // A single blank belongs to the word after it; indentation is a token.
            (Self::Space, 1) => 0,
            (Self::Space, more) => 500 + more * 40,
            (Self::Newline, _) => 600,
            (Self::Letter, length) => 850 + length.saturating_sub(5) * 110,
            (Self::Digit, length) => length.div_ceil(3) * 1000,
            (Self::Punctuation, length) => 550 + length * 300,
            (Self::OtherLetter, length) => 700 + length * 260,
            (Self::Ideograph, length) => length * 700,
            (Self::Symbol, length) => length * 1300,
        }
    }
}
