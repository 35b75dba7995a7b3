//! What companies put between a gateway and fal: an authority of their own, servers that are
//! certified by it, and a proxy that leads to them.

use std::io::Write;
use std::net::{SocketAddr, TcpListener as Listener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority that nobody trusts who was not told to.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(certificate.pem().as_bytes()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// The file with its certificate.
    pub(crate) fn file(&self) -> &Path {
        self.file.path()
    }

    /// A certificate for `name` and its key, in PEM form.
    pub(crate) fn certify(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A place that passes on to a server over TLS what comes in without, as long as the server is
    /// certified for `localhost` and speaks HTTP/1.1.
    pub(crate) fn opening(&self, server: SocketAddr) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.file()).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        serve(move |mut incoming| {
            let connector = connector.clone();
            async move {
                let outgoing = TcpStream::connect(server).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let Ok(mut outgoing) = connector.connect(name, outgoing).await else {
                    return;
                };
                assert_eq!(
                    outgoing.get_ref().1.alpn_protocol(),
                    Some(b"http/1.1".as_slice())
                );
                let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
            }
        })
    }

    /// A server certified for `name` that passes on to another what comes in over TLS.
    pub(crate) fn in_front_of(&self, server: SocketAddr, name: &str) -> SocketAddr {
        let (certificate, key) = self.certify(name);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        serve(move |incoming| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not like the certificate leaves.
                let Ok(mut incoming) = acceptor.accept(incoming).await else {
                    return;
                };
                let mut outgoing = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
            }
        })
    }
}

/// How a proxy treats those who want to get through.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// `user:password`, without which it lets nobody through.
    pub(crate) login: Option<&'static str>,
    /// Lets nobody through at all.
    pub(crate) refuses: bool,
}

/// An HTTP proxy that knows CONNECT and nothing else.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    pub(crate) fn start(manners: Manners) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let noting = Arc::clone(&seen);
        let address = serve(move |incoming| {
            let (manners, noting) = (manners.clone(), Arc::clone(&noting));
            async move { lead_through(incoming, &manners, &noting).await }
        });
        Self { address, seen }
    }

    /// The first line of each request so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn lead_through(mut incoming: TcpStream, manners: &Manners, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match incoming.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(line.clone());
    let shown = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then_some(value)
    });
    let wanted = manners
        .login
        .map(|login| format!("Basic {}", STANDARD.encode(login)));
    let target = line
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let refusal = match target {
        _ if wanted.is_some() && shown != wanted.as_deref() => {
            "407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"test\""
        }
        Some(_) if !manners.refuses => "",
        _ => "403 Forbidden",
    };
    if !refusal.is_empty() {
        let answer = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
        let _ = incoming.write_all(answer.as_bytes()).await;
        return;
    }
    let mut outgoing = TcpStream::connect(target.unwrap()).await.unwrap();
    incoming
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
}

/// Serves each connection on a free port of this machine, in a thread of its own.
fn serve<F: Future<Output = ()> + Send + 'static>(
    each: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((incoming, _)) = listener.accept().await {
                tokio::spawn(each(incoming));
            }
        });
    });
    address
}

/// A port on which nobody answers.
pub(crate) fn nobody() -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
