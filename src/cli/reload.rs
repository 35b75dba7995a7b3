//! `fal-gateway reload`: has a running gateway read its settings again.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;

use super::args::ReloadArgs;
use super::check::BAD_SETTINGS;
use super::client::order;
use super::health::from_here;
use super::terminal::tell;
use crate::config::Config;

/// Large files take a moment.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Gives the order, and says what came of it. The exit code is 0 where the settings are taken up, 1
/// where nobody answers or the order is refused, 2 where something is wrong with the settings.
///
/// # Errors
/// When the output cannot be written.
pub fn reload(args: &ReloadArgs, out: &mut impl Write) -> io::Result<u8> {
    let url = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => match Config::load(&args.overrides.to_sources()) {
            Ok(config) => {
                let scheme = if config.tls.is_some() {
                    "https"
                } else {
                    "http"
                };
                let Some((listen, _)) = config.admin_listen() else {
                    tell(
                        "fal-gateway: the settings name neither a store nor an admin key, so the gateway has no listener for operators; send it SIGHUP, or name it with --url",
                    );
                    return Ok(BAD_SETTINGS);
                };
                format!("{scheme}://{}", from_here(listen))
            }
            Err(problems) => {
                tell(problems);
                return Ok(BAD_SETTINGS);
            }
        },
    };
    let target = format!("{url}/admin/v1/reload");
    let ordered = order(&target, args.key.as_ref(), TIMEOUT, args.url.is_none());
    let Some((status, answer)) = actix_web::rt::System::new().block_on(ordered) else {
        tell(format_args!("fal-gateway: nobody answers at {url}"));
        return Ok(1);
    };
    if status == 200 {
        writeln!(out, "{answer}")?;
        return Ok(0);
    }
    let message = answer.pointer("/error/message").and_then(Value::as_str);
    tell(format_args!(
        "fal-gateway: {}",
        message.unwrap_or("the order was refused")
    ));
    Ok(if status == 409 { BAD_SETTINGS } else { 1 })
}
