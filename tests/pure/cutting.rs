//! Cut anywhere: what is heard depends on the bytes alone, not on how they arrive or on when the
//! reader looks. This holds for every input, broken ones included.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{Fault, Format, Reader, ReaderLimits};

use crate::streams::{acts, reading, stream};
use crate::support::{Act, Ending, Heard, LIMITS, byte_by_byte, cases, drive, hear};

fn limits() -> impl Strategy<Value = ReaderLimits> {
    (
        prop_oneof![3 => Just(1usize << 20), 1 => 40..200usize],
        any::<bool>(),
    )
        .prop_map(|(max_event, accept_missing_final)| ReaderLimits {
            max_event,
            accept_missing_final,
            ..LIMITS
        })
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_stream_is_heard_the_same_however_it_is_cut(
        stream in stream(), reading in reading(), limits in limits(), acts in acts(),
    ) {
        let whole = hear(&reading, limits, &stream.bytes, &[]);
        prop_assert_eq!(whole.endings.len(), 1);
        prop_assert_eq!(&hear(&reading, limits, &stream.bytes, &acts), &whole);
        let bytewise = byte_by_byte(stream.bytes.len());
        prop_assert_eq!(&hear(&reading, limits, &stream.bytes, &bytewise), &whole);
    }

    #[test]
    fn a_broken_stream_is_heard_the_same_however_it_is_cut(
        stream in stream(), reading in reading(), limits in limits(), acts in acts(),
        wounds in vec((any::<Index>(), prop_oneof![
            any::<u8>(), prop::sample::select(b"\"\\\r\n{}:,d\x80\xff ".to_vec()),
        ]), 1..4),
    ) {
        let mut bytes = stream.bytes;
        for (at, byte) in &wounds {
            if let Some(at) = (!bytes.is_empty()).then(|| at.index(bytes.len())) {
                bytes[at] = *byte;
            }
        }
        let whole = hear(&reading, limits, &bytes, &[]);
        prop_assert_eq!(whole.endings.len(), 1);
        prop_assert_eq!(&hear(&reading, limits, &bytes, &acts), &whole);
        prop_assert_eq!(&hear(&reading, limits, &bytes, &byte_by_byte(bytes.len())), &whole);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_end_twice(
        bytes in vec(any::<u8>(), 0..300), acts in acts(), is_object in any::<bool>(),
    ) {
        let format = if is_object { Format::Object } else { Format::Events };
        let mut heard = Heard::default();
        drive(Reader::new(&Recipe::default(), format, LIMITS), &bytes, &acts, &mut heard);
        prop_assert_eq!(heard.endings.len(), 1);
    }
}

/// Three events in 150 bytes, cut in three at every pair of places.
#[test]
fn every_way_to_cut_a_small_stream_in_three_gives_the_same() {
    let stream = "data: {\"output\":\"Zo\",\"partial\":true}\r\n\r\n\
                  data: {\"output\":\"Zoë \\ud83c\\udf88\",\"partial\":true}\r\n\r\n\
                  data: {\"output\":\"Zoë \\ud83c\\udf88!\",\"partial\":false}\r\n\r\n"
        .as_bytes();
    let whole = hear(&Recipe::default(), LIMITS, stream, &[]);
    assert_eq!(whole.text, "Zoë 🎈!");
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let acts = [
                Act::Feed(first),
                Act::Read,
                Act::Feed(second - first),
                Act::Read,
            ];
            let heard = hear(&Recipe::default(), LIMITS, stream, &acts);
            assert_eq!(heard, whole, "cut at {first} and {second}");
        }
    }
}

/// What a reader puts up with before it gives up, in bytes, when a piece comes at a time.
fn bytes_until_it_ends(format: Format, piece: &[u8]) -> (usize, Heard) {
    let limits = ReaderLimits {
        max_event: 4096,
        max_object: 4096,
        accept_missing_final: true,
    };
    let mut reader = Reader::new(&Recipe::default(), format, limits);
    let mut heard = Heard::default();
    let mut fed = 0;
    while !reader.has_ended() && fed < 1 << 20 {
        reader.feed(piece);
        reader.read(&mut heard);
        fed += piece.len();
    }
    (fed, heard)
}

#[test]
fn endless_events_and_objects_end_at_their_limits() {
    for (format, piece) in [
        (
            Format::Events,
            &b"data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..],
        ),
        (Format::Events, b"data: a\n"),
        (Format::Events, b"event: error\r"),
        (Format::Object, b"[[[[[[[[[[[[[[[["),
    ] {
        let (fed, heard) = bytes_until_it_ends(format, piece);
        assert!(
            matches!(heard.endings[..], [Ending::Failed(Fault::Unusable(_))]),
            "{heard:?}"
        );
        assert!(fed <= 4096 + 2 * piece.len(), "{fed} bytes were taken");
    }
}

#[test]
fn comments_without_end_cost_nothing_and_end_nothing() {
    for piece in [&b": ping\n\n"[..], b"\r\n", b"id: 7\n", b"event: x\n\n"] {
        let (_, heard) = bytes_until_it_ends(Format::Events, piece);
        assert_eq!(heard, Heard::default(), "{}", piece.escape_ascii());
    }
}

#[test]
fn after_a_failure_from_outside_nothing_more_is_heard() {
    let event = b"data: {\"output\":\"Hi\",\"partial\":true}\n\n";
    let mut heard = Heard::default();
    let mut reader = Reader::new(&Recipe::default(), Format::Events, LIMITS);
    reader.feed(event);
    reader.read(&mut heard);
    reader.fail(Fault::TimedOut, &mut heard);
    reader.fail(Fault::ShuttingDown, &mut heard);
    reader.feed(event);
    reader.read(&mut heard);
    reader.finish(&mut heard);
    assert_eq!(heard.text, "Hi");
    assert_eq!(heard.endings, [Ending::Failed(Fault::TimedOut)]);
}
