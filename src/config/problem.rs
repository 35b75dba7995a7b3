//! What is wrong with the settings, one sentence each.

use std::fmt;

/// One thing the operator has to change. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is: `fal-gateway.toml:12`, `environment variable PORT`, `flag --listen`.
    pub origin: String,
    /// What is wrong there, what is allowed, and what was probably meant.
    pub sentence: String,
    /// The field of a table that it is about.
    pub field: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.sentence)
    }
}

/// Everything that is wrong; printed with one problem per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Names and values out of the sources may stand in both texts.
    pub(super) fn add(&mut self, origin: impl Into<String>, sentence: impl Into<String>) {
        self.0.push(Problem {
            origin: printable(origin.into()),
            sentence: printable(sentence.into()),
            field: None,
        });
    }

    /// Says of the problems behind so many that they are about this field.
    pub(super) fn are_about(&mut self, field: &str, known: usize) {
        for problem in self.0.iter_mut().skip(known) {
            problem.field = Some(printable(field.to_owned()));
        }
    }
}

/// A text that fits on a line and cannot steer a terminal: shortened in its middle, and without
/// control characters.
fn printable(text: String) -> String {
    /// Characters that are kept at each end; no sentence of ours is as long as both.
    const END: usize = 240;
    let length = text.chars().count();
    if length <= 2 * END && !text.contains(char::is_control) {
        return text;
    }
    let mut printable = String::with_capacity(text.len().min(8 * END));
    for (at, letter) in text.chars().enumerate() {
        match letter {
            _ if at == END && length > 2 * END => printable.push('…'),
            _ if at > END && at < length.saturating_sub(END) => {}
            _ if letter.is_control() => printable.extend(letter.escape_default()),
            _ => printable.push(letter),
        }
    }
    printable
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name that was probably meant.
pub(super) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    nearest_by(typed, known, |name| name)
}

/// Like [`nearest`], for things that have a name.
pub(super) fn nearest_by<'a, T: Copy>(
    typed: &str,
    known: impl IntoIterator<Item = T>,
    name: impl Fn(T) -> &'a str,
) -> Option<T> {
    const ALIKE: f64 = 0.6;
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|thing| {
            let likeness = strsim::normalized_damerau_levenshtein(&typed, name(thing));
            (thing, likeness)
        })
        .filter(|&(_, likeness)| likeness >= ALIKE)
        // Of two alike, the first: the table begins with what people set most.
        .reduce(|best, other| if other.1 > best.1 { other } else { best })
        .map(|(thing, _)| thing)
}

/// The end of a sentence about a name that is not known: empty, or a question.
pub(super) fn did_you_mean(name: Option<impl fmt::Display>) -> String {
    name.map_or_else(
        || ".".to_owned(),
        |name| format!("; did you mean `{name}`?"),
    )
}
