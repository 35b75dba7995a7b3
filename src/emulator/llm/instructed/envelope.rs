//! The form of a call, learnt from the one example in the instructions.
//!
//! An example is an object with a name and arguments, or an element with a name and one element in
//! it for each argument. The tags around it, the key in them and the names of its members are taken
//! over as they stand; nothing about them is known beforehand.

use serde_json::Value;

use super::{elements::Elements, json_text::Style, scan};

/// What stands around calls and how their members are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Opens the block, its line break included.
    pub(super) open: String,
    pub(super) before_call: String,
    pub(super) after_call: String,
    pub(super) separator: &'static str,
    pub(super) close: String,
    /// The members of a call.
    pub(super) name: String,
    pub(super) arguments: String,
    /// The name that the example calls.
    pub(super) example: String,
    /// No text may stand next to the calls.
    pub(super) alone: bool,
    /// Calls stand in the attributes of `<tool_call/>`.
    pub(super) is_in_attributes: bool,
    /// How a call is written where it is no JSON.
    pub(super) elements: Option<Elements>,
}

/// Members that hold arguments, as the world calls them.
const ARGUMENTS: [&str; 4] = ["arguments", "args", "input", "parameters"];

impl Envelope {
    /// The form that the last example in `text` shows.
    pub(super) fn read(text: &str) -> Option<Envelope> {
        scan::objects(text)
            .into_iter()
            .rev()
            .find_map(|(value, range)| {
                if let Some(arguments) = arguments_member(&value) {
                    let (before, rest) = text.split_at(range.start);
                    let (_, after) = rest.split_at(range.len());
                    let envelope = Envelope::around(before, after, arguments);
                    return Some(envelope.shown_with(&value));
                }
                let (list, calls) = value.as_object()?.iter().next()?;
                let call = calls.as_array()?.first()?;
                let envelope = Envelope::list(list, arguments_member(call)?);
                Some(envelope.shown_with(call))
            })
            .or_else(|| Envelope::of_elements(text))
    }

    /// The form of the example in `text` that is written in elements.
    fn of_elements(text: &str) -> Option<Envelope> {
        let (elements, range) = Elements::read(text)?;
        let (before, rest) = text.split_at(range.start);
        let (_, after) = rest.split_at(range.len());
        Some(Envelope {
            example: elements.example.clone(),
            elements: Some(elements),
            ..Envelope::around(before, after, "arguments")
        })
    }

    /// This form, as it was shown in a call.
    fn shown_with(self, call: &Value) -> Envelope {
        let name = call.get("name").and_then(Value::as_str);
        Envelope {
            example: name.unwrap_or_default().to_owned(),
            ..self
        }
    }

    /// `{"LIST": [call, call]}` and nothing else.
    pub(super) fn list(list: &str, arguments: &str) -> Envelope {
        Envelope {
            open: format!("{{\"{list}\": ["),
            before_call: String::new(),
            after_call: String::new(),
            separator: ", ",
            close: "]}".to_owned(),
            name: "name".to_owned(),
            arguments: arguments.to_owned(),
            example: String::new(),
            alone: true,
            is_in_attributes: false,
            elements: None,
        }
    }

    /// Calls in tags of any names.
    pub(super) fn tagged(outer: &str, inner: &str, arguments: &str) -> Envelope {
        Envelope {
            open: format!("<{outer}>\n"),
            before_call: format!("<{inner}>"),
            after_call: format!("</{inner}>"),
            separator: "\n",
            close: format!("\n</{outer}>"),
            ..Envelope::bare(arguments)
        }
    }

    /// Calls with nothing around them.
    pub(super) fn bare(arguments: &str) -> Envelope {
        Envelope {
            open: String::new(),
            before_call: String::new(),
            after_call: String::new(),
            separator: "\n",
            close: String::new(),
            name: "name".to_owned(),
            arguments: arguments.to_owned(),
            example: String::new(),
            alone: false,
            is_in_attributes: false,
            elements: None,
        }
    }

    /// The form of an example between two texts.
    fn around(before: &str, after: &str, arguments: &str) -> Envelope {
        let (lines_before, beside) = before.rsplit_once('\n').unwrap_or(("", before));
        let (beside_after, lines_after) = after.split_once('\n').unwrap_or((after, ""));
        let above = lines_before
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let below = lines_after
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let outer = above
            .filter(|line| line.starts_with('<') && line.ends_with('>') && !line.contains("</"))
            .zip(below.filter(|line| line.starts_with("</")));
        let (beside, beside_after) = (beside.trim(), beside_after.trim());
        let tags = beside.starts_with('<') && beside.ends_with('>');
        let (before_call, after_call) = if tags {
            (beside, beside_after)
        } else {
            ("", "")
        };
        let whole_on_one_line = || {
            let (outer, inner) = before_call.split_at(before_call.rfind('<')?);
            let (inner_end, outer_end) = after_call.split_at(after_call.find('>')? + 1);
            (!outer.is_empty()).then_some(((outer, outer_end), (inner, inner_end)))
        };
        let mut envelope = Envelope::bare(arguments);
        let ((open, close), (before_call, after_call)) = match outer {
            Some(outer) => (outer, (before_call, after_call)),
            None => whole_on_one_line().unwrap_or((("", ""), (before_call, after_call))),
        };
        if !open.is_empty() {
            envelope.open = format!("{}\n", open.trim());
            envelope.close = format!("\n{}", close.trim());
        }
        envelope.before_call = before_call.to_owned();
        envelope.after_call = after_call.to_owned();
        envelope
    }

    /// The key: the first quoted attribute of the opening tag.
    pub(super) fn key(&self) -> Option<&str> {
        self.open.split('"').nth(1).filter(|_| !self.alone)
    }

    /// This form with another key, or without any.
    pub(super) fn with_key(mut self, key: Option<&str>) -> Envelope {
        let Some(old) = self.key() else {
            return self;
        };
        let tag = match key {
            Some(key) => self.open.replace(old, key),
            None => match self.open.split_once(' ') {
                Some((name, _)) => format!("{name}>\n"),
                None => self.open.clone(),
            },
        };
        self.open = tag;
        self
    }

    /// Calls, each a name and arguments, in this form.
    pub(super) fn write<'a>(
        &self,
        calls: impl IntoIterator<Item = (&'a str, &'a Value)>,
        style: Style,
    ) -> String {
        let calls: Vec<String> = calls
            .into_iter()
            .map(|(name, arguments)| {
                if self.is_in_attributes {
                    let arguments = style.write(arguments);
                    return format!("<tool_call name=\"{name}\" arguments={arguments}/>");
                }
                if let Some(elements) = &self.elements {
                    return elements.write(name, arguments, &self.arguments, style);
                }
                let call = style.members([
                    (self.name.as_str(), style.name(name)),
                    (self.arguments.as_str(), style.write(arguments)),
                ]);
                format!("{}{call}{}", self.before_call, self.after_call)
            })
            .collect();
        format!("{}{}{}", self.open, calls.join(self.separator), self.close)
    }
}

/// The member of an example call that holds its arguments.
fn arguments_member(value: &Value) -> Option<&'static str> {
    value.get("name")?.as_str()?;
    let is_object = |member: &&str| value.get(member).is_some_and(Value::is_object);
    ARGUMENTS.into_iter().find(is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Envelope;
    use crate::emulator::llm::instructed::json_text::Style;

    fn written(example: &str) -> String {
        let envelope = Envelope::read(example).expect("an example");
        envelope.write([("f", &json!({ "a": 1 }))], Style::default())
    }

    #[test]
    fn the_form_is_learnt_from_the_example() {
        let blocks = [
            "Write\n<tool_calls k=\"7K2Q\">\n<tool_call>{\"name\": \"TOOL\", \"arguments\": {}}</tool_call>\n</tool_calls>\nand stop.",
            "Write\n\n  <tool_calls k=\"7K2Q\">\n\n  <tool_call> {\"name\":\"x\",\"arguments\":{}} </tool_call>\n  </tool_calls>",
            "Write\n<tool_calls k=\"7K2Q\"><tool_call>{\"name\": \"TOOL\", \"arguments\": {}}</tool_call></tool_calls>",
        ];
        for block in blocks {
            assert_eq!(
                written(block),
                "<tool_calls k=\"7K2Q\">\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\n</tool_calls>",
            );
        }
        let elements = "Write\n<tool_calls k=\"7K2Q\">\n<do id=\"TOOL\">\n<with is=\"PARAMETER\">value</with>\n</do>\n</tool_calls>\nand stop. Numbers: <with is=\"PARAMETER\" as=\"json\">.";
        assert_eq!(
            written(elements),
            "<tool_calls k=\"7K2Q\">\n<do id=\"f\">\n<with is=\"a\" as=\"json\">1</with>\n</do>\n</tool_calls>",
        );
        assert_eq!(
            written("<run>{\"name\": \"TOOL\", \"args\": {}}</run>"),
            "<run>{\"name\": \"f\", \"args\": {\"a\": 1}}</run>"
        );
        assert_eq!(
            written("Reply {\"calls\": [{\"name\": \"TOOL\", \"input\": {}}]} and nothing else"),
            "{\"calls\": [{\"name\": \"f\", \"input\": {\"a\": 1}}]}"
        );
    }

    #[test]
    fn the_key_can_be_changed_and_left_out() {
        let envelope = Envelope::read(
            "<calls k=\"7K2Q\">\n<call>{\"name\": \"T\", \"arguments\": {}}</call>\n</calls>",
        )
        .expect("an example");
        assert_eq!(envelope.key(), Some("7K2Q"));
        assert_eq!(envelope.clone().with_key(None).open, "<calls>\n");
        assert_eq!(envelope.with_key(Some("0000")).open, "<calls k=\"0000\">\n");
    }
}
