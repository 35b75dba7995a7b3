//! What all requests share: the settings, made ready for use.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::header::HeaderMap;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::auth::{Access, Caller, presented_key};
use crate::access::{ClientKeys, Failures, Holder, KnownKeys, Seat, Shares};
use crate::config::{self, Config, MissingFinal, UnknownModel, UsageCount};
use crate::engine::count::TokenCounter;
use crate::engine::{Engine, Settings};
use crate::observe::metrics::Metrics;
use crate::translate::face::FaceSettings;
use crate::translate::face::chat::messages;
use crate::translate::face::chat::write::ReasoningField;
use crate::translate::fold::{Overflow, Room};
use crate::translate::guide::{GuideSettings, Measured};
use crate::translate::image;
use crate::translate::key::Secret;
use crate::translate::model::{AnyLlm, Catalogue, Changes, ModelInfo, Reasoning};
use crate::translate::plan::Capabilities;
use crate::translate::reading;
use crate::translate::tools::Dialect;
use crate::upstream::{FalClient, FalKey};

/// The gateway's state, one for the process.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    pub access: Access,
    pub admin_keys: ClientKeys,
    pub catalogue: Catalogue,
    /// What may be asked of fal.
    pub capabilities: Capabilities,
    /// What faces have to know of the settings.
    pub face: FaceSettings,
    /// What runs plans.
    pub engine: Engine,
    pub metrics: Arc<Metrics>,
    pub stopping: Stopping,
    /// Wrong keys, by the address that showed them.
    pub failures: Failures,
    /// Callers' fal keys that fal has accepted.
    pub known_keys: KnownKeys,
    /// Requests whose body does not come at once.
    awaiting: Arc<Shares>,
    /// Requests that are served under keys which fal has not accepted yet.
    newcomers: Arc<Shares>,
    inflight: AtomicUsize,
    /// Bytes of large request bodies that are held.
    held: AtomicUsize,
    /// Told when the last request that was being served is done.
    idle: Notify,
}

/// The two moments of a shutdown.
#[derive(Clone, Debug, Default)]
pub struct Stopping {
    /// No new requests from here on.
    pub announced: CancellationToken,
    /// Answers that are still running are ended.
    pub enforced: CancellationToken,
}

/// Why a gateway cannot be built from settings that are fine by themselves.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("fal.key holds characters that no HTTP header can carry")]
    FalKey,
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("the system gives no random numbers")]
    Random,
    #[error("cannot set up TLS towards fal")]
    Tls(#[from] reqwest::Error),
}

/// The state of one worker thread: the shared part, and connections to fal of its own.
#[derive(Clone, Debug)]
pub struct Worker {
    pub gateway: Arc<Gateway>,
    pub fal: Rc<FalClient>,
}

/// A place among the requests being served; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    gateway: Arc<Gateway>,
    _seat: Option<Seat>,
}

/// Memory that a request's body takes up; given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    gateway: Arc<Gateway>,
    bytes: usize,
}

impl Gateway {
    /// Makes settings ready for use.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn new(config: Config) -> Result<Self, BuildError> {
        let clients = ClientKeys::new(&config.auth.keys);
        let access = match &config.fal.key {
            None => Access::PassThrough { clients },
            Some(key) => {
                let fal = FalKey::new(key).ok_or(BuildError::FalKey)?;
                match clients.is_empty() {
                    true => Access::Open { fal },
                    false => Access::Keys { clients, fal },
                }
            }
        };
        let metrics = Arc::new(Metrics::new()?);
        let stopping = Stopping::default();
        let secret = secret(&config)?;
        Ok(Self {
            access,
            admin_keys: ClientKeys::new(&config.auth.admin_key),
            catalogue: Catalogue::new(changes(&config.models)),
            capabilities: Capabilities {
                max_choices: u32::try_from(config.limits.max_n).unwrap_or(u32::MAX),
                max_calls: max_calls(&config),
                max_tokens: config.limits.max_tokens.map(|most| most as u64),
                enterprise: config.fal.enterprise,
                strict: config.compat.strict_parameters,
                guide: guide(&config, secret),
                room_is_fals: false,
                room: Room {
                    prompt: config.limits.max_prompt_chars,
                    system_prompt: config.limits.max_system_chars,
                    overflow: match config.limits.overflow {
                        config::Overflow::Error => Overflow::Error,
                        config::Overflow::Shift => Overflow::Shift,
                        config::Overflow::DropOldest => Overflow::DropOldest,
                    },
                },
            },
            face: face(&config),
            engine: engine(&config, secret, &metrics, &stopping),
            metrics,
            stopping,
            failures: Failures::new(config.auth.max_failures),
            known_keys: KnownKeys::default(),
            awaiting: Shares::in_quarters(config.limits.max_awaiting),
            newcomers: Shares::in_quarters(config.limits.max_inflight),
            inflight: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            idle: Notify::new(),
            config,
        })
    }

    /// A place among the requests being served, unless all are taken or the caller may have no
    /// more of them.
    pub fn place(self: &Arc<Self>, caller: Option<&Caller>) -> Option<Place> {
        let is_new = caller.is_some_and(|caller| caller.is_new);
        let seat = match is_new {
            true => Some(Shares::take(&self.newcomers, &[Holder::Newcomers])?),
            false => None,
        };
        let most = self.config.limits.max_inflight;
        self.inflight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place {
                gateway: Arc::clone(self),
                _seat: seat,
            })
    }

    /// Whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.inflight() >= self.config.limits.max_inflight
    }

    /// A seat among the requests whose body is awaited, unless the caller may have no more of them.
    pub fn seat(&self, caller: &Caller) -> Option<Seat> {
        let address = caller.address.map(Holder::Address);
        let key = caller.print.map(Holder::Key);
        let newcomers = caller.is_new.then_some(Holder::Newcomers);
        let holders: Vec<Holder> = [address, key, newcomers].into_iter().flatten().collect();
        Shares::take(&self.awaiting, &holders)
    }

    /// Whether the headers show the admin key.
    pub fn is_admin(&self, headers: &HeaderMap) -> bool {
        let key = presented_key(headers).ok().flatten();
        key.is_some_and(|key| self.admin_keys.verify(key.expose_secret()).is_some())
    }

    /// Room for a body that is about to come.
    pub fn hold(self: &Arc<Self>) -> Held {
        Held {
            gateway: Arc::clone(self),
            bytes: 0,
        }
    }

    /// How many requests are being served.
    pub fn inflight(&self) -> usize {
        self.inflight.load(Ordering::Acquire)
    }

    /// Waits until no request is being served.
    pub async fn until_idle(&self) {
        loop {
            let told = self.idle.notified();
            if self.inflight() == 0 {
                return;
            }
            told.await;
        }
    }

    /// What a model is counted under: names that the catalogue does not know are one.
    pub fn model_label<'n>(&self, id: &'n str) -> &'n str {
        match self.catalogue.card(id) {
            Some(_) => id,
            None => "other",
        }
    }
}

impl Held {
    /// Makes room for a body of so many bytes, unless the bodies of all requests together become
    /// too much. Ordinary bodies are not counted: their number is limited.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        const ORDINARY: usize = 64 * 1024;
        if bytes <= ORDINARY {
            return true;
        }
        let more = bytes.saturating_sub(self.bytes);
        let most = self.gateway.config.limits.max_body_memory;
        let grown = self
            .gateway
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(more).filter(|held| *held <= most)
            });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.gateway.held.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.gateway.inflight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gateway.idle.notify_one();
        }
    }
}

/// What keys are derived with: as the operator set it, or else drawn at random for this process.
fn secret(config: &Config) -> Result<Secret, BuildError> {
    if let Some(text) = &config.fold.secret {
        return Ok(Secret::of_text(text.expose_secret()));
    }
    let drawn = ring::rand::generate::<[u8; 32]>(&SystemRandom::new());
    let drawn = drawn.map_err(|_| BuildError::Random)?;
    Ok(Secret::new(drawn.expose()))
}

/// What faces have to know.
fn face(config: &Config) -> FaceSettings {
    FaceSettings {
        messages: messages::Limits {
            max_messages: config.limits.max_messages,
            ignore: config
                .compat
                .ignore
                .iter()
                .map(|field| field.name())
                .collect(),
            images: image::Limits {
                max_images: config.limits.max_images,
                max_image_bytes: config.limits.max_image_bytes,
                allow_http: config.images.http,
            },
        },
        reasoning_field: match config.compat.reasoning_field {
            config::ReasoningField::Both => ReasoningField::Both,
            config::ReasoningField::ReasoningContent => ReasoningField::ReasoningContent,
            config::ReasoningField::Reasoning => ReasoningField::Reasoning,
        },
    }
}

fn max_calls(config: &Config) -> u32 {
    u32::try_from(config.limits.max_calls).unwrap_or(u32::MAX)
}

fn engine(config: &Config, secret: Secret, metrics: &Arc<Metrics>, stopping: &Stopping) -> Engine {
    Engine {
        settings: Settings {
            reading: reading::Limits {
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
            always_tells_usage: config.usage.always_stream,
        },
        metrics: Arc::clone(metrics),
        observed: Arc::default(),
        counter: (config.usage.count == UsageCount::Exact).then(TokenCounter::start),
        stop: stopping.enforced.clone(),
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

fn changes(models: &config::Models) -> Changes {
    Changes {
        default: Some(models.default.clone()),
        builtin_aliases: models.builtin_aliases,
        aliases: models.aliases.clone().into_iter().collect(),
        add: models.add.iter().map(model).collect(),
        hide: models.hide.clone(),
        refuse_unknown: models.unknown == UnknownModel::Refuse,
        fallbacks: models.fallbacks.clone().into_iter().collect(),
    }
}

fn model(added: &config::AddedModel) -> ModelInfo {
    ModelInfo {
        any_llm: AnyLlm {
            is_served: None,
            premium: added.premium,
            vision: Some(added.vision),
            enterprise: added.enterprise,
        },
        reasoning: Some(match added.reasoning {
            true => Reasoning::Optional,
            false => Reasoning::Never,
        }),
        context_length: added
            .context_length
            .and_then(|tokens| u32::try_from(tokens).ok()),
        ..ModelInfo::of_unknown(added.id.clone())
    }
}
