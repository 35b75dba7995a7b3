//! `fal-gateway store`: what an operator does with the store.

use std::io::{self, Write};

use jiff::Timestamp;

use super::args::StoreCommand;
use super::check::BAD_SETTINGS;
use super::terminal::tell;
use super::usage;
use crate::config::{self, Config, Sources};
use crate::store::status::Status;
use crate::store::{Database, StoreError, migrations};

/// Exit code for a store that cannot be used or is damaged.
const UNUSABLE: u8 = 1;

/// Looks at the store of the settings, brings its tables up to date, or reads all of it. The exit
/// code is 0 if all is well, 1 if the store cannot be used, 2 if the settings are wrong or the store
/// is that of a newer program.
///
/// # Errors
/// Those of writing.
pub fn store(command: &StoreCommand, sources: &Sources, out: &mut impl Write) -> io::Result<u8> {
    if let StoreCommand::Export(args) = command {
        return usage::export(args, sources, out);
    }
    let settings = match Config::load(sources) {
        Ok(config) => config.store,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    if settings.path.is_none() && settings.url.is_none() {
        writeln!(
            out,
            "There is no store: what is kept lies in memory. Set store.path or store.url for one."
        )?;
        return Ok(0);
    }
    let done = actix_web::rt::System::new().block_on(run(command, &settings));
    match done {
        Ok(Outcome::Status(status)) => write_status(&status, &settings, out).map(|()| 0),
        Ok(Outcome::Damage(damage)) if damage.is_empty() => writeln!(out, "OK").map(|()| 0),
        Ok(Outcome::Damage(damage)) => {
            for line in damage {
                writeln!(out, "{line}")?;
            }
            Ok(UNUSABLE)
        }
        Err(error) => {
            tell(format_args!("fal-gateway: {error}"));
            Ok(exit_code(&error))
        }
    }
}

/// What a process ends with that cannot use the store.
pub(super) fn exit_code(error: &StoreError) -> u8 {
    match error {
        StoreError::Newer { .. } => BAD_SETTINGS,
        _ => UNUSABLE,
    }
}

enum Outcome {
    Status(Status),
    Damage(Vec<String>),
}

async fn run(command: &StoreCommand, settings: &config::Store) -> Result<Outcome, StoreError> {
    match command {
        // Exporting prints as it reads, and is not done here.
        StoreCommand::Status | StoreCommand::Export(_) => {
            let status = Database::open_as_it_is(settings)?.status().await;
            status.map(Outcome::Status)
        }
        StoreCommand::Migrate => {
            let status = Database::open(settings)?.status().await;
            status.map(Outcome::Status)
        }
        StoreCommand::Check => {
            let damage = Database::open_as_it_is(settings)?.check().await;
            damage.map(Outcome::Damage)
        }
    }
}

fn write_status(status: &Status, settings: &config::Store, out: &mut impl Write) -> io::Result<()> {
    let path = settings
        .path
        .as_ref()
        .map(|path| path.display().to_string());
    let url = settings.url.as_ref().map(config::DatabaseUrl::shown);
    let place = path.or(url).unwrap_or_default();
    let (version, newest) = (status.version(), migrations::newest());
    writeln!(out, "{place} ({}), {} bytes", status.engine, status.bytes)?;
    for step in &status.applied {
        let at = Timestamp::from_millisecond(step.at).unwrap_or_default();
        let (number, name, program) = (step.number, &step.name, &step.program);
        writeln!(out, "{number:4}  {name}  {at:.0}  by fal-gateway {program}")?;
    }
    match version.cmp(&newest) {
        std::cmp::Ordering::Equal => writeln!(out, "version {version}, which is this program's"),
        std::cmp::Ordering::Less => writeln!(
            out,
            "version {version}; this program's is {newest}: `fal-gateway store migrate`, or a start, brings it there"
        ),
        std::cmp::Ordering::Greater => writeln!(
            out,
            "version {version}; this program knows versions up to {newest}: use a newer fal-gateway"
        ),
    }
}
