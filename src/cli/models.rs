//! `fal-gateway models`: the catalogue, ours or a running gateway's.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::args::ModelsArgs;
use super::check::{BAD_SETTINGS, name_found_file};
use super::client::Client;
use super::terminal::tell;
use crate::api::gateway::Gateway;
use crate::api::models::list_json;
use crate::config::{Config, Sources};

/// Lists models and the names they go by. The exit code is 1 when a gateway that was asked does
/// not answer, 2 when the settings are wrong.
///
/// # Errors
/// When the output cannot be written.
pub fn models(args: &ModelsArgs, out: &mut impl Write) -> io::Result<u8> {
    let list = match &args.url {
        Some(url) => {
            let client = Client::new(url, None).map_err(io::Error::other)?;
            match actix_web::rt::System::new().block_on(client.models()) {
                Ok(list) => list,
                Err(error) => {
                    tell(format_args!("fal-gateway: {error}"));
                    return Ok(1);
                }
            }
        }
        None => {
            let sources = Sources::from_process(args.config.as_deref(), Vec::new());
            name_found_file(&sources);
            match Config::load(&sources) {
                Ok(mut config) => {
                    config.keep_to_this_process();
                    let gateway = Gateway::new(config).map_err(io::Error::other)?;
                    let snapshot = gateway.snapshot();
                    let nothing_live = BTreeSet::new();
                    list_json(
                        &snapshot.catalogue,
                        &snapshot.plan_limits,
                        nothing_live,
                        |_| true,
                    )
                }
                Err(problems) => {
                    tell(problems);
                    return Ok(BAD_SETTINGS);
                }
            }
        }
    };
    match args.json {
        true => writeln!(out, "{list:#}")?,
        false => write_table(&list, out)?,
    }
    Ok(0)
}

fn write_table(list: &Value, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<36} {:<9} {:<7} {:<7} {:>9}  OTHER NAMES",
        "ID", "PRICE", "SEES", "THINKS", "CONTEXT"
    )?;
    let models = list
        .get("data")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for model in models
        .iter()
        .filter(|model| model.get("alias_of").is_none())
    {
        let text = |field: &str| model.get(field).and_then(Value::as_str).unwrap_or("-");
        let inputs = model
            .pointer("/architecture/input_modalities")
            .cloned()
            .unwrap_or(json!([]));
        let sees = inputs
            .as_array()
            .is_some_and(|inputs| inputs.iter().any(|input| input == "image"));
        let context = model
            .get("context_length")
            .and_then(Value::as_u64)
            .map_or("-".to_owned(), |tokens| tokens.to_string());
        let aliases = model
            .get("aliases")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let names = aliases
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let thinks = model.get("reasoning").and_then(Value::as_bool) == Some(true);
        let sees = if sees { "images" } else { "-" };
        let thinks = if thinks { "yes" } else { "-" };
        writeln!(
            out,
            "{:<36} {:<9} {sees:<7} {thinks:<7} {context:>9}  {names}",
            text("id"),
            text("price_class"),
        )?;
    }
    writeln!(out, "\npremium: fal charges ten times the standard rate")
}
