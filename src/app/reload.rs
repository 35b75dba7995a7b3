//! Settings taken up while the service runs: when it is told to, and when their files have changed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::api::catalogue::warnings;
use crate::api::gateway::{BuildError, Gateway, ReloadOrder};
use crate::config::{Config, Problems, Sources};

/// How often the files are looked at. What is found has to be the same twice before it is read, so
/// that nothing is read that is still being written.
const PAUSE: Duration = Duration::from_secs(1);

/// Has a running gateway read its settings again. The gateway stops looking at its files when the
/// last clone is dropped.
#[derive(Clone, Debug)]
pub struct Reloader {
    orders: Sender<ReloadOrder>,
}

/// Where settings are read again, and what is done to them then.
pub struct Source {
    /// What they were read from at the start.
    pub sources: Sources,
    /// What the start did to them once they were read.
    pub adapt: Box<dyn Fn(&mut Config) + Send>,
}

/// Why settings that were read again are not taken up. The old ones hold then.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Settings(#[from] Problems),
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Reloader {
    /// Begins to take orders, and to look at the files where `server.watch` says so.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(gateway: Arc<Gateway>, source: Source) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel();
        gateway.set_reader(Some(Sender::clone(&orders)));
        let watches = gateway.snapshot().config.server.watch;
        let mut desk = Desk {
            seen: Files::of(&gateway.snapshot().config),
            changed: None,
            gateway,
            source,
        };
        let work = move || {
            loop {
                let order = match watches {
                    true => taken.recv_timeout(PAUSE),
                    false => taken.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match order {
                    Ok(order) => desk.read(order),
                    Err(RecvTimeoutError::Timeout) => desk.look(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        thread::Builder::new()
            .name("settings".to_owned())
            .spawn(work)?;
        Ok(Self { orders })
    }

    /// Has the settings read again soon. The log says what comes of it.
    pub fn reload(&self) {
        // The other end lives as long as this one, unless the thread has met a bug.
        let _ = self.orders.send(None);
    }
}

/// What the thread works with that reads settings again.
struct Desk {
    gateway: Arc<Gateway>,
    source: Source,
    /// The files as they were when they were read.
    seen: Files,
    /// The files as they were a moment ago, if that is not how they were read.
    changed: Option<Files>,
}

impl Desk {
    /// Reads files that have changed and stopped changing.
    fn look(&mut self) {
        let now = Files::of(&self.gateway.snapshot().config);
        if now == self.seen {
            self.changed = None;
        } else if self.changed.as_ref() == Some(&now) {
            self.read(None);
        } else {
            self.changed = Some(now);
        }
    }

    /// Reads the settings, and says what came of it, also to whoever asked. All of them are taken up
    /// or none.
    fn read(&mut self, asked: ReloadOrder) {
        let running = self.gateway.snapshot();
        // Files that change from here on are read once more.
        let before = Files::of(&running.config);
        let outcome = self.take_up(&running.config);
        let reloads = &self.gateway.metrics().config_reloads;
        match &outcome {
            Ok((version, _)) => {
                reloads.with_label_values(&["applied"]).inc();
                tracing::info!(version, "settings taken up");
            }
            Err(error) => {
                reloads.with_label_values(&["refused"]).inc();
                let version = running.version;
                tracing::error!(%error, version, "settings not taken up, the old ones hold");
            }
        }
        if let Some(asked) = asked {
            // Whoever asked may have gone.
            let _ = asked.send(outcome.map_err(|error| error.to_string()));
        }
        let names_the_same = Files::of(&self.gateway.snapshot().config);
        self.seen = match names_the_same.paths().eq(before.paths()) {
            true => before,
            false => names_the_same,
        };
        self.changed = None;
    }

    fn take_up(&self, running: &Config) -> Result<(u64, Vec<&'static str>), ReloadError> {
        let sources = self.source.sources.again();
        let mut config = Config::load(&sources)?;
        (self.source.adapt)(&mut config);
        let kept = config.succeed(running, &sources)?;
        for warning in warnings(&config) {
            tracing::warn!("{warning}");
        }
        let version = self.gateway.replace(config)?;
        let pending = i64::try_from(kept.len()).unwrap_or(i64::MAX);
        self.gateway.metrics().config_pending.set(pending);
        if !kept.is_empty() {
            let settings = kept.join(", ");
            tracing::warn!(%settings, "these settings have changed and need a restart; until then they keep their old values");
        }
        Ok((version, kept))
    }
}

/// The files that settings come from, with what tells their states apart.
#[derive(Debug, PartialEq, Eq)]
struct Files(Vec<(Box<Path>, Option<State>)>);

/// When a file was changed, its length, and which file it is, in words.
type State = String;

impl Files {
    fn of(config: &Config) -> Self {
        let paths = [
            config.file.as_ref().map(|file| &file.path),
            config.fal.key_file.as_ref(),
            config.models.capabilities.as_ref(),
            config.server.tls_cert.as_ref(),
            config.server.tls_key.as_ref(),
        ];
        let files = paths.into_iter().flatten();
        Self(
            files
                .map(|path| (path.as_path().into(), state(path)))
                .collect(),
        )
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_ref())
    }
}

fn state(path: &Path) -> Option<State> {
    let file = path.metadata().ok()?;
    #[cfg(unix)]
    let which = {
        use std::os::unix::fs::MetadataExt;
        (file.ino(), file.ctime(), file.ctime_nsec())
    };
    #[cfg(not(unix))]
    let which = ();
    Some(format!("{:?} {} {which:?}", file.modified(), file.len()))
}
