//! Names and hashes that the settings file has taken, and what contradicts them.

use std::collections::{BTreeMap, HashMap};

use super::roster::{StoredKey, place_of_store};
use crate::config::{Config, Key, KeyHash, Project};

/// What stands in the settings, found by name and by hash. It belongs to the settings that it was made
/// of, which every question brings along.
#[derive(Debug, Default)]
pub struct Filed {
    keys: BTreeMap<Box<str>, Place>,
    projects: BTreeMap<Box<str>, usize>,
    hashes: HashMap<[u8; 32], Holder>,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In `auth.keys`.
    Line,
    /// In this one of `keys`.
    Table(usize),
}

/// Who has a hash.
#[derive(Clone, Copy, Debug)]
enum Holder {
    Line,
    Chief,
    Admin(usize),
    Key(usize),
}

impl Filed {
    /// What these settings have taken.
    pub fn of(config: &Config) -> Self {
        let lines = || config.auth.keys.iter();
        let named = lines().filter_map(|line| Some((line.name()?.into(), Place::Line)));
        let tables = config.keys.iter().enumerate();
        let tables = tables.map(|(at, key)| (key.name.as_str().into(), Place::Table(at)));
        let projects = config.projects.iter().enumerate();
        let mut hashes: HashMap<_, _> =
            lines().map(|line| (*line.sha256(), Holder::Line)).collect();
        if let Some(admin) = &config.auth.admin_key {
            hashes.insert(*admin.sha256(), Holder::Chief);
        }
        for (at, admin) in config.admin_keys.iter().enumerate() {
            hashes.insert(*admin.hash.sha256(), Holder::Admin(at));
        }
        for (at, key) in config.keys.iter().enumerate() {
            for hash in std::iter::once(&key.hash).chain(&key.previous_hash) {
                hashes.insert(*hash.sha256(), Holder::Key(at));
            }
        }
        Self {
            keys: named.chain(tables).collect(),
            projects: projects
                .map(|(at, project)| (project.name.as_str().into(), at))
                .collect(),
            hashes,
        }
    }

    /// Whether a key stands there, in whatever form.
    pub fn has_key(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// Where there is a key of this name.
    pub fn place_of_key<'c>(&self, config: &'c Config, name: &str) -> Option<&'c str> {
        match *self.keys.get(name)? {
            Place::Line => Some("auth.keys"),
            Place::Table(at) => config.keys.get(at).map(|key| key.origin.as_str()),
        }
    }

    /// The table of a key.
    pub fn key<'c>(&self, config: &'c Config, name: &str) -> Option<&'c Key> {
        match *self.keys.get(name)? {
            Place::Line => None,
            Place::Table(at) => config.keys.get(at),
        }
    }

    /// The table of a project.
    pub fn project<'c>(&self, config: &'c Config, name: &str) -> Option<&'c Project> {
        config.projects.get(*self.projects.get(name)?)
    }

    /// The tables of keys whose names come after this one, in their order.
    pub fn keys_after<'s, 'c: 's>(
        &'s self,
        config: &'c Config,
        name: &str,
    ) -> impl Iterator<Item = &'c Key> + use<'s, 'c> {
        let after = behind(name);
        self.keys
            .range::<str, _>(after)
            .filter_map(|(_, place)| match *place {
                Place::Line => None,
                Place::Table(at) => config.keys.get(at),
            })
    }

    /// The tables of projects whose names come after this one, in their order.
    pub fn projects_after<'s, 'c: 's>(
        &'s self,
        config: &'c Config,
        name: &str,
    ) -> impl Iterator<Item = &'c Project> + use<'s, 'c> {
        let after = self.projects.range::<str, _>(behind(name));
        after.filter_map(|(_, at)| config.projects.get(*at))
    }

    /// Why there cannot be a key of this name and this hash in the store, if either is given: the file
    /// has it, at the place that this sentence names.
    pub fn refuses(
        &self,
        config: &Config,
        name: Option<&str>,
        hash: Option<&KeyHash>,
    ) -> Option<String> {
        let named = name.and_then(|name| Some((name, self.place_of_key(config, name)?)));
        if let Some((name, origin)) = named {
            return Some(format!(
                "The key `{name}` stands in {origin}, and its name is taken. Change it there, or choose \
                 another name."
            ));
        }
        let holder = self.hashes.get(hash?.sha256())?;
        let origin = holder.place(config);
        Some(format!(
            "The secret is that of the key in {origin}. Make another secret."
        ))
    }

    /// Why a key of the store does not open: the file has its name, or its hash, at the place that this
    /// sentence names.
    pub fn contradicts(&self, config: &Config, key: &Key) -> Option<String> {
        let name = &key.name;
        if let Some(origin) = self.place_of_key(config, name) {
            let place = place_of_store(config);
            return Some(format!(
                "the key `{name}` stands in {origin} and in the store ({place}); the one in the file \
                 holds. Take it out of the file, or revoke the one in the store."
            ));
        }
        let hashes = std::iter::once(&key.hash).chain(&key.previous_hash);
        let holder = hashes
            .map(KeyHash::sha256)
            .find_map(|hash| self.hashes.get(hash))?;
        let (origin, place) = (holder.place(config), place_of_store(config));
        Some(format!(
            "the key `{name}` of the store ({place}) has the same hash as the one in {origin}, which \
             holds. Revoke it, and make another."
        ))
    }

    /// The same of one that may open something.
    pub fn contradicts_stored(&self, config: &Config, stored: &StoredKey) -> Option<String> {
        match stored.revoked_at {
            None => self.contradicts(config, &stored.key),
            Some(_) => None,
        }
    }

    /// Why a project of the store does not hold.
    pub fn contradicts_project(&self, config: &Config, name: &str) -> Option<String> {
        let project = self.project(config, name)?;
        Some(format!(
            "the project `{name}` stands in {} and in the store ({}); the one in the file holds.",
            project.origin,
            place_of_store(config)
        ))
    }
}

/// What comes after a name in an order of names; all of them after none.
pub fn behind(name: &str) -> (std::ops::Bound<&str>, std::ops::Bound<&str>) {
    use std::ops::Bound;
    (Bound::Excluded(name), Bound::Unbounded)
}

impl Holder {
    fn place(self, config: &Config) -> String {
        match self {
            Self::Line => "auth.keys".to_owned(),
            Self::Chief => "auth.admin_key".to_owned(),
            Self::Admin(at) => config.admin_keys.get(at).map_or_else(String::new, |admin| {
                format!("{} (the admin key `{}`)", admin.origin, admin.name)
            }),
            Self::Key(at) => config.keys.get(at).map_or_else(String::new, |key| {
                format!("{} (the key `{}`)", key.origin, key.name)
            }),
        }
    }
}
