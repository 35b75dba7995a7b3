//! `fal-gateway launch`: starts a client with everything that points it at the gateway.
//!
//! Nothing of the user's own is changed: the client gets variables, arguments, and settings files
//! in a folder that is there as long as it runs.

pub mod clients;
mod run;
pub mod setup;

use std::io::{self, Write};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::args::LaunchArgs;
use super::client::{AskError, Client as Gateway};
use super::terminal::tell;
use clients::{CLIENTS, Client, MISSING};
use setup::{Setup, Values};

/// The model that clients are given where none is named.
const MODEL: &str = "openai/gpt-4o-mini";
/// The key that they are given where none is named: an open gateway takes any.
const ANY_KEY: &str = "demo";
/// What stands for a key of the user's in what is printed.
const HIDDEN_KEY: &str = "YOUR-KEY";

/// Starts the client, or prints what it would be given. The exit code is the client's own, or 1
/// when it cannot be started.
///
/// # Errors
/// When the output cannot be written, or the folder of the client's files.
pub fn launch(args: &LaunchArgs, out: &mut impl Write) -> io::Result<u8> {
    let Some(name) = &args.client else {
        list(out)?;
        return Ok(0);
    };
    let Some(client) = CLIENTS.iter().find(|client| client.name == *name) else {
        tell(unknown(name));
        return Ok(1);
    };
    if client.program.is_empty() && args.arguments.is_empty() {
        tell("fal-gateway: name the program, too: fal-gateway launch any python ask.py");
        return Ok(1);
    }
    let key = args.key.as_ref().map(ExposeSecret::expose_secret);
    let key = key.filter(|key| !key.is_empty());
    let url = args.gateway.url.trim_end_matches('/');
    let base = format!("{}/v1", url.strip_suffix("/v1").unwrap_or(url));
    let mut values = Values {
        base: &base,
        key: key.unwrap_or(ANY_KEY),
        model: args.model.as_deref().unwrap_or(MODEL),
        context: None,
        folder: "",
    };
    if let Some(unfit) = values.unfit() {
        let shown = if unfit == values.key {
            "the key"
        } else {
            unfit
        };
        tell(format_args!(
            "fal-gateway: a client's settings cannot carry {shown}: it is empty, or has blanks, quotes or other such signs"
        ));
        return Ok(1);
    }
    if args.print {
        return print(client, &values, key.is_some(), &args.arguments, out);
    }
    match context(&values, args.key.as_ref()) {
        Ok(context) => values.context = context,
        Err(error) => {
            tell(format_args!("fal-gateway: {error}"));
            return Ok(1);
        }
    }
    for note in client.notes {
        tell(note.replace("{model}", values.model));
    }
    run::run(client, values, &args.arguments)
}

/// Asks the gateway for the model, which also shows whether it is there and takes the key.
fn context(values: &Values<'_>, key: Option<&SecretString>) -> Result<Option<u64>, AskError> {
    let model = values.model;
    let gateway =
        Gateway::new(values.base, key).map_err(|error| AskError::Refused(error.to_string()))?;
    let list = actix_web::rt::System::new().block_on(gateway.models())?;
    let models = list.get("data").and_then(Value::as_array);
    let named = models
        .into_iter()
        .flatten()
        .find(|known| known.get("id").and_then(Value::as_str) == Some(model));
    Ok(named.and_then(|model| model.get("context_length")?.as_u64()))
}

fn print(
    client: &Client,
    values: &Values<'_>,
    has_key: bool,
    arguments: &[String],
    out: &mut impl Write,
) -> io::Result<u8> {
    let folder = std::env::temp_dir().join(format!("fal-gateway-{}", client.name));
    let folder = folder.to_string_lossy();
    let values = Values {
        key: if has_key { HIDDEN_KEY } else { values.key },
        folder: &folder,
        ..*values
    };
    match client.install {
        "" => writeln!(out, "# {}", client.title)?,
        install => writeln!(out, "# {} ({install})", client.title)?,
    }
    for note in client.notes {
        writeln!(out, "# {}", note.replace("{model}", values.model))?;
    }
    Setup::new(client, &values, arguments).print(&folder, out)?;
    Ok(0)
}

fn list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Can be launched:")?;
    for client in CLIENTS {
        writeln!(out, "  {:<12} {}", client.name, client.title)?;
    }
    writeln!(out, "\nCannot:")?;
    for missing in MISSING {
        writeln!(
            out,
            "  {:<12} {}: {}",
            missing.name, missing.title, missing.because
        )?;
    }
    Ok(())
}

fn unknown(name: &str) -> String {
    if let Some(missing) = MISSING.iter().find(|missing| missing.name == name) {
        return format!(
            "fal-gateway: {} cannot be launched: {}",
            missing.title, missing.because
        );
    }
    let near = CLIENTS
        .iter()
        .map(|client| (strsim::jaro_winkler(client.name, name), client.name))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(likeness, _)| *likeness > 0.7)
        .map(|(_, name)| format!(" Did you mean {name}?"));
    format!(
        "fal-gateway: there is no client {name}.{} `fal-gateway launch` lists all",
        near.unwrap_or_default()
    )
}
