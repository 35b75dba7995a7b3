//! Calls written as elements: one for the call, one for each of its parameters.
//!
//! ```text
//! <invoke name="f"><parameter name="a">1</parameter></invoke>
//! <function=f><parameter=a>1</parameter></function>
//! <tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>
//! ```
//!
//! A value is what stands between its tags, unescaped. It ends at the first closing tag after which
//! another parameter begins or the call ends, so that a value may speak of such tags.

use memchr::memmem;

use super::envelope::{Form, RawArguments, RawCall};
use super::json_scan::JsonScan;
use crate::translate::json::TextMember;

/// Tags longer than this, in bytes, are no tags of calls.
pub const MAX_TAG: usize = 512;
/// Elements that hold a call when they name it.
const CALLS: [&str; 2] = ["invoke", "function"];

/// A call of which more and more is there.
#[derive(Clone, Debug)]
pub struct MarkupCall {
    name: String,
    tags: Tags,
    members: Vec<TextMember>,
    json: Option<String>,
    stage: Stage,
    /// How far the text has been read.
    at: usize,
}

#[derive(Clone, Debug)]
struct Tags {
    parameter: String,
    parameter_end: String,
    call_end: String,
    /// Whether a parameter's name stands in an element of its own.
    is_paired: bool,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Before a parameter or the end.
    Between,
    /// Within a value that began here.
    Value { from: usize },
    /// After what is the end of a value if a tag follows.
    AfterValue { from: usize, end: usize },
    /// Within one JSON object that holds all arguments, and began here.
    Json { from: usize, scan: JsonScan },
}

/// What more text has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Unfinished,
    /// The call, and where it ended.
    Closed(RawCall, usize),
    /// It is no call, and how far it was read.
    Broken(usize),
}

/// A step that has been taken, or why none can be.
type Taken = Result<(), Progress>;

impl MarkupCall {
    /// The call that a tag opens, given without its angle brackets.
    pub fn open(tag: &str) -> Option<Self> {
        let (prefix, tag) = split_prefix(tag);
        let word = CALLS.iter().find(|word| {
            tag.strip_prefix(**word)
                .is_some_and(|rest| rest.starts_with(['=', ' ', '\n', '\t']))
        })?;
        let tags = Tags {
            parameter: format!("<{prefix}parameter"),
            parameter_end: format!("</{prefix}parameter>"),
            call_end: format!("</{prefix}{word}>"),
            is_paired: false,
        };
        Some(Self::new(named(tag, word)?, tags))
    }

    /// The call that a name opens within `<tool_call>`, followed by pairs of keys and values.
    pub fn of_pairs(name: &str) -> Self {
        let tags = Tags {
            parameter: "<arg_key>".to_owned(),
            parameter_end: "</arg_value>".to_owned(),
            call_end: "</tool_call>".to_owned(),
            is_paired: true,
        };
        Self::new(name.to_owned(), tags)
    }

    fn new(name: String, tags: Tags) -> Self {
        Self {
            name,
            tags,
            members: Vec::new(),
            json: None,
            stage: Stage::Between,
            at: 0,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads on in the text after the opening, of which there is more with every call. Nothing is
    /// read twice.
    pub fn read(&mut self, text: &str) -> Progress {
        loop {
            let taken = match self.stage {
                Stage::Between => self.read_between(text),
                Stage::Value { from } => self.read_value(text, from),
                Stage::AfterValue { from, end } => self.read_after_value(text, from, end),
                Stage::Json { from, .. } => self.read_json(text, from),
            };
            if let Err(progress) = taken {
                return progress;
            }
        }
    }

    fn read_between(&mut self, text: &str) -> Taken {
        let rest = self.skip_space(text);
        if rest.starts_with(&self.tags.call_end) {
            let end = self.at.saturating_add(self.tags.call_end.len());
            return Err(Progress::Closed(self.call(), end));
        }
        if rest.starts_with(&self.tags.parameter) && self.json.is_none() {
            return self.open_parameter(rest);
        }
        if rest.starts_with('{') && self.members.is_empty() && self.json.is_none() {
            self.stage = Stage::Json {
                from: self.at,
                scan: JsonScan::default(),
            };
            return Ok(());
        }
        Err(match self.could_follow(rest) {
            true => Progress::Unfinished,
            false => Progress::Broken(self.at),
        })
    }

    fn open_parameter(&mut self, rest: &str) -> Taken {
        let head = window(rest, MAX_TAG);
        let end = if self.tags.is_paired {
            "<arg_value>"
        } else {
            ">"
        };
        let Some((tag, _)) = head.split_once(end) else {
            return Err(match head.len() < rest.len() {
                true => Progress::Broken(self.at),
                false => Progress::Unfinished,
            });
        };
        let inside = tag.get(self.tags.parameter.len()..).unwrap_or_default();
        let (name, is_json) = match self.tags.is_paired {
            true => (inside.trim().strip_suffix("</arg_key>"), None),
            false => (parameter_name(inside), marked(inside)),
        };
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or(Progress::Broken(self.at))?;
        self.members.push(TextMember {
            name: name.to_owned(),
            text: String::new(),
            is_json,
        });
        self.at = self.at.saturating_add(tag.len());
        self.at = self.at.saturating_add(end.len());
        self.stage = Stage::Value { from: self.at };
        Ok(())
    }

    fn read_value(&mut self, text: &str, from: usize) -> Taken {
        let mark = self.tags.parameter_end.as_bytes();
        let unread = text.as_bytes().get(self.at..).unwrap_or_default();
        let Some(found) = memmem::find(unread, mark) else {
            // The mark may have begun.
            let begun = mark.len().saturating_sub(1);
            self.at = self.at.max(text.len().saturating_sub(begun));
            return Err(Progress::Unfinished);
        };
        let end = self.at.saturating_add(found);
        self.at = end.saturating_add(mark.len());
        self.stage = Stage::AfterValue { from, end };
        Ok(())
    }

    fn read_after_value(&mut self, text: &str, from: usize, end: usize) -> Taken {
        let rest = self.skip_space(text);
        let is_followed =
            rest.starts_with(&self.tags.call_end) || rest.starts_with(&self.tags.parameter);
        if !is_followed && self.could_follow(rest) {
            return Err(Progress::Unfinished);
        }
        if !is_followed {
            self.at = end.saturating_add(self.tags.parameter_end.len());
            self.stage = Stage::Value { from };
            return Ok(());
        }
        let value = text.get(from..end).unwrap_or_default();
        if let Some(member) = self.members.last_mut() {
            member.text = without_line_ends(value).to_owned();
        }
        self.stage = Stage::Between;
        Ok(())
    }

    fn read_json(&mut self, text: &str, from: usize) -> Taken {
        let json = text.get(from..).unwrap_or_default();
        let Stage::Json { scan, .. } = &mut self.stage else {
            return Ok(());
        };
        let Some(length) = scan.end(json) else {
            return Err(Progress::Unfinished);
        };
        self.json = json.get(..length).map(str::to_owned);
        self.at = from.saturating_add(length);
        self.stage = Stage::Between;
        Ok(())
    }

    /// Whether a text is the beginning of a tag that may come after a parameter.
    fn could_follow(&self, rest: &str) -> bool {
        self.tags.call_end.starts_with(rest) || self.tags.parameter.starts_with(rest)
    }

    fn skip_space<'t>(&mut self, text: &'t str) -> &'t str {
        let rest = text.get(self.at..).unwrap_or_default().trim_start();
        self.at = text.len().saturating_sub(rest.len());
        rest
    }

    fn call(&mut self) -> RawCall {
        RawCall {
            name: std::mem::take(&mut self.name),
            arguments: match self.json.take() {
                Some(json) => RawArguments::Json(json),
                None => RawArguments::Texts(std::mem::take(&mut self.members)),
            },
            form: Form::Elements,
            is_keyed: false,
            is_bare: false,
            is_weak: false,
            mended: Vec::new(),
        }
    }
}

/// The name that `function=f` or `invoke name="f"` gives.
fn named(tag: &str, word: &str) -> Option<String> {
    let rest = tag.strip_prefix(word)?;
    let name = match rest.strip_prefix('=') {
        Some(name) => name.trim().trim_matches(['"', '\'']),
        None => attribute(rest, "name")?,
    };
    (!name.is_empty()).then(|| name.to_owned())
}

fn parameter_name(inside: &str) -> Option<&str> {
    match inside.strip_prefix('=') {
        Some(name) => Some(name.trim().trim_matches(['"', '\''])),
        None => attribute(inside, "name"),
    }
}

/// Whether the tag of a parameter says that its value is JSON, or that it is a string.
fn marked(inside: &str) -> Option<bool> {
    match (attribute(inside, "type"), attribute(inside, "string")) {
        (Some("json"), _) | (_, Some("false")) => Some(true),
        (_, Some("true")) => Some(false),
        _ => None,
    }
}

/// The value of an attribute in the inside of a tag.
pub fn attribute<'t>(inside: &'t str, label: &str) -> Option<&'t str> {
    let mut rest = inside;
    loop {
        let (before, after) = rest.split_once(label)?;
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        if before.ends_with(char::is_whitespace)
            && let Some(value) = value
        {
            let quote = value
                .chars()
                .next()
                .filter(|mark| matches!(mark, '"' | '\''))?;
            return value.split(quote).nth(1);
        }
        rest = after;
    }
}

/// DeepSeek's name space, which is no XML.
const DSML: &str = "｜DSML｜";

/// The name space of a tag, with its colon, and the rest.
pub fn split_prefix(tag: &str) -> (&str, &str) {
    if let Some(rest) = tag.strip_prefix(DSML) {
        return (DSML, rest);
    }
    let is_prefix = |prefix: &str| {
        (1..=16).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match tag
        .find(':')
        .and_then(|at| tag.split_at_checked(at.saturating_add(1)))
    {
        Some((prefix, rest)) if is_prefix(prefix.trim_end_matches(':')) => (prefix, rest),
        _ => ("", tag),
    }
}

/// A value without the line break after its opening and before its closing tag, if both are there.
pub fn without_line_ends(value: &str) -> &str {
    let inner = value.strip_prefix('\n');
    inner
        .and_then(|inner| inner.strip_suffix('\n'))
        .unwrap_or(value)
}

/// The beginning of a text, at most this long.
pub fn window(text: &str, most: usize) -> &str {
    match text.len() <= most {
        true => text,
        false => (0..=most)
            .rev()
            .find_map(|end| text.get(..end))
            .unwrap_or_default(),
    }
}

/// Whether the inside of a tag of which more may come could name one of these tools.
pub fn could_open(tag: &str, could_be_name: impl Fn(&str) -> bool) -> bool {
    let (_, tag) = split_prefix(tag);
    CALLS.iter().any(|word| {
        if word.starts_with(tag) {
            return true;
        }
        let Some(rest) = tag.strip_prefix(*word) else {
            return false;
        };
        if let Some(name) = rest.strip_prefix('=') {
            return could_be_name(name.trim_start().trim_start_matches(['"', '\'']));
        }
        match rest.trim_start().strip_prefix("name=") {
            Some(name) => {
                let mut parts = name.splitn(3, ['"', '\'']);
                let (before, name, after) = (parts.next(), parts.next(), parts.next());
                before == Some("") && (after.is_some() || name.is_none_or(&could_be_name))
            }
            None => rest.starts_with([' ', '\n', '\t']) && rest.len() < 64,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<RawCall> {
        let (tag, rest) = text.strip_prefix('<')?.split_once('>')?;
        let whole = MarkupCall::open(tag)?.read(rest);
        let mut call = MarkupCall::open(tag)?;
        let mut cut = Progress::Unfinished;
        for end in (0..=rest.len()).filter(|end| rest.is_char_boundary(*end)) {
            cut = call.read(rest.get(..end)?);
            if cut != Progress::Unfinished {
                break;
            }
        }
        assert_eq!(cut, whole);
        match whole {
            Progress::Closed(call, end) => {
                assert_eq!(end, rest.len());
                Some(call)
            }
            _ => None,
        }
    }

    fn texts(text: &str) -> Vec<(String, String)> {
        match read(text).expect(text).arguments {
            RawArguments::Texts(members) => members
                .into_iter()
                .map(|member| (member.name, member.text))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_read_in_each_spelling() {
        let expected = [
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "é ".to_owned()),
        ];
        let spellings = [
            "<invoke name=\"f\"><parameter name=\"a\">1</parameter><parameter name=\"b\">é </parameter></invoke>",
            "<ns:invoke name='f'>\n<ns:parameter name=\"a\">\n1\n</ns:parameter>\n<ns:parameter string=\"true\" name=\"b\">é </ns:parameter>\n</ns:invoke>",
            "<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>é </parameter>\n</function>",
        ];
        for text in spellings {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_value_may_speak_of_the_tags_around_it() {
        let text = "<invoke name=\"f\"><parameter name=\"a\">x</parameter> y</invoke></parameter></invoke>";
        let expected = ("a".to_owned(), "x</parameter> y</invoke>".to_owned());
        assert_eq!(texts(text), [expected]);
    }

    #[test]
    fn what_is_no_call_is_told() {
        let broken = [
            "<invoke name=\"f\">well</invoke>",
            "<invoke name=\"f\"><parameter>1</parameter></invoke>",
            "<invoke name=\"f\"><parameter name=\"a\">1</parameter>",
        ];
        for text in broken {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
