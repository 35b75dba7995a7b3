//! `fal-gateway health`: one question to a running gateway, for probes in images that hold no
//! other HTTP client.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::args::HealthArgs;
use super::check::BAD_SETTINGS;
use super::client::status_of;
use super::terminal::tell;
use crate::config::{Config, Sources};

/// Probes are repeated; one that hangs helps nobody.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a gateway whether it takes requests. The exit code is 0 if it does, 1 if it does not or
/// nobody answers, 2 when the settings that should tell its address are wrong.
///
/// # Errors
/// When the output cannot be written.
pub fn health(args: &HealthArgs, out: &mut impl Write) -> io::Result<u8> {
    let is_own = args.url.is_none();
    let url = match &args.url {
        Some(url) => {
            let url = url.trim_end_matches('/');
            url.strip_suffix("/v1").unwrap_or(url).to_owned()
        }
        None => match Config::load(&Sources::from_process(args.config.as_deref(), Vec::new())) {
            Ok(config) => {
                let scheme = if config.tls.is_some() {
                    "https"
                } else {
                    "http"
                };
                format!("{scheme}://{}", from_here(config.server.listen))
            }
            Err(problems) => {
                tell(problems);
                return Ok(BAD_SETTINGS);
            }
        },
    };
    match actix_web::rt::System::new().block_on(status_of(
        &format!("{url}/readyz"),
        TIMEOUT,
        is_own,
    )) {
        Some(200) => {
            writeln!(out, "ready")?;
            Ok(0)
        }
        Some(status) => {
            tell(format_args!(
                "fal-gateway: {url} takes no requests (status {status})"
            ));
            Ok(1)
        }
        None => {
            tell(format_args!("fal-gateway: nobody answers at {url}"));
            Ok(1)
        }
    }
}

/// The address under which a listener is reached from its own machine.
pub(super) fn from_here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        let asked = |listen: &str| from_here(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:3250"), "127.0.0.1:3250");
        assert_eq!(asked("[::]:80"), "[::1]:80");
        assert_eq!(asked("192.0.2.7:3250"), "192.0.2.7:3250");
    }
}
