//! Whatever a client sends is an ask or a refusal that says what is wrong: never a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use fal_gateway::translate::draft::MAX_DEPTH;

use crate::golden;
use crate::support::{self, CAPABILITIES, cases};

/// The causes that a refusal may give a client, all of them its own fault.
const CODES: [&str; 8] = [
    "invalid_json",
    "invalid_value",
    "missing_required_parameter",
    "unsupported_parameter",
    "unsupported_value",
    "model_not_found",
    "context_length_exceeded",
    "invalid_image_url",
];

fn is_answered_properly(body: &[u8]) -> Result<(), TestCaseError> {
    if let Err(rejection) = support::plan(body, &CAPABILITIES) {
        prop_assert!(CODES.contains(&rejection.cause.code()));
        prop_assert!(!rejection.message.is_empty());
        prop_assert!(rejection.message.len() < 600, "{:?}", rejection);
        prop_assert!(!rejection.message.contains("SECRET"), "{:?}", rejection);
    }
    Ok(())
}

fn code(body: &[u8]) -> &'static str {
    match support::plan(body, &CAPABILITIES) {
        Ok(_) => "ok",
        Err(rejection) => rejection.cause.code(),
    }
}

#[derive(Clone, Debug)]
enum Bend {
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Copy(Index, Index, usize),
}

fn bend() -> impl Strategy<Value = Bend> {
    let token = prop_oneof![
        vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "null",
            "[]",
            "{}",
            "\"\"",
            "1e999",
            "-1",
            "{",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\ud800",
            "\u{0}",
            "\"role\":\"tool\",",
            "\"SECRET\"",
            "true",
            "0.5",
            "99999999999999999999",
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
    ];
    prop_oneof![
        any::<Index>().prop_map(Bend::Cut),
        (any::<Index>(), 1..9usize).prop_map(|(at, count)| Bend::Remove(at, count)),
        (any::<Index>(), token).prop_map(|(at, bytes)| Bend::Insert(at, bytes)),
        (any::<Index>(), any::<Index>(), 1..30usize)
            .prop_map(|(at, to, count)| Bend::Copy(at, to, count)),
    ]
}

fn bent(mut body: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    for bend in bends {
        let at = |index: &Index| index.index(body.len() + 1);
        match bend {
            Bend::Cut(index) => body.truncate(at(index)),
            Bend::Remove(index, count) => {
                let start = at(index);
                let end = (start + count).min(body.len());
                body.drain(start..end);
            }
            Bend::Insert(index, bytes) => {
                let start = at(index);
                body.splice(start..start, bytes.iter().copied());
            }
            Bend::Copy(from, to, count) => {
                let (start, to) = (at(from), at(to));
                let end = (start + count).min(body.len());
                let copied = body[start..end].to_vec();
                body.splice(to..to, copied);
            }
        }
    }
    body
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_bytes_make_the_parser_panic(body in vec(any::<u8>(), 0..200)) {
        is_answered_properly(&body)?;
    }

    #[test]
    fn no_bent_request_makes_the_parser_panic(
        which in any::<Index>(),
        bends in vec(bend(), 1..4),
    ) {
        thread_local! {
            static BODIES: Vec<String> = golden::request_bodies();
        }
        let body = BODIES.with(|bodies| which.get(bodies).clone().into_bytes());
        is_answered_properly(&bent(body, &bends))?;
    }

    #[test]
    fn a_refusal_repeats_nothing_that_was_said(junk in "[^\"\\\\\\x00-\\x1f]{0,20}") {
        for message in [
            format!(r#"{{"messages":[{{"role":"SECRET{junk}","content":"Hi"}}]}}"#),
            format!(r#"{{"messages":"SECRET{junk}"}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":{{"SECRET{junk}":1}}}}]}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"SECRET{junk}"}}]}}]}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":"SECRET{junk}"}}],"temperature":"SECRET"}}"#),
            format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}],"tools":"SECRET{junk}"}}"#),
        ] {
            prop_assert!(support::plan(message.as_bytes(), &CAPABILITIES).is_err());
            is_answered_properly(message.as_bytes())?;
        }
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_wherever_they_stand() {
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xf5\x80\x80\x80",
    ] {
        for (before, after) in [
            (
                &br#"{"messages":[{"role":"user","content":""#[..],
                &br#""}]}"#[..],
            ),
            (
                br#"{"messages":[{"role":"user","content":"Hi"}],"x":""#,
                br#""}"#,
            ),
            (
                br#"{"messages":[{"role":"user","content":"Hi"}],"x"#,
                br#"":1}"#,
            ),
        ] {
            let body = [before, bytes, after].concat();
            assert_eq!(code(&body), "invalid_json", "{}", body.escape_ascii());
        }
    }
}

#[test]
fn a_hundred_thousand_levels_are_refused_wherever_they_stand() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = open.repeat(100_000) + "0" + &close.repeat(100_000);
        let unclosed = open.repeat(100_000);
        for value in [&deep, &unclosed] {
            let bodies = [
                value.clone(),
                format!(r#"{{"messages":{value}}}"#),
                format!(r#"{{"messages":[{{"role":"user","content":{value}}}]}}"#),
                format!(r#"{{"messages":[{{"role":"user","content":"Hi","x":{value}}}]}}"#),
                format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}],"mystery":{value}}}"#),
            ];
            for body in bodies {
                let code = code(body.as_bytes());
                assert!(
                    ["invalid_json", "invalid_value"].contains(&code),
                    "{code}: {}",
                    &body[..80]
                );
            }
            for row in fal_gateway::translate::face::chat::parameters::PARAMETERS {
                let hi = r#""messages":[{"role":"user","content":"Hi"}],"#;
                let hi = if row.name == "messages" { "" } else { hi };
                let body = format!(r#"{{{hi}"{}":{value}}}"#, row.name);
                assert_ne!(code(body.as_bytes()), "ok", "{}", row.name);
            }
        }
    }
}

#[test]
fn brackets_inside_strings_are_not_levels() {
    let brackets = "[{\\\"".repeat(MAX_DEPTH * 2);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"Hi"}}],"metadata":{{"a":"{brackets}"}},"x":"{brackets}"}}"#
    );
    assert_eq!(code(body.as_bytes()), "ok");
}
