//! What is kept of a request besides its body, so that another gateway can go on with it.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::auth::Caller;
use crate::api::repeated::MEANT;
use crate::budget::spending::CallPrice;

/// What is kept. No key is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Terms {
    /// What the request goes by.
    pub request_id: String,
    /// The name of the client key, where there are keys.
    pub key: Option<String>,
    /// What the keys of the markup are derived with: a prompt that is made again is the same.
    pub secret: String,
    /// The project of that key.
    pub project: Option<String>,
    /// What one of its calls may cost at most, for one whose answer is never read.
    pub price: CallPrice,
    /// The tokens of its prompt, as far as they can be guessed.
    pub prompt_tokens: u64,
    /// Headers that change what is asked for.
    headers: Vec<(String, String)>,
}

impl Terms {
    /// Those of a request with these headers.
    pub(super) fn of(
        caller: &Caller,
        headers: &HeaderMap,
        request_id: &str,
        (price, prompt_tokens): (CallPrice, u64),
    ) -> Self {
        let project = caller.key.as_ref().and_then(|key| key.project());
        let meant = MEANT.into_iter().filter_map(|name| {
            let value = headers.get(&name)?.to_str().ok()?;
            Some((name.to_string(), value.to_owned()))
        });
        Self {
            request_id: request_id.to_owned(),
            key: caller.key.as_ref().map(|key| key.id.as_str().to_owned()),
            project: project.map(|name| name.to_string()),
            price,
            prompt_tokens,
            secret: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
            headers: meant.collect(),
        }
    }

    /// The headers as the request had them.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        headers
    }
}
