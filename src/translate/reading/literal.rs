//! Calls as functions of a program: `f(city="Oslo", days=3)`, and the literals in them.
//!
//! Only literals count: what would have to be computed has no value here.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::{Number, Value};

use super::envelope::{RawArguments, is_name_byte, is_name_start};
use super::positional;

/// Lists and dictionaries within one another.
const DEEPEST: usize = 32;
/// What some models put around strings, in place of quotes.
const ESCAPE: &str = "<escape>";

/// The arguments behind the opening parenthesis of a call, and what follows the closing one.
pub fn function_arguments(text: &str) -> Option<(RawArguments, &str)> {
    let mut writer = Writer::new(text);
    let values = writer.positional()?;
    writer.members(')', '=')?;
    let Writer { out, rest, .. } = writer;
    let arguments = match values.is_empty() {
        true => RawArguments::Json(out),
        false => RawArguments::Positional { values, named: out },
    };
    Some((arguments, rest))
}

/// An object with plain names, as `{city:<escape>Oslo<escape>,days:3}`, and what follows it.
pub fn plain_object(text: &str) -> Option<(String, &str)> {
    let mut writer = Writer::new(text.strip_prefix('{')?);
    writer.members('}', ':')?;
    Some((writer.out, writer.rest))
}

/// Reads literals and writes them down as JSON. Every method returns `None` for what is none.
struct Writer<'t> {
    rest: &'t str,
    out: String,
    depth: usize,
}

impl<'t> Writer<'t> {
    fn new(rest: &'t str) -> Self {
        Self {
            rest,
            out: String::new(),
            depth: 0,
        }
    }

    fn take(&mut self, mark: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(mark)?;
        Some(())
    }

    /// The values before the first one that has a name.
    fn positional(&mut self) -> Option<Vec<String>> {
        let mut values = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with(')') || self.has_name() {
                return Some(values);
            }
            self.value()?;
            values.push(std::mem::take(&mut self.out));
            if values.len() > positional::MAX {
                return None;
            }
            if self.take(',').is_none() {
                return Some(values);
            }
        }
    }

    /// Whether a name and a sign of equality come next.
    fn has_name(&self) -> bool {
        let is_part = |letter: char| u8::try_from(letter).is_ok_and(is_name_byte);
        let after = self.rest.trim_start_matches(is_part);
        is_name_start(self.rest) && after.trim_start().starts_with('=')
    }

    /// Members with plain names or with names in quotes, up to the closing mark.
    fn members(&mut self, close: char, between: char) -> Option<()> {
        let mut names = HashSet::new();
        self.out.push('{');
        while self.take(close).is_none() {
            if !names.is_empty() {
                self.take(',')?;
                self.out.push_str(", ");
                if self.take(close).is_some() {
                    self.out.truncate(self.out.len().saturating_sub(2));
                    break;
                }
            }
            let name = self.name(between == ':')?;
            self.take(between)?;
            let _ = write!(self.out, "{}: ", Value::from(name.as_str()));
            names.insert(name).then_some(())?;
            self.value()?;
        }
        self.out.push('}');
        Some(())
    }

    fn name(&mut self, may_be_quoted: bool) -> Option<String> {
        self.rest = self.rest.trim_start();
        if may_be_quoted && self.rest.starts_with(['"', '\'']) {
            return self.string();
        }
        let length = self.rest.bytes().take_while(|byte| is_name_byte(*byte));
        let (name, rest) = self.rest.split_at_checked(length.count())?;
        self.rest = rest;
        is_name_start(name).then(|| name.to_owned())
    }

    fn value(&mut self) -> Option<()> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['"', '\'']) || self.rest.starts_with(ESCAPE) {
            let text = self.string()?;
            let _ = write!(self.out, "{}", Value::from(text));
            return Some(());
        }
        let nested = match self.rest.chars().next()? {
            '[' => Some(']'),
            '{' => Some('}'),
            _ => None,
        };
        let Some(close) = nested else {
            return self.word();
        };
        self.depth = self.depth.checked_add(1).filter(|depth| *depth < DEEPEST)?;
        self.rest = self.rest.get(1..)?;
        match close {
            '}' => self.members('}', ':')?,
            _ => self.items()?,
        }
        self.depth = self.depth.saturating_sub(1);
        Some(())
    }

    fn items(&mut self) -> Option<()> {
        self.out.push('[');
        let mut is_first = true;
        while self.take(']').is_none() {
            if !is_first {
                self.take(',')?;
                if self.take(']').is_some() {
                    break;
                }
                self.out.push_str(", ");
            }
            is_first = false;
            self.value()?;
        }
        self.out.push(']');
        Some(())
    }

    /// A number, a truth value, or nothing.
    fn word(&mut self) -> Option<()> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+-._".contains(letter);
        let after = self.rest.trim_start_matches(is_part);
        let word = self.rest.strip_suffix(after)?;
        self.rest = after;
        let json = match word {
            "True" | "true" => "true",
            "False" | "false" => "false",
            "None" | "null" => "null",
            number => {
                serde_json::from_str::<Number>(number).ok()?;
                number
            }
        };
        self.out.push_str(json);
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        if let Some(inner) = self.rest.strip_prefix(ESCAPE) {
            let (text, after) = inner.split_once(ESCAPE)?;
            self.rest = after;
            return Some(text.to_owned());
        }
        let quote = self.rest.get(..1)?;
        let close = match self.rest.starts_with(&quote.repeat(3)) {
            true => quote.repeat(3),
            false => quote.to_owned(),
        };
        let inner = self.rest.strip_prefix(close.as_str())?;
        let mut text = String::new();
        let mut letters = inner.chars();
        loop {
            if let Some(after) = letters.as_str().strip_prefix(close.as_str()) {
                self.rest = after;
                return Some(text);
            }
            match letters.next()? {
                '\n' if close.len() == 1 => return None,
                '\\' => unescape(&mut letters, &mut text)?,
                letter => text.push(letter),
            }
        }
    }
}

/// What a backslash in a string of Python means (Python's reference, 2.4.1.1); one that means
/// nothing stays.
fn unescape(letters: &mut std::str::Chars<'_>, text: &mut String) -> Option<()> {
    let next = letters.as_str().chars().next()?;
    let letter = match next {
        'x' => code(letters, 2)?,
        'u' => code(letters, 4)?,
        'U' => code(letters, 8)?,
        _ => {
            letters.next();
            match next {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\\' | '\'' | '"' => next,
                '\n' => return Some(()),
                // The other escapes are for control characters, or for octal numbers.
                'a' | 'b' | 'f' | 'v' | 'N' | '0'..='7' => return None,
                other => {
                    text.push('\\');
                    other
                }
            }
        }
    };
    text.push(letter);
    Some(())
}

/// The letter that so many hexadecimal digits behind the next character stand for.
fn code(letters: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let code = letters.as_str().get(1..)?.get(..digits)?;
    let letter = u32::from_str_radix(code, 16)
        .ok()
        .and_then(char::from_u32)?;
    letters.nth(digits);
    Some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_json() {
        let cases = [
            ("city=\"Oslo\")!", Some(r#"{"city": "Oslo"}"#)),
            (")", Some("{}")),
            (
                "a=1, b=-2.5, c=True, d=None, )",
                Some(r#"{"a": 1, "b": -2.5, "c": true, "d": null}"#),
            ),
            (
                "a=['x', \"it's\", [1]], b={'k': \"\\u00e9\\n\", \"l\": []})",
                Some(r#"{"a": ["x", "it's", [1]], "b": {"k": "é\n", "l": []}}"#),
            ),
            ("a=\"\"\"x\n\"y\" \"\"\")", Some(r#"{"a": "x\n\"y\" "}"#)),
            ("a='\\d')", Some(r#"{"a": "\\d"}"#)),
            ("\"Oslo\")", Some(r#"["\"Oslo\""] {}"#)),
            (
                "\"Oslo\", 3, b=[1])",
                Some(r#"["\"Oslo\"", "3"] {"b": [1]}"#),
            ),
            ("True,)", Some(r#"["true"] {}"#)),
            ("Oslo)", None),
            ("a=1, 2)", None),
            ("1 2)", None),
            ("a=b)", None),
            ("a=1, a=2)", None),
            ("a=1_000)", None),
            ("a=f(1))", None),
            ("a='x\ny')", None),
            ("a=1", None),
        ];
        for (text, expected) in cases {
            let actual = function_arguments(text).map(|(arguments, _)| match arguments {
                RawArguments::Positional { values, named } => format!("{values:?} {named}"),
                RawArguments::Json(json) => json,
                RawArguments::Texts(texts) => format!("{texts:?}"),
            });
            assert_eq!(actual.as_deref(), expected, "{text}");
        }
        let object =
            plain_object("{city:<escape>O\"slo<escape>,days:3,l:[<escape>a<escape>]}<end>");
        let json = r#"{"city": "O\"slo", "days": 3, "l": ["a"]}"#;
        assert_eq!(object, Some((json.to_owned(), "<end>")));
    }

    #[test]
    fn deep_literals_cost_no_stack() {
        assert_eq!(
            function_arguments(&format!("a={}", "[".repeat(100_000))),
            None
        );
    }
}
