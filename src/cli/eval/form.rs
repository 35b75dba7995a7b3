//! The forms in which a model is asked to call tools.

use std::str::FromStr;

use crate::config::Dialect;
use crate::emulator::SlipWord;

/// How a model is asked for calls, and for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It takes a prompt: what tools there are, and how to call them, is written into it.
    Written(Dialect),
    /// Its provider takes tools and schemas apart from the text, through fal's OpenAI face.
    Native,
}

impl Form {
    const NATIVE: &'static str = "native";

    /// Every form, those that are written first.
    pub(super) fn all() -> Vec<Self> {
        let written = Dialect::WORDS.iter().map(|(_, each)| Self::Written(*each));
        written.chain([Self::Native]).collect()
    }

    /// The form's name on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Written(dialect) => dialect.word(),
            Self::Native => Self::NATIVE,
        }
    }

    /// Whether a model can go wrong in this way where it is asked in this form.
    pub(super) fn has(self, slip: &SlipWord) -> bool {
        self != Self::Native || slip.is_native
    }

    /// The dialect of a form that is written.
    pub(super) fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Written(dialect) => Some(dialect),
            Self::Native => None,
        }
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::all().into_iter().find(|form| form.word() == word);
        known.ok_or_else(|| {
            let words: Vec<_> = Self::all().into_iter().map(Self::word).collect();
            format!("it is one of {}", words.join(", "))
        })
    }
}
