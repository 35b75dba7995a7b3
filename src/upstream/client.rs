//! The client of fal's direct endpoints, `run` and `stream`.

use std::cell::RefCell;
use std::future::Ready;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::Either;
use futures::stream::Once;
use futures::{Stream, StreamExt};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};

use super::error::UpstreamError;
use super::refusal::{Refusal, RefusalKind};
use super::said::said;
use super::storage::Storage;
use super::transport::{self, Request, Response, Transport};
use crate::config;

/// Calls fal over connections of its own. Each worker thread has one, so that a connection is
/// driven by the thread that uses it.
#[derive(Debug)]
pub struct FalClient {
    pub(super) transport: Transport,
    storage: Storage,
    /// fal's URL without a slash at its end.
    url: String,
    /// What is asked again and again, so that it is read once.
    addresses: RefCell<Vec<Address>>,
    /// The same of fal's queue.
    pub(super) queue_url: String,
    connect_attempts: usize,
    pub(super) idle_timeout: Duration,
}

/// Where an application's path is.
#[derive(Debug)]
struct Address {
    app: String,
    path: String,
    uri: Uri,
}

/// So many addresses are remembered: the applications that are set up have fewer.
const MAX_ADDRESSES: usize = 64;

/// A fal key as a header value that no log shows.
#[derive(Clone, Debug)]
pub struct FalKey {
    header: HeaderValue,
    print: FalKeyPrint,
}

impl FalKey {
    /// `None` when the key holds characters that no header can carry.
    pub fn new(key: &SecretString) -> Option<Self> {
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let mut header = HeaderValue::from_str(&format!("Key {}", key.expose_secret())).ok()?;
        header.set_sensitive(true);
        let print = FalKeyPrint(STATE.hash_one(header.as_bytes()));
        Some(Self { header, print })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The key itself, to be kept out of what is shown.
    pub(super) fn secret(&self) -> &str {
        let text = self.header.to_str().unwrap_or_default();
        text.strip_prefix("Key ").unwrap_or(text)
    }

    /// The key itself, where a keyed hash of it is made.
    pub fn expose_secret(&self) -> &str {
        self.secret()
    }

    /// Something that tells keys apart and cannot be turned back into one. It differs from process
    /// to process.
    pub fn print(&self) -> FalKeyPrint {
        self.print
    }
}

/// What a fal key is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FalKeyPrint(u64);

/// What is sent to fal.
#[derive(Clone, Debug)]
pub struct Post<'p> {
    /// The application's path, such as `fal-ai/any-llm`.
    pub app: &'p str,
    /// What follows it: ``, or `/stream`, `/vision`, ...
    pub path: &'p str,
    /// Whether the answer is asked for as a stream.
    pub is_stream: bool,
    /// Whether fal may keep the input and the answer.
    pub may_be_kept: bool,
    /// The JSON of the application's input.
    pub input: Bytes,
}

/// fal's answer: its head has been read and is fine, its body comes as it comes.
pub struct Answer {
    /// `x-fal-request-id`.
    pub request_id: Option<String>,
    /// Whether the body is server-sent events rather than one JSON object.
    pub is_event_stream: bool,
    body: Body,
}

/// A body that comes as it comes, or one that has been read.
type Body = Either<BodyDataStream<Incoming>, Once<Ready<hyper::Result<Bytes>>>>;

impl Answer {
    /// The same answer, whose body has been read, to the request of this id.
    pub(super) fn of_queue(self, request_id: &str, body: Bytes) -> Self {
        let body = futures::stream::once(std::future::ready(Ok(body)));
        Self {
            request_id: Some(request_id.to_owned()),
            body: Either::Right(body),
            ..self
        }
    }
}

impl Stream for Answer {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body
            .poll_next_unpin(context)
            .map_err(|_| UpstreamError::Disconnected)
    }
}

/// How much of a body that is no answer is read.
const MAX_SHORT_BODY: usize = 64 * 1024;

impl FalClient {
    /// A client for the configured fal.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: &config::Fal) -> Result<Self, rustls::Error> {
        let urls = [&settings.url, &settings.queue_url, &settings.rest_url];
        let transport = Transport::new(settings, &urls)?;
        Ok(Self {
            queue_url: settings.queue_url.as_str().trim_end_matches('/').to_owned(),
            storage: Storage::new(settings, transport.clone()),
            transport,
            url: settings.url.as_str().trim_end_matches('/').to_owned(),
            addresses: RefCell::default(),
            connect_attempts: settings.connect_attempts.max(1),
            idle_timeout: settings.idle_timeout,
        })
    }

    /// fal's storage, over the same connections.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Sends one request and waits for the head of the answer, at most `first_byte`.
    ///
    /// # Errors
    /// Whatever keeps the answer from coming; nothing is repeated once a byte has been sent.
    pub async fn call(
        &self,
        post: Post<'_>,
        key: &FalKey,
        first_byte: Duration,
    ) -> Result<Answer, UpstreamError> {
        let to = self.uri_of(&post)?;
        let build = || request(to.clone(), post.clone(), key);
        let response = self.send(build, first_byte).await?;
        self.accept(response, key).await
    }

    /// Sends a request and waits for the head of what comes back; tried again only while nothing
    /// has been sent.
    pub(super) async fn send(
        &self,
        build: impl Fn() -> Request,
        limit: Duration,
    ) -> Result<Response, UpstreamError> {
        let mut attempt = 1;
        loop {
            match tokio::time::timeout(limit, self.transport.execute(build())).await {
                Ok(Ok(response)) => return Ok(response),
                Err(_) => return Err(UpstreamError::TimedOut),
                Ok(Err(UpstreamError::Unreachable(_))) if attempt < self.connect_attempts => {
                    attempt = attempt.saturating_add(1);
                }
                Ok(Err(error)) => return Err(tell(error)),
            }
        }
    }

    /// Where something is sent to.
    ///
    /// # Errors
    /// When the settings and the application make no address together.
    pub(super) fn uri_of(&self, post: &Post<'_>) -> Result<Uri, UpstreamError> {
        let mut addresses = self.addresses.borrow_mut();
        let is_it = |known: &&Address| known.app == post.app && known.path == post.path;
        if let Some(known) = addresses.iter().find(is_it) {
            return Ok(known.uri.clone());
        }
        let uri = transport::address(&format!("{}/{}{}", self.url, post.app, post.path))?;
        // Applications change with the settings.
        if addresses.len() >= MAX_ADDRESSES {
            addresses.clear();
        }
        addresses.push(Address {
            app: post.app.to_owned(),
            path: post.path.to_owned(),
            uri: uri.clone(),
        });
        Ok(uri)
    }

    /// Looks at the head of a response and decides how its body is to be read.
    pub(super) async fn accept(
        &self,
        response: Response,
        key: &FalKey,
    ) -> Result<Answer, UpstreamError> {
        let request_id = text_header(response.headers(), "x-fal-request-id");
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(refusal(response, key, self.idle_timeout).await);
        }
        if status != StatusCode::OK {
            let reason = "status is neither 200 nor an error";
            return Err(UpstreamError::UnusableHead(reason, request_id));
        }
        if is_compressed(response.headers()) {
            let reason = "body is compressed";
            return Err(UpstreamError::UnusableHead(reason, request_id));
        }
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let is_event_stream = is_of_type(content_type, b"text/event-stream");
        if !is_event_stream
            && !content_type.is_empty()
            && !is_of_type(content_type, b"application/json")
        {
            let reason = "body is neither JSON nor an event stream";
            return Err(UpstreamError::UnusableHead(reason, request_id));
        }
        Ok(Answer {
            request_id,
            is_event_stream,
            body: Either::Left(BodyDataStream::new(response.into_body())),
        })
    }
}

/// Whether a body is coded in any way; `identity` is none (source: RFC 9110, 12.5.3).
fn is_compressed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether a content type begins with this one, in which case means nothing (source: RFC 9110, 8.3.1).
fn is_of_type(content_type: &[u8], wanted: &[u8]) -> bool {
    let beginning = content_type.get(..wanted.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(wanted))
}

/// What an answer says whose status is an error.
pub(super) async fn refusal(
    response: Response,
    key: &FalKey,
    idle_timeout: Duration,
) -> UpstreamError {
    let request_id = text_header(response.headers(), "x-fal-request-id");
    let status = response.status().as_u16();
    let retry_after_s = text_header(response.headers(), RETRY_AFTER.as_str())
        .and_then(|text| text.trim().parse().ok())
        .filter(|seconds| *seconds <= 3600);
    let body = read_start(response, idle_timeout).await;
    UpstreamError::Refused(Box::new(Refusal {
        status,
        kind: RefusalKind::of(status, &body),
        said: said(&body, key.secret()),
        retry_after_s,
        request_id,
    }))
}

/// The beginning of a body that should be short: what has come within the limit is enough.
pub(super) async fn read_start(response: Response, limit: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let mut stream = BodyDataStream::new(response.into_body());
    let reading = async {
        while let Some(Ok(bytes)) = stream.next().await {
            let room = MAX_SHORT_BODY.saturating_sub(body.len());
            body.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
            if body.len() >= MAX_SHORT_BODY {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(limit, reading).await;
    body
}

/// Without it fal keeps inputs and answers for 30 days (source: fal's page "Data Retention & Storage").
const STORE_IO: HeaderName = HeaderName::from_static("x-fal-store-io");

pub(super) fn request(to: Uri, post: Post<'_>, key: &FalKey) -> Request {
    let accept = HeaderValue::from_static(match post.is_stream {
        true => "text/event-stream",
        false => "application/json",
    });
    let mut request = transport::request(Method::POST, to, accept, post.input);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, key.header());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !post.may_be_kept {
        headers.insert(STORE_IO, HeaderValue::from_static("0"));
    }
    request
}

/// Has the log say why there is no connection: the operator can do something about most reasons, and
/// callers are not told.
pub(super) fn tell(error: UpstreamError) -> UpstreamError {
    if let UpstreamError::Unreachable(_) | UpstreamError::ConnectTimedOut = error {
        tracing::warn!("{error}");
    }
    error
}

pub(super) fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= 256).then(|| value.to_owned())
}
