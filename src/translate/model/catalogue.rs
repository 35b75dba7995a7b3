//! The catalogue: which models there are, and by which names they go.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::builtin::{self, DEFAULT_MODEL};
use super::info::ModelInfo;
use super::lists::PublicLists;
use crate::translate::rejection::{Cause, Rejection};

/// What the operator changed about the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub default: Option<String>,
    pub builtin_aliases: bool,
    pub aliases: Vec<(String, String)>,
    pub add: Vec<ModelInfo>,
    pub hide: Vec<String>,
    /// What the public lists say of models.
    pub lists: Arc<PublicLists>,
    /// Refuse names with a slash that the catalogue does not know, rather than let fal decide.
    pub refuse_unknown: bool,
    /// Models to try when one refuses before working: names, and the names to try in order.
    pub fallbacks: Vec<(String, Vec<String>)>,
}

/// The models and their names, built once at the start.
#[derive(Clone, Debug)]
pub struct Catalogue {
    cards: Vec<ModelInfo>,
    by_name: HashMap<String, usize>,
    /// By the name in small letters.
    by_folded_name: HashMap<String, usize>,
    /// Names that are neither listed nor served, in small letters.
    hidden: HashSet<String>,
    aliases: Vec<(String, usize)>,
    default: String,
    refuse_unknown: bool,
    /// By the id of the model that is asked for first.
    fallbacks: HashMap<String, Vec<String>>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved<'c> {
    pub id: Cow<'c, str>,
    /// `None` for a name that only fal can judge.
    pub card: Option<&'c ModelInfo>,
}

impl Catalogue {
    /// The built-in catalogue with the operator's changes.
    pub fn new(changes: Changes) -> Self {
        let mut cards = builtin::models();
        apply(&changes.lists, changes.refuse_unknown, &mut cards);
        for added in changes.add {
            match cards.iter_mut().find(|card| card.id == added.id) {
                Some(card) => *card = added,
                None => cards.push(added),
            }
        }
        let hidden = changes.hide.iter().map(|name| name.to_ascii_lowercase());
        let hidden = hidden.collect::<HashSet<_>>();
        cards.retain(|card| !hidden.contains(&card.id.to_ascii_lowercase()));
        let mut catalogue = Self {
            by_name: cards
                .iter()
                .enumerate()
                .map(|(index, card)| (card.id.to_string(), index))
                .collect(),
            by_folded_name: HashMap::new(),
            hidden,
            cards,
            aliases: Vec::new(),
            default: changes.default.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            refuse_unknown: changes.refuse_unknown,
            fallbacks: HashMap::new(),
        };
        catalogue.add_aliases(changes.aliases, changes.builtin_aliases);
        if let Some(&index) = catalogue.by_name.get(&catalogue.default) {
            catalogue.list(index);
        }
        let folded = |(name, index): (&String, &usize)| (name.to_ascii_lowercase(), *index);
        catalogue.by_folded_name = catalogue.by_name.iter().map(folded).collect();
        for (name, mut substitutes) in changes.fallbacks {
            let id = catalogue
                .card(&name)
                .map_or(name, |card| card.id.to_string());
            substitutes.retain(|name| !catalogue.hides(name));
            catalogue.fallbacks.insert(id, substitutes);
        }
        catalogue
    }

    /// The operator's aliases first, so that they win. An alias may name another alias or a model
    /// that only fal knows; the latter gets a card of its own.
    fn add_aliases(&mut self, configured: Vec<(String, String)>, builtin: bool) {
        let targets = configured.iter().cloned().collect::<HashMap<_, _>>();
        for (alias, first) in configured {
            let mut target = first;
            for _ in 0..targets.len() {
                match targets.get(&target) {
                    Some(next) => target = next.clone(),
                    None => break,
                }
            }
            // A name for what is hidden is hidden too.
            match self.hides(&target) {
                true => self.hide(&alias),
                false => {
                    let index = self.index_or_add(target);
                    self.list(index);
                    self.add_alias(alias, index);
                }
            }
        }
        if !builtin {
            return;
        }
        for (alias, id) in builtin::ALIASES {
            if let Some(&index) = self.by_name.get(*id) {
                self.add_alias((*alias).to_owned(), index);
            }
        }
        for index in 0..self.cards.len() {
            let bare = self
                .cards
                .get(index)
                .and_then(|card| card.id.split_once('/'));
            if let Some((_, bare)) = bare {
                self.add_alias(bare.to_owned(), index);
            }
        }
    }

    fn index_or_add(&mut self, id: String) -> usize {
        if let Some(&index) = self.by_name.get(&id) {
            return index;
        }
        let index = self.cards.len();
        self.by_name.insert(id.clone(), index);
        self.cards.push(ModelInfo::of_unknown(id));
        index
    }

    /// Shows a model in the list: the operator has named it.
    fn list(&mut self, index: usize) {
        if let Some(model) = self.cards.get_mut(index) {
            model.is_listed = true;
        }
    }

    fn hide(&mut self, name: &str) {
        self.hidden.insert(name.to_ascii_lowercase());
    }

    fn add_alias(&mut self, alias: String, index: usize) {
        if !self.by_name.contains_key(&alias) && !self.hides(&alias) {
            self.by_name.insert(alias.clone(), index);
            self.aliases.push((alias, index));
        }
    }

    /// The models, in fal's order.
    pub fn cards(&self) -> &[ModelInfo] {
        &self.cards
    }

    /// The other names of models: (alias, card).
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &ModelInfo)> {
        self.aliases
            .iter()
            .filter_map(|(alias, index)| Some((alias.as_str(), self.cards.get(*index)?)))
    }

    /// The card of an id or alias, if the catalogue has one.
    pub fn card(&self, name: &str) -> Option<&ModelInfo> {
        self.by_name
            .get(name)
            .and_then(|&index| self.cards.get(index))
    }

    /// The card of a model by any spelling of its name: capitals do not matter, and a date or
    /// `-latest` at the end may be left out. `OpenAI/GPT-4o-2024-08-06` is `openai/gpt-4o`.
    pub fn find(&self, name: &str) -> Option<&ModelInfo> {
        if let Some(card) = self.card(name) {
            return Some(card);
        }
        let folded = name.to_ascii_lowercase();
        if self.hides(&folded) {
            return None;
        }
        let spellings = [Some(folded.as_str()), without_version(&folded)];
        let mut spellings = spellings.into_iter().flatten();
        let index = spellings.find_map(|name| self.by_folded_name.get(name))?;
        self.cards.get(*index)
    }

    /// Whether a name is one that the operator hides, whatever its capitals and its date.
    pub fn hides(&self, name: &str) -> bool {
        let folded = name.to_ascii_lowercase();
        let is_listed = |name: &str| self.by_folded_name.contains_key(name);
        self.hidden.contains(&folded)
            || without_version(&folded)
                .is_some_and(|bare| self.hidden.contains(bare) && !is_listed(&folded))
    }

    /// The names that the operator configured to fall back on from this id.
    pub fn fallbacks(&self, id: &str) -> &[String] {
        self.fallbacks
            .get(id)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What a request's `model` stands for; `None` is the default.
    ///
    /// # Errors
    /// A hidden name, a bare name that is no alias, and with `refuse_unknown` any name that is not
    /// in the catalogue. The refusal suggests names that are near.
    pub fn resolve(&self, name: Option<&str>) -> Result<Resolved<'_>, Rejection> {
        let name = name.unwrap_or(&self.default);
        if let Some(card) = self.find(name) {
            return Ok(Resolved {
                id: Cow::Borrowed(&card.id),
                card: Some(card),
            });
        }
        let may_be_known = name.contains('/') && !self.refuse_unknown && is_plausible_id(name);
        match may_be_known && !self.hides(name) {
            true => Ok(Resolved {
                id: Cow::Owned(name.to_owned()),
                card: None,
            }),
            false => Err(self.unknown(name, std::iter::empty())),
        }
    }

    /// The refusal of a name, with the nearest ones that exist, here or among `more`.
    pub fn unknown<'m>(&'m self, name: &str, more: impl Iterator<Item = &'m str>) -> Rejection {
        let suggestion = self.suggestion(name, more);
        let shown = shortened(name);
        Rejection::of(
            Cause::UnknownModel,
            "model",
            format!(
                "The model '{shown}' does not exist on this gateway.{suggestion} \
                 GET /v1/models lists the models; an alias in [models.aliases] can map other names."
            ),
        )
    }

    /// What is said of a model that fal refused to ask, with the nearest names that exist, here or among
    /// `more`. One that is listed may be refused to this account, or for this request alone.
    pub fn refused<'m>(&'m self, name: &str, more: impl Iterator<Item = &'m str>) -> String {
        let suggestion = self.suggestion(name, more);
        let shown = shortened(name);
        match self.find(name).is_some_and(|card| card.is_listed) {
            true => format!(
                "fal does not serve the model '{shown}' to this account, or not for this request, although GET \
                 /v1/models lists it.{suggestion}"
            ),
            false => format!(
                "fal does not serve the model '{shown}'.{suggestion} GET /v1/models lists the models."
            ),
        }
    }

    /// The nearest names, in a sentence.
    fn suggestion<'m>(&'m self, name: &str, more: impl Iterator<Item = &'m str>) -> String {
        match self.nearest(name, more).as_slice() {
            [] => String::new(),
            names => format!(" Closest: {}.", names.join(", ")),
        }
    }

    fn nearest<'m>(&'m self, name: &str, more: impl Iterator<Item = &'m str>) -> Vec<&'m str> {
        let wanted = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        if wanted.len() > 64 {
            return Vec::new();
        }
        let bare = |id: &str| id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
        let itself = self.find(name).map_or(name, |card| card.id.as_ref());
        let listed = self.cards.iter().filter(|card| card.is_listed);
        let ours = listed.map(|card| card.id.as_ref());
        let mut scored = ours
            .chain(more.filter(|id| !self.by_name.contains_key(*id)))
            // fal may refuse what the catalogue lists.
            .filter(|id| !id.eq_ignore_ascii_case(name) && *id != itself && !self.hides(id))
            .map(|id| (strsim::jaro_winkler(&wanted, &bare(id)), id))
            .filter(|(score, _)| *score > 0.75)
            .collect::<Vec<_>>();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        scored.into_iter().take(3).map(|(_, id)| id).collect()
    }
}

/// Brings models up to date with the public lists. What is no longer in them is not shown any more,
/// and asked for all the same; what is new is added, unless the operator refuses what he does not
/// know.
fn apply(lists: &PublicLists, refuse_unknown: bool, models: &mut Vec<ModelInfo>) {
    if let Some(ids) = &lists.any_llm {
        let listed = ids.iter().map(String::as_str).collect::<HashSet<_>>();
        for model in &mut *models {
            model.any_llm.is_served = Some(listed.contains(model.id.as_ref()));
        }
    }
    if let Some(list) = &lists.router {
        let listed = list.iter().map(|listed| (listed.id.as_str(), listed));
        let listed = listed.collect::<HashMap<_, _>>();
        for model in &mut *models {
            let found = listed.get(model.id.as_ref());
            model.is_listed = found.is_some();
            model.router = found.map_or(builtin::GONE, |listed| listed.router());
        }
    }
    if !refuse_unknown {
        add_new(lists, models);
    }
}

/// Adds the models that only the public lists have: any-llm's in fal's order, and then the router's.
fn add_new(lists: &PublicLists, models: &mut Vec<ModelInfo>) {
    let known = models.iter().map(|model| model.id.to_string());
    let known = known.collect::<HashSet<_>>();
    let mut new = HashMap::new();
    let on_any_llm = lists.any_llm.iter().flatten();
    for id in on_any_llm.filter(|id| !known.contains(*id)) {
        new.entry(id.as_str()).or_insert(models.len());
        let mut model = ModelInfo::of_unknown(id.clone());
        model.any_llm.is_served = Some(true);
        models.push(model);
    }
    let on_router = lists.router.iter().flatten();
    for listed in on_router.filter(|listed| !known.contains(&listed.id)) {
        let index = *new.entry(listed.id.as_str()).or_insert(models.len());
        if index == models.len() {
            let mut model = ModelInfo::of_unknown(listed.id.clone());
            model.any_llm.is_served = Some(false);
            models.push(model);
        }
        if let Some(model) = models.get_mut(index) {
            model.router = listed.router();
            model.reasoning = Some(listed.reasoning());
            model.context_length = listed.known_context();
        }
    }
}

/// A name without the date of its version (`-2024-08-06`, `-20241022`) or `-latest`.
fn without_version(name: &str) -> Option<&str> {
    if let Some(bare) = name.strip_suffix("-latest") {
        return Some(bare);
    }
    [10, 8].into_iter().find_map(|length| {
        let (before, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let is_dash = |at: usize| length == 10 && (at == 4 || at == 7);
        let mut letters = date.bytes().enumerate();
        let is_date = letters.all(|(at, letter)| match is_dash(at) {
            true => letter == b'-',
            false => letter.is_ascii_digit(),
        });
        (is_date && date.starts_with("20")).then_some(())?;
        before.strip_suffix('-')
    })
}

/// An id that can be sent on: the shape of `owner/name`, nothing that could be something else.
pub(super) fn is_plausible_id(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@".contains(letter);
    name.len() <= 128
        && name.chars().all(is_plain)
        && !name.starts_with('/')
        && !name.ends_with('/')
}

/// A name short and plain enough to be repeated in a message.
fn shortened(name: &str) -> String {
    let plain = name.chars().filter(|letter| !letter.is_control());
    let mut out: String = plain.take(64).collect();
    if name.chars().count() > 64 {
        out.push('…');
    }
    out
}
