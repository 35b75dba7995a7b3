//! Makes almost-JSON parse, as long as it has a single reading.

mod tokens;

use std::borrow::Cow;
use std::str::Chars;

use serde_json::Value;

use super::extract::is_blank;
use super::fix::Fix;
use super::nesting::{DEEPEST, Nesting, Quote};

/// The longest text that is repaired or parsed, in bytes.
pub const LONGEST: usize = 1024 * 1024;

/// A text that parses, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired<'t> {
    /// Valid JSON; borrowed, byte for byte, when the text was valid as it stood.
    pub json: Cow<'t, str>,
    /// In the order of their first use, each once.
    pub fixes: Vec<Fix>,
}

/// Repairs the text of a JSON object or array, or `None` when it has no single reading.
///
/// Only spelling is touched; names, values and their order stay. In detail:
///
/// * **Escapes.** One that JSON knows (`\n`, `\"`, `\u00e9`, ...) stays; of any other (`\*`, `\d`,
///   `\u` without four digits) the backslash is taken literally. A Windows path shows why that does
///   not suffice: in `C:\Users\new` the first backslash is literal, so the second one is as well,
///   though JSON knows `\n`. A word that begins with a drive and holds an unknown escape is
///   therefore literal throughout, and when escapes that JSON knows follow it in the same string,
///   nothing tells their meaning and the text is refused.
/// * **Numbers** keep their digits: `NaN`, `1_000`, `.5` and `0x10` are refused. Commas between
///   groups of three digits (`2,141,000`) are left out in an object, where what follows a comma can
///   only be a name; in an array they have two readings.
/// * **Quotes** within a string that are not escaped leave bare words behind and are refused.
/// * **Missing closers** are added at the end only, and reported as [`Fix::Closed`]: a string that
///   broke off is kept as far as it goes; a name, number or literal that broke off is left out with
///   its member, since what it would have been is not known.
///
/// Texts longer than [`LONGEST`] or deeper than [`DEEPEST`] are refused. Time is linear, and the
/// stack does not grow with the text.
pub fn repair(json: &str) -> Option<Repaired<'_>> {
    if json.len() > LONGEST {
        return None;
    }
    if parses(json) {
        return Some(Repaired {
            json: Cow::Borrowed(json),
            fixes: Vec::new(),
        });
    }
    let mut repairer = Repairer::new(json.trim_matches(is_blank));
    repairer.run()?;
    let Repairer { out, fixes, .. } = repairer;
    parses(&out).then_some(Repaired {
        json: Cow::Owned(out),
        fixes,
    })
}

/// Whether a text is JSON that every reader takes: into a `Value`, since merely skipping over it
/// would accept lone surrogates and numbers out of range.
pub(super) fn parses(json: &str) -> bool {
    let root = json.trim_start();
    let is_shallow = !root.starts_with(['{', '[']) || Nesting::measure(root).is_ok();
    is_shallow && serde_json::from_str::<Value>(json).is_ok()
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The root, or the value of a member.
    Value,
    /// A value of an array, or its end.
    Item,
    /// The name of a member, or the end of the object.
    Key,
    Colon,
    /// A comma, or the end of the array or object.
    Comma,
    /// Nothing.
    End,
}

/// Whether a token was read to its end or the text ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Whole,
    BrokenOff,
}

/// Reads a text token by token and writes it down as JSON. Every method returns `None` for what
/// has no single reading.
#[derive(Debug)]
struct Repairer<'t> {
    rest: Chars<'t>,
    out: String,
    fixes: Vec<Fix>,
    /// The closers of what is open.
    open: Vec<char>,
    expect: Expect,
    /// Where in `out` the last comma stands, until something follows it.
    comma: Option<usize>,
    /// The length of `out` that is complete: what a text that breaks off is cut back to.
    complete: usize,
}

impl<'t> Repairer<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            rest: text.chars(),
            out: String::with_capacity(text.len().saturating_add(16)),
            fixes: Vec::new(),
            open: Vec::new(),
            expect: Expect::Value,
            comma: None,
            complete: 0,
        }
    }

    fn run(&mut self) -> Option<()> {
        loop {
            self.pass_blank()?;
            let Some(next) = self.peek() else {
                return self.close();
            };
            match (self.expect, next) {
                (Expect::Item | Expect::Key | Expect::Comma, '}' | ']') => self.shut(next)?,
                (Expect::Value | Expect::Item, _) => self.value(next)?,
                (Expect::Key, _) => self.key(next)?,
                (Expect::Colon, ':') => {
                    self.copy();
                    self.expect = Expect::Value;
                }
                (Expect::Comma, ',') => {
                    self.comma = Some(self.out.len());
                    self.copy();
                    self.expect = match self.open.last()? {
                        '}' => Expect::Key,
                        _ => Expect::Item,
                    };
                }
                (Expect::End, '}' | ']') => {
                    self.rest.next();
                    self.note(Fix::SurplusCloser);
                }
                (Expect::Colon | Expect::Comma | Expect::End, _) => return None,
            }
        }
    }

    /// Copies white space and leaves comments out.
    fn pass_blank(&mut self) -> Option<()> {
        while let Some(next) = self.peek() {
            let text = self.rest.as_str();
            match next {
                ' ' | '\t' | '\n' | '\r' => self.copy(),
                '#' => self.skip_line_comment(),
                '/' if text.starts_with("//") => self.skip_line_comment(),
                '/' => self.skip_block_comment(text.strip_prefix("/*")?),
                _ => return Some(()),
            }
        }
        Some(())
    }

    /// The end of the line stays.
    fn skip_line_comment(&mut self) {
        let after = self.rest.as_str().trim_start_matches(|char| char != '\n');
        self.rest = after.chars();
        self.note(Fix::Comment);
    }

    fn skip_block_comment(&mut self, inner: &'t str) {
        let after = inner.split_once("*/").map_or("", |(_, after)| after);
        self.rest = after.chars();
        self.note(Fix::Comment);
    }

    fn value(&mut self, next: char) -> Option<()> {
        self.comma = None;
        let token = match next {
            '{' => return self.enter('}', Expect::Key),
            '[' => return self.enter(']', Expect::Item),
            '-' | '0'..='9' => self.number()?,
            _ => match Quote::opened_by(next) {
                Some(quote) => self.string(quote)?,
                None => self.literal()?,
            },
        };
        match token {
            Token::Whole => self.completed(),
            // The end of the text is noticed again, and `close` cuts back what is unfinished.
            Token::BrokenOff => Some(()),
        }
    }

    fn enter(&mut self, closer: char, expect: Expect) -> Option<()> {
        if self.open.len() >= DEEPEST {
            return None;
        }
        self.copy();
        self.open.push(closer);
        self.expect = expect;
        self.complete = self.out.len();
        Some(())
    }

    /// Leaves an object or array, whose closer has to be its own.
    fn shut(&mut self, closer: char) -> Option<()> {
        if self.open.pop()? != closer {
            return None;
        }
        if let Some(at) = self.comma.take() {
            self.out.remove(at);
            self.note(Fix::TrailingComma);
        }
        self.copy();
        self.completed()
    }

    /// A value has been written down.
    fn completed(&mut self) -> Option<()> {
        self.complete = self.out.len();
        self.expect = if self.open.is_empty() {
            Expect::End
        } else {
            Expect::Comma
        };
        Some(())
    }

    /// The text has ended; whatever is open is closed.
    fn close(&mut self) -> Option<()> {
        if self.expect == Expect::End {
            return Some(());
        }
        if self.open.is_empty() {
            return None;
        }
        self.out.truncate(self.complete);
        self.out.extend(self.open.drain(..).rev());
        self.note(Fix::Closed);
        Some(())
    }

    fn key(&mut self, next: char) -> Option<()> {
        self.comma = None;
        let token = match Quote::opened_by(next) {
            Some(quote) => self.string(quote)?,
            None => self.bare_key()?,
        };
        if token == Token::Whole {
            self.expect = Expect::Colon;
        }
        Some(())
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    /// Copies one character.
    fn copy(&mut self) {
        self.out.extend(self.rest.next());
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let text = self.rest.as_str();
        let after = text.trim_start_matches(is_part);
        self.rest = after.chars();
        text.strip_suffix(after).unwrap_or_default()
    }

    /// A token that ends where the text does may have been meant to go on.
    fn unless_at_end(&self) -> Token {
        if self.rest.as_str().is_empty() {
            Token::BrokenOff
        } else {
            Token::Whole
        }
    }

    fn note(&mut self, fix: Fix) {
        fix.note(&mut self.fixes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(json: &str) -> Option<String> {
        repair(json).map(|repaired| repaired.json.into_owned())
    }

    #[test]
    fn a_path_is_kept_exactly_though_json_knows_some_of_its_escapes() {
        let json = repaired(r#"{"path": "C:\Users\new\table"}"#);
        assert_eq!(
            json.as_deref(),
            Some(r#"{"path": "C:\\Users\\new\\table"}"#)
        );
    }

    #[test]
    fn an_escape_after_a_path_has_two_readings() {
        assert_eq!(repaired(r#"{"a": "C:\Users\new is\nfull"}"#), None);
        assert_eq!(repaired(r#"{"a": "C:\Program Files\new"}"#), None);
    }

    #[test]
    fn a_path_that_was_escaped_is_left_alone() {
        let json = repaired(r#"{"a": "C:\\Users\\new", "b": "\d",}"#);
        assert_eq!(
            json.as_deref(),
            Some(r#"{"a": "C:\\Users\\new", "b": "\\d"}"#)
        );
    }

    #[test]
    fn an_address_is_no_drive() {
        let json = repaired(r#"{"a": "https:\/\/example.com\n", "b": 1,}"#);
        assert_eq!(
            json.as_deref(),
            Some(r#"{"a": "https:\/\/example.com\n", "b": 1}"#)
        );
    }

    #[test]
    fn broken_off_anywhere_it_still_parses_or_is_refused() {
        let whole = r#"{"city": "Pa\u00e9ris", "n": [12, true, {"k": "x\n"}], "e": {}}"#;
        for end in 1..whole.len() {
            let json = whole.get(..end).and_then(repaired).unwrap();
            assert!(serde_json::from_str::<Value>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn half_a_number_is_left_out_and_half_a_string_kept() {
        assert_eq!(
            repaired(r#"{"a": 1, "b": 12"#).as_deref(),
            Some(r#"{"a": 1}"#)
        );
        assert_eq!(
            repaired(r#"{"a": 1, "b": "hel"#).as_deref(),
            Some(r#"{"a": 1, "b": "hel"}"#)
        );
    }

    #[test]
    fn groups_of_digits_are_joined_where_nothing_else_could_be_meant() {
        let cases = [
            (
                r#"{"a": 2,141,000, "b": 1}"#,
                Some(r#"{"a": 2141000, "b": 1}"#),
            ),
            (r#"{"a": -1,000.50}"#, Some(r#"{"a": -1000.50}"#)),
            (r#"{"a": 12,34}"#, None),
            (r#"{"a": 1234,567}"#, None),
            (r#"{"a": 0,123}"#, None),
            (r#"{"a": 1,0000}"#, None),
            (r#"{"a": 1,000e}"#, None),
            (r#"{"a": [2,141,000]}"#, None),
        ];
        for (json, expected) in cases {
            assert_eq!(repaired(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn deep_texts_cost_no_stack() {
        assert_eq!(repaired(&"[".repeat(200_000)), None);
        assert_eq!(repaired(&"{\"a\":".repeat(200_000)), None);
    }

    #[test]
    fn many_drives_take_no_quadratic_time() {
        let text = format!("{{\"a\": \"{}\",}}", r":a:\n".repeat(200_000));
        assert!(repair(&text).is_some());
    }
}
