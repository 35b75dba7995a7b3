//! What the tools of a request and the schema of its answer come to, whoever sends them.
//!
//! An agent sends the same tools with every request, and to read them anew costs more than all the
//! rest. So what comes of them is a value of its own, which depends on nothing else: it can be kept
//! and serve other requests that bring the same.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::ask::{AnswerFormat, Ask};
use super::contract::Schemas;
use super::json;
use super::key::{Secret, TextsHash};
use super::known_text::KnownText;
use super::rejection::Rejection;
use super::tools::signature::{Detail, definitions};
use super::tools::{Tool, ToolSet};

/// What comes of tools and a schema.
#[derive(Debug)]
pub struct Terms {
    pub schemas: Schemas,
    /// See [`Self::definitions`].
    definitions: OnceLock<Arc<KnownText>>,
    /// See [`Self::tools`].
    tools: OnceLock<(Secret, TextsHash)>,
    /// See [`Self::outline`].
    answer_outline: OnceLock<Option<String>>,
    arguments_outline: OnceLock<Option<String>>,
}

/// A schema that an outline is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlined {
    /// The answer's.
    Answer,
    /// That of the arguments of the only tool.
    Arguments,
}

impl Terms {
    /// What comes of the tools and the schema of a request.
    ///
    /// # Errors
    /// Like those of [`Schemas::of`].
    pub fn of(ask: &Ask<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            schemas: Schemas::of(ask.tools.as_ref(), &ask.format)?,
            definitions: OnceLock::new(),
            tools: OnceLock::new(),
            answer_outline: OnceLock::new(),
            arguments_outline: OnceLock::new(),
        })
    }

    /// The tools as a model is told them that is told everything of them. `offer` is the one that
    /// these terms are of.
    pub fn definitions(&self, offer: &ToolSet<'_>) -> &Arc<KnownText> {
        let write = || Arc::new(KnownText::new(definitions(offer, Detail::Full)));
        self.definitions.get_or_init(write)
    }

    /// What stands for the tools in the keys of conversations. `offer` is the one that these terms
    /// are of.
    pub fn tools(&self, offer: &ToolSet<'_>, secret: &Secret) -> TextsHash {
        let hash = || (*secret, offer.hash(secret));
        match self.tools.get_or_init(hash) {
            (known, hash) if known == secret => *hash,
            // The setting was changed meanwhile.
            _ => offer.hash(secret),
        }
    }

    /// The outline of a schema, which is one of those that these terms are of.
    pub fn outline(&self, of: Outlined, schema: &str) -> Option<Cow<'_, str>> {
        let known = match of {
            Outlined::Answer => &self.answer_outline,
            Outlined::Arguments => &self.arguments_outline,
        };
        if let Some(outline) = known.get() {
            return outline.as_deref().map(Cow::Borrowed);
        }
        let outline = json::outline(schema).map(|value| value.to_string());
        match outline {
            // What constants make of it may be longer, and is not kept.
            Some(long) if long.len() > schema.len() => Some(Cow::Owned(long)),
            outline => known.get_or_init(|| outline).as_deref().map(Cow::Borrowed),
        }
    }

    /// About how many bytes of memory these terms take, together with their source.
    pub fn memory(&self, source: &Source) -> usize {
        // The source, the definitions, the same as they stand in JSON, where escapes are escaped again,
        // the texts of the schemas in a tree and in what checks it, and their outlines.
        let texts = source.bytes.len().saturating_mul(6);
        let texts = texts.saturating_add(source.escapes.saturating_mul(1 + 3));
        texts.saturating_add(self.schemas.memory)
    }
}

/// All that terms depend on: terms of the same source are the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// All texts, each behind its length.
    bytes: Box<[u8]>,
    /// By how many bytes the texts grow at most when they are written as JSON.
    escapes: usize,
}

impl fmt::Debug for Source {
    /// Callers' texts are in no log.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Source({} bytes)", self.bytes.len())
    }
}

impl Source {
    /// What the terms of a request depend on; `None` where there are neither tools nor a schema.
    pub fn of(ask: &Ask<'_>) -> Option<Self> {
        let room = |text: Option<&str>| text.map_or(0, str::len).saturating_add(size_of::<u64>());
        let room = texts(ask)?.map(room).fold(0, usize::saturating_add);
        let mut bytes = Vec::with_capacity(room);
        let mut escapes = 0_usize;
        for text in texts(ask)? {
            bytes.extend_from_slice(&length(text).to_le_bytes());
            let text = text.unwrap_or_default().as_bytes();
            bytes.extend_from_slice(text);
            escapes = escapes.saturating_add(growth(text));
        }
        let bytes = bytes.into();
        Some(Self { bytes, escapes })
    }

    /// Whether this is what the terms of a request depend on.
    pub fn is_of(&self, ask: &Ask<'_>) -> bool {
        let mut rest = self.bytes.as_ref();
        for text in texts(ask).into_iter().flatten() {
            let behind = rest.strip_prefix(&length(text).to_le_bytes());
            let behind =
                behind.and_then(|rest| rest.strip_prefix(text.unwrap_or_default().as_bytes()));
            let Some(behind) = behind else { return false };
            rest = behind;
        }
        rest.is_empty()
    }

    /// How long the texts are that the terms of a request depend on, in bytes: that alone tells most
    /// of them apart. `None` where there are neither tools nor a schema.
    pub fn lengths(ask: &Ask<'_>) -> Option<Vec<u64>> {
        Some(texts(ask)?.map(length).collect())
    }
}

/// The texts that terms depend on, or the lack of them.
fn texts<'t>(ask: &'t Ask<'_>) -> Option<impl Iterator<Item = Option<&'t str>>> {
    let schema = match &ask.format {
        AnswerFormat::JsonSchema(wanted) => Some(wanted),
        AnswerFormat::Text | AnswerFormat::JsonObject => None,
    };
    if ask.tools.is_none() && schema.is_none() {
        return None;
    }
    let tools = ask.tools.iter().flat_map(|offer| &offer.tools);
    let schema = schema.map(|wanted| {
        [
            Some(wanted.path),
            Some(wanted.schema.get()),
            said(wanted.strict),
        ]
    });
    Some(tools.flat_map(of_tool).chain(schema.into_iter().flatten()))
}

fn of_tool<'t>(tool: &'t Tool<'_>) -> [Option<&'t str>; 6] {
    let Tool {
        path,
        name,
        description,
        parameters,
        strict,
        // Its path follows from that of the parameters.
        text,
    } = tool;
    [
        Some(path),
        Some(name),
        description.as_deref(),
        parameters.map(RawValue::get),
        said(*strict),
        text.as_ref().map(|text| text.schema.get()),
    ]
}

fn said(strict: bool) -> Option<&'static str> {
    strict.then_some("strict")
}

/// The length of a text, or what no text has where it is lacking, so that no two lists of texts
/// become one.
fn length(text: Option<&str>) -> u64 {
    text.map_or(u64::MAX, |text| text.len() as u64)
}

/// By how many bytes a text grows at most when it is written as JSON.
fn growth(text: &[u8]) -> usize {
    // Counted in bytes, which the compiler adds up many at once; in a part none of them overflows.
    let parts = text.chunks(usize::from(u8::MAX) / 5);
    let grown = parts.map(|part| {
        let grows = |byte: &u8| 5 * u8::from(*byte < 0x20) + u8::from(matches!(byte, b'"' | b'\\'));
        let sum = part
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(grows(byte)));
        usize::from(sum)
    });
    grown.sum()
}
