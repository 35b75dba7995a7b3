//! What a gateway that runs takes up of settings that were read again.

use super::problem::Problems;
use super::reader::Reader;
use super::{Config, Sources, consistency, keys};

impl Config {
    /// Makes freshly read settings fit to take the place of running ones: whatever needs a restart
    /// keeps its running value. Gives the names of the settings that do.
    ///
    /// Besides the rows that say so, what keeps strangers out needs a restart: a reload may take the
    /// last client key away as little as the admin key, and it may not change whose fal key pays, nor whether
    /// TLS is spoken. A file that is being written, or was lost, must not open what was closed.
    ///
    /// # Errors
    /// The file has come under the control of somebody else, or the settings contradict the values
    /// that were kept.
    pub fn succeed(
        &mut self,
        running: &Self,
        sources: &Sources,
    ) -> Result<Vec<&'static str>, Problems> {
        self.refuse_new_hands(running)?;
        let kept = self.keep(running);
        self.refuse_first_budgets()?;
        if !kept.is_empty() {
            let mut reader = Reader::new(sources);
            consistency::refuse_contradictions(self, &mut reader);
            let problems = reader.into_problems();
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        Ok(kept)
    }

    /// The first budgets of a gateway without a store need a file for their books, which a restart
    /// opens.
    fn refuse_first_budgets(&self) -> Result<(), Problems> {
        let is_in_memory = self.store.path.is_none() && self.store.url.is_none();
        if !is_in_memory || !keys::has_budgets(self) {
            return Ok(());
        }
        let place = self
            .file
            .as_ref()
            .map(|file| file.path.display().to_string());
        let mut problems = Problems::default();
        let sentence = "there are budgets now, and no store in which what is spent of them outlives the \
                        process: restart, which opens one beside this file.";
        problems.add(place.unwrap_or_default(), sentence.to_owned());
        Err(problems)
    }

    fn keep(&mut self, running: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        self.server.keep(&running.server, &mut kept);
        self.fal.keep(&running.fal, &mut kept);
        self.limits.keep(&running.limits, &mut kept);
        self.auth.keep(&running.auth, &mut kept);
        self.models.keep(&running.models, &mut kept);
        self.compat.keep(&running.compat, &mut kept);
        self.fold.keep(&running.fold, &mut kept);
        self.tools.keep(&running.tools, &mut kept);
        self.usage.keep(&running.usage, &mut kept);
        self.images.keep(&running.images, &mut kept);
        self.log.keep(&running.log, &mut kept);
        self.metrics.keep(&running.metrics, &mut kept);
        self.console.keep(&running.console, &mut kept);
        self.admin.keep(&running.admin, &mut kept);
        self.store.keep(&running.store, &mut kept);
        self.responses.keep(&running.responses, &mut kept);
        self.ledger.keep(&running.ledger, &mut kept);
        if self.fal.key.is_some() != running.fal.key.is_some() {
            self.fal.key.clone_from(&running.fal.key);
            kept.push("fal.key");
        }
        if self.client_keys() == 0 && running.client_keys() > 0 {
            self.auth.keys.clone_from(&running.auth.keys);
            self.keys.clone_from(&running.keys);
            self.projects.clone_from(&running.projects);
            kept.push(if running.keys.is_empty() {
                "auth.keys"
            } else {
                "keys"
            });
        }
        if self.admin_keys.is_empty() && !running.admin_keys.is_empty() {
            self.admin_keys.clone_from(&running.admin_keys);
            kept.push("admin_keys");
        }
        if self.auth.admin_key.is_none() && running.auth.admin_key.is_some() {
            self.auth.admin_key.clone_from(&running.auth.admin_key);
            kept.push("auth.admin_key");
        }
        if self.tls.is_some() != running.tls.is_some() {
            self.tls.clone_from(&running.tls);
            self.server.tls_cert.clone_from(&running.server.tls_cert);
            self.server.tls_key.clone_from(&running.server.tls_key);
            kept.extend(["server.tls_cert", "server.tls_key"]);
        }
        for row in &running.effective {
            if kept.contains(&row.key) {
                self.show(row.key, &row.shown, &row.origin);
            }
        }
        kept
    }

    /// A file that only its owner could change, and that others can change now, may not be what its
    /// owner wrote; nor may one that has become a link.
    fn refuse_new_hands(&self, running: &Self) -> Result<(), Problems> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let before = running.file.as_ref();
        let was_link = before.is_none_or(|file| file.is_link);
        let was_changeable = before.is_none_or(|file| file.changeable.is_some());
        let why = match file.changeable {
            Some(why) if !was_changeable => why,
            _ if file.is_link && !was_link => "it has become a link",
            _ => return Ok(()),
        };
        let mut problems = Problems::default();
        let sentence =
            format!("this file is not read again, because {why}; restart if that is meant.");
        problems.add(file.path.display().to_string(), sentence);
        Err(problems)
    }
}
