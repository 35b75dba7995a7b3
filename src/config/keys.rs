//! Client keys with what they may do, and the projects that they belong to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::Timestamp;
use serde_json::json;

use super::auth::is_key_name;
use super::kinds::{
    Budget, Choice, Count, KeyName, List, Moment, Optional, Pattern, PlainHash, Switch,
};
use super::problem::{did_you_mean, nearest};
use super::reader::Reader;
use super::records::record;
use super::{Config, KeyHash};
use crate::budget::Terms;

record! {
    /// Client keys with what they may do, one table for each. Keys that may do anything can be
    /// written shorter, in `auth.keys`. `fal-gateway keys new` makes a key and `keys hash` hashes one.
    pub struct Key in "keys" {
        /// What the key is called in logs and messages.
        name: String, KeyName;
        /// SHA-256 of the key.
        hash: KeyHash, PlainHash;
        /// Project that the key belongs to, one of `[[projects]]`. What the project may not do, its
        /// keys may not do either.
        project: Option<String>, Optional(KeyName), default "";
        /// What the key is for: `inference` for everything that asks a model, `models` for the list
        /// of models.
        scopes: Vec<Scope>, List(Choice(Scope::WORDS)), default "inference,models";
        /// Models that the key may ask for, by fal's ids, where `*` stands for anything and `!` in
        /// front takes models out again: `["openai/*", "!*-pro"]`. Empty for all.
        models: Vec<ModelPattern>, List(Pattern), default "";
        /// Whether the key may ask for models at the premium rate, and for those whose rate is not
        /// known.
        premium: bool, Switch, default "true";
        /// Requests in any minute; unset for no limit.
        requests_per_minute: Option<usize>, Optional(Count(1, 1_000_000_000)), default "";
        /// Tokens in any minute, of prompts and answers together; unset for no limit.
        tokens_per_minute: Option<usize>, Optional(Count(1, 1_000_000_000_000)), default "";
        /// Requests at the same time; unset for no limit.
        concurrency: Option<usize>, Optional(Count(1, 1_000_000)), default "";
        /// What the key may spend: `1000/day` in fal's units, `25 usd/month`, `500 req/week`, `1000000
        /// tok/total`, with a time zone, `soft` (only counted) or `premium` (models at the premium rate
        /// alone) behind it. A request has to fit into all of them; empty for no budget.
        budgets: Vec<Terms>, List(Budget), default "";
        /// When the key ends: a date such as `2027-01-31`, at whose beginning in UTC it ends, or a
        /// time such as `2027-01-31T18:00:00Z`.
        expires: Option<Timestamp>, Optional(Moment), default "";
        /// SHA-256 of the key that this one takes the place of; it is taken until `previous_until`.
        previous_hash: Option<KeyHash>, Optional(PlainHash), default "";
        /// When the previous key ends.
        previous_until: Option<Timestamp>, Optional(Moment), default "";
        /// Refuse the key for now.
        disabled: bool, Switch, default "false";
    }
}

record! {
    /// What several keys have in common.
    pub struct Project in "projects" {
        /// What the project is called.
        name: String, KeyName;
        /// Models that its keys may ask for, as in `[[keys]]`.
        models: Vec<ModelPattern>, List(Pattern), default "";
        /// Whether its keys may ask for models at the premium rate.
        premium: bool, Switch, default "true";
        /// Requests in any minute; of all its keys together; unset for no limit.
        requests_per_minute: Option<usize>, Optional(Count(1, 1_000_000_000)), default "";
        /// Tokens in any minute, of prompts and answers together; of all its keys together; unset for no limit.
        tokens_per_minute: Option<usize>, Optional(Count(1, 1_000_000_000_000)), default "";
        /// Requests at the same time; of all its keys together; unset for no limit.
        concurrency: Option<usize>, Optional(Count(1, 1_000_000)), default "";
        /// What its keys together may spend: `1000/day` in fal's units, `25 usd/month`, `500 req/week`, `1000000
        /// tok/total`, with a time zone, `soft` (only counted) or `premium` (models at the premium rate
        /// alone) behind it. A request has to fit into all of them; empty for no budget.
        budgets: Vec<Terms>, List(Budget), default "";
        /// Refuse all of its keys for now.
        disabled: bool, Switch, default "false";
    }
}

impl Key {
    /// All fields but the hashes, as [`Key::of_json`] reads them.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.word()).collect();
        object([
            ("name", json!(self.name)),
            ("project", json!(self.project)),
            ("scopes", json!(scopes)),
            ("models", texts(&self.models)),
            ("premium", json!(self.premium)),
            ("requests_per_minute", json!(self.requests_per_minute)),
            ("tokens_per_minute", json!(self.tokens_per_minute)),
            ("concurrency", json!(self.concurrency)),
            ("budgets", texts(&self.budgets)),
            ("expires", json!(self.expires.map(|at| at.to_string()))),
            (
                "previous_until",
                json!(self.previous_until.map(|at| at.to_string())),
            ),
            ("disabled", json!(self.disabled)),
        ])
    }
}

impl Project {
    /// All fields, as [`Project::of_json`] reads them.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        object([
            ("name", json!(self.name)),
            ("models", texts(&self.models)),
            ("premium", json!(self.premium)),
            ("requests_per_minute", json!(self.requests_per_minute)),
            ("tokens_per_minute", json!(self.tokens_per_minute)),
            ("concurrency", json!(self.concurrency)),
            ("budgets", texts(&self.budgets)),
            ("disabled", json!(self.disabled)),
        ])
    }
}

fn object<const N: usize>(
    fields: [(&str, serde_json::Value); N],
) -> serde_json::Map<String, serde_json::Value> {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn texts(items: &[impl ToString]) -> serde_json::Value {
    items.iter().map(ToString::to_string).collect()
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that asks a model.
    Inference,
    /// The list of models.
    Models,
}

impl Scope {
    const WORDS: &'static [(&'static str, Self)] =
        &[("inference", Self::Inference), ("models", Self::Models)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Models => "models",
        }
    }
}

/// Model ids that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern {
    /// Whether these are taken out rather than let in.
    pub excludes: bool,
    /// The id, in which `*` stands for any letters.
    pub text: String,
}

/// As it can be read again.
impl fmt::Display for ModelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.excludes { "!" } else { "" };
        write!(formatter, "{sign}{}", self.text)
    }
}

/// Whether a text can be the name of a key or a project.
pub fn can_name(text: &str) -> bool {
    is_key_name(text)
}

/// The project of keys that have none, as reports and OpenAI's organisation API call it.
pub const DEFAULT_PROJECT: &str = "default";

/// Why a name that can be one is none for a project.
pub fn fault_of_project_name(name: &str) -> Option<String> {
    (name == DEFAULT_PROJECT).then(|| {
        format!(
            "no project can be called `{DEFAULT_PROJECT}`, which means the keys without one; choose \
             another name."
        )
    })
}

/// Reports keys and projects that do not go together; each sentence names both places.
pub(super) fn refuse_contradictions(config: &Config, reader: &mut Reader) {
    let mut projects: BTreeMap<&str, &Project> = BTreeMap::new();
    for project in &config.projects {
        if let Some(first) = projects.insert(&project.name, project) {
            let (name, first) = (&project.name, &first.origin);
            let sentence = format!("the project `{name}` stands in {first} already; remove one.");
            reader.complain(&project.origin, sentence);
        }
        if let Some(fault) = fault_of_project_name(&project.name) {
            reader.complain(&project.origin, fault);
        }
    }
    for key in &config.keys {
        let name = key.project.as_deref();
        if let Some(name) = name.filter(|name| !projects.contains_key(name)) {
            let end = did_you_mean(nearest(name, projects.keys().copied()));
            let sentence = format!(
                "the key `{}` belongs to the project `{name}`, but no `[[projects]]` has that name{end}",
                key.name
            );
            reader.complain(&key.origin, sentence);
        }
        if key.previous_hash.is_some() != key.previous_until.is_some() {
            let sentence = format!(
                "previous_hash and previous_until of the key `{}` belong together; set both or none.",
                key.name
            );
            reader.complain(&key.origin, sentence);
        }
    }
    refuse_equal_names(config, reader);
    refuse_equal_hashes(config, reader);
    refuse_equal_budgets(config, reader);
}

/// Whether anybody has a budget.
pub(super) fn has_budgets(config: &Config) -> bool {
    let keys = config.keys.iter().map(|key| &key.budgets);
    let projects = config.projects.iter().map(|project| &project.budgets);
    keys.chain(projects).any(|budgets| !budgets.is_empty())
}

/// What is spent of budgets has to outlive the process: where no store is named they get one beside
/// the settings file.
pub(super) fn give_books(config: &mut Config) {
    let is_named = config.store.path.is_some() || config.store.url.is_some();
    let file = config.file.as_ref().map(|file| file.path.clone());
    if let Some(file) = file.filter(|_| has_budgets(config) && !is_named) {
        let books = file.with_extension("db");
        let shown = books.display().to_string();
        config.store.path = Some(books);
        config.show(
            "store.path",
            &shown,
            "beside the settings file, for the budgets",
        );
    }
}

/// Two budgets of one owner that count the same in the same time: which of them holds?
fn refuse_equal_budgets(config: &Config, reader: &mut Reader) {
    let keys = config.keys.iter();
    let keys = keys.map(|key| ("key", &key.name, &key.budgets, &key.origin));
    let projects = config.projects.iter();
    let projects = projects.map(|one| ("project", &one.name, &one.budgets, &one.origin));
    for (what, name, budgets, origin) in keys.chain(projects) {
        for (first, second) in equal_budgets(budgets) {
            let sentence = format!(
                "the {what} `{name}` has the budgets `{first}` and `{second}`, which count the same; \
                 keep one of them."
            );
            reader.complain(origin, sentence);
        }
    }
}

/// Pairs of budgets that count the same in the same time.
pub fn equal_budgets(budgets: &[Terms]) -> Vec<(&Terms, &Terms)> {
    let mut known: HashMap<String, &Terms> = HashMap::new();
    let pairs = budgets.iter().filter_map(|terms| {
        let first = known.insert(terms.name(), terms)?;
        Some((first, terms))
    });
    pairs.collect()
}

fn refuse_equal_names(config: &Config, reader: &mut Reader) {
    let lines = config.auth.keys.iter().enumerate();
    let mut places: HashMap<&str, String> = lines
        .filter_map(|(at, key)| Some((key.name()?, line_of(at, reader))))
        .collect();
    for key in &config.keys {
        if let Some(first) = places.insert(&key.name, key.origin.clone()) {
            let sentence = format!(
                "the key `{}` is called like the one in {first}; rename one.",
                key.name
            );
            reader.complain(&key.origin, sentence);
        }
    }
}

fn refuse_equal_hashes(config: &Config, reader: &mut Reader) {
    let lines = config.auth.keys.iter().enumerate();
    let mut places: HashMap<&[u8; 32], String> = lines
        .map(|(at, key)| (key.sha256(), line_of(at, reader)))
        .collect();
    if let Some(admin) = &config.auth.admin_key {
        places.insert(admin.sha256(), "auth.admin_key".to_owned());
    }
    for key in &config.admin_keys {
        if let Some(first) = places.insert(key.hash.sha256(), key.origin.clone()) {
            let sentence = format!(
                "the admin key `{}` has the same hash as the key in {first}; make another with \
                 `fal-gateway keys new --for-file`.",
                key.name
            );
            reader.complain(&key.origin, sentence);
        }
    }
    for key in &config.keys {
        for hash in std::iter::once(&key.hash).chain(&key.previous_hash) {
            if let Some(first) = places.insert(hash.sha256(), key.origin.clone()) {
                let sentence = format!(
                    "the key `{}` has the same hash as the one in {first}; make another with \
                     `fal-gateway keys new`.",
                    key.name
                );
                reader.complain(&key.origin, sentence);
            }
        }
    }
}

fn line_of(at: usize, reader: &Reader) -> String {
    let origin = reader.item_origin("auth.keys", at).unwrap_or_default();
    format!("{origin} (entry {} of auth.keys)", at + 1)
}
