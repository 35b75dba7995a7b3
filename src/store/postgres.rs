//! PostgreSQL, which several gateways may share.
//!
//! A thread of its own drives a few connections. Each does one transaction at a time; one that is
//! lost, or does not answer within a transaction's deadline, is closed and made anew for the next. What
//! waits is done by the first connection that is free, be it a new one or one that was at work. One of
//! them is free for what admits requests, and one makes reports at most.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use rustls::RootCertStore;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, IsolationLevel};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Upkeep;
use super::error::StoreError;
use super::migrations;
use super::sql::{Statements, Transaction};
use super::work::{Lane, MAX_WAITING, Mode, Work};
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

/// How long a gateway makes do with the connections that it has, where the server gives it no more.
const SCARCE: Duration = Duration::from_secs(10);

/// The thread of an open database. It ends when this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    admission: mpsc::Sender<Work>,
    usual: mpsc::Sender<Work>,
    reports: mpsc::Sender<Work>,
}

impl Postgres {
    /// Makes ready for connections, which are made when they are needed.
    ///
    /// # Errors
    /// When the address is none, or the system gives no thread.
    pub(super) fn open(settings: &config::Store, upkeep: Upkeep) -> Result<Self, StoreError> {
        let (admission, first) = mpsc::channel(MAX_WAITING);
        let (usual, second) = mpsc::channel(MAX_WAITING);
        let (reports, last) = mpsc::channel(MAX_WAITING);
        let waiting = Waiting {
            admission: Queue::new(first),
            usual: Queue::new(second),
            reports: Queue::new(last),
        };
        let server = Server::new(settings, upkeep)?;
        let gone = |error: io::Error| StoreError::Gone(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(gone)?;
        let drive = move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.spawn_local(drive(server, waiting));
            runtime.block_on(tasks);
        };
        let started = thread::Builder::new().name("store".to_owned()).spawn(drive);
        started.map_err(gone)?;
        Ok(Self {
            admission,
            usual,
            reports,
        })
    }

    pub(super) fn queue(&self, lane: Lane) -> &mpsc::Sender<Work> {
        match lane {
            Lane::Admission => &self.admission,
            Lane::Usual => &self.usual,
            Lane::Reports => &self.reports,
        }
    }
}

/// What waits for a connection.
struct Waiting {
    admission: Queue,
    usual: Queue,
    reports: Queue,
}

/// What waits in one lane.
struct Queue {
    /// What was begun and has no connection yet.
    begun: VecDeque<Work>,
    new: mpsc::Receiver<Work>,
}

impl Queue {
    fn new(new: mpsc::Receiver<Work>) -> Self {
        Self {
            begun: VecDeque::new(),
            new,
        }
    }

    /// The next one; none once nobody can bring more. None is lost where this is given up.
    async fn next(&mut self, lane: Lane, slots: &Slots) -> Option<Next> {
        if !slots.idle.is_empty()
            && let Some(work) = self.begun.pop_front()
        {
            return Some(Next::Begun(lane, work));
        }
        match slots.may_begin(lane) {
            true => self.new.recv().await.map(|work| Next::New(lane, work)),
            false => std::future::pending().await,
        }
    }
}

/// What is to be done next.
enum Next {
    New(Lane, Work),
    /// It has waited for a connection, and there is one.
    Begun(Lane, Work),
}

impl Waiting {
    /// What is to be done next; none once nobody can bring more.
    async fn next(&mut self, slots: &Slots) -> Option<Next> {
        tokio::select! {
            biased;
            Some(next) = self.admission.next(Lane::Admission, slots) => Some(next),
            Some(next) = self.usual.next(Lane::Usual, slots) => Some(next),
            Some(next) = self.reports.next(Lane::Reports, slots) => Some(next),
            else => None,
        }
    }

    /// Has this wait for a connection.
    fn put_back(&mut self, lane: Lane, work: Work) {
        let queue = match lane {
            Lane::Admission => &mut self.admission,
            Lane::Usual => &mut self.usual,
            Lane::Reports => &mut self.reports,
        };
        queue.begun.push_back(work);
    }

    /// How many wait for a connection.
    fn begun(&self) -> usize {
        self.admission.begun.len() + self.usual.begun.len() + self.reports.begun.len()
    }

    /// Tells all that wait for a connection that there is none.
    fn fail(&mut self, slots: &mut Slots, error: &StoreError) {
        for (lane, queue) in [
            (Lane::Admission, &mut self.admission),
            (Lane::Usual, &mut self.usual),
            (Lane::Reports, &mut self.reports),
        ] {
            for work in queue.begun.drain(..) {
                slots.end(lane);
                work.fail(error.clone());
            }
        }
    }
}

/// Which connections there are, and what they do.
struct Slots {
    idle: Vec<Link>,
    /// How many connections are being made.
    connecting: usize,
    /// How many transactions run or wait for a connection, and how many of them are no admission's,
    /// and reports.
    running: usize,
    deferrable: usize,
    reports: usize,
    /// Until when the server is not asked for more connections, and how many there are.
    scarce: Option<(Instant, usize)>,
    /// Whether it has said that it gives no more, so that this is logged once.
    is_scarce: bool,
}

impl Slots {
    const fn new() -> Self {
        Self {
            idle: Vec::new(),
            connecting: 0,
            running: 0,
            deferrable: 0,
            reports: 0,
            scarce: None,
            is_scarce: false,
        }
    }

    /// How many transactions may run.
    fn most(&self) -> usize {
        let scarce = self.scarce.filter(|(until, _)| Instant::now() < *until);
        scarce.map_or(CONNECTIONS, |(_, most)| most)
    }

    fn may_begin(&self, lane: Lane) -> bool {
        let most = self.most();
        let is_free = self.running < most;
        let may_be_deferred = self.deferrable < (most - 1).max(1);
        match lane {
            Lane::Admission => is_free,
            Lane::Usual => is_free && may_be_deferred,
            Lane::Reports => is_free && may_be_deferred && self.reports == 0,
        }
    }

    /// Whether another connection is to be made, where so many wait for one.
    fn wants_more(&self, begun: usize) -> bool {
        let at_work = self.running - begun;
        self.idle.is_empty() && self.connecting < begun && at_work + self.connecting < self.most()
    }

    /// Waits until the server may be asked for more connections again, where it is not now.
    async fn more_may_come(&self) {
        match self.scarce {
            Some((until, _)) if Instant::now() < until => sleep_until(until).await,
            _ => std::future::pending().await,
        }
    }

    fn count(&mut self, lane: Lane) {
        self.running += 1;
        self.deferrable += usize::from(lane != Lane::Admission);
        self.reports += usize::from(lane == Lane::Reports);
    }

    fn end(&mut self, lane: Lane) {
        self.running -= 1;
        self.deferrable -= usize::from(lane != Lane::Admission);
        self.reports -= usize::from(lane == Lane::Reports);
    }

    /// Lets go of connections that were lost while they lay idle. Where none is left, nobody knows how
    /// many the server gives now.
    fn forget_lost(&mut self, server: &Server) {
        self.idle.retain(|link| !link.client.is_closed());
        if server.live() == 0 {
            self.scarce = None;
        }
    }

    /// Makes do with as many connections as there are: for a while where the server has no more to
    /// give, and else until the next attempt.
    fn make_do(&mut self, live: usize, unserved: &Unserved) {
        let span = match unserved {
            Unserved::Scarce(_) => SCARCE,
            Unserved::Failed(_) => PAUSE,
        };
        self.scarce = Some((Instant::now() + span, live));
        if let Unserved::Scarce(error) = unserved
            && !std::mem::replace(&mut self.is_scarce, true)
        {
            tracing::warn!(%error, connections = live, wanted = CONNECTIONS, "the store gives no more connections: those that there are do the work");
        }
    }
}

/// What has come to an end.
enum Done {
    /// A transaction was done, or has failed; the connection, if that is usable still.
    Over(Lane, Option<Link>),
    /// It was not begun, since its connection was lost.
    Lost(Lane, Work),
    Connected(Result<Link, Unserved>),
}

/// Why there is no connection.
enum Unserved {
    /// The server has as many as it takes.
    Scarce(StoreError),
    Failed(StoreError),
}

impl From<Unserved> for StoreError {
    fn from(unserved: Unserved) -> Self {
        match unserved {
            Unserved::Scarce(error) | Unserved::Failed(error) => error,
        }
    }
}

impl From<StoreError> for Unserved {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<tokio_postgres::Error> for Unserved {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) {
            true => Self::Scarce(error.into()),
            false => Self::Failed(error.into()),
        }
    }
}

/// Does what waits, as long as anybody may bring more.
async fn drive(server: Server, mut waiting: Waiting) {
    let mut slots = Slots::new();
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Done>> = FuturesUnordered::new();
    loop {
        slots.forget_lost(&server);
        while slots.wants_more(waiting.begun()) {
            slots.connecting += 1;
            running.push(connect(&server).boxed_local());
        }
        let next = tokio::select! {
            biased;
            Some(done) = running.next() => {
                take_up(&server, &mut slots, &mut waiting, done);
                continue;
            }
            next = waiting.next(&slots) => next,
            () = slots.more_may_come() => continue,
        };
        let (lane, work) = match next {
            Some(Next::New(lane, work)) => {
                slots.count(lane);
                (lane, work)
            }
            Some(Next::Begun(lane, work)) => (lane, work),
            None => break,
        };
        match slots.idle.pop() {
            Some(link) => running.push(serve(link, lane, work).boxed_local()),
            None => waiting.put_back(lane, work),
        }
    }
    while running.next().await.is_some() {}
}

/// Takes up what has come to an end.
fn take_up(server: &Server, slots: &mut Slots, waiting: &mut Waiting, done: Done) {
    let mut unserved = None;
    match done {
        Done::Over(lane, link) => {
            slots.end(lane);
            slots.idle.extend(link);
        }
        Done::Lost(lane, work) => waiting.put_back(lane, work),
        Done::Connected(link) => {
            slots.connecting -= 1;
            match link {
                Ok(link) => slots.idle.push(link),
                Err(error) => unserved = Some(error),
            }
        }
    }
    slots.forget_lost(server);
    let live = server.live();
    if live >= CONNECTIONS {
        slots.is_scarce = false;
    }
    match unserved {
        Some(unserved) if live == 0 => waiting.fail(slots, &unserved.into()),
        Some(unserved) => slots.make_do(live, &unserved),
        None => {}
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
    /// Until when nobody connects, since it has just failed.
    down: Cell<Option<Instant>>,
    /// Had by who connects: one after the other, so that it is known how many the server has given.
    turn: Mutex<()>,
    /// Each connection has one of these.
    alive: Arc<()>,
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
            turn: Mutex::new(()),
            alive: Arc::new(()),
        })
    }

    /// How many connections there are.
    fn live(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// A connection to tables that this program knows.
    async fn connect(&self) -> Result<Link, Unserved> {
        let _turn = self.turn.lock().await;
        if self.down.get().is_some_and(|until| Instant::now() < until) {
            let error = StoreError::Gone("the last attempt has just failed".to_owned());
            return Err(error.into());
        }
        let link = self.try_connect().await;
        let is_gone = matches!(
            link,
            Err(Unserved::Scarce(_) | Unserved::Failed(StoreError::Gone(_) | StoreError::Busy))
        );
        // Where there are others, they do the work.
        let is_down = is_gone && self.live() == 0;
        self.down.set(is_down.then(|| Instant::now() + PAUSE));
        link
    }

    async fn try_connect(&self) -> Result<Link, Unserved> {
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
            _alive: Arc::clone(&self.alive),
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
    _alive: Arc<()>,
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

/// Makes a connection. It serves whatever waits when it is there.
async fn connect(server: &Server) -> Done {
    let made = AssertUnwindSafe(server.connect()).catch_unwind().await;
    let fault = |_| Err(StoreError::Failed("connecting has panicked".to_owned()).into());
    Done::Connected(made.unwrap_or_else(fault))
}

/// Does one piece of work, if this connection is usable still.
async fn serve(link: Link, lane: Lane, work: Work) -> Done {
    // A fault of ours ends no work but its own.
    let served = AssertUnwindSafe(try_serve(link, lane, work)).catch_unwind();
    served.await.unwrap_or(Done::Over(lane, None))
}

async fn try_serve(link: Link, lane: Lane, work: Work) -> Done {
    if work.is_late() {
        work.fail(StoreError::Busy);
        return Done::Over(lane, Some(link));
    }
    let deadline = work.deadline;
    let link = usable(link, deadline).await;
    if work.is_late() {
        work.fail(StoreError::Busy);
        return Done::Over(lane, link);
    }
    let Some(link) = link else {
        return Done::Lost(lane, work);
    };
    // A connection that is still at work after its time is closed by being dropped.
    let done = timeout_at(deadline, perform(link, work)).await;
    Done::Over(lane, done.ok().flatten())
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
async fn usable(link: Link, deadline: Instant) -> Option<Link> {
    if link.client.is_closed() {
        return None;
    }
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
