//! Text with a form: addresses, URLs, ids, keys.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;
use url::{Host as UrlHost, Url};

use super::{Found, Kind};
use crate::config::KeyHash;
use crate::config::egress::{CaFile, Proxy, is_name};
use crate::config::network::Network;
use crate::config::problem::Problems;
use crate::config::settings::Secrecy;
use crate::config::store::DatabaseUrl;

/// An address to listen on.
pub(crate) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn takes(&self) -> String {
        "an IP address and a port, such as `127.0.0.1:3250` or `[::1]:3250`, or `localhost:PORT`"
            .to_owned()
    }

    fn short(&self) -> String {
        "address and port".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<SocketAddr> {
        let text = found.text().unwrap_or_default();
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .ok()
                .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => text.parse().ok(),
        };
        address.or_else(|| found.refuse(self, problems))
    }
}

/// A URL that the gateway sends the fal key to.
pub(crate) struct BaseUrl;

impl Kind for BaseUrl {
    type Value = Url;

    fn takes(&self) -> String {
        "an `https://` URL without user name, query or fragment (`http://` only to this machine)"
            .to_owned()
    }

    fn short(&self) -> String {
        "URL".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::Address
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Url> {
        let url = found.text().and_then(|text| Url::parse(text).ok());
        url.filter(|url| {
            let can_be_reached = url.port() != Some(0) && url.host().is_some_and(can_be_known);
            let encrypted = url.scheme() == "https" && can_be_reached;
            let local =
                url.scheme() == "http" && can_be_reached && url.host().is_some_and(is_this_machine);
            let bare = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            (encrypted || local) && bare
        })
        .or_else(|| found.refuse(self, problems))
    }
}

/// Whether a host is an address, or a name that a name server can know.
fn can_be_known(host: UrlHost<&str>) -> bool {
    match host {
        UrlHost::Domain(name) => is_name(name.strip_suffix('.').unwrap_or(name)),
        UrlHost::Ipv4(_) | UrlHost::Ipv6(_) => true,
    }
}

fn is_this_machine(host: UrlHost<&str>) -> bool {
    match host {
        UrlHost::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        UrlHost::Ipv4(address) => address.is_loopback(),
        UrlHost::Ipv6(address) => address.is_loopback(),
    }
}

/// The address of an HTTP proxy, or the word for the environment's.
pub(crate) struct ProxyAddress;

impl Kind for ProxyAddress {
    type Value = Proxy;

    fn takes(&self) -> String {
        "`env`, or the address of an HTTP proxy with its port, such as \
         `http://proxy.example.com:3128`, with a user and a password before the host if it asks for \
         them"
            .to_owned()
    }

    fn short(&self) -> String {
        "URL or `env`".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::Address
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Proxy> {
        let proxy = found.text().and_then(|text| match text.trim() {
            "env" => Some(Proxy::Environment),
            text => Proxy::parse(text).map(|url| Proxy::At {
                url,
                bypass: String::new(),
            }),
        });
        proxy.or_else(|| found.refuse(self, problems))
    }
}

/// The address of a database.
pub(crate) struct DatabaseAddress;

impl Kind for DatabaseAddress {
    type Value = DatabaseUrl;

    fn takes(&self) -> String {
        "the address of a PostgreSQL database, such as `postgres://user:password@db.example.com/fal_gateway`"
            .to_owned()
    }

    fn short(&self) -> String {
        "URL".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::Address
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<DatabaseUrl> {
        let url = found.text().map(str::trim).and_then(DatabaseUrl::parse);
        url.or_else(|| found.refuse(self, problems))
    }
}

/// The path of a fal app, and what the gateway writes behind it, by what is sent and how it is
/// answered.
pub(crate) struct AppPath(pub &'static [&'static str]);

impl AppPath {
    /// An application's path without what the gateway adds to it.
    fn application<'p>(&self, path: &'p str) -> &'p str {
        let mut ends = self.0.iter();
        let shorter = ends.find_map(|end| path.strip_suffix(end));
        let shorter = shorter.filter(|app| app.contains('/'));
        shorter.map_or(path, |shorter| self.application(shorter))
    }
}

impl Kind for AppPath {
    type Value = String;

    fn takes(&self) -> String {
        "the path of a fal app, such as `fal-ai/any-llm`".to_owned()
    }

    fn short(&self) -> String {
        "path".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let is_segment = |segment: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain)
        };
        let path = found
            .text()
            .filter(|path| path.contains('/') && path.split('/').all(is_segment));
        let Some(path) = path else {
            return found.refuse(self, problems);
        };
        let app = self.application(path);
        if app.len() == path.len() {
            return Some(path.to_owned());
        }
        let words = format!(
            "is \"{path}\", but the gateway itself adds what follows the application; take `{app}`"
        );
        found.refuse_because(&words, problems)
    }
}

/// A key for fal, fit to be sent in a header.
pub(crate) struct FalKey;

impl Kind for FalKey {
    type Value = SecretString;

    fn takes(&self) -> String {
        "a fal key".to_owned()
    }

    fn short(&self) -> String {
        "key".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::Secret
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<SecretString> {
        let Some(text) = found.text() else {
            return found.refuse_because("takes a fal key as text in quotes", problems);
        };
        // Editors and `echo` end files with a newline.
        let key = text.trim_end_matches(['\r', '\n']);
        if key.is_empty() {
            return found.refuse_because("is empty", problems);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let words = "contains white space, a control character or a letter beyond ASCII (the \
             value is not shown); copy the key again";
            return found.refuse_because(words, problems);
        }
        Some(SecretString::from(key))
    }
}

/// A secret of the operator's own making.
pub(crate) struct Passphrase;

impl Kind for Passphrase {
    type Value = SecretString;

    fn takes(&self) -> String {
        "a text of at least 16 characters".to_owned()
    }

    fn short(&self) -> String {
        "secret".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::Secret
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<SecretString> {
        const SHORTEST: usize = 16;
        let text = found.text().map(str::trim);
        match text.filter(|text| text.chars().count() >= SHORTEST) {
            Some(text) => Some(SecretString::from(text)),
            None => {
                let words = format!(
                    "is no secret (the value is not shown); it takes {}, such as \
                     `openssl rand -hex 16` prints",
                    self.takes()
                );
                found.refuse_because(&words, problems)
            }
        }
    }
}

/// The hash of a client key.
pub(crate) struct HashedKey;

impl Kind for HashedKey {
    type Value = KeyHash;

    fn takes(&self) -> String {
        "`sha256:` and 64 hex digits, or `NAME:sha256:` and 64 hex digits".to_owned()
    }

    fn short(&self) -> String {
        "`[NAME:]sha256:HEX`".to_owned()
    }

    fn secrecy(&self) -> Secrecy {
        Secrecy::KeyHashes
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<KeyHash> {
        found.text().and_then(KeyHash::parse).or_else(|| {
            let words = format!(
                "is not the hash of a key (the value is not shown); it takes {}, which \
                 `fal-gateway keys hash` prints for a plain key",
                self.takes()
            );
            found.refuse_because(&words, problems)
        })
    }
}

/// A path; whether there is a file is found out by whoever opens it.
pub(crate) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn takes(&self) -> String {
        "a path".to_owned()
    }

    fn short(&self) -> String {
        "file".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<PathBuf> {
        let path = found.text().filter(|path| !path.contains('\0'));
        path.map(PathBuf::from)
            .or_else(|| found.refuse(self, problems))
    }
}

/// The path of a file with certificates, which is read once all settings are.
pub(crate) struct CaPath;

impl Kind for CaPath {
    type Value = CaFile;

    fn takes(&self) -> String {
        FilePath.takes()
    }

    fn short(&self) -> String {
        FilePath.short()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<CaFile> {
        let path = FilePath.read(found, problems)?;
        Some(CaFile {
            path,
            certificates: Vec::new(),
        })
    }
}

/// The name of a model.
pub(crate) struct ModelId;

impl Kind for ModelId {
    type Value = String;

    fn takes(&self) -> String {
        "a model's name: up to 200 characters without white space".to_owned()
    }

    fn short(&self) -> String {
        "model".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER;
        let name = found
            .text()
            .filter(|name| (1..=200).contains(&name.chars().count()) && !name.contains(odd));
        name.map(str::to_owned)
            .or_else(|| found.refuse(self, problems))
    }
}

/// A host name as it stands in a `Host` header, without a port.
pub(crate) struct Host;

impl Kind for Host {
    type Value = String;

    fn takes(&self) -> String {
        "a host name without scheme or port, such as `llm.example.com`".to_owned()
    }

    fn short(&self) -> String {
        "host".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let host = found.text().and_then(|text| UrlHost::parse(text).ok());
        host.map(|host| host.to_string())
            .or_else(|| found.refuse(self, problems))
    }
}

/// An address, or a block of them.
pub(crate) struct NetworkBlock;

impl Kind for NetworkBlock {
    type Value = Network;

    fn takes(&self) -> String {
        "an IP address or a network, such as `10.0.0.7` or `10.0.0.0/8`".to_owned()
    }

    fn short(&self) -> String {
        "address or network".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<Network> {
        let network = found.text().and_then(Network::parse);
        network.or_else(|| found.refuse(self, problems))
    }
}

/// The origin of a web page, as browsers send it.
pub(crate) struct WebOrigin;

impl Kind for WebOrigin {
    type Value = String;

    fn takes(&self) -> String {
        "the origin of a web page, such as `https://chat.example.com`, or `*`".to_owned()
    }

    fn short(&self) -> String {
        "origin".to_owned()
    }

    fn read(&self, found: &Found<'_>, problems: &mut Problems) -> Option<String> {
        let text = found.text().unwrap_or_default();
        if text == "*" {
            return Some(text.to_owned());
        }
        let url = Url::parse(text).ok().filter(|url| {
            let page = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
            let login = !url.username().is_empty() || url.password().is_some();
            matches!(url.scheme(), "http" | "https") && !page && !login
        });
        url.map(|url| url.origin().ascii_serialization())
            .or_else(|| found.refuse(self, problems))
    }
}
