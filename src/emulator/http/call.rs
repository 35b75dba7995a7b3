//! A call and a reply, free of the web framework, so that the proxy can send a call through the
//! same routes a second time.

use std::fmt;

use actix_web::http::{Method, header::HeaderMap};
use bytes::Bytes;
use futures::stream::LocalBoxStream;
use serde::Serialize;

use super::record::Entry;
use crate::emulator::llm::Invalid;

/// Which of fal's hosts a call is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Host {
    /// `fal.run`
    Run,
    /// `queue.fal.run`
    Queue,
    /// `rest.fal.ai`
    Rest,
    /// `v3.fal.media`, `fal.media`
    Cdn,
    /// `api.fal.ai`
    Platform,
    /// `openrouter.ai`
    OpenRouter,
    /// The caller's own server, running fal's proxy.
    Proxy,
    /// Nobody's: our own pages.
    Emulator,
}

/// A request that has been read completely.
#[derive(Clone)]
pub(in crate::emulator) struct Call {
    pub(in crate::emulator) host: Host,
    pub(in crate::emulator) method: Method,
    /// Path on `host`, without a trailing slash.
    pub(in crate::emulator) path: String,
    pub(in crate::emulator) query: Vec<(String, String)>,
    pub(in crate::emulator) headers: HeaderMap,
    pub(in crate::emulator) body: Bytes,
    /// Our own address as the caller knows it, `http://host:port`.
    pub(in crate::emulator) origin: String,
    pub(in crate::emulator) request_id: String,
    pub(in crate::emulator) entry: Entry,
}

impl Call {
    pub(in crate::emulator) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(in crate::emulator) fn query(&self, name: &str) -> Option<&str> {
        let (_, value) = self.query.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// The path's segments.
    pub(in crate::emulator) fn segments(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect()
    }

    pub(in crate::emulator) fn content_type(&self) -> String {
        self.header("content-type")
            .unwrap_or("application/octet-stream")
            .to_owned()
    }
}

/// What a caller gets.
pub(in crate::emulator) enum Reply {
    Whole(Whole),
    Flow(Flow),
}

/// A reply that is there at once.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Whole {
    pub(in crate::emulator) status: u16,
    pub(in crate::emulator) headers: Vec<(String, String)>,
    pub(in crate::emulator) body: Bytes,
    /// Sent by the web server in front of fal, which gives no request id.
    pub(in crate::emulator) anonymous: bool,
}

/// A reply that is still being made.
pub(in crate::emulator) struct Flow {
    pub(in crate::emulator) headers: Vec<(String, String)>,
    pub(in crate::emulator) body: LocalBoxStream<'static, Result<Bytes, Cut>>,
}

/// The end of a connection that breaks off on purpose.
#[derive(Debug)]
pub(in crate::emulator) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the emulator was told to break off here")
    }
}

impl std::error::Error for Cut {}

impl Whole {
    pub(in crate::emulator) fn new(
        status: u16,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Whole {
        Whole {
            body: body.into(),
            ..Whole::empty(status)
        }
        .with("content-type", content_type)
    }

    /// A bare status.
    pub(in crate::emulator) fn empty(status: u16) -> Whole {
        Whole {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            anonymous: false,
        }
    }

    /// Compact JSON, as FastAPI writes it.
    pub(in crate::emulator) fn json(status: u16, body: &impl Serialize) -> Whole {
        let body = serde_json::to_vec(body).expect("our own types serialize");
        Whole::new(status, "application/json", body)
    }

    /// `{"detail": …}`: the shape of most of fal's errors.
    pub(in crate::emulator) fn detail(status: u16, detail: impl Serialize) -> Whole {
        #[derive(Serialize)]
        struct Body<T> {
            detail: T,
        }
        Whole::json(status, &Body { detail })
    }

    /// A 422 of the app; fal's SDK bills nothing for it.
    pub(in crate::emulator) fn invalid(errors: &[Invalid]) -> Whole {
        Whole::detail(422, errors).with("x-fal-billable-units", "0")
    }

    pub(in crate::emulator) fn with(mut self, name: &str, value: impl Into<String>) -> Whole {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl From<Whole> for Reply {
    fn from(whole: Whole) -> Reply {
        Reply::Whole(whole)
    }
}
