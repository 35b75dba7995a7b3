//! The service as a whole: built from its settings, run, and brought to an orderly end.

mod balance;
mod refresh;
mod reload;
mod roster;
mod sweep;

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix_cors::Cors;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, boxed, fn_service, map_config,
};
use actix_web::App;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServerHandle, ServiceResponse};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::ThinData;
use socket2::{Domain, Socket, Type};

use crate::access::{Holder, Shares};
use crate::accounts::{self, Keeper, LedgerWriter, Retention, rates};
use crate::api;
use crate::api::address;
use crate::api::background;
use crate::api::connection::{Guarded, Wire};
use crate::api::gateway::{BuildError, Gateway, Worker};
use crate::api::scope;
use crate::api::snapshot::Snapshot;
use crate::config::{self, Config, Tls};
use crate::store::Database;
use crate::upstream::FalClient;

pub use reload::{Reloader, Source};

/// A gateway that is bound to its address.
pub struct Application {
    gateway: Arc<Gateway>,
    address: SocketAddr,
    server: Server,
    /// The listeners beside it.
    others: Vec<Other>,
}

/// A listener beside that of the API.
struct Other {
    purpose: Purpose,
    server: Server,
    address: SocketAddr,
}

/// What a listener beside that of the API is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Metrics,
    Console,
    Admin,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot listen on {address}: {source}")]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
}

/// Ends a running application from elsewhere.
#[derive(Clone)]
pub struct ShutdownHandle {
    gateway: Arc<Gateway>,
    servers: Vec<ServerHandle>,
}

/// How long streams have, once they are told to end, to say so.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stop waits for the books of the budgets: for what is just being told, and for what is
/// given back after it.
const BOOKS_TIMEOUT: Duration = Duration::from_millis(4500);

impl Application {
    /// Binds the address and gets everything ready; nothing is served yet.
    ///
    /// # Errors
    /// When the settings cannot be put to use or an address is taken.
    pub fn build(config: Config) -> Result<Self, StartError> {
        let gateway = Arc::new(Gateway::new(config)?);
        // Made once here so that a failure is an error of the start; each worker makes its own.
        let config = &gateway.snapshot().config;
        FalClient::new(&config.fal).map_err(BuildError::from)?;
        let connections = connections(&config.server);
        let listen = config.server.listen;
        let bind_error = |address| move |source| StartError::Bind { address, source };
        let console = config.console.listen.filter(|_| config.console.enabled);
        let (server, address) =
            serve(&gateway, listen, connections, console.is_none()).map_err(bind_error(listen))?;
        let mut others = Vec::new();
        if let Some(listen) = config.metrics.listen.filter(|_| config.metrics.enabled) {
            let served = serve_metrics(&gateway, listen, connections);
            let (server, address) = served.map_err(bind_error(listen))?;
            others.push(Other {
                purpose: Purpose::Metrics,
                server,
                address,
            });
        }
        if let Some(listen) = console {
            let served = serve(&gateway, listen, connections, true);
            let (server, address) = served.map_err(bind_error(listen))?;
            others.push(Other {
                purpose: Purpose::Console,
                server,
                address,
            });
        }
        others.extend(serve_operators(&gateway, connections)?);
        Ok(Self {
            gateway,
            address,
            server,
            others,
        })
    }

    /// The address that clients connect to; with port 0 in the settings, the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the listener for metrics, if they have one of their own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.address_for(Purpose::Metrics)
    }

    /// The address of the listener for the console, if it has one of its own.
    pub fn console_address(&self) -> Option<SocketAddr> {
        self.address_for(Purpose::Console)
    }

    /// The address of the listener for operators, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.address_for(Purpose::Admin)
    }

    fn address_for(&self, purpose: Purpose) -> Option<SocketAddr> {
        let mut others = self.others.iter();
        let other = others.find(|other| other.purpose == purpose)?;
        Some(other.address)
    }

    /// The settings in use.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.gateway.snapshot()
    }

    /// What outlives requests.
    pub fn store(&self) -> &Database {
        self.gateway.store()
    }

    /// A way to end the application while it runs.
    pub fn stopper(&self) -> ShutdownHandle {
        let others = self.others.iter().map(|other| &other.server);
        let servers = std::iter::once(&self.server)
            .chain(others)
            .map(Server::handle)
            .collect();
        ShutdownHandle {
            gateway: self.gateway.clone(),
            servers,
        }
    }

    /// A way to have the settings read again while the application runs.
    ///
    /// # Errors
    /// When the system gives no thread for it.
    pub fn reloader(&self, source: Source) -> io::Result<Reloader> {
        Reloader::start(self.gateway.clone(), source)
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self) -> io::Result<()> {
        actix_web::rt::spawn(sweep::keep_up(Arc::clone(&self.gateway)));
        actix_web::rt::spawn(refresh::keep_up(Arc::clone(&self.gateway)));
        actix_web::rt::spawn(roster::keep_up(Arc::clone(&self.gateway)));
        actix_web::rt::spawn(keep_books(Arc::clone(&self.gateway)));
        actix_web::rt::spawn(keep_ledger_short(Arc::clone(&self.gateway)));
        actix_web::rt::spawn(background::keep_up(worker(&self.gateway, false)));
        actix_web::rt::spawn(balance::keep_up(self.gateway));
        let others = self.others.into_iter().map(|other| other.server);
        let servers = std::iter::once(self.server).chain(others);
        futures::future::try_join_all(servers).await.map(drop)
    }
}

impl ShutdownHandle {
    /// Ends the application in order: no new requests, running ones finish within the drain limit,
    /// what still runs then is told to end.
    pub async fn stop(&self) {
        let stopping = self.gateway.stopping();
        stopping.announced.cancel();
        self.gateway.set_reader(None);
        let drain = self.gateway.snapshot().config.server.drain_timeout;
        let done = futures::future::join(self.gateway.until_idle(), self.gateway.jobs.until_idle());
        if tokio::time::timeout(drain, done).await.is_err() {
            stopping.enforced.cancel();
            let handed_back = background::hand_back(&self.gateway, CLOSING_TIMEOUT);
            let idle = tokio::time::timeout(CLOSING_TIMEOUT, self.gateway.until_idle());
            let _ = futures::future::join(handed_back, idle).await;
        }
        stopping.spent.cancel();
        let _ = tokio::time::timeout(BOOKS_TIMEOUT, stopping.settled.cancelled()).await;
        for server in &self.servers {
            server.stop(true).await;
        }
    }
}

/// Keeps the books of the budgets and the ledger, until nothing is spent any more.
async fn keep_books(gateway: Arc<Gateway>) {
    let store = gateway.store();
    let (purses, id) = (Arc::clone(gateway.purses()), Arc::clone(&gateway.id));
    let stopping = gateway.stopping();
    let alerts = gateway.metrics().budget_alerts.clone();
    let keeper = Keeper::new(purses, store.clone(), Arc::clone(&id)).counting(alerts);
    let keeps_books = keeper.keep(stopping.spent.clone());
    let keeps_rates = rates::keep(
        gateway.limiters(),
        store,
        Arc::clone(&id),
        || gateway.since.elapsed(),
        stopping.spent.clone(),
    );
    let books = futures::future::join(keeps_books, keeps_rates);
    if gateway.calls().is_on() {
        let (calls, metrics) = (Arc::clone(gateway.calls()), Arc::clone(gateway.metrics()));
        let writer = LedgerWriter::new(calls, store.clone(), metrics, id);
        futures::join!(books, writer.write(stopping.spent.clone()));
    } else {
        books.await;
    }
    stopping.settled.cancel();
}

/// Deletes what is too old in the ledger and in the record of changes. Where none is written now, one may have been before.
async fn keep_ledger_short(gateway: Arc<Gateway>) {
    if gateway.store().is_in_memory() {
        return;
    }
    let store = gateway.store().clone();
    let stop = gateway.stopping().announced.clone();
    let retention = || {
        let settings = &gateway.snapshot().config.ledger;
        Retention {
            rows: settings.keep_rows,
            sums: settings.keep_sums,
            changes: settings.keep_changes,
        }
    };
    accounts::keep_ledger_short(store, retention, stop).await;
}

/// A listener for the API, with the console or without it.
fn serve(
    gateway: &Arc<Gateway>,
    listen: SocketAddr,
    connections: usize,
    has_console: bool,
) -> io::Result<(Server, SocketAddr)> {
    let configured = gateway.snapshot().config.server.workers;
    let shared = gateway.clone();
    let app = move || {
        let origins = &shared.snapshot().config.server.cors_origins;
        App::new()
            .app_data(ThinData(worker(&shared, has_console)))
            .wrap(Condition::new(!origins.is_empty(), cors(origins)))
            .wrap(from_fn(scope::enter))
            .configure(api::routes)
    };
    let workers = configured.unwrap_or_else(default_workers);
    let builder = Server::build()
        .workers(workers)
        // The framework counts for each worker by itself.
        .max_concurrent_connections(connections.div_ceil(workers).max(1));
    listener(builder, gateway, listen, connections, app)
}

/// A listener on this address for so many connections, each of whose workers serves an app of its own. The framework's own
/// listener does the same, but over bare sockets.
fn listener<I, S, B>(
    builder: ServerBuilder,
    gateway: &Arc<Gateway>,
    listen: SocketAddr,
    connections: usize,
    app: impl Fn() -> I + Send + Clone + 'static,
) -> io::Result<(Server, SocketAddr)>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
        > + 'static,
    S::InitError: Debug,
    B: MessageBody + 'static,
{
    let listener = bind(listen)?;
    let address = listener.local_addr()?;
    let gateway = gateway.clone();
    let snapshot = gateway.snapshot();
    let configured = snapshot.config.server.max_connections_per_address;
    let per_address = configured.unwrap_or(connections.div_ceil(4));
    let seats = Shares::new(usize::MAX, per_address);
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let stopping = stopping.clone();
        let settings = &snapshot.config.server;
        let app = app().into_factory().map_err(|error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // A client that closes its sending side is gone: its call to fal is dropped at once.
            .h1_allow_half_closed(false)
            .client_request_timeout(settings.header_timeout)
            .client_disconnect_timeout(CLOSING_TIMEOUT)
            .keep_alive(settings.keep_alive)
            .on_connect_ext(|socket: &Guarded, data| socket.introduce(data))
            .h1(map_config(app, |()| AppConfig::default()));
        let (gateway, seats) = (gateway.clone(), seats.clone());
        let accept = move |stream| accept(stream, gateway.clone(), seats.clone());
        // In a box, since the framework has room for it twice.
        boxed::factory(fn_service(accept).and_then(http))
    };
    let server = builder
        .disable_signals()
        .shutdown_timeout(CLOSING_TIMEOUT.as_secs())
        .listen("http", listener, service)?;
    Ok((server.run(), address))
}

/// Listens, with room for a crowd that comes all at once.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    const WAITING: i32 = 1024;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this would allow a second program on the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}

/// Prepares a client's connection. Where TLS is spoken, it has the time of a head to open it.
///
/// # Errors
/// The client does not open TLS, or not in time; there is nobody to tell then.
async fn accept(
    stream: TcpStream,
    gateway: Arc<Gateway>,
    seats: Arc<Shares>,
) -> Result<(Guarded, Option<SocketAddr>), DispatchError> {
    let snapshot = gateway.snapshot();
    let settings = &snapshot.config.server;
    let peer = stream.peer_addr().ok();
    // Each event is a small write; Nagle's algorithm would hold it back.
    let _ = stream.set_nodelay(true);
    limit_writes(&stream, settings.write_timeout);
    let metrics = gateway.metrics().clone();
    let seat = Shares::take(&seats, &holder(peer, settings));
    if seat.is_none() {
        warn_of_a_crowd(peer);
    }
    let timeout = settings.header_timeout;
    let wire = match snapshot.config.tls.as_ref().filter(|_| seat.is_some()) {
        // In a box, or every connection would keep the room for it until its end.
        Some(Tls(tls)) => Box::pin(Wire::secure(stream, Arc::clone(tls), timeout)).await?,
        None => Wire::Plain(stream),
    };
    Ok((Guarded::new(wire, timeout, seat, metrics), peer))
}

/// Says once where the limit of connections by address is met, since that may be a proxy of the
/// operator's.
fn warn_of_a_crowd(peer: Option<SocketAddr>) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            client = peer.map(|peer| tracing::field::display(peer.ip())),
            "a client address has as many connections as it may, and further ones are closed: raise server.max_connections_per_address, or name it in server.trusted_proxies if it is a proxy"
        );
    });
}

/// Whom a connection is counted for: its address, unless that is a proxy's, or this machine's and
/// nothing was said of it.
fn holder(peer: Option<SocketAddr>, settings: &config::Server) -> Vec<Holder> {
    let is_counted = |address: &IpAddr| {
        let is_proxy = settings
            .trusted_proxies
            .iter()
            .any(|proxy| proxy.contains(*address));
        let is_here = address.is_loopback() && settings.max_connections_per_address.is_none();
        !is_proxy && !is_here
    };
    let address = peer.map(|peer| peer.ip().to_canonical()).filter(is_counted);
    let holder = address.map(|address| Holder::Address(address::block(address)));
    holder.into_iter().collect()
}

/// What one worker thread serves with: the common gateway and connections to fal of its own.
#[expect(
    clippy::expect_used,
    reason = "before the start, and the same client was made there"
)]
fn worker(gateway: &Arc<Gateway>, has_console: bool) -> Worker {
    let fal = FalClient::new(&gateway.snapshot().config.fal);
    let fal = fal.expect("the same client was made before the start");
    Worker {
        gateway: gateway.clone(),
        fal: Rc::new(fal),
        has_console,
    }
}

/// How many connections are taken: as many as configured, or as the process can afford.
fn connections(settings: &config::Server) -> usize {
    const MAX: usize = 10_000;
    let affordable = descriptors() / 2;
    let Some(configured) = settings.max_connections else {
        return affordable.clamp(1, MAX);
    };
    if configured > affordable {
        tracing::warn!(
            "server.max_connections is {configured}, but the process may open {} files and calls to fal need half of them: raise its limit (ulimit -n) or lower the setting",
            descriptors()
        );
    }
    configured
}

/// How many files the process may have open. Where the system does not tell, a customary number.
fn descriptors() -> usize {
    const CUSTOMARY: usize = 1024;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|values| values.split_whitespace().next());
    match soft {
        Some("unlimited") => usize::MAX,
        Some(number) => number.parse().unwrap_or(CUSTOMARY),
        None => CUSTOMARY,
    }
}

fn serve_metrics(
    gateway: &Arc<Gateway>,
    listen: SocketAddr,
    connections: usize,
) -> io::Result<(Server, SocketAddr)> {
    let shared = gateway.clone();
    let app = move || {
        App::new()
            .app_data(ThinData(worker(&shared, false)))
            .wrap(from_fn(scope::enter))
            .configure(api::metrics_routes)
    };
    let builder = Server::build().workers(1);
    listener(builder, gateway, listen, connections, app)
}

/// A listener for operators, where there is to be one. Where nobody has named its address and the
/// usual one is taken, as by a second gateway on the machine, there is none.
fn serve_operators(
    gateway: &Arc<Gateway>,
    connections: usize,
) -> Result<Option<Other>, StartError> {
    let Some((listen, is_named)) = gateway.snapshot().config.admin_listen() else {
        return Ok(None);
    };
    let shared = gateway.clone();
    let app = move || {
        App::new()
            .app_data(ThinData(worker(&shared, false)))
            .wrap(from_fn(scope::enter))
            .configure(api::admin::routes)
    };
    let builder = Server::build().workers(1);
    match listener(builder, gateway, listen, connections, app) {
        Ok((server, address)) => Ok(Some(Other {
            purpose: Purpose::Admin,
            server,
            address,
        })),
        Err(error) if !is_named => {
            tracing::warn!(%error, "operators are not served: {listen} is not free; name another address in admin.listen");
            Ok(None)
        }
        Err(source) => Err(StartError::Bind {
            address: listen,
            source,
        }),
    }
}

/// As many as the framework starts when nothing is said.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets the pages of these origins call the gateway from a browser.
fn cors(origins: &[String]) -> Cors {
    let cors = match origins.iter().any(|origin| origin == "*") {
        true => Cors::default().allow_any_origin(),
        false => origins
            .iter()
            .fold(Cors::default(), |cors, origin| cors.allowed_origin(origin)),
    };
    cors.allowed_methods(["GET", "POST", "DELETE"])
        .allow_any_header()
        .expose_any_header()
        .max_age(3600)
}

/// Has the kernel end a connection whose client stops reading: what was sent and is not taken
/// within the limit closes it, which ends the answer and the call to fal. Nothing has to be
/// watched in here for that.
fn limit_writes(stream: &TcpStream, limit: Duration) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limit));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, limit);
}
