//! What is left of the account's money, read now and then while the service runs.

use std::sync::Arc;
use std::time::Duration;

use crate::api::gateway::Gateway;
use crate::config;
use crate::upstream::{FalKey, PublicClient};

/// As often as a scrape is of any use, and no oftener than fal is to be asked.
const PAUSE: Duration = Duration::from_secs(60);

/// Keeps the metric of the balance up to date as long as the settings hold a key that may ask for
/// it. Nothing else depends on it: where fal does not tell, there is no metric.
pub(super) async fn keep_up(gateway: Arc<Gateway>) {
    let stopping = gateway.stopping().announced.clone();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = read(&gateway) => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn read(gateway: &Gateway) {
    let snapshot = gateway.snapshot();
    let (fal, models) = (&snapshot.config.fal, &snapshot.config.models);
    let left = match fal.admin_key.as_ref().and_then(FalKey::new) {
        Some(admin) => balance(fal, models, &admin).await,
        None => None,
    };
    let metric = &gateway.metrics().fal_balance;
    match left {
        Some(left) => metric.with_label_values::<&str>(&[]).set(left),
        None => metric.reset(),
    }
}

async fn balance(fal: &config::Fal, models: &config::Models, admin: &FalKey) -> Option<f64> {
    let client = PublicClient::new(fal, models).ok()?;
    client.billing(admin).await.ok()?.balance()
}
