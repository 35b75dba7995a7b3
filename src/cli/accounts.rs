//! `fal-gateway keys`, `projects` and `replicas`: what an operator does with the accounts of a store.
//! What is changed holds on every gateway on it within two seconds.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::args::{
    KeysArgs, KeysCommand, NewKeyArgs, Overrides, ProjectsArgs, ProjectsCommand, Rules, SecretArgs,
};
use super::check::BAD_SETTINGS;
use super::handed::Handed;
use super::keys::{new_key, random_key};
use super::store::exit_code;
use super::terminal::tell;
use crate::access::roster::{
    LastChange, StoredKey, place_of_store, shown_file_key, shown_file_project,
};
use crate::access::secret::Secret;
use crate::access::{Filed, Roster};
use crate::accounts::keys::{
    self as tables, Condition, Edit, Outcome, ProjectChange, Refusal, UnreadNews,
};
use crate::accounts::presence;
use crate::api::catalogue::{warnings_of_key, warnings_of_project};
use crate::config::{Config, Key, Sources, can_name};
use crate::store::{Database, StoreError, Transaction};

/// How long a command waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether the gateways go by a change.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Exit code for what is done and does not hold everywhere yet.
const LATE: u8 = 1;

/// Why a command has not done what it was told to.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was asked for is refused; the sentence says why.
    Refused(String),
    Store(StoreError),
    /// It is done, and does not hold everywhere yet; the sentence says where.
    Late(String),
    Io(io::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

/// Makes, lists and changes keys. The exit code is 2 for what is refused, 1 where the store fails.
///
/// # Errors
/// Those of writing.
pub fn keys(args: KeysArgs, out: &mut impl Write) -> io::Result<u8> {
    let KeysArgs { command, overrides } = args;
    let desk = || Desk::open(&overrides);
    let done = match command {
        // It is read elsewhere.
        KeysCommand::Hash => Ok(()),
        KeysCommand::New(args) => return new(&args, &overrides, out),
        KeysCommand::List { project, json } => {
            desk().and_then(|desk| desk.list(project.as_deref(), json, out))
        }
        KeysCommand::Show { name } => desk().and_then(|desk| desk.show(&name, out)),
        KeysCommand::Limit { name, rules } => desk().and_then(|desk| {
            let edit = Edit::Fields(rules.fields().map_err(Failure::Refused)?);
            desk.edit(&name, edit, "changed", out)
        }),
        KeysCommand::Rotate {
            name,
            grace,
            end_previous,
            secret,
        } => desk().and_then(|desk| desk.rotate(&name, (&grace, end_previous), &secret, out)),
        KeysCommand::Disable { name } => {
            desk().and_then(|desk| desk.edit(&name, disabled(true), "disabled", out))
        }
        KeysCommand::Enable { name } => {
            desk().and_then(|desk| desk.edit(&name, disabled(false), "enabled", out))
        }
        KeysCommand::Revoke { name, wait } => {
            desk().and_then(|desk| desk.revoke(&name, wait.as_deref(), out))
        }
    };
    finish(done)
}

/// Lists and changes projects. The exit code is as that of [`keys`].
///
/// # Errors
/// Those of writing.
pub fn projects(args: ProjectsArgs, out: &mut impl Write) -> io::Result<u8> {
    let desk = Desk::open(&args.overrides);
    finish(desk.and_then(|desk| match args.command {
        ProjectsCommand::List => desk.list_projects(out),
        ProjectsCommand::New { name, rules } => {
            let fields = rules.fields().map_err(Failure::Refused)?;
            desk.change_project(&name, ProjectChange::Add(fields), "added", out)
        }
        ProjectsCommand::Limit { name, rules } => {
            let fields = rules.fields().map_err(Failure::Refused)?;
            desk.change_project(&name, ProjectChange::Fields(fields), "changed", out)
        }
        ProjectsCommand::Archive { name } => {
            desk.change_project(&name, ProjectChange::Archive, "closed for good", out)
        }
    }))
}

/// Lists the gateways on the store. The exit code is as that of [`keys`].
///
/// # Errors
/// Those of writing.
pub fn replicas(sources: &Sources, out: &mut impl Write) -> io::Result<u8> {
    let list = |desk: Desk| {
        let present = desk.read(async |transaction| presence::present(transaction).await)?;
        for gateway in present {
            let seconds = gateway.silent_ms / 1000;
            let (id, program, state) = (&gateway.id, &gateway.program, &gateway.state);
            writeln!(out, "{id}  {program}  heard {seconds}s ago  {state}")?;
        }
        Ok(())
    };
    finish(Desk::of(sources).and_then(list))
}

pub(super) fn finish(done: Result<(), Failure>) -> io::Result<u8> {
    match done {
        Ok(()) => Ok(0),
        Err(Failure::Refused(sentence)) => {
            tell(format_args!("fal-gateway: {sentence}"));
            Ok(BAD_SETTINGS)
        }
        Err(Failure::Late(sentence)) => {
            tell(format_args!("fal-gateway: {sentence}"));
            Ok(LATE)
        }
        Err(Failure::Store(error)) => {
            tell(format_args!("fal-gateway: {error}"));
            Ok(exit_code(&error))
        }
        Err(Failure::Io(error)) => Err(error),
    }
}

fn disabled(is_disabled: bool) -> Edit {
    let fields = [("disabled".to_owned(), Json::Bool(is_disabled))];
    Edit::Fields(fields.into_iter().collect())
}

/// Makes a key for the file where there is no store, or none is wanted.
fn new(args: &NewKeyArgs, overrides: &Overrides, out: &mut impl Write) -> io::Result<u8> {
    let sources = overrides.to_sources();
    let config = match Config::load(&sources) {
        Ok(config) => Some(config).filter(Config::has_store),
        // Whoever makes the first key may not have settings that hold yet.
        Err(_) if overrides.config.is_none() => None,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    match config.filter(|_| !args.for_file) {
        Some(config) => finish(Desk::on(config).and_then(|desk| desk.add(args, out))),
        None if args.rules.is_empty() && args.secret.output.is_none() => {
            new_key(args.name.as_deref(), out)
        }
        None => finish(Err(Failure::Refused(
            "there is no store for a key with rules: set store.path or store.url, or write a \
             [[keys]] table into the settings file with the hash of a key that this command makes \
             without them."
                .to_owned(),
        ))),
    }
}

/// The store of some settings, open.
pub(super) struct Desk {
    config: Config,
    store: Database,
}

impl Desk {
    pub(super) fn open(overrides: &Overrides) -> Result<Self, Failure> {
        Self::of(&overrides.to_sources())
    }

    fn of(sources: &Sources) -> Result<Self, Failure> {
        let config = Config::load(sources);
        Self::on(config.map_err(|problems| Failure::Refused(problems.to_string()))?)
    }

    fn on(config: Config) -> Result<Self, Failure> {
        if !config.has_store() {
            return Err(Failure::Refused(
                "there is no store: set store.path or store.url in the settings.".to_owned(),
            ));
        }
        let store = Database::open(&config.store)?;
        Ok(Self { config, store })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.store.read(Instant::now() + PATIENCE, work);
        Ok(actix_web::rt::System::new().block_on(done)?)
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.store.write_durably(Instant::now() + PATIENCE, work);
        Ok(actix_web::rt::System::new().block_on(done)??)
    }

    fn roster(&self) -> Result<Roster, Failure> {
        let news =
            self.read(async |transaction| tables::news(transaction, LastChange::UNKNOWN).await)?;
        let news = news.map(UnreadNews::read).transpose()?;
        let mut roster = Roster::default();
        roster.take(news.unwrap_or_default());
        Ok(roster)
    }

    pub(super) fn condition(&self) -> Condition {
        let projects = self.config.projects.iter();
        Condition {
            revision: None,
            operator: "command line".to_owned(),
            address: String::new(),
            file_projects: projects.map(|project| project.name.clone()).collect(),
        }
    }

    fn add(&self, args: &NewKeyArgs, out: &mut impl Write) -> Result<(), Failure> {
        let Some(name) = &args.name else {
            return Err(Failure::Refused(
                "a key of the store needs a name: --name ci. For a line of the settings file, say \
                 --for-file."
                    .to_owned(),
            ));
        };
        if args.if_absent && self.roster()?.keys.contains_key(name) {
            tell(format_args!(
                "the key `{name}` is in the store already; nothing was done"
            ));
            return Ok(());
        }
        let mut fields = args.rules.fields().map_err(Failure::Refused)?;
        fields.insert("name".to_owned(), name.as_str().into());
        let plain = random_key()?;
        let secret = Secret::of(plain.expose_secret());
        // What is wrong with it is said before anything is handed over.
        let called = format!("the key `{}`", name.escape_debug());
        let key = Key::of_json(called, "", &{
            let mut all = fields.clone();
            all.insert("hash".to_owned(), secret.hash.to_string().into());
            all
        });
        key.map_err(|problems| Failure::Refused(sentences(&problems)))?;
        let filed = Filed::of(&self.config);
        if let Some(sentence) = filed.refuses(&self.config, Some(name), Some(&secret.hash)) {
            return Err(Failure::Refused(sentence));
        }
        let handed = Handed::new(&args.secret, plain)?;
        let condition = self.condition();
        let stored = self.write(async move |transaction| {
            tables::add_key(transaction, fields, &secret, &condition).await
        });
        let stored = handed.over(stored, out)?;
        self.say("key", &stored.key.name, "added", stored.revision);
        look_over(&warnings_of_key(&self.config, &stored));
        Ok(())
    }

    fn rotate(
        &self,
        name: &str,
        (grace, ends_previous): (&str, bool),
        secret: &SecretArgs,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let grace = time_span(grace).ok_or_else(|| {
            Failure::Refused("--grace takes a time such as 24h, 7d or 0s.".to_owned())
        })?;
        let plain = random_key()?;
        let edit = Edit::Rotate {
            secret: Secret::of(plain.expose_secret()),
            grace: Some(grace),
            ends_previous,
        };
        let handed = Handed::new(secret, plain)?;
        let stored = handed.over(self.edited(name, edit), out)?;
        self.say("key", name, "rotated", stored.revision);
        Ok(())
    }

    fn edit(
        &self,
        name: &str,
        edit: Edit,
        done: &str,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let stored = self.edited(name, edit)?;
        self.show_edited(&stored, done, out)
    }

    fn show_edited(
        &self,
        stored: &StoredKey,
        done: &str,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        writeln!(out, "{}", pretty(&stored.shown()))?;
        self.say("key", &stored.key.name, done, stored.revision);
        look_over(&warnings_of_key(&self.config, stored));
        Ok(())
    }

    fn revoke(&self, name: &str, wait: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
        let patience = |text| time_span(text).and_then(|span| Duration::try_from(span).ok());
        let patience = wait.map(|text| {
            patience(text)
                .ok_or_else(|| Failure::Refused("--wait takes a time such as 60s.".to_owned()))
        });
        let patience = patience.transpose()?;
        let stored = self.edited(name, Edit::Revoke)?;
        self.show_edited(&stored, "revoked for good", out)?;
        match patience {
            Some(patience) => self.wait_for_all(stored.revision, patience),
            None => Ok(()),
        }
    }

    /// Waits until all gateways that are there have said that they go by a change. A store that fails
    /// meanwhile is asked again.
    fn wait_for_all(&self, revision: i64, patience: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let present = self.read(async |transaction| presence::present(transaction).await);
            let is_over = begun.elapsed() >= patience;
            match present {
                Ok(present) => {
                    let late = present.iter().filter(|gateway| !gateway.goes_by(revision));
                    let late: Vec<&str> = late.map(|gateway| gateway.id.as_str()).collect();
                    if late.is_empty() {
                        let gateways = present.len();
                        tell(format_args!(
                            "it holds on every gateway on this store ({gateways})"
                        ));
                        return Ok(());
                    }
                    if is_over {
                        return Err(Failure::Late(format!(
                            "it is done, and these gateways have not said in time that they go by \
                             it: {}. `fal-gateway replicas` tells where they are.",
                            late.join(", ")
                        )));
                    }
                }
                Err(error) if is_over => return Err(error),
                Err(_) => {}
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn edited(&self, name: &str, edit: Edit) -> Result<StoredKey, Failure> {
        if !can_name(name) {
            return Err(Failure::Refused(no_such("key", name)));
        }
        let filed = Filed::of(&self.config);
        if let Some(place) = filed.place_of_key(&self.config, name) {
            return Err(Failure::Refused(format!(
                "the key `{name}` stands in {place}; change it there."
            )));
        }
        let (name, condition) = (name.to_owned(), self.condition());
        self.write(async move |transaction| {
            tables::edit_key(transaction, &name, edit, &condition).await
        })
    }

    fn change_project(
        &self,
        name: &str,
        change: ProjectChange,
        done: &str,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut in_file = self.config.projects.iter();
        if let Some(project) = in_file.find(|project| project.name == name) {
            return Err(Failure::Refused(format!(
                "the project `{name}` stands in {}; change it there.",
                project.origin
            )));
        }
        let (owned, condition) = (name.to_owned(), self.condition());
        let stored = self.write(async move |transaction| {
            tables::put_project(transaction, &owned, change, &condition).await
        })?;
        writeln!(out, "{}", pretty(&stored.shown()))?;
        self.say("project", name, done, stored.revision);
        look_over(&warnings_of_project(&self.config, &stored));
        Ok(())
    }

    /// Says what was done; that is no part of what the command gives.
    pub(super) fn say(&self, what: &str, name: &str, done: &str, revision: i64) {
        let place = place_of_store(&self.config);
        tell(format_args!(
            "the {what} `{name}` is {done} (revision {revision} of {place}); it holds on every \
             gateway on this store within 2 seconds"
        ));
    }

    fn list(
        &self,
        project: Option<&str>,
        as_json: bool,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let roster = self.roster()?;
        let lines = self.config.auth.keys.iter().filter(|_| project.is_none());
        let lines = lines.filter_map(|line| line.name());
        let lines = lines.map(|name| json!({"name": name, "origin": "file"}));
        let of_file = self.config.keys.iter().map(shown_file_key);
        let stored = roster.keys.values().map(|stored| stored.shown());
        let all = lines.chain(of_file.chain(stored).filter(|key| {
            let belongs = key.get("project").and_then(Json::as_str);
            project.is_none_or(|wanted| belongs == Some(wanted))
        }));
        for key in all {
            match as_json {
                true => writeln!(out, "{key}")?,
                false => writeln!(out, "{}", row(&key))?,
            }
        }
        for (label, why) in &roster.unreadable {
            tell(format_args!("{label} of the store cannot be read: {why}"));
        }
        for sentence in roster.contradictions(&self.config, &Filed::of(&self.config)) {
            tell(sentence);
        }
        Ok(())
    }

    fn show(&self, name: &str, out: &mut impl Write) -> Result<(), Failure> {
        let of_file = self.config.keys.iter().find(|key| key.name == name);
        let roster = self.roster()?;
        let stored = || roster.keys.get(name).map(|stored| stored.shown());
        let shown = of_file.map(shown_file_key).or_else(stored);
        let shown = shown.ok_or_else(|| Failure::Refused(no_such("key", name)))?;
        writeln!(out, "{}", pretty(&shown))?;
        Ok(())
    }

    fn list_projects(&self, out: &mut impl Write) -> Result<(), Failure> {
        let roster = self.roster()?;
        let of_file = self.config.projects.iter().map(shown_file_project);
        let stored = roster.projects.values().map(|stored| stored.shown());
        for project in of_file.chain(stored) {
            writeln!(out, "{project}")?;
        }
        Ok(())
    }
}

/// Says what deserves a second look.
fn look_over(warnings: &[String]) {
    for warning in warnings {
        tell(format_args!("fal-gateway: warning: {warning}"));
    }
}

fn sentences(problems: &crate::config::Problems) -> String {
    let sentences: Vec<_> = problems.iter().map(|one| one.sentence.as_str()).collect();
    sentences.join(" ")
}

fn no_such(what: &str, name: &str) -> String {
    let shown: String = name.chars().take(64).collect();
    format!(
        "neither the settings file nor the store has a {what} `{}`.",
        shown.escape_debug()
    )
}

fn pretty(shown: &Json) -> String {
    serde_json::to_string_pretty(shown).unwrap_or_default()
}

/// One line of the list.
fn row(key: &Json) -> String {
    let text = |field: &str| key.get(field).and_then(Json::as_str).unwrap_or_default();
    let state = match (key.get("revoked_at"), key.get("disabled")) {
        (Some(Json::String(_)), _) => "revoked",
        (_, Some(Json::Bool(true))) => "disabled",
        _ => "open",
    };
    let project = Some(text("project")).filter(|name| !name.is_empty());
    let ends = Some(text("expires")).filter(|time| !time.is_empty());
    let line = format!(
        "{:24} {:9} {:16} {:20} {}",
        text("name"),
        state,
        project.unwrap_or("-"),
        ends.unwrap_or("-"),
        text("origin"),
    );
    line.trim_end().to_owned()
}

/// A length of time such as `24h` or `7d`, a day being 24 hours.
fn time_span(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let relative = SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(relative).ok()?;
    (!duration.is_negative()).then_some(duration)
}

impl Rules {
    fn is_empty(&self) -> bool {
        self.fields().is_ok_and(|fields| fields.is_empty())
    }

    /// The rules that were named, as fields of a key; null for what is to have no value.
    fn fields(&self) -> Result<Map<String, Json>, String> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Json| {
            fields.insert(name.to_owned(), value);
        };
        for (name, text) in [
            ("project", &self.project),
            ("scopes", &self.scopes),
            ("models", &self.models),
        ] {
            if let Some(text) = text {
                let is_none = text == "none" && name != "project";
                put(name, if is_none { Json::Null } else { json!(text) });
            }
        }
        if let Some(premium) = self.premium {
            put("premium", json!(premium));
        }
        for (name, flag, count) in [
            ("requests_per_minute", "--rpm", &self.rpm),
            ("tokens_per_minute", "--tpm", &self.tpm),
            ("concurrency", "--concurrency", &self.concurrency),
        ] {
            match count.as_deref() {
                None => {}
                Some("none") => put(name, Json::Null),
                Some(count) => {
                    let count: u64 = count
                        .parse()
                        .map_err(|_| format!("{flag} takes a whole number, or `none`."))?;
                    put(name, json!(count));
                }
            }
        }
        if !self.budget.is_empty() {
            let budgets = self.budget.iter().filter(|budget| *budget != "none");
            put("budgets", budgets.cloned().collect());
        }
        if let Some(when) = &self.expires {
            put("expires", expiry(when)?);
        }
        Ok(fields)
    }
}

/// When a key ends: as it is, or so long from now.
fn expiry(when: &str) -> Result<Json, String> {
    let is_moment = when.parse::<Timestamp>().is_ok() || when.parse::<Date>().is_ok();
    match when {
        "none" => Ok(Json::Null),
        when if is_moment => Ok(json!(when)),
        when => {
            let until = time_span(when).and_then(|span| Timestamp::now().checked_add(span).ok());
            let until = until.ok_or_else(|| {
                "--expires takes a date, a time with its zone, or a time from now such as 90d."
                    .to_owned()
            })?;
            Ok(json!(until.to_string()))
        }
    }
}
