//! What holds for every text and every value.

use fal_gateway::translate::json::{
    Fix, Found, Progress, Root, RootScanner, Schema, coerce, parse_arguments, repair, root,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            object(inner),
        ]
    })
}

fn object(member: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((text(), member), 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Strings that look like structure.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,8}", r#"[{}\[\]",:'\\/*#`nu0 “”é]{0,12}"#]
}

/// Texts that are almost JSON.
fn almost_json() -> impl Strategy<Value = String> {
    let tokens = prop_oneof![
        r#"[{}\[\],:"'\\]"#,
        r#""[a-z\\"]{0,4}""#,
        Just("\"C:\\Users\\new\"".to_owned()),
        Just("True".to_owned()),
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("name:".to_owned()),
        Just("// c\n".to_owned()),
        Just("/* c */".to_owned()),
        Just("“x”".to_owned()),
        Just("```json\n".to_owned()),
        Just("\n".to_owned()),
        Just("\\ud83d".to_owned()),
    ];
    prop::collection::vec(tokens, 0..24).prop_map(|tokens| tokens.concat())
}

fn scanned<'t>(pieces: impl Iterator<Item = &'t str>) -> (String, Progress) {
    let mut scanner = RootScanner::new();
    let mut out = String::new();
    for piece in pieces {
        scanner.push(piece, &mut out);
    }
    scanner.finish(&mut out);
    (out, scanner.progress())
}

proptest! {
    #[test]
    fn valid_json_passes_byte_for_byte(value in value(), is_pretty in any::<bool>()) {
        let json = if is_pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let repaired = repair(&json).unwrap();
        prop_assert_eq!(repaired.json.as_ref(), &json);
        prop_assert!(repaired.fixes.is_empty());
        if value.is_object() || value.is_array() {
            prop_assert_eq!(root(&json), Some(Root { json: &json, found: Found::Plain }));
        }
        if value.is_object() {
            prop_assert_eq!(parse_arguments(&json, None).unwrap().json, json);
        }
    }

    #[test]
    fn a_root_is_found_in_a_fence_and_after_prose(value in object(value()), prose in "[a-zA-Z.,][a-zA-Z .,]{0,30}") {
        let json = value.to_string();
        let fenced = format!("{prose}\n```json\n{json}\n```\n{prose}");
        prop_assert_eq!(root(&fenced), Some(Root { json: &json, found: Found::Fenced }));
        let alone = format!("{prose}\n\n{json}\n\n{prose}");
        prop_assert_eq!(root(&alone), Some(Root { json: &json, found: Found::InProse }));
    }

    #[test]
    fn arbitrary_text_never_panics_and_what_is_repaired_parses(
        text in prop_oneof![any::<String>(), almost_json(), text()],
    ) {
        if let Some(repaired) = repair(&text) {
            prop_assert!(serde_json::from_str::<Value>(&repaired.json).is_ok());
            let again = repair(&repaired.json).unwrap();
            prop_assert_eq!(again.json.as_ref(), repaired.json.as_ref());
            prop_assert!(again.fixes.is_empty());
        }
        let _ = root(&text);
        let _ = parse_arguments(&text, None);
    }

    #[test]
    fn a_valid_text_with_commas_and_closers_too_many_means_the_same(value in object(value())) {
        let json = value.to_string();
        let inner = json.strip_suffix('}').unwrap();
        let comma = if inner == "{" { "" } else { " , " };
        let broken = format!("{inner}{comma}// end\n}}]}}");
        let repaired = repair(&broken).unwrap();
        let parsed = serde_json::from_str::<Value>(&repaired.json).unwrap();
        prop_assert_eq!(parsed.to_string(), serde_json::from_str::<Value>(&json).unwrap().to_string());
        prop_assert!(repaired.fixes.iter().all(|fix| fix.is_lossless()));
    }

    #[test]
    fn a_text_cut_anywhere_is_closed_and_says_so(value in object(value()), cut in any::<prop::sample::Index>()) {
        let json = value.to_string();
        let ends = json.char_indices().map(|(at, _)| at).skip(1).collect::<Vec<_>>();
        let beginning = json.get(..*cut.get(&ends)).unwrap();
        let repaired = repair(beginning).unwrap();
        prop_assert_eq!(repaired.fixes, [Fix::Closed]);
    }

    #[test]
    fn a_scanner_does_not_mind_where_text_is_cut(
        lead in prop_oneof![Just(""), Just("```json\n"), Just("~~~\n"), Just(" \n"), Just("Well: ")],
        text in prop_oneof![value().prop_map(|value| value.to_string()), almost_json()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = format!("{lead}{text}\n```\nDone {{}}");
        let borders = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
        let mut cuts = cuts.iter().map(|cut| *cut.get(&borders)).collect::<Vec<_>>();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let whole = scanned(std::iter::once(text.as_str()));
        let pieces = cuts.windows(2).map(|ends| text.get(ends[0]..ends[1]).unwrap());
        prop_assert_eq!(scanned(pieces), whole.clone());
        let single = text.split_inclusive(|_| true);
        prop_assert_eq!(scanned(single), whole);
    }

    #[test]
    fn a_scanner_finds_the_root_that_the_whole_text_has(value in object(value()), fence in any::<bool>()) {
        let json = value.to_string();
        let text = if fence { format!("```json\n{json}\n```") } else { format!("{json}\n") };
        prop_assert_eq!(scanned(std::iter::once(text.as_str())), (json, Progress::Closed));
    }

    #[test]
    fn values_spelled_as_strings_regain_their_types(n in any::<i32>(), b in any::<bool>(), list in prop::collection::vec(any::<i16>(), 1..5)) {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer"},
                "b": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
                "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            },
            "required": ["n", "b", "list"],
            "$defs": {"item": {"type": "integer"}},
        });
        let meant = json!({"n": n, "b": b, "list": list});
        let mut written = json!({
            "n": n.to_string(),
            "b": b.to_string(),
            "list": list.iter().map(i16::to_string).collect::<Vec<_>>(),
        });
        coerce(&mut written, &schema);
        prop_assert_eq!(&written, &meant);
        prop_assert_eq!(Schema::new(&schema).unwrap().check(&written), Ok(()));
        let mut again = written.clone();
        prop_assert!(coerce(&mut again, &schema).is_empty());
    }

    #[test]
    fn what_fits_a_schema_fits_it_after_coercion(value in value()) {
        let scalar = json!({"type": ["string", "number", "null", "boolean"]});
        let schema = json!({
            "anyOf": [
                scalar,
                {"type": "array", "items": {"$ref": "#"}},
                {"type": "object", "additionalProperties": {"$ref": "#"}},
            ],
        });
        let checked = Schema::new(&schema).unwrap();
        let mut coerced = value.clone();
        let fixes = coerce(&mut coerced, &schema);
        prop_assert_eq!(checked.check(&value), Ok(()));
        prop_assert_eq!(checked.check(&coerced), Ok(()));
        prop_assert!(fixes.is_empty());
        prop_assert_eq!(coerced, value);
    }

    #[test]
    fn coercion_reports_exactly_when_it_changes(value in object(value())) {
        let schema = json!({"additionalProperties": {"type": ["integer", "array"], "items": {"type": "boolean"}}});
        let mut coerced = value.clone();
        let fixes = coerce(&mut coerced, &schema);
        prop_assert_eq!(fixes.is_empty(), coerced == value);
    }
}
