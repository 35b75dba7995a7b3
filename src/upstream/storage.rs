//! The client of fal's storage: a file goes up, an address comes back.
//!
//! Two steps: fal is asked where to put the file, which needs the fal key, and the file is put
//! there, which must not show it. What fal names is not followed blindly: files go to fal's own
//! hosts over TLS, or to the server that is configured as fal's storage, and nowhere else.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Uri};
use url::{Origin, Url};

use super::client::{FalKey, read_start, refusal, tell};
use super::error::UpstreamError;
use super::transport::{self, ANYTHING, Request, Response, Transport};
use crate::config;
use crate::wire::fal::storage::{InitiateUpload, InitiatedUpload};

/// Uploads files over the connections of one worker.
#[derive(Debug)]
pub struct Storage {
    transport: Transport,
    initiate_url: String,
    /// The server that stands for fal's storage in the settings.
    configured: Origin,
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
    pub(super) fn new(settings: &config::Fal, transport: Transport) -> Self {
        let rest_url = settings.rest_url.as_str().trim_end_matches('/');
        Self {
            transport,
            initiate_url: format!("{rest_url}/storage/upload/initiate?storage_type=fal-cdn-v3"),
            configured: settings.rest_url.origin(),
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Uploads a file and returns its address, if that is one of the configured server or
    /// `is_fetchable`.
    ///
    /// # Errors
    /// Whatever keeps the file from being stored, and addresses that are not followed or passed
    /// on. None of it costs anything.
    pub async fn upload(
        &self,
        file: Upload<'_>,
        key: &FalKey,
        is_fetchable: fn(&str) -> bool,
    ) -> Result<String, UpstreamError> {
        let place = self.initiate(&file, key).await?;
        let upload_url = self.place(&place.upload_url)?;
        if !self.is_configured(&place.file_url) && !is_fetchable(&place.file_url) {
            return Err(UpstreamError::Unusable(
                "storage names an address that fal could not fetch",
            ));
        }
        self.put(upload_url, file).await?;
        Ok(place.file_url)
    }

    async fn initiate(
        &self,
        file: &Upload<'_>,
        key: &FalKey,
    ) -> Result<InitiatedUpload, UpstreamError> {
        let to = transport::address(&self.initiate_url)?;
        let body = InitiateUpload {
            content_type: file.media_type,
            file_name: file.name,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut request = transport::request(Method::POST, to, ANYTHING, body.into());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, key.header());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.execute(request).await?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(refusal(response, key, self.idle_timeout).await);
        }
        let body = read_start(response, self.idle_timeout).await;
        serde_json::from_slice(&body)
            .map_err(|_| UpstreamError::Unusable("storage names no place for a file"))
    }

    async fn put(&self, to: Uri, file: Upload<'_>) -> Result<(), UpstreamError> {
        let media_type = HeaderValue::from_str(file.media_type)
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let mut request = transport::request(Method::PUT, to, ANYTHING, file.bytes.into());
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        match self.execute(request).await?.status().is_success() {
            true => Ok(()),
            false => Err(UpstreamError::Unusable("storage did not take a file")),
        }
    }

    async fn execute(&self, request: Request) -> Result<Response, UpstreamError> {
        self.transport.execute(request).await.map_err(tell)
    }

    /// A place that a file may be put to.
    fn place(&self, address: &str) -> Result<Uri, UpstreamError> {
        let url = Url::parse(address).ok();
        url.filter(|url| self.is_configured(address) || is_fals(url))
            .and_then(|url| transport::uri(&url))
            .ok_or(UpstreamError::Unusable(
                "storage names a place that is not fal's",
            ))
    }

    /// Whether an address is one of the configured server, written as addresses are: readers of
    /// what is left out or put in beside do not agree on it.
    fn is_configured(&self, address: &str) -> bool {
        let url = Url::parse(address).ok();
        url.is_some_and(|url| {
            let is_plain = url.as_str() == address && url.username().is_empty();
            is_plain && url.password().is_none() && url.origin() == self.configured
        })
    }
}

/// Whether a file goes to fal over TLS (source: the hosts of fal's clients).
fn is_fals(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_own = [".fal.ai", ".fal.media"]
        .iter()
        .any(|end| host.ends_with(end));
    is_own && url.scheme() == "https" && url.port().is_none()
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
            Transport::new(&settings, &[&settings.rest_url]).expect("a client"),
        )
    }

    #[test]
    fn files_go_to_fal_and_to_what_is_configured() {
        let (real, emulated) = (
            storage("https://rest.fal.ai"),
            storage("http://127.0.0.1:1/rest/"),
        );
        for url in [
            "https://v3.fal.media/files/upload?signature=1",
            "https://v3b.fal.media/x",
            "https://rest.fal.ai/storage/x",
        ] {
            assert!(
                real.place(url).is_ok() && emulated.place(url).is_ok(),
                "{url}"
            );
        }
        let own = "http://127.0.0.1:1/files/1/a.png?signature=1";
        assert!(emulated.place(own).is_ok() && real.place(own).is_err());
        for url in [
            "https://elsewhere.example/put",
            "https://evilfal.ai/put",
            "https://fal.media.example.com/put",
            "https://v3.fal.media:8443/put",
            "http://v3.fal.media/put",
            "http://127.0.0.1:2/put",
            "http://127.0.0.1/put",
            "http://localhost:1/put",
            "http://user:word@127.0.0.1:1/put",
            "http://127.0.0.1:1/put\r\nx: y",
            "file:///etc/passwd",
            "gopher://127.0.0.1:1/",
            "put",
            "",
        ] {
            let either = [real.place(url), emulated.place(url)];
            assert!(either.iter().all(Result::is_err), "{url}");
        }
        let initiate = "http://127.0.0.1:1/rest/storage/upload/initiate?storage_type=fal-cdn-v3";
        assert_eq!(emulated.initiate_url, initiate);
    }
}
