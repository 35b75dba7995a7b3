//! Keys and projects of the store: what changes there holds here within a second or two, however
//! many requests come meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::access::likeness::{self, Differing};
use crate::access::roster::LastChange;
use crate::accounts::keys::{self, UnreadNews};
use crate::accounts::{presence, rates};
use crate::api::gateway::Gateway;
use crate::store::{Database, StoreError, Transaction};

/// How often the store is asked what has changed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the store has for the answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long it has at most at the start, when it tells of all keys there are: twice as long after each
/// time that it had too little.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// How often a gateway on a file says that it is there, in beats. On a server it does so each time,
/// and on both where it has taken up what has changed, for whoever waits for that.
const QUIET_BEATS: u32 = 20;

/// Takes up what changes, until the service stops.
pub(super) async fn keep_up(gateway: Arc<Gateway>) {
    if gateway.store().is_in_memory() {
        return;
    }
    let stopping = gateway.stopping().announced.clone();
    let mut listener = Listener {
        gateway: Arc::clone(&gateway),
        store: gateway.store().for_admission(),
        first_patience: PATIENCE,
        is_mute: false,
        told_revision: LastChange::UNKNOWN.number,
        file: (0, String::new()),
        differing: Differing::default(),
    };
    let (mut is_down, mut beats) = (false, 0_u32);
    loop {
        let tells = gateway.store().is_shared()
            || beats.is_multiple_of(QUIET_BEATS)
            || gateway.roster_revision() != listener.told_revision;
        let heard = tokio::select! {
            () = stopping.cancelled() => return,
            heard = listener.hear(tells) => heard,
        };
        match heard {
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

/// Asks the store what has changed.
struct Listener {
    gateway: Arc<Gateway>,
    store: Database,
    /// How long the store has while no key of it is known.
    first_patience: Duration,
    /// Whether this gateway could not say last that it is there.
    is_mute: bool,
    /// The last change that the store knows to be taken up here.
    told_revision: i64,
    /// What the file says of keys and projects in a few letters, and in which settings.
    file: (u64, String),
    differing: Differing,
}

impl Listener {
    async fn hear(&mut self, tells: bool) -> Result<(), StoreError> {
        if self.gateway.roster_revision() < 0 {
            let patience = self.first_patience;
            self.first_patience = FIRST_PATIENCE.min(patience * 2);
            self.look(patience).await?;
            self.first_patience = PATIENCE;
        }
        // A store that takes nothing more may still be read.
        if tells && self.tell().await {
            return Ok(());
        }
        self.look(PATIENCE).await
    }

    /// Asks without a word of this gateway.
    async fn look(&self, patience: Duration) -> Result<(), StoreError> {
        let asked = std::time::Instant::now();
        let since = self.gateway.last_change();
        let look = async move |transaction: &Transaction<'_>| keys::news(transaction, since).await;
        let deadline = Instant::now() + patience;
        let news = self.store.read(deadline, look).await?;
        self.take(news, asked).await
    }

    /// Says that this gateway is there, and asks; whether both could be done.
    async fn tell(&mut self) -> bool {
        let asked = std::time::Instant::now();
        let since = self.gateway.last_change();
        let told = match self.beat(since).await {
            Ok(beat) => {
                self.gateway.purses().set_clock(beat.clock);
                self.compare(&beat.others);
                self.take(beat.news, asked).await
            }
            Err(error) => Err(error),
        };
        let was_mute = std::mem::replace(&mut self.is_mute, told.is_err());
        match &told {
            Err(error) if !was_mute => {
                tracing::warn!(%error, "this gateway cannot say in the store that it is there");
            }
            Ok(()) | Err(_) => {}
        }
        told.is_ok()
    }

    /// Looks whether other gateways have other keys and projects in their files.
    fn compare(&mut self, others: &[(String, String)]) {
        let states = others.iter().filter_map(|(id, state)| {
            let state: Json = serde_json::from_str(state).ok()?;
            Some((id, state))
        });
        let states: Vec<(&String, Json)> = states.collect();
        let differs = |state: &Json| {
            let file = state.get("file").and_then(Json::as_str);
            file.is_some_and(|file| file != self.file.1)
        };
        let differing = states.iter().filter(|(_, state)| differs(state));
        let differing = differing.map(|(id, _)| (*id).clone()).collect();
        let long = self.differing.check(differing);
        let own = place(&self.own_state());
        let sentences = states.iter().filter(|(id, _)| long.contains(id));
        let sentences = sentences.map(|(id, state)| {
            format!(
                "the gateway {id} ({}) has other keys, projects, limits or budgets in its settings file \
                 than this one ({own}): give both the same file; until then a shared budget allows what \
                 the one says that has told the store last",
                place(state)
            )
        });
        self.gateway.set_differing(sentences.collect());
    }

    fn own_state(&self) -> Json {
        state(&self.gateway, &self.file.1)
    }

    /// Reads the file's keys and projects once for each settings; many take a while, and other tasks
    /// share this thread.
    async fn look_at_file(&mut self) {
        let snapshot = self.gateway.snapshot();
        if self.file.0 != snapshot.version {
            let version = snapshot.version;
            let print = tokio::task::spawn_blocking(move || likeness::print_of(&snapshot.config));
            self.file = (version, print.await.unwrap_or_default());
        }
    }

    async fn beat(&mut self, since: LastChange) -> Result<presence::Beat, StoreError> {
        self.look_at_file().await;
        let gateway = &self.gateway;
        let revision = gateway.roster_revision();
        let (id, state) = (gateway.id.clone(), self.own_state().to_string());
        let limiters = gateway.limiters();
        let turn = limiters.turn().await;
        let now = gateway.since.elapsed();
        let claims = limiters.claims(now, false);
        let said = turn.is_some().then(|| rates::owned(&claims));
        let beat = async move |transaction: &Transaction<'_>| {
            presence::beat(transaction, &id, &state, since, said.as_deref()).await
        };
        let heard = self.store.write(Instant::now() + PATIENCE, beat).await;
        if heard.is_ok() {
            self.told_revision = revision;
        }
        let dealt = heard.as_ref().ok().and_then(|beat| beat.dealt.as_ref());
        rates::take(limiters, &claims, dealt, now);
        if let Some(dealt) = dealt {
            let replicas = &gateway.metrics().replicas;
            replicas.set(i64::from(dealt.gateways));
        }
        heard
    }

    /// Takes up what the store has told.
    async fn take(
        &self,
        news: Option<UnreadNews>,
        asked: std::time::Instant,
    ) -> Result<(), StoreError> {
        if let Some(news) = news {
            // Many keys take a while to read, and other tasks share this thread.
            let read = tokio::task::spawn_blocking(|| news.read()).await;
            let news = read.map_err(|error| StoreError::Failed(error.to_string()))??;
            for (name, why) in &news.unreadable {
                tracing::error!(%name, %why, "a row of the store cannot be read, and opens nothing");
            }
            if let Err(error) = self.gateway.take_news(news) {
                tracing::error!(%error, "what has changed in the store cannot be taken up");
            }
        }
        self.gateway.keys_heard(asked);
        Ok(())
    }
}

/// What this gateway tells the others of itself.
fn state(gateway: &Gateway, file: &str) -> Json {
    let snapshot = gateway.snapshot();
    let listens = snapshot.config.server.listen;
    json!({
        "host": hostname(),
        "listen": listens.to_string(),
        "uptime_s": gateway.since.elapsed().as_secs(),
        "settings_version": snapshot.version,
        "file": file,
        "keys_revision": gateway.roster_revision(),
        "in_flight": gateway.inflight(),
        "open_streams": gateway.metrics().open_streams.get(),
    })
}

/// Where a gateway is, by its state.
fn place(state: &Json) -> String {
    let text = |field| state.get(field).and_then(Json::as_str).unwrap_or_default();
    format!("{} {}", text("host"), text("listen"))
        .trim()
        .to_owned()
}

/// What the machine is called, where it says so.
fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}
