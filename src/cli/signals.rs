//! Orders to stop or to read the settings again, from the keyboard or the system.

use std::io::{self, IsTerminal};
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::observe::logging;

/// Listens for SIGINT, SIGTERM and SIGHUP, from the moment it is made.
///
/// Make it before the program says that it is ready: whoever reads that may send a signal at once,
/// and one that nobody listens for kills the process where it stands.
///
/// SIGHUP says two things. A closed terminal ends what ran in it, as it ends other programs. From
/// somebody else it is the order to read the settings again.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    terminals: [bool; 3],
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To end, with the exit code by which a shell tells it: 128 plus the signal's number.
    Stop(i32),
    /// To read the settings again.
    Reload,
}

impl Signals {
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

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.interrupt.recv() => Order::Stop(130),
            _ = self.terminate.recv() => Order::Stop(143),
            _ = self.hangup.recv() => match self.terminal_is_gone() {
                true => Order::Stop(129),
                false => Order::Reload,
            },
        }
    }

    /// Waits for the next order to stop, and gives its exit code; other orders change nothing.
    pub async fn stop(&mut self) -> i32 {
        loop {
            if let Order::Stop(code) = self.next().await {
                return code;
            }
        }
    }

    /// Ends the process at the next order to stop, for people who do not want to wait for an orderly
    /// end.
    pub async fn exit_at_next(mut self) {
        let code = self.stop().await;
        logging::finish();
        process::exit(code);
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
