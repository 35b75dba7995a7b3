//! The file with what was measured of models: `fal-gateway eval` writes it, the gateway reads it.
//!
//! Of each model it takes the dialect and whether to show outlines; the figures are for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use config::{Map, Value, ValueKind};

use super::Dialect;
use super::kinds::{Choice, Count, Found, Kind, ModelId, Switch};
use super::problem::{Problems, did_you_mean, nearest};
use super::settings::Secrecy;
use super::sources::reason;
use super::toml_file;

/// What was measured, by the models' ids.
pub type Capabilities = BTreeMap<String, Capability>;

/// What was measured of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// The form in which it is asked to call, where more than one was tried or one was chosen.
    pub dialect: Option<Dialect>,
    /// Whether it is shown outlines of the JSON it has to write, likewise.
    pub outline: Option<bool>,
    /// The day, as `2026-11-22`; what somebody wrote by hand was measured on none.
    pub measured: Option<String>,
    pub figures: Figures,
}

/// How many answers there were of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Right as the model wrote them.
    pub first_try: usize,
    /// Right after repairs that lose nothing.
    pub repaired: usize,
    /// Right after the model was asked again.
    pub reasked: usize,
    /// Nothing promised was broken, but the task was not done.
    pub missed: usize,
    /// Errors.
    pub errors: usize,
    /// Delivered although they break a promise.
    pub invalid: usize,
}

impl Figures {
    /// The figures and their names in the file.
    fn named(&self) -> [(&'static str, usize); 6] {
        [
            ("first_try", self.first_try),
            ("repaired", self.repaired),
            ("reasked", self.reasked),
            ("missed", self.missed),
            ("errors", self.errors),
            ("invalid", self.invalid),
        ]
    }

    /// All answers.
    pub fn answers(&self) -> usize {
        self.named().iter().map(|(_, count)| count).sum()
    }

    /// Those that did the task.
    pub fn right(&self) -> usize {
        self.first_try + self.repaired + self.reasked
    }
}

/// Reads the file.
///
/// # Errors
/// A file that cannot be read, and everything in it that is unknown or wrong, with its line.
pub fn read_capabilities(path: &Path) -> Result<Capabilities, Problems> {
    let mut problems = Problems::default();
    let shown = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let why = format!("the file cannot be read: {}.", reason(path, &error));
            problems.add(shown, why);
            return Err(problems);
        }
    };
    let found = toml_file::read_file(&shown, &text, &mut problems);
    let capabilities = read(&shown, found.unwrap_or_default(), &mut problems);
    match problems.is_empty() {
        true => Ok(capabilities),
        false => Err(problems),
    }
}

/// The text of the file.
pub fn write_capabilities(capabilities: &Capabilities) -> String {
    let mut text = String::from(
        "# How well models call tools and write JSON, measured by `fal-gateway eval`.\n\
         # The gateway reads this file if `models.capabilities` names it, and speaks to each model\n\
         # in its `dialect`, with an `outline` of JSON or without, unless `tools.dialects` or\n\
         # `tools.outlines` say otherwise. The figures are for people.\n",
    );
    for (model, capability) in capabilities {
        let Capability {
            dialect,
            outline,
            measured,
            figures,
        } = capability;
        // A quoted key of TOML is a string of JSON.
        let key = serde_json::Value::from(model.as_str());
        let _ = write!(text, "\n[models.{key}]\n");
        if let Some(dialect) = dialect {
            let _ = writeln!(text, "dialect = \"{}\"", dialect.word());
        }
        if let Some(outline) = outline {
            let _ = writeln!(text, "outline = {outline}");
        }
        let Some(day) = measured else {
            continue;
        };
        let _ = writeln!(text, "measured = \"{day}\"");
        let _ = writeln!(text, "answers = {}", figures.answers());
        for (name, count) in figures.named() {
            let _ = writeln!(text, "{name} = {count}");
        }
    }
    text
}

fn read(path: &str, sections: Map<String, Value>, problems: &mut Problems) -> Capabilities {
    let mut capabilities = Capabilities::new();
    for (name, value) in in_order(&sections) {
        let found = Found::new(name, value, Secrecy::Open);
        match &value.kind {
            ValueKind::Table(models) if name == "models" => {
                for (model, value) in in_order(models) {
                    let capability = capability(path, model, value, problems);
                    capabilities.extend(capability.map(|known| (model.to_owned(), known)));
                }
            }
            _ => {
                let sentence = format!(
                    "there is no `{}` here; the file holds tables such as `[models.\"openai/gpt-4o\"]`.",
                    name.escape_debug()
                );
                problems.add(found.origin_or(path), sentence);
            }
        }
    }
    capabilities
}

fn capability(
    path: &str,
    model: &str,
    value: &Value,
    problems: &mut Problems,
) -> Option<Capability> {
    const FIGURES: [&str; 7] = [
        "answers",
        "first_try",
        "repaired",
        "reasked",
        "missed",
        "errors",
        "invalid",
    ];
    let name = format!("models.\"{}\"", model.escape_debug());
    let found = Found::new(&name, value, Secrecy::Open);
    let key = Value::new(Some(&found.origin_or(path)), model);
    ModelId.read(
        &Found::new(format!("the name {name}"), &key, Secrecy::Open),
        problems,
    )?;
    let ValueKind::Table(fields) = &value.kind else {
        let sentence = format!("{name} is no table; write `[{name}]`.");
        problems.add(found.origin_or(path), sentence);
        return None;
    };
    let mut capability = Capability::default();
    let mut counts = BTreeMap::new();
    for (field, value) in in_order(fields) {
        let found = Found::new(format!("{field} in {name}"), value, Secrecy::Open);
        match field {
            "dialect" => {
                capability.dialect = Some(Choice(Dialect::WORDS).read(&found, problems)?);
            }
            "outline" => capability.outline = Some(Switch.read(&found, problems)?),
            "measured" => capability.measured = Some(Day.read(&found, problems)?),
            field if FIGURES.contains(&field) => {
                counts.insert(field, Count(0, 1_000_000).read(&found, problems)?);
            }
            _ => {
                let known = FIGURES
                    .into_iter()
                    .chain(["dialect", "outline", "measured"]);
                let end = did_you_mean(nearest(field, known));
                let sentence = format!("{name} has no field `{}`{end}", field.escape_debug());
                problems.add(found.origin_or(path), sentence);
            }
        }
    }
    let count = |name| counts.get(name).copied().unwrap_or(0);
    capability.figures = Figures {
        first_try: count("first_try"),
        repaired: count("repaired"),
        reasked: count("reasked"),
        missed: count("missed"),
        errors: count("errors"),
        invalid: count("invalid"),
    };
    Some(capability)
}

/// A day, as `2026-11-22`.
struct Day;

impl Kind for Day {
    type Value = String;

    fn takes(&self) -> String {
        "a day such as `\"2026-11-22\"`".to_owned()
    }

    fn short(&self) -> String {
        "day".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let is_digits = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let day = found.text().filter(|text| {
            let parts: Vec<&str> = text.split('-').collect();
            matches!(parts.as_slice(), [year, month, day]
                if is_digits(year, 4) && is_digits(month, 2) && is_digits(day, 2))
        });
        day.map(str::to_owned)
            .or_else(|| found.refuse(self, problems))
    }
}

/// The parser hands tables over in no particular order.
fn in_order(table: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    table
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}
