//! The tokens of almost-JSON: names, numbers, literals, strings.

use std::borrow::Cow;

use super::super::escape::{Escape, Path};
use super::super::extract::is_key_char;
use super::super::fix::Fix;
use super::super::nesting::Quote;
use super::{Expect, Repairer, Token};

impl Repairer<'_> {
    pub(super) fn bare_key(&mut self) -> Option<Token> {
        let word = self.take_while(is_key_char);
        if word.is_empty() || word.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        {
            return None;
        }
        self.out.push('"');
        self.out.push_str(word);
        self.out.push('"');
        self.note(Fix::UnquotedKey);
        Some(self.unless_at_end())
    }

    pub(super) fn number(&mut self) -> Option<Token> {
        let is_part =
            |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.' | '_');
        let mut number = Cow::Borrowed(self.take_while(is_part));
        if self.open.last() == Some(&'}')
            && let Some((joined, after)) = joined_groups(&number, self.rest.as_str())
        {
            number = Cow::Owned(joined);
            self.rest = after.chars();
            self.note(Fix::ThousandsSeparator);
        }
        let token = self.unless_at_end();
        if token == Token::Whole && serde_json::from_str::<serde_json::Number>(&number).is_err() {
            return None;
        }
        self.out.push_str(&number);
        Some(token)
    }

    pub(super) fn literal(&mut self) -> Option<Token> {
        // A root that is not even a bracket is prose.
        if self.open.is_empty() {
            return None;
        }
        let word = self.take_while(|char| char.is_ascii_alphanumeric() || char == '_');
        if self.rest.as_str().is_empty() {
            return Some(Token::BrokenOff);
        }
        let literal = match word {
            "true" | "True" => "true",
            "false" | "False" => "false",
            "null" | "None" => "null",
            _ => return None,
        };
        if literal != word {
            self.note(Fix::PythonLiteral);
        }
        self.out.push_str(literal);
        Some(Token::Whole)
    }

    pub(super) fn string(&mut self, quote: Quote) -> Option<Token> {
        if self.open.is_empty() {
            return None;
        }
        match quote {
            Quote::Double => {}
            Quote::Single => self.note(Fix::SingleQuotes),
            Quote::Smart => self.note(Fix::SmartQuotes),
        }
        self.rest.next();
        self.out.push('"');
        let is_value = self.expect != Expect::Key;
        let mut path = Path::default();
        while let Some(next) = self.rest.next() {
            match next {
                _ if quote.is_closed_by(next) => {
                    self.out.push('"');
                    return Some(Token::Whole);
                }
                '\\' => self.escape(quote, &mut path)?,
                '"' => self.out.push_str("\\\""),
                '\0'..='\x1f' => self.escape_control(next),
                _ => self.out.push(next),
            }
        }
        if is_value {
            self.out.push('"');
            self.complete = self.out.len();
        }
        Some(Token::BrokenOff)
    }

    /// Writes down the escape whose backslash has just been read.
    pub(super) fn escape(&mut self, quote: Quote, path: &mut Path) -> Option<()> {
        let rest = self.rest.as_str();
        path.look_at(&self.out, rest);
        match Escape::at(rest) {
            Escape::Punctuation('\'') if quote == Quote::Single => {
                self.out.extend(self.rest.next());
            }
            Escape::Punctuation(mark @ ('"' | '\\' | '/')) => {
                self.rest.next();
                self.out.extend(['\\', mark]);
            }
            Escape::Letter if path.is_literal_at(rest) => self.double_backslash(),
            // It follows a path in which the like of it was literal.
            Escape::Letter if path.was_literal() => return None,
            Escape::Letter => {
                self.out.push('\\');
                self.out.extend(self.rest.next());
            }
            Escape::Punctuation(_) | Escape::Unknown => self.double_backslash(),
            Escape::BrokenOff => self.rest = "".chars(),
        }
        Some(())
    }

    pub(super) fn double_backslash(&mut self) {
        self.out.push_str("\\\\");
        self.note(Fix::InvalidEscape);
    }

    pub(super) fn escape_control(&mut self, control: char) {
        match control {
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            _ => self.out.push_str(&format!("\\u{:04x}", u32::from(control))),
        }
        self.note(Fix::ControlCharacter);
    }
}

/// A number whose digits go on in groups after commas, and what follows it: `2` before
/// `,141,000.5}` is `2141000.5` before `}`.
fn joined_groups<'t>(first: &str, rest: &'t str) -> Option<(String, &'t str)> {
    let digits = first.strip_prefix('-').unwrap_or(first);
    let is_first_group = (1..=3).contains(&digits.len()) && !digits.starts_with('0');
    if !is_first_group || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut joined = first.to_owned();
    let mut rest = rest;
    while let Some(group) = rest.strip_prefix(',').and_then(|after| after.get(..3))
        && group.bytes().all(|byte| byte.is_ascii_digit())
    {
        joined.push_str(group);
        rest = rest.get(4..)?;
    }
    let end = rest
        .find(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '.' | '_' | '+' | '-'))
        .unwrap_or(rest.len());
    let (fraction, after) = rest.split_at_checked(end)?;
    let has_groups = joined.len() > first.len();
    let is_fraction = fraction.is_empty()
        || fraction.strip_prefix('.').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
    joined.push_str(fraction);
    (has_groups && is_fraction).then_some((joined, after))
}
