//! The keys of operators, a space of their own: none of them opens what clients' keys open, nor the
//! other way round.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{AdminScope, Config, KeyHash};

/// The keys that open the API for operators.
#[derive(Debug, Default)]
pub struct AdminKeys {
    by_hash: HashMap<[u8; 32], Arc<AdminKey>>,
}

/// One of them.
#[derive(Debug)]
pub struct AdminKey {
    pub name: String,
    /// None for all.
    scopes: Option<Vec<AdminScope>>,
    expires: Option<Timestamp>,
}

impl AdminKeys {
    /// Those of the settings.
    pub fn of(config: &Config) -> Self {
        let chief = config.auth.admin_key.iter().map(|hash| {
            let key = AdminKey {
                name: hash.name().unwrap_or("admin").to_owned(),
                scopes: None,
                expires: None,
            };
            (*hash.sha256(), Arc::new(key))
        });
        let others = config.admin_keys.iter().map(|key| {
            let known = AdminKey {
                name: key.name.clone(),
                scopes: Some(key.scopes.clone()),
                expires: key.expires,
            };
            (*key.hash.sha256(), Arc::new(known))
        });
        Self {
            by_hash: chief.chain(others).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The key that was presented, if it is one of them and its time is not over.
    pub fn verify(&self, presented: &str, now: Timestamp) -> Option<&Arc<AdminKey>> {
        let key = self.by_hash.get(KeyHash::of(presented).sha256())?;
        let is_over = key.expires.is_some_and(|end| end <= now);
        (!presented.is_empty() && !is_over).then_some(key)
    }
}

impl AdminKey {
    /// Whether the key is for this.
    pub fn is_for(&self, scope: AdminScope) -> bool {
        let scopes = self.scopes.as_ref();
        scopes.is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether the key may do everything.
    pub fn is_chief(&self) -> bool {
        self.scopes.is_none()
    }
}
