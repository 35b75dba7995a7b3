//! Strings and numbers that a schema allows.

use serde_json::{Map, Number, Value, json};

use super::{
    hints::Hints,
    instance::{Place, limit},
    pattern,
};

/// Whether a number may have a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Any,
}

/// Members that take a whole message rather than a name in it.
const FREE_TEXTS: [&str; 14] = [
    "query",
    "text",
    "question",
    "prompt",
    "message",
    "input",
    "search",
    "content",
    "body",
    "description",
    "expression",
    "task",
    "instructions",
    "request",
];

/// A string: from the message, or the schema's own example, or one that says it is an example.
pub(super) fn string(
    schema: &Map<String, Value>,
    place: Place<'_>,
    hints: &mut Hints<'_>,
) -> Option<Value> {
    let least = limit(schema, "minLength").unwrap_or(0);
    let most = limit(schema, "maxLength").unwrap_or(usize::MAX);
    let fits = |text: &str| (least..=most).contains(&text.chars().count());
    let shown = ["default", "examples"].iter().find_map(|keyword| {
        let shown = schema.get(*keyword)?;
        let text = shown
            .as_str()
            .or_else(|| shown.as_array()?.first()?.as_str())?;
        fits(text).then(|| json!(text))
    });
    let text_of = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
    if let Some(pattern) = text_of("pattern") {
        return shown.or_else(|| pattern::sample(pattern, least).map(Value::String));
    }
    if let Some(text) = text_of("format").and_then(|format| formatted(format, hints)) {
        return Some(json!(text));
    }
    let named = hints.named(place.name).filter(|text| fits(text));
    if let Some(text) = named {
        return Some(json!(text));
    }
    let free = FREE_TEXTS.contains(&place.name) && fits(hints.message());
    if free && place.nth == 0 && !hints.message().is_empty() {
        return Some(json!(hints.message()));
    }
    if let Some(name) = hints.take_name(fits) {
        return Some(Value::String(name));
    }
    if shown.is_some() && place.nth == 0 {
        return shown;
    }
    let mut text = match place.nth {
        0 => "example".to_owned(),
        nth => format!("{} example", nth + 1),
    };
    while text.chars().count() < least {
        text.push_str(" example");
    }
    let end = text.char_indices().nth(most.max(least)).map(|(at, _)| at);
    text.truncate(end.unwrap_or(text.len()));
    if text.chars().count() > least && fits(text.trim_end()) {
        text.truncate(text.trim_end().len());
    }
    Some(Value::String(text))
}

/// A text of a format that schemas name; `None` for one we do not know.
fn formatted(format: &str, hints: &Hints<'_>) -> Option<String> {
    let token = |fits: fn(&str) -> bool, usual: &str| hints.token(fits).unwrap_or(usual).to_owned();
    Some(match format {
        "date-time" => "2025-01-31T12:30:00Z".to_owned(),
        "date" => token(is_date, "2025-01-31"),
        "time" => "12:30:00Z".to_owned(),
        "duration" => "PT1H30M".to_owned(),
        "email" | "idn-email" => token(is_email, "ada@example.com"),
        "uri" | "url" | "iri" | "uri-reference" => token(is_url, "https://example.com/"),
        "hostname" | "idn-hostname" => "example.com".to_owned(),
        "ipv4" => "192.0.2.1".to_owned(),
        "ipv6" => "2001:db8::1".to_owned(),
        "uuid" => "01234567-89ab-4cde-8f01-23456789abcd".to_owned(),
        "regex" => "^a+$".to_owned(),
        "json-pointer" => "/a".to_owned(),
        _ => return None,
    })
}

fn is_date(token: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = token.split('-').collect();
    matches!(parts.as_slice(), [y, m, d] if digits(y, 4) && digits(m, 2) && digits(d, 2))
}

fn is_email(token: &str) -> bool {
    token
        .split_once('@')
        .is_some_and(|(who, host)| !who.is_empty() && host.contains('.'))
}

fn is_url(token: &str) -> bool {
    token.starts_with("http://") || token.starts_with("https://")
}

/// A number: named by the message, or its next one that fits, or the first that is allowed.
pub(super) fn number(
    schema: &Map<String, Value>,
    place: Place<'_>,
    hints: &mut Hints<'_>,
    kind: Kind,
) -> Option<Value> {
    let bounds = Bounds::read(schema, kind);
    let named = hints
        .named(place.name)
        .and_then(|text| serde_json::from_str(text).ok());
    if let Some(number) = named.filter(|number| bounds.allow(number)) {
        return Some(Value::Number(number));
    }
    if let Some(number) = hints.take_number(|number| bounds.allow(number)) {
        return Some(Value::Number(number));
    }
    if let Some(Value::Number(usual)) = schema.get("default").filter(|_| place.nth == 0)
        && bounds.allow(usual)
    {
        return Some(Value::Number(usual.clone()));
    }
    bounds.nth(place.nth)
}

/// What a number may be.
struct Bounds {
    least: f64,
    most: f64,
    least_excluded: bool,
    most_excluded: bool,
    step: Option<f64>,
    kind: Kind,
}

impl Bounds {
    fn read(schema: &Map<String, Value>, kind: Kind) -> Bounds {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        let above = bound("exclusiveMinimum").unwrap_or(f64::NEG_INFINITY);
        let below = bound("exclusiveMaximum").unwrap_or(f64::INFINITY);
        let least = bound("minimum").unwrap_or(f64::NEG_INFINITY);
        let most = bound("maximum").unwrap_or(f64::INFINITY);
        Bounds {
            least: least.max(above),
            most: most.min(below),
            least_excluded: above >= least && above.is_finite(),
            most_excluded: below <= most && below.is_finite(),
            step: bound("multipleOf").filter(|step| *step > 0.0),
            kind,
        }
    }

    fn allow(&self, number: &Number) -> bool {
        let whole = self.kind == Kind::Any || number.is_i64() || number.is_u64();
        whole && number.as_f64().is_some_and(|number| self.contain(number))
    }

    fn contain(&self, number: f64) -> bool {
        let high = number > self.least || (number == self.least && !self.least_excluded);
        let low = number < self.most || (number == self.most && !self.most_excluded);
        let steps = self.step.is_none_or(|step| (number / step).fract() == 0.0);
        let whole = self.kind == Kind::Any || number.fract() == 0.0;
        number.is_finite() && high && low && steps && whole
    }

    /// The first allowed number, or one that is so many steps further.
    fn nth(&self, nth: usize) -> Option<Value> {
        let step = self.step.unwrap_or(1.0);
        let usual = if self.kind == Kind::Any && self.step.is_none() {
            1.5
        } else {
            step
        };
        let lowest = if self.least.is_finite() {
            (self.least / step).ceil() * step
        } else {
            usual
        };
        let highest = (self.most / step).floor() * step;
        let middle = f64::midpoint(self.least, self.most);
        let starts = [
            usual,
            lowest,
            lowest + step,
            self.least,
            highest,
            highest - step,
            middle,
        ];
        let start = starts.into_iter().find(|start| self.contain(*start))?;
        let distant = start + step * nth as f64;
        let number = if self.contain(distant) {
            distant
        } else {
            start
        };
        let whole = number.fract() == 0.0 && number.abs() < 9e15;
        Some(if whole {
            json!(number as i64)
        } else {
            json!(number)
        })
    }
}
