//! Where an object or array ends, though its text may be broken.

/// The most objects and arrays within one another; deeper answers are refused. Legitimate ones
/// stay far below, and serde_json itself stops at 128.
pub const DEEPEST: usize = 64;

/// What delimits a string: `"` in JSON, the others in what models write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quote {
    Double,
    Single,
    /// `“` and `”`, in any combination. Not `‘` and `’`: the latter is also an apostrophe.
    Smart,
}

impl Quote {
    pub(super) const fn opened_by(mark: char) -> Option<Self> {
        match mark {
            '"' => Some(Self::Double),
            '\'' => Some(Self::Single),
            '“' | '”' | '„' => Some(Self::Smart),
            _ => None,
        }
    }

    pub(super) const fn is_closed_by(self, mark: char) -> bool {
        match self {
            Self::Double => mark == '"',
            Self::Single => mark == '\'',
            Self::Smart => matches!(mark, '“' | '”'),
        }
    }
}

/// Where a character left the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Inside,
    /// It closed the root.
    Closed,
    /// It opened one level too many.
    TooDeep,
}

/// Counts levels, one character at a time, from the opener of the root on. What strings and
/// comments hold does not count.
///
/// Openers and closers are not matched with each other: a text in which they disagree has a
/// length, and [`super::repair()`] refuses it.
#[derive(Clone, Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    within: Within,
}

#[derive(Clone, Copy, Debug, Default)]
enum Within {
    #[default]
    Structure,
    /// After a `/` that may begin a comment.
    Slash,
    String {
        quote: Quote,
        is_escaped: bool,
    },
    LineComment,
    BlockComment {
        after_star: bool,
    },
}

impl Nesting {
    pub(super) fn step(&mut self, next: char) -> Step {
        self.within = match self.within {
            Within::String { quote, is_escaped } if is_escaped || !quote.is_closed_by(next) => {
                let is_escaped = !is_escaped && next == '\\';
                Within::String { quote, is_escaped }
            }
            Within::LineComment if next != '\n' => Within::LineComment,
            Within::BlockComment { after_star } if !(after_star && next == '/') => {
                let after_star = next == '*';
                Within::BlockComment { after_star }
            }
            Within::String { .. } | Within::LineComment | Within::BlockComment { .. } => {
                Within::Structure
            }
            Within::Slash if next == '*' => Within::BlockComment { after_star: false },
            Within::Slash if next == '/' => Within::LineComment,
            Within::Structure | Within::Slash => return self.step_in_structure(next),
        };
        Step::Inside
    }

    fn step_in_structure(&mut self, next: char) -> Step {
        self.within = match (next, Quote::opened_by(next)) {
            (_, Some(quote)) => Within::String {
                quote,
                is_escaped: false,
            },
            ('/', _) => Within::Slash,
            ('#', _) => Within::LineComment,
            _ => Within::Structure,
        };
        match next {
            '{' | '[' => self.depth = self.depth.saturating_add(1),
            '}' | ']' => self.depth = self.depth.saturating_sub(1),
            _ => return Step::Inside,
        }
        match self.depth {
            0 => Step::Closed,
            1..=DEEPEST => Step::Inside,
            _ => Step::TooDeep,
        }
    }

    /// The length of the root that a text begins with; `Ok(None)` when it does not end.
    pub(super) fn measure(text: &str) -> Result<Option<usize>, TooDeep> {
        let mut nesting = Self::default();
        for (at, next) in text.char_indices() {
            match nesting.step(next) {
                Step::Inside => {}
                Step::Closed => return Ok(at.checked_add(next.len_utf8())),
                Step::TooDeep => return Err(TooDeep),
            }
        }
        Ok(None)
    }
}

/// Follows an object or array that comes in pieces, to know when it is complete.
#[derive(Clone, Debug, Default)]
pub struct RootEnd {
    nesting: Nesting,
    has_come: bool,
}

impl RootEnd {
    /// Takes the next piece; each is looked at once.
    pub fn push(&mut self, piece: &str) {
        let mut letters = piece.chars();
        while !self.has_come {
            let Some(letter) = letters.next() else { return };
            self.has_come = self.nesting.step(letter) == Step::Closed;
        }
    }

    /// Whether the root has ended.
    pub const fn has_come(&self) -> bool {
        self.has_come
    }
}

/// A text nests deeper than [`DEEPEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;
