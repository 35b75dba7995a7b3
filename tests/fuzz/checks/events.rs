//! A stream's bytes to events: the same however they arrive, and the same by the short way, which
//! compares bytes, as by the long way, which parses every event.

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{Format, ReaderLimits};
use fal_gateway::translate::upstream::UpstreamId;

use super::collector::{self, Arrival, Heard, LIMITS, asked_through, chance};

/// Beyond these a byte at a time, or a space more for each event, would only be slow.
const MAX_SINGLY: usize = 4096;
const MAX_LINES: usize = 256;

/// any-llm's events.
pub(crate) fn check(data: &[u8]) {
    check_through(UpstreamId::AnyLlm, data);
}

/// Those of the router's prompt faces.
pub(crate) fn check_router(data: &[u8]) {
    check_through(UpstreamId::Router, data);
}

/// The chunks of a chat completion.
pub(crate) fn check_chunks(data: &[u8]) {
    check_through(UpstreamId::RouterOpenai, data);
}

fn check_through(upstream: UpstreamId, data: &[u8]) {
    let (reading, bytes) = asked_through(upstream, data);
    let mut rng = chance(data);
    let limits = ReaderLimits {
        max_event: [1 << 24, 300, 60][rng.usize(..3)],
        accept_missing_final: rng.bool(),
        ..LIMITS
    };
    let whole = hear(reading, limits, &bytes, Arrival::AtOnce);
    let pieces = Arrival::InPieces(&mut rng);
    let cut = hear(reading, limits, &bytes, pieces);
    assert_eq!(cut, whole, "cut anywhere");
    if bytes.len() <= MAX_SINGLY {
        let singly = hear(reading, limits, &bytes, Arrival::ByteByByte);
        assert_eq!(singly, whole, "byte by byte");
    }
    if let Some(spaced) = spaced(&bytes) {
        let short = hear(reading, LIMITS, &bytes, Arrival::AtOnce);
        let long = hear(reading, LIMITS, &spaced, Arrival::AtOnce);
        assert_eq!(long, short, "every event parsed in full");
    }
}

fn hear(reading: &Recipe, limits: ReaderLimits, bytes: &[u8], arrival: Arrival<'_>) -> Heard {
    collector::hear(reading, Format::Events, limits, bytes, arrival)
}

/// The same events with one space more before each: no event begins like another, so none can be
/// taken for another that has grown.
fn spaced(bytes: &[u8]) -> Option<Vec<u8>> {
    const DATA: &[u8] = b"data:";
    let mut spaced = Vec::with_capacity(bytes.len());
    let mut count = 0;
    for line in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        let is_first = spaced.is_empty();
        let mark = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first);
        let begin = line.len() - mark.unwrap_or(line).len();
        let (mark, line) = line.split_at(begin);
        spaced.extend_from_slice(mark);
        if let Some(value) = line.strip_prefix(DATA) {
            count += 1;
            spaced.extend_from_slice(DATA);
            spaced.extend(std::iter::repeat_n(b' ', count));
            spaced.extend_from_slice(value);
        } else {
            spaced.extend_from_slice(line);
        }
    }
    (count <= MAX_LINES).then_some(spaced)
}
