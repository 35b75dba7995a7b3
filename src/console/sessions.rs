//! Who has opened the console with the admin key. The key is exchanged for a token, so that a page
//! need not keep it: a token opens the console alone, for one origin and for half a day.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// How long a token opens the console.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// More browsers than an admin has. The oldest makes room.
const MAX: usize = 32;

/// The tokens that were given out, as hashes.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Vec<Session>>);

#[derive(Debug)]
struct Session {
    /// Of the token and the origin together.
    hash: [u8; 32],
    since: Instant,
}

impl Sessions {
    /// A new token for pages of an origin. `None` if the system gives no random numbers.
    pub fn open(&self, origin: &str) -> Option<String> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).ok()?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(Session::is_alive);
        if sessions.len() >= MAX {
            sessions.remove(0);
        }
        sessions.push(Session {
            hash: hash(&token, origin),
            since: Instant::now(),
        });
        Some(token)
    }

    /// Whether a token opens the console to pages of this origin.
    pub fn is_open(&self, token: &str, origin: &str) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = hash(token, origin);
        sessions
            .iter()
            .any(|session| session.is_alive() && session.is_of(&hash))
    }

    /// Makes a token worthless.
    pub fn close(&self, token: &str, origin: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = hash(token, origin);
        sessions.retain(|session| !session.is_of(&hash));
    }
}

impl Session {
    fn is_alive(&self) -> bool {
        self.since.elapsed() < LIFE
    }

    fn is_of(&self, hash: &[u8; 32]) -> bool {
        // How long it takes to compare hashes tells nothing of a token.
        self.hash == *hash
    }
}

fn hash(token: &str, origin: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    let both = format!("{token}\n{origin}");
    hash.copy_from_slice(digest(&SHA256, both.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_for_its_origin_until_it_is_closed() {
        let sessions = Sessions::default();
        let token = sessions.open("http://a:1").unwrap_or_default();
        assert!(sessions.is_open(&token, "http://a:1"));
        assert!(!sessions.is_open(&token, "http://a:2"));
        assert!(!sessions.is_open("", "http://a:1"));
        sessions.close(&token, "http://a:2");
        assert!(sessions.is_open(&token, "http://a:1"));
        sessions.close(&token, "http://a:1");
        assert!(!sessions.is_open(&token, "http://a:1"));
    }

    #[test]
    fn there_are_never_more_sessions_than_an_admin_has_browsers() {
        let sessions = Sessions::default();
        let first = sessions.open("o").unwrap_or_default();
        for _ in 0..MAX {
            assert!(sessions.open("o").is_some());
        }
        assert!(!sessions.is_open(&first, "o"));
    }
}
