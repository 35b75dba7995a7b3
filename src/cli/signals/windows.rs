//! The events of a Windows console, which has no order to read the settings again: a changed file is
//! seen, and `fal-gateway reload` asks for it.

use std::io;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use super::Order;

/// Listens for Ctrl-C and Ctrl-Break, and for the end of the console or of Windows, from the moment it
/// is made.
pub struct Signals {
    interrupt: CtrlC,
    stop: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system takes no handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            stop: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next event.
    pub async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.interrupt.recv() => Order::Stop(130),
            _ = self.stop.recv() => Order::Stop(143),
            _ = self.close.recv() => Order::Stop(143),
            _ = self.shutdown.recv() => Order::Stop(143),
        }
    }
}
