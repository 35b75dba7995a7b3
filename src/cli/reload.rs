//! `fal-gateway reload`: has a running gateway read its settings again.

use std::io::{self, Write};
use std::net::SocketAddr;
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
    let (url, is_own) = match &args.url {
        Some(url) => (url.trim_end_matches('/').to_owned(), false),
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
                let address = from_here(listen);
                (format!("{scheme}://{address}"), is_own(address))
            }
            Err(problems) => {
                tell(problems);
                return Ok(BAD_SETTINGS);
            }
        },
    };
    let target = format!("{url}/admin/v1/reload");
    let ordered = order(&target, args.key.as_ref(), TIMEOUT, is_own);
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

/// Whether whoever listens there needs no valid certificate to be told an admin key. Beyond this
/// machine it may be anybody.
fn is_own(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_told_a_key_without_a_valid_certificate() {
        for (listen, expected) in [
            ("127.0.0.1:3252", true),
            ("0.0.0.0:3252", true),
            ("[::]:3252", true),
            ("[::1]:3252", true),
            ("10.0.0.5:3252", false),
            ("192.0.2.1:3252", false),
            ("[2001:db8::1]:3252", false),
        ] {
            let address = from_here(listen.parse().unwrap());
            assert_eq!(is_own(address), expected, "{listen}");
        }
    }
}
