//! The public lists of models, read now and then while the service runs.

use std::sync::Arc;
use std::time::Duration;

use crate::api::gateway::Gateway;
use crate::api::lists;
use crate::translate::model::lists::{read_any_llm, read_openrouter};
use crate::translate::model::{ListError, PublicLists};
use crate::upstream::{Page, PublicClient, UpstreamError};

/// Why a list is not taken; the old one holds then.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("its status is {0}")]
    Status(u16),
    #[error(transparent)]
    List(#[from] ListError),
}

/// After a failure the lists are asked for again this soon, unless it is their time anyway.
const SOON: Duration = Duration::from_secs(300);

/// Keeps the catalogue up to date with the public lists, as often as the settings say, until the
/// service stops. Nothing waits for it, and there is one of it in a process.
pub(super) async fn keep_up(gateway: Arc<Gateway>) {
    let snapshot = gateway.snapshot();
    let (fal, models) = (&snapshot.config.fal, &snapshot.config.models);
    let Some(every) = models.refresh else { return };
    let client = match PublicClient::new(fal, models) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!("the public lists of models are not read: {error}");
            return;
        }
    };
    let stopping = gateway.stopping().announced.clone();
    loop {
        let refreshed = tokio::select! {
            () = stopping.cancelled() => return,
            refreshed = refresh(&gateway, &client, &fal.app) => refreshed,
        };
        let pause = if refreshed { every } else { every.min(SOON) };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Reads both lists and takes up what is new in them. Whether both could be read.
async fn refresh(gateway: &Gateway, client: &PublicClient, app: &str) -> bool {
    let old = gateway.lists();
    let (any_llm, router) =
        futures::future::join(client.endpoint(app), client.openrouter_models()).await;
    let any_llm = told("fal's", read(any_llm, read_any_llm));
    let router = told("OpenRouter's", read(router, read_openrouter));
    let is_whole = any_llm.is_some() && router.is_some();
    let new = PublicLists {
        any_llm: any_llm.or_else(|| old.any_llm.clone()),
        router: router.or_else(|| old.router.clone()),
    };
    if new != *old {
        let count = |list: Option<usize>| list.unwrap_or_default();
        tracing::info!(
            any_llm = count(new.any_llm.as_ref().map(Vec::len)),
            router = count(new.router.as_ref().map(Vec::len)),
            "the public lists of models have changed"
        );
        keep(gateway, &new).await;
        if let Err(error) = gateway.take_lists(new) {
            tracing::warn!("the public lists of models are not taken up: {error}");
        }
    }
    is_whole
}

fn read<T>(
    page: Result<Page, UpstreamError>,
    of: impl FnOnce(&[u8]) -> Result<T, ListError>,
) -> Result<T, RefreshError> {
    let page = page?;
    match page.status {
        200 => Ok(of(&page.body)?),
        status => Err(RefreshError::Status(status)),
    }
}

fn told<T>(whose: &str, list: Result<T, RefreshError>) -> Option<T> {
    list.inspect_err(|error| {
        tracing::warn!(
            "{whose} public list of models could not be read, and the old one holds: {error}"
        );
    })
    .ok()
}

/// Writes the lists to disk, where the settings name a place for them.
async fn keep(gateway: &Gateway, new: &PublicLists) {
    let Some(path) = gateway.snapshot().config.models.cache.clone() else {
        return;
    };
    let new = new.clone();
    let written = tokio::task::spawn_blocking(move || lists::store(&path, &new)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!("{error}");
    }
}
