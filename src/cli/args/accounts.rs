//! The arguments of the commands about keys, projects and gateways.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::Overrides;

const NEW_EXAMPLES: &str = "\
Examples:
  fal-gateway keys new --name ci                    (prints the key, and the line that lets it in)
  fal-gateway keys new --config gateway.toml --name ci --project web --budget 1000/day --expires 90d
  fal-gateway keys new --name ci --if-absent --output ci.key

Where the settings name a store, the key is put into it, and every gateway on the store takes it
within two seconds. The key alone is printed to standard output; it is shown this once.";

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a client key; it is shown once, and only its hash is kept.
    #[command(after_help = NEW_EXAMPLES)]
    New(NewKeyArgs),
    /// Print the hash of a key read from standard input.
    #[command(after_help = "Example:\n  fal-gateway keys hash < key.txt")]
    Hash,
    /// List the keys of the settings file and of the store.
    List {
        /// Only those of this project
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one key, in JSON.
    Show { name: String },
    /// Change what a key of the store may do; what is not named stays as it is.
    Limit {
        name: String,
        #[command(flatten)]
        rules: Box<Rules>,
    },
    /// Give a key of the store another secret, which is shown once.
    Rotate {
        name: String,
        /// How long the old secret is still taken: 24h, 7d; 0s for not at all
        #[arg(long, value_name = "TIME", default_value = "24h")]
        grace: String,
        /// Rotate although an older secret is still taken, which ends now
        #[arg(long)]
        end_previous: bool,
        #[command(flatten)]
        secret: SecretArgs,
    },
    /// Refuse a key of the store for now.
    Disable { name: String },
    /// Take a key again that was disabled.
    Enable { name: String },
    /// Refuse a key of the store for good. Its name stays taken.
    Revoke {
        name: String,
        /// Return once every gateway on the store goes by it, or after this time, with exit code 1
        #[arg(
            long,
            value_name = "TIME",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "60s"
        )]
        wait: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// What the key goes by in logs
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// Print the line for the settings file even where there is a store
    #[arg(long)]
    pub for_file: bool,
    /// Do nothing if the store has a key of this name already
    #[arg(long, requires = "name")]
    pub if_absent: bool,
    #[command(flatten)]
    pub rules: Box<Rules>,
    #[command(flatten)]
    pub secret: SecretArgs,
}

/// Where a secret goes.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// Write the key into this new file, which only its owner may read, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What a key or a project may do, under the names of the settings file.
#[derive(Clone, Debug, Default, Args)]
pub struct Rules {
    /// Project that the key belongs to
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// What the key is for: inference, models
    #[arg(long, value_name = "LIST")]
    pub scopes: Option<String>,
    /// Models that may be asked for: 'openai/*,!*-pro'
    #[arg(long, value_name = "PATTERNS")]
    pub models: Option<String>,
    /// Whether models at the premium rate may be asked for: true or false
    #[arg(long, value_name = "BOOL")]
    pub premium: Option<bool>,
    /// Requests in any minute; none for no limit
    #[arg(long, value_name = "COUNT")]
    pub rpm: Option<String>,
    /// Tokens in any minute; none for no limit
    #[arg(long, value_name = "COUNT")]
    pub tpm: Option<String>,
    /// Requests at the same time; none for no limit
    #[arg(long, value_name = "COUNT")]
    pub concurrency: Option<String>,
    /// What may be spent: 1000/day, '25 usd/month'; may be repeated; none for no budget
    #[arg(long, value_name = "BUDGET")]
    pub budget: Vec<String>,
    /// When the key ends: a date, a time, or a time from now such as 90d; none for never
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
}

#[derive(Debug, Args)]
pub struct ProjectsArgs {
    #[command(subcommand)]
    pub command: ProjectsCommand,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Subcommand)]
pub enum ProjectsCommand {
    /// List the projects of the settings file and of the store.
    List,
    /// Add a project to the store.
    New {
        name: String,
        #[command(flatten)]
        rules: Box<Rules>,
    },
    /// Change what the keys of a project may do together.
    Limit {
        name: String,
        #[command(flatten)]
        rules: Box<Rules>,
    },
    /// Refuse all keys of a project for good.
    Archive { name: String },
}

#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// URL of the gateway's listener for operators [default: that of the settings]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Admin key
    #[arg(
        long,
        value_name = "KEY",
        env = "FAL_GATEWAY_ADMIN_KEY",
        hide_env_values = true
    )]
    pub key: Option<SecretString>,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Args)]
pub struct ReplicasArgs {
    #[command(flatten)]
    pub overrides: Overrides,
}
