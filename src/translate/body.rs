//! A request's body as faces read it, without the tools in it that were read before.
//!
//! An agent sends the same tools with every request: most of the body, which would be walked through
//! again and again only to find where it ends. So a body in which they stand byte for byte is read
//! with an empty list in their place, and what is known of them is put there afterwards. That changes
//! nothing: a list ends where it ends, whatever surrounds it.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use serde_json::value::RawValue;

use super::json::Extent;
use super::notes::Members;
use super::rejection::Rejection;
use super::tools::{OwnedTool, Tool};

/// The member of a request that holds its tools, whichever API it is for.
pub const TOOLS: &str = "tools";
/// What stands in the place of a list that is known.
const PLACEHOLDER: &str = "[]";
/// Places in one body where tools are looked for: the name may be that of other members too.
const MAX_PLACES: usize = 4;

/// A request's body.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// The same without its tools, where they are known.
    pub shortened: Option<&'a Shortened>,
}

impl<'a> Body<'a> {
    pub fn new(bytes: &'a [u8], shortened: Option<&'a Shortened>) -> Self {
        Self { bytes, shortened }
    }

    /// Where in all of it this value stands that was read of it, as long as it holds no tools that were
    /// left out.
    pub fn place_of(&self, value: &RawValue) -> Option<Range<usize>> {
        let length = value.get().len();
        let within = |text: &[u8]| {
            let begin = value
                .get()
                .as_ptr()
                .addr()
                .checked_sub(text.as_ptr().addr())?;
            (begin.checked_add(length)? <= text.len()).then_some(begin)
        };
        let begin = match within(self.bytes) {
            Some(begin) => begin,
            None => {
                let shortened = self.shortened?;
                let begin = within(shortened.text.as_bytes())?;
                let left_out = self.bytes.len().checked_sub(shortened.text.len())?;
                match begin < shortened.at {
                    true => begin,
                    false => begin.checked_add(left_out)?,
                }
            }
        };
        Some(begin..begin.checked_add(length)?)
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes, None)
    }
}

/// The list of tools of a request, as it stands there.
#[derive(Clone, Copy, Debug)]
pub struct SentTools<'a> {
    pub json: &'a RawValue,
    pub extent: Extent,
    /// What is known of it, where it was read before.
    pub known: Option<&'a Arc<KnownTools>>,
}

/// A list of tools that was read before.
#[derive(Debug)]
pub struct KnownTools {
    json: Box<RawValue>,
    extent: Extent,
    /// See [`Self::functions`].
    functions: OnceLock<(Vec<OwnedTool>, Members)>,
}

impl KnownTools {
    /// What is known of a list that was read; what is known already, if it is.
    pub fn of(sent: SentTools<'_>) -> Arc<Self> {
        match sent.known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Self {
                json: sent.json.to_owned(),
                extent: sent.extent,
                functions: OnceLock::new(),
            }),
        }
    }

    /// As it was sent.
    pub fn sent(self: &Arc<Self>) -> SentTools<'_> {
        SentTools {
            json: &self.json,
            extent: self.extent,
            known: Some(self),
        }
    }

    /// About how many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        // As it was sent, and its texts once they are read.
        self.json.get().len().saturating_mul(2)
    }

    /// The tools as chat completions offer them, with `read` as what reads such a list where nobody
    /// has yet. What has no effect in them is added to `members`.
    ///
    /// # Errors
    /// What `read` says is wrong, which is not kept.
    pub fn functions(
        &self,
        members: &mut Members,
        read: impl FnOnce(&RawValue, &mut Members) -> Result<Vec<OwnedTool>, Rejection>,
    ) -> Result<Vec<Tool<'_>>, Rejection> {
        let (tools, without_effect) = match self.functions.get() {
            Some(known) => known,
            None => {
                let mut own = Members::default();
                let tools = read(&self.json, &mut own)?;
                self.functions.get_or_init(|| (tools, own))
            }
        };
        members.add_all(without_effect);
        Ok(tools.iter().map(OwnedTool::lend).collect())
    }
}

/// A body without the tools in it that are known.
#[derive(Debug)]
pub struct Shortened {
    text: String,
    /// Where the placeholder stands in the text.
    at: usize,
    tools: Arc<KnownTools>,
}

impl Shortened {
    /// Looks for tools that are known; `None` where there are none, or they are the smaller part.
    pub fn of(body: &[u8], known: &[Arc<KnownTools>]) -> Option<Self> {
        let length = |tools: &KnownTools| tools.json.get().len();
        // What is left is copied, which has to be worth it.
        let is_most = |tools: &Arc<KnownTools>| length(tools).saturating_mul(2) >= body.len();
        if !known.iter().any(is_most) {
            return None;
        }
        let places = memmem::find_iter(body, b"\"tools\":").take(MAX_PLACES);
        places.into_iter().find_map(|place| {
            let at = place.saturating_add("\"tools\":".len());
            let blanks = body
                .get(at..)?
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace());
            let (before, rest) = body.split_at_checked(at.saturating_add(blanks.count()))?;
            let starts = |tools: &&Arc<KnownTools>| {
                is_most(tools) && rest.starts_with(tools.json.get().as_bytes())
            };
            let tools = known.iter().find(starts)?;
            let before = std::str::from_utf8(before).ok()?;
            let after = std::str::from_utf8(rest.get(length(tools)..)?).ok()?;
            Some(Self {
                text: [before, PLACEHOLDER, after].concat(),
                at: before.len(),
                tools: Arc::clone(tools),
            })
        })
    }

    /// The body with an empty list in the place of the tools.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tools, if this value, a piece of the text, stands in their place.
    pub fn tools_at(&self, value: &RawValue) -> Option<SentTools<'_>> {
        let begin = self.text.as_ptr().addr();
        let place = value.get().as_ptr().addr().checked_sub(begin);
        let is_placeholder = place == Some(self.at) && value.get() == PLACEHOLDER;
        is_placeholder.then(|| self.tools.sent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::openai::fields::Fields;

    fn known(json: &str) -> Arc<KnownTools> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        KnownTools::of(SentTools {
            json,
            extent: Extent::of(json.get()),
            known: None,
        })
    }

    #[test]
    fn only_a_list_that_is_known_to_the_letter_is_taken_out() {
        let long = "x".repeat(50);
        let plain = format!("[{{\"a\": \"{long}\"}}]");
        let quoting = format!("[{{\"a\": \"{long}, \\\"tools\\\": [] \"}}]");
        let all = [known(&plain), known(&quoting)];
        for (body, shortened) in [
            ("{\"tools\": LIST, \"b\": 1}", true),
            ("{\"b\":{\"tools\":1},\"tools\":LIST}", true),
            ("{\"tools\":\n\tLIST}", true),
            ("{\"tools\" : LIST}", false),
            ("{\"tools\": [LIST]}", false),
            ("{\"tools\": LIST, \"b\": \"LIST LIST LIST\"}", false),
        ] {
            for list in [&plain, &quoting] {
                let whole = body.replace("LIST", list);
                let text = shortened.then(|| body.replace("LIST", "[]"));
                let shortened = Shortened::of(whole.as_bytes(), &all);
                assert_eq!(shortened.map(|body| body.text), text, "{whole}");
            }
        }
        let other = format!("{{\"tools\": {}}}", plain.replace("a", "b"));
        assert!(Shortened::of(other.as_bytes(), &all).is_none());
        let no_text = [b"{\"tools\": ", plain.as_bytes(), b", \"b\": \"\xff\"}"].concat();
        assert!(Shortened::of(&no_text, &all).is_none());
    }

    #[test]
    fn a_value_has_its_place_in_the_whole_body_also_behind_tools_that_were_left_out() {
        let list = format!("[{{\"a\": \"{}\"}}]", "x".repeat(200));
        let whole = format!("{{\"input\": [1, 2], \"tools\": {list}, \"after\": \"é\"}}");
        let shortened = Shortened::of(whole.as_bytes(), &[known(&list)]);
        let text = shortened.as_ref().unwrap().text();
        assert!(text.len() < 100);
        for (body, json) in [
            (Body::new(whole.as_bytes(), None), whole.as_str()),
            (Body::new(whole.as_bytes(), shortened.as_ref()), text),
        ] {
            let Fields(fields) = serde_json::from_str(json).unwrap();
            for (name, value) in fields.iter().filter(|(name, _)| name != TOOLS) {
                let place = body.place_of(value).unwrap();
                assert_eq!(whole.get(place), Some(value.get()), "{name}");
            }
        }
        let elsewhere: Box<RawValue> = serde_json::from_str("[1, 2]").unwrap();
        assert_eq!(Body::from(whole.as_bytes()).place_of(&elsewhere), None);
    }
}
