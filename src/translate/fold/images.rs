//! Where the images of a conversation stood in its text.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memmem;

use crate::translate::ask::{Conversation, Part};
use crate::translate::key::Pen;

/// What opens a marker, and what a text holds that could be taken for one.
const OPENING: &str = "[image";
/// The longest run of underscores after [`OPENING`] that a marker outdoes. It stands before every
/// image, so a long run would come out once for each of them.
const LONGEST_RUN: usize = 16;

/// Whether a message writes so long a word of the markers' kind that only a record, whose markers
/// carry its key, tells the two apart.
pub(super) fn is_crowded(conversation: &Conversation<'_>) -> bool {
    let parts = || conversation.turns.iter().flat_map(|turn| &turn.parts);
    has_images(parts()) && longest_run(parts()).is_some_and(|run| run > LONGEST_RUN)
}

/// Numbers the images of a conversation and marks their places in the text.
pub(super) struct Images<'k, 'a> {
    pub(super) urls: Vec<Cow<'a, str>>,
    /// `image`, or a longer word when somebody wrote `[image` into a text.
    label: String,
    /// What makes the word unique, where that is needed and there is a key.
    pen: Option<&'k Pen>,
}

impl<'k, 'a> Images<'k, 'a> {
    /// The images of parts that stand in one prompt, which a key makes known where it has one.
    pub(super) fn of<'p>(
        parts: impl Iterator<Item = &'p Part<'a>> + Clone,
        pen: Option<&'k Pen>,
    ) -> Self
    where
        'a: 'p,
    {
        let written = has_images(parts.clone()).then(|| longest_run(parts));
        // Of the words that occur, the longest is then always the marker's, and no text can pass
        // for a marker or the other way round. A key occurs in no text.
        let (label, pen) = match (written.flatten(), pen) {
            (None, _) => ("image".to_owned(), None),
            (Some(_), Some(pen)) => ("image".to_owned(), Some(pen)),
            (Some(run), None) => (format!("image_{}", "_".repeat(run)), None),
        };
        Self {
            urls: Vec::new(),
            label,
            pen,
        }
    }

    /// Parts on lines of their own, images as `[image n]`.
    pub(super) fn write_parts(&mut self, out: &mut String, parts: &[Part<'a>]) {
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                out.push('\n');
            }
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Image(url) => {
                    self.urls.push(url.clone());
                    let (label, number) = (&self.label, self.urls.len());
                    let _ = match self.pen {
                        None => write!(out, "[{label} {number}]"),
                        Some(pen) => write!(out, "[{label}-{pen} {number}]"),
                    };
                }
                // Calls stand in a block of their own, after what was said.
                Part::ToolCall(_) => {}
            }
        }
    }
}

fn has_images<'p, 'a: 'p>(mut parts: impl Iterator<Item = &'p Part<'a>>) -> bool {
    parts.any(|part| matches!(part, Part::Image(_)))
}

/// The most underscores that follow `[image` anywhere in the texts; `None` where it stands nowhere.
/// Runs do not overlap, so each byte is read once by the search and once here.
fn longest_run<'p, 'a: 'p>(parts: impl Iterator<Item = &'p Part<'a>>) -> Option<usize> {
    let texts = parts.filter_map(|part| match part {
        Part::Text(text) => Some(text.as_bytes()),
        Part::Image(_) | Part::ToolCall(_) => None,
    });
    let runs = texts.flat_map(|text| {
        memmem::find_iter(text, OPENING).map(|at| {
            let after = text.get(at + OPENING.len()..).unwrap_or_default();
            after.iter().take_while(|byte| **byte == b'_').count()
        })
    });
    runs.max()
}
