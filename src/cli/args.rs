//! The arguments of each command.
//!
//! Only their form is known here. What an address or URL may look like is the
//! business of the settings, which judge flags like any other source.

mod accounts;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use secrecy::SecretString;

use super::budgets::BudgetsArgs;
use super::eval::Form;
use super::usage::{ExportArgs, UsageArgs};
use crate::config::{Override, Sources};

pub use accounts::{
    KeysArgs, KeysCommand, NewKeyArgs, ProjectsArgs, ProjectsCommand, ReloadArgs, ReplicasArgs,
    Rules, SecretArgs,
};

/// OpenAI's and Anthropic's APIs in front of fal.ai's language models.
#[derive(Debug, Parser)]
#[command(
    name = "fal-gateway",
    version,
    about,
    after_help = EXAMPLES,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Try it without a fal key:           fal-gateway demo
  Serve with your key:                FAL_KEY=... fal-gateway serve
  Ask it something:                   fal-gateway chat -m openai/gpt-4o-mini 'Why is the sky blue?'
  See every setting and its origin:   fal-gateway check
  Give a client its own key:          fal-gateway keys new --name alice

OpenAI clients need only a base URL:  OPENAI_BASE_URL=http://127.0.0.1:3250/v1";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the OpenAI API.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Show the gateway at work without a fal key: an emulated fal and a gateway in one process.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Stand in for fal: the same endpoints, with invented answers.
    #[command(after_help = EMULATOR_EXAMPLES)]
    Emulator(EmulatorArgs),
    /// Ask a running gateway something and print the answer as it comes.
    #[command(after_help = CHAT_EXAMPLES)]
    Chat(ChatArgs),
    /// Measure how well models call tools and write JSON; without a model, the built-in emulator
    /// going wrong in every way it knows.
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// List the models and the names they go by.
    Models(ModelsArgs),
    /// Show every setting with its origin, and all that is wrong; if anything is, exit with 2.
    Check(CheckArgs),
    /// Look at everything between you and an answer of fal's, and say what cures what is wrong.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Ask a running gateway whether it takes requests; exit with 1 if it does not.
    Health(HealthArgs),
    /// Make, list, change and take back client keys.
    Keys(KeysArgs),
    /// List, add, change and close projects, to which keys belong.
    Projects(ProjectsArgs),
    /// Have a running gateway read its settings again, and say what comes of it.
    Reload(ReloadArgs),
    /// List the gateways on the store.
    Replicas(ReplicasArgs),
    /// Look at the store, or bring its tables up to date.
    Store(StoreArgs),
    /// Show what was called and spent, out of the store.
    #[command(after_help = USAGE_EXAMPLES)]
    Usage(UsageArgs),
    /// Show what is used and left of budgets, out of the store, and correct it.
    Budgets(BudgetsArgs),
    /// Start a client that is pointed at a running gateway; without a name, list the clients.
    #[command(after_help = LAUNCH_EXAMPLES)]
    Launch(LaunchArgs),
    /// Write a settings file to begin with: every setting, commented out.
    Init(InitArgs),
    /// Print the manual page.
    #[command(after_help = MAN_EXAMPLES)]
    Man,
    /// Print completions for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the request to fal that a chat request would cause; nothing is sent.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  FAL_KEY=... fal-gateway serve
  fal-gateway serve --config /etc/fal-gateway.toml --log-format json
  fal-gateway serve --fal-url http://127.0.0.1:3251   (an emulator as fal)

Without a fal key, each client sends its own as its OpenAI key.";

const DEMO_EXAMPLES: &str = "\
Examples:
  fal-gateway demo                       (keeps running; point a client at it)
  fal-gateway demo --once --prompt hi    (one question, then the end)";

const EMULATOR_EXAMPLES: &str = "\
Examples:
  fal-gateway emulator
  fal-gateway emulator --key id:secret   (then FAL_KEY=id:secret opens it)";

const CHAT_EXAMPLES: &str = "\
Examples:
  fal-gateway chat 'Why is the sky blue?'
  fal-gateway chat -m openai/gpt-4o --system 'Answer in one word.' Capital of Peru";

const EVAL_EXAMPLES: &str = "\
Examples:
  fal-gateway eval                                 (the emulator: no key, nothing is paid for)
  FAL_KEY=... fal-gateway eval -m openai/gpt-4o-mini --output models.toml
  fal-gateway eval --relay http://127.0.0.1:11434/v1 --relay-model llama3.2 -m meta-llama/llama-3.2-3b-instruct
  fal-gateway eval --url https://llm.example.com/v1 -m openai/gpt-4o-mini

How many calls it may make at most is printed first. The exit code is 1 if any answer was delivered
that breaks a promise.";

const LAUNCH_EXAMPLES: &str = "\
Examples:
  fal-gateway launch                                   (which clients there are)
  fal-gateway launch codex
  fal-gateway launch aider -m google/gemini-2.5-flash README.md
  fal-gateway launch opencode --print                  (shows what would be set, and starts nothing)

Options of this command stand before the client's own arguments; what follows them goes to the
client. Your own settings of the client are not changed.";

const USAGE_EXAMPLES: &str = "\
Examples:
  fal-gateway usage                                  (the last 30 days, by day)
  fal-gateway usage --by key,model --since 7d
  fal-gateway usage --by month,project --since 2026-01-01 --zone Europe/Amsterdam --csv

Sums are kept by the hour: an hour counts where it begins.";

const MAN_EXAMPLES: &str = "\
Example:
  fal-gateway man > /usr/local/share/man/man1/fal-gateway.1";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  FAL_KEY=... fal-gateway doctor
  fal-gateway doctor --config /etc/fal-gateway.toml --yes   (asks fal without asking you first)

It looks at the settings, fal's name, the connection, TLS, the clock, the key, the application and
its state at fal, the balance (with fal.admin_key), and, if you agree to what it costs, at one short
answer, whole and as a stream. Without a terminal only --yes agrees.

The exit code tells what is wrong first: 0 nothing, 2 the settings, 3 the way to fal, 4 the key,
5 the application, 6 the balance, 7 the answer; 1 means that the doctor itself has failed.";

const COMPLETIONS_EXAMPLES: &str = "\
Example:
  fal-gateway completions bash > ~/.local/share/bash-completion/completions/fal-gateway";

const EXPLAIN_EXAMPLES: &str = "\
Example:
  fal-gateway explain request.json";

/// Flags that set settings, and the file that holds the others. Where a command has commands of its
/// own, they may stand before or behind those.
#[derive(Clone, Debug, Default, Args)]
pub struct Overrides {
    /// Configuration file [default: fal-gateway.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Base URL of fal
    #[arg(long, global = true, value_name = "URL")]
    pub fal_url: Option<String>,
    /// Base URL of fal's queue
    #[arg(long, global = true, value_name = "URL")]
    pub fal_queue_url: Option<String>,
    /// Base URL of fal's storage and account endpoints
    #[arg(long, global = true, value_name = "URL")]
    pub fal_rest_url: Option<String>,
    /// Through which of fal's applications models are asked: any-llm, router, router-openai or auto
    #[arg(long, global = true, value_name = "NAME")]
    pub fal_upstream: Option<String>,
    /// The fal app that answers
    #[arg(long, global = true, value_name = "PATH")]
    pub fal_app: Option<String>,
    /// Spend the gateway's fal key for anyone who can connect
    #[arg(long, global = true)]
    pub open: bool,
    /// Least important messages logged: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "L")]
    pub log_level: Option<String>,
    /// Form of the log: auto, text or json
    #[arg(long, global = true, value_name = "F")]
    pub log_format: Option<String>,
}

impl Overrides {
    /// The flags that were given, as the settings take them.
    pub fn to_settings(&self) -> Vec<Override> {
        let open = self.open.then(|| "true".to_owned());
        [
            ("--listen", &self.listen),
            ("--fal-url", &self.fal_url),
            ("--fal-queue-url", &self.fal_queue_url),
            ("--fal-rest-url", &self.fal_rest_url),
            ("--fal-upstream", &self.fal_upstream),
            ("--fal-app", &self.fal_app),
            ("--open", &open),
            ("--log-level", &self.log_level),
            ("--log-format", &self.log_format),
        ]
        .into_iter()
        .filter_map(|(flag, value)| {
            Some(Override {
                flag,
                value: value.clone()?,
            })
        })
        .collect()
    }

    /// Everything this process takes its settings from.
    pub fn to_sources(&self) -> Sources {
        Sources::from_process(self.config.as_deref(), self.to_settings())
    }
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Without a fal key, answer from the built-in emulator
    #[arg(long)]
    pub demo_without_key: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Ask one question, print the answer, and end
    #[arg(long)]
    pub once: bool,
    /// The question
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Configuration file [default: fal-gateway.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3251")]
    pub listen: SocketAddr,
    /// Leave out the tag that marks answers as emulated
    #[arg(long)]
    pub no_tag: bool,
    /// The only fal key to accept [default: any]
    #[arg(long, value_name = "ID:SECRET")]
    pub key: Option<SecretString>,
    /// OpenAI-compatible base URL whose model writes the answers
    #[arg(long, value_name = "URL")]
    pub relay: Option<String>,
    /// Key for the relay
    #[arg(long, value_name = "K", requires = "relay")]
    pub relay_key: Option<SecretString>,
    /// Model for the relay [default: the model that was asked for]
    #[arg(long, value_name = "M", requires = "relay")]
    pub relay_model: Option<String>,
    /// Another name under which requests are taken, such as a container's; may be repeated
    #[arg(long, value_name = "NAME")]
    pub public_host: Vec<String>,
    /// Where callers may have webhooks posted to
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = WebhookTargets::Loopback)]
    pub webhooks: WebhookTargets,
    /// How to misbehave, in the emulator's words
    #[arg(long, value_name = "WORDS")]
    pub behave: Option<String>,
}

/// Where the emulator's callers may have webhooks posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WebhookTargets {
    /// Servers of this machine
    Loopback,
    /// Every address
    Any,
}

/// The gateway that a command asks.
#[derive(Debug, Args)]
pub struct AskedGateway {
    /// Base URL of the gateway
    #[arg(
        long,
        value_name = "BASE_URL",
        default_value = "http://127.0.0.1:3250/v1"
    )]
    pub url: String,
}

#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Model to ask [default: the gateway's]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// System message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub gateway: AskedGateway,
    /// Client key
    #[arg(
        long,
        value_name = "KEY",
        env = "OPENAI_API_KEY",
        hide_env_values = true
    )]
    pub key: Option<SecretString>,
    /// Ask for the model's reasoning too, and show it
    #[arg(long)]
    pub reasoning: bool,
    /// The question; several words are joined with spaces
    #[arg(required = true, value_name = "PROMPT")]
    pub prompt: Vec<String>,
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Model to measure; may be repeated [default: the built-in emulator]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Vec<String>,
    /// Base URL of a running gateway [default: one of its own, with these settings]
    #[arg(long, value_name = "BASE_URL", requires = "model", conflicts_with_all = ["relay", "dialect", "config"])]
    pub url: Option<String>,
    /// Client key for that gateway
    #[arg(
        long,
        value_name = "KEY",
        env = "OPENAI_API_KEY",
        hide_env_values = true
    )]
    pub key: Option<SecretString>,
    /// OpenAI-compatible base URL whose model answers in fal's place
    #[arg(long, value_name = "URL", requires = "model")]
    pub relay: Option<String>,
    /// Key for the relay
    #[arg(long, value_name = "K", requires = "relay")]
    pub relay_key: Option<SecretString>,
    /// Model for the relay [default: the model that is measured]
    #[arg(long, value_name = "M", requires = "relay")]
    pub relay_model: Option<String>,
    /// Form in which to ask for calls: tagged, json or xml, or native, which hands tools and schemas
    /// to the provider; may be repeated [default: each for models, tagged and native for the emulator]
    #[arg(long, value_name = "D")]
    pub dialect: Vec<Form>,
    /// Let the emulator go wrong however often it is asked again
    #[arg(long, conflicts_with = "model")]
    pub stubborn: bool,
    /// Say of each answer of the emulator that was not right what was wrong with it; of a model's
    /// also what it wrote (with --relay its own text, else what was delivered)
    #[arg(long)]
    pub details: bool,
    /// Put what was measured into this file, for the setting models.capabilities
    #[arg(short, long, value_name = "FILE", requires = "model")]
    pub output: Option<PathBuf>,
    /// Configuration file [default: fal-gateway.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Base URL of a gateway to ask [default: list what this gateway would serve]
    #[arg(long, value_name = "BASE_URL")]
    pub url: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Configuration file [default: fal-gateway.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Print the reference of all settings in Markdown instead
    #[arg(long)]
    pub reference: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Ask fal for the answers without asking you whether that may cost something
    #[arg(short, long)]
    pub yes: bool,
    /// Model to ask [default: the one of requests that name none]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
}

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// URL of the gateway [default: this machine, at the port of the settings]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Configuration file [default: fal-gateway.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show what it is, how large it is, and the version of its tables.
    Status,
    /// Bring its tables up to date, as a start does too.
    Migrate,
    /// Read all of it and name what is damaged; if anything is, exit with 1.
    Check,
    /// Print the rows of the ledger, one for each call to fal.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct LaunchArgs {
    /// The client
    #[arg(value_name = "CLIENT")]
    pub client: Option<String>,
    /// Model to ask [default: openai/gpt-4o-mini]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    #[command(flatten)]
    pub gateway: AskedGateway,
    /// Client key [default: demo, which a gateway without client keys takes]
    #[arg(
        long,
        value_name = "KEY",
        env = "FAL_GATEWAY_KEY",
        hide_env_values = true
    )]
    pub key: Option<SecretString>,
    /// Print what the client would be given, as commands of a shell, and start nothing
    #[arg(long)]
    pub print: bool,
    /// Arguments for the client
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write, or `-` to print it
    #[arg(value_name = "FILE", default_value = "fal-gateway.toml")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// File with the JSON body of a chat completion request
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections;
    use clap::{Command as Cmd, CommandFactory};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_that_the_settings_name_exists_and_arrives() {
        let line = "fal-gateway serve --listen a --fal-url b --fal-rest-url d --fal-queue-url h \
                    --fal-upstream c --fal-app e --open --log-level f --log-format g";
        let Command::Serve(serve) = Cli::parse_from(line.split_whitespace()).command else {
            unreachable!("serve was asked for");
        };
        let mut given: Vec<&str> = serve
            .overrides
            .to_settings()
            .iter()
            .map(|o| o.flag)
            .collect();
        let mut known: Vec<&str> = sections()
            .iter()
            .flat_map(|section| section.settings.iter().filter_map(|setting| setting.flag))
            .collect();
        given.sort_unstable();
        known.sort_unstable();
        assert_eq!(given, known);
    }

    /// Where a command has commands of its own, each of them is here once.
    #[test]
    fn the_settings_file_stands_before_or_behind_the_last_command() {
        let lines = [
            "keys list",
            "keys new",
            "keys hash",
            "keys show ci",
            "keys limit ci",
            "keys rotate ci",
            "keys disable ci",
            "keys enable ci",
            "keys revoke ci",
            "projects list",
            "projects new web",
            "projects limit web",
            "projects archive web",
            "store status",
            "store migrate",
            "store check",
            "store export",
            "budgets adjust key/ci -100",
        ];
        let root = Cli::command();
        let of_commands = root.get_subcommands().flat_map(Cmd::get_subcommands);
        assert_eq!(lines.len(), of_commands.count());
        for line in lines {
            let (command, rest) = line.split_once(' ').unwrap();
            for line in [
                format!("fal-gateway {command} --config f --open {rest}"),
                format!("fal-gateway {command} {rest} --config f --open"),
            ] {
                let overrides = match Cli::parse_from(line.split_whitespace()).command {
                    Command::Keys(args) => args.overrides,
                    Command::Projects(args) => args.overrides,
                    Command::Store(args) => args.overrides,
                    Command::Budgets(args) => args.overrides,
                    other => unreachable!("{other:?}"),
                };
                assert_eq!(overrides.config.as_deref(), Some("f".as_ref()), "{line}");
                assert!(overrides.open, "{line}");
            }
        }
    }

    #[test]
    fn flags_that_were_not_given_set_nothing() {
        assert_eq!(Overrides::default().to_settings(), []);
    }

    #[test]
    fn a_key_on_the_command_line_is_not_shown_by_debug() {
        let line = ["fal-gateway", "chat", "--key", "sk-fg-plain", "hi"];
        let cli = Cli::parse_from(line);
        assert!(!format!("{cli:?}").contains("sk-fg-plain"));
    }
}
