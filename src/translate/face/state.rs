//! What requests refer to of what is kept, and what of an answer is to be kept. Where it is kept is
//! not known here: a face says what it wants, and is handed what was found.

use std::collections::BTreeMap;

/// What a request refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The id of the response that it continues.
    pub previous: Option<String>,
    /// The id of the conversation that it goes on with.
    pub conversation: Option<String>,
    /// Items that it names by their ids.
    pub items: Vec<String>,
}

impl Wanted {
    /// Whether it refers to nothing.
    pub fn is_empty(&self) -> bool {
        self.previous.is_none() && self.conversation.is_none() && self.items.is_empty()
    }
}

/// What was found of it. What is not in here is not kept, or somebody else's.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Whether the response that the request continues was looked for and found.
    pub has_previous: bool,
    /// The same of the conversation that it goes on with.
    pub has_conversation: bool,
    /// The JSON of what was said before the request, the oldest first.
    pub before: Vec<String>,
    /// The JSON of items, by their ids.
    pub items: BTreeMap<String, String>,
}

impl Past {
    /// Nothing.
    pub const NONE: &'static Self = &Self {
        has_previous: false,
        has_conversation: false,
        before: Vec::new(),
        items: BTreeMap::new(),
    };

    /// How many bytes it takes up.
    pub fn bytes(&self) -> usize {
        self.before
            .iter()
            .chain(self.items.values())
            .map(String::len)
            .sum()
    }
}

/// An answer as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How it ended, in the API's words.
    pub status: &'static str,
    /// Its JSON before the items of its output, and behind them.
    pub head: String,
    pub tail: String,
    pub output: Vec<RecordItem>,
    /// What it is kept as.
    pub kind: RecordKind,
}

/// The kinds of answers that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecordKind {
    #[default]
    Response,
    /// All of it is in the head, but for the brace at its end.
    ChatCompletion {
        model: String,
        /// A JSON object of strings.
        metadata: String,
    },
}

/// An item of an answer or of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordItem {
    pub id: String,
    /// Its JSON.
    pub body: String,
}
