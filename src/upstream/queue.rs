//! The client of fal's queue: submit, look, fetch, cancel (source: fal docs, page "queue").
//!
//! fal names addresses for each request. They are not followed: the key goes to the configured
//! queue alone, and the addresses are made here, of the application and the request's id.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};

use super::client::{Answer, FalClient, FalKey, Post, read_start, refusal, request, text_header};
use super::error::UpstreamError;
use super::transport::{self, ANYTHING, Request, Response};
use crate::wire::fal::queue::{QueueStatus, Submitted};

/// fal's id of a request in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueId(String);

impl QueueId {
    /// An id that can stand in a path, and nothing else.
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_id = (1..=128).contains(&text.len()) && text.bytes().all(is_plain);
        is_id.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting,
    Running,
    /// There is an answer.
    Done,
    /// It has failed for good: its result tells why.
    Failed,
}

/// How long fal has for the head of an answer of its queue, all but results.
const HEAD: Duration = Duration::from_secs(30);
/// How long fal may work on a request, in seconds; after that it gives up by itself (source: fal
/// docs, page "Request headers").
const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-fal-request-timeout");
/// Has fal not work on a request a second time: it would up to ten times, and any of them may be paid
/// for (source: the same page, and fal's page "Reliability").
const NO_RETRY: HeaderName = HeaderName::from_static("x-fal-no-retry");

impl FalClient {
    /// Puts a request into the queue. fal gives up on it after `limit`.
    ///
    /// # Errors
    /// As [`call`](Self::call), but a [refusal](UpstreamError::Refused) says that the queue did not take
    /// it. After [`TimedOut`](UpstreamError::TimedOut), [`Disconnected`](UpstreamError::Disconnected) and
    /// [`UnusableHead`](UpstreamError::UnusableHead) it may be in the queue all the same.
    pub async fn submit(
        &self,
        post: Post<'_>,
        key: &FalKey,
        limit: Duration,
    ) -> Result<QueueId, UpstreamError> {
        let to = self.queue_address(&format!("{}{}", post.app, post.path))?;
        let build = || {
            let mut request = request(to.clone(), post.clone(), key);
            let seconds = HeaderValue::from(limit.as_secs().max(1));
            let headers = request.headers_mut();
            headers.insert(REQUEST_TIMEOUT, seconds);
            headers.insert(NO_RETRY, HeaderValue::from_static("1"));
            request
        };
        let response = self.send(build, HEAD).await?;
        let header = text_header(response.headers(), "x-fal-request-id");
        if leaves_open(response.status()) {
            let reason = "the queue does not tell whether it took the request";
            return Err(UpstreamError::UnusableHead(reason, header));
        }
        let response = self.refuse(response, key).await?;
        let body = read_start(response, self.idle_timeout).await;
        let named = serde_json::from_slice::<Submitted<'_>>(&body).ok();
        let id = named.and_then(|named| QueueId::new(&named.request_id));
        id.ok_or(UpstreamError::UnusableHead(
            "the queue names no request",
            header,
        ))
    }

    /// Looks how far a request has come.
    ///
    /// # Errors
    /// fal does not answer, or does not know it.
    pub async fn progress(
        &self,
        app: &str,
        id: &QueueId,
        key: &FalKey,
    ) -> Result<Progress, UpstreamError> {
        let response = self.look(Method::GET, app, id, "/status", key).await?;
        let is_done = response.status() == StatusCode::OK;
        let body = read_start(response, self.idle_timeout).await;
        let status = serde_json::from_slice::<QueueStatus<'_>>(&body);
        let has_failed = status.as_ref().is_ok_and(|status| status.error.is_some());
        match status.as_ref().map(|status| status.status.as_ref()) {
            _ if has_failed => Ok(Progress::Failed),
            Ok("COMPLETED") => Ok(Progress::Done),
            Ok("IN_PROGRESS") => Ok(Progress::Running),
            Ok("IN_QUEUE") => Ok(Progress::Waiting),
            _ if is_done => Ok(Progress::Done),
            _ => Err(UpstreamError::Unusable("the queue tells no status")),
        }
    }

    /// The whole answer to a request that is done, of at most so many bytes.
    ///
    /// # Errors
    /// The request has failed, which is a refusal, or fal does not answer. It may be asked again then.
    pub async fn result(
        &self,
        app: &str,
        id: &QueueId,
        key: &FalKey,
        max_bytes: usize,
    ) -> Result<Answer, UpstreamError> {
        let to = self.request_address(app, id, "")?;
        let build = || bare(Method::GET, to.clone(), key);
        let response = self.send(build, self.idle_timeout).await?;
        let mut answer = self.accept(response, key).await?;
        let mut body = Vec::new();
        loop {
            let next = tokio::time::timeout(self.idle_timeout, answer.next()).await;
            match next.map_err(|_| UpstreamError::TimedOut)? {
                None => return Ok(answer.of_queue(id.as_str(), body.into())),
                Some(bytes) => body.extend_from_slice(&bytes?),
            }
            if body.len() > max_bytes {
                return Err(UpstreamError::Unusable("the answer is too long"));
            }
        }
    }

    /// Asks fal to leave a request; what it makes of that is its own.
    ///
    /// # Errors
    /// fal does not answer, or the request is over or not known.
    pub async fn cancel(&self, app: &str, id: &QueueId, key: &FalKey) -> Result<(), UpstreamError> {
        self.look(Method::PUT, app, id, "/cancel", key)
            .await
            .map(drop)
    }

    async fn look(
        &self,
        method: Method,
        app: &str,
        id: &QueueId,
        action: &str,
        key: &FalKey,
    ) -> Result<Response, UpstreamError> {
        let to = self.request_address(app, id, action)?;
        let build = || bare(method.clone(), to.clone(), key);
        self.refuse(self.send(build, HEAD).await?, key).await
    }

    async fn refuse(&self, response: Response, key: &FalKey) -> Result<Response, UpstreamError> {
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response, key, self.idle_timeout).await),
        }
    }

    /// What concerns a request stands under the application's owner and name, without the path of the
    /// endpoint (source: fal docs, page "queue", and both of fal's clients).
    fn request_address(&self, app: &str, id: &QueueId, action: &str) -> Result<Uri, UpstreamError> {
        let name: Vec<&str> = app.split('/').take(2).collect();
        self.queue_address(&format!(
            "{}/requests/{}{action}",
            name.join("/"),
            id.as_str()
        ))
    }

    fn queue_address(&self, path: &str) -> Result<Uri, UpstreamError> {
        transport::address(&format!("{}/{path}", self.queue_url))
    }
}

/// Whether an answer to a request that was to be put into the queue says neither that it is there nor
/// that it is not. A server that is not ready (503) has passed nothing on; one that failed or waited too
/// long for another may have.
fn leaves_open(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE
}

fn bare(method: Method, to: Uri, key: &FalKey) -> Request {
    let mut request = transport::request(method, to, ANYTHING, Bytes::new());
    request.headers_mut().insert(AUTHORIZATION, key.header());
    request
}
