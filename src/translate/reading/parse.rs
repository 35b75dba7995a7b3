//! Reads text that is all there as calls, whatever stands around them.

use super::elements::{AttributeCall, Head, name_element, parse_named};
use super::envelope::{
    Form, PLACEHOLDERS, RawArguments, RawCall, collect_calls, is_element, is_name, is_name_byte,
    is_result, pairs_head, skip_surplus,
};
use super::json_scan::JsonScan;
use super::leniency::{ACTION, FUNCTION, RESULT, TOKENS};
use super::literal::{function_arguments, plain_object};
use super::marks::{Mark, skip_between, skip_mark};
use super::markup::{MarkupCall, Progress};
use crate::translate::json;
use serde_json::Value;

/// Reads a whole text as calls, if it is nothing but calls to known tools.
pub fn parse_calls(text: &str, names: &[String]) -> Option<Vec<RawCall>> {
    let (calls, rest) = parse_prefix(text, names)?;
    rest.is_empty().then_some(calls)
}

/// Reads the calls to known tools that a text begins with, and what follows them.
pub fn parse_prefix<'t>(text: &'t str, names: &[String]) -> Option<(Vec<RawCall>, &'t str)> {
    let mut parser = Parser {
        rest: text,
        names,
        calls: Vec::new(),
        fence: None,
        mark: None,
        is_after_result: false,
        is_in_result: false,
    };
    loop {
        parser.skip_around();
        if parser.rest.is_empty() || parser.is_after_result || parser.item().is_none() {
            break;
        }
    }
    let Parser { calls, rest, .. } = parser;
    (!calls.is_empty()).then_some((calls, rest))
}

struct Parser<'t, 'n> {
    rest: &'t str,
    names: &'n [String],
    calls: Vec<RawCall>,
    /// The language of the fence that is open.
    fence: Option<&'t str>,
    /// The last mark of a family.
    mark: Option<Mark>,
    /// Whether a result was made up after an action; nothing more counts.
    is_after_result: bool,
    /// Whether the calls stand in the tag of a result.
    is_in_result: bool,
}

impl<'t> Parser<'t, '_> {
    /// Goes past white space, separators, fences, elements around calls, and marks.
    fn skip_around(&mut self) {
        let is_space = |letter: char| letter.is_whitespace() || letter == ',' || letter == ';';
        loop {
            self.rest = match self.calls.is_empty() {
                true => self.rest.trim_start(),
                false => self.rest.trim_start_matches(is_space),
            };
            let skipped = self
                .skip_fence()
                .or_else(|| self.skip_mark())
                .or_else(|| self.skip_thought())
                .or_else(|| self.skip_element());
            match skipped {
                Some(rest) if !self.is_after_result => self.rest = rest,
                Some(_) => {
                    self.rest = "";
                    return;
                }
                None => return,
            }
        }
    }

    fn skip_fence(&mut self) -> Option<&'t str> {
        let marks = ["```", "~~~"].into_iter();
        let line = marks
            .filter_map(|marks| self.rest.strip_prefix(marks))
            .next()?;
        match self.fence.take() {
            Some(_) => Some(line),
            None => {
                let (info, after) = line.split_once('\n').unwrap_or((line, ""));
                self.fence = Some(info.trim());
                Some(after)
            }
        }
    }

    fn skip_mark(&mut self) -> Option<&'t str> {
        let (mark, after) = skip_mark(self.rest)?;
        // What is said in such a word has to go on as a call.
        if self.rest.starts_with("functools") && !after.trim_start().starts_with('[') {
            return None;
        }
        self.is_after_result = self.rest.starts_with("Observation:") && !self.calls.is_empty();
        self.mark = Some(mark);
        Some(after)
    }

    /// Goes past a line of thought behind an action.
    fn skip_thought(&self) -> Option<&'t str> {
        let thought = self.rest.strip_prefix("Thought:")?;
        let is_behind = self.mark == Some(Mark::Label) && !self.calls.is_empty();
        let (_, after) = thought.split_once('\n').unwrap_or((thought, ""));
        is_behind.then_some(after)
    }

    fn skip_element(&mut self) -> Option<&'t str> {
        let (tag, after) = self.rest.strip_prefix('<')?.split_once('>')?;
        let is_call = MarkupCall::open(tag).is_some()
            || name_element(self.rest).is_some()
            || matches!(AttributeCall::open(self.rest), Head::Found(_));
        let is_around = is_element(tag.strip_prefix('/').unwrap_or(tag));
        self.is_in_result |= is_result(tag);
        (is_around && !is_call).then_some(after)
    }

    /// Reads one call or one list of calls.
    fn item(&mut self) -> Option<()> {
        let first = self.calls.len();
        let rest = match self.rest.as_bytes().first()? {
            b'[' if self
                .function_name(self.rest.get(1..)?.trim_start())
                .is_some() =>
            {
                self.functions(self.rest.get(1..)?)?
            }
            b'{' | b'[' => self.json()?,
            b'<' => self.elements()?,
            _ => self.words()?,
        };
        let mut calls = self.calls.iter().skip(first);
        let are_known = calls.all(|call| {
            let names = self.names.iter().map(String::as_str);
            let mut names = names.chain(PLACEHOLDERS);
            names.any(|name| is_name(&call.name, name))
        });
        if !are_known {
            self.calls.truncate(first);
            return None;
        }
        self.rest = rest;
        let label = match self.mark {
            Some(Mark::Token) => Some(TOKENS),
            Some(Mark::Label) => Some(ACTION),
            None => None,
        };
        let label = label.into_iter().chain(self.is_in_result.then_some(RESULT));
        for call in self.calls.iter_mut().skip(first) {
            call.mended.extend(label.clone());
            call.is_weak |= self.mark == Some(Mark::Label) || self.is_in_result;
        }
        Some(())
    }

    fn json(&mut self) -> Option<&'t str> {
        let length = JsonScan::length(self.rest)?;
        let mut calls = Vec::new();
        collect_calls(self.rest.get(..length)?, &mut calls, 0)?;
        let (after, is_surplus) = skip_surplus(self.rest.get(length..)?);
        if is_surplus && let Some(last) = calls.pop() {
            calls.push(last.closed_too_often());
        }
        self.calls.append(&mut calls);
        Some(after)
    }

    fn elements(&mut self) -> Option<&'t str> {
        let whole = AttributeCall::parse(self.rest).or_else(|| parse_named(self.rest));
        let (call, after) = match whole {
            Some(whole) => whole,
            None => {
                let (tag, inside) = self.rest.strip_prefix('<')?.split_once('>')?;
                read_markup(MarkupCall::open(tag)?, inside)?
            }
        };
        self.calls.push(call);
        Some(after)
    }

    /// A call that begins with a word: a name, or what stands between a family's tokens.
    fn words(&mut self) -> Option<&'t str> {
        if let Some((name, inside)) = pairs_head(self.rest) {
            let (call, after) = read_markup(MarkupCall::of_pairs(name), inside)?;
            self.calls.push(call);
            return Some(after);
        }
        if self.mark.is_none() || self.function_name(self.rest).is_some() {
            return self.functions_alone();
        }
        let rest = self.skip_between();
        if rest.starts_with(['{', '[']) {
            self.rest = rest;
            return self.json();
        }
        let (name, behind) = name_head(rest)?;
        let after = skip_to_arguments(behind);
        let json = JsonScan::length(after).and_then(|length| after.get(..length));
        let written = match json.filter(|json| json::repair(json).is_some()) {
            Some(json) => Some((json.to_owned(), after.get(json.len()..)?)),
            None => plain_object(after),
        };
        let (arguments, after) = match written {
            Some((json, after)) => (RawArguments::Json(json), after),
            None => plain_input(behind).filter(|_| self.mark == Some(Mark::Label))?,
        };
        self.calls.push(function(bare(name), arguments));
        Some(after)
    }

    /// What follows words between a family's marks that name no tool.
    fn skip_between(&mut self) -> &'t str {
        let mut rest = self.rest;
        while let Some(after) = skip_between(rest) {
            rest = after.trim_start();
            while let Some((mark, after)) = skip_mark(rest) {
                self.mark = Some(mark);
                rest = after.trim_start();
            }
        }
        rest
    }

    /// A call as a function, without a list around it. Outside of a family's marks it can be a line
    /// of a program.
    fn functions_alone(&mut self) -> Option<&'t str> {
        let has_language = self.has_language();
        let inside = self
            .rest
            .strip_prefix("print(")
            .filter(|_| has_language)
            .unwrap_or(self.rest);
        let name = self.function_name(inside)?;
        if self.fence.is_some() && self.could_be_program() {
            return None;
        }
        let arguments = inside.get(name.len()..)?.strip_prefix('(')?;
        let (arguments, after) = function_arguments(arguments)?;
        let mut call = function(bare(name), arguments).mended_by(FUNCTION);
        call.is_weak = self.could_be_program();
        self.calls.push(call);
        match inside.len() < self.rest.len() {
            true => after.trim_start().strip_prefix(')'),
            false => Some(after),
        }
    }

    /// Functions in a list whose opening bracket has been read.
    fn functions(&mut self, inside: &'t str) -> Option<&'t str> {
        if self.fence.is_some() && self.could_be_program() {
            return None;
        }
        let mut rest = inside.trim_start();
        let mut calls = Vec::new();
        loop {
            let name = self.function_name(rest)?;
            let arguments = rest.get(name.len()..)?.strip_prefix('(')?;
            let (arguments, after) = function_arguments(arguments)?;
            let mut call = function(bare(name), arguments).mended_by(FUNCTION);
            call.is_weak = self.could_be_program();
            calls.push(call);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None => break,
            }
        }
        self.calls.append(&mut calls);
        rest.strip_prefix(']')
    }

    /// Whether the fence is one for calls.
    fn has_language(&self) -> bool {
        matches!(self.fence, Some("tool_code" | "tool_call" | "tool_calls"))
    }

    /// Whether a function may be part of a program rather than a call.
    fn could_be_program(&self) -> bool {
        self.mark.is_none() && !self.has_language()
    }

    /// The name of a known tool that a text begins with as functions do, before a parenthesis.
    fn function_name<'s>(&self, text: &'s str) -> Option<&'s str> {
        let text = text.strip_prefix("print(").unwrap_or(text);
        let (name, after) = name_head(text)?;
        let is_known = self.names.iter().any(|known| is_name(bare(name), known));
        (is_known && after.starts_with('(')).then_some(name)
    }
}

/// The call that has been opened, from what follows, and what follows it.
fn read_markup(mut call: MarkupCall, inside: &str) -> Option<(RawCall, &str)> {
    match call.read(inside) {
        Progress::Closed(call, end) => Some((call, inside.get(end..)?)),
        Progress::Unfinished | Progress::Broken(_) => None,
    }
}

fn function(name: &str, arguments: RawArguments) -> RawCall {
    RawCall {
        arguments,
        form: Form::Function,
        ..RawCall::json(name.to_owned(), String::new())
    }
}

/// What follows the name of an action, where it is a line of plain words: `Action Input: Paris`, or
/// `[Paris]`; and what follows that. Words that say nothing stand for no arguments.
fn plain_input(behind: &str) -> Option<(RawArguments, &str)> {
    let (input, after) = match behind.strip_prefix('[') {
        Some(inside) => {
            let (line, after) = inside.split_once('\n').unwrap_or((inside, ""));
            (line.trim_end().strip_suffix(']')?, after)
        }
        None => {
            let input = behind.trim_start().strip_prefix("Action Input:")?;
            input.split_once('\n').unwrap_or((input, ""))
        }
    };
    let input = input.trim();
    if input.starts_with(['{', '[', '<', '`']) {
        return None;
    }
    let quoted = input
        .strip_prefix('\'')
        .and_then(|inside| inside.strip_suffix('\''));
    let text = match serde_json::from_str::<String>(input) {
        Ok(text) => text,
        Err(_) => quoted.unwrap_or(input).to_owned(),
    };
    let arguments = match text.as_str() {
        "" | "None" | "null" => RawArguments::Json(String::new()),
        text => RawArguments::Positional {
            values: vec![Value::from(text).to_string()],
            named: "{}".to_owned(),
        },
    };
    Some((arguments, after))
}

/// The name that a text begins with, and what follows it.
fn name_head(text: &str) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(|byte| is_name_byte(*byte)).count();
    text.split_at_checked(length).filter(|_| length > 0)
}

/// A name without what families put around it.
fn bare(name: &str) -> &str {
    let name = name.strip_prefix("to=").unwrap_or(name);
    name.strip_suffix(".call").unwrap_or(name)
}

/// Goes from a name to the object with its arguments: past a number, marks, a language, a fence.
fn skip_to_arguments(text: &str) -> &str {
    let mut rest = text;
    if let Some(number) = rest.strip_prefix(':') {
        rest = number.trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    loop {
        rest = rest.trim_start();
        let marked = skip_mark(rest).map(|(_, after)| after);
        let fenced = || rest.strip_prefix("```");
        rest = match marked.or_else(fenced).or_else(|| skip_between(rest)) {
            Some(after) => after,
            None => return rest,
        };
    }
}
