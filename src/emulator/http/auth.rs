//! Who calls. Source: fal docs, "Authentication"; the texts of refusals as users have met them.

use uuid::Uuid;

use super::call::Call;

/// The keys and tokens that open the door.
#[derive(Debug)]
pub(in crate::emulator) struct Keys {
    /// The one valid key; `None` makes every well-formed key valid.
    key: Option<String>,
    /// The token handed out in exchange for a key; it lives as long as the emulator.
    token: String,
}

impl Keys {
    pub(in crate::emulator) fn new(key: Option<String>) -> Keys {
        Keys {
            key,
            token: Uuid::new_v4().simple().to_string(),
        }
    }

    pub(in crate::emulator) fn token(&self) -> &str {
        &self.token
    }

    /// Lets a call in, or names the kind of error that refuses it.
    pub(in crate::emulator) fn admit(&self, call: &Call) -> Result<(), &'static str> {
        if call.query("fal_jwt_token") == Some(&self.token) {
            return Ok(());
        }
        let Some((scheme, secret)) = call
            .header("authorization")
            .and_then(|text| text.split_once(' '))
        else {
            return Err("no_key");
        };
        match scheme.to_ascii_lowercase().as_str() {
            "key" => self.admit_key(secret.trim()),
            _ if secret == self.token => Ok(()),
            _ => Err("key_unknown"),
        }
    }

    fn admit_key(&self, secret: &str) -> Result<(), &'static str> {
        let well_formed = matches!(secret.split_once(':'), Some((id, secret)) if !id.is_empty() && !secret.is_empty());
        if !well_formed {
            return Err("key_malformed");
        }
        match &self.key {
            Some(key) if key != secret => Err("key_unknown"),
            _ => Ok(()),
        }
    }
}
