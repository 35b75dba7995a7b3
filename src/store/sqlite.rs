//! SQLite, in a file or in memory.
//!
//! One thread writes; in a file a second one reads beside it and a third one makes reports, which
//! SQLite's write-ahead log allows (source: sqlite.org/wal.html). What lies in memory has one connection
//! for all of it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::FutureExt;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Upkeep;
use super::error::StoreError;
use super::migrations;
use super::space;
use super::sql::{Numbered, Transaction};
use super::work::{Lane, MAX_WAITING, Mode, Work, without_panic};

/// How long a start waits for another program that holds the file.
const START: Duration = Duration::from_secs(10);

/// How long a log may hold what was deleted, while others wait.
const WITHOUT_CLEARING: Duration = Duration::from_secs(1);

/// How long emptying it waits for somebody who reads.
const CLEARING: Duration = Duration::from_millis(50);

/// How much work is done in one transaction at most, so that the first does not wait long for the last.
const MOST_TOGETHER: usize = 32;
/// How long work gathers since the last that was done together, so that a store with much to do is woken
/// once for many answers and not for each. Whoever comes after a pause does not wait.
const GATHERING: Duration = Duration::from_millis(2);
/// How long one transaction goes on taking in more, for the same reason.
const LONGEST_TOGETHER: Duration = Duration::from_millis(20);

/// How many bytes a page in memory has. A transaction copies each page before it changes it, so that it can
/// be undone, and half of SQLite's usual size is enough for a response as a rule.
const PAGE_IN_MEMORY: i64 = 2048;

/// How much memory a connection keeps pages in, in KiB; the minus sign is SQLite's for this unit.
const CACHE: &str = "-8000";

/// An open database. Clones are the same one; the last one closes it.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    threads: Arc<Threads>,
}

/// The threads of a database, and the ways to them.
#[derive(Debug)]
struct Threads {
    writer: mpsc::Sender<Work>,
    /// Where other connections read.
    reader: Option<mpsc::Sender<Work>>,
    reporter: Option<mpsc::Sender<Work>>,
    running: Vec<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens a file, or makes it, and brings its tables up to date.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) fn open(path: &Path, upkeep: Upkeep) -> Result<Self, StoreError> {
        let writing = connect(path)?;
        if upkeep == Upkeep::Migrate {
            migrate(&writing)?;
        }
        Self::start(writing, Some([connect(path)?, connect(path)?]))
    }

    /// A database in memory.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory()?;
        connection.pragma_update(None, "page_size", PAGE_IN_MEMORY)?;
        prepare(&connection)?;
        migrate(&connection)?;
        Self::start(connection, None)
    }

    fn start(writing: Connection, reading: Option<[Connection; 2]>) -> Result<Self, StoreError> {
        let (writer, thread) = serve("store-writer", writing)?;
        let mut running = vec![thread];
        let (mut reader, mut reporter) = (None, None);
        if let Some([reading, reporting]) = reading {
            let (queue, thread) = serve("store-reader", reading)?;
            running.push(thread);
            reader = Some(queue);
            let (queue, thread) = serve("store-reporter", reporting)?;
            running.push(thread);
            reporter = Some(queue);
        }
        let threads = Arc::new(Threads {
            writer,
            reader,
            reporter,
            running,
        });
        Ok(Self { threads })
    }

    pub(super) fn queue(&self, lane: Lane, mode: Mode) -> &mpsc::Sender<Work> {
        let threads = &*self.threads;
        let reads = match lane {
            Lane::Admission | Lane::Usual => &threads.reader,
            Lane::Reports => &threads.reporter,
        };
        match mode {
            Mode::Read => reads.as_ref().unwrap_or(&threads.writer),
            Mode::Write | Mode::Durable => &threads.writer,
        }
    }
}

/// Waits until the connections are closed, which brings what was logged into the file.
impl Drop for Threads {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.writer = closed;
        self.reader = None;
        self.reporter = None;
        let this = thread::current().id();
        for running in self.running.drain(..) {
            // The last one may be dropped by work that a thread of its own does.
            if running.thread().id() != this {
                let _ = running.join();
            }
        }
    }
}

/// Opens a file, which nobody but its owner may read, and leaves its tables as they are.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    create(path).map_err(|error| StoreError::Gone(format!("{}: {error}", path.display())))?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(START)?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In a crash of the machine the last commits may be lost, and nothing else; those that may not
    // be are done with more care.
    connection.pragma_update(None, "synchronous", "normal")?;
    prepare(&connection)?;
    Ok(connection)
}

/// SQLite gives the files beside it the same rights.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "cache_size", CACHE)?;
    // What is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "trusted_schema", "off")?;
    // A container may have no folder for temporary files that anybody may write to.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let statements = Numbered::default();
    perform(connection, Mode::Write, || {
        now(migrations::run(&Transaction::sqlite(
            connection,
            &statements,
        )))
    })
}

/// Starts a thread that does what comes over the channel, one after the other; what may be done
/// together with others and waits already is done together.
fn serve(
    name: &str,
    connection: Connection,
) -> Result<(mpsc::Sender<Work>, JoinHandle<()>), StoreError> {
    let (queue, mut waiting) = mpsc::channel::<Work>(MAX_WAITING);
    let serve = move || {
        let mut server = Server::new(connection);
        let (mut deleted, mut next, mut shared) = (None, None, None);
        while let Some(work) = next.take().or_else(|| waiting.blocking_recv()) {
            let may_share = work.shareable().is_some();
            let mut group = vec![work];
            if may_share && waiting.len() < MOST_TOGETHER {
                thread::sleep(gathers_for(shared.map(|last: Instant| last.elapsed())));
            }
            while may_share && next.is_none() && group.len() < MOST_TOGETHER {
                match waiting.try_recv() {
                    Ok(work) if work.shareable().is_some() => group.push(work),
                    Ok(work) => next = Some(work),
                    Err(_) => break,
                }
            }
            if server.run(group) {
                deleted = deleted.or(Some(Instant::now()));
            }
            if may_share {
                shared = Some(Instant::now());
            }
            // Whoever waits comes first, but not for ever.
            let is_idle = next.is_none() && waiting.is_empty();
            let is_due = |since: Instant| is_idle || since.elapsed() > WITHOUT_CLEARING;
            if deleted.is_some_and(is_due) && clear_log(&server.connection).unwrap_or(false) {
                deleted = None;
            }
        }
    };
    let started = thread::Builder::new().name(name.to_owned()).spawn(serve);
    let thread = started.map_err(|error| StoreError::Gone(error.to_string()))?;
    Ok((queue, thread))
}

/// How long work that may be done together waits for more of it, when the last was done so long ago.
fn gathers_for(since: Option<Duration>) -> Duration {
    since.map_or(Duration::ZERO, |since| GATHERING.saturating_sub(since))
}

/// Brings what was logged into the file, where what was deleted has been overwritten, and empties the
/// log, which would show it still (source: sqlite.org/pragma.html#pragma_wal_checkpoint). Whether that
/// was done: somebody may be reading.
fn clear_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(CLEARING)?;
    let clear = "pragma wal_checkpoint(truncate)";
    let is_busy: i64 = connection.query_row(clear, [], |row| row.get(0))?;
    Ok(is_busy == 0)
}

/// A connection, and what is known of it.
struct Server {
    connection: Connection,
    statements: Numbered,
    /// Whether commits wait for the disk, as far as that is known.
    waits: Option<bool>,
}

impl Server {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            statements: Numbered::default(),
            waits: None,
        }
    }

    /// Does some work, in few transactions if that works and each by itself if not. Whether it has
    /// deleted anything.
    fn run(&mut self, mut group: Vec<Work>) -> bool {
        let mut deletes = false;
        while group.len() > 1 {
            let (late, timely) = group.into_iter().partition(Work::is_late);
            fail_all(late);
            group = timely;
            let Ok((done, has_deleted)) = self.together(&group) else {
                break;
            };
            group.drain(..done).for_each(Work::succeed);
            deletes |= has_deleted;
        }
        let alone = group.into_iter().map(|work| self.alone(work));
        alone.fold(deletes, |deletes, one| deletes | one)
    }

    /// Does as much of it as soon is done in one transaction, from the first on, or nothing of it. How
    /// much that is, and whether it has deleted anything.
    fn together(&mut self, group: &[Work]) -> Result<(usize, bool), StoreError> {
        let begun = Instant::now();
        let deadline = group.iter().map(|work| work.deadline).min();
        let transaction = Transaction::sqlite(&self.connection, &self.statements);
        without_panic(|| {
            be_patient(&self.connection, deadline.unwrap_or_else(Instant::now))?;
            make_ready(&self.connection, &mut self.waits, Mode::Write)?;
            perform(&self.connection, Mode::Write, || {
                let mut done = 0;
                for run in group.iter().filter_map(Work::shareable) {
                    now(run(&transaction))?;
                    done += 1;
                    if begun.elapsed() > LONGEST_TOGETHER {
                        break;
                    }
                }
                now(space::settle(&transaction))?;
                Ok(done)
            })
        })
        .map(|done| (done, transaction.has_deleted()))
    }

    fn alone(&mut self, work: Work) -> bool {
        if work.is_late() {
            work.fail(StoreError::Busy);
            return false;
        }
        let (mode, deadline) = (work.mode, work.deadline);
        let (run, done) = work.into_parts();
        let transaction = Transaction::sqlite(&self.connection, &self.statements);
        let outcome = without_panic(|| {
            be_patient(&self.connection, deadline)?;
            make_ready(&self.connection, &mut self.waits, mode)?;
            perform(&self.connection, mode, || {
                now(run.perform(&transaction))?;
                now(space::settle(&transaction))
            })
        });
        let _ = done.send(outcome);
        transaction.has_deleted()
    }
}

fn fail_all(late: Vec<Work>) {
    for work in late {
        work.fail(StoreError::Busy);
    }
}

/// Waits until then for another program that holds the file.
fn be_patient(connection: &Connection, deadline: Instant) -> Result<(), StoreError> {
    let patience = deadline.saturating_duration_since(Instant::now());
    Ok(connection.busy_timeout(patience)?)
}

/// Makes commits wait for the disk, or not, unless they do so already: SQLite reads the statement anew
/// each time, which takes as long as a short transaction.
fn make_ready(
    connection: &Connection,
    waits: &mut Option<bool>,
    mode: Mode,
) -> Result<(), StoreError> {
    let is_durable = mode == Mode::Durable;
    if *waits != Some(is_durable) {
        *waits = None;
        wait_for_the_disk(connection, is_durable)?;
        *waits = Some(is_durable);
    }
    Ok(())
}

/// Whether commits from now on are on the disk when they are done (source:
/// sqlite.org/pragma.html#pragma_synchronous).
fn wait_for_the_disk(connection: &Connection, waits: bool) -> Result<(), StoreError> {
    let level = if waits { "full" } else { "normal" };
    Ok(connection.pragma_update(None, "synchronous", level)?)
}

/// Does something in a transaction, which is undone if it fails.
fn perform<T>(
    connection: &Connection,
    mode: Mode,
    run: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let begin = match mode {
        Mode::Read => "begin",
        Mode::Write | Mode::Durable => "begin immediate",
    };
    // Read once, where a transaction of the library's would be read each time.
    connection.prepare_cached(begin)?.execute([])?;
    let open = Undo(connection);
    let value = run()?;
    connection.prepare_cached("commit")?.execute([])?;
    drop(open);
    Ok(value)
}

/// Undoes the transaction that is open, if one is.
struct Undo<'c>(&'c Connection);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // Where that fails, SQLite has ended the transaction by itself.
            let _ = self.0.execute_batch("rollback");
        }
    }
}

/// The result of work that waits for nothing but SQLite, which lets nobody wait.
fn now<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    work.now_or_never().unwrap_or_else(|| {
        Err(StoreError::Failed(
            "a transaction waits for something else than the store".to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_for_more_only_where_some_was_done_a_moment_ago() {
        assert_eq!(gathers_for(None), Duration::ZERO);
        assert_eq!(gathers_for(Some(GATHERING)), Duration::ZERO);
        assert_eq!(gathers_for(Some(Duration::from_secs(60))), Duration::ZERO);
        let since = Duration::from_micros(500);
        assert_eq!(gathers_for(Some(since)), GATHERING - since);
    }
}
