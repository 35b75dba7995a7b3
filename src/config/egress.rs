//! The way to fal: a proxy, and certificates beyond those that the system trusts.

use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::{Host, Url};

use super::Config;
use super::reader::Reader;
use super::sources::{Sources, reason};

/// The proxy through which fal is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Proxy {
    /// The one that the environment names, in the variables that other programs read too. Once the
    /// settings are loaded, [`Proxy::At`] stands in its place if there is one.
    Environment,
    At {
        /// With the user and password that the proxy asks for, if it does.
        url: Url,
        /// Hosts that are reached without it, as in `NO_PROXY`; usually none.
        bypass: String,
    },
}

/// Shows neither the user nor the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::At { url, .. } => write!(f, "At({})", Self::shown(url)),
        }
    }
}

impl Proxy {
    /// The address without what nobody may read.
    fn shown(url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        format!("{}://{host}:{port}", url.scheme())
    }

    /// A proxy's address, with or without the scheme. The port has to be there, since programs do not
    /// agree on the one that is meant without it.
    pub(super) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit('@').next()?.rsplit_once(':')?;
        let has_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        let url = Url::parse(&format!("{scheme}://{rest}")).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_http = matches!(url.scheme(), "http" | "https");
        let names_host = is_written_host(host, &url.host()?);
        (is_http && is_bare && has_port && names_host).then_some(url)
    }
}

/// Whether a host is one as people write it. URLs also take a number for an IPv4 address, and names
/// that no name server can know.
fn is_written_host(written: &str, read: &Host<&str>) -> bool {
    match read {
        Host::Ipv4(_) => written.parse::<Ipv4Addr>().is_ok(),
        Host::Ipv6(_) => true,
        Host::Domain(name) => is_name(name.strip_suffix('.').unwrap_or(name)),
    }
}

/// Whether something can be the name of a host (RFC 1123, section 2.1; containers' names have `_`, too).
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_edged = part.starts_with('-') || part.ends_with('-');
        !part.is_empty() && !is_edged && part.bytes().all(is_plain)
    };
    name.split('.').all(is_part)
}

/// Certificates that are trusted besides the system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFile {
    pub path: PathBuf,
    /// What stands in it; read when the settings are loaded.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Variables that name a proxy for `https`, the first that is set first, and the one that names
/// exceptions.
pub(super) const PROXY_VARIABLES: [&str; 4] =
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
pub(super) const BYPASS_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Puts what the environment says in the place of `fal.proxy = "env"`, and reads the certificates that
/// are trusted.
pub(super) fn settle(config: &mut Config, sources: &Sources, reader: &mut Reader) {
    if config.fal.proxy == Some(Proxy::Environment) {
        config.fal.proxy = from_environment(sources, reader);
    }
    for (setting, file) in [
        ("fal.ca_file", &mut config.fal.ca_file),
        ("store.ca_file", &mut config.store.ca_file),
    ] {
        let Some(file) = file else { continue };
        match certificates(file) {
            Ok(certificates) => file.certificates = certificates,
            Err(why) => {
                let shown = file.path.display();
                reader.contradiction(setting, format!("{setting} {shown} {why}."));
            }
        }
    }
}

fn from_environment(sources: &Sources, reader: &mut Reader) -> Option<Proxy> {
    let set = |names: &[&'static str]| {
        let mut named = names
            .iter()
            .filter_map(|name| Some((*name, sources.env.get(*name)?)));
        named.find(|(_, value)| !value.trim().is_empty())
    };
    let (variable, value) = set(&PROXY_VARIABLES)?;
    let bypass = set(&BYPASS_VARIABLES).map_or_else(String::new, |(_, hosts)| hosts.clone());
    let url = Proxy::parse(value.trim());
    if url.is_none() {
        reader.contradiction(
            "fal.proxy",
            format!(
                "fal.proxy is env, but the environment variable {variable} is not the address of an \
                 HTTP proxy with its port, such as `http://proxy.example.com:3128` (its value is not shown)."
            ),
        );
    }
    url.map(|url| Proxy::At { url, bypass })
}

fn certificates(file: &CaFile) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = fs::read(&file.path)
        .map_err(|error| format!("cannot be read: {}", reason(&file.path, &error)))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| "is not in PEM form".to_owned())?;
    if found.is_empty() {
        return Err("holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)".to_owned());
    }
    let mut store = RootCertStore::empty();
    for (place, certificate) in (1..).zip(&found) {
        store
            .add(certificate.clone())
            .map_err(|_| format!("holds something that is no certificate, as number {place}"))?;
    }
    Ok(found)
}
