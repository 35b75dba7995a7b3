//! What every kind has in common, and the value it looks at.

use config::{Value, ValueKind};

use crate::config::problem::{Problems, did_you_mean};
use crate::config::reader::{origin_of, show};
use crate::config::settings::Secrecy;

/// A kind of value.
pub(crate) trait Kind {
    type Value;

    /// What it takes, to be read after "takes".
    fn takes(&self) -> String;

    /// The same for a table cell, where units and spellings are explained above.
    fn short(&self) -> String;

    /// Reads a value, or says why not and returns none.
    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Self::Value>;

    /// How much of a value may be shown.
    fn secrecy(&self) -> Secrecy {
        Secrecy::Open
    }

    /// Reads a value whose problems are nobody's business here.
    fn read_quietly(&self, value: &Value) -> Option<Self::Value> {
        let found = Found::new("", value, self.secrecy());
        self.read(&found, &mut Problems::default())
    }
}

/// A value under examination, with the name it goes by in problems.
pub(crate) struct Found<'a> {
    pub(super) name: String,
    value: &'a Value,
    secrecy: Secrecy,
}

impl<'a> Found<'a> {
    pub(crate) fn new(name: impl Into<String>, value: &'a Value, secrecy: Secrecy) -> Self {
        Self {
            name: name.into(),
            value,
            secrecy,
        }
    }

    /// A part of this value.
    pub(super) fn part<'b>(&self, name: impl Into<String>, value: &'b Value) -> Found<'b> {
        Found::new(name, value, self.secrecy)
    }

    pub(super) fn kind(&self) -> &'a ValueKind {
        &self.value.kind
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.kind() {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Where the value stood; a table in a file that no layer has merged may not know it.
    pub(crate) fn origin_or(&self, path: &str) -> String {
        origin_of(self.value).unwrap_or_else(|| path.to_owned())
    }

    pub(super) fn origin(&self) -> String {
        origin_of(self.value).unwrap_or_else(|| "default".to_owned())
    }

    /// The problem that the value is not what the kind takes.
    pub(crate) fn refuse<T>(&self, kind: &impl Kind, problems: &mut Problems) -> Option<T> {
        self.refuse_guessing(kind, None, problems)
    }

    /// The same, when what was meant can be guessed.
    pub(super) fn refuse_guessing<T>(
        &self,
        kind: &impl Kind,
        guess: Option<&str>,
        problems: &mut Problems,
    ) -> Option<T> {
        let end = did_you_mean(guess);
        let shown = self.shown();
        let sentence = format!("{} is {shown}, but takes {}{end}", self.name, kind.takes());
        problems.add(self.origin(), sentence);
        None
    }

    /// A problem in other words; they follow the name.
    pub(super) fn refuse_because<T>(&self, words: &str, problems: &mut Problems) -> Option<T> {
        problems.add(self.origin(), format!("{} {words}.", self.name));
        None
    }

    fn shown(&self) -> String {
        const LONGEST: usize = 80;
        if matches!(self.secrecy, Secrecy::Secret | Secrecy::KeyHashes) {
            return "something else (not shown, it may be secret)".to_owned();
        }
        let mut shown = show(self.value, self.secrecy);
        if shown.chars().count() > LONGEST {
            shown = shown.chars().take(LONGEST).chain(['…']).collect();
        }
        match self.kind() {
            ValueKind::String(_) => format!("\"{shown}\""),
            ValueKind::Array(_) => format!("the list [{shown}]"),
            ValueKind::Table(_) => format!("the table {shown}"),
            _ => shown,
        }
    }
}
