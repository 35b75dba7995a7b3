//! The body of a whole answer, or of a refusal: one ending, the text that a plain parse finds, and
//! no more of a refusal than fal defined.

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{Fault, Format, ReaderLimits};
use fal_gateway::upstream::refusal::{Refusal, RefusalKind};
use fal_gateway::upstream::said::said;
use serde_json::Value;

use super::collector::{Arrival, Ending, Heard, LIMITS, asked, chance, hear};

pub(crate) fn check(data: &[u8]) {
    let (reading, bytes) = asked(data);
    let mut rng = chance(data);
    let whole = hear(reading, Format::Object, LIMITS, &bytes, Arrival::AtOnce);
    let pieces = Arrival::InPieces(&mut rng);
    let cut = hear(reading, Format::Object, LIMITS, &bytes, pieces);
    assert_eq!(cut, whole, "cut anywhere");
    let plain = Recipe::default();
    let heard = hear(&plain, Format::Object, LIMITS, &bytes, Arrival::AtOnce);
    is_what_a_plain_parse_finds(&heard, &bytes);
    if !bytes.is_empty() {
        let limits = ReaderLimits {
            max_object: bytes.len() - 1,
            ..LIMITS
        };
        let heard = hear(&plain, Format::Object, limits, &bytes, Arrival::AtOnce);
        let too_large = Ending::Failed(Fault::Unusable("answer too large"));
        assert_eq!(heard.endings, [too_large]);
    }
    for status in [0, 200, 400, 401, 403, 404, 413, 422, 429, 500, 503, 599] {
        refusal_is_bounded(status, &bytes);
    }
}

fn is_what_a_plain_parse_finds(heard: &Heard, bytes: &[u8]) {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let output = value["output"].as_str();
    match heard.endings[..] {
        [Ending::Finished(_)] => {
            // serde_json's values nest less deep than what is passed over unread.
            if let Some(output) = output
                && !output.trim_start().starts_with("<think>")
            {
                assert_eq!(heard.text, output);
            }
            assert!(value["error"].is_null(), "an error was taken for an answer");
        }
        [Ending::Failed(fault)] => {
            let is_sound = value
                .as_object()
                .is_some_and(|members| members.len() == 1 && output.is_some());
            // Of two members of one name the last one counts for a value, and for us neither.
            let is_single = bytes
                .windows(8)
                .filter(|name| name == b"\"output\"")
                .count()
                == 1;
            assert!(!(is_sound && is_single), "{fault:?} for {output:?}");
        }
        _ => unreachable!("nothing was asked for that could be unmet"),
    }
}

fn refusal_is_bounded(status: u16, body: &[u8]) {
    let kind = RefusalKind::of(status, body);
    if let RefusalKind::UnknownModel { known } = &kind {
        assert!(known.len() <= 512);
    }
    let refusal = Refusal {
        status,
        kind,
        said: said(body, "kid:ksecret"),
        retry_after_s: None,
        request_id: None,
    };
    assert!(refusal.kind.label().len() < 32);
    if let Some(said) = &refusal.said {
        assert!(said.chars().count() <= 301, "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
        assert!(!said.contains("ksecret"), "{said}");
    }
}
