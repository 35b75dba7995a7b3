//! Signals of Unix.

use std::io::{self, IsTerminal};

use rustix::process::Signal as Process;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Order;

/// Listens for SIGINT, SIGTERM and SIGHUP, from the moment it is made.
///
/// Make it before the program says that it is ready: whoever reads that may send a signal at once,
/// and one that nobody listens for kills the process where it stands.
///
/// SIGXFSZ, of a file that may not grow any more, would end the process otherwise.
///
/// SIGHUP says two things. A closed terminal ends what ran in it, as it ends other programs. From
/// somebody else it is the order to read the settings again.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Of a file that has reached its limit. Nobody waits for it: whoever writes is told by an error.
    _file_size: Signal,
    terminals: [bool; 3],
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
            _file_size: signal(SignalKind::from_raw(Process::XFSZ.as_raw()))?,
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
