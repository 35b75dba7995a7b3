//! Orders to stop or to read the settings again, from the keyboard or the system.

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(windows), path = "unix.rs")]
mod system;

use std::process;

pub use system::Signals;

use crate::observe::logging;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To end, with the exit code by which a shell tells it: 128 plus the signal's number.
    Stop(i32),
    /// To read the settings again.
    Reload,
}

impl Signals {
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
}
