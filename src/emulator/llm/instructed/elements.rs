//! A call written as an element, with an element in it for each argument, learnt from an example.

use std::ops::Range;

use serde_json::Value;

use super::json_text::Style;

/// How a call is written. Tags are kept up to the name that they carry, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elements {
    call: Tag,
    argument: Tag,
    /// What the tag of an argument ends in when its value is JSON and no string.
    json_mark: String,
    /// The names that the example calls and gives.
    pub(super) example: String,
    pub(super) example_argument: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    /// `<invoke name="`.
    open: String,
    /// `</invoke>`.
    close: String,
}

impl Elements {
    /// The form of the example in `text`: three lines that open a call, give an argument, and
    /// close the call. Also says where it stands.
    pub(super) fn read(text: &str) -> Option<(Elements, Range<usize>)> {
        let mut at = 0;
        let lines: Vec<(usize, &str)> = text
            .split_inclusive('\n')
            .map(|line| {
                at += line.len();
                (at - line.len(), line.trim())
            })
            .collect();
        lines.windows(3).find_map(|three| {
            let [(start, first), (_, second), (last, third)] = three else {
                return None;
            };
            let call = Tag::read(first).filter(|call| call.close == *third)?;
            let argument =
                Tag::read(second).filter(|argument| second.ends_with(&argument.close))?;
            let elements = Elements {
                json_mark: json_mark(text, &argument),
                example: quoted(first),
                example_argument: quoted(second),
                call,
                argument,
            };
            Some((elements, *start..last + third.len()))
        })
    }

    /// The elements that models have seen most, unasked.
    pub(super) fn usual() -> Elements {
        let tag = |word: &str| Tag {
            open: format!("<{word} name=\""),
            close: format!("</{word}>"),
        };
        Elements {
            call: tag("invoke"),
            argument: tag("parameter"),
            json_mark: String::new(),
            example: "TOOL".to_owned(),
            example_argument: "PARAMETER".to_owned(),
        }
    }

    /// A call whose arguments are all given as one, under the name that the example has.
    pub(super) fn write_as_one(&self, name: &str, arguments: &Value, style: Style) -> String {
        let whole = self.argument(&self.example_argument, arguments, style);
        let Tag { open, close } = &self.call;
        format!("{open}{name}\">\n{whole}{close}")
    }

    /// A call. Arguments that are no object are all given as one, called `whole`.
    pub(super) fn write(&self, name: &str, arguments: &Value, whole: &str, style: Style) -> String {
        let mut out = format!("{}{name}\">\n", self.call.open);
        match arguments.as_object() {
            Some(members) => {
                for (name, value) in members {
                    out.push_str(&self.argument(name, value, style));
                }
            }
            None => out.push_str(&self.argument(whole, arguments, style)),
        }
        out.push_str(&self.call.close);
        out
    }

    fn argument(&self, name: &str, value: &Value, style: Style) -> String {
        let (mark, value) = match value {
            Value::String(text) => ("", text.clone()),
            value => (self.json_mark.as_str(), style.write(value)),
        };
        let Tag { open, close } = &self.argument;
        format!("{open}{name}\"{mark}>{value}{close}\n")
    }
}

impl Tag {
    /// An opening tag with one quoted attribute at the start of a line.
    fn read(line: &str) -> Option<Tag> {
        let (tag, _) = line.strip_prefix('<')?.split_once('>')?;
        let (word, attribute) = tag.split_once(' ')?;
        let (label, _) = attribute.split_once("=\"")?;
        Some(Tag {
            open: format!("<{word} {label}=\""),
            close: format!("</{word}>"),
        })
    }
}

/// The first quoted text in a line.
fn quoted(line: &str) -> String {
    line.split('"').nth(1).unwrap_or_default().to_owned()
}

/// What another mention of an argument's tag adds to it with the word "json".
fn json_mark(text: &str, argument: &Tag) -> String {
    let mentions = text.split(argument.open.as_str()).skip(1);
    let marks = mentions.filter_map(|rest| {
        let (_, mark) = rest.split_once('>')?.0.split_once('"')?;
        mark.contains("json").then(|| mark.to_owned())
    });
    marks.last().unwrap_or_default()
}
