//! `fal-gateway explain`: what a request would cause at fal, without causing it.

use std::fs;
use std::io::{self, Write};

use super::args::ExplainArgs;
use super::check::{BAD_SETTINGS, name_found_file};
use super::terminal::tell;
use crate::api::gateway::Gateway;
use crate::config::Config;
use crate::translate;
use crate::translate::face::Face;
use crate::translate::face::chat::{Chat, parse::parse};
use crate::translate::plan::{candidates, plan};

/// Prints the request to fal that a chat completion request would cause. The exit code is 1 when
/// the request would be refused, 2 when the settings are wrong.
///
/// # Errors
/// When the file cannot be read or the output cannot be written.
pub fn explain(args: &ExplainArgs, out: &mut impl Write) -> io::Result<u8> {
    let sources = args.overrides.to_sources();
    name_found_file(&sources);
    let mut config = match Config::load(&sources) {
        Ok(config) => config,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    // Otherwise each explanation would have a key of its own, and no two could be compared.
    let secret = config.fold.secret.take();
    config.fold.secret = secret.or_else(|| Some("a secret for explanations".into()));
    config.keep_to_this_process();
    let gateway = Gateway::new(config).map_err(io::Error::other)?;
    let snapshot = gateway.snapshot();
    let body = fs::read(&args.file).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", args.file.display()))
    })?;
    let plan_limits = &snapshot.plan_limits;
    let planned = parse(&body, &snapshot.face.messages).and_then(|ask| {
        let (target, others) = candidates(&ask, &snapshot.catalogue, plan_limits)?;
        plan(&ask, &target, &others, plan_limits)
    });
    match planned {
        Ok(plan) => {
            let explanation =
                translate::explain::explain(&plan, &snapshot.engine.apps, &plan_limits.room);
            serde_json::to_writer_pretty(&mut *out, &explanation)?;
            writeln!(out)?;
            Ok(0)
        }
        Err(rejection) => {
            out.write_all(&Chat::problem(&rejection.into(), "").body)?;
            writeln!(out)?;
            Ok(1)
        }
    }
}
