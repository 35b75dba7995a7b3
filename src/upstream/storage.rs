//! The client of fal's storage: a file goes up, an address comes back.
//!
//! Two steps: fal is asked where to put the file, which needs the fal key, and the file is put
//! there, which must not show it: the place may belong to somebody else. It is fal who names the
//! place, so it is followed wherever it leads, but only over TLS unless fal itself is spoken to
//! without it.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};

use super::client::{FalKey, classify, read_start, refusal};
use super::error::UpstreamError;
use crate::config;
use crate::wire::fal::storage::{InitiateUpload, InitiatedUpload};

/// Uploads files over the connections of one worker.
#[derive(Debug)]
pub struct Storage {
    http: Client,
    initiate_url: String,
    allows_http: bool,
    idle_timeout: Duration,
}

/// A file to be uploaded.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    pub media_type: &'a str,
    /// The name under which fal keeps it.
    pub name: &'a str,
    pub bytes: Vec<u8>,
}

impl Storage {
    pub(super) fn new(settings: &config::Fal, http: Client) -> Self {
        let rest_url = settings.rest_url.as_str().trim_end_matches('/');
        Self {
            http,
            initiate_url: format!("{rest_url}/storage/upload/initiate?storage_type=fal-cdn-v3"),
            allows_http: settings.rest_url.scheme() == "http",
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Uploads a file and returns its address.
    ///
    /// # Errors
    /// Whatever keeps the file from being stored. None of it costs anything.
    pub async fn upload(&self, file: Upload<'_>, key: &FalKey) -> Result<String, UpstreamError> {
        let place = self.initiate(&file, key).await?;
        let upload_url = self.trusted(&place.upload_url)?;
        self.trusted(&place.file_url)?;
        self.put(upload_url, file).await?;
        Ok(place.file_url)
    }

    async fn initiate(
        &self,
        file: &Upload<'_>,
        key: &FalKey,
    ) -> Result<InitiatedUpload, UpstreamError> {
        let url = Url::parse(&self.initiate_url).map_err(|_| UpstreamError::Unreachable)?;
        let body = InitiateUpload {
            content_type: file.media_type,
            file_name: file.name,
        };
        let mut request = Request::new(Method::POST, url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, key.header());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(serde_json::to_vec(&body).unwrap_or_default().into());
        let response = self.execute(request).await?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(refusal(response, self.idle_timeout).await);
        }
        let body = read_start(response, self.idle_timeout).await;
        serde_json::from_slice(&body)
            .map_err(|_| UpstreamError::Unusable("storage names no place for a file"))
    }

    async fn put(&self, url: Url, file: Upload<'_>) -> Result<(), UpstreamError> {
        let mut request = Request::new(Method::PUT, url);
        let media_type = HeaderValue::from_str(file.media_type)
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        *request.body_mut() = Some(file.bytes.into());
        match self.execute(request).await?.status().is_success() {
            true => Ok(()),
            false => Err(UpstreamError::Unusable("storage did not take a file")),
        }
    }

    async fn execute(&self, request: Request) -> Result<Response, UpstreamError> {
        let response = self.http.execute(request).await;
        response.map_err(|error| classify(&error))
    }

    fn trusted(&self, url: &str) -> Result<Url, UpstreamError> {
        match Url::parse(url) {
            Ok(url) if url.scheme() == "https" => Ok(url),
            Ok(url) if url.scheme() == "http" && self.allows_http => Ok(url),
            _ => Err(UpstreamError::Unusable(
                "storage names an address without TLS",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn storage(rest_url: &str) -> Storage {
        let config = Config::load(&Sources::default()).expect("the defaults are fine");
        let settings = config::Fal {
            rest_url: Url::parse(rest_url).expect("a URL"),
            ..config.fal
        };
        Storage::new(
            &settings,
            crate::upstream::client::build_http(&settings).expect("a client"),
        )
    }

    #[test]
    fn a_place_without_tls_is_followed_only_from_a_fal_without_tls() {
        let (real, emulated) = (
            storage("https://rest.fal.ai"),
            storage("http://127.0.0.1:1/rest/"),
        );
        assert!(
            real.trusted("https://elsewhere.example/put?signature=1")
                .is_ok()
        );
        assert!(real.trusted("http://127.0.0.1/put").is_err());
        assert!(emulated.trusted("http://127.0.0.1/put").is_ok());
        for url in ["file:///etc/passwd", "ftp://example.com/", "put", ""] {
            assert!(
                real.trusted(url).is_err() && emulated.trusted(url).is_err(),
                "{url}"
            );
        }
        let initiate = "http://127.0.0.1:1/rest/storage/upload/initiate?storage_type=fal-cdn-v3";
        assert_eq!(emulated.initiate_url, initiate);
    }
}
