//! What all requests share while the service runs: connections, counters, places. The settings are
//! apart from it, in a [`Snapshot`] that can be replaced.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::auth::Caller;
use super::background::jobs::Jobs;
use super::console::Door;
use super::repeated::PaidFailures;
use super::snapshot::{Lasting, Snapshot};
use crate::access::roster::{Changes, LastChange, News};
use crate::access::{Failures, Filed, Holder, KnownKeys, Limiters, Purses, Roster, Seat, Shares};
use crate::config::{self, Captured, Config};
use crate::console::sessions::Sessions;
use crate::observe::calls::CallQueue;
use crate::observe::metrics::Metrics;
use crate::observe::trace::Level;
use crate::store::responses::Responses;
use crate::store::{Database, StoreError};
use crate::translate::model::PublicLists;
use crate::upstream::FalClient;

/// The gateway's state, one for the process.
#[derive(Debug)]
pub struct Gateway {
    /// What requests that begin now are served by.
    snapshot: RwLock<Arc<Snapshot>>,
    /// Tells this process from all others on the same store, earlier ones included.
    pub id: Arc<str>,
    /// Held while another snapshot is made out of what there is.
    replacing: Mutex<()>,
    lasting: Lasting,
    /// How far the keys of the store are known.
    known: watch::Sender<Known>,
    /// Who reads the settings again.
    reader: Mutex<Option<mpsc::Sender<ReloadOrder>>>,
    /// What was said to contradict the file.
    contradictions: Mutex<HashSet<String>>,
    /// How files of other gateways differ, in sentences.
    differing: Mutex<Vec<String>>,
    /// Told when somebody has changed them here.
    keys_changed: Notify,
    /// When the limits' time began.
    pub since: Instant,
    /// Wrong keys, by the address that showed them.
    pub failures: Failures,
    /// Failures that may have been paid for, of the last minute.
    pub paid_failures: PaidFailures,
    /// Callers' fal keys that fal has accepted.
    pub known_keys: KnownKeys,
    /// Who has opened the console.
    pub sessions: Sessions,
    /// Responses that are made in the background.
    pub jobs: Arc<Jobs>,
    /// Requests whose body does not come at once.
    awaiting: Arc<Shares>,
    /// Requests that are served under keys which fal has not accepted yet.
    newcomers: Arc<Shares>,
    inflight: AtomicUsize,
    /// Bytes of large request bodies that are held.
    held: AtomicUsize,
    /// Told when the last request that was being served is done.
    idle: Notify,
}

/// What came of reading the settings again: their number, and what needs a restart; or why the old
/// ones hold.
pub type ReloadOutcome = Result<(u64, Vec<&'static str>), String>;

/// The order to read the settings again, and who wants to know what came of it.
pub type ReloadOrder = Option<oneshot::Sender<ReloadOutcome>>;

/// How far the keys of the store are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The store is being asked for the first time.
    Awaited,
    /// It was asked in vain.
    Not,
    /// It was asked at this time.
    Since(Instant),
}

/// The moments of a shutdown.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// No new requests from here on.
    pub announced: CancellationToken,
    /// Answers that are still running are ended.
    pub enforced: CancellationToken,
    /// Nothing is spent any more.
    pub spent: CancellationToken,
    /// What was in hand of budgets has been given back, as far as that was possible.
    pub settled: CancellationToken,
}

/// Why a gateway cannot be built from settings that are fine by themselves.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("fal.key holds characters that no HTTP header can carry")]
    FalKey,
    #[error("{0}")]
    Contradiction(String),
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("the system gives no random numbers")]
    Random,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot set up TLS towards fal")]
    Tls(#[from] rustls::Error),
}

/// The state of one worker thread: the shared part, and connections to fal of its own.
#[derive(Clone, Debug)]
pub struct Worker {
    pub gateway: Arc<Gateway>,
    pub fal: Rc<FalClient>,
    /// Whether the console is shown on its listener.
    pub has_console: bool,
}

/// A place among the requests being served; given back when it is dropped.
#[derive(Debug)]
pub struct InFlightPermit {
    gateway: Arc<Gateway>,
    _seat: Option<Seat>,
}

/// Memory that a request's body takes up; given back when it is dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    gateway: Arc<Gateway>,
    bytes: usize,
    /// The most that all bodies together may have.
    most: usize,
}

impl Gateway {
    /// Makes settings ready for use.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn new(config: Config) -> Result<Self, BuildError> {
        let lasting = Lasting::new(&config)?;
        let snapshot = Snapshot::new(config, 1, &lasting)?;
        let known = match snapshot.config.has_store() {
            true => Known::Awaited,
            false => Known::Since(Instant::now()),
        };
        let gateway = Self {
            lasting,
            id: Uuid::now_v7().simple().to_string().into(),
            known: watch::Sender::new(known),
            reader: Mutex::default(),
            contradictions: Mutex::default(),
            differing: Mutex::default(),
            keys_changed: Notify::new(),
            since: Instant::now(),
            failures: Failures::default(),
            paid_failures: PaidFailures::default(),
            known_keys: KnownKeys::default(),
            sessions: Sessions::default(),
            jobs: Arc::default(),
            awaiting: Arc::default(),
            newcomers: Arc::default(),
            inflight: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            idle: Notify::new(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            replacing: Mutex::default(),
        };
        gateway.fit(&gateway.snapshot());
        Ok(gateway)
    }

    /// Has requests that begin from now on served by these settings; those that run keep theirs.
    /// Gives the number of the new settings.
    ///
    /// # Errors
    /// See [`BuildError`]; the old settings hold then.
    pub fn replace(&self, config: Config) -> Result<u64, BuildError> {
        let _alone = self.replacing.lock();
        let running = self.snapshot();
        self.refuse_contradictions(&running, &config)?;
        let version = running.version.saturating_add(1);
        self.put(config, version)?;
        Ok(version)
    }

    /// Has requests that begin from now on know what these lists say of models. The settings are
    /// the same, and so is their number.
    ///
    /// # Errors
    /// See [`BuildError`]; the old lists hold then.
    pub fn take_lists(&self, lists: PublicLists) -> Result<(), BuildError> {
        let _alone = self.replacing.lock();
        let old = self.lasting.lists();
        self.lasting.set_lists(lists);
        let current = self.snapshot();
        let put = self.put(Config::clone(&current.config), current.version);
        if put.is_err() {
            self.lasting.set_lists(PublicLists::clone(&old));
        }
        put
    }

    /// Has requests that begin from now on know what has changed in the store. The settings are the
    /// same, and so is their number.
    ///
    /// # Errors
    /// See [`BuildError`]; requests are served by what was known before then.
    pub fn take_news(&self, news: News) -> Result<(), BuildError> {
        let _alone = self.replacing.lock();
        let changes = self.lasting.take_news(news);
        let current = self.snapshot();
        let snapshot = current.with_keys(&self.lasting, changes.as_ref())?;
        self.show(Arc::new(snapshot));
        match &changes {
            Some(changes) => self.tell_new_contradictions(&current, changes),
            None => self.tell_contradictions(&current),
        }
        self.forget_what_is_unused(changes.as_ref());
        Ok(())
    }

    /// The keys and projects of the store, as far as they are known.
    pub fn roster(&self) -> Arc<Roster> {
        self.lasting.roster().unwrap_or_default()
    }

    /// The last change of them that requests go by.
    pub fn last_change(&self) -> LastChange {
        self.snapshot().last_change
    }

    /// Its number; less than any where none is known.
    pub fn roster_revision(&self) -> i64 {
        self.last_change().number
    }

    /// Says when the store was asked that has now told which keys it has.
    pub fn keys_heard(&self, asked: Instant) {
        self.known.send_replace(Known::Since(asked));
    }

    /// Says that the store has not told which keys it has.
    pub fn keys_unheard(&self) {
        self.known.send_if_modified(|known| {
            let is_first = *known == Known::Awaited;
            if is_first {
                *known = Known::Not;
            }
            is_first
        });
    }

    /// Has the store asked soon which keys it has now.
    pub fn want_keys(&self) {
        self.keys_changed.notify_one();
    }

    /// Waits until somebody wants to know which keys the store has now.
    pub async fn keys_wanted(&self) {
        self.keys_changed.notified().await;
    }

    /// Waits until a change is known here too, but not for long.
    pub async fn until_known(&self, revision: i64) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut known = self.known.subscribe();
        self.want_keys();
        let told =
            async { while self.roster_revision() < revision && known.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }

    /// Has the settings read again; `None` where nobody reads them.
    pub async fn reload(&self) -> Option<ReloadOutcome> {
        let (tell, told) = oneshot::channel();
        self.reader()?.send(Some(tell)).ok()?;
        told.await.ok()
    }

    fn reader(&self) -> Option<mpsc::Sender<ReloadOrder>> {
        let reader = self.reader.lock();
        reader.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names who reads the settings again; `None` for nobody any more.
    pub fn set_reader(&self, reader: Option<mpsc::Sender<ReloadOrder>>) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    /// Waits at the start until the store has told which keys it has, or has failed to.
    pub async fn until_keys_are_known(&self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        if *self.known.borrow() != Known::Awaited {
            return;
        }
        let mut known = self.known.subscribe();
        let told = known.wait_for(|known| *known != Known::Awaited);
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }

    /// Whether the store has told which keys it has, if there is one.
    pub fn knows_roster(&self) -> bool {
        matches!(*self.known.borrow(), Known::Since(_))
    }

    /// Whether that is so long ago that its keys are not taken any more.
    pub fn is_roster_stale(&self, settings: &config::Auth) -> bool {
        let most = settings.max_staleness;
        let known = *self.known.borrow();
        matches!(known, Known::Since(asked) if asked.elapsed() > most)
    }

    /// What the public lists say of models.
    pub fn lists(&self) -> Arc<PublicLists> {
        self.lasting.lists()
    }

    /// A key of the store must not lose its place to a file by mistake. What contradicted the store
    /// before the file was read again stays as it is.
    fn refuse_contradictions(&self, running: &Snapshot, new: &Config) -> Result<(), BuildError> {
        let roster = self.roster();
        let before = roster.contradictions(&running.config, &running.filed);
        let before: HashSet<String> = before.into_iter().collect();
        let mut sentences = roster.contradictions(new, &Filed::of(new));
        sentences.retain(|sentence| !before.contains(sentence));
        match sentences.is_empty() {
            true => Ok(()),
            false => Err(BuildError::Contradiction(sentences.join("\n"))),
        }
    }

    /// How files of other gateways on the store differ from this one's, in sentences.
    pub fn differing(&self) -> Vec<String> {
        let held = self.differing.lock();
        held.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same from now on; what is new is said.
    pub fn set_differing(&self, sentences: Vec<String>) {
        let held = self.differing.lock();
        let mut held = held.unwrap_or_else(PoisonError::into_inner);
        for sentence in sentences.iter().filter(|one| !held.contains(one)) {
            tracing::warn!("{sentence}");
        }
        *held = sentences;
    }

    /// Says once what contradicts the file.
    fn tell_contradictions(&self, snapshot: &Snapshot) {
        let (config, filed) = (&snapshot.config, &snapshot.filed);
        let sentences = self.roster().contradictions(config, filed);
        let mut told = self.contradictions();
        let sentences: HashSet<String> = sentences.into_iter().collect();
        for sentence in sentences.difference(&told) {
            tracing::error!("{sentence}");
        }
        *told = sentences;
    }

    /// The same, of what has changed in the store.
    fn tell_new_contradictions(&self, snapshot: &Snapshot, changes: &Changes) {
        let (config, filed) = (&snapshot.config, &snapshot.filed);
        let roster = self.roster();
        let keys = changes.keys.iter();
        let keys = keys.filter_map(|(name, _)| {
            let stored = roster.keys.get(name)?;
            filed.contradicts_stored(config, stored)
        });
        let projects = changes.projects.iter();
        let projects = projects.filter_map(|name| filed.contradicts_project(config, name));
        let mut told = self.contradictions();
        for sentence in keys.chain(projects) {
            if !told.contains(&sentence) {
                tracing::error!("{sentence}");
                told.insert(sentence);
            }
        }
    }

    fn contradictions(&self) -> MutexGuard<'_, HashSet<String>> {
        let told = self.contradictions.lock();
        told.unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets limits and budgets that nobody has any more.
    fn forget_what_is_unused(&self, changes: Option<&Changes>) {
        match changes {
            // Budgets are forgotten when their books are kept.
            Some(changes) => self.lasting.limiters.prune_of(changes),
            None => {
                self.lasting.limiters.prune();
                self.lasting.purses.prune();
            }
        }
    }

    fn put(&self, config: Config, version: u64) -> Result<(), BuildError> {
        let snapshot = Arc::new(Snapshot::new(config, version, &self.lasting)?);
        self.fit(&snapshot);
        self.show(Arc::clone(&snapshot));
        self.tell_contradictions(&snapshot);
        self.forget_what_is_unused(None);
        Ok(())
    }

    /// Has requests that begin from now on served by this.
    fn show(&self, snapshot: Arc<Snapshot>) {
        let current = self.snapshot.write();
        let mut current = current.unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, snapshot);
        drop(current);
        // It may take a while, where nobody uses it any more.
        drop(old);
    }

    /// What a request that begins now is served by. It takes this once.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.snapshot.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.lasting.metrics
    }

    /// What outlives requests.
    pub fn store(&self) -> &Database {
        &self.lasting.store
    }

    /// What keys and projects may spend.
    pub fn purses(&self) -> &Arc<Purses> {
        &self.lasting.purses
    }

    /// What they have taken of their limits.
    pub fn limiters(&self) -> &Limiters {
        &self.lasting.limiters
    }

    /// Calls that have ended and are not in the ledger yet.
    pub fn calls(&self) -> &Arc<CallQueue> {
        &self.lasting.calls
    }

    /// The responses that are kept.
    pub fn responses(&self) -> &Responses {
        &self.lasting.responses
    }

    /// How far a shutdown has come.
    pub fn stopping(&self) -> &Shutdown {
        &self.lasting.stopping
    }

    /// Sets the sizes of what outlives a snapshot.
    fn fit(&self, snapshot: &Snapshot) {
        let config = &snapshot.config;
        let version = i64::try_from(snapshot.version).unwrap_or(i64::MAX);
        self.metrics().config_version.set(version);
        self.failures.allow(config.auth.max_failures);
        self.capture(snapshot);
        self.awaiting.resize_in_quarters(config.limits.max_awaiting);
        self.newcomers
            .resize_in_quarters(config.limits.max_inflight);
    }

    /// Nothing is kept where nobody can look at it.
    fn capture(&self, snapshot: &Snapshot) {
        let console = &snapshot.config.console;
        let level = match console.capture {
            Captured::Shape if Door::of(snapshot) != Door::Shut => Level::Shape,
            Captured::Shape | Captured::Off => Level::Off,
        };
        let ring = &self.metrics().ring;
        ring.keep(level, console.keep_requests, console.capture_memory);
    }

    /// A place among `most` requests being served, unless all are taken or the caller may have no
    /// more of them.
    pub fn place(self: &Arc<Self>, most: usize, caller: Option<&Caller>) -> Option<InFlightPermit> {
        let is_new = caller.is_some_and(|caller| caller.is_new);
        let seat = match is_new {
            true => Some(Shares::take(&self.newcomers, &[Holder::Newcomers])?),
            false => None,
        };
        self.inflight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .ok()
            .map(|_| InFlightPermit {
                gateway: Arc::clone(self),
                _seat: seat,
            })
    }

    /// A seat among the requests whose body is awaited, unless the caller may have no more of them.
    pub fn seat(&self, caller: &Caller) -> Option<Seat> {
        let address = caller.address.map(Holder::Address);
        let key = caller.print.map(Holder::Key);
        let newcomers = caller.is_new.then_some(Holder::Newcomers);
        let holders: Vec<Holder> = [address, key, newcomers].into_iter().flatten().collect();
        Shares::take(&self.awaiting, &holders)
    }

    /// Room for a body that is about to come, out of `most` bytes for all of them.
    pub fn hold(self: &Arc<Self>, most: usize) -> MemoryPermit {
        MemoryPermit {
            gateway: Arc::clone(self),
            bytes: 0,
            most,
        }
    }

    /// How many requests are being served.
    pub fn inflight(&self) -> usize {
        self.inflight.load(Ordering::Acquire)
    }

    /// Waits until no request is being served.
    pub async fn until_idle(&self) {
        loop {
            let told = self.idle.notified();
            if self.inflight() == 0 {
                return;
            }
            told.await;
        }
    }
}

impl MemoryPermit {
    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes room for a body of so many bytes, unless the bodies of all requests together become
    /// too much. Ordinary bodies are not counted: their number is limited.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        const ORDINARY: usize = 64 * 1024;
        if bytes <= ORDINARY {
            return true;
        }
        let more = bytes.saturating_sub(self.bytes);
        let most = self.most;
        let grown = self
            .gateway
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(more).filter(|held| *held <= most)
            });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl MemoryPermit {
    /// Takes so much of it off, as far as there is that much, to be given back by itself.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            gateway: Arc::clone(&self.gateway),
            bytes,
            most: self.most,
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.gateway.held.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        if self.gateway.inflight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gateway.idle.notify_one();
        }
    }
}
