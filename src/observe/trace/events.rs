//! An answer in the pieces in which it came, and what is new in each.

use super::entry::Kept;
use super::view::{Piece, Said};

/// Pieces of an answer that are told apart; what comes later is added to the last of them.
const MAX_PIECES: usize = 2000;

/// Adds a piece, or adds it to the last one where there is no room for more.
pub(super) fn add(pieces: &mut Vec<Piece>, at_us: u64, bytes: usize, texts: Vec<Said>, may: bool) {
    if may && pieces.len() < MAX_PIECES {
        pieces.push(Piece {
            at_us,
            bytes,
            pieces: 1,
            texts,
        });
    } else if let Some(last) = pieces.last_mut() {
        last.bytes += bytes;
        last.pieces += 1;
        last.texts.extend(texts);
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
