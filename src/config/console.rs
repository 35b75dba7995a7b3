//! The page for people.

use std::net::SocketAddr;

use super::kinds::{Address, Choice, Count, Optional, Size, Switch};
use super::settings::settings;

settings! {
    /// The console: a page for people at `/`, to try, see and understand.
    pub struct Console in "console" {
        /// Show browsers the console. It asks for the admin key; where there is none it is shown on
        /// this machine alone, and only if there are no client keys and `server.public_hosts` is empty too.
        enabled: bool, Switch, default "true", reload live;
        /// An address of its own for the console, `127.0.0.1:3253` for instance: then it is on no other.
        /// The API is served there too, for the console's own page.
        listen: Option<SocketAddr>, Optional(Address), reload restart;
        /// What is kept of the last requests: `off` for nothing, `shape` for times, lengths and
        /// members without any text. Texts are kept only for ten minutes, when somebody asks for it
        /// in the console.
        capture: Captured, Choice(Captured::WORDS), default "shape", reload live;
        /// Requests that are kept.
        keep_requests: usize, Count(1, 10_000), default "500", reload live;
        /// Memory for what is kept of them; the oldest make room.
        capture_memory: usize, Size("64KiB", "4GiB"), default "32MiB", reload live;
    }
}

/// What is kept of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured {
    Off,
    Shape,
}

impl Captured {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("shape", Self::Shape)];
}
