//! The behaviour of one answer: its pace, its form and what goes wrong with it.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use super::{slip::Slip, words};

/// How the emulator answers. The default is quick and faultless.
///
/// Built from words: `"latency:200ms size:4 drop:3".parse::<Behaviour>()`. The words are listed at
/// `GET /_emulator/help`; the same ones work in the header `x-emulate` and in a prompt's
/// `/emulate` line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// Silence before the head of the answer.
    pub latency: Duration,
    /// Silence between the head of a stream and its first event.
    pub first: Duration,
    /// Silence between two events of a stream.
    pub gap: Duration,
    /// Characters that each event adds; `None` cuts any answer into about 24 events.
    pub size: Option<usize>,
    /// How many more times each event is sent, word for word.
    pub repeat: usize,
    /// Bytes per chunk on the wire; `None` sends every event in one chunk.
    pub split: Option<usize>,
    /// A comment line is sent whenever the stream has been silent for this long.
    pub ping: Option<Duration>,
    /// Mebibytes of one endless line, sent after the first event.
    pub flood_mib: Option<usize>,
    /// What ends the answer before its time.
    pub rupture: Option<Rupture>,
    /// The error sent instead of an answer.
    pub fault: Option<Fault>,
    /// Value of the `retry-after` header of an error, in seconds or any other text.
    pub retry_after: Option<String>,
    /// Characters that `prompt` and `system_prompt` may have, each.
    pub limit: Option<usize>,
    /// Calls that may be in progress at once.
    pub concurrency: Option<usize>,
    /// Everything that is either so or not.
    pub quirks: BTreeSet<Quirk>,
    /// How the model goes wrong where it was told to call tools or to write JSON.
    pub slips: BTreeSet<Slip>,
    /// How often it has to be told before it goes right; `None` is once.
    pub stubbornness: Option<usize>,
}

/// The point where an answer breaks, and the way it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rupture {
    /// Events sent before.
    pub after: usize,
    /// What happens then.
    pub how: Break,
}

/// The ways in which an answer may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Silence; the connection stays open.
    Stall,
    /// The connection is cut without the body's end.
    Drop,
    /// The body ends properly in the middle of an event.
    Eof,
    /// An event whose data is not JSON; the stream goes on.
    Garbage,
    /// An event with a byte that is not UTF-8; the stream goes on.
    BadUtf8,
    /// An event with `error` set, which is the last one.
    Error,
}

/// An error sent instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One of the named errors of [`crate::emulator::ERROR_KINDS`].
    Kind(&'static str),
    /// A bare status with `{"detail": …}`.
    Status(u16),
}

/// Switches, off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quirk {
    /// No head is ever sent.
    Hang,
    /// All events in one chunk.
    Burst,
    /// Lines end in LF, not CRLF.
    Lf,
    /// Lines end in CR, not CRLF.
    Cr,
    /// Events have no `event:` line.
    Bare,
    /// A byte order mark opens the stream.
    Bom,
    /// `id:`, `retry:` and comment lines among the events.
    Noise,
    /// The data of an event over two `data:` lines.
    TwoLines,
    /// The closing event is missing.
    NoFinal,
    /// Half-way, text that was already sent is changed.
    Rewrite,
    /// The text ends in blanks that the closing event drops.
    Trim,
    /// One event ends in U+FFFD, which the next one replaces.
    Replacement,
    /// `output` is null.
    NullOutput,
    /// `output` is the empty text.
    Empty,
    /// The reasoning stands inside `output`, in `<think>` tags.
    InlineThink,
    /// `reasoning` before `output`, and fields nobody knows.
    KeyOrder,
    /// Non-ASCII text is sent raw, not as `\u` escapes.
    Unescaped,
    /// Keys with a null value are left out.
    NoNulls,
    /// Headers that nobody should pass on: cookies, another server's CORS rules, 64 KiB of padding.
    Headers,
    /// Tools are called without a sentence before.
    Silent,
    /// A queued call never leaves the queue, and cannot be cancelled.
    Stuck,
    /// The router tells no usage.
    NoUsage,
    /// The router tells the usage so far in every event.
    UsageEach,
    /// Where tools are offered: a plan, one call of a tool that looks harmless, and an end.
    Showcase,
}

impl Behaviour {
    /// Whether a switch is on.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Whether the model makes this slip.
    pub fn makes(&self, slip: Slip) -> bool {
        self.slips.contains(&slip)
    }

    /// This behaviour for a model that was told `times` what was wrong with its reply.
    pub(in crate::emulator) fn corrected(&self, times: usize) -> Behaviour {
        let mut behaviour = self.clone();
        if times >= self.stubbornness.unwrap_or(1) {
            behaviour.slips.clear();
        }
        behaviour
    }

    /// This behaviour, changed by `words`; later words win.
    ///
    /// # Errors
    ///
    /// Names the first word that is not in the table or whose value cannot be read.
    pub fn with(mut self, words: &str) -> Result<Behaviour, String> {
        for word in words.split_whitespace() {
            words::apply(&mut self, word)?;
        }
        Ok(self)
    }

    /// What breaks the stream once `sent` events are out.
    pub(in crate::emulator) fn break_after(&self, sent: usize) -> Option<Break> {
        self.rupture
            .filter(|rupture| rupture.after == sent)
            .map(|rupture| rupture.how)
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(words: &str) -> Result<Behaviour, String> {
        Behaviour::default().with(words)
    }
}
