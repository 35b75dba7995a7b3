//! Whether a text begins as calls do, in whichever form, long before all of it is there.

use super::elements::{AttributeCall, could_hold_name, in_name_element};
use super::envelope::{
    self, ARGUMENTS, FENCES, NAME, NESTED, PLACEHOLDERS, QUOTES, is_element, is_name, is_name_byte,
    pairs_head,
};
use super::marks::{could_be_between, could_be_mark, skip_between, skip_mark};
use super::markup::{MarkupCall, could_open, split_prefix, window};

/// What the beginning of a text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// These are no calls.
    No,
    /// It cannot be told yet.
    Open,
    /// It begins like a call to a known tool; whatever follows, only the end of the text can tell.
    Settled,
}

/// The first call of a text says its name within this many bytes, or it is none.
const MAX_LEAD: usize = 512;
/// A call stands within fewer fences and elements than this.
const MAX_LAYERS: usize = 12;
/// What may come before the name in a call.
const ASIDE: [&str; 3] = ["id", "type", "tool_call_id"];

impl Opening {
    /// Judges a text by its first bytes, the same however much follows them.
    pub fn of(text: &str, names: &[String]) -> Self {
        let lead = window(text, MAX_LEAD);
        match of_envelope(lead, names) {
            Self::Open if lead.len() < text.len() => Self::No,
            opening => opening,
        }
    }

    fn of_prefix(could_be: bool) -> Self {
        match could_be {
            true => Self::Open,
            false => Self::No,
        }
    }

    fn of_name(is_known: bool) -> Self {
        match is_known {
            true => Self::Settled,
            false => Self::No,
        }
    }
}

/// Goes through fences, marks and opening elements at the start of a text.
fn of_envelope(text: &str, names: &[String]) -> Opening {
    let mut rest = text.trim_start();
    let mut around = Around::Nothing;
    for _ in 0..MAX_LAYERS {
        if rest.is_empty() {
            return Opening::Open;
        }
        if let Some((_, after)) = skip_mark(rest) {
            if rest.starts_with("functools") && !after.starts_with('[') {
                return Opening::of_prefix(after.is_empty());
            }
            around = Around::Mark;
            rest = after.trim_start();
            continue;
        }
        if could_be_mark(rest) {
            return Opening::Open;
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let inside = inside.trim_start();
            let is_word = inside.starts_with(|first: char| first.is_ascii_alphabetic());
            return match is_word && around != Around::Fence {
                true => of_function(inside, names),
                false => of_json(rest, names, 0),
            };
        }
        if rest.starts_with('{') {
            return of_json(rest, names, 0);
        }
        if rest.starts_with(FENCES) {
            (around, rest) = match rest.split_once('\n') {
                Some((line, after)) if is_fence_line(line) => (in_fence(line), after.trim_start()),
                Some(_) => return Opening::No,
                None => return Opening::of_prefix(is_fence_line(rest)),
            };
            continue;
        }
        if !rest.starts_with('<') {
            return of_words(rest, names, around);
        }
        match of_element(rest, names) {
            Ok((inside, after)) => (around, rest) = (inside, after.trim_start()),
            Err(opening) => return opening,
        }
    }
    Opening::No
}

/// What a text stands in or behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    Fence,
    /// A fence whose language is that of calls.
    CallFence,
    /// An element that holds a call.
    Call,
    /// An element that holds the name of a call.
    Name,
    /// A mark of a family of models.
    Mark,
}

fn in_fence(line: &str) -> Around {
    match line.trim_matches(['`', '~', ' ', '\r']) {
        "tool_code" | "tool_call" | "tool_calls" => Around::CallFence,
        _ => Around::Fence,
    }
}

/// Goes into the element that a text begins with: what it holds, and the text behind its tag.
fn of_element<'t>(text: &'t str, names: &[String]) -> Result<(Around, &'t str), Opening> {
    let element = text.strip_prefix('<').unwrap_or(text);
    if let Some((name, is_whole)) = AttributeCall::name(text) {
        let begins = starts_a_name(name, names);
        match is_whole {
            true if is_known(name, names) => return Err(Opening::Settled),
            false if begins => return Err(Opening::Open),
            _ => {}
        }
    }
    let Some((tag, after)) = element.split_once('>') else {
        let could_be_call = could_open(element, |name| starts_a_name(name, names));
        let could_be = could_be_element(element)
            || could_be_call
            || could_hold_name(element)
            || AttributeCall::could_open(text);
        return Err(Opening::of_prefix(could_be));
    };
    if let Some(call) = MarkupCall::open(tag) {
        return Err(Opening::of_name(is_known(call.name(), names)));
    }
    if let Some(name) = in_name_element(text)
        && !name.trim_start().starts_with(['{', '[', '<'])
    {
        return Ok((Around::Name, after));
    }
    match is_element(tag) {
        false => Err(Opening::No),
        true if tag.starts_with("tool_call") && !tag.starts_with("tool_calls") => {
            Ok((Around::Call, after))
        }
        true => Ok((Around::Nothing, after)),
    }
}

/// A text that begins with a word, if anything.
fn of_words(text: &str, names: &[String], around: Around) -> Opening {
    match around {
        Around::Call => of_pairs(text, names),
        Around::Name => of_bare_name(text, names),
        Around::Fence => Opening::No,
        Around::Nothing => of_function(text, names),
        Around::CallFence => match text.strip_prefix("print(") {
            Some(inside) => of_function(inside, names),
            None if "print(".starts_with(text) => Opening::Open,
            None => of_function(text, names),
        },
        Around::Mark => of_marked(text, names),
    }
}

/// A name before a parenthesis.
fn of_function(text: &str, names: &[String]) -> Opening {
    let name = leading_name(text);
    let after = text.get(name.len()..).unwrap_or_default();
    let bare = name.strip_suffix(".call").unwrap_or(name);
    let could_be_method = name
        .rsplit_once('.')
        .is_some_and(|(name, method)| "call".starts_with(method) && is_known(name, names));
    match after.is_empty() {
        true => Opening::of_prefix(starts_a_name(name, names) || could_be_method),
        false => Opening::of_name(after.starts_with('(') && is_known(bare, names)),
    }
}

/// A name, whatever follows it.
fn of_bare_name(text: &str, names: &[String]) -> Opening {
    let name = leading_name(text);
    match name.len() == text.len() {
        true => Opening::of_prefix(starts_a_name(name, names)),
        false => Opening::of_name(is_known(name, names)),
    }
}

/// What stands behind a mark: a name, or words that name no tool, or JSON.
fn of_marked(text: &str, names: &[String]) -> Opening {
    let mut rest = text;
    for _ in 0..MAX_LAYERS {
        if rest.is_empty() || could_be_between(rest) {
            return Opening::Open;
        }
        if let Some((_, after)) = skip_mark(rest) {
            rest = after.trim_start();
        } else if let Some(after) = skip_between(rest) {
            rest = after.trim_start();
        } else if could_be_mark(rest) {
            return Opening::Open;
        } else if rest.starts_with(['{', '[']) {
            return of_json(rest, names, 0);
        } else {
            return match of_function(rest, names) {
                Opening::No => of_bare_name(rest, names),
                opening => opening,
            };
        }
    }
    Opening::No
}

fn leading_name(text: &str) -> &str {
    let length = text.bytes().take_while(|byte| is_name_byte(*byte)).count();
    text.get(..length).unwrap_or_default()
}

/// The most layers and members before the name of a call.
const DEEPEST: usize = 8;

/// Whether JSON that may not be complete begins like a call to a known tool.
fn of_json(json: &str, names: &[String], depth: usize) -> Opening {
    let Some(inner) = json.strip_prefix(['{', '[']) else {
        return Opening::of_prefix(json.is_empty());
    };
    let inner = inner.trim_start();
    if json.starts_with('[') && !inner.is_empty() {
        return match depth > DEEPEST {
            true => Opening::No,
            false => of_json(inner, names, depth.saturating_add(1)),
        };
    }
    of_members(inner, names, depth)
}

/// `depth` counts the layers and the members that were passed on the way.
fn of_members(members: &str, names: &[String], depth: usize) -> Opening {
    if depth > DEEPEST {
        return Opening::No;
    }
    let Some(quoted) = members.strip_prefix(QUOTES) else {
        return Opening::of_prefix(members.is_empty());
    };
    let Some((key, after)) = quoted.split_once(QUOTES) else {
        return Opening::of_prefix(known_members().any(|member| member.starts_with(quoted)));
    };
    let after = after.trim_start();
    let Some(value) = after.strip_prefix(':') else {
        return Opening::of_prefix(after.is_empty() && known_members().any(|known| known == key));
    };
    let value = value.trim_start();
    if NAME.contains(&key) || (key == "function" && value.starts_with(QUOTES)) {
        return of_quoted_name(value, names);
    }
    match key {
        key if NESTED.contains(&key) => of_json(value, names, depth.saturating_add(1)),
        key if ARGUMENTS.contains(&key) => Opening::Settled,
        key if ASIDE.contains(&key) => after_aside(value, names, depth),
        _ => Opening::No,
    }
}

/// After a string that comes before the name.
fn after_aside(value: &str, names: &[String], depth: usize) -> Opening {
    let Some(quoted) = value.strip_prefix(QUOTES) else {
        return Opening::of_prefix(value.is_empty());
    };
    let Some((_, after)) = quoted.split_once(QUOTES) else {
        return Opening::Open;
    };
    match after.trim_start().strip_prefix(',') {
        Some(next) => of_members(next.trim_start(), names, depth.saturating_add(1)),
        None => Opening::of_prefix(after.trim_start().is_empty()),
    }
}

fn of_quoted_name(value: &str, names: &[String]) -> Opening {
    let Some(quoted) = value.strip_prefix(QUOTES) else {
        return Opening::of_prefix(value.is_empty());
    };
    match quoted.split_once(QUOTES) {
        Some((name, _)) => Opening::of_name(is_known(name, names)),
        None => Opening::of_prefix(starts_a_name(quoted, names)),
    }
}

/// A name right within `<tool_call>`, before elements with keys and values.
fn of_pairs(text: &str, names: &[String]) -> Opening {
    if let Some((name, _)) = pairs_head(text) {
        return Opening::of_name(is_known(name, names));
    }
    let name = text
        .split(|letter: char| !u8::try_from(letter).is_ok_and(is_name_byte))
        .next()
        .unwrap_or_default();
    let after = text.get(name.len()..).unwrap_or_default().trim_start();
    let could_follow = "<arg_key>".starts_with(after) || "</tool_call>".starts_with(after);
    match after.is_empty() && name.len() == text.len() {
        true => Opening::of_prefix(starts_a_name(name, names)),
        false => Opening::of_prefix(could_follow && is_known(name, names)),
    }
}

fn is_known(name: &str, names: &[String]) -> bool {
    let mut names = names.iter().map(String::as_str).chain(PLACEHOLDERS);
    names.any(|known| is_name(name, known))
}

fn starts_a_name(written: &str, names: &[String]) -> bool {
    let written = written.to_ascii_lowercase();
    let mut names = names.iter().map(String::as_str).chain(PLACEHOLDERS);
    names.any(|known| {
        let known = known.to_ascii_lowercase();
        known.starts_with(&written) || format!("functions.{known}").starts_with(&written)
    })
}

fn known_members() -> impl Iterator<Item = &'static str> {
    NAME.into_iter().chain(ARGUMENTS).chain(NESTED).chain(ASIDE)
}

fn is_fence_line(line: &str) -> bool {
    let word = line.trim_start_matches(['`', '~']);
    let marks = line.len().saturating_sub(word.len());
    let word = word.trim();
    marks <= 3
        && word.len() <= 16
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'))
}

fn could_be_element(tag: &str) -> bool {
    let (prefix, bare) = split_prefix(tag);
    if bare.contains([' ', '\n', '-']) {
        return is_element(tag);
    }
    let could_be_prefix = prefix.is_empty()
        && bare.len() <= 16
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric());
    could_be_prefix || envelope::could_be_element(bare)
}

#[cfg(test)]
mod tests {
    use super::Opening;

    #[test]
    fn members_before_the_name_cost_no_stack() {
        let names = ["f".to_owned()];
        let before = |count| "{".to_owned() + &r#""id": "a", "#.repeat(count);
        let few = before(3) + r#""name": "f""#;
        assert_eq!(Opening::of(&few, &names), Opening::Settled);
        assert_eq!(Opening::of(&before(500_000), &names), Opening::No);
    }
}
