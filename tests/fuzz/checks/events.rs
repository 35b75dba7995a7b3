//! A stream's bytes to events: the same however they arrive, and the same by the short way, which
//! compares bytes, as by the long way, which parses every event.

use fal_gateway::translate::reading::{Format, Limits};

use super::ear::{Arrival, LIMITS, asked, chance, hear};

/// Beyond these a byte at a time, or a space more for each event, would only be slow.
const MOST_SINGLY: usize = 4096;
const MOST_LINES: usize = 256;

pub(crate) fn check(data: &[u8]) {
    let (reading, bytes) = asked(data);
    let mut rng = chance(data);
    let limits = Limits {
        max_event: [1 << 24, 300, 60][rng.usize(..3)],
        accept_missing_final: rng.bool(),
        ..LIMITS
    };
    let whole = hear(reading, Format::Events, limits, &bytes, Arrival::AtOnce);
    let pieces = Arrival::InPieces(&mut rng);
    let cut = hear(reading, Format::Events, limits, &bytes, pieces);
    assert_eq!(cut, whole, "cut anywhere");
    if bytes.len() <= MOST_SINGLY {
        let singly = hear(reading, Format::Events, limits, &bytes, Arrival::ByteByByte);
        assert_eq!(singly, whole, "byte by byte");
    }
    if let Some(spaced) = spaced(&bytes) {
        let short = hear(reading, Format::Events, LIMITS, &bytes, Arrival::AtOnce);
        let long = hear(reading, Format::Events, LIMITS, &spaced, Arrival::AtOnce);
        assert_eq!(long, short, "every event parsed in full");
    }
}

/// The same events with one space more at the end of each: no event ends like another, so none
/// can be taken for another that has grown.
fn spaced(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut spaced = Vec::with_capacity(bytes.len());
    let mut lines = 0;
    let mut line_start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(byte, b'\r' | b'\n') {
            let line = &bytes[line_start..at];
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            if line.starts_with(b"data:") {
                lines += 1;
                spaced.extend(std::iter::repeat_n(b' ', lines));
            }
            line_start = at + 1;
        }
        spaced.push(*byte);
    }
    (lines <= MOST_LINES).then_some(spaced)
}
