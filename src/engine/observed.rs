//! What fal's refusals teach about fal: its live catalogue, how long prompts may be, what models lack,
//! and which applications are gone.
//!
//! A fact is believed only where it was learnt: for the fal key, and for lengths also the endpoint
//! and the model. It helps to plan a request so that fal takes it. It never refuses one: what still
//! does not fit is sent, and fal says so itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::translate::native::Lacks;
use crate::translate::upstream::UpstreamId;
use crate::upstream::{FalKeyPrint, Lacking, RefusalKind};

/// Where a request goes: whose key, which upstream and endpoint, which model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObservedPlace {
    pub key: FalKeyPrint,
    pub upstream: UpstreamId,
    /// The path after the application.
    pub path: &'static str,
    pub model: String,
}

impl ObservedPlace {
    /// What fal has or has not, whatever the model: an application, and a path below it. Its stream is
    /// there where its whole answers are.
    fn door(&self) -> (FalKeyPrint, UpstreamId, &'static str) {
        let path = self.path.strip_suffix("/stream").unwrap_or(self.path);
        (self.key, self.upstream, path)
    }
}

/// Lengths of the two texts, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub prompt: usize,
    pub system_prompt: usize,
}

/// The longest texts that fal takes, as far as it has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Longest {
    pub prompt: Option<usize>,
    pub system_prompt: Option<usize>,
}

/// Facts learnt since the start; none of them outlives the process.
#[derive(Debug, Default)]
pub struct Observed {
    places: Mutex<HashMap<ObservedPlace, Fact>>,
    /// What models have refused, and when.
    lacks: Mutex<HashMap<ObservedPlace, (Lacks, Instant)>>,
    /// Applications that fal did not know, by their upstreams and the paths below them.
    gone: Mutex<HashMap<(FalKeyPrint, UpstreamId, &'static str), Instant>>,
    models: Mutex<HashMap<FalKeyPrint, BTreeSet<String>>>,
    /// Whether the operator has been told that any-llm is gone.
    has_told: AtomicBool,
}

/// What is known of one place.
#[derive(Clone, Copy, Debug)]
struct Fact {
    longest: Longest,
    /// The longest texts that fal has taken since.
    taken: Lengths,
    learnt: Instant,
}

/// How long a limit is believed: fal may lift it.
const OBSERVED_TTL: Duration = Duration::from_secs(600);
/// No limit below this is believed. fal's own are in the thousands.
const LEAST: usize = 1000;
/// How many places are remembered, and how many keys' models.
const MAX_PLACES: usize = 1024;
const MAX_KEYS: usize = 64;
/// How many models are remembered for a key.
const MAX_MODELS: usize = 1024;

impl Longest {
    /// The limit that a refusal names, if it names one.
    pub fn named_by(refusal: &RefusalKind) -> Option<Self> {
        let RefusalKind::TooLong {
            field,
            limit: Some(limit),
        } = refusal
        else {
            return None;
        };
        let limit = usize::try_from(*limit).ok();
        Some(match *field {
            "system_prompt" => Self {
                system_prompt: limit,
                ..Self::default()
            },
            _ => Self {
                prompt: limit,
                ..Self::default()
            },
        })
    }

    /// The stricter of two.
    pub fn and(self, other: Self) -> Self {
        let stricter = |one: Option<usize>, other: Option<usize>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            prompt: stricter(self.prompt, other.prompt),
            system_prompt: stricter(self.system_prompt, other.system_prompt),
        }
    }

    /// Whether texts of these lengths are within it.
    pub fn allows(self, lengths: impl FnOnce() -> Lengths) -> bool {
        if self.prompt.or(self.system_prompt).is_none() {
            return true;
        }
        let lengths = lengths();
        let fits = |most: Option<usize>, length| most.is_none_or(|most| length <= most);
        fits(self.prompt, lengths.prompt) && fits(self.system_prompt, lengths.system_prompt)
    }
}

impl Observed {
    /// Takes in a refusal of texts of these lengths at this place.
    pub fn refused(&self, place: &ObservedPlace, refusal: &RefusalKind, sent: Lengths) {
        if let RefusalKind::UnknownModel { known } = refusal {
            self.learn_models(place.key, known);
        }
        let Some(named) = Longest::named_by(refusal) else {
            return;
        };
        let is_sound =
            |limit: Option<usize>, sent| limit.is_none_or(|most| most >= LEAST && most < sent);
        if !is_sound(named.prompt, sent.prompt)
            || !is_sound(named.system_prompt, sent.system_prompt)
        {
            return;
        }
        let mut places = lock(&self.places);
        make_room(&mut places);
        let fresh = Fact {
            longest: Longest::default(),
            taken: Lengths::default(),
            learnt: Instant::now(),
        };
        let fact = places.entry(place.clone()).or_insert(fresh);
        *fact = Fact {
            longest: fact.longest.and(named),
            learnt: Instant::now(),
            ..*fact
        };
    }

    /// fal has taken texts of these lengths at this place: a limit below them is none.
    pub fn taken(&self, place: &ObservedPlace, lengths: impl FnOnce() -> Lengths) {
        // To count them takes too long to do under the lock, and hardly any place has a limit.
        if !lock(&self.places).contains_key(place) {
            return;
        }
        let lengths = lengths();
        let mut places = lock(&self.places);
        let Some(fact) = places.get_mut(place) else {
            return;
        };
        fact.taken.prompt = fact.taken.prompt.max(lengths.prompt);
        fact.taken.system_prompt = fact.taken.system_prompt.max(lengths.system_prompt);
        let at_least =
            |limit: &mut Option<usize>, taken| *limit = limit.filter(|most| *most >= taken);
        at_least(&mut fact.longest.prompt, fact.taken.prompt);
        at_least(&mut fact.longest.system_prompt, fact.taken.system_prompt);
    }

    /// The longest texts that fal takes at this place, as far as it has said lately.
    pub fn longest(&self, place: &ObservedPlace) -> Longest {
        let places = lock(&self.places);
        let fact = places.get(place);
        let fresh = fact.filter(|fact| fact.learnt.elapsed() < OBSERVED_TTL);
        fresh.map(|fact| fact.longest).unwrap_or_default()
    }

    /// Takes in what a refusal says of this place, whatever was sent there; whether it says of the
    /// model what was not known.
    pub fn learn(&self, place: &ObservedPlace, refusal: &RefusalKind) -> bool {
        match refusal {
            RefusalKind::UnknownApp => self.gone(place),
            RefusalKind::Lacks(lacking) => return self.lacks(place, *lacking),
            _ => {}
        }
        false
    }

    /// Takes in what a model has refused at this place; whether that was not known.
    pub fn lacks(&self, place: &ObservedPlace, lacking: Lacking) -> bool {
        let known = self.lacking(place);
        let lacks = known.and(Lacks {
            tools: lacking == Lacking::Tools,
            format: lacking == Lacking::Format,
            parameters: lacking == Lacking::Parameters,
            silence: lacking == Lacking::NoReasoning,
            images: lacking == Lacking::Images,
            audio: lacking == Lacking::Audio,
            video: lacking == Lacking::Video,
        });
        let mut all = lock(&self.lacks);
        if all.len() >= MAX_PLACES {
            all.retain(|_, (_, learnt)| learnt.elapsed() < OBSERVED_TTL);
        }
        if all.len() < MAX_PLACES || all.contains_key(place) {
            all.insert(place.clone(), (lacks, Instant::now()));
        }
        lacks != known
    }

    /// What a model has refused at this place lately.
    pub fn lacking(&self, place: &ObservedPlace) -> Lacks {
        let all = lock(&self.lacks);
        let fresh = all
            .get(place)
            .filter(|(_, learnt)| learnt.elapsed() < OBSERVED_TTL);
        fresh.map(|(lacks, _)| *lacks).unwrap_or_default()
    }

    /// Whether fal lately had no such application, or none with such a path.
    pub fn is_gone(&self, place: &ObservedPlace) -> bool {
        let all = lock(&self.gone);
        all.get(&place.door())
            .is_some_and(|learnt| learnt.elapsed() < OBSERVED_TTL)
    }

    /// Whether nobody has been told of it yet; from now on somebody has.
    pub fn is_first_telling(&self) -> bool {
        !self.has_told.swap(true, Ordering::Relaxed)
    }

    /// Takes in that fal has no such application.
    pub fn gone(&self, place: &ObservedPlace) {
        let mut all = lock(&self.gone);
        if all.len() >= MAX_PLACES {
            all.retain(|_, learnt| learnt.elapsed() < OBSERVED_TTL);
        }
        if all.len() < MAX_PLACES {
            all.insert(place.door(), Instant::now());
        }
    }

    fn learn_models(&self, key: FalKeyPrint, known: &[String]) {
        let mut all = lock(&self.models);
        if !all.contains_key(&key) && all.len() >= MAX_KEYS {
            return;
        }
        let models = all.entry(key).or_default();
        let room = MAX_MODELS.saturating_sub(models.len());
        models.extend(known.iter().take(room).cloned());
    }

    /// The models that fal has listed in its refusals to this key.
    pub fn models(&self, key: FalKeyPrint) -> BTreeSet<String> {
        lock(&self.models).get(&key).cloned().unwrap_or_default()
    }
}

/// Nothing here can be left half-written by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what is too old, or else the oldest.
fn make_room(places: &mut HashMap<ObservedPlace, Fact>) {
    if places.len() < MAX_PLACES {
        return;
    }
    places.retain(|_, fact| fact.learnt.elapsed() < OBSERVED_TTL);
    if places.len() >= MAX_PLACES {
        let oldest = places.iter().min_by_key(|(_, fact)| fact.learnt);
        if let Some(place) = oldest.map(|(place, _)| place.clone()) {
            places.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    use crate::upstream::FalKey;

    fn place(key: &str, path: &'static str, model: &str) -> ObservedPlace {
        let key = FalKey::new(&SecretString::from(key)).expect("a key");
        ObservedPlace {
            key: key.print(),
            upstream: UpstreamId::AnyLlm,
            path,
            model: model.to_owned(),
        }
    }

    fn too_long(limit: u64) -> RefusalKind {
        RefusalKind::TooLong {
            field: "prompt",
            limit: Some(limit),
        }
    }

    const SENT: Lengths = Lengths {
        prompt: 9000,
        system_prompt: 10,
    };

    #[test]
    fn a_limit_binds_only_the_place_it_was_learnt_at() {
        let observed = Observed::default();
        let here = place("a:a", "", "openai/gpt-4o");
        observed.refused(&here, &too_long(5000), SENT);
        assert_eq!(observed.longest(&here).prompt, Some(5000));
        for elsewhere in [
            place("b:b", "", "openai/gpt-4o"),
            place("a:a", "/vision", "openai/gpt-4o"),
            place("a:a", "", "openai/gpt-4o-mini"),
        ] {
            assert_eq!(observed.longest(&elsewhere), Longest::default());
        }
    }

    #[test]
    fn a_limit_is_never_below_reason_or_what_was_taken() {
        let observed = Observed::default();
        let here = place("a:a", "", "openai/gpt-4o");
        for unsound in [5, 999, 9000, 20_000] {
            observed.refused(&here, &too_long(unsound), SENT);
            assert_eq!(observed.longest(&here), Longest::default(), "{unsound}");
        }
        observed.refused(&here, &too_long(5000), SENT);
        let prompt = 5001;
        observed.taken(&here, || Lengths { prompt, ..SENT });
        assert_eq!(observed.longest(&here), Longest::default());
    }

    #[test]
    fn models_are_told_only_to_the_key_that_fal_listed_them_to() {
        let observed = Observed::default();
        let known = vec!["private/one".to_owned()];
        let here = place("a:a", "", "x/y");
        observed.refused(&here, &RefusalKind::UnknownModel { known }, SENT);
        assert_eq!(observed.models(here.key).len(), 1);
        assert!(observed.models(place("b:b", "", "x/y").key).is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let observed = Observed::default();
        for number in 0..MAX_PLACES + 10 {
            let here = place("a:a", "", &format!("x/{number}"));
            observed.refused(&here, &too_long(5000), SENT);
        }
        assert_eq!(lock(&observed.places).len(), MAX_PLACES);
    }
}
