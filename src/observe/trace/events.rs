//! An answer in the pieces in which it came, and what is new in each.

use serde::{Serialize, Serializer};

use super::entry::Kept;
use super::view::{Piece, Said};

/// Pieces of an answer that are told apart; what comes later is added to the last of them.
const MAX_PIECES: usize = 2000;

/// An answer's pieces, one after another. A stream has many of them, and all of its time they lie there
/// to be looked at: so they are small, and what hardly any of them has stands beside them.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    arrivals: Vec<Arrival>,
    /// What they say, where texts are kept; each with the place of its piece.
    texts: Vec<(usize, Vec<Said>)>,
}

/// When a piece came or left, and how much of it there was.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at_us: u64,
    bytes: u32,
    pieces: u32,
}

impl Pieces {
    /// What one of them takes up, in bytes, without what it says.
    pub(super) const SIZE: usize = size_of::<Arrival>();

    /// Adds a piece, or adds it to the last one where there is no room for more.
    pub(super) fn add(&mut self, at_us: u64, bytes: usize, texts: Vec<Said>, may: bool) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if may && self.arrivals.len() < MAX_PIECES {
            self.arrivals.push(Arrival {
                at_us,
                bytes,
                pieces: 1,
            });
        } else if let Some(last) = self.arrivals.last_mut() {
            last.bytes = last.bytes.saturating_add(bytes);
            last.pieces = last.pieces.saturating_add(1);
        }
        self.add_texts(texts);
    }

    /// Adds to what the last piece says.
    pub(super) fn add_texts(&mut self, more: Vec<Said>) {
        let Some(place) = self.arrivals.len().checked_sub(1) else {
            return;
        };
        match self.texts.last_mut() {
            _ if more.is_empty() => {}
            Some((of, texts)) if *of == place => texts.extend(more),
            _ => self.texts.push((place, more)),
        }
    }

    /// Forgets all of them; room for so many stays.
    pub(super) fn clear(&mut self, room: usize) {
        self.arrivals.clear();
        self.arrivals.shrink_to(room);
        self.texts = Vec::new();
    }

    /// Each of them, as it is shown.
    pub fn iter(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut texts = self.texts.iter().peekable();
        let numbered = self.arrivals.iter().enumerate();
        numbered.map(move |(place, arrival)| {
            let texts = texts.next_if(|(of, _)| *of == place);
            Piece {
                at_us: arrival.at_us,
                bytes: arrival.bytes,
                pieces: arrival.pieces,
                texts: texts.map_or(&[], |(_, texts)| texts),
            }
        })
    }
}

impl Serialize for Pieces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// The data of the events that are complete, each without what it repeats of the one before.
pub(super) fn events(kept: &mut Kept, call: usize) -> Vec<Said> {
    let Some(half) = kept
        .calls
        .get_mut(call)
        .map(|call| std::mem::take(&mut call.half))
    else {
        return Vec::new();
    };
    let mut said = Vec::new();
    let mut rest = half.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(1..).unwrap_or_default();
        let Some(data) = line.strip_prefix(b"data:") else {
            continue;
        };
        let event = kept.covered(String::from_utf8_lossy(data).trim());
        if let Some(call) = kept.calls.get_mut(call) {
            let same = call.last_event.bytes().zip(event.bytes());
            let mut from = same.take_while(|(old, new)| old == new).count();
            while !event.is_char_boundary(from) {
                from -= 1;
            }
            let text = event.get(from..).unwrap_or_default().to_owned();
            said.push(Said { from, text });
            call.last_event = event;
        }
    }
    let rest = rest.to_vec();
    if let Some(call) = kept.calls.get_mut(call) {
        call.half = rest;
    }
    said
}
