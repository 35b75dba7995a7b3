//! What the operator may choose, read once and then never questioned again.
//!
//! Every setting is one row of a table: the `settings!` blocks in
//! `server.rs`, `fal.rs` and their neighbours give its name, type, default,
//! meaning and what it takes. From these rows come the structs below, the
//! loader, the search for unknown names, `fal-gateway check` and the
//! configuration reference, so none of them can disagree.
//!
//! A value comes from, in rising order: the built-in default, the TOML file,
//! the environment, the command line. The `config` crate does the layering;
//! each value carries its origin (`fal-gateway.toml:12`) through it. A higher
//! layer replaces the whole value, lists and tables included.
//!
//! This module knows nothing of HTTP, OpenAI, fal's formats or the shipped
//! model catalogue, and uses no other folder of this crate.

mod admin;
mod auth;
mod capabilities;
mod compat;
mod consistency;
mod console;
mod egress;
mod environment;
mod fal;
mod fold;
mod keys;
mod kinds;
mod layers;
mod ledger;
mod limits;
mod models;
mod mounts;
mod network;
mod observe;
mod problem;
mod reader;
mod records;
mod reference;
mod reload;
mod responses;
mod server;
mod settings;
mod sources;
mod store;
mod template;
mod tls;
mod toml_file;
mod tools;
mod trust;

pub use admin::{Admin, AdminKey, AdminScope};
pub use auth::{Auth, KeyHash};
pub use capabilities::{Capabilities, Capability, Figures, read_capabilities, write_capabilities};
pub use compat::{Compat, ImageExcess, Images, ReasoningField, Usage, UsageCount};
pub use console::{Captured, Console};
pub use egress::{CaFile, Proxy};
pub use fal::{Fal, MissingFinal, Prefer, Upstream, WhenGone};
pub use fold::Fold;
pub use keys::{
    DEFAULT_PROJECT, Key, ModelPattern, Project, Scope, can_name, equal_budgets,
    fault_of_project_name,
};
pub use ledger::Ledger;
pub use limits::{Limits, Overflow};
pub use models::{AddedModel, AddedPrice, Models, Thinking, UnknownModel};
pub use network::Network;
pub use observe::{Log, LogFormat, LogLevel, Metrics};
pub use problem::{Problem, Problems};
pub use records::records;
pub use reference::reference;
pub use responses::Responses;
pub use server::Server;
pub use settings::{Reload, Secrecy, Section, Setting, sections};
pub use sources::{ConfigFile, Override, Sources};
pub use store::{DatabaseUrl, Store};
pub use template::template;
pub use tls::Tls;

pub use tools::{Dialect, Tools};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reader::Reader;

/// Everything the operator chose. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub fal: Fal,
    pub limits: Limits,
    pub auth: Auth,
    pub models: Models,
    pub compat: Compat,
    pub fold: Fold,
    pub tools: Tools,
    pub usage: Usage,
    pub images: Images,
    pub log: Log,
    pub metrics: Metrics,
    /// Client keys with what they may do.
    pub keys: Vec<Key>,
    /// What keys belong to.
    pub projects: Vec<Project>,
    pub admin: Admin,
    /// Keys of operators.
    pub admin_keys: Vec<AdminKey>,
    pub console: Console,
    /// What clients are spoken to in TLS with.
    pub tls: Option<Tls>,
    pub store: Store,
    pub responses: Responses,
    pub ledger: Ledger,
    /// What the file at `models.capabilities` says.
    pub capabilities: Capabilities,
    /// The file that settings were read from.
    pub file: Option<SettingsFile>,
    /// Every setting as it is shown.
    pub effective: Vec<Effective>,
}

/// A file that settings were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    pub path: PathBuf,
    /// Whether it holds the fal key.
    pub holds_secret: bool,
    /// Whether its name is a link.
    pub is_link: bool,
    /// What lets somebody else change it, if anything does.
    pub changeable: Option<&'static str>,
}

/// One setting as it came out of the layers, fit to be shown to the operator.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The setting's name, such as `server.listen`.
    pub key: &'static str,
    /// Its value; secrets are masked, and an empty value reads `none`.
    pub shown: String,
    /// `default`, `fal-gateway.toml:12`, `environment variable PORT` or `flag --listen`.
    pub origin: String,
}

/// What [`Config::inspect`] found out about some sources.
#[derive(Debug)]
pub struct Inspection {
    /// Every setting in the order of the table, wrong ones included.
    pub effective: Vec<Effective>,
    /// The settings, ready for use, or everything that is wrong with them.
    pub outcome: Result<Config, Problems>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// All problems at once: unknown names, values of the wrong kind or out of
    /// range, and settings that contradict each other.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Self::inspect(sources).outcome
    }

    /// Reads the settings and also tells where each value came from.
    pub fn inspect(sources: &Sources) -> Inspection {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader);
        let config = config.map(|mut config| {
            consistency::settle(&mut config, &mut reader);
            egress::settle(&mut config, sources, &mut reader);
            tls::settle(&mut config, &mut reader);
            if let Some(file) = &sources.file {
                config.file = Some(SettingsFile {
                    path: file.path.clone(),
                    holds_secret: reader.is_in_file("fal.key"),
                    is_link: file.path.is_symlink(),
                    changeable: trust::changeable(&file.path),
                });
                if file.by_chance {
                    consistency::refuse_leading_keys_away(&config, &mut reader);
                }
            }
            config
        });
        let effective = reader.effective();
        let problems = reader.into_problems();
        let outcome = match config {
            Some(mut config) if problems.is_empty() => {
                config.effective.clone_from(&effective);
                keys::give_books(&mut config);
                Ok(config)
            }
            _ => Err(problems),
        };
        Inspection { effective, outcome }
    }

    /// Whether a store is named, which may hold keys.
    pub fn has_store(&self) -> bool {
        self.store.path.is_some() || self.store.url.is_some()
    }

    /// How many client keys there are.
    pub fn client_keys(&self) -> usize {
        self.auth.keys.len().saturating_add(self.keys.len())
    }

    /// Makes of these settings those of a gateway that this process alone talks to: on a free port of
    /// this machine, in plain HTTP and without keys. What belongs to the gateway that serves with
    /// them, its addresses and its store, is left alone.
    pub fn keep_to_this_process(&mut self) {
        self.server.listen = ([127, 0, 0, 1], 0).into();
        self.server.workers = Some(1);
        self.server.drain_timeout = Duration::ZERO;
        self.tls = None;
        self.auth.keys.clear();
        self.keys.clear();
        self.projects.clear();
        self.metrics.listen = None;
        self.admin.enabled = false;
        self.console.listen = None;
        self.models.refresh = None;
        self.store.path = None;
        self.store.url = None;
    }

    /// The address beyond this machine under which the API can be reached, with its setting.
    pub fn beyond(&self) -> Option<(&'static str, SocketAddr)> {
        let console = self.console.listen.filter(|_| self.console.enabled);
        [
            ("server.listen", Some(self.server.listen)),
            ("console.listen", console),
        ]
        .into_iter()
        .filter_map(|(setting, address)| Some((setting, address?)))
        .find(|(_, address)| !address.ip().is_loopback())
    }

    /// Shows another value of a setting than the one that was read, and where it comes from.
    pub fn show(&mut self, key: &str, shown: &str, origin: &str) {
        let rows = self.effective.iter_mut();
        for row in rows.filter(|row| row.key == key) {
            shown.clone_into(&mut row.shown);
            origin.clone_into(&mut row.origin);
        }
    }

    /// What works but deserves a second look; one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        consistency::warnings(self)
    }

    /// Reads section after section, so that a problem in one does not hide
    /// those in the next.
    fn read(reader: &mut Reader) -> Option<Self> {
        let server = Server::read(reader);
        let fal = Fal::read(reader);
        let limits = Limits::read(reader);
        let auth = Auth::read(reader);
        let models = Models::read(reader);
        let compat = Compat::read(reader);
        let fold = Fold::read(reader);
        let tools = Tools::read(reader);
        let usage = Usage::read(reader);
        let images = Images::read(reader);
        let log = Log::read(reader);
        let metrics = Metrics::read(reader);
        let keys = reader.records("keys", Key::read);
        let projects = reader.records("projects", Project::read);
        let admin = Admin::read(reader);
        let admin_keys = reader.records("admin_keys", AdminKey::read);
        let console = Console::read(reader);
        let store = Store::read(reader);
        let responses = Responses::read(reader);
        let ledger = Ledger::read(reader);
        Some(Self {
            server: server?,
            fal: fal?,
            limits: limits?,
            auth: auth?,
            models: models?,
            compat: compat?,
            fold: fold?,
            tools: tools?,
            usage: usage?,
            images: images?,
            log: log?,
            metrics: metrics?,
            keys: keys?,
            projects: projects?,
            admin: admin?,
            admin_keys: admin_keys?,
            console: console?,
            tls: None,
            store: store?,
            responses: responses?,
            ledger: ledger?,
            capabilities: Capabilities::new(),
            file: None,
            effective: Vec::new(),
        })
    }
}
