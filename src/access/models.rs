//! Which models a key may ask for.

use crate::config::ModelPattern;

/// What a key or a project may ask for.
///
/// ```
/// use fal_gateway::access::ModelRules;
/// use fal_gateway::config::ModelPattern;
///
/// let pattern = |text: &str, excludes| ModelPattern { excludes, text: text.to_owned() };
/// let rules = ModelRules::new(&[pattern("openai/*", false), pattern("*-pro", true)], false);
/// assert!(rules.allow("openai/gpt-4o-mini", false));
/// assert!(!rules.allow("openai/gpt-4o", true), "its rate is premium");
/// assert!(!rules.allow("openai/o3-pro", false), "it is taken out");
/// assert!(!rules.allow("google/gemini-2.5-flash", false), "it is not let in");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRules {
    /// Empty for all.
    allowed: Vec<Box<str>>,
    excluded: Vec<Box<str>>,
    premium: bool,
}

impl ModelRules {
    /// Lets in what any of the patterns lets in, or everything where none does, but nothing that one
    /// takes out, and models at the premium rate only if `premium` is true.
    pub fn new(patterns: &[ModelPattern], premium: bool) -> Self {
        let texts = |excludes| {
            patterns
                .iter()
                .filter(move |pattern| pattern.excludes == excludes)
                .map(|pattern| pattern.text.as_str().into())
                .collect()
        };
        Self {
            allowed: texts(false),
            excluded: texts(true),
            premium,
        }
    }

    /// Whether a model may be asked for. `is_premium` is whether it costs the premium rate, or might.
    pub fn allow(&self, id: &str, is_premium: bool) -> bool {
        let matches = |patterns: &[Box<str>]| patterns.iter().any(|pattern| matches(pattern, id));
        (self.premium || !is_premium)
            && (self.allowed.is_empty() || matches(&self.allowed))
            && !matches(&self.excluded)
    }
}

/// Whether a text is what a pattern stands for, in which `*` stands for any bytes, none included.
/// Each part between stars is looked for once, from the left, so the time is at most that of
/// looking for all of them.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(inner) = text
        .strip_prefix(start)
        .and_then(|text| text.strip_suffix(end))
    else {
        return false;
    };
    let mut left = inner;
    middle.split('*').all(|part| match left.split_once(part) {
        Some((_, behind)) => {
            left = behind;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a/b"),
            ("a/*", "a/"),
            ("a/*", "a/b/c"),
            ("*b", "b"),
            ("a*c", "abc"),
            ("a*b*c", "aXbYc"),
            ("a*b*c", "abc"),
            ("**a**", "xay"),
            ("a/b", "a/b"),
            ("*a*a*", "aa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "A"),
            ("a/*", "b/a/"),
            ("ab*ba", "aba"),
            ("a*b*c", "acb"),
            ("*a*a*", "a"),
            ("a*", "ba"),
            ("*a", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
