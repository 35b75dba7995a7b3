//! Keys and projects of the store: what changes there holds here within a second or two, however
//! many requests come meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::accounts::{keys, presence};
use crate::api::gateway::Gateway;
use crate::store::StoreError;

/// How often the store is asked what has changed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the store has for the answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often a gateway on a file says that it is there, in beats. On a server it does so each time.
const QUIET_BEATS: u32 = 20;

/// Takes up what changes, until the service stops.
pub(super) async fn keep_up(gateway: Arc<Gateway>) {
    if gateway.store().is_in_memory() {
        return;
    }
    let stopping = gateway.stopping().announced.clone();
    let (mut is_down, mut beats) = (false, 0_u32);
    loop {
        let tells = gateway.store().is_shared() || beats.is_multiple_of(QUIET_BEATS);
        match hear(&gateway, tells).await {
            Ok(()) if std::mem::take(&mut is_down) => {
                tracing::info!("the keys of the store are read again");
            }
            Ok(()) => {}
            Err(error) => {
                gateway.keys_unheard();
                if !std::mem::replace(&mut is_down, true) {
                    tracing::error!(%error, "the keys of the store cannot be read: those that were read last hold");
                }
            }
        }
        beats = beats.wrapping_add(1);
        tokio::select! {
            () = stopping.cancelled() => return,
            () = gateway.keys_wanted() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn hear(gateway: &Gateway, tells: bool) -> Result<(), StoreError> {
    let since = gateway.roster_revision();
    let deadline = Instant::now() + PATIENCE;
    let asked = std::time::Instant::now();
    let store = gateway.store();
    let news = if tells {
        let (id, state) = (gateway.id.clone(), state(gateway));
        let beat = store.write(deadline, async move |transaction| {
            presence::beat(transaction, &id, &state, since).await
        });
        beat.await?
    } else {
        let look = store.read(deadline, async move |transaction| {
            keys::news(transaction, since).await
        });
        look.await?
    };
    if let Some(news) = news {
        for (name, why) in &news.unreadable {
            tracing::error!(%name, %why, "a row of the store cannot be read, and opens nothing");
        }
        if let Err(error) = gateway.take_news(news) {
            tracing::error!(%error, "what has changed in the store cannot be taken up");
        }
    }
    gateway.keys_heard(asked);
    Ok(())
}

/// What this gateway tells the others of itself.
fn state(gateway: &Gateway) -> String {
    let snapshot = gateway.snapshot();
    let listens = snapshot.config.server.listen;
    let state = json!({
        "host": hostname(),
        "listen": listens.to_string(),
        "uptime_s": gateway.since.elapsed().as_secs(),
        "settings_version": snapshot.version,
        "keys_revision": gateway.roster().revision,
        "in_flight": gateway.inflight(),
        "open_streams": gateway.metrics().open_streams.get(),
    });
    state.to_string()
}

/// What the machine is called, where it says so.
fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}
