//! A key and what it may do, and the project that it belongs to.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::ModelRules;
use super::keyring::Refused;
use super::limits::{Limiter, Limiters, Owner, RateLimits};
use super::purses::{Purse, Purses};
use crate::config::{Key, KeyHash, Scope};

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
    pub(super) disabled: bool,
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
    pub(super) disabled: bool,
    limiter: Option<Arc<Limiter>>,
    purses: Vec<Arc<Purse>>,
}

/// What a key is called in logs and metrics; says nothing about the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKeyId(Arc<str>);

impl ClientKey {
    /// # Errors
    /// Why it opens nothing at this time.
    pub(super) fn opens(&self, now: Timestamp) -> Result<(), Refused> {
        if self.expires.is_some_and(|end| end <= now) {
            return Err(Refused::Expired);
        }
        let project = self.project.as_ref();
        match self.disabled || project.is_some_and(|project| project.disabled) {
            true => Err(Refused::Disabled),
            false => Ok(()),
        }
    }

    /// One that may do anything.
    pub(super) fn unlimited(id: ClientKeyId) -> Self {
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

    /// A key of the settings or of the store, with its limits and budgets from now on.
    pub(super) fn of(
        key: &Key,
        project: Option<Arc<Project>>,
        limiters: &Limiters,
        purses: &Purses,
    ) -> Self {
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
    /// A project of the settings or of the store, with its limits and budgets from now on.
    pub(super) fn of(
        project: &crate::config::Project,
        limiters: &Limiters,
        purses: &Purses,
    ) -> Self {
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
    pub(super) fn of(hash: &KeyHash) -> Self {
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
