//! Gives values the types that a schema declares, where nothing is lost by it.

use serde_json::{Map, Number, Value};

use super::exact::{keeps_number, keeps_numbers};
use super::fix::Fix;
use super::pointer::Targets;

/// Values and schemas looked at together, after which the rest is left as it is.
const MAX_STEPS: usize = 50_000;
/// Levels of values and schemas within one another, on the stack.
const DEEPEST_CALL: usize = 256;

/// Changes a value towards a schema and says how.
///
/// Models write `"5"` for `5`, `"[1, 2]"` for `[1, 2]` and `"a"` for `["a"]`. Where the schema
/// does not allow what was written, and allows exactly one thing that it spells, it becomes that:
/// strings become numbers, booleans, arrays, objects or the `enum`'s own spelling, single values
/// arrays of one, and `5.0` becomes `5` where an integer is asked for.
///
/// Where a schema branches (`anyOf`, `oneOf`), the only branch that the value fits is followed, or
/// else the only one that it can be made to fit; with two, nothing is done. No value is invented or
/// dropped: `null` and missing members stay as they are. The schema is not asked whether the result
/// is valid; [`super::Schema::check`] is.
pub fn coerce(value: &mut Value, schema: &Value) -> Vec<Fix> {
    let mut coercer = Coercer {
        targets: Targets::of(schema),
        fixes: Vec::new(),
        steps: 0,
    };
    coercer.visit(value, schema, 0);
    coercer.fixes
}

struct Coercer<'s> {
    targets: Targets<'s>,
    fixes: Vec<Fix>,
    steps: usize,
}

impl<'s> Coercer<'s> {
    fn visit(&mut self, value: &mut Value, schema: &'s Value, depth: usize) {
        self.steps = self.steps.saturating_add(1);
        let Value::Object(keywords) = schema else {
            return;
        };
        if depth >= DEEPEST_CALL || self.steps > MAX_STEPS {
            return;
        }
        let depth = depth.saturating_add(1);
        if let Some(target) = self.targets.follow(keywords) {
            self.visit(value, target, depth);
        }
        for branch in list(keywords, "allOf") {
            self.visit(value, branch, depth);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(branch) = self.only_branch(value, list(keywords, choice), depth) {
                self.visit(value, branch, depth);
            }
        }
        if let Some((coerced, fix)) = self.coerced(value, keywords, depth) {
            *value = coerced;
            fix.note(&mut self.fixes);
        }
        self.descend(value, keywords, depth);
    }

    fn descend(&mut self, value: &mut Value, keywords: &'s Map<String, Value>, depth: usize) {
        match value {
            Value::Object(members) => {
                let properties = keywords.get("properties").and_then(Value::as_object);
                // Which members are left over, only patterns would tell.
                let others = keywords
                    .get("additionalProperties")
                    .filter(|_| !keywords.contains_key("patternProperties"));
                for (name, member) in members {
                    let declared = properties.and_then(|schemas| schemas.get(name));
                    if let Some(schema) = declared.or(others) {
                        self.visit(member, schema, depth);
                    }
                }
            }
            Value::Array(items) => {
                let first = list(keywords, "prefixItems").chain(list(keywords, "items"));
                let others = keywords.get("items").filter(|schema| schema.is_object());
                let schemas = first.map(Some).chain(std::iter::repeat(others));
                for (item, schema) in items.iter_mut().zip(schemas) {
                    if let Some(schema) = schema {
                        self.visit(item, schema, depth);
                    }
                }
            }
            _ => {}
        }
    }

    /// The one branch that a value fits as it is, or else the one it can be made to fit.
    fn only_branch(
        &mut self,
        value: &Value,
        branches: impl Iterator<Item = &'s Value> + Clone,
        depth: usize,
    ) -> Option<&'s Value> {
        let mut fitting = branches
            .clone()
            .filter(|branch| self.fits(value, branch, depth));
        if let Some(branch) = fitting.next() {
            return fitting.next().is_none().then_some(branch);
        }
        drop(fitting);
        let mut possible = branches.filter(|branch| self.can_fit(value, branch, depth));
        let branch = possible.next()?;
        possible.next().is_none().then_some(branch)
    }

    /// Whether a value has the type and shape that a schema asks for, without looking further
    /// into it than for the constants that tell branches apart.
    fn fits(&mut self, value: &Value, schema: &'s Value, depth: usize) -> bool {
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            other => return other.as_bool().unwrap_or(true),
        };
        self.steps = self.steps.saturating_add(cost(value, keywords));
        if depth >= DEEPEST_CALL || self.steps > MAX_STEPS {
            return false;
        }
        let depth = depth.saturating_add(1);
        let any_fits = |coercer: &mut Self, choice| {
            let mut branches = list(keywords, choice).peekable();
            branches.peek().is_none() || branches.any(|branch| coercer.fits(value, branch, depth))
        };
        has_declared_type(value, keywords)
            && is_allowed(value, keywords)
            && has_required(value, keywords)
            && self
                .targets
                .follow(keywords)
                .is_none_or(|target| self.fits(value, target, depth))
            && list(keywords, "allOf").all(|branch| self.fits(value, branch, depth))
            && any_fits(self, "anyOf")
            && any_fits(self, "oneOf")
            && self.members_fit(value, keywords)
    }

    /// Whether members that a schema fixes to constants have one of those.
    fn members_fit(&mut self, value: &Value, keywords: &'s Map<String, Value>) -> bool {
        let (Value::Object(members), Some(Value::Object(properties))) =
            (value, keywords.get("properties"))
        else {
            return true;
        };
        self.steps = self.steps.saturating_add(properties.len());
        properties.iter().all(
            |(name, schema)| match (members.get(name), schema.as_object()) {
                (Some(member), Some(keywords)) => is_allowed(member, keywords),
                _ => true,
            },
        )
    }

    fn can_fit(&mut self, value: &Value, schema: &'s Value, depth: usize) -> bool {
        let mut schema = schema;
        // Only plain references are followed: what branches again has no single reading.
        for _ in depth..DEEPEST_CALL {
            let Value::Object(keywords) = schema else {
                return false;
            };
            match self.targets.follow(keywords) {
                Some(target) => schema = target,
                None => return self.coerced(value, keywords, depth).is_some(),
            }
        }
        false
    }

    /// What a value becomes at its own level; `None` when it may stay or has to.
    fn coerced(
        &mut self,
        value: &Value,
        keywords: &'s Map<String, Value>,
        depth: usize,
    ) -> Option<(Value, Fix)> {
        self.steps = self.steps.saturating_add(cost(value, keywords));
        if self.steps > MAX_STEPS {
            return None;
        }
        if let Value::Number(number) = value
            && allows(keywords, "integer")
            && !allows(keywords, "number")
            && let Some(whole) = without_fraction(number)
        {
            return Some((whole, Fix::FloatToInteger));
        }
        if let Value::String(text) = value
            && has_declared_type(value, keywords)
        {
            return in_case_of_enum(text, keywords);
        }
        if !keywords.contains_key("type") || has_declared_type(value, keywords) {
            return None;
        }
        let spelled = match value {
            Value::String(text) => spelled_by(text, keywords)?,
            _ => Spelled::Nothing,
        };
        match spelled {
            Spelled::One(value, fix) => is_allowed(&value, keywords).then_some((value, fix)),
            Spelled::Nothing => self.in_array(value, keywords, depth),
        }
    }

    /// An array of one, where the schema asks for an array of just that.
    fn in_array(
        &mut self,
        value: &Value,
        keywords: &'s Map<String, Value>,
        depth: usize,
    ) -> Option<(Value, Fix)> {
        let is_single = matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
        let items = keywords.get("items").filter(|items| items.is_object())?;
        let is_meant = is_single && allows(keywords, "array") && self.fits(value, items, depth);
        // An array of anything says nothing about this value.
        let says_something = items.as_object().is_some_and(|items| {
            ["type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"]
                .iter()
                .any(|keyword| items.contains_key(*keyword))
        });
        (is_meant && says_something).then(|| (Value::Array(vec![value.clone()]), Fix::ValueToArray))
    }
}

/// Steps for looking at a value once: strings are read, those of every option too.
fn cost(value: &Value, keywords: &Map<String, Value>) -> usize {
    let bytes = |value: &Value| value.as_str().map_or(0, str::len);
    let options = list(keywords, "enum").map(|option| (bytes(option) / 32).saturating_add(1));
    let options = options.fold(0, usize::saturating_add);
    (bytes(value) / 32)
        .saturating_add(options)
        .saturating_add(1)
}

/// What a string spells besides itself.
enum Spelled {
    One(Value, Fix),
    Nothing,
}

/// What a string spells of the types that a schema allows; `None` when it spells several.
fn spelled_by(text: &str, keywords: &Map<String, Value>) -> Option<Spelled> {
    let boolean = match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    };
    let boolean = boolean
        .filter(|_| allows(keywords, "boolean"))
        .map(|boolean| Spelled::One(Value::Bool(boolean), Fix::StringToBoolean));
    let number =
        number_spelled_by(text, keywords).map(|number| Spelled::One(number, Fix::StringToNumber));
    let parsed =
        json_spelled_by(text, keywords).map(|parsed| Spelled::One(parsed, Fix::StringToJson));
    let mut all = [boolean, number, parsed].into_iter().flatten();
    match (all.next(), all.next()) {
        (None, _) => Some(Spelled::Nothing),
        (one, None) => one,
        (Some(_), Some(_)) => None,
    }
}

fn number_spelled_by(text: &str, keywords: &Map<String, Value>) -> Option<Value> {
    // White space would be lost.
    if text.trim() != text || !keeps_number(text) {
        return None;
    }
    let number = serde_json::from_str::<Number>(text).ok()?;
    if allows(keywords, "number") {
        Some(Value::Number(number))
    } else if !allows(keywords, "integer") {
        None
    } else if number.is_f64() {
        without_fraction(&number)
    } else {
        Some(Value::Number(number))
    }
}

fn json_spelled_by(text: &str, keywords: &Map<String, Value>) -> Option<Value> {
    let declared = match text.trim_start().chars().next() {
        Some('[') => "array",
        Some('{') => "object",
        _ => return None,
    };
    let is_meant = allows(keywords, declared) && super::repair::parses(text);
    (is_meant && keeps_numbers(text)).then(|| serde_json::from_str(text).ok())?
}

/// The one member of an `enum` that a string differs from by case only.
fn in_case_of_enum(text: &str, keywords: &Map<String, Value>) -> Option<(Value, Fix)> {
    if is_allowed(&Value::from(text), keywords) {
        return None;
    }
    let lower = text.to_lowercase();
    let mut alike = list(keywords, "enum").filter(|option| {
        option
            .as_str()
            .is_some_and(|option| option.to_lowercase() == lower)
    });
    let option = alike.next()?;
    alike
        .next()
        .is_none()
        .then(|| (option.clone(), Fix::EnumCase))
}

/// `5` for `5.0`, as far as doubles hold every whole number.
fn without_fraction(number: &Number) -> Option<Value> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let double = number.as_f64().filter(|_| number.is_f64())?;
    let is_whole = double.fract() == 0.0 && double.abs() <= LARGEST;
    // Formatted without exponent or fraction, it reads as an integer.
    is_whole
        .then(|| format!("{double:.0}").parse::<i64>().ok())?
        .map(Value::from)
}

/// Whether the `type` of a schema names a type.
fn allows(keywords: &Map<String, Value>, name: &str) -> bool {
    match keywords.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

fn has_declared_type(value: &Value, keywords: &Map<String, Value>) -> bool {
    if !keywords.contains_key("type") {
        return true;
    }
    match value {
        Value::Null => allows(keywords, "null"),
        Value::Bool(_) => allows(keywords, "boolean"),
        Value::Number(number) => {
            allows(keywords, "number")
                || (allows(keywords, "integer")
                    && (!number.is_f64() || without_fraction(number).is_some()))
        }
        Value::String(_) => allows(keywords, "string"),
        Value::Array(_) => allows(keywords, "array"),
        Value::Object(_) => allows(keywords, "object"),
    }
}

/// Whether `enum` and `const` leave room for a value.
fn is_allowed(value: &Value, keywords: &Map<String, Value>) -> bool {
    let options = keywords.get("enum").and_then(Value::as_array);
    options.is_none_or(|options| options.contains(value))
        && keywords.get("const").is_none_or(|only| only == value)
}

fn has_required(value: &Value, keywords: &Map<String, Value>) -> bool {
    let Value::Object(members) = value else {
        return true;
    };
    let mut names = list(keywords, "required").filter_map(Value::as_str);
    names.all(|name| members.contains_key(name))
}

fn list<'s>(
    keywords: &'s Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'s Value> + Clone + use<'s> {
    keywords
        .get(name)
        .and_then(Value::as_array)
        .map(|list| list.iter())
        .unwrap_or_default()
}
