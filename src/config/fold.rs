//! How conversations are written into prompts.

use secrecy::SecretString;

use super::kinds::{Optional, Passphrase};
use super::settings::settings;

settings! {
    /// How conversations are written into prompts.
    pub struct Fold in "fold" {
        /// Secret from which the keys in the gateway's markup are derived, at least 16 characters.
        /// The same for all replicas and restarts, it lets them send the same prompt for the same
        /// conversation, which providers' caches need; unset, it is drawn at random at each start.
        secret: Option<SecretString>, Optional(Passphrase), reload live;
    }
}
