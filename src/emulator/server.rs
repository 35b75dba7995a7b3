//! The running emulator: its socket, its shared state, its end.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    web::{self, Data, PayloadConfig},
};
use tokio::sync::watch;

use super::{
    client,
    http::{auth::Keys, front, record::Recorder},
    options::Options,
    queue::Queue,
    relay::Relay,
    storage::Files,
};

/// Largest request body, which a data URI or an upload may need.
const MAX_BODY_BYTES: usize = 64 << 20;

/// What all workers share.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) keys: Keys,
    pub(super) recorder: Arc<Recorder>,
    pub(super) in_progress: Arc<AtomicUsize>,
    pub(super) queue: Queue,
    pub(super) files: Files,
    pub(super) relay: Option<Relay>,
    pub(super) client: reqwest::Client,
}

/// An emulator that has its port but does not answer yet.
pub struct Emulator {
    addr: SocketAddr,
    server: Server,
}

/// A running emulator.
#[derive(Clone)]
pub struct Running {
    url: String,
    handle: ServerHandle,
    finished: watch::Receiver<bool>,
}

impl Emulator {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or the relay's client cannot be built.
    pub fn bind(options: Options) -> io::Result<Emulator> {
        let client = client::build().map_err(io::Error::other)?;
        let listen = options.listen.clone();
        let workers = options.workers.max(1);
        let state = Data::new(State {
            keys: Keys::new(options.key.clone()),
            recorder: Arc::new(Recorder::new()),
            in_progress: Arc::default(),
            queue: Queue::default(),
            files: Files::default(),
            relay: Relay::new(&options, client.clone()),
            client,
            options,
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(PayloadConfig::new(MAX_BODY_BYTES))
                .default_service(web::to(front::serve))
        })
        .workers(workers)
        .tcp_nodelay(true)
        // A caller that shuts its side down is gone: its call ends at once.
        .h1_allow_half_closed(false)
        .keep_alive(Duration::from_secs(75))
        // A caller on a busy machine is not refused before anybody has read what he wants.
        .client_request_timeout(Duration::from_secs(60))
        .disable_signals()
        .shutdown_timeout(1)
        .bind(listen)?;
        let addr = server
            .addrs()
            .first()
            .copied()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Emulator {
            addr,
            server: server.run(),
        })
    }

    /// The address, with the port that was really taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL, such as `http://127.0.0.1:3251`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Starts to answer. Needs a tokio runtime or an actix system around it.
    pub fn start(self) -> Running {
        let url = self.url();
        let handle = self.server.handle();
        let (tell, finished) = watch::channel(false);
        tokio::spawn(async move {
            // An accept loop that fails and one that was stopped are both the end.
            let _ = self.server.await;
            tell.send_replace(true);
        });
        Running {
            url,
            handle,
            finished,
        }
    }
}

impl Running {
    /// The base URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Stops at once, dropping whatever is in progress.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
        self.finished().await;
    }

    /// Waits until the emulator has stopped.
    pub async fn finished(&self) {
        let mut finished = self.finished.clone();
        // The sender goes only after the end, so an error means the same.
        let _ = finished.wait_for(|finished| *finished).await;
    }
}
