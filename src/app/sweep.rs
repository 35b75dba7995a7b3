//! What is kept and whose time is over: deleted while the service runs.

use std::sync::Arc;
use std::time::Duration;

use crate::api::gateway::Gateway;

/// How often it is looked for. Whoever asks in between is told that it is gone all the same.
const PAUSE: Duration = Duration::from_secs(60);

/// Deletes what is over, until the service stops. Several gateways may do so on one store.
pub(super) async fn keep_up(gateway: Arc<Gateway>) {
    let stopping = gateway.stopping().announced.clone();
    loop {
        loop {
            match gateway.responses().sweep().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "what is over cannot be deleted from the store; it is tried again");
                    break;
                }
            }
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
