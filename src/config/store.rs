//! Where is kept what outlives a request.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::egress::CaFile;
use super::kinds::{CaPath, DatabaseAddress, FilePath, Optional, Size, Span};
use super::settings::settings;

settings! {
    /// Where is kept what outlives a request. With neither a file nor a server it is kept in
    /// memory, and is gone when the process ends.
    pub struct Store in "store" {
        /// SQLite file of one gateway, made if it is not there; relative to the working directory.
        path: Option<PathBuf>, Optional(FilePath), reload restart;
        /// Address of a PostgreSQL database, which several gateways may share. Beyond this machine
        /// its line has TLS with a certificate that is checked, unless it says `sslmode=disable`.
        url: Option<DatabaseUrl>, Optional(DatabaseAddress), reload restart;
        /// File with certificates in PEM form, in which the authority of the PostgreSQL server is
        /// trusted besides the public ones; relative to the working directory.
        ca_file: Option<CaFile>, Optional(CaPath), reload restart;
        /// The most that is kept of responses; the oldest conversations make room, and one owner has
        /// half of it at most. Unset, it is 256MiB in memory and 4GiB elsewhere.
        max_bytes: Option<usize>, Optional(Size("64KiB", "16TiB")), reload restart;
        /// How long a request waits for the store.
        timeout: Duration, Span("50ms", "1m"), default "2s", reload restart;
    }
}

impl Store {
    /// The most that is kept of responses, in bytes.
    pub fn most_bytes(&self) -> usize {
        const MEMORY: usize = 256 << 20;
        const DISK: usize = 4 << 30;
        let is_in_memory = self.path.is_none() && self.url.is_none();
        let otherwise = if is_in_memory { MEMORY } else { DISK };
        self.max_bytes.unwrap_or(otherwise)
    }
}

/// The address of a PostgreSQL database, with the password if it has one.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        matches!(url.scheme(), "postgres" | "postgresql").then(|| Self(text.to_owned()))
    }

    /// All of it.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// What it says as `sslmode` (source: libpq's connection parameters).
    pub fn ssl_mode(&self) -> Option<String> {
        self.parameter("sslmode")
    }

    /// All of it but `sslmode`.
    #[cfg(feature = "postgres")]
    pub fn without_ssl_mode(&self) -> String {
        let (address, parameters) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let is_other = |part: &&str| !part.starts_with("sslmode=") && !part.is_empty();
        let others: Vec<_> = parameters.split('&').filter(is_other).collect();
        match others.is_empty() {
            true => address.to_owned(),
            false => format!("{address}?{}", others.join("&")),
        }
    }

    /// Why the line to this database would not be what the address seems to say, and what to say
    /// instead.
    pub(super) fn misunderstanding(&self) -> Option<String> {
        for name in ["sslrootcert", "sslcert", "sslkey", "sslcrl"] {
            if self.parameter(name).is_some() {
                let cure = match name {
                    "sslrootcert" => "name that file in store.ca_file instead",
                    _ => "take it out; the user is known by a password here",
                };
                return Some(format!(
                    "names `{name}`, which is not read from an address; {cure}"
                ));
            }
        }
        match self.ssl_mode()?.as_str() {
            "disable" | "require" | "verify-ca" | "verify-full" => None,
            "allow" | "prefer" => Some(
                "has an `sslmode` that goes on without TLS where somebody on the way says that the \
                 server has none; say `verify-full`, or `disable` on a network that is yours alone"
                    .to_owned(),
            ),
            _ => Some(
                "has an `sslmode` that is none of `disable`, `require`, `verify-ca` and \
                 `verify-full` (certificates are checked in full for the last three)"
                    .to_owned(),
            ),
        }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(&self.0).ok()?;
        let mut pairs = url.query_pairs();
        let (_, value) = pairs.find(|(found, _)| found == name)?;
        Some(value.into_owned())
    }

    /// Server and database, without user and password.
    pub fn shown(&self) -> String {
        let Ok(url) = url::Url::parse(&self.0) else {
            return String::new();
        };
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        format!("{}://{host}{port}{}", url.scheme(), url.path())
    }
}

/// Shows neither the user nor the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
