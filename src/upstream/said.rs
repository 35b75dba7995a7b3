//! fal's own words about a refusal, made fit for a caller's eyes.
//!
//! What fal says is often the only thing that tells a caller what to mend. It is shortened, and
//! cleaned of what does not belong there: the input that pydantic quotes, control characters, pages
//! of HTML, addresses, the key, and random ids, in which clients would find numbers such as that of a
//! rate limit.

use crate::wire::fal::error::{Detail, ErrorBody};

/// The most that is passed on, in characters.
const MAX_CHARS: usize = 300;
/// How many of the things that are wrong are named.
const MAX_DETAILS: usize = 3;

/// fal's words in the body of a refusal, if there are any worth passing on. `key` is the fal key.
pub fn said(body: &[u8], key: &str) -> Option<String> {
    let body: ErrorBody<'_> = serde_json::from_slice(body).ok()?;
    let raw = body.detail?.get();
    let words = match serde_json::from_str::<Vec<Detail<'_>>>(raw) {
        Ok(details) => details
            .iter()
            .filter_map(|detail| detail.msg.as_ref())
            .take(MAX_DETAILS)
            .map(|msg| msg.as_str())
            .collect::<Vec<_>>()
            .join("; "),
        Err(_) => serde_json::from_str::<String>(raw).ok()?,
    };
    let words = match words.starts_with("Error code:") {
        true => providers_message(&words)?.to_owned(),
        false => words,
    };
    if words.contains("<html") || words.contains("<!doctype") || words.contains("<!DOCTYPE") {
        return None;
    }
    let cleaned = cleaned(&words, key);
    (!cleaned.is_empty()).then_some(cleaned)
}

/// The message of a provider's error that the application quotes as Python writes it; what stands
/// around it names accounts and providers.
fn providers_message(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("'message': ")?;
    let quote = rest.chars().next().filter(|quote| "'\"".contains(*quote))?;
    rest.get(1..)?.split(quote).next()
}

/// Word by word, each control character a blank, cut at the limit.
fn cleaned(words: &str, key: &str) -> String {
    let secrets = key.split(':').filter(|part| part.len() >= 4);
    let secrets: Vec<&str> = secrets.collect();
    let is_gap = |letter: char| letter.is_whitespace() || letter.is_control();
    let mut out = String::new();
    // What cannot fit need not be looked at, however long it is.
    let start: String = words.chars().take(4 * MAX_CHARS).collect();
    for word in start.split(is_gap).filter(|word| !word.is_empty()) {
        let is_hidden = word.contains("://")
            || secrets.iter().any(|secret| word.contains(secret))
            || is_random(word);
        let shown = if is_hidden { "[…]" } else { word };
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(shown);
    }
    match out.char_indices().nth(MAX_CHARS) {
        None => out,
        Some((end, _)) => {
            out.truncate(end);
            out.push('…');
            out
        }
    }
}

/// What the ids of accounts and of keys begin with, at fal and at its providers.
const ID_PREFIXES: [&str; 8] = [
    "user_",
    "org_",
    "team_",
    "workspace_",
    "acct_",
    "key_",
    "sk-",
    "proj_",
];

/// Whether a word holds an id rather than something that a person would say: a long run of letters,
/// hyphens and several digits, or one that begins as the ids of accounts do and goes on at random.
fn is_random(word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    word.split(|letter| !is_part(letter)).any(|run| {
        let digits = run.chars().filter(char::is_ascii_digit).count();
        run.len() >= 16 && digits >= 4 || is_account(run)
    })
}

/// Whether a run of letters is the id of an account: names of fields, which begin alike, have neither
/// digits nor capitals.
fn is_account(run: &str) -> bool {
    let is_telling = |letter: char| letter.is_ascii_digit() || letter.is_ascii_uppercase();
    let folded = run.to_ascii_lowercase();
    let prefix = ID_PREFIXES
        .iter()
        .find(|prefix| folded.starts_with(**prefix));
    prefix.is_some_and(|prefix| {
        run.get(prefix.len()..)
            .unwrap_or_default()
            .contains(is_telling)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(detail: &str) -> Option<String> {
        said(format!("{{\"detail\":{detail}}}").as_bytes(), "kid:ksecret")
    }

    #[test]
    fn what_is_wrong_is_said_without_the_input_that_was_wrong() {
        let detail = r#"[{"loc":["body","temperature"],"msg":"Input should be less than or equal to 2","type":"less_than_equal","input":"planted","ctx":{"le":2.0}}]"#;
        let words = "Input should be less than or equal to 2";
        assert_eq!(of(detail).as_deref(), Some(words));
        let text = r#""max_tokens must be at most 8192 for google/gemini-2.5-flash""#;
        let words = "max_tokens must be at most 8192 for google/gemini-2.5-flash";
        assert_eq!(of(text).as_deref(), Some(words));
    }

    #[test]
    fn what_is_nobodys_business_is_left_out() {
        let cases = [
            (
                "kid:ksecret at http://10.0.0.1/x failed",
                Some("[…] at […] failed"),
            ),
            (
                "line\\u0000one\\nline\\u001b[31m two",
                Some("line one line [31m two"),
            ),
            ("see 396ad8de-a671-4295-bd62-429aa4290000.", Some("see […]")),
            (
                "Workspace user_2kQwErTyUiOpAsDfGhJkLzXcVbN is over its limit",
                Some("Workspace […] is over its limit"),
            ),
            (
                "of (org_qwertzuiopASDF), key sk-or-v1-abc",
                Some("of […] key […]"),
            ),
            (
                "user_name is no field of team_ids",
                Some("user_name is no field of team_ids"),
            ),
            ("<html><body>nginx</body></html>", None),
            ("", None),
        ];
        for (text, words) in cases {
            assert_eq!(of(&format!("\"{text}\"")).as_deref(), words, "{text}");
        }
        assert_eq!(said(b"<html>", ""), None);
        assert_eq!(said(b"{}", ""), None);
    }

    #[test]
    fn it_is_never_long() {
        let long = of(&format!("\"{}\"", "word ".repeat(100_000))).expect("words");
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
    }
}
