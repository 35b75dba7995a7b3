//! The settings, made ready for use. A request takes a [`Snapshot`] once, at its beginning, and keeps
//! it to its end; meanwhile others may begin with a newer one.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use actix_web::http::header::HeaderMap;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;

use super::auth::{Access, presented_key};
use super::catalogue::changes;
use super::gateway::{BuildError, Shutdown};
use super::lists;
use crate::access::keyring::Sources;
use crate::access::roster::{Changes, LastChange, News};
use crate::access::{AdminKeys, ClientKeys, Filed, Limiters, Purses, Roster};
use crate::config::{self, Config, MissingFinal, Prefer, UsageCount, WhenGone};
use crate::engine::count::TokenCounter;
use crate::engine::observed::Observed;
use crate::engine::terms::KnownTerms;
use crate::engine::{Engine, Settings};
use crate::observe::calls::CallQueue;
use crate::observe::metrics::Metrics;
use crate::store::Database;
use crate::store::responses::Responses;
use crate::translate::face::FaceSettings;
use crate::translate::face::chat::messages;
use crate::translate::face::chat::write::ReasoningField;
use crate::translate::face::messages::StandIns;
use crate::translate::fold::{Overflow, PromptLimits};
use crate::translate::guide::{GuideSettings, Measured};
use crate::translate::image;
use crate::translate::key::Secret;
use crate::translate::model::{Catalogue, PublicLists};
use crate::translate::plan::PlanLimits;
use crate::translate::reading;
use crate::translate::routing::{Preference, Routing, Rule};
use crate::translate::tools::Dialect;
use crate::translate::upstream::{Apps, UpstreamId};
use crate::upstream::FalKey;

/// What requests are served by. It never changes; a reload puts another one in its place.
#[derive(Debug)]
pub struct Snapshot {
    /// Which one it is since the start of the process; the first is 1.
    pub version: u64,
    /// The last change in the store that it knows; less than any where none is known.
    pub last_change: LastChange,
    pub config: Arc<Config>,
    /// What the settings have taken of names and hashes.
    pub filed: Arc<Filed>,
    pub access: Access,
    pub admin_keys: Arc<AdminKeys>,
    pub catalogue: Arc<Catalogue>,
    /// What may be asked of fal.
    pub plan_limits: PlanLimits,
    /// What faces have to know of the settings.
    pub face: Arc<FaceSettings>,
    /// What runs plans.
    pub engine: Arc<Engine>,
}

/// What outlives a snapshot, and every snapshot's engine works with.
#[derive(Debug)]
pub struct Lasting {
    pub metrics: Arc<Metrics>,
    pub stopping: Shutdown,
    observed: Arc<Observed>,
    terms: Arc<KnownTerms>,
    /// What keys and projects have taken of their limits.
    pub limiters: Limiters,
    /// What they may spend.
    pub purses: Arc<Purses>,
    /// Calls that have ended and are not in the ledger yet.
    pub calls: Arc<CallQueue>,
    /// Started by the first snapshot that counts tokens.
    counter: OnceLock<Arc<TokenCounter>>,
    /// What outlives requests.
    pub store: Database,
    pub responses: Responses,
    /// What the public lists say of models.
    lists: RwLock<Arc<PublicLists>>,
    /// The keys and projects of the store; `None` before they are known.
    roster: RwLock<Option<Arc<Roster>>>,
    /// What keys are derived with where the operator has set nothing for it.
    drawn_secret: Secret,
}

impl Lasting {
    /// What a process begins with.
    ///
    /// # Errors
    /// When metrics cannot be set up, the store cannot be opened, or the system gives no random
    /// numbers.
    pub fn new(config: &Config) -> Result<Self, BuildError> {
        let drawn = ring::rand::generate::<[u8; 32]>(&SystemRandom::new());
        let drawn = drawn.map_err(|_| BuildError::Random)?;
        let store = Database::open(&config.store)?;
        let calls = CallQueue::default();
        if config.ledger.enabled && !store.is_in_memory() {
            calls.allow(config.ledger.max_waiting);
        }
        let kept = config.models.cache.as_deref().map(lists::load);
        Ok(Self {
            metrics: Arc::new(Metrics::new()?),
            stopping: Shutdown::default(),
            observed: Arc::default(),
            terms: Arc::default(),
            limiters: match store.is_shared() {
                true => Limiters::shared(config.store.timeout),
                false => Limiters::default(),
            },
            purses: Arc::default(),
            calls: Arc::new(calls),
            counter: OnceLock::new(),
            responses: Responses::new(store.clone(), config.store.most_bytes()),
            store,
            lists: RwLock::new(Arc::new(kept.unwrap_or_default())),
            roster: RwLock::default(),
            drawn_secret: Secret::new(drawn.expose()),
        })
    }
}

impl Lasting {
    /// What the public lists say of models.
    pub fn lists(&self) -> Arc<PublicLists> {
        let lists = self.lists.read();
        Arc::clone(&lists.unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys and projects of the store, if they are known.
    pub fn roster(&self) -> Option<Arc<Roster>> {
        let roster = self.roster.read();
        roster.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last change of them that is known.
    fn last_change(&self) -> LastChange {
        let roster = self.roster();
        roster.map_or(LastChange::UNKNOWN, |roster| roster.last)
    }

    /// Has every snapshot from now on know what has changed in the store; gives what that is, and
    /// nothing where it is all that there is.
    pub fn take_news(&self, news: News) -> Option<Changes> {
        let held = self.roster.write();
        let mut held = held.unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            // Nobody else looks at it, most of the time; then nothing is copied.
            Some(known) if !news.is_all => Some(Arc::make_mut(known).take(news)),
            Some(_) | None => {
                let mut roster = Roster::default();
                roster.take(news);
                *held = Some(Arc::new(roster));
                None
            }
        }
    }

    /// Has every snapshot from now on know what these lists say.
    pub fn set_lists(&self, lists: PublicLists) {
        let held = self.lists.write();
        *held.unwrap_or_else(PoisonError::into_inner) = Arc::new(lists);
    }
}

impl Snapshot {
    /// Makes settings ready for use.
    ///
    /// # Errors
    /// When the fal key is one that no header can carry.
    pub fn new(config: Config, version: u64, lasting: &Lasting) -> Result<Self, BuildError> {
        let secret = match &config.fold.secret {
            Some(text) => Secret::of_text(text.expose_secret()),
            None => lasting.drawn_secret,
        };
        let filed = Filed::of(&config);
        Ok(Self {
            version,
            last_change: lasting.last_change(),
            access: access(&config, &filed, lasting)?,
            filed: Arc::new(filed),
            admin_keys: Arc::new(AdminKeys::of(&config)),
            catalogue: Arc::new(Catalogue::new(changes(&config.models, lasting.lists()))),
            plan_limits: plan_limits(&config, secret),
            face: Arc::new(face(&config)),
            engine: Arc::new(engine(&config, secret, lasting)),
            config: Arc::new(config),
        })
    }

    /// The same settings, with the keys and projects that the store has now: all of them, or where it
    /// is known what has changed, that alone.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_keys(
        &self,
        lasting: &Lasting,
        changes: Option<&Changes>,
    ) -> Result<Self, BuildError> {
        let renewed = changes.and_then(|changes| {
            let roster = lasting.roster()?;
            let sources = sources(&self.config, &self.filed, &roster, lasting);
            self.access.with(sources, changes)
        });
        Ok(Self {
            version: self.version,
            last_change: lasting.last_change(),
            access: match renewed {
                Some(access) => access,
                None => access(&self.config, &self.filed, lasting)?,
            },
            config: Arc::clone(&self.config),
            filed: Arc::clone(&self.filed),
            admin_keys: Arc::clone(&self.admin_keys),
            catalogue: Arc::clone(&self.catalogue),
            plan_limits: self.plan_limits.clone(),
            face: Arc::clone(&self.face),
            engine: Arc::clone(&self.engine),
        })
    }

    /// Whether the headers show an admin key that may do everything, at this time by the store's clock.
    pub fn is_admin(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let key = presented_key(headers).ok().flatten();
        key.is_some_and(|key| {
            let key = key.expose_secret();
            let known = self.admin_keys.verify(key, now);
            known.is_some_and(|key| key.is_chief())
        })
    }

    /// What a model is counted under: names that the catalogue does not know are one.
    pub fn model_label<'n>(&self, id: &'n str) -> &'n str {
        match self.catalogue.card(id) {
            Some(_) => id,
            None => "other",
        }
    }
}

/// The last thing here that can fail comes before the limits are set, so that settings which are
/// refused leave them as they were.
fn access(config: &Config, filed: &Filed, lasting: &Lasting) -> Result<Access, BuildError> {
    let fal = config.fal.key.as_ref().map(FalKey::new);
    let fal = fal.map(|key| key.ok_or(BuildError::FalKey)).transpose()?;
    let roster = lasting.roster();
    let may_have_keys = config.has_store() && !config.auth.allow_unauthenticated;
    // Nobody comes in without a key before it is known whether there are any.
    let is_closed = may_have_keys && (roster.is_none() || config.beyond().is_some());
    let roster = roster.unwrap_or_default();
    let clients = ClientKeys::of(sources(config, filed, &roster, lasting));
    Ok(match fal {
        None => Access::PassThrough { clients },
        Some(fal) if clients.is_empty() && !is_closed => Access::Open { fal },
        Some(fal) => Access::Keys { clients, fal },
    })
}

fn sources<'s>(
    config: &'s Config,
    filed: &'s Filed,
    roster: &'s Roster,
    lasting: &'s Lasting,
) -> Sources<'s> {
    Sources {
        config,
        filed,
        roster,
        limiters: &lasting.limiters,
        purses: &lasting.purses,
    }
}

fn plan_limits(config: &Config, secret: Secret) -> PlanLimits {
    PlanLimits {
        max_choices: u32::try_from(config.limits.max_n).unwrap_or(u32::MAX),
        max_calls: max_calls(config),
        max_tokens: config.limits.max_tokens.map(|most| most as u64),
        has_list_prices: has_fals_any_llm(&config.fal),
        routing: routing(&config.fal),
        enterprise: config.fal.enterprise,
        strict: config.compat.strict_parameters,
        guide: guide(config, secret),
        room_is_fals: false,
        room: PromptLimits {
            prompt: config.limits.max_prompt_chars,
            system_prompt: config.limits.max_system_chars,
            overflow: match config.limits.overflow {
                config::Overflow::Error => Overflow::Error,
                config::Overflow::Shift => Overflow::Shift,
                config::Overflow::DropOldest => Overflow::DropOldest,
            },
        },
    }
}

/// Whether any-llm is fal's own, and not another app.
fn has_fals_any_llm(fal: &config::Fal) -> bool {
    fal.app == Apps::default().any_llm
}

/// How upstreams are chosen where no caller says so.
fn routing(fal: &config::Fal) -> Routing {
    Routing {
        rule: match fal.upstream {
            config::Upstream::AnyLlm => Rule::Fixed(UpstreamId::AnyLlm),
            config::Upstream::Router => Rule::Fixed(UpstreamId::Router),
            config::Upstream::RouterOpenai => Rule::Fixed(UpstreamId::RouterOpenai),
            config::Upstream::Auto => Rule::Auto(preference(fal)),
        },
        replaces_any_llm: fal.when_gone == WhenGone::Router && has_fals_any_llm(fal),
    }
}

/// What decides where several upstreams would do.
pub fn preference(fal: &config::Fal) -> Preference {
    match fal.prefer {
        Prefer::Native => Preference::Native,
        Prefer::Cost => Preference::Cost,
        Prefer::Flat => Preference::Flat,
    }
}

/// What faces have to know.
fn face(config: &Config) -> FaceSettings {
    FaceSettings {
        messages: messages::MessageLimits {
            max_messages: config.limits.max_messages,
            ignore: config
                .compat
                .ignore
                .iter()
                .map(|field| field.name())
                .collect(),
            images: image::ImageLimits {
                max_images: config.limits.max_images,
                excess: match config.images.excess {
                    config::ImageExcess::DropOldest => image::Excess::DropOldest,
                    config::ImageExcess::Refuse => image::Excess::Refuse,
                },
                max_image_bytes: config.limits.max_image_bytes,
                allow_http: config.images.http,
            },
        },
        keeps_responses: config.responses.store,
        reasoning_field: match config.compat.reasoning_field {
            config::ReasoningField::Both => ReasoningField::Both,
            config::ReasoningField::ReasoningContent => ReasoningField::ReasoningContent,
            config::ReasoningField::Reasoning => ReasoningField::Reasoning,
        },
        stand_ins: StandIns {
            large: config.models.claude_large.clone(),
            small: config.models.claude_small.clone(),
        },
    }
}

fn max_calls(config: &Config) -> u32 {
    u32::try_from(config.limits.max_calls).unwrap_or(u32::MAX)
}

fn engine(config: &Config, secret: Secret, lasting: &Lasting) -> Engine {
    let counts = config.usage.count == UsageCount::Exact;
    let counter = counts.then(|| lasting.counter.get_or_init(TokenCounter::start).clone());
    Engine {
        settings: Settings {
            reading: reading::ReaderLimits {
                max_event: config.fal.max_event,
                max_object: config.fal.max_answer,
                accept_missing_final: config.fal.missing_final == MissingFinal::Accept,
            },
            first_byte: config.fal.first_byte_timeout,
            idle: config.fal.idle_timeout,
            total: config.fal.total_timeout,
            max_reasks: config.tools.max_reasks,
            upload_threshold: config.images.upload_threshold,
            max_calls: max_calls(config),
            secret,
            may_be_kept: config.fal.store_io,
            always_tells_usage: config.usage.always_stream,
        },
        apps: Arc::new(apps(&config.fal)),
        metrics: Arc::clone(&lasting.metrics),
        observed: Arc::clone(&lasting.observed),
        terms: Arc::clone(&lasting.terms),
        calls: Arc::clone(&lasting.calls),
        counter,
        stop: lasting.stopping.enforced.clone(),
    }
}

/// Where the upstreams are.
fn apps(fal: &config::Fal) -> Apps {
    Apps {
        any_llm: fal.app.clone(),
        router: fal.router_app.clone(),
        router_openai: fal.openai_app.clone(),
    }
}

/// How models are guided; what the operator says of a model wins over what was measured of it.
fn guide(config: &Config, secret: Secret) -> GuideSettings {
    let chosen = config.tools.dialects.iter();
    let measured = config.capabilities.iter();
    GuideSettings {
        is_lenient: config.tools.lenient,
        dialects: chosen
            .map(|(prefix, form)| (prefix.clone(), dialect(*form)))
            .collect(),
        measured: measured
            .map(|(id, known)| {
                let measured = Measured {
                    dialect: known.dialect.map(dialect),
                    outline: known.outline,
                };
                (id.clone(), measured)
            })
            .collect(),
        outlines: config.tools.outlines.clone().into_iter().collect(),
        secret,
    }
}

fn dialect(form: config::Dialect) -> Dialect {
    match form {
        config::Dialect::Tagged => Dialect::Tagged,
        config::Dialect::Json => Dialect::Json,
        config::Dialect::Xml => Dialect::Markup,
    }
}
