//! PostgreSQL, which several gateways may share.
//!
//! A thread of its own drives a few connections. Each does one transaction at a time; one that is
//! lost, or does not answer within a transaction's deadline, is closed and made anew for the next.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use rustls::RootCertStore;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, IsolationLevel};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Upkeep;
use super::error::StoreError;
use super::migrations;
use super::sql::{Statements, Transaction};
use super::work::{MAX_WAITING, Mode, Work};
use crate::config;

/// How many transactions run at once.
const CONNECTIONS: usize = 4;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);

/// How long migrations may take, other programs' included.
const MIGRATE: Duration = Duration::from_secs(60);

/// How long nobody tries again after a connection has failed, so that a server that is down costs
/// each request nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// The thread of an open database. It ends when this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    queue: mpsc::Sender<Work>,
}

impl Postgres {
    /// Makes ready for connections, which are made when they are needed.
    ///
    /// # Errors
    /// When the address is none, or the system gives no thread.
    pub(super) fn open(settings: &config::Store, upkeep: Upkeep) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let server = Server::new(settings, upkeep)?;
        let gone = |error: io::Error| StoreError::Gone(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(gone)?;
        let drive = move || {
            let tasks = tokio::task::LocalSet::new();
            let waiting = Rc::new(Mutex::new(waiting));
            let server = Rc::new(server);
            for _ in 0..CONNECTIONS {
                tasks.spawn_local(serve(Rc::clone(&server), Rc::clone(&waiting)));
            }
            runtime.block_on(tasks);
        };
        let started = thread::Builder::new().name("store".to_owned()).spawn(drive);
        started.map_err(gone)?;
        Ok(Self { queue })
    }

    pub(super) fn queue(&self) -> &mpsc::Sender<Work> {
        &self.queue
    }
}

/// Whom connections are made to.
struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    /// The server ends statements of its own accord after so long.
    statement_timeout: Duration,
    /// Whether the tables are known to be those that this program knows.
    is_migrated: Cell<bool>,
    /// Until when nobody connects, and why.
    down: Cell<Option<Instant>>,
}

impl Server {
    fn new(settings: &config::Store, upkeep: Upkeep) -> Result<Self, StoreError> {
        let url = settings.url.as_ref();
        let address = url.map_or_else(String::new, config::DatabaseUrl::without_ssl_mode);
        let mut config: Config = address.parse().map_err(StoreError::from)?;
        let said = url.and_then(config::DatabaseUrl::ssl_mode);
        let is_near = config.get_hosts().iter().all(is_this_machine);
        match said.as_deref() {
            // Debian's server has TLS on this machine, with a certificate that nobody knows.
            None if is_near => config.ssl_mode(SslMode::Disable),
            Some("disable") => config.ssl_mode(SslMode::Disable),
            // The password and all that is stored go over the line.
            _ => config.ssl_mode(SslMode::Require),
        };
        config
            .connect_timeout(CONNECT)
            .application_name("fal-gateway")
            .keepalives_idle(Duration::from_secs(30));
        Ok(Self {
            config,
            tls: tls(settings.ca_file.as_ref())?,
            statement_timeout: settings.timeout,
            is_migrated: Cell::new(upkeep == Upkeep::None),
            down: Cell::new(None),
        })
    }

    /// A connection to tables that this program knows.
    async fn connect(&self) -> Result<Link, StoreError> {
        if self.down.get().is_some_and(|until| Instant::now() < until) {
            return Err(StoreError::Gone(
                "the last attempt has just failed".to_owned(),
            ));
        }
        let link = self.try_connect().await;
        let is_gone = matches!(link, Err(StoreError::Gone(_) | StoreError::Busy));
        self.down.set(is_gone.then(|| Instant::now() + PAUSE));
        link
    }

    async fn try_connect(&self) -> Result<Link, StoreError> {
        let connected = timeout(CONNECT, self.config.connect(self.tls.clone())).await;
        let late = |_| StoreError::Gone("no connection came about in time".to_owned());
        let (client, connection) = connected.map_err(late)??;
        tokio::task::spawn_local(async move {
            // What goes wrong with it is told to whoever uses it.
            let _ = connection.await;
        });
        let mut link = Link {
            client,
            statements: Statements::default(),
        };
        if !self.is_migrated.get() {
            link.limit(MIGRATE).await?;
            let migrated = timeout(MIGRATE, link.migrate()).await;
            migrated.map_err(|_| StoreError::Busy)??;
            self.is_migrated.set(true);
        }
        link.limit(self.statement_timeout).await?;
        Ok(link)
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// TLS with the public authorities, and with those that the operator trusts.
fn tls(trusted: Option<&config::CaFile>) -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = RootCertStore::empty();
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let trusted = trusted.into_iter().flat_map(|file| &file.certificates);
    roots.add_parsable_certificates(public.chain(trusted).cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A connection, and the statements it has prepared.
struct Link {
    client: Client,
    statements: Statements,
}

impl Link {
    /// Has the server end what takes longer.
    async fn limit(&self, limit: Duration) -> Result<(), StoreError> {
        let limit = limit.as_millis();
        let settings = format!(
            "set statement_timeout = {limit}; set lock_timeout = {limit}; \
             set idle_in_transaction_session_timeout = 60000"
        );
        Ok(self.client.batch_execute(&settings).await?)
    }

    async fn migrate(&mut self) -> Result<(), StoreError> {
        let open = self.client.transaction().await?;
        migrations::run(&Transaction::postgres(&open, &self.statements)).await?;
        Ok(open.commit().await?)
    }
}

/// Does what waits, as long as anybody may bring more.
async fn serve(server: Rc<Server>, waiting: Rc<Mutex<mpsc::Receiver<Work>>>) {
    let mut link = None;
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(work) = next else { return };
        if work.is_late() {
            work.fail(StoreError::Busy);
            continue;
        }
        let deadline = work.deadline;
        // Connecting has limits of its own, since what it finds out serves the next work too.
        let ready = match usable(link.take(), deadline).await {
            Some(link) => Ok(link),
            None => server.connect().await,
        };
        // A connection that is still at work after its time is closed by being dropped.
        link = match ready {
            Err(error) => {
                work.fail(error);
                None
            }
            Ok(link) if work.is_late() => {
                work.fail(StoreError::Busy);
                Some(link)
            }
            Ok(link) => timeout_at(deadline, perform(link, work))
                .await
                .ok()
                .flatten(),
        };
    }
}

/// Does one piece of work over this connection, and gives it back if it is usable still.
async fn perform(mut link: Link, work: Work) -> Option<Link> {
    let (mode, (run, done)) = (work.mode, work.into_parts());
    let outcome = async {
        let open = begin(&mut link.client, mode).await?;
        let transaction = Transaction::postgres(&open, &link.statements);
        run.perform(&transaction).await?;
        Ok::<(), StoreError>(open.commit().await?)
    }
    .await;
    let is_usable = !matches!(outcome, Err(StoreError::Gone(_))) && !link.client.is_closed();
    let _ = done.send(outcome);
    is_usable.then_some(link)
}

/// This connection if it answers in time: one that lay idle may have been lost without anybody's
/// notice.
async fn usable(link: Option<Link>, deadline: Instant) -> Option<Link> {
    let link = link.filter(|link| !link.client.is_closed())?;
    let answered = timeout_at(deadline, link.client.batch_execute("")).await;
    matches!(answered, Ok(Ok(()))).then_some(link)
}

async fn begin(
    client: &mut Client,
    mode: Mode,
) -> Result<tokio_postgres::Transaction<'_>, StoreError> {
    let open = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .read_only(mode == Mode::Read);
    Ok(open.start().await?)
}
