//! Orders to stop, from the keyboard or the system.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGINT and SIGTERM, from the moment it is made.
///
/// Make it before the program says that it is ready: whoever reads that may send a signal at once,
/// and one that nobody listens for kills the process where it stands.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system takes no handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal; the exit code by which a shell tells it: 128 plus its number.
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }

    /// Ends the process at the next signal, for people who do not want to wait for an orderly end.
    pub async fn exit_at_next(mut self) {
        process::exit(self.next().await);
    }
}
