//! Orders to stop, from the keyboard or the system.

use std::io::{self, IsTerminal};
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGINT, SIGTERM and SIGHUP, from the moment it is made.
///
/// Make it before the program says that it is ready: whoever reads that may send a signal at once,
/// and one that nobody listens for kills the process where it stands.
///
/// SIGHUP says two things. A closed terminal ends what ran in it, as it ends other programs. From
/// somebody who wants settings to be read again it ends nothing: they are read at the start alone,
/// and an answer that runs is worth more than a habit.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    terminals: [bool; 3],
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
            hangup: signal(SignalKind::hangup())?,
            terminals: terminals(),
        })
    }

    /// Waits for the next order to stop; the exit code by which a shell tells it: 128 plus the
    /// signal's number.
    pub async fn next(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return 130,
                _ = self.terminate.recv() => return 143,
                _ = self.hangup.recv() => if self.terminal_is_gone() { return 129 },
            }
            tracing::warn!(
                "SIGHUP changes nothing: settings are read at the start only, restart to take them up"
            );
        }
    }

    /// Ends the process at the next signal, for people who do not want to wait for an orderly end.
    pub async fn exit_at_next(mut self) {
        process::exit(self.next().await);
    }

    /// Whether the terminal that this was started in was closed.
    fn terminal_is_gone(&self) -> bool {
        let now = terminals();
        self.terminals.iter().zip(now).any(|(was, is)| *was && !is)
    }
}

/// Which of the standard streams are a terminal; one that was closed is none.
fn terminals() -> [bool; 3] {
    [
        io::stdin().is_terminal(),
        io::stdout().is_terminal(),
        io::stderr().is_terminal(),
    ]
}
