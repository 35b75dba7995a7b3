//! The keys and projects of the store, as this gateway knows them.
//!
//! Those of the settings file stand beside them, and win: what contradicts the file is not served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::filed::Filed;
use crate::config::{Config, DatabaseUrl, Key, Project};

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The last change that is in it.
    pub last: LastChange,
    pub keys: BTreeMap<String, Arc<StoredKey>>,
    pub projects: BTreeMap<String, Arc<StoredProject>>,
    /// Rows that this program cannot read, such as `key/ci`, and why. They open nothing.
    pub unreadable: BTreeMap<String, String>,
}

/// A change of keys and projects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastChange {
    /// Less than any where none is known.
    pub number: i64,
    /// What tells it from another change that had the same number, in a history that the store has
    /// lost.
    pub mark: Option<i64>,
}

impl LastChange {
    /// Nothing is known of the store.
    pub const UNKNOWN: Self = Self {
        number: -1,
        mark: None,
    };
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
    /// The last change that the store has come to.
    pub last: LastChange,
    /// Whether it is all that there is, rather than what has changed.
    pub is_all: bool,
    pub keys: Vec<StoredKey>,
    pub projects: Vec<StoredProject>,
    /// Rows that cannot be read, such as `key/ci`, and why.
    pub unreadable: Vec<(String, String)>,
}

/// What was changed by news.
#[derive(Debug, Default)]
pub struct Changes {
    /// Names of keys, and what was known under them before.
    pub keys: Vec<(String, Option<Arc<StoredKey>>)>,
    /// Names of projects.
    pub projects: BTreeSet<String>,
}

impl Roster {
    /// Takes in what has changed; gives what that was. What it takes depends on that alone, and not on
    /// what else is known.
    pub fn take(&mut self, news: News) -> Changes {
        let mut changes = Changes::default();
        self.last = news.last;
        for stored in news.keys {
            let name = stored.key.name.clone();
            self.unreadable.remove(&format!("key/{name}"));
            let before = self.keys.insert(name.clone(), Arc::new(stored));
            changes.keys.push((name, before));
        }
        for stored in news.projects {
            let name = stored.project.name.clone();
            self.unreadable.remove(&format!("project/{name}"));
            self.projects.insert(name.clone(), Arc::new(stored));
            changes.projects.insert(name);
        }
        for (label, why) in news.unreadable {
            if let Some(name) = label.strip_prefix("key/") {
                let before = self.keys.remove(name);
                changes.keys.push((name.to_owned(), before));
            }
            if let Some(name) = label.strip_prefix("project/") {
                self.projects.remove(name);
                changes.projects.insert(name.to_owned());
            }
            self.unreadable.insert(label, why);
        }
        changes
    }

    /// Whether no key was ever in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.unreadable.is_empty()
    }

    /// What in it contradicts the file, in sentences that name both places. None of it is served.
    pub fn contradictions(&self, config: &Config, filed: &Filed) -> Vec<String> {
        let keys = self.keys.values();
        let keys = keys.filter_map(|stored| filed.contradicts_stored(config, stored));
        let projects = self.projects.keys();
        let projects = projects.filter_map(|name| filed.contradicts_project(config, name));
        keys.chain(projects).collect()
    }
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
