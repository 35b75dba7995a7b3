//! Who calls, and whose fal key pays.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};

use super::error::ApiError;
use crate::access::{ClientKeyId, ClientKeys};
use crate::upstream::FalKey;

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
    /// The client key's name, for logs.
    pub id: Option<ClientKeyId>,
}

impl Access {
    /// Lets a caller in.
    ///
    /// # Errors
    /// 401 when the key is missing or wrong, or when there is more than one.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let presented = presented_key(headers)?;
        match self {
            Self::Open { fal } => Ok(Caller {
                fal_key: fal.clone(),
                brought_fal_key: false,
                id: None,
            }),
            Self::Keys { clients, fal } => {
                let key = presented.ok_or_else(missing_key)?;
                let id = clients.verify(key.expose_secret()).ok_or_else(wrong_key)?;
                Ok(Caller {
                    fal_key: fal.clone(),
                    brought_fal_key: false,
                    id: Some(id),
                })
            }
            Self::PassThrough { clients } => {
                let key = presented.ok_or_else(missing_fal_key)?;
                let is_clients =
                    !clients.is_empty() && clients.verify(key.expose_secret()).is_some();
                let fal_key = FalKey::new(&key)
                    .filter(|_| !is_clients)
                    .ok_or_else(wrong_key)?;
                Ok(Caller {
                    fal_key,
                    brought_fal_key: true,
                    id: None,
                })
            }
        }
    }

    /// Lets a caller see what costs nothing, such as the list of models.
    ///
    /// # Errors
    /// 401 where client keys are configured and the caller shows none of them.
    pub fn admit_reader(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self {
            Self::Keys { .. } => self.admit(headers).map(drop),
            Self::Open { .. } | Self::PassThrough { .. } => Ok(()),
        }
    }

    /// Whether anybody who reaches the port could spend the gateway's money: then pages of other
    /// origins must be kept out by other means.
    pub fn trusts_the_network(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// The key in `Authorization: Bearer`, or in fal's own `Authorization: Key`.
///
/// # Errors
/// 401 for another scheme, and for two headers.
pub fn presented_key(headers: &HeaderMap) -> Result<Option<SecretString>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unauthorized(
            "The request has two Authorization headers. Send one.",
        ));
    }
    let text = value.to_str().unwrap_or_default();
    let key = match text.split_once(' ') {
        Some((scheme, key))
            if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("key") =>
        {
            key.trim()
        }
        _ => {
            return Err(unauthorized(
                "The Authorization header must read: Bearer YOUR_API_KEY.",
            ));
        }
    };
    Ok(Some(SecretString::from(key)).filter(|_| !key.is_empty()))
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::invalid_request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
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

fn wrong_key() -> ApiError {
    unauthorized(
        "The API key you sent is not one of this gateway's keys. Ask its operator for a key.",
    )
}
