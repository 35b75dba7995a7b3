//! Writes JSON as models do: a blank after `:` and `,`, and every bad habit on request.

use serde_json::Value;

/// The habits of a writer; none of them by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// `True`, `None` and `'text'`.
    pub(super) python: bool,
    /// A comma after the last member.
    pub(super) trailing: bool,
    /// Strings in typographic quotation marks.
    pub(super) smart: bool,
    /// Names of members as they are, without quotation marks.
    pub(super) bare: bool,
    /// A comment at the start of every object.
    pub(super) comment: bool,
    /// Commas between the thousands of numbers.
    pub(super) thousands: bool,
    /// `\'` and `\*`, which JSON does not know, and raw line breaks.
    pub(super) escape: bool,
}

impl Style {
    pub(super) fn write(self, value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let members = members.iter();
                self.members(members.map(|(key, value)| (key.as_str(), self.write(value))))
            }
            Value::Array(items) => self.bracketed(
                "[",
                items.iter().map(|item| self.write(item)).collect(),
                "]",
            ),
            Value::String(text) if self.escape => self.spoilt(text),
            Value::String(text) => self.name(text),
            Value::Null if self.python => "None".to_owned(),
            Value::Bool(true) if self.python => "True".to_owned(),
            Value::Bool(false) if self.python => "False".to_owned(),
            Value::Number(number) if self.thousands => grouped(&number.to_string()),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        }
    }

    /// An object of members that are already written, in their order.
    pub(super) fn members<'a>(
        self,
        members: impl IntoIterator<Item = (&'a str, String)>,
    ) -> String {
        let members = members.into_iter();
        let name = |key: &str| match self.bare {
            true => key.to_owned(),
            false => self.name(key),
        };
        let written = members.map(|(key, value)| format!("{}: {value}", name(key)));
        let open = if self.comment {
            "{/* as asked */ "
        } else {
            "{"
        };
        self.bracketed(open, written.collect(), "}")
    }

    fn bracketed(self, open: &str, items: Vec<String>, close: &str) -> String {
        let comma = if self.trailing && !items.is_empty() {
            ","
        } else {
            ""
        };
        format!("{open}{}{comma}{close}", items.join(", "))
    }

    /// A string whose escapes are right even where those of others are not.
    pub(super) fn name(self, text: &str) -> String {
        let (open, close) = self.quotes();
        format!("{open}{}{close}", self.escaped(text))
    }

    /// A string with whatever in it can be escaped wrongly, and a raw line break if nothing can.
    fn spoilt(self, text: &str) -> String {
        let (open, close) = self.quotes();
        let spoilt = self
            .escaped(text)
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace('*', "\\*")
            .replace('\'', "\\'");
        let end = if spoilt == text && !text.contains(['\n', '\t']) {
            "\n"
        } else {
            ""
        };
        format!("{open}{spoilt}{end}{close}")
    }

    fn quotes(self) -> (char, char) {
        match (self.python, self.smart) {
            (true, _) => ('\'', '\''),
            (false, true) => ('“', '”'),
            (false, false) => ('"', '"'),
        }
    }

    fn escaped(self, text: &str) -> String {
        let (quote, _) = self.quotes();
        let mut escaped = String::with_capacity(text.len());
        for char in text.chars() {
            match char {
                '\\' => escaped.push_str("\\\\"),
                '\n' => escaped.push_str("\\n"),
                '\r' => escaped.push_str("\\r"),
                '\t' => escaped.push_str("\\t"),
                '\0'..='\x1f' => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => {
                    if char == quote {
                        escaped.push('\\');
                    }
                    escaped.push(char);
                }
            }
        }
        escaped
    }
}

/// A whole number with a comma before every third digit from its end.
fn grouped(number: &str) -> String {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut grouped = String::from(number.strip_suffix(digits).unwrap_or_default());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Style;

    #[test]
    fn good_habits_write_json() {
        let value = json!({ "a": [1, true, null, "q\"\\\n\u{1}é"], "b": {}, "c": [] });
        let text = Style::default().write(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn each_bad_habit_does_not() {
        let value = json!({ "a": [true, null, "it's *new*"] });
        let python = Style {
            python: true,
            ..Style::default()
        };
        let thousands = Style {
            thousands: true,
            ..Style::default()
        };
        assert_eq!(
            thousands.write(&json!([1, 999, -1000, 2141000, 1.5])),
            "[1, 999, -1,000, 2,141,000, 1.5]"
        );
        assert_eq!(python.write(&value), r"{'a': [True, None, 'it\'s *new*']}");
        let trailing = Style {
            trailing: true,
            ..Style::default()
        };
        assert_eq!(
            trailing.write(&value),
            r#"{"a": [true, null, "it's *new*",],}"#
        );
        let smart = Style {
            smart: true,
            ..Style::default()
        };
        assert_eq!(smart.write(&value), "{“a”: [true, null, “it's *new*”]}");
        let escape = Style {
            escape: true,
            ..Style::default()
        };
        assert_eq!(
            escape.write(&value),
            r#"{"a": [true, null, "it\'s \*new\*"]}"#
        );
        assert_eq!(escape.write(&json!("a\nb")), "\"a\nb\"");
        assert_eq!(escape.write(&json!("a")), "\"a\n\"");
    }
}
