//! How large a regular expression becomes.

use std::str::Chars;

/// States of a class that holds most of Unicode: one of every shape of UTF-8.
const WIDE: usize = 8;
/// States of a class such as `\p{L}`.
const PROPERTY: usize = 500;

/// About how many states a pattern compiles to.
///
/// Matching in linear time means time in proportion to the text *and* to this number, and
/// repetitions multiply it: `(a{99}){99}` has some ten thousand. The estimate reads atoms, groups
/// and counted repetitions; what it takes for a pattern may still turn out not to be one.
pub(super) fn states(pattern: &str) -> usize {
    let mut chars = pattern.chars();
    // What is open, innermost last: the states of each group so far.
    let mut groups = vec![0_usize];
    let mut last = 0_usize;
    while let Some(next) = chars.next() {
        let before = last;
        last = match next {
            '(' => {
                groups.push(0);
                0
            }
            ')' if groups.len() > 1 => groups.pop().unwrap_or_default(),
            '[' => class(&mut chars),
            '\\' => escape(&mut chars),
            '.' => WIDE,
            '{' => match repetitions(chars.as_str()) {
                Some(times) => before.saturating_mul(times),
                None => 1,
            },
            _ => next.len_utf8(),
        };
        if next != '('
            && let Some(group) = groups.last_mut()
        {
            *group = group.saturating_add(last);
        }
    }
    groups.into_iter().fold(0, usize::saturating_add)
}

fn escape(chars: &mut Chars<'_>) -> usize {
    match chars.next() {
        Some('p' | 'P') => {
            if let Some((_, after)) = chars
                .as_str()
                .strip_prefix('{')
                .and_then(|name| name.split_once('}'))
            {
                *chars = after.chars();
            }
            PROPERTY
        }
        Some('D' | 'S' | 'W') => WIDE,
        _ => 1,
    }
}

fn class(chars: &mut Chars<'_>) -> usize {
    let mut states = 1;
    while let Some(next) = chars.next() {
        match next {
            ']' => break,
            '\\' => states = states.max(escape(chars)),
            '^' => states = states.max(WIDE),
            _ if !next.is_ascii() => states = states.max(WIDE),
            _ => {}
        }
    }
    states
}

/// The larger number of `n}`, `n,}` or `n,m}`.
fn repetitions(text: &str) -> Option<usize> {
    let (inner, _) = text.split_once('}')?;
    let numbers = inner.split(',').filter(|number| !number.is_empty());
    numbers
        .map(|number| number.parse::<usize>().ok())
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_multiply_what_they_repeat() {
        assert!((30..100).contains(&states("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}$")));
        assert!((2_000..3_000).contains(&states("^.{1,255}$")));
        assert!(states("(a{99}){99}") > 9_000);
        assert!(states("((a{99}b){99}c){99}") > 900_000);
        assert!(states(r"[\p{L} ]{2,50}") >= 25_000);
        assert!(states(r"\p{L}{50}") >= 25_000);
        assert!(states("a{b}") < 10);
    }

    #[test]
    fn what_is_no_pattern_has_a_size_as_well() {
        for pattern in [
            "",
            ")",
            "(((",
            "[",
            "\\",
            "{",
            "a{99999999999999999999}",
            "{2}{2}",
        ] {
            let _ = states(pattern);
        }
    }
}
