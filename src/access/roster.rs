//! The keys and projects of the store, as this gateway knows them.
//!
//! Those of the settings file stand beside them, and win: what contradicts the file is not served.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::config::{Config, DatabaseUrl, Key, KeyHash, Project};

/// What the store holds. It never changes; news make another one.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The last change that is in it.
    pub revision: i64,
    pub keys: BTreeMap<String, Arc<StoredKey>>,
    pub projects: BTreeMap<String, Arc<StoredProject>>,
    /// Rows that this program cannot read, such as `key/ci`, and why. They open nothing.
    pub unreadable: BTreeMap<String, String>,
}

/// A key of the store.
#[derive(Clone, Debug)]
pub struct StoredKey {
    pub key: Key,
    /// The last letters of the secret, by which its owner may know it again.
    pub hint: String,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    /// When it was taken back for good. Its name stays taken, so that nobody comes into what was
    /// kept and spent under it.
    pub revoked_at: Option<i64>,
    /// The change that it had last.
    pub revision: i64,
}

/// A project of the store.
#[derive(Clone, Debug)]
pub struct StoredProject {
    pub project: Project,
    pub created_at: i64,
    /// When it was closed for good.
    pub archived_at: Option<i64>,
    pub revision: i64,
}

/// What has changed in the store.
#[derive(Debug, Default)]
pub struct News {
    pub revision: i64,
    /// Whether it is all that there is, rather than what has changed.
    pub is_all: bool,
    pub keys: Vec<StoredKey>,
    pub projects: Vec<StoredProject>,
    /// Rows that cannot be read, such as `key/ci`, and why.
    pub unreadable: Vec<(String, String)>,
}

impl Roster {
    /// What is known once these news are in.
    pub fn with(&self, news: News) -> Self {
        let mut next = self.clone();
        next.revision = news.revision;
        for stored in news.keys {
            let name = stored.key.name.clone();
            next.unreadable.remove(&format!("key/{name}"));
            next.keys.insert(name, Arc::new(stored));
        }
        for stored in news.projects {
            let name = stored.project.name.clone();
            next.unreadable.remove(&format!("project/{name}"));
            next.projects.insert(name, Arc::new(stored));
        }
        for (label, why) in news.unreadable {
            if let Some(name) = label.strip_prefix("key/") {
                next.keys.remove(name);
            }
            if let Some(name) = label.strip_prefix("project/") {
                next.projects.remove(name);
            }
            next.unreadable.insert(label, why);
        }
        next
    }

    /// Whether no key was ever in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.unreadable.is_empty()
    }

    /// The keys that may open something beside those of the file, and what contradicts the file, in
    /// sentences that name both places.
    pub fn beside<'r>(&'r self, config: &Config) -> (Vec<&'r StoredKey>, Vec<String>) {
        let taken = Taken::of(config);
        let place = place_of_store(config);
        let (mut served, mut sentences) = (Vec::new(), Vec::new());
        for stored in self.keys.values().filter(|key| key.revoked_at.is_none()) {
            match taken.contradicts(&stored.key, &place) {
                None => served.push(&**stored),
                Some(sentence) => sentences.push(sentence),
            }
        }
        let of_file = config
            .projects
            .iter()
            .map(|project| (&project.name, project));
        let of_file: HashMap<_, _> = of_file.collect();
        for name in self.projects.keys() {
            if let Some(project) = of_file.get(name) {
                sentences.push(format!(
                    "the project `{name}` stands in {} and in the store ({place}); the one in the \
                     file holds.",
                    project.origin
                ));
            }
        }
        (served, sentences)
    }
}

/// What the file has taken.
struct Taken<'c> {
    names: HashMap<&'c str, &'c str>,
    hashes: HashMap<&'c [u8; 32], String>,
}

impl<'c> Taken<'c> {
    fn of(config: &'c Config) -> Self {
        const LINES: &str = "auth.keys";
        let lines = || config.auth.keys.iter();
        let named_lines = lines().filter_map(|line| Some((line.name()?, LINES)));
        let tables = config.keys.iter();
        let named = tables.map(|key| (key.name.as_str(), key.origin.as_str()));
        let mut hashes: HashMap<_, _> = lines()
            .map(|line| (line.sha256(), LINES.to_owned()))
            .collect();
        if let Some(admin) = &config.auth.admin_key {
            hashes.insert(admin.sha256(), "auth.admin_key".to_owned());
        }
        for admin in &config.admin_keys {
            let place = format!("{} (the admin key `{}`)", admin.origin, admin.name);
            hashes.insert(admin.hash.sha256(), place);
        }
        for key in &config.keys {
            for hash in std::iter::once(&key.hash).chain(&key.previous_hash) {
                let place = format!("{} (the key `{}`)", key.origin, key.name);
                hashes.insert(hash.sha256(), place);
            }
        }
        Self {
            names: named_lines.chain(named).collect(),
            hashes,
        }
    }

    fn contradicts(&self, key: &Key, place: &str) -> Option<String> {
        let name = &key.name;
        if let Some(origin) = self.names.get(name.as_str()) {
            return Some(format!(
                "the key `{name}` stands in {origin} and in the store ({place}); the one in the file \
                 holds. Take it out of the file, or revoke the one in the store."
            ));
        }
        let hashes = std::iter::once(&key.hash).chain(&key.previous_hash);
        let origin = hashes
            .map(KeyHash::sha256)
            .find_map(|hash| self.hashes.get(hash))?;
        Some(format!(
            "the key `{name}` of the store ({place}) has the same hash as the one in {origin}, which \
             holds. Revoke it, and make another."
        ))
    }
}

/// Why a name, or a hash, cannot be one of the store's: the file has it, at the place that this
/// sentence names.
pub fn stands_in_file(config: &Config, key: &Key) -> Option<String> {
    Taken::of(config).contradicts(key, &place_of_store(config))
}

/// Where the file has a key of this name, if it does.
pub fn place_in_file(config: &Config, name: &str) -> Option<String> {
    let taken = Taken::of(config);
    taken.names.get(name).map(|origin| (*origin).to_owned())
}

/// A key of the file as operators see it.
pub fn shown_file_key(key: &Key) -> Json {
    let mut fields = key.to_json();
    fields.insert("origin".to_owned(), key.origin.as_str().into());
    Json::Object(fields)
}

/// A project of the file as operators see it.
pub fn shown_file_project(project: &Project) -> Json {
    let mut fields = project.to_json();
    fields.insert("origin".to_owned(), project.origin.as_str().into());
    Json::Object(fields)
}

impl StoredKey {
    /// As operators see it: everything but the hashes.
    pub fn shown(&self) -> Json {
        let mut fields = self.key.to_json();
        fields.extend([
            ("origin".to_owned(), json!("store")),
            ("hint".to_owned(), json!(self.hint)),
            ("created_at".to_owned(), shown_time(Some(self.created_at))),
            ("revoked_at".to_owned(), shown_time(self.revoked_at)),
            ("revision".to_owned(), json!(self.revision)),
        ]);
        Json::Object(fields)
    }
}

impl StoredProject {
    /// As operators see it.
    pub fn shown(&self) -> Json {
        let mut fields = self.project.to_json();
        fields.extend([
            ("origin".to_owned(), json!("store")),
            ("created_at".to_owned(), shown_time(Some(self.created_at))),
            ("archived_at".to_owned(), shown_time(self.archived_at)),
            ("revision".to_owned(), json!(self.revision)),
        ]);
        Json::Object(fields)
    }
}

fn shown_time(at: Option<i64>) -> Json {
    let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
    json!(at.map(|at| at.to_string()))
}

/// What the store is called in messages.
pub fn place_of_store(config: &Config) -> String {
    let path = config.store.path.as_ref();
    let path = path.map(|path| path.display().to_string());
    let url = || config.store.url.as_ref().map(DatabaseUrl::shown);
    path.or_else(url).unwrap_or_default()
}
