//! Whether gateways on one store have the same keys and projects in their files.

use std::collections::HashMap;

use ring::digest::{Context, SHA256};

use crate::config::Config;

/// For how many checks in a row another gateway has to differ, so that a file that is being rolled out
/// is nothing to speak of.
const TIMES: u32 = 5;

/// What the settings file of a gateway says of keys and projects, in a few letters: the same for the
/// same.
pub fn print_of(config: &Config) -> String {
    let mut context = Context::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    for line in &config.auth.keys {
        add(line.to_string().as_bytes());
    }
    for key in &config.keys {
        add(serde_json::Value::from(key.to_json())
            .to_string()
            .as_bytes());
        let hashes = std::iter::once(&key.hash).chain(&key.previous_hash);
        hashes.for_each(|hash| add(hash.sha256()));
    }
    for project in &config.projects {
        let fields = serde_json::Value::from(project.to_json());
        add(fields.to_string().as_bytes());
    }
    let digest = context.finish();
    let bytes = digest.as_ref().iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Those gateways whose files differ from this one's, and for how many checks each has.
#[derive(Debug, Default)]
pub struct Differing(HashMap<String, u32>);

impl Differing {
    /// Takes in which gateways differ now; gives those that have for some time.
    pub fn check(&mut self, differing: Vec<String>) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        for id in differing {
            let times = before.remove(&id).unwrap_or(0).saturating_add(1);
            self.0.insert(id, times);
        }
        let long = self.0.iter().filter(|(_, times)| **times >= TIMES);
        let mut long: Vec<String> = long.map(|(id, _)| id.clone()).collect();
        long.sort_unstable();
        long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_differs_for_a_moment_is_not_named() {
        let mut differing = Differing::default();
        let one = || vec!["one".to_owned()];
        for _ in 1..TIMES {
            assert!(differing.check(one()).is_empty());
        }
        assert_eq!(differing.check(one()), one());
        assert!(differing.check(Vec::new()).is_empty());
        assert!(differing.check(one()).is_empty());
    }
}
