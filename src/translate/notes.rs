//! What the gateway did with a request, for the caller to see.

use std::borrow::Cow;

use super::tokenizer::ENCODING;
use crate::wire::openai::chat::GatewayNotes;

/// The fields of a request that were not simply passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Kept by the gateway itself, because fal has no such field.
    pub emulated: Vec<&'static str>,
    /// Without effect. Names of unknown fields are the caller's own.
    pub ignored: Vec<Cow<'static, str>>,
    /// How the conversation was written into the prompt; `None` when it went through unchanged.
    pub fold: Option<String>,
    /// Whether the tokens of the answer are counted rather than estimated.
    pub counted: bool,
}

impl Notes {
    /// The notes as they stand in a body.
    pub fn to_wire(&self) -> GatewayNotes<'_> {
        GatewayNotes {
            emulated: self.emulated.clone(),
            ignored: self.ignored.iter().map(AsRef::as_ref).collect(),
            fold: self.fold.as_deref(),
        }
    }

    /// Where the token counts come from, in a word or two.
    pub fn usage(&self) -> String {
        match self.counted {
            true => format!("counted; {ENCODING}"),
            false => "estimated".to_owned(),
        }
    }

    /// The same notes, with what had to be mended in the answer.
    pub fn with_mended(&self, mended: &[&'static str]) -> Self {
        let mut notes = self.clone();
        mended.iter().for_each(|name| notes.emulated(name));
        notes
    }

    /// Adds a field to the emulated ones, once.
    pub fn emulated(&mut self, name: &'static str) {
        if !self.emulated.contains(&name) {
            self.emulated.push(name);
        }
    }
}
