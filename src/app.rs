//! The service as a whole: built from its settings, run, and brought to an orderly end.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::ThinData;
use actix_web::{App, HttpServer};

use crate::api;
use crate::api::gateway::{BuildError, Gateway, Worker};
use crate::api::scope;
use crate::config::Config;
use crate::upstream::FalClient;

/// A gateway that is bound to its address.
pub struct Application {
    gateway: Arc<Gateway>,
    address: SocketAddr,
    server: Server,
    metrics_server: Option<(Server, SocketAddr)>,
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
pub struct Stopper {
    gateway: Arc<Gateway>,
    servers: Vec<ServerHandle>,
}

/// How long streams have, once they are told to end, to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Application {
    /// Binds the address and gets everything ready; nothing is served yet.
    ///
    /// # Errors
    /// When the settings cannot be put to use or an address is taken.
    pub fn build(config: Config) -> Result<Self, StartError> {
        let gateway = Arc::new(Gateway::new(config)?);
        // Made once here so that a failure is an error of the start; each worker makes its own.
        FalClient::new(&gateway.config.fal).map_err(BuildError::from)?;
        let listen = gateway.config.server.listen;
        let bind_error = |address| move |source| StartError::Bind { address, source };
        let (server, address) = serve(&gateway, listen).map_err(bind_error(listen))?;
        let metrics_server = match gateway
            .config
            .metrics
            .listen
            .filter(|_| gateway.config.metrics.enabled)
        {
            None => None,
            Some(listen) => Some(serve_metrics(&gateway, listen).map_err(bind_error(listen))?),
        };
        Ok(Self {
            gateway,
            address,
            server,
            metrics_server,
        })
    }

    /// The address that clients connect to; with port 0 in the settings, the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the listener for metrics, if they have one of their own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_server.as_ref().map(|(_, address)| *address)
    }

    /// The settings in use.
    pub fn config(&self) -> &Config {
        &self.gateway.config
    }

    /// A way to end the application while it runs.
    pub fn stopper(&self) -> Stopper {
        let metrics = self.metrics_server.as_ref().map(|(server, _)| server);
        let servers = std::iter::once(&self.server)
            .chain(metrics)
            .map(Server::handle)
            .collect();
        Stopper {
            gateway: self.gateway.clone(),
            servers,
        }
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self) -> io::Result<()> {
        match self.metrics_server {
            None => self.server.await,
            Some((metrics, _)) => futures::future::try_join(self.server, metrics)
                .await
                .map(drop),
        }
    }
}

impl Stopper {
    /// Ends the application in order: no new requests, running ones finish within the drain limit,
    /// what still runs then is told to end.
    pub async fn stop(&self) {
        let stopping = &self.gateway.stopping;
        stopping.announced.cancel();
        let drain = self.gateway.config.server.drain_timeout;
        if tokio::time::timeout(drain, self.gateway.until_idle())
            .await
            .is_err()
        {
            stopping.enforced.cancel();
            let _ = tokio::time::timeout(LAST_WORDS, self.gateway.until_idle()).await;
        }
        for server in &self.servers {
            server.stop(true).await;
        }
    }
}

fn serve(gateway: &Arc<Gateway>, listen: SocketAddr) -> io::Result<(Server, SocketAddr)> {
    let settings = gateway.config.server.clone();
    let shared = gateway.clone();
    let app = move || {
        let origins = &shared.config.server.cors_origins;
        App::new()
            .app_data(ThinData(worker(&shared)))
            .wrap(Condition::new(!origins.is_empty(), cors(origins)))
            .wrap(from_fn(scope::enter))
            .configure(api::routes)
    };
    let write_timeout = settings.write_timeout;
    let mut server = HttpServer::new(app)
        .on_connect(move |connection, _: &mut Extensions| limit_writes(connection, write_timeout))
        // A client that closes its sending side is gone: its call to fal is dropped at once.
        .h1_allow_half_closed(false)
        // Each event is a small write; Nagle's algorithm would hold it back.
        .tcp_nodelay(true)
        .client_request_timeout(settings.header_timeout)
        .keep_alive(settings.keep_alive)
        .shutdown_timeout(LAST_WORDS.as_secs())
        .disable_signals();
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    let connections = settings
        .max_connections
        .unwrap_or_else(affordable_connections);
    // The framework counts for each worker by itself.
    let workers = settings.workers.unwrap_or_else(default_workers);
    server = server.max_connections(connections.div_ceil(workers).max(1));
    let server = server.bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), address))
}

/// What one worker thread serves with: the common gateway and connections to fal of its own.
#[expect(
    clippy::expect_used,
    reason = "before the start, and the same client was made there"
)]
fn worker(gateway: &Arc<Gateway>) -> Worker {
    let fal =
        FalClient::new(&gateway.config.fal).expect("the same client was made before the start");
    Worker {
        gateway: gateway.clone(),
        fal: Rc::new(fal),
    }
}

/// Connections that leave half of the process's file descriptors to its calls to fal. Where the
/// system does not tell the limit, a customary one is assumed.
fn affordable_connections() -> usize {
    const MOST: usize = 10_000;
    const CUSTOMARY: usize = 1024;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|values| values.split_whitespace().next());
    let descriptors = match soft {
        Some("unlimited") => usize::MAX,
        Some(number) => number.parse().unwrap_or(CUSTOMARY),
        None => CUSTOMARY,
    };
    (descriptors / 2).clamp(1, MOST)
}

fn serve_metrics(gateway: &Arc<Gateway>, listen: SocketAddr) -> io::Result<(Server, SocketAddr)> {
    let shared = gateway.clone();
    let app = move || {
        App::new()
            .app_data(ThinData(worker(&shared)))
            .wrap(from_fn(scope::enter))
            .configure(api::metrics_routes)
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), address))
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
    cors.allowed_methods(["GET", "POST"])
        .allow_any_header()
        .expose_any_header()
        .max_age(3600)
}

/// Has the kernel end a connection whose client stops reading: what was sent and is not taken
/// within the limit closes it, which ends the answer and the call to fal. Nothing has to be
/// watched in here for that.
fn limit_writes(connection: &dyn Any, limit: Duration) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limit));
        #[cfg(not(target_os = "linux"))]
        let _ = (stream, limit);
    }
}
