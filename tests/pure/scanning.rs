//! The stop scanner and the token estimate against their simplest descriptions.

use fal_gateway::translate::reading::scan::StopScanner;
use fal_gateway::translate::usage::TokenEstimate;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::cases;

/// Few letters, so that patterns overlap, nest and nearly match.
const PATTERN: &str = "[ab<é\n]{1,5}";
const TEXT: &str = "[ab<é\n]{0,24}";

/// The text before the match that begins first, and which pattern that is, looking at all of it at
/// once.
fn before_the_first_match<'t>(text: &'t str, patterns: &[String]) -> (&'t str, Option<usize>) {
    let matches_at = |at: usize| {
        let fitting = (0..patterns.len()).filter(|index| text[at..].starts_with(&patterns[*index]));
        fitting.min_by_key(|index| patterns[*index].len())
    };
    let mut places = text.char_indices().map(|(at, _)| at);
    match places.find_map(|at| Some((at, matches_at(at)?))) {
        Some((at, pattern)) => (&text[..at], Some(pattern)),
        None => (text, None),
    }
}

/// The pieces that a text falls into when it is cut after these numbers of characters.
fn pieces(text: &str, lengths: &[usize]) -> Vec<String> {
    let mut letters = text.chars();
    let mut pieces: Vec<String> = lengths
        .iter()
        .map(|length| letters.by_ref().take(*length).collect())
        .collect();
    pieces.push(letters.collect());
    pieces
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn the_scanner_finds_what_a_search_of_the_whole_text_finds(
        text in TEXT,
        patterns in vec(PATTERN, 0..5),
        lengths in vec(0..5usize, 0..12),
    ) {
        let mut scanner = StopScanner::new(patterns.clone());
        let mut out = String::new();
        for piece in pieces(&text, &lengths) {
            scanner.push(&piece, &mut out);
            let (expected, _) = before_the_first_match(&text, &patterns);
            prop_assert!(expected.starts_with(&out), "let {:?} out of {:?}", out, text);
        }
        scanner.finish(&mut out);
        let (expected, matched) = before_the_first_match(&text, &patterns);
        prop_assert_eq!(out, expected);
        prop_assert_eq!(scanner.matched(), matched);
    }

    #[test]
    fn what_cannot_begin_a_match_is_never_held_back(
        text in "[xyz]{0,20}",
        patterns in vec(PATTERN, 0..5),
        lengths in vec(0..5usize, 0..12),
    ) {
        let mut scanner = StopScanner::new(patterns);
        let mut out = String::new();
        let mut pushed = String::new();
        for piece in pieces(&text, &lengths) {
            scanner.push(&piece, &mut out);
            pushed.push_str(&piece);
            prop_assert_eq!(&out, &pushed);
        }
    }

    #[test]
    fn the_token_estimate_does_not_depend_on_the_cuts(
        text in any::<String>(),
        lengths in vec(0..9usize, 0..12),
    ) {
        let mut whole = TokenEstimate::default();
        whole.push(&text);
        let mut cut = TokenEstimate::default();
        for piece in pieces(&text, &lengths) {
            cut.push(&piece);
        }
        prop_assert_eq!(cut.tokens(), whole.tokens());
    }
}
