//! How tools and structured answers are had from models that only take a prompt.

use std::collections::BTreeMap;

use super::kinds::{Choice, Count, Switch, Table};
use super::settings::settings;

settings! {
    /// How tools and structured answers are had from models that only take a prompt.
    pub struct Tools in "tools" {
        /// How often a model is asked again, in one request, when its call or its JSON is wrong;
        /// each time is another paid call to fal.
        max_reasks: usize, Count(0, 3), default "1", reload live;
        /// Whether calls that a model writes in another form than it was shown count, when they
        /// are unmistakable.
        lenient: bool, Switch, default "true", reload live;
        /// The form in which models are asked to call, by the beginning of a model's id: `tagged`
        /// (the default for all), `json`, or `xml`, in which code needs no escaping. It wins over
        /// `models.capabilities`.
        dialects: BTreeMap<String, Dialect>, Table(Choice(Dialect::WORDS), "{ \"openai/\" = \"json\" }"), reload live;
        /// Whether models that have to write JSON are shown a value to fill in, made from the schema,
        /// besides the schema itself, by the beginning of a model's id: `true` (the default for all)
        /// or `false`. Weak models need it; a strong one might take the value's words over. It wins
        /// over `models.capabilities`.
        outlines: BTreeMap<String, bool>, Table(Switch, "{ \"openai/\" = false }"), reload live;
    }
}

/// A form in which models are asked to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// JSON in a tagged block.
    Tagged,
    /// The whole reply is JSON.
    Json,
    /// Elements in a tagged block.
    Xml,
}

impl Dialect {
    /// Every dialect and the word for it.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("tagged", Self::Tagged),
        ("json", Self::Json),
        ("xml", Self::Xml),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tagged => "tagged",
            Self::Json => "json",
            Self::Xml => "xml",
        }
    }
}
