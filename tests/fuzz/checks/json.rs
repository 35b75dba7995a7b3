//! Almost JSON: what is valid stays as it is, what is repaired parses, and nothing depends on cuts.

use fal_gateway::translate::json::{Progress, RootScanner, parse_arguments, repair, root};
use serde_json::{Map, Value};

use super::collector::{chance, pieces};

pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(repaired) = repair(&text) {
        let value = serde_json::from_str::<Value>(&repaired.json);
        assert!(value.is_ok(), "{} became {}", text, repaired.json);
        let again = repair(&repaired.json).expect("what was repaired is valid");
        assert_eq!(again.json, repaired.json);
        assert_eq!(again.fixes, [], "what was repaired needs no repair");
        if serde_json::from_str::<Value>(&text).is_ok() {
            assert_eq!(repaired.json, text);
            assert_eq!(repaired.fixes, []);
        }
    }
    if let Some(root) = root(&text) {
        assert!(text.contains(root.json));
    }
    match parse_arguments(&text, None) {
        Ok(arguments) => {
            let value = serde_json::from_str::<Map<String, Value>>(&arguments.json);
            assert!(value.is_ok(), "{} became {}", text, arguments.json);
        }
        Err(error) => assert!(error.message().chars().count() <= 600),
    }
    let whole = scanned([text.as_ref()]);
    let mut rng = chance(data);
    assert_eq!(scanned(pieces(&text, &mut rng)), whole, "cut anywhere");
    let letters = text.split_inclusive(|_: char| true);
    assert_eq!(scanned(letters), whole, "letter by letter");
}

fn scanned<'t>(pieces: impl IntoIterator<Item = &'t str>) -> (String, Progress) {
    let mut scanner = RootScanner::new();
    let mut out = String::new();
    for piece in pieces {
        scanner.push(piece, &mut out);
    }
    scanner.finish(&mut out);
    (out, scanner.progress())
}
