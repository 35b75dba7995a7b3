//! `fal-gateway doctor`: what stands between a user and an answer, looked at in the order in which
//! a request meets it, each with its cure.

mod account;
mod live;
mod report;
mod way;

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::args::DoctorArgs;
use super::check::name_found_file;
use super::terminal::tell;
use crate::api::catalogue::warnings;
use crate::api::snapshot::{Lasting, Snapshot};
use crate::config::{Config, Fal, Inspection};
use crate::translate::model::ModelInfo;
use crate::translate::routing::{stand_in, usual};
use crate::translate::upstream::UpstreamId;
use crate::upstream::{FalClient, FalKey, PublicClient, RefusalKind};
use live::Live;
use report::Ailment::{Key, Settings};
use report::Finding::{self, Fine, Note, Skipped, Wrong};
use report::Report;
use way::Door;

/// Looks at everything. The exit code tells what is wrong first.
///
/// # Errors
/// When the output cannot be written, or no port is free.
pub fn doctor(args: &DoctorArgs, out: &mut impl Write) -> io::Result<u8> {
    let sources = args.overrides.to_sources();
    name_found_file(&sources);
    let mut report = Report::new(out);
    let Inspection { outcome, .. } = Config::inspect(&sources);
    let config = match outcome {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems.iter() {
                report.tell("settings", &Wrong(Settings, problem.to_string()))?;
            }
            return Ok(report.code());
        }
    };
    let found = warnings(&config);
    for warning in &found {
        report.tell("settings", &Note(warning.clone()))?;
    }
    if found.is_empty() {
        report.tell("settings", &Fine("nothing is wrong with them".to_owned()))?;
    }
    actix_web::rt::System::new().block_on(look(args, config, &mut report))?;
    Ok(report.code())
}

/// The rest, as far as one thing does not keep the next from being looked at.
async fn look<W: Write>(
    args: &DoctorArgs,
    config: Config,
    report: &mut Report<'_, W>,
) -> io::Result<()> {
    const LIMIT: Duration = Duration::from_secs(10);
    let fal = &config.fal;
    let door = Door::of(fal);
    let (name, addresses) = door.name(LIMIT).await;
    if !report.tell("name", &name)? {
        return Ok(());
    }
    let connection = door.connection(&addresses, LIMIT).await;
    if !report.tell("connection", &connection)? {
        return Ok(());
    }
    let (secret, key) = match key(fal) {
        Ok(key) => key,
        Err(finding) => {
            report.tell("key", &finding)?;
            return Ok(());
        }
    };
    let client = FalClient::new(fal).map_err(io::Error::other)?;
    let mut own = config.clone();
    own.keep_to_this_process();
    let lasting = Lasting::new(&own).map_err(io::Error::other)?;
    let snapshot = Snapshot::new(own, 1, &lasting).map_err(io::Error::other)?;
    let resolved = snapshot.catalogue.resolve(args.model.as_deref()).ok();
    let unknown = ModelInfo::of_unknown("");
    let card = resolved.and_then(|resolved| resolved.card);
    let card = card.unwrap_or(&unknown);
    let mut asked = usual(card, &snapshot.plan_limits);
    let mut app = path(asked, &snapshot);
    let mut knock = match way::knock(&client, &app, &key).await {
        Ok(knock) => knock,
        Err(finding) => {
            report.tell("fal", &finding)?;
            return Ok(());
        }
    };
    if !report.tell("fal", &way::answers(&knock, fal.proxy.is_some()))? {
        return Ok(());
    }
    if let Some(clock) = way::clock(&knock) {
        report.tell("clock", &clock)?;
    }
    let has_its_form = secret.expose_secret().contains(':');
    let takes_key = report.tell("key", &way::key(&knock, has_its_form))?;
    let next = stand_in(card, &snapshot.plan_limits);
    if let Some(next) = next.filter(|_| takes_key && knock.kind == RefusalKind::UnknownApp) {
        let instead = path(next, &snapshot);
        report.tell("application", &way::replaced(&knock, &app, &instead))?;
        (asked, app) = (next, instead);
        match way::knock(&client, &app, &key).await {
            Ok(again) => knock = again,
            Err(finding) => {
                report.tell("application", &finding)?;
                return Ok(());
            }
        }
    }
    let application = way::application(&knock, &app, asked.app_setting());
    let has_app = takes_key && report.tell("application", &application)?;
    told(&config, &app, report).await?;
    if has_app {
        answers(args, &snapshot, asked, report).await?;
    }
    Ok(())
}

/// The key that pays, or why there is none to look at.
fn key(fal: &Fal) -> Result<(&SecretString, FalKey), Finding> {
    let Some(secret) = &fal.key else {
        let words =
            "there is none: each caller brings one. Set FAL_KEY to have the rest looked at.";
        return Err(Skipped(words.to_owned()));
    };
    let wrong = || {
        Wrong(
            Key,
            "no header can carry the fal key. Copy it again.".to_owned(),
        )
    };
    Ok((secret, FalKey::new(secret).ok_or_else(wrong)?))
}

/// What fal tells of an application and of the account.
async fn told<W: Write>(config: &Config, app: &str, report: &mut Report<'_, W>) -> io::Result<()> {
    let public = PublicClient::new(&config.fal, &config.models).map_err(io::Error::other)?;
    report.tell("state", &account::state(&public, app).await)?;
    let admin = config.fal.admin_key.as_ref().and_then(FalKey::new);
    report.tell("balance", &account::balance(&public, admin.as_ref()).await)?;
    Ok(())
}

/// The live answers, if they may be asked for.
async fn answers<W: Write>(
    args: &DoctorArgs,
    snapshot: &Snapshot,
    asked: UpstreamId,
    report: &mut Report<'_, W>,
) -> io::Result<()> {
    let resolved = snapshot.catalogue.resolve(args.model.as_deref());
    let (id, card) = match resolved {
        Ok(resolved) => (resolved.id.into_owned(), resolved.card),
        Err(rejection) => {
            let finding = Wrong(report::Ailment::Answer, rejection.message.to_string());
            report.tell("answer", &finding)?;
            return Ok(());
        }
    };
    report.say(&format!(
        "One short question to {id}, asked twice, costs {}.",
        cost(card, asked)
    ))?;
    if !(args.yes || agreed()?) {
        let words = "not asked for; --yes asks without a question first";
        report.tell("answer", &Skipped(words.to_owned()))?;
        return Ok(());
    }
    let live = Live::start(Config::clone(&snapshot.config))?;
    let whole: Finding = live.whole(&id).await;
    if report.tell("answer", &whole)? {
        report.tell("stream", &live.stream(&id).await)?;
    }
    live.stop().await;
    Ok(())
}

/// Where a text is sent through an upstream.
fn path(upstream: UpstreamId, snapshot: &Snapshot) -> String {
    let features = upstream.features();
    let app = snapshot.engine.apps.path(upstream);
    let is_enterprise = snapshot.plan_limits.enterprise && features.enterprise;
    let enterprise = if is_enterprise { "/enterprise" } else { "" };
    format!("{app}{}{enterprise}", features.path)
}

/// What the two answers cost, as far as it is known.
fn cost(card: Option<&ModelInfo>, upstream: UpstreamId) -> String {
    /// Of the question and of an answer to it, generously.
    const TOKENS: (u64, u64) = (60, 120);
    let price = card.and_then(|card| card.on(upstream).price);
    match price.map(|price| price.of(TOKENS.0, TOKENS.1)) {
        Some(one) => format!("about {} dollars", one.times(2)),
        None => "what fal asks for two requests".to_owned(),
    }
}

/// Whether somebody who can be asked agrees.
fn agreed() -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    tell("Ask it? [y/N]");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
