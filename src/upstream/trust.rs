//! Whom the gateway takes for fal, for OpenRouter or for a proxy.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use url::Url;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::config;

/// TLS towards these URLs, for HTTP/1.1: the authorities that the system trusts count, and those of
/// `fal.ca_file`. Where no URL needs any, none are read.
///
/// # Errors
/// When an authority cannot be used.
pub(super) fn tls(settings: &config::Fal, urls: &[&Url]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let file = settings.ca_file.as_ref();
    let own = file.map_or(&[][..], |file| file.certificates.as_slice());
    let builder = if urls.iter().all(|url| url.scheme() == "http") {
        builder.with_root_certificates(RootCertStore::empty())
    } else if let Ok(of_system) = Verifier::new(provider.clone()) {
        let verifier = match own {
            [] => of_system,
            own => Verifier::new_with_extra_roots(own.iter().cloned(), provider)?,
        };
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        // Slim images have no certificates of their own; Mozilla's serve there.
        let mut roots = RootCertStore::empty();
        for authority in TLS_SERVER_ROOT_CERTS.iter().chain(own) {
            roots.add(authority.clone())?;
        }
        builder.with_root_certificates(roots)
    };
    let mut tls = builder.with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
