//! What the gateway did with a request, for the caller to see.

use std::borrow::Cow;

use super::reading::UsageSource;
use super::routing::Reason;
use super::upstream::UpstreamId;
use crate::wire::object::{MORE, Unknown};
use crate::wire::openai::chat::GatewayNotes;

/// The fields of a request that were not simply passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Kept by the gateway itself, because fal has no such field.
    pub emulated: Vec<&'static str>,
    /// Without effect. Names of unknown fields are the caller's own.
    pub ignored: Vec<Cow<'static, str>>,
    /// How the conversation was written into the prompt; `None` when it went through unchanged.
    pub fold: Option<String>,
    /// Through which upstream the model is asked.
    pub upstream: UpstreamId,
    /// Why through that one, where there was a choice.
    pub because: Option<Reason>,
    /// Where the token counts of the answer come from.
    pub usage: UsageSource,
}

impl Notes {
    /// Nothing is kept, also where that was asked for.
    pub fn unkept(&mut self) {
        let asked = self.emulated.len();
        self.emulated.retain(|name| *name != "store");
        if self.emulated.len() < asked {
            self.ignored.push(Cow::Borrowed("store"));
        }
    }

    /// The notes as they stand in a body.
    pub fn to_wire(&self) -> GatewayNotes<'_> {
        GatewayNotes {
            emulated: self.emulated.clone(),
            ignored: self.ignored.iter().map(AsRef::as_ref).collect(),
            fold: self.fold.as_deref(),
            usage: None,
        }
    }

    /// The upstream, and why it was chosen: `router-openai; because=tools`.
    pub fn route(&self) -> String {
        match self.because {
            Some(reason) => format!("{}; because={}", self.upstream, reason.word()),
            None => self.upstream.to_string(),
        }
    }

    /// The same notes, with what had to be mended in the answer.
    pub fn with_mended(&self, mended: &[&'static str]) -> Self {
        let mut notes = self.clone();
        mended.iter().for_each(|name| notes.emulated(name));
        notes
    }

    /// Adds the paths of what is not checked to what is ignored.
    pub fn unchecked(&mut self, paths: &[String]) {
        let paths = paths.iter().map(|path| Cow::Owned(path.clone()));
        self.ignored.extend(paths);
    }

    /// Adds a field to the ignored ones, once.
    pub fn ignored(&mut self, name: &'static str) {
        if !self.ignored.iter().any(|known| known == name) {
            self.ignored.push(Cow::Borrowed(name));
        }
    }

    /// Takes back that anything had to be done about these fields: the upstream has them.
    pub fn forwarded(&mut self, names: &[&'static str]) {
        self.emulated.retain(|name| !names.contains(name));
        self.ignored.retain(|name| !names.contains(&name.as_ref()));
    }

    /// Takes back that these fields are emulated: they have no effect. Where none of them was,
    /// `otherwise` is the field without effect, if it is any.
    pub fn without_effect(&mut self, names: &[&'static str], otherwise: &'static str) {
        let is_meant = |name: &&'static str| names.contains(name);
        let mut meant: Vec<_> = self.emulated.iter().copied().filter(is_meant).collect();
        self.emulated.retain(|name| !names.contains(name));
        if meant.is_empty() && !otherwise.is_empty() {
            meant.push(otherwise);
        }
        meant.into_iter().for_each(|name| self.ignored(name));
    }

    /// Adds a field to the emulated ones, once.
    pub fn emulated(&mut self, name: &'static str) {
        if !self.emulated.contains(&name) {
            self.emulated.push(name);
        }
    }
}

/// Members inside a request's fields that have no effect, by their paths: `messages[].cache_control`
/// stands for all messages that have it. The number of paths is limited, and so is their length,
/// because the names are the caller's own.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(&'static str, String)>);

/// How many paths are kept; whatever comes after them is [`MORE`].
const MAX_PATHS: usize = 32;
/// How much of a name is kept, in characters.
const LONGEST_NAME: usize = 64;

impl Members {
    /// Adds a member of the objects at `path`.
    pub fn add(&mut self, path: &'static str, name: &str) {
        let is_known =
            |(known_path, known): &(&'static str, String)| *known_path == path && *known == name;
        if self.0.len() > MAX_PATHS || self.0.iter().any(is_known) {
            return;
        }
        self.0.push(match self.0.len() {
            MAX_PATHS => ("", MORE.to_owned()),
            _ => (path, shortened(name)),
        });
    }

    /// Adds the members that an object's type does not have.
    pub fn add_unknown(&mut self, path: &'static str, unknown: &Unknown<'_>) {
        unknown.names().for_each(|name| self.add(path, name));
    }

    /// Adds all of some others.
    pub fn add_all(&mut self, others: &Self) {
        others
            .0
            .iter()
            .for_each(|(path, name)| self.add(path, name));
    }

    /// Adds a member of the objects at `path` if it is there.
    pub fn add_if(&mut self, is_there: bool, path: &'static str, name: &str) {
        if is_there {
            self.add(path, name);
        }
    }

    /// The paths, in the order in which they were met.
    pub fn into_paths(self) -> impl Iterator<Item = Cow<'static, str>> {
        self.0.into_iter().map(|(path, name)| match path {
            "" => name.into(),
            path => format!("{path}.{name}").into(),
        })
    }
}

/// A caller's own name, without control characters and not too long to be repeated.
pub fn shortened(name: &str) -> String {
    let plain = name.chars().filter(|letter| !letter.is_control());
    plain.take(LONGEST_NAME).collect()
}
