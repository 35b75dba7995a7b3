//! `fal-gateway emulator`: the stand-in for fal on a port of its own.

use std::io;

use secrecy::ExposeSecret;

use super::args::{EmulatorArgs, WebhookTargets};
use super::check::BAD_SETTINGS;
use super::signals::Signals;
use super::terminal::tell;
use crate::config::{LogFormat, LogLevel};
use crate::emulator::{Behaviour, Emulator, Options, Webhooks};
use crate::observe::logging;

/// Emulates fal until it is told to stop.
///
/// # Errors
/// When the address is taken or the signal handlers fail.
pub fn emulate(args: EmulatorArgs) -> io::Result<u8> {
    let behaviour = match args
        .behave
        .as_deref()
        .unwrap_or_default()
        .parse::<Behaviour>()
    {
        Ok(behaviour) => behaviour,
        Err(error) => {
            tell(format_args!("fal-gateway: --behave: {error}"));
            return Ok(BAD_SETTINGS);
        }
    };
    let plain = |secret: &secrecy::SecretString| secret.expose_secret().to_owned();
    let options = Options {
        listen: args.listen.to_string(),
        tag: !args.no_tag,
        key: args.key.as_ref().map(plain),
        relay: args.relay,
        relay_key: args.relay_key.as_ref().map(plain),
        relay_model: args.relay_model,
        public_hosts: args.public_host,
        webhooks: match args.webhooks {
            WebhookTargets::Loopback => Webhooks::Loopback,
            WebhookTargets::Any => Webhooks::Any,
        },
        behaviour,
        ..Options::default()
    };
    logging::init(LogLevel::Warn, LogFormat::Auto);
    actix_web::rt::System::new().block_on(async {
        let address = options.listen.clone();
        let taken = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
        let running = Emulator::bind(options).map_err(taken)?.start();
        let mut signals = Signals::listen()?;
        let url = running.url();
        tell(format_args!("emulating fal at {url}   (queue at {url}/queue, storage at {url}/rest, help at {url}/_emulator/help)"));
        signals.stop().await;
        actix_web::rt::spawn(signals.exit_at_next());
        running.stop().await;
        Ok(0)
    })
}
