//! What can be seen of the gateway from outside.

use std::net::SocketAddr;

use super::kinds::{Address, Choice, Optional, Switch};
use super::settings::settings;

settings! {
    /// What is logged. Prompts, answers and keys never are.
    pub struct Log in "log" {
        /// Least important messages still logged.
        level: LogLevel, Choice(LogLevel::WORDS), default "info", flag "--log-level", reload restart;
        /// Form of the log: `text` for people, `json` for machines, `auto` for text on a terminal
        /// and JSON elsewhere.
        format: LogFormat, Choice(LogFormat::WORDS), default "auto", flag "--log-format", reload restart;
    }
}

settings! {
    /// Prometheus metrics.
    pub struct Metrics in "metrics" {
        /// Offer `/metrics`.
        enabled: bool, Switch, default "true", reload restart;
        /// Address of its own for `/metrics`; unset serves it where the API is.
        listen: Option<SocketAddr>, Optional(Address), reload restart;
    }
}

/// The least important messages still logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

impl LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("json", Self::Json),
    ];
}
