//! Models that the operator adds to the catalogue.

use std::collections::{BTreeMap, HashSet};

use config::{Map, Value, ValueKind};

use super::collection::List;
use super::scalar::{Choice, Count, Switch};
use super::text::ModelId;
use super::{Found, Kind};
use crate::config::models::{AddedModel, AddedPrice, Thinking};
use crate::config::problem::{Problems, did_you_mean, nearest};
use crate::config::toml_file;

/// A list of tables, one for each model.
pub(crate) struct Added;

impl Kind for Added {
    type Value = Vec<AddedModel>;

    fn takes(&self) -> String {
        "a list of tables such as `[{ id = \"owner/model\", vision = true }]`".to_owned()
    }

    fn short(&self) -> String {
        "list of tables".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Vec<AddedModel>> {
        let parsed;
        let items = match found.kind() {
            ValueKind::Array(items) => items,
            ValueKind::String(text) if text.trim().is_empty() => return Some(Vec::new()),
            ValueKind::String(text) => {
                parsed = toml_file::read_value(text, &found.origin()).map(|value| value.kind);
                match &parsed {
                    Some(ValueKind::Array(items)) => items,
                    _ => return found.refuse(self, problems),
                }
            }
            _ => return found.refuse(self, problems),
        };
        let mut ids = HashSet::new();
        let models: Vec<Option<AddedModel>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let found = found.part(format!("entry {} of {}", i + 1, found.name), item);
                let model = added_model(&found, problems)?;
                match ids.insert(model.id.clone()) {
                    true => Some(model),
                    false => {
                        let words = format!("is another one for `{}`; keep one", model.id);
                        found.refuse_because(&words, problems)
                    }
                }
            })
            .collect();
        models.into_iter().collect()
    }
}

const FIELDS: [&str; 12] = [
    "id",
    "premium",
    "vision",
    "reasoning",
    "enterprise",
    "context_length",
    "any_llm",
    "router",
    "parameters",
    "inputs",
    "prompt_price",
    "completion_price",
];

/// The names of parameters and modalities in OpenRouter's list of models.
const PARAMETERS: &[(&str, &str)] = &named([
    "tools",
    "tool_choice",
    "response_format",
    "structured_outputs",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "reasoning",
    "verbosity",
    "web_search_options",
]);
const MODALITIES: &[(&str, &str)] = &named(["text", "image", "file", "audio", "video"]);

/// Words that stand for themselves.
const fn named<const N: usize>(words: [&'static str; N]) -> [(&'static str, &'static str); N] {
    let mut pairs = [("", ""); N];
    let mut at = 0;
    while at < N {
        #[expect(
            clippy::indexing_slicing,
            reason = "both have as many, and it is done once, by the compiler"
        )]
        {
            pairs[at] = (words[at], words[at]);
        }
        at += 1;
    }
    pairs
}

fn added_model(found: &Found<'_>, problems: &mut Problems) -> Option<AddedModel> {
    let ValueKind::Table(table) = found.kind() else {
        return found.refuse(&Added, problems);
    };
    let known = refuse_unknown_fields(found, table, problems);
    let part = |field: &str| {
        let value = table.get(field)?;
        Some(found.part(format!("{field} in {}", found.name), value))
    };
    // A field that is absent stays so; one that is wrong is reported and ends in `None`.
    fn optional<K: Kind>(
        part: Option<Found<'_>>,
        kind: &K,
        problems: &mut Problems,
    ) -> Option<Option<K::Value>> {
        part.map_or(Some(None), |found| kind.read(&found, problems).map(Some))
    }
    let premium = optional(part("premium"), &Switch, problems);
    let vision = optional(part("vision"), &Switch, problems);
    let enterprise = optional(part("enterprise"), &Switch, problems);
    let any_llm = optional(part("any_llm"), &Switch, problems);
    let router = optional(part("router"), &Switch, problems);
    let reasoning = optional(part("reasoning"), &Thinks, problems);
    let context_length = optional(part("context_length"), &Count(1, 1_000_000_000), problems);
    let parameters = optional(part("parameters"), &List(Choice(PARAMETERS)), problems);
    let inputs = optional(part("inputs"), &List(Choice(MODALITIES)), problems);
    let prompt = optional(part("prompt_price"), &Price, problems);
    let completion = optional(part("completion_price"), &Price, problems);
    let id = match part("id") {
        Some(id) => ModelId.read(&id, problems),
        None => found.refuse_because("lacks `id`, the model's name at fal", problems),
    };
    let price = match (prompt?, completion?) {
        (None, None) => None,
        (Some(prompt), Some(completion)) => Some(AddedPrice { prompt, completion }),
        _ => {
            let words = "has one of `prompt_price` and `completion_price`; a price takes both";
            return found.refuse_because(words, problems);
        }
    };
    Some(AddedModel {
        id: id?,
        premium: premium?.unwrap_or(false),
        vision: vision?.unwrap_or(false),
        reasoning: reasoning?.unwrap_or(Thinking::Never),
        enterprise: enterprise?.unwrap_or(true),
        context_length: context_length?,
        any_llm: any_llm?,
        router: router?,
        parameters: parameters?,
        inputs: inputs?,
        price,
    })
    .filter(|_| known)
}

/// Whether all fields are known.
fn refuse_unknown_fields(
    found: &Found<'_>,
    table: &Map<String, Value>,
    problems: &mut Problems,
) -> bool {
    let fields: BTreeMap<_, _> = table.iter().collect();
    let mut known = true;
    for (name, value) in &fields {
        if !FIELDS.contains(&name.as_str()) {
            let end = did_you_mean(nearest(name, FIELDS));
            let sentence = format!("{} has no field `{}`{end}", found.name, name.escape_debug());
            problems.add(found.part("", value).origin(), sentence);
            known = false;
        }
    }
    known
}

/// Whether a model thinks before it answers.
struct Thinks;

impl Kind for Thinks {
    type Value = Thinking;

    fn takes(&self) -> String {
        "`true`, `false` or, for a model that always thinks, `\"mandatory\"`".to_owned()
    }

    fn short(&self) -> String {
        "`true`, `false`, `\"mandatory\"`".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Thinking> {
        match found.kind() {
            ValueKind::String(text) if text == "mandatory" => Some(Thinking::Always),
            _ => match Switch.read(found, &mut Problems::default()) {
                Some(true) => Some(Thinking::OnDemand),
                Some(false) => Some(Thinking::Never),
                None => found.refuse(self, problems),
            },
        }
    }
}

/// An amount in dollars as text, so that none of its decimals is lost.
struct Price;

impl Kind for Price {
    type Value = String;

    fn takes(&self) -> String {
        "dollars for one token, with up to twelve decimals, such as `\"0.0000004\"`".to_owned()
    }

    fn short(&self) -> String {
        "dollars".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let digits =
            |text: &str, most| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        let text = match found.kind() {
            ValueKind::I64(number) => Some(number.to_string()),
            _ => found.text().map(str::to_owned),
        };
        text.filter(|text| {
            let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
            !whole.is_empty() && digits(whole, 4) && !decimals.is_empty() && digits(decimals, 12)
        })
        .or_else(|| found.refuse(self, problems))
    }
}
