//! Orders to stop, from the keyboard or the system.

use std::process;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first SIGINT or SIGTERM.
///
/// # Errors
/// When the system takes no handler.
pub async fn stop_signal() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Ends the process at the next signal, for people who do not want to wait for an orderly end.
///
/// # Errors
/// When the system takes no handler.
pub async fn exit_at_signal() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    // A shell tells signals apart as 128 plus the signal's number.
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    process::exit(code);
}
