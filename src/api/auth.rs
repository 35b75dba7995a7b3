//! Who calls, and whose fal key pays.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::address;
use super::context::Context;
use super::error::ApiError;
use crate::access::keyring::Sources;
use crate::access::roster::Changes;
use crate::access::{ClientKey, ClientKeys, KeyPrint, KnownKeys, Refused};
use crate::config::Scope;
use crate::engine::terms::TermsOwner;
use crate::translate::plan::Target;
use crate::translate::problem::{Problem, ProblemKind, Source};
use crate::upstream::FalKey;

/// Headers that hold nothing but a key, as other APIs have them. They go before `Authorization`.
const KEY_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// How callers identify themselves and which key fal is shown.
#[derive(Debug)]
pub enum Access {
    /// The gateway has a fal key, and callers need a key of the gateway's.
    Keys { clients: ClientKeys, fal: FalKey },
    /// The gateway has a fal key, and whoever can connect may use it.
    Open { fal: FalKey },
    /// The gateway has no fal key: callers bring theirs.
    PassThrough { clients: ClientKeys },
}

/// A caller who may go on.
#[derive(Debug)]
pub struct Caller {
    pub fal_key: FalKey,
    /// Whose key `fal_key` is.
    pub brought_fal_key: bool,
    /// The client key, where there are keys.
    pub key: Option<Arc<ClientKey>>,
    /// What the caller's key is told apart by, where one is asked for.
    pub print: Option<KeyPrint>,
    /// Whether the key is a fal key that fal has not accepted yet.
    pub is_new: bool,
    /// Where the caller is, as far as that is known; neighbours in an IPv6 network are one.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// For whom things are kept that came of the caller's requests.
    pub fn terms_owner(&self) -> TermsOwner {
        let client = self.key.as_ref().map(|key| key.id.as_str().to_owned());
        TermsOwner {
            fal_key: self.fal_key.print(),
            client,
        }
    }
}

/// Why a caller may not go on.
#[derive(Debug)]
pub enum Denial {
    /// No key was shown, or none that could be one.
    NoKey(ApiError),
    /// A key was shown that opens nothing.
    WrongKey(ApiError),
}

impl Denial {
    fn into_error(self) -> ApiError {
        match self {
            Self::NoKey(error) | Self::WrongKey(error) => error,
        }
    }
}

impl Access {
    /// The same with what has changed in the store; `None` where that may change more than keys.
    pub fn with(&self, sources: Sources<'_>, changes: &Changes) -> Option<Self> {
        match self {
            Self::Keys { clients, fal } => Some(Self::Keys {
                clients: clients.with(sources, changes),
                fal: fal.clone(),
            }),
            Self::PassThrough { clients } => Some(Self::PassThrough {
                clients: clients.with(sources, changes),
            }),
            Self::Open { .. } => None,
        }
    }

    /// Whether there are client keys, or may be.
    pub fn knows_keys(&self) -> bool {
        match self {
            Self::Keys { .. } => true,
            Self::Open { .. } => false,
            Self::PassThrough { clients } => !clients.is_empty(),
        }
    }

    /// The gateway's own fal key, if it has one.
    pub fn own_fal_key(&self) -> Option<&FalKey> {
        match self {
            Self::Keys { fal, .. } | Self::Open { fal } => Some(fal),
            Self::PassThrough { .. } => None,
        }
    }

    /// Lets a caller in at this time.
    ///
    /// # Errors
    /// 401 when the key is missing or wrong, or when there is more than one.
    pub fn admit(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Denial> {
        let caller = |fal_key: &FalKey| Caller {
            fal_key: fal_key.clone(),
            brought_fal_key: false,
            key: None,
            print: None,
            is_new: false,
            address: None,
        };
        match self {
            // No key matters here, so none is looked at.
            Self::Open { fal } => Ok(caller(fal)),
            Self::Keys { clients, fal } => {
                let key = presented_key(headers).map_err(Denial::NoKey)?;
                let key = key.ok_or_else(|| Denial::NoKey(missing_key()))?;
                let key = key.expose_secret();
                let known = clients
                    .verify(key, now)
                    .map_err(|refused| Denial::WrongKey(wrong_key(refused)))?;
                Ok(Caller {
                    key: Some(Arc::clone(known)),
                    print: Some(KnownKeys::print(key)),
                    ..caller(fal)
                })
            }
            Self::PassThrough { clients } => {
                let key = presented_key(headers).map_err(Denial::NoKey)?;
                let key = key.ok_or_else(|| Denial::NoKey(missing_fal_key()))?;
                let is_ours = clients.verify(key.expose_secret(), now);
                if is_ours.err() != Some(Refused::Unknown) {
                    return Err(Denial::NoKey(clients_key()));
                }
                let is_fals = is_like_fals(key.expose_secret());
                let fal = FalKey::new(&key).filter(|_| is_fals);
                let fal = fal.ok_or_else(|| Denial::NoKey(no_fal_key()))?;
                Ok(Caller {
                    brought_fal_key: true,
                    print: Some(KnownKeys::print(key.expose_secret())),
                    ..caller(&fal)
                })
            }
        }
    }
}

impl Caller {
    /// Leaves out of the models that may answer those that the caller's key may not ask for. A model
    /// whose rate is not known might cost the premium one.
    ///
    /// # Errors
    /// 403 when that is the one that was asked for.
    pub fn allowed<'a>(
        &self,
        target: Target<'a>,
        mut others: Vec<Target<'a>>,
    ) -> Result<(Target<'a>, Vec<Target<'a>>), ApiError> {
        let Some(key) = &self.key else {
            return Ok((target, others));
        };
        let may = |target: &Target<'_>| {
            let is_premium = target
                .card
                .is_none_or(|card| card.any_llm.premium.unwrap_or(true));
            key.may_ask(&target.id, is_premium)
        };
        others.retain(may);
        match may(&target) {
            true => Ok((target, others)),
            false => Err(model_not_allowed(key, &target.id)),
        }
    }
}

impl Context {
    /// Lets a caller in who wants this, as long as his address has not tried too many wrong keys. A
    /// key that is known to be right always opens.
    ///
    /// # Errors
    /// 401 when the key is missing or wrong, or when there is more than one; 403 when it is for
    /// something else; 429 after too many wrong ones.
    pub fn admit(&self, request: &HttpRequest, scope: Scope) -> Result<Caller, ApiError> {
        let mut caller = self.admit_any(request)?;
        if let Some(key) = caller.key.as_ref().filter(|key| !key.is_for(scope)) {
            return Err(missing_scope(key, scope));
        }
        caller.address = self.address_of(request).map(address::block);
        let is_known = caller
            .print
            .is_some_and(|print| self.gateway.known_keys.has(&print));
        caller.is_new = caller.brought_fal_key && !is_known;
        match caller.address.and_then(|address| self.wait_for(address)) {
            Some(wait_s) if caller.is_new => Err(too_many_failures(wait_s)),
            _ => Ok(caller),
        }
    }

    /// Lets a caller in, whatever his key is for.
    ///
    /// # Errors
    /// 401 when the key is missing or wrong, or when there is more than one; 429 after too many wrong
    /// ones; 503 where the store's keys are not known.
    pub fn admit_any(&self, request: &HttpRequest) -> Result<Caller, ApiError> {
        // By the clock by which a key was given its end.
        let now = self.gateway.purses().now();
        let caller = match self.snapshot.access.admit(request.headers(), now) {
            Ok(caller) => caller,
            // It may be one of the store's.
            Err(_) if !self.gateway.knows_roster() => return Err(keys_unknown()),
            Err(Denial::WrongKey(error)) => return Err(self.count_failure(request, error)),
            Err(denial) => return Err(denial.into_error()),
        };
        let is_stored = caller.key.as_ref().is_some_and(|key| key.is_stored);
        match is_stored && self.gateway.is_roster_stale(&self.snapshot.config.auth) {
            true => Err(keys_unknown()),
            false => Ok(caller),
        }
    }

    /// Lets a caller see what costs nothing, such as the list of models, and gives the key that he
    /// shows, where keys are asked for.
    ///
    /// # Errors
    /// 401 where client keys are configured and the caller shows none of them, 403 for a key that is
    /// for something else, and 429 after too many wrong ones.
    pub fn admit_reader(&self, request: &HttpRequest) -> Result<Option<Arc<ClientKey>>, ApiError> {
        match &self.snapshot.access {
            Access::Keys { .. } => Ok(self.admit(request, Scope::Models)?.key),
            Access::Open { .. } | Access::PassThrough { .. } => Ok(None),
        }
    }

    /// Learns from what fal has made of a caller's key.
    pub fn learn_of_key(&self, caller: &Caller, refusal: Option<&Problem>) {
        let Some(print) = caller.print.filter(|_| caller.brought_fal_key) else {
            return;
        };
        match refusal {
            None => self.gateway.known_keys.add(print),
            Some(problem) if problem.kind == ProblemKind::Unauthenticated => {
                if let Some(address) = caller.address {
                    self.gateway.failures.note(address, Instant::now());
                }
            }
            Some(_) => {}
        }
    }

    /// The refusal of a key that is not the admin's.
    pub fn wrong_admin_key(&self, request: &HttpRequest, message: &str) -> ApiError {
        let error = unauthorized(message);
        match presented_key(request.headers()) {
            Ok(Some(_)) => self.count_failure(request, error),
            Ok(None) | Err(_) => error,
        }
    }

    /// Where a request comes from.
    pub fn address_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let proxies = &self.snapshot.config.server.trusted_proxies;
        address::of_client(request.peer_addr(), request.headers(), proxies)
    }

    /// Holds a wrong key against its address. What is said of it is `error`, or that there were
    /// too many.
    pub fn count_failure(&self, request: &HttpRequest, error: ApiError) -> ApiError {
        let Some(address) = self.address_of(request).map(address::block) else {
            return error;
        };
        let wait = self.wait_for(address);
        self.gateway.failures.note(address, Instant::now());
        wait.map_or(error, too_many_failures)
    }

    /// For how many seconds an address may not try another key.
    fn wait_for(&self, address: IpAddr) -> Option<u32> {
        let wait = self.gateway.failures.wait(address, Instant::now())?;
        u32::try_from(wait.as_secs().saturating_add(1)).ok()
    }
}

/// The key of a request: in `x-api-key` or `api-key`, else in `Authorization: Bearer`, or in fal's
/// own `Authorization: Key`. A header without anything in it counts as none.
///
/// # Errors
/// 401 for another scheme, and for two headers of one name.
pub fn presented_key(headers: &HeaderMap) -> Result<Option<SecretString>, ApiError> {
    for name in &KEY_HEADERS {
        let Some(key) = only(headers, name)? else {
            continue;
        };
        let key = key.to_str().unwrap_or("?").trim();
        if !key.is_empty() {
            return Ok(Some(SecretString::from(key)));
        }
    }
    let Some(value) = only(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    let key = without_scheme(value.to_str().unwrap_or_default())
        .ok_or_else(|| unauthorized("The Authorization header must read: Bearer YOUR_API_KEY."))?;
    // Whoever copied the header of fal's documentation into the place for a key.
    let is_fals = |(scheme, _): &(&str, &str)| scheme.eq_ignore_ascii_case("key");
    let key = key
        .split_once(' ')
        .filter(is_fals)
        .map_or(key, |(_, key)| key.trim());
    Ok(Some(SecretString::from(key)).filter(|_| !key.is_empty()))
}

/// The only header of a name.
fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, ApiError> {
    let mut values = headers.get_all(name);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(unauthorized(&format!(
            "The request has two {name} headers. Send one."
        ))),
    }
}

fn without_scheme(text: &str) -> Option<&str> {
    let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
    let is_ours = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("key");
    is_ours.then(|| key.trim())
}

/// Whether a key can be fal's: an id and a secret with a colon between them (source:
/// fal.ai/docs/authentication/key-based).
fn is_like_fals(key: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    key.split_once(':')
        .is_some_and(|(id, secret)| is_part(id) && is_part(secret))
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::refusal(ProblemKind::Unauthenticated, "invalid_api_key", message)
}

fn missing_key() -> ApiError {
    unauthorized(
        "You did not send an API key. Send one of this gateway's keys as: Authorization: Bearer YOUR_API_KEY.",
    )
}

fn missing_fal_key() -> ApiError {
    unauthorized(
        "You did not send an API key. This gateway passes keys through: send your fal key as \
         Authorization: Bearer YOUR_FAL_KEY, or set FAL_KEY on the gateway.",
    )
}

fn no_fal_key() -> ApiError {
    unauthorized(
        "The API key you sent is not a fal key, which reads ID:SECRET. This gateway passes keys through: \
         send your fal key as Authorization: Bearer YOUR_FAL_KEY, or set FAL_KEY on the gateway.",
    )
}

fn clients_key() -> ApiError {
    unauthorized(
        "The key you sent is one of this gateway's, which has no fal key to use for it. Send your fal key, \
         or set FAL_KEY on the gateway.",
    )
}

fn wrong_key(refused: Refused) -> ApiError {
    unauthorized(match refused {
        Refused::Unknown => {
            "The API key you sent is not one of this gateway's keys. Ask its operator for a key."
        }
        Refused::Expired => {
            "The API key you sent has expired. Ask the gateway's operator for a new one."
        }
        Refused::Disabled => "The API key you sent is disabled. Ask the gateway's operator.",
    })
}

/// In OpenAI's code and status for a project that has no access to a model.
fn model_not_allowed(key: &ClientKey, model: &str) -> ApiError {
    let message = format!(
        "Your API key '{}' does not have access to the model '{model}'. GET /v1/models lists those that it may use.",
        key.id
    );
    let problem = Problem::new(ProblemKind::Forbidden, "model_not_found", message);
    problem.about("model").into()
}

/// While nobody knows which keys there are.
fn keys_unknown() -> ApiError {
    let problem = Problem::new(
        ProblemKind::Overloaded,
        "store_unavailable",
        "The gateway cannot reach the store with its keys. Nothing was sent; try again in a second.",
    );
    ApiError::from(Problem {
        source: Source::Gateway,
        retry_after_s: Some(1),
        ..problem
    })
}

fn missing_scope(key: &ClientKey, scope: Scope) -> ApiError {
    let message = format!(
        "Your API key '{}' is not for this: it lacks the scope '{}'. Ask the gateway's operator.",
        key.id,
        scope.word()
    );
    ApiError::refusal(ProblemKind::Forbidden, "insufficient_permissions", message)
}

fn too_many_failures(wait_s: u32) -> ApiError {
    let problem = Problem::new(
        ProblemKind::RateLimited,
        "too_many_failures",
        "Too many wrong API keys came from your address. Check the key, and try again in a minute.",
    );
    ApiError::from(Problem {
        retry_after_s: Some(wait_s),
        should_retry: Some(false),
        ..problem
    })
}
