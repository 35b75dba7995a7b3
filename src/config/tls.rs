//! The certificate that the gateway shows its clients.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Config;
use super::reader::Reader;
use super::sources::reason;

/// What TLS is spoken with on the listening side, as `server.tls_cert` and `server.tls_key` held it
/// when the settings were read.
#[derive(Clone)]
pub struct Tls(pub Arc<ServerConfig>);

/// Shows nothing of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What clients may ask for above TLS (source: RFC 7301, 6).
const PROTOCOL: &[u8] = b"http/1.1";

/// Reads the certificate and its key, if there are any.
pub(super) fn settle(config: &mut Config, reader: &mut Reader) {
    let server = &config.server;
    let (certificate, key) = match (&server.tls_cert, &server.tls_key) {
        (None, None) => return,
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            let sentence = "server.tls_cert is set without server.tls_key; set both or none.";
            return reader.contradiction("server.tls_cert", sentence);
        }
        (None, Some(_)) => {
            let sentence = "server.tls_key is set without server.tls_cert; set both or none.";
            return reader.contradiction("server.tls_key", sentence);
        }
    };
    match identity(certificate, key) {
        Ok(tls) => config.tls = Some(Tls(Arc::new(tls))),
        Err((setting, why)) => reader.contradiction(setting, format!("{setting} {why}.")),
    }
}

/// What is wrong is told with the setting that it is wrong with.
fn identity(certificate: &Path, key: &Path) -> Result<ServerConfig, (&'static str, String)> {
    let of_certificate = |why| ("server.tls_cert", why);
    let of_key = |why| ("server.tls_key", why);
    let text = read(certificate).map_err(of_certificate)?;
    let shown = certificate.display();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|_| of_certificate(format!("{shown} is not in PEM form")))?;
    if chain.is_empty() {
        let why =
            format!("{shown} holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)");
        return Err(of_certificate(why));
    }
    let text = read(key).map_err(of_key)?;
    let shown = key.display();
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        of_key(format!(
            "{shown} holds no private key in PEM form without a password (`-----BEGIN PRIVATE KEY-----`)"
        ))
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| of_certificate(format!("cannot be used: {error}")))?;
    let settings = builder.with_no_client_auth().with_single_cert(chain, key);
    let mut settings = settings.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => of_key(format!(
            "{shown} is not the key of the certificate in server.tls_cert"
        )),
        error => of_certificate(format!("cannot be used: {error}")),
    })?;
    settings.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(settings)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "{} cannot be read: {}",
            path.display(),
            reason(path, &error)
        )
    })
}
