//! A text that matches a regular expression, as long as the expression is a plain one.
//!
//! Takes the first alternative, the least number of repetitions and the first character of every
//! class. Look-arounds and back-references are passed over; their text may then not match.

use std::{iter::Peekable, str::Chars};

/// Repetitions that are made at most.
const MAX_REPEATS: usize = 1_000;
/// Groups inside groups.
const DEEPEST: usize = 50;

/// A match of `pattern` that is at least so many characters long if the pattern has room for it.
pub(super) fn sample(pattern: &str, least: usize) -> Option<String> {
    let shortest = Sampler {
        chars: pattern.chars().peekable(),
        stretch: 0,
    }
    .whole()?;
    let missing = least.saturating_sub(shortest.chars().count());
    if missing == 0 {
        return Some(shortest);
    }
    Sampler {
        chars: pattern.chars().peekable(),
        stretch: missing.min(MAX_REPEATS),
    }
    .whole()
}

struct Sampler<'a> {
    chars: Peekable<Chars<'a>>,
    /// Repetitions that the first open-ended one makes more than it has to.
    stretch: usize,
}

impl Sampler<'_> {
    fn whole(mut self) -> Option<String> {
        let text = self.alternatives(0)?;
        self.chars.next().is_none().then_some(text)
    }

    fn alternatives(&mut self, depth: usize) -> Option<String> {
        let first = self.sequence(depth)?;
        while self.chars.next_if_eq(&'|').is_some() {
            self.sequence(depth)?;
        }
        Some(first)
    }

    fn sequence(&mut self, depth: usize) -> Option<String> {
        let mut text = String::new();
        while let Some(&next) = self.chars.peek() {
            if matches!(next, '|' | ')') {
                break;
            }
            let atom = self.atom(depth)?;
            let repeats = self.repeats()?;
            text.push_str(&atom.repeat(repeats));
        }
        Some(text)
    }

    fn atom(&mut self, depth: usize) -> Option<String> {
        match self.chars.next()? {
            '^' | '$' => Some(String::new()),
            '.' => Some("a".to_owned()),
            '[' => self.class().map(String::from),
            '(' => self.group(depth),
            '\\' => self.escape(),
            char => Some(char.to_string()),
        }
    }

    fn group(&mut self, depth: usize) -> Option<String> {
        if depth > DEEPEST {
            return None;
        }
        let mut looks_around = false;
        if self.chars.next_if_eq(&'?').is_some() {
            self.chars.next_if_eq(&'P');
            let named = self.chars.next_if_eq(&'<').is_some();
            looks_around = self.chars.next_if(|c| matches!(c, '=' | '!')).is_some();
            if named && !looks_around {
                while self.chars.next()? != '>' {}
            }
            self.chars.next_if_eq(&':');
        }
        let text = self.alternatives(depth + 1)?;
        self.chars.next_if_eq(&')')?;
        Some(if looks_around { String::new() } else { text })
    }

    fn escape(&mut self) -> Option<String> {
        Some(match self.chars.next()? {
            'b' | 'B' | 'A' | 'Z' | 'z' => String::new(),
            class => self.escaped_char(class)?.to_string(),
        })
    }

    fn escaped_char(&mut self, class: char) -> Option<char> {
        Some(match class {
            'd' => '1',
            'w' | 'D' | 'S' => 'a',
            's' => ' ',
            'W' => '-',
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'p' | 'P' => {
                self.chars.next_if_eq(&'{')?;
                while self.chars.next()? != '}' {}
                'a'
            }
            literal => literal,
        })
    }

    /// The first character of a class, or one outside of a negated one.
    fn class(&mut self) -> Option<char> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let start = match self.chars.next()? {
                ']' if !ranges.is_empty() => break,
                '\\' => {
                    let class = self.chars.next()?;
                    self.escaped_char(class)?
                }
                char => char,
            };
            let mut end = start;
            if self.chars.next_if_eq(&'-').is_some() {
                match self.chars.peek() {
                    Some(']') => ranges.push(('-', '-')),
                    _ => end = self.chars.next()?,
                }
            }
            ranges.push((start, end));
        }
        if !negated {
            return ranges.first().map(|(start, _)| *start);
        }
        let excluded = |char: &char| {
            ranges
                .iter()
                .any(|(start, end)| (start..=end).contains(&char))
        };
        "aA0-_ .".chars().find(|char| !excluded(char))
    }

    fn repeats(&mut self) -> Option<usize> {
        let (least, open) = match self.chars.peek() {
            Some('*') => (0, true),
            Some('+') => (1, true),
            Some('?') => (0, false),
            Some('{') => return self.counted(),
            _ => return Some(1),
        };
        self.chars.next();
        self.lazy();
        Some(if open {
            least + std::mem::take(&mut self.stretch)
        } else {
            least
        })
    }

    /// `{2}`, `{2,}` or `{2,5}`.
    fn counted(&mut self) -> Option<usize> {
        self.chars.next();
        let mut inside = String::new();
        loop {
            match self.chars.next()? {
                '}' => break,
                char => inside.push(char),
            }
        }
        self.lazy();
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        let least: usize = least.trim().parse().ok()?;
        let most = most.trim().parse().unwrap_or(MAX_REPEATS).max(least);
        let more = self.stretch.min(most - least);
        self.stretch -= more;
        Some((least + more).min(MAX_REPEATS))
    }

    fn lazy(&mut self) {
        self.chars.next_if(|c| matches!(c, '?' | '+'));
    }
}

#[cfg(test)]
mod tests {
    use super::sample;

    #[test]
    fn plain_patterns_are_matched() {
        let cases = [
            (r"^[A-Z]{3}-\d{2,4}$", "AAA-11"),
            (r"^(?:red|green)\.(png|jpg)?$", "red."),
            (r"[^a-z]+x*", "A"),
            (r"^(?P<year>\d{4})(-\d\d)+$", "1111-11"),
            ("", ""),
        ];
        for (pattern, text) in cases {
            assert_eq!(sample(pattern, 0).as_deref(), Some(text), "{pattern}");
        }
        assert_eq!(sample("^[a-z]+$", 5).as_deref(), Some("aaaaa"));
        assert_eq!(sample("(", 0), None);
    }
}
