//! What a message offers to fill arguments with: quoted texts, names, numbers, `word: value` pairs.

use std::collections::VecDeque;

use serde_json::{Number, Value};

use super::scan;

/// A message, read for values. Names and numbers are handed out once each, in their order.
#[derive(Debug)]
pub(super) struct Hints<'a> {
    message: &'a str,
    words: Vec<String>,
    names: VecDeque<String>,
    numbers: VecDeque<Number>,
}

/// Words that begin sentences and are no names.
const OPENERS: [&str; 58] = [
    "A",
    "Add",
    "And",
    "Answer",
    "Ask",
    "Book",
    "By",
    "Call",
    "Can",
    "Check",
    "Compare",
    "Could",
    "Create",
    "Delete",
    "Describe",
    "Do",
    "Does",
    "Explain",
    "Extract",
    "Find",
    "For",
    "From",
    "Generate",
    "Get",
    "Give",
    "Hello",
    "Hi",
    "How",
    "I",
    "If",
    "In",
    "Is",
    "It",
    "List",
    "Look",
    "Make",
    "My",
    "Name",
    "Please",
    "Read",
    "Say",
    "Search",
    "Send",
    "Show",
    "Summarise",
    "Summarize",
    "Tell",
    "The",
    "Then",
    "Translate",
    "Use",
    "What",
    "When",
    "Where",
    "Which",
    "Who",
    "Why",
    "Write",
];

impl<'a> Hints<'a> {
    pub(super) fn read(message: &'a str) -> Hints<'a> {
        let mut names: VecDeque<String> = quoted(message).map(str::to_owned).collect();
        for name in capitalised(message) {
            if !names.contains(&name) {
                names.push_back(name);
            }
        }
        Hints {
            message,
            words: scan::words(message).collect(),
            names,
            numbers: tokens(message).filter_map(number).collect(),
        }
    }

    pub(super) fn message(&self) -> &'a str {
        self.message.trim()
    }

    /// Whether all words of `text` occur in the message.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let mut words = scan::words(text).peekable();
        words.peek().is_some() && words.all(|word| self.words.contains(&word))
    }

    /// The value of `property: value` or `property=value`.
    pub(super) fn named(&self, property: &str) -> Option<&'a str> {
        let rest = self
            .message
            .match_indices([':', '='])
            .find_map(|(at, sign)| {
                let (before, rest) = self.message.split_at(at);
                let name = before
                    .trim_end_matches([' ', '"', '\'', '`'])
                    .rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                    .next()?;
                name.eq_ignore_ascii_case(property)
                    .then(|| rest.strip_prefix(sign))?
            })?;
        let rest = rest.trim_start();
        let value = match rest.chars().next()? {
            quote @ ('"' | '\'' | '`') => rest.split(quote).nth(1)?,
            _ => rest.split([',', ';', '\n', ' ', ')', '}']).next()?,
        };
        let value = value.trim_end_matches(['.', '?', '!']);
        (!value.is_empty()).then_some(value)
    }

    /// The next name that fits, which is not offered again.
    pub(super) fn take_name(&mut self, fits: impl Fn(&str) -> bool) -> Option<String> {
        let at = self.names.iter().position(|name| fits(name))?;
        self.names.remove(at)
    }

    /// The next number that fits, which is not offered again.
    pub(super) fn take_number(&mut self, fits: impl Fn(&Number) -> bool) -> Option<Number> {
        let at = self.numbers.iter().position(fits)?;
        self.numbers.remove(at)
    }

    /// The first word, without the punctuation around it, that fits.
    pub(super) fn token(&self, fits: impl Fn(&str) -> bool) -> Option<&'a str> {
        tokens(self.message).find(|token| fits(token))
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| {
        word.trim_end_matches([',', '.', ';', ':', '!', '?', ')', ']', '"', '\''])
            .trim_start_matches(['(', '[', '"', '\''])
    })
}

fn number(token: &str) -> Option<Number> {
    match serde_json::from_str(token).ok()? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// The texts in double quotes or backticks. An apostrophe is no quotation mark.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let quotes = |c: char| matches!(c, '"' | '`' | '“' | '”');
    let parts: Vec<&str> = text.split(quotes).collect();
    // An odd part that nothing closes is not quoted.
    let closed = parts.len().saturating_sub(1) / 2;
    parts
        .into_iter()
        .skip(1)
        .step_by(2)
        .take(closed)
        .filter(|part| !part.trim().is_empty())
}

/// Runs of capitalised words, such as `New York`. A lone one that begins a sentence comes after the
/// others, because any word may stand there.
fn capitalised(text: &str) -> Vec<String> {
    let mut runs: Vec<(bool, String)> = Vec::new();
    let mut open = false;
    let mut begins = true;
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_name = bare.starts_with(char::is_uppercase) && !OPENERS.contains(&bare);
        if is_name {
            match runs.last_mut().filter(|_| open) {
                Some((doubtful, run)) => {
                    *doubtful = false;
                    run.push(' ');
                    run.push_str(bare);
                }
                None => runs.push((begins, bare.to_owned())),
            }
        }
        open = is_name && word.ends_with(char::is_alphanumeric);
        begins = word.ends_with(['.', '!', '?', ':']);
    }
    runs.sort_by_key(|(doubtful, _)| *doubtful);
    runs.into_iter().map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::Hints;

    #[test]
    fn names_and_numbers_are_handed_out_in_order() {
        let mut hints =
            Hints::read("How do I get from New York to Paris, \"by train\", in 3 or 4.5 days?");
        let mut names = Vec::new();
        while let Some(name) = hints.take_name(|_| true) {
            names.push(name);
        }
        assert_eq!(names, ["by train", "New York", "Paris"]);
        assert_eq!(
            hints
                .take_number(|n| n.is_f64())
                .map(|n| n.to_string())
                .as_deref(),
            Some("4.5")
        );
        assert_eq!(
            hints
                .take_number(|_| true)
                .map(|n| n.to_string())
                .as_deref(),
            Some("3")
        );
    }

    #[test]
    fn pairs_are_found_by_their_name() {
        let hints = Hints::read("Weather (city: Paris, unit=\"c\"; days:3).");
        assert_eq!(hints.named("city"), Some("Paris"));
        assert_eq!(hints.named("unit"), Some("c"));
        assert_eq!(hints.named("days"), Some("3"));
        assert_eq!(hints.named("when"), None);
        assert!(hints.mentions("city") && !hints.mentions("hour"));
    }
}
