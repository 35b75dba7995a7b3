//! Where the images, recordings and videos of a conversation stood in its text.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memmem;

use crate::translate::ask::{Conversation, Part};
use crate::translate::key::Pen;
use crate::translate::media::Media;
use crate::translate::model::Modality;

/// The longest run of underscores after a marker's opening that a marker outdoes. It stands before
/// every image, so a long run would come out once for each of them.
const LONGEST_RUN: usize = 16;

/// What is marked.
const MARKED: [Modality; 3] = [Modality::Image, Modality::Audio, Modality::Video];

/// Whether a message writes so long a word of the markers' kind that only a record, whose markers
/// carry its key, tells the two apart.
pub(super) fn is_crowded(conversation: &Conversation<'_>) -> bool {
    let parts = || conversation.turns.iter().flat_map(|turn| &turn.parts);
    MARKED.into_iter().any(|kind| {
        has_any(parts(), kind) && longest_run(parts(), kind).is_some_and(|run| run > LONGEST_RUN)
    })
}

/// Numbers what is shown in a conversation and marks its places in the text.
pub(super) struct Shown<'k, 'a> {
    pub(super) image_urls: Vec<Cow<'a, str>>,
    pub(super) media: Vec<Media<'a>>,
    /// One for each kind, in the order of [`MARKED`].
    markers: [Marker<'k>; MARKED.len()],
}

/// How the places of one kind are marked.
struct Marker<'k> {
    kind: Modality,
    /// `image`, or a longer word when somebody wrote `[image` into a text.
    label: String,
    /// What makes the word unique, where that is needed and there is a key.
    pen: Option<&'k Pen>,
    /// How many there are so far.
    count: usize,
}

impl<'k, 'a> Shown<'k, 'a> {
    /// What is shown in parts that stand in one prompt, which a key makes known where it has one.
    pub(super) fn of<'p>(
        parts: impl Iterator<Item = &'p Part<'a>> + Clone,
        pen: Option<&'k Pen>,
    ) -> Self
    where
        'a: 'p,
    {
        Self {
            image_urls: Vec::new(),
            media: Vec::new(),
            markers: MARKED.map(|kind| Marker::of(kind, parts.clone(), pen)),
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
                Part::Image(url) => self.image_urls.push(url.clone()),
                Part::Media(media) => self.media.push(media.clone()),
                // Calls stand in a block of their own, after what was said.
                Part::ToolCall(_) => {}
            }
            let is_its_own = |marker: &&mut Marker<'_>| part.attached() == Some(marker.kind);
            if let Some(marker) = self.markers.iter_mut().find(is_its_own) {
                marker.write(out);
            }
        }
    }
}

impl<'k> Marker<'k> {
    fn of<'p, 'a: 'p>(
        kind: Modality,
        parts: impl Iterator<Item = &'p Part<'a>> + Clone,
        pen: Option<&'k Pen>,
    ) -> Self {
        let written = has_any(parts.clone(), kind).then(|| longest_run(parts, kind));
        let name = kind.name();
        // Of the words that occur, the longest is then always the marker's, and no text can pass
        // for a marker or the other way round. A key occurs in no text.
        let (label, pen) = match (written.flatten(), pen) {
            (None, _) => (name.to_owned(), None),
            (Some(_), Some(pen)) => (name.to_owned(), Some(pen)),
            (Some(run), None) => (format!("{name}_{}", "_".repeat(run)), None),
        };
        Self {
            kind,
            label,
            pen,
            count: 0,
        }
    }

    /// Marks the place of the next one.
    fn write(&mut self, out: &mut String) {
        self.count = self.count.saturating_add(1);
        let (label, number) = (&self.label, self.count);
        let _ = match self.pen {
            None => write!(out, "[{label} {number}]"),
            Some(pen) => write!(out, "[{label}-{pen} {number}]"),
        };
    }
}

fn has_any<'p, 'a: 'p>(mut parts: impl Iterator<Item = &'p Part<'a>>, kind: Modality) -> bool {
    parts.any(|part| part.attached() == Some(kind))
}

/// The most underscores that follow what opens a marker anywhere in the texts; `None` where it stands
/// nowhere. Runs do not overlap, so each byte is read once by the search and once here.
fn longest_run<'p, 'a: 'p>(
    parts: impl Iterator<Item = &'p Part<'a>>,
    kind: Modality,
) -> Option<usize> {
    let opening = format!("[{}", kind.name());
    let texts = parts.filter_map(|part| match part {
        Part::Text(text) => Some(text.as_bytes()),
        Part::Image(_) | Part::Media(_) | Part::ToolCall(_) => None,
    });
    let runs = texts.filter_map(|text| {
        let runs = memmem::find_iter(text, &opening).map(|at| {
            let after = text
                .get(at.saturating_add(opening.len())..)
                .unwrap_or_default();
            after.iter().take_while(|byte| **byte == b'_').count()
        });
        runs.max()
    });
    runs.max()
}
