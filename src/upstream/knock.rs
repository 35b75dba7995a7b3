//! Asking an application for nothing: what it says to that costs nothing, and tells whether the way,
//! the key and the application are fine.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::DATE;

use super::client::{FalClient, FalKey, Post, read_start, request, text_header};
use super::error::UpstreamError;
use super::refusal::RefusalKind;
use super::said::said;

/// What an application says to an input with nothing in it.
#[derive(Clone, Debug)]
pub struct Knock {
    pub status: u16,
    /// What the refusal is about; fal refuses such an input before it looks at anything else of it.
    pub kind: RefusalKind,
    /// fal's own words.
    pub said: Option<String>,
    /// When fal says it is (RFC 9110, section 6.6.1).
    pub date: Option<String>,
    /// Whether what came is JSON, as everything of fal's is.
    pub is_json: bool,
}

impl FalClient {
    /// Sends an application an input with nothing in it.
    ///
    /// # Errors
    /// When nothing comes back within `limit`.
    pub async fn knock(
        &self,
        app: &str,
        key: &FalKey,
        limit: Duration,
    ) -> Result<Knock, UpstreamError> {
        let post = Post {
            app,
            path: "",
            is_stream: false,
            may_be_kept: false,
            input: Bytes::from_static(b"{}"),
        };
        let to = self.uri_of(&post)?;
        let asked = self.transport.execute(request(to, post, key));
        let asked = tokio::time::timeout(limit, asked).await;
        let response = asked.map_err(|_| UpstreamError::TimedOut)??;
        let status = response.status().as_u16();
        let date = text_header(response.headers(), DATE.as_str());
        let body = read_start(response, limit).await;
        Ok(Knock {
            status,
            kind: RefusalKind::of(status, &body),
            said: said(&body, key.secret()),
            date,
            is_json: serde_json::from_slice::<serde_json::Value>(&body).is_ok(),
        })
    }
}
