//! The store: the same tests on each of its engines.

mod background;
mod batches;
mod books;
mod completions;
#[cfg(feature = "postgres")]
mod connections;
mod conversations;
mod engines;
mod files;
mod guide;
mod handed_over;
mod idempotency;
mod interrupted;
mod keys;
mod killed;
mod kills;
mod ledger;
#[cfg(feature = "postgres")]
mod limits;
#[cfg(feature = "postgres")]
mod lines;
mod lists;
mod outages;
mod packed;
mod queue;
mod reports;
mod responses;
mod rounds;
mod streamed;
mod troubled;

use fal_gateway::config::{Config, Sources};
use fal_gateway::store::Database;

/// Where a store can lie.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory,
    File(std::path::PathBuf),
    #[cfg(feature = "postgres")]
    Server(String),
}

/// A place of each kind, all of them empty. The folder goes when it is dropped.
pub(crate) fn places() -> (tempfile::TempDir, Vec<Place>) {
    let folder = tempfile::tempdir().unwrap();
    let places = vec![
        Place::Memory,
        Place::File(folder.path().join("store.sqlite")),
        #[cfg(feature = "postgres")]
        Place::Server(crate::support::PostgresServer::database()),
    ];
    (folder, places)
}

impl Place {
    /// The settings that name it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        // Long, since the machine may be busy with other tests.
        let mut settings = vec![("store.timeout", "20s".to_owned())];
        settings.extend(match self {
            Self::Memory => None,
            Self::File(path) => Some(("store.path", path.display().to_string())),
            #[cfg(feature = "postgres")]
            Self::Server(url) => Some(("store.url", url.clone())),
        });
        settings
    }

    pub(crate) fn config(&self) -> Config {
        let settings = self.settings().into_iter();
        let sources = settings.fold(Sources::default(), |sources, (name, value)| {
            let variable = name.to_uppercase().replace('.', "__");
            sources.with_env(format!("FAL_GATEWAY__{variable}"), value)
        });
        Config::load(&sources).unwrap()
    }

    pub(crate) fn open(&self) -> Database {
        Database::open(&self.config().store).unwrap()
    }

    /// Runs statements in it, beside the gateways that use it.
    pub(crate) fn execute(&self, sql: &str) {
        match self {
            Self::Memory => panic!("nobody else reaches what is in memory"),
            Self::File(path) => {
                let store = rusqlite::Connection::open(path).unwrap();
                store.execute_batch(sql).unwrap();
            }
            #[cfg(feature = "postgres")]
            Self::Server(url) => crate::support::execute(url, sql).unwrap(),
        }
    }
}

/// Runs something to its end in a runtime of its own.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}
