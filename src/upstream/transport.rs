//! The connections to fal: made directly or through a proxy, kept for a while, and their faults told
//! apart by whether a byte had been sent.

use std::error::Error;
use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use hyper::rt::{Executor, Read, ReadBufCursor, Write};
use hyper::{Method, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{self, Client};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioTimer;
use rustls::ClientConfig;
use tower_service::Service;
use url::Url;

use super::error::UpstreamError;
use super::obstacle::Obstacle;
use super::trust;
use crate::config;

/// What is sent; its body is there as a whole.
pub(super) type Request = hyper::Request<Full<Bytes>>;
/// The head of what comes back; its body comes as it comes.
pub(super) type Response = hyper::Response<Incoming>;

/// Drives connections among the tasks of this thread that answer requests. Apart from them, what comes
/// from fal would have to wait for the system to be asked for more before it goes on to the client.
#[derive(Clone, Copy, Debug)]
struct Beside;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Beside {
    fn execute(&self, driven: F) {
        tokio::task::spawn_local(driven);
    }
}

/// Sends requests over connections that it makes and keeps. Clones share them. It can be used where
/// tasks of one thread run, which is wherever the framework runs.
///
/// No redirects (the key goes to one host), and HTTP/1.1: one HTTP/2 connection would queue streams
/// behind its limit. A request goes out once more only when the kept connection that it was given had
/// been closed before a byte of it was sent.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client<Connector, Full<Bytes>>,
}

impl Transport {
    /// For these URLs.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(settings: &config::Fal, urls: &[&Url]) -> Result<Self, rustls::Error> {
        let client = Client::builder(Beside)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.pool_idle)
            .build(Connector::new(settings, trust::tls(settings, urls)?));
        Ok(Self { client })
    }

    /// Sends a request and waits for the head of what comes back.
    ///
    /// # Errors
    /// Whatever keeps it from coming.
    pub(super) async fn execute(&self, request: Request) -> Result<Response, UpstreamError> {
        let response = self.client.request(request).await;
        response.map_err(|error| classify(&error))
    }
}

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("fal-gateway/", env!("CARGO_PKG_VERSION")));
/// For requests whose answers have one form only.
pub(super) const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
/// So many headers has a request at most, with those that are added on the way.
const HEADERS: usize = 10;

/// A request with the headers that all of them have.
pub(super) fn request(method: Method, to: Uri, accept: HeaderValue, body: Bytes) -> Request {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = to;
    let headers = request.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, accept);
    request
}

/// An address that something can be sent to.
///
/// # Errors
/// When it is none.
pub(super) fn address(text: &str) -> Result<Uri, UpstreamError> {
    let url = Url::parse(text).ok();
    url.as_ref()
        .and_then(uri)
        .ok_or(UpstreamError::Unreachable(Obstacle::Address))
}

/// The same as the client takes it.
pub(super) fn uri(url: &Url) -> Option<Uri> {
    Uri::try_from(url.as_str()).ok()
}

/// Tells apart what happened before and after a byte was sent.
fn classify(error: &legacy::Error) -> UpstreamError {
    let causes = || {
        iter::successors(error.source(), |cause: &&(dyn Error + 'static)| {
            (*cause).source()
        })
    };
    if error.is_connect() {
        return match causes().any(is_timeout) {
            true => UpstreamError::ConnectTimedOut,
            false => UpstreamError::Unreachable(Obstacle::of(error)),
        };
    }
    let mut faults = causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>());
    match faults.any(hyper::Error::is_parse) {
        true => UpstreamError::Unusable("response is not HTTP"),
        false => UpstreamError::Disconnected,
    }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// A connection, whatever it goes through.
trait Stream: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> Stream for S {}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

fn boxed<S: Stream + 'static>(stream: MaybeHttpsStream<S>) -> Box<dyn Stream> {
    match stream {
        MaybeHttpsStream::Http(plain) => Box::new(Listening(plain)),
        MaybeHttpsStream::Https(tls) => Box::new(Listening(tls)),
    }
}

/// A connection that is read to its end also where the other side takes nothing more: whoever refuses
/// a request for its head answers, leaves the rest unread, and so resets the connection. The client
/// would give up at the failed write, with the answer unread. What is written after that is lost, which
/// the end of what is read tells.
struct Listening<S>(S);

impl<S: Stream> Read for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: Stream> Write for Listening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(context, bytes);
        written.map(|written| or_when_closed(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write_vectored(context, slices);
        written.map(|written| {
            let all = slices.iter().map(|slice| slice.len()).sum();
            or_when_closed(written, all)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.0).poll_flush(context);
        flushed.map(|flushed| or_when_closed(flushed, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// What came of writing, or this where the other side takes nothing more.
fn or_when_closed<T>(written: io::Result<T>, instead: T) -> io::Result<T> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(instead),
        _ => Err(error),
    })
}

/// A connection without traffic is looked at after this time and then again and again, and is given up
/// when nothing answers to that so many times.
const PROBED_AFTER: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// So long may what was sent stay without an acknowledgement of the other side's system.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Name look-up and TCP, and TLS where the address asks for it.
type Direct = HttpsConnector<HttpConnector>;
type BoxError = Box<dyn Error + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
struct Connector {
    direct: Direct,
    proxy: Option<Proxy>,
    /// Of all that it takes to connect.
    limit: Duration,
}

/// The proxy for what goes out over TLS. Anything else stays on this machine, and would show the
/// key to the proxy.
#[derive(Clone)]
struct Proxy {
    /// Where it is, its user and password, and what is reached without it.
    rules: Arc<Matcher>,
    to_proxy: Direct,
    /// For what goes through it.
    tls: Arc<ClientConfig>,
}

impl Connector {
    fn new(settings: &config::Fal, tls: ClientConfig) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(settings.connect_timeout));
        http.set_keepalive(Some(PROBED_AFTER));
        http.set_keepalive_interval(Some(PROBED_AFTER));
        http.set_keepalive_retries(Some(PROBES));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let tls = Arc::new(tls);
        Self {
            proxy: Proxy::new(settings, &http, &tls),
            direct: Direct::from((http, tls)),
            limit: settings.connect_timeout,
        }
    }

    async fn connect(mut self, to: Uri) -> Result<Box<dyn Stream>, BoxError> {
        match self.proxy.and_then(|proxy| proxy.tunnel(&to)) {
            Some(mut tunnel) => tunnel.call(to).await.map(boxed),
            None => self.direct.call(to).await.map(boxed),
        }
    }
}

impl Proxy {
    fn new(settings: &config::Fal, http: &HttpConnector, tls: &Arc<ClientConfig>) -> Option<Self> {
        let Some(config::Proxy::At { url, bypass }) = &settings.proxy else {
            return None;
        };
        let rules = Matcher::builder().https(url.as_str()).no(bypass.as_str());
        // What is spoken with the proxy before it lets anything through is no HTTP of ours.
        let mut to_proxy = ClientConfig::clone(tls);
        to_proxy.alpn_protocols.clear();
        Some(Self {
            rules: Arc::new(rules.build()),
            to_proxy: Direct::from((http.clone(), to_proxy)),
            tls: tls.clone(),
        })
    }

    /// The way through the proxy, for what does not go past it.
    fn tunnel(self, to: &Uri) -> Option<HttpsConnector<Tunnel<Direct>>> {
        let proxy = self.rules.intercept(to)?;
        let agent = HeaderMap::from_iter([(USER_AGENT, AGENT)]);
        let tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy).with_headers(agent);
        let tunnel = match proxy.basic_auth() {
            Some(login) => tunnel.with_auth(login.clone()),
            None => tunnel,
        };
        Some(HttpsConnector::from((tunnel, self.tls)))
    }
}

impl Service<Uri> for Connector {
    type Response = Box<dyn Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.clone().connect(to));
        Box::pin(async {
            let connected = connecting.await;
            connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}
