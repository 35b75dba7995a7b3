//! The first thing of an answer, looked at before anything is read: an error may stand in its place.

use memchr::memmem;

use super::reader::Format;
use super::sse::SseDecoder;

/// Waits for the first thing of an answer: the first event with data, or all of an object.
#[derive(Debug)]
pub struct FirstWords {
    source: Source,
    room: usize,
}

#[derive(Debug)]
enum Source {
    Events(SseDecoder),
    Object(Vec<u8>),
}

/// An error in the place of an answer is no longer than this, in bytes.
const LONGEST: usize = 16 * 1024;

impl FirstWords {
    pub fn new(format: Format) -> Self {
        Self {
            source: match format {
                Format::Events => Source::Events(SseDecoder::new(LONGEST)),
                Format::Object => Source::Object(Vec::new()),
            },
            room: LONGEST,
        }
    }

    /// Takes bytes, as long as they may be those of an error.
    pub fn feed(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(..self.room).unwrap_or(bytes);
        self.room = self.room.saturating_sub(bytes.len());
        match &mut self.source {
            Source::Events(decoder) => decoder.feed(bytes),
            Source::Object(object) => object.extend_from_slice(bytes),
        }
    }

    /// What came first, fit to be read, if it could be an error; `None` as long as that cannot be told.
    /// `is_all` says whether nothing follows.
    pub fn take(&mut self, is_all: bool) -> Option<Vec<u8>> {
        let first = match &mut self.source {
            Source::Events(decoder) => decoder.next_event().map(|event| {
                let name: &[u8] = match event.is_error {
                    true => b"event: error\n",
                    false => b"",
                };
                // In JSON a line's end stands where a space may stand, too.
                let data = decoder.data(&event).iter();
                let data: Vec<u8> = data
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
                    .collect();
                [name, b"data: ", &data, b"\n\n"].concat()
            }),
            Source::Object(object) => is_all.then(|| std::mem::take(object)),
        };
        let first = match first {
            Some(first) => first,
            None if is_all || self.room == 0 => Vec::new(),
            None => return None,
        };
        let could_be = |word: &[u8]| memmem::find(&first, word).is_some();
        Some(match could_be(b"error") || could_be(b"detail") {
            true => first,
            false => Vec::new(),
        })
    }
}
