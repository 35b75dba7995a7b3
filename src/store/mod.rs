//! The store: what outlives a request, and with a file or a server also the process.
//!
//! A [`Database`] does transactions on SQLite, in memory or in a file, or on PostgreSQL. What is
//! done in one is written once for all of them, over a [`Transaction`]; every caller says until
//! when it waits. Modules keep their own tables, which [`migrations`] makes.

pub mod error;
pub mod ledger;
pub mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
pub mod responses;
mod secrets;
mod shrink;
mod space;
pub mod sql;
mod sqlite;
pub mod status;
pub mod windows;
mod work;

pub use error::StoreError;
pub use sql::{Row, Transaction, Value};

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config;
#[cfg(feature = "postgres")]
use postgres::Postgres;
use secrets::Secrets;
use sqlite::Sqlite;
use work::{Lane, Mode, Work};

/// An open database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
    lane: Lane,
    timeout: Duration,
    secrets: Secrets,
}

#[derive(Clone, Debug)]
enum Engine {
    Memory(Sqlite),
    File(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

impl Database {
    /// Opens what the settings name, and brings its tables up to date. Without a file and a server
    /// it lies in memory. A server is not waited for: the first transaction finds out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(settings: &config::Store) -> Result<Self, StoreError> {
        Self::open_for(settings, Upkeep::Migrate)
    }

    /// The same, but its tables stay as they are, also where they are old or those of a newer
    /// program: for whoever only looks.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_as_it_is(settings: &config::Store) -> Result<Self, StoreError> {
        Self::open_for(settings, Upkeep::None)
    }

    fn open_for(settings: &config::Store, upkeep: Upkeep) -> Result<Self, StoreError> {
        Ok(Self {
            engine: engine(settings, upkeep)?,
            lane: Lane::default(),
            timeout: settings.timeout,
            secrets: Secrets::default(),
        })
    }

    /// The same for work that requests wait for before they are admitted: nothing else keeps it waiting.
    #[must_use]
    pub fn for_admission(&self) -> Self {
        self.in_lane(Lane::Admission)
    }

    /// The same for work that may take long: it keeps nothing else waiting.
    #[must_use]
    pub fn for_reports(&self) -> Self {
        self.in_lane(Lane::Reports)
    }

    fn in_lane(&self, lane: Lane) -> Self {
        Self {
            lane,
            ..self.clone()
        }
    }

    /// Whether nothing of it outlives the process.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.engine, Engine::Memory(_))
    }

    /// Until when a request that asks now waits, unless it knows better.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Whether it answers, and its tables are those that this program knows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reach(&self) -> Result<(), StoreError> {
        let look = async |transaction: &Transaction<'_>| {
            migrations::refuse_newer(migrations::version(transaction).await?)
        };
        self.read(self.deadline(), look).await
    }

    /// Does a transaction that writes. It is committed when this gives a result; what the
    /// statements in it see and change, no other transaction changes meanwhile on SQLite, and on
    /// PostgreSQL what is read [`for_update`](Transaction::for_update).
    ///
    /// # Errors
    /// What the work gives, and what goes wrong with the store. After [`StoreError::Busy`] and
    /// [`StoreError::Gone`] it may have been done all the same.
    pub async fn write<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        work::submit(self.queue(Mode::Write), Mode::Write, deadline, work).await
    }

    /// The same for what may be done together with others' work of this kind, in one transaction, which
    /// saves most of what a transaction costs where much is written at once. Nobody waits long for company.
    /// It may be done more than once, and what was done before the last time is undone.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_together<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl AsyncFn(&Transaction<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        work::submit_shared(self.queue(Mode::Write), deadline, work).await
    }

    /// The same as [`write`](Self::write), for what may not be forgotten even when the machine loses its power in the next
    /// moment. PostgreSQL forgets nothing in any case; SQLite waits for the disk.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_durably<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        work::submit(self.queue(Mode::Durable), Mode::Durable, deadline, work).await
    }

    /// Does a transaction that only reads.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn read<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        work::submit(self.queue(Mode::Read), Mode::Read, deadline, work).await
    }

    fn queue(&self, mode: Mode) -> &mpsc::Sender<Work> {
        match &self.engine {
            Engine::Memory(sqlite) | Engine::File(sqlite) => sqlite.queue(self.lane, mode),
            #[cfg(feature = "postgres")]
            Engine::Postgres(postgres) => postgres.queue(self.lane),
        }
    }
}

/// What becomes of the tables when a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upkeep {
    Migrate,
    None,
}

fn engine(settings: &config::Store, upkeep: Upkeep) -> Result<Engine, StoreError> {
    #[cfg(feature = "postgres")]
    if settings.url.is_some() {
        return Postgres::open(settings, upkeep).map(Engine::Postgres);
    }
    match &settings.path {
        Some(path) => Sqlite::open(path, upkeep).map(Engine::File),
        None => Sqlite::in_memory().map(Engine::Memory),
    }
}
