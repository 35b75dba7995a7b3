//! What anybody may read: fal's list of endpoints, and OpenRouter's list of models. And what an
//! admin key of fal's may read: the balance.
//!
//! Nobody is shown a key who does not ask for one; OpenRouter least of all.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyDataStream;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use url::Url;

use super::client::FalKey;
use super::error::UpstreamError;
use super::transport::{self, Request, Transport};
use crate::config;

/// Reads public lists.
#[derive(Clone, Debug)]
pub struct PublicClient {
    transport: Transport,
    platform_url: Url,
    openrouter_url: Url,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Page {
    /// The balance in dollars that a page of billing tells.
    pub fn balance(&self) -> Option<f64> {
        let answer: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let credits = answer.get("credits").filter(|_| self.status == 200)?;
        let in_dollars = credits
            .get("currency")
            .is_none_or(|currency| currency == "USD");
        credits
            .get("current_balance")?
            .as_f64()
            .filter(|_| in_dollars)
    }
}

/// OpenRouter's list has half a megabyte.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// All that one list may take.
const TIMEOUT: Duration = Duration::from_secs(30);

impl PublicClient {
    /// A client that goes the way of the settings to fal.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(fal: &config::Fal, models: &config::Models) -> Result<Self, rustls::Error> {
        let urls = [&fal.platform_url, &models.openrouter_url];
        Ok(Self {
            transport: Transport::new(fal, &urls)?,
            platform_url: fal.platform_url.clone(),
            openrouter_url: models.openrouter_url.clone(),
        })
    }

    /// OpenRouter's list of models.
    ///
    /// # Errors
    /// When it does not come, or is too long.
    pub async fn openrouter_models(&self) -> Result<Page, UpstreamError> {
        self.get(&self.openrouter_url, "/models", None).await
    }

    /// What fal says of one of its applications, with the description of what it takes.
    ///
    /// # Errors
    /// When it does not come, or is too long.
    pub async fn endpoint(&self, app: &str) -> Result<Page, UpstreamError> {
        let path = format!("/models?endpoint_id={app}&expand=openapi-3.0");
        self.get(&self.platform_url, &path, None).await
    }

    /// What is left of the account's money, which fal tells an admin key alone.
    ///
    /// # Errors
    /// When it does not come, or is too long.
    pub async fn billing(&self, admin: &FalKey) -> Result<Page, UpstreamError> {
        let path = "/account/billing?expand=credits";
        self.get(&self.platform_url, path, Some(admin)).await
    }

    async fn get(
        &self,
        base: &Url,
        path: &str,
        key: Option<&FalKey>,
    ) -> Result<Page, UpstreamError> {
        let to = format!("{}{path}", base.as_str().trim_end_matches('/'));
        let json = HeaderValue::from_static("application/json");
        let to = transport::address(&to)?;
        let mut request = transport::request(Method::GET, to, json, Bytes::new());
        if let Some(key) = key {
            request.headers_mut().insert(AUTHORIZATION, key.header());
        }
        tokio::time::timeout(TIMEOUT, self.read(request))
            .await
            .unwrap_or(Err(UpstreamError::TimedOut))
    }

    async fn read(&self, request: Request) -> Result<Page, UpstreamError> {
        let response = self.transport.execute(request).await?;
        let kind = response.headers().get(CONTENT_TYPE);
        if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json")) {
            return Err(UpstreamError::Unusable("body is no JSON"));
        }
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut stream = BodyDataStream::new(response.into_body());
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|_| UpstreamError::Disconnected)?;
            if body.len().saturating_add(bytes.len()) > MAX_BODY {
                return Err(UpstreamError::Unusable("body is too long"));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(Page { status, body })
    }
}
