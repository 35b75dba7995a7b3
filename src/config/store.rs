//! Where is kept what outlives a request.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::kinds::{DatabaseAddress, FilePath, Optional, Size, Span};
use super::settings::settings;

settings! {
    /// Where is kept what outlives a request. With neither a file nor a server it is kept in
    /// memory, and is gone when the process ends.
    pub struct Store in "store" {
        /// SQLite file of one gateway, made if it is not there; relative to the working directory.
        path: Option<PathBuf>, Optional(FilePath), reload restart;
        /// Address of a PostgreSQL database, which several gateways may share. Beyond this machine
        /// TLS is asked for unless the address has `sslmode`.
        url: Option<DatabaseUrl>, Optional(DatabaseAddress), reload restart;
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
