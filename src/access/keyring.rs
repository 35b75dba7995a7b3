//! Looks up a presented key among the hashes of all keys.
//!
//! Knows hashes only; where a key was found in a request, and what becomes of
//! the request, is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::filed::Filed;
use super::keys::{ClientKey, ClientKeyId, Project};
use super::limits::Limiters;
use super::pieces::Pieces;
use super::purses::Purses;
use super::roster::{Changes, Roster, StoredKey};
use crate::config::{Config, Key, KeyHash};

/// The keys that open the gateway. A copy with some changes costs what these cost, however many keys
/// there are.
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
#[derive(Clone, Debug, Default)]
pub struct ClientKeys {
    by_hash: Pieces<[u8; 32], Entry>,
    by_name: Pieces<Arc<str>, Arc<ClientKey>>,
    projects: Arc<BTreeMap<Arc<str>, Arc<Project>>>,
    /// Whether there were keys once, also where none of them opens any more.
    asks_for_keys: bool,
}

/// What keys are made of.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'s> {
    pub config: &'s Config,
    /// What is in these settings.
    pub filed: &'s Filed,
    pub roster: &'s Roster,
    pub limiters: &'s Limiters,
    pub purses: &'s Purses,
}

/// A key under one of its hashes.
#[derive(Clone, Debug)]
struct Entry {
    key: Arc<ClientKey>,
    /// When this hash ends, where it does so before the key.
    until: Option<Timestamp>,
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

impl ClientKeys {
    /// Takes hashes whose keys may do anything: those of `auth.keys`, or that of `auth.admin_key`.
    pub fn new<'a>(hashes: impl IntoIterator<Item = &'a KeyHash>) -> Self {
        let mut keys = Self::default();
        for hash in hashes {
            let key = Arc::new(ClientKey::unlimited(ClientKeyId::of(hash)));
            keys.by_name.insert(key.id.to_shared(), Arc::clone(&key));
            keys.by_hash
                .insert(*hash.sha256(), Entry { key, until: None });
        }
        keys.asks_for_keys = !keys.by_hash.is_empty();
        keys
    }

    /// All client keys of the file and of the store, with their limits and budgets from now on. A key
    /// of the store whose project is not there opens nothing.
    pub fn of(sources: Sources<'_>) -> Self {
        let Sources { config, roster, .. } = sources;
        let mut keys = Self::new(&config.auth.keys);
        let stored = roster.projects.keys().map(String::as_str);
        let filed = config.projects.iter().map(|project| project.name.as_str());
        for name in stored.chain(filed) {
            keys.renew_project(sources, name);
        }
        for key in &config.keys {
            keys.add_filed(sources, key);
        }
        for stored in roster.keys.values() {
            keys.add_stored(sources, stored);
        }
        keys.asks_for_keys |= !keys.by_hash.is_empty() || !roster.is_empty();
        keys
    }

    /// The same keys with what has changed in the store, which is in the sources already.
    #[must_use]
    pub fn with(&self, sources: Sources<'_>, changes: &Changes) -> Self {
        let Sources { config, roster, .. } = sources;
        let mut keys = self.clone();
        for name in &changes.projects {
            keys.renew_project(sources, name);
        }
        for stored in changes
            .keys
            .iter()
            .filter_map(|(_, before)| before.as_ref())
        {
            keys.remove_stored(stored);
        }
        for (name, _) in &changes.keys {
            if let Some(stored) = roster.keys.get(name) {
                keys.add_stored(sources, stored);
            }
        }
        if !changes.projects.is_empty() {
            let belongs = |key: &Key| {
                let project = key.project.as_ref();
                project.is_some_and(|project| changes.projects.contains(project))
            };
            for stored in roster.keys.values().filter(|one| belongs(&one.key)) {
                keys.add_stored(sources, stored);
            }
            for key in config.keys.iter().filter(|key| belongs(key)) {
                keys.add_filed(sources, key);
            }
        }
        keys.asks_for_keys |= !roster.is_empty();
        keys
    }

    /// Knows a project as it is now; one of the file holds.
    fn renew_project(&mut self, sources: Sources<'_>, name: &str) {
        let stored = sources.roster.projects.get(name);
        let found = match sources.filed.project(sources.config, name) {
            Some(project) => Some((project, false)),
            None => stored.map(|stored| (&stored.project, stored.archived_at.is_some())),
        };
        let projects = Arc::make_mut(&mut self.projects);
        match found {
            None => {
                projects.remove(name);
            }
            Some((project, is_closed)) => {
                let mut known = Project::of(project, sources.limiters, sources.purses);
                known.disabled |= is_closed;
                projects.insert(Arc::clone(&known.name), Arc::new(known));
            }
        }
    }

    /// The project of a key, and whether the key names one that is not there.
    fn project_of(&self, key: &Key) -> (Option<Arc<Project>>, bool) {
        let Some(name) = key.project.as_deref() else {
            return (None, false);
        };
        let project = self.projects.get(name).cloned();
        let is_lost = project.is_none();
        (project, is_lost)
    }

    fn add_filed(&mut self, sources: Sources<'_>, key: &Key) {
        let (project, _) = self.project_of(key);
        let known = ClientKey::of(key, project, sources.limiters, sources.purses);
        self.add(key, known);
    }

    fn add_stored(&mut self, sources: Sources<'_>, stored: &StoredKey) {
        let is_served = stored.revoked_at.is_none()
            && sources
                .filed
                .contradicts(sources.config, &stored.key)
                .is_none();
        if !is_served {
            return;
        }
        let (project, is_lost) = self.project_of(&stored.key);
        let mut known = ClientKey::of(&stored.key, project, sources.limiters, sources.purses);
        known.is_stored = true;
        known.disabled |= is_lost;
        self.add(&stored.key, known);
    }

    /// Takes away what a key of the store was known by.
    fn remove_stored(&mut self, stored: &StoredKey) {
        let name = stored.key.name.as_str();
        let is_it = |key: &ClientKey| key.is_stored && key.id.as_str() == name;
        for hash in std::iter::once(&stored.key.hash).chain(&stored.key.previous_hash) {
            let found = self.by_hash.get(hash.sha256());
            if found.is_some_and(|entry| is_it(&entry.key)) {
                self.by_hash.remove(hash.sha256());
            }
        }
        if self.by_name.get(name).is_some_and(|key| is_it(key)) {
            self.by_name.remove(name);
        }
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
        self.by_name
            .insert(known.id.to_shared(), Arc::clone(&known));
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
        let key = self.by_name.get(name).ok_or(Refused::Unknown)?;
        key.opens(now).map(|()| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Scope};

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
        let sources = config::Sources::default().with_file("keys.toml", text);
        let config = Config::load(&sources).unwrap();
        ClientKeys::of(Sources {
            config: &config,
            filed: &Filed::of(&config),
            roster: &Roster::default(),
            limiters: &Limiters::default(),
            purses: &Purses::default(),
        })
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
