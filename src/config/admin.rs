//! Who administers the gateway, and where.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::kinds::{Address, Choice, KeyName, List, Moment, Optional, PlainHash, Switch};
use super::reader::Reader;
use super::records::record;
use super::settings::settings;
use super::{Config, KeyHash};

settings! {
    /// The API for operators: keys, projects, budgets, gateways. It is never on the address of the
    /// other API, and asks for an admin key (`auth.admin_key` or one of `[[admin_keys]]`).
    pub struct Admin in "admin" {
        /// Serve it.
        enabled: bool, Switch, default "true", reload restart;
        /// Its address; unset, it is `127.0.0.1:3252` where there is a store or an admin key, if that
        /// is free, and none elsewhere.
        listen: Option<SocketAddr>, Optional(Address), reload restart;
    }
}

record! {
    /// Keys for the API for operators, one table for each. `auth.admin_key` is one that may do everything.
    /// None of them opens the API for clients.
    pub struct AdminKey in "admin_keys" {
        /// What the key is called in the log.
        name: String, KeyName;
        /// SHA-256 of the key.
        hash: KeyHash, PlainHash;
        /// What the key is for: `read` for everything that is shown, `keys` for changing keys and
        /// projects, `reload` for having settings read again.
        scopes: Vec<AdminScope>, List(Choice(AdminScope::WORDS)), default "read,keys,reload";
        /// When the key ends, as in `[[keys]]`.
        expires: Option<Timestamp>, Optional(Moment), default "";
    }
}

/// What an admin key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminScope {
    /// Everything that is shown.
    Read,
    /// Changing keys and projects.
    Keys,
    /// Having settings read again.
    Reload,
}

impl AdminScope {
    pub(super) const WORDS: &'static [(&'static str, Self)] = &[
        ("read", Self::Read),
        ("keys", Self::Keys),
        ("reload", Self::Reload),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        let found = words.find(|(_, scope)| *scope == self);
        found.map_or("", |(word, _)| word)
    }
}

impl Config {
    /// Whether there is a key for operators.
    pub fn has_admin_keys(&self) -> bool {
        self.auth.admin_key.is_some() || !self.admin_keys.is_empty()
    }

    /// Where operators are served, and whether somebody has said so.
    pub fn admin_listen(&self) -> Option<(SocketAddr, bool)> {
        const USUAL: ([u8; 4], u16) = ([127, 0, 0, 1], 3252);
        let is_wanted = self.has_store() || self.has_admin_keys();
        match self.admin.listen {
            _ if !self.admin.enabled => None,
            Some(listen) => Some((listen, true)),
            None => is_wanted.then(|| (USUAL.into(), false)),
        }
    }
}

/// Reports what would let strangers administer the gateway, and admin keys that are not told apart.
pub(super) fn refuse_contradictions(config: &Config, reader: &mut Reader) {
    let listen = config.admin.listen.filter(|_| config.admin.enabled);
    let beyond = listen.filter(|listen| !listen.ip().is_loopback());
    if let Some(listen) = beyond.filter(|_| !config.has_admin_keys()) {
        reader.contradiction(
            "admin.listen",
            format!(
                "admin.listen is {listen}, beyond this machine, but there is neither auth.admin_key nor \
                 one of [[admin_keys]]: make a key with `fal-gateway keys new --for-file`, or listen on \
                 127.0.0.1."
            ),
        );
    }
    let others = [
        ("server.listen", Some(config.server.listen)),
        ("metrics.listen", config.metrics.listen),
        ("console.listen", config.console.listen),
    ];
    for (name, other) in others {
        if listen.is_some_and(|listen| listen.port() != 0 && other == Some(listen)) {
            let sentence = format!("admin.listen is also {name}; give each an address of its own.");
            reader.contradiction("admin.listen", sentence);
        }
    }
    let mut names = std::collections::HashMap::new();
    for key in &config.admin_keys {
        if let Some(first) = names.insert(key.name.as_str(), &key.origin) {
            let name = &key.name;
            let sentence =
                format!("the admin key `{name}` is called like the one in {first}; rename one.");
            reader.complain(&key.origin, sentence);
        }
    }
}
