//! Looks up a presented key among the configured hashes.
//!
//! Knows hashes only; where a key was found in a request, and what becomes of
//! the request, is decided elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::ModelRules;
use super::limits::{Limiter, Limiters, Owner, RateLimits};
use super::purses::{Purse, Purses};
use super::roster::Roster;
use crate::config::{Config, Key, KeyHash, Scope};

/// The keys that open the gateway.
///
/// ```
/// use fal_gateway::access::ClientKeys;
/// use fal_gateway::config::KeyHash;
/// use jiff::Timestamp;
///
/// let keys = ClientKeys::new(&KeyHash::of("sk-fg-1").named("alice"));
/// let now = Timestamp::UNIX_EPOCH;
/// assert_eq!(keys.verify("sk-fg-1", now).unwrap().id.as_str(), "alice");
/// assert!(keys.verify("sk-fg-2", now).is_err());
/// ```
#[derive(Debug, Default)]
pub struct ClientKeys {
    by_hash: HashMap<[u8; 32], Entry>,
    /// Whether there were keys once, also where none of them opens any more.
    asks_for_keys: bool,
}

/// A key under one of its hashes.
#[derive(Debug)]
struct Entry {
    key: Arc<ClientKey>,
    /// When this hash ends, where it does so before the key.
    until: Option<Timestamp>,
}

/// A key and what it may do.
#[derive(Debug)]
pub struct ClientKey {
    pub id: ClientKeyId,
    /// Whether it stands in the store rather than in the file.
    pub is_stored: bool,
    project: Option<Arc<Project>>,
    /// None for all.
    scopes: Option<Vec<Scope>>,
    models: Option<ModelRules>,
    expires: Option<Timestamp>,
    disabled: bool,
    /// The key's own, then its project's.
    limiters: Vec<Arc<Limiter>>,
    /// The same, of budgets.
    purses: Vec<Arc<Purse>>,
}

/// What several keys have in common.
#[derive(Debug)]
pub struct Project {
    pub name: Arc<str>,
    models: ModelRules,
    disabled: bool,
    limiter: Option<Arc<Limiter>>,
    purses: Vec<Arc<Purse>>,
}

/// Why a key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none of the configured ones.
    Unknown,
    /// Its time, or that of the hash it was found by, is over.
    Expired,
    /// It is switched off, or its project is.
    Disabled,
}

/// What a key is called in logs and metrics; says nothing about the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKeyId(Arc<str>);

impl ClientKeys {
    /// Takes hashes whose keys may do anything: those of `auth.keys`, or that of `auth.admin_key`.
    pub fn new<'a>(hashes: impl IntoIterator<Item = &'a KeyHash>) -> Self {
        let entries = hashes.into_iter().map(|hash| {
            let key = Arc::new(ClientKey::unlimited(ClientKeyId::of(hash)));
            (*hash.sha256(), Entry { key, until: None })
        });
        let by_hash: HashMap<_, _> = entries.collect();
        Self {
            asks_for_keys: !by_hash.is_empty(),
            by_hash,
        }
    }

    /// All client keys of the file and of the store, with their limits and budgets from now on. A key
    /// of the store whose project is not there opens nothing.
    pub fn of(config: &Config, roster: &Roster, limiters: &Limiters, purses: &Purses) -> Self {
        let mut keys = Self::new(&config.auth.keys);
        let stored = roster.projects.values().map(|stored| {
            let is_closed = stored.archived_at.is_some();
            (&stored.project, is_closed)
        });
        let configured = config.projects.iter().map(|project| (project, false));
        // Those of the file come last, and hold.
        let projects: BTreeMap<&str, Arc<Project>> = stored
            .chain(configured)
            .map(|(project, is_closed)| {
                let mut known = Project::of(project, limiters, purses);
                known.disabled |= is_closed;
                (project.name.as_str(), Arc::new(known))
            })
            .collect();
        let project_of = |key: &Key| {
            let name = key.project.as_deref();
            name.map(|name| projects.get(name).cloned())
        };
        for key in &config.keys {
            let project = project_of(key).flatten();
            let known = ClientKey::of(key, project, limiters, purses);
            keys.add(key, known);
        }
        for stored in roster.beside(config).0 {
            let key = &stored.key;
            let (project, is_lost) = match project_of(key) {
                None => (None, false),
                Some(project) => (project.clone(), project.is_none()),
            };
            let mut known = ClientKey::of(key, project, limiters, purses);
            known.is_stored = true;
            known.disabled |= is_lost;
            keys.add(key, known);
        }
        keys.asks_for_keys |= !keys.by_hash.is_empty() || !roster.is_empty();
        keys
    }

    fn add(&mut self, key: &Key, known: ClientKey) {
        let known = Arc::new(known);
        if let Some(hash) = &key.previous_hash {
            let entry = Entry {
                key: Arc::clone(&known),
                until: key.previous_until,
            };
            self.by_hash.insert(*hash.sha256(), entry);
        }
        let entry = Entry {
            key: known,
            until: None,
        };
        self.by_hash.insert(*key.hash.sha256(), entry);
    }

    /// Whether there was never a key. Then no key verifies either: whether callers without a key are
    /// served is the operator's choice, not ours.
    pub fn is_empty(&self) -> bool {
        !self.asks_for_keys
    }

    /// The key that was presented, if it is one of ours and opens at this time.
    ///
    /// The time taken does not depend on the number of keys. It may depend on
    /// how a hash differs from those that are known, which helps nobody: who
    /// presents a key does not choose its hash. The empty key never verifies.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn verify(&self, presented: &str, now: Timestamp) -> Result<&Arc<ClientKey>, Refused> {
        let found = self.by_hash.get(KeyHash::of(presented).sha256());
        let entry = found
            .filter(|_| !presented.is_empty())
            .ok_or(Refused::Unknown)?;
        if entry.until.is_some_and(|end| end <= now) {
            return Err(Refused::Expired);
        }
        entry.key.opens(now).map(|()| &entry.key)
    }

    /// The key of this name, if it opens at this time: for what its holder has begun before.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn named(&self, name: &str, now: Timestamp) -> Result<&Arc<ClientKey>, Refused> {
        let mut entries = self.by_hash.values();
        let entry = entries.find(|entry| entry.key.id.as_str() == name);
        let key = &entry.ok_or(Refused::Unknown)?.key;
        key.opens(now).map(|()| key)
    }
}

impl ClientKey {
    /// # Errors
    /// Why it opens nothing at this time.
    fn opens(&self, now: Timestamp) -> Result<(), Refused> {
        if self.expires.is_some_and(|end| end <= now) {
            return Err(Refused::Expired);
        }
        let project = self.project.as_ref();
        match self.disabled || project.is_some_and(|project| project.disabled) {
            true => Err(Refused::Disabled),
            false => Ok(()),
        }
    }

    fn unlimited(id: ClientKeyId) -> Self {
        Self {
            id,
            is_stored: false,
            project: None,
            scopes: None,
            models: None,
            expires: None,
            disabled: false,
            limiters: Vec::new(),
            purses: Vec::new(),
        }
    }

    fn of(key: &Key, project: Option<Arc<Project>>, limiters: &Limiters, purses: &Purses) -> Self {
        let id: Arc<str> = key.name.as_str().into();
        let limits = limits(
            key.requests_per_minute,
            key.tokens_per_minute,
            key.concurrency,
        );
        let owner = Owner::Key(Arc::clone(&id));
        let own_purses = key
            .budgets
            .iter()
            .map(|terms| purses.set(&owner.label(), terms));
        let shared_purses = project.iter().flat_map(|project| &project.purses).cloned();
        let purses = own_purses.chain(shared_purses).collect();
        let own = limits.map(|limits| limiters.set(owner, limits));
        let shared = project.as_ref().and_then(|project| project.limiter.clone());
        Self {
            id: ClientKeyId(id),
            limiters: own.into_iter().chain(shared).collect(),
            purses,
            project,
            is_stored: false,
            scopes: Some(key.scopes.clone()),
            models: Some(ModelRules::new(&key.models, key.premium)),
            expires: key.expires,
            disabled: key.disabled,
        }
    }

    /// The name of its project, if it has one.
    pub fn project(&self) -> Option<&Arc<str>> {
        self.project.as_ref().map(|project| &project.name)
    }

    /// When it ends, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// What it is for; none for all.
    pub fn scopes(&self) -> Option<&[Scope]> {
        self.scopes.as_deref()
    }

    /// What limits the key, in the order in which it is asked.
    pub fn limiters(&self) -> &[Arc<Limiter>] {
        &self.limiters
    }

    /// What the key may spend, in the order in which it is asked.
    pub fn purses(&self) -> &[Arc<Purse>] {
        &self.purses
    }

    /// Whether the key is for this.
    pub fn is_for(&self, scope: Scope) -> bool {
        let scopes = self.scopes.as_ref();
        scopes.is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether the key, and its project, may ask for a model. `is_premium` is whether it costs the
    /// premium rate, or might.
    pub fn may_ask(&self, model: &str, is_premium: bool) -> bool {
        let project = self.project.as_ref().map(|project| &project.models);
        let mut rules = self.models.iter().chain(project);
        rules.all(|rules| rules.allow(model, is_premium))
    }
}

impl Project {
    fn of(project: &crate::config::Project, limiters: &Limiters, purses: &Purses) -> Self {
        let limits = limits(
            project.requests_per_minute,
            project.tokens_per_minute,
            project.concurrency,
        );
        let owner = || Owner::Project(project.name.as_str().into());
        Self {
            name: project.name.as_str().into(),
            purses: project
                .budgets
                .iter()
                .map(|terms| purses.set(&owner().label(), terms))
                .collect(),
            limiter: limits.map(|limits| limiters.set(owner(), limits)),
            models: ModelRules::new(&project.models, project.premium),
            disabled: project.disabled,
        }
    }
}

/// The limits that are set; none where none is.
fn limits(
    requests: Option<usize>,
    tokens: Option<usize>,
    concurrency: Option<usize>,
) -> Option<RateLimits> {
    let number = |limit: Option<usize>| limit.and_then(|limit| u64::try_from(limit).ok());
    let limits = RateLimits {
        requests_per_minute: number(requests),
        tokens_per_minute: number(tokens),
        concurrency: number(concurrency),
    };
    (!limits.is_none()).then_some(limits)
}

impl ClientKeyId {
    /// The name the operator gave, else the first hex digits of the hash.
    fn of(hash: &KeyHash) -> Self {
        match hash.name() {
            Some(name) => Self(name.into()),
            None => {
                let start = hash.sha256().iter().take(4);
                let digits: String = start.map(|byte| format!("{byte:02x}")).collect();
                Self(format!("key-{digits}").into())
            }
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, shared.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for ClientKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn keys() -> ClientKeys {
        let named = |key, name| KeyHash::of(key).named(name);
        let hashes = [
            named("first", "alice"),
            Some(KeyHash::of("second")),
            named("third", "carol"),
        ];
        ClientKeys::new(hashes.iter().flatten())
    }

    fn id_of(presented: &str) -> Option<String> {
        let keys = keys();
        keys.verify(presented, NOW)
            .ok()
            .map(|key| key.id.to_string())
    }

    #[test]
    fn every_configured_key_is_known_by_its_name() {
        assert_eq!(id_of("first").as_deref(), Some("alice"));
        assert_eq!(id_of("third").as_deref(), Some("carol"));
    }

    #[test]
    fn a_key_without_a_name_goes_by_the_start_of_its_hash() {
        // `printf second | sha256sum`
        assert_eq!(id_of("second").as_deref(), Some("key-16367aac"));
    }

    #[test]
    fn other_keys_are_unknown() {
        for wrong in ["", " ", "first ", "FIRST", "firs", "alice", "fourth"] {
            assert_eq!(id_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_itself_is_no_key() {
        assert_eq!(id_of(&KeyHash::of("first").to_string()), None);
    }

    #[test]
    fn no_configured_key_means_that_none_verifies() {
        let none = ClientKeys::new(&[]);
        assert!(none.is_empty());
        assert_eq!(none.verify("", NOW).err(), Some(Refused::Unknown));
        assert_eq!(none.verify("first", NOW).err(), Some(Refused::Unknown));
    }

    #[test]
    fn the_empty_key_does_not_verify_even_if_its_hash_is_configured() {
        let odd = ClientKeys::new(&[KeyHash::of("")]);
        assert_eq!(odd.verify("", NOW).err(), Some(Refused::Unknown));
    }

    fn configured(text: &str) -> ClientKeys {
        let sources = Sources::default().with_file("keys.toml", text);
        let config = Config::load(&sources).unwrap();
        let roster = Roster::default();
        ClientKeys::of(&config, &roster, &Limiters::default(), &Purses::default())
    }

    #[test]
    fn a_key_ends_at_its_time_and_a_previous_one_before_it() {
        let (new, old) = (KeyHash::of("new"), KeyHash::of("old"));
        let keys = configured(&format!(
            "[[keys]]\nname = \"ci\"\nhash = \"{new}\"\nexpires = 2027-01-31\n\
             previous_hash = \"{old}\"\nprevious_until = \"2027-01-01T12:00:00+02:00\"\n"
        ));
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        for (key, time, refused) in [
            ("new", "2027-01-30T23:59:59Z", None),
            ("new", "2027-01-31T00:00:00Z", Some(Refused::Expired)),
            ("old", "2027-01-01T09:59:59Z", None),
            ("old", "2027-01-01T10:00:00Z", Some(Refused::Expired)),
        ] {
            assert_eq!(keys.verify(key, at(time)).err(), refused, "{key} {time}");
        }
    }

    #[test]
    fn what_the_project_may_not_the_key_may_not_either() {
        let (one, two) = (KeyHash::of("one"), KeyHash::of("two"));
        let keys = configured(&format!(
            "[[keys]]\nname = \"a\"\nhash = \"{one}\"\nproject = \"web\"\nmodels = [\"openai/*\"]\n\
             [[keys]]\nname = \"b\"\nhash = \"{two}\"\nproject = \"off\"\nscopes = [\"models\"]\n\
             [[projects]]\nname = \"web\"\nmodels = [\"!*-mini\"]\npremium = false\n\
             [[projects]]\nname = \"off\"\ndisabled = true\n"
        ));
        let key = keys.verify("one", NOW).unwrap();
        assert!(key.may_ask("openai/gpt-4o", false));
        assert!(!key.may_ask("openai/gpt-4o", true));
        assert!(!key.may_ask("openai/gpt-4o-mini", false));
        assert!(!key.may_ask("google/gemini", false));
        assert!(key.is_for(Scope::Inference) && key.is_for(Scope::Models));
        assert_eq!(keys.verify("two", NOW).err(), Some(Refused::Disabled));
    }
}
