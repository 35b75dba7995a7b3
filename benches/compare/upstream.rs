//! fal, as fast as it can be: answers that are ready beforehand, written to raw sockets.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Outcome;
use crate::client::content_length;
use crate::scenario::{ALL, Scenario};

/// A running upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Where the same is answered over TLS, to those who trust the certificate in the file.
    pub(crate) tls_address: SocketAddr,
    pub(crate) certificate: NamedTempFile,
    /// Events of paced streams that have been sent.
    pub(crate) paced_events: Rc<Cell<u64>>,
}

struct Prepared {
    scenario: Scenario,
    /// What is written at once: head and body, or the head and the events of a stream.
    pieces: Vec<Vec<u8>>,
}

type Answers = Rc<HashMap<&'static str, Prepared>>;

/// Listens on free ports of the loopback.
pub(crate) async fn start() -> Outcome<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let tls_listener = TcpListener::bind("127.0.0.1:0").await?;
    let tls_address = tls_listener.local_addr()?;
    let (acceptor, certificate) = certified()?;
    let paced_events = Rc::new(Cell::new(0));
    let answers: Answers = Rc::new(
        ALL.map(|scenario| (scenario.name, prepare(scenario)))
            .into(),
    );
    let (counter, tls_answers) = (paced_events.clone(), answers.clone());
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            // A peer that closes is no error here.
            tokio::task::spawn_local(serve(stream, answers.clone(), counter.clone()));
        }
    });
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = tls_listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (acceptor, answers) = (acceptor.clone(), tls_answers.clone());
            tokio::task::spawn_local(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                serve(stream, answers, Rc::default()).await
            });
        }
    });
    Ok(Upstream {
        address,
        tls_address,
        certificate,
        paced_events,
    })
}

/// What opens TLS as `localhost`, and the certificate that vouches for it.
fn certified() -> Outcome<(TlsAcceptor, NamedTempFile)> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names)?.self_signed(&key)?;
    let mut file = NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, certificate.pem().as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der())?,
        )?;
    Ok((TlsAcceptor::from(Arc::new(config)), file))
}

fn prepare(scenario: Scenario) -> Prepared {
    let head = |rest: &str| {
        format!("HTTP/1.1 200 OK\r\nx-fal-request-id: 01a2019d\r\n{rest}\r\n\r\n").into_bytes()
    };
    if !scenario.is_stream() {
        let body = scenario.whole_body();
        let head = head(&format!(
            "content-type: application/json\r\ncontent-length: {}",
            body.len()
        ));
        return Prepared {
            scenario,
            pieces: vec![[head, body.into_bytes()].concat()],
        };
    }
    let head = head("content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked");
    let end = b"0\r\n\r\n".to_vec();
    let chunks = scenario.chunks();
    let pieces = match scenario.pause_ms {
        0 => vec![[head, chunks.concat(), end].concat()],
        _ => std::iter::once(head).chain(chunks).chain([end]).collect(),
    };
    Prepared { scenario, pieces }
}

async fn serve<S>(mut stream: S, answers: Answers, paced: Rc<Cell<u64>>) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !is_complete(&request) {
            if stream.read_buf(&mut request).await.ok()? == 0 {
                return None;
            }
        }
        let asked = Scenario::asked_for(&String::from_utf8_lossy(&request))?;
        let answer = answers.get(asked.name)?;
        for (number, piece) in answer.pieces.iter().enumerate() {
            if number > 1 && answer.scenario.pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(answer.scenario.pause_ms)).await;
            }
            stream.write_all(piece).await.ok()?;
            stream.flush().await.ok()?;
            if number > 0 {
                paced.set(paced.get() + 1);
            }
        }
    }
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(request, b"\r\n\r\n") else {
        return false;
    };
    request.len() >= end + 4 + content_length(&request[..end]).unwrap_or(0)
}
