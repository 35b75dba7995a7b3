//! Writes a snapshot as JSON and as a server-sent event, in each form the script can ask for.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{python_json, snapshots::Snapshot};
use crate::emulator::{
    router::usage::{Tally, Usage},
    script::{Behaviour, Quirk},
};

/// The form of a stream's events.
///
/// By default that of sse-starlette, which fal's documented stream shows: `event: event`, CRLF.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Framing {
    line_end: &'static str,
    named: bool,
    ascii: bool,
    two_lines: bool,
    noise: bool,
    bom: bool,
    shape: Shape,
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) enum Form {
    AnyLlm,
    /// The router's: any-llm's, and usage at its end.
    Router(Tally),
    /// The router's about media: the output, and usage at its end. Nothing says that an answer is
    /// not complete yet.
    Media(Tally),
}

/// Which keys an answer has, and in which order.
#[derive(Clone, Copy, Debug)]
struct Shape {
    form: Form,
    reasoning_first: bool,
    nulls: bool,
    usage: TellsUsage,
}

/// When a router's answer tells its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TellsUsage {
    Never,
    AtTheEnd,
    Always,
}

/// A snapshot, as it is written.
struct Shaped<'a> {
    snapshot: &'a Snapshot,
    shape: Shape,
}

impl Framing {
    pub(in crate::emulator) fn new(behaviour: &Behaviour, form: Form) -> Framing {
        Framing {
            line_end: if behaviour.has(Quirk::Cr) {
                "\r"
            } else if behaviour.has(Quirk::Lf) {
                "\n"
            } else {
                "\r\n"
            },
            named: !behaviour.has(Quirk::Bare),
            ascii: !behaviour.has(Quirk::Unescaped),
            two_lines: behaviour.has(Quirk::TwoLines),
            noise: behaviour.has(Quirk::Noise),
            bom: behaviour.has(Quirk::Bom),
            shape: Shape {
                form,
                reasoning_first: behaviour.has(Quirk::KeyOrder),
                nulls: !behaviour.has(Quirk::NoNulls),
                usage: match () {
                    () if behaviour.has(Quirk::NoUsage) => TellsUsage::Never,
                    () if behaviour.has(Quirk::UsageEach) => TellsUsage::Always,
                    () => TellsUsage::AtTheEnd,
                },
            },
        }
    }

    /// Whether an answer has no place for an error.
    pub(super) fn is_mute(&self) -> bool {
        matches!(self.shape.form, Form::Media(_))
    }

    /// What stands before the first event.
    pub(super) fn opening(&self) -> &'static str {
        if self.bom { "\u{feff}" } else { "" }
    }

    /// A comment, with which sse-starlette keeps a silent connection alive.
    pub(in crate::emulator) fn ping(&self) -> Bytes {
        format!(
            ": ping - 2025-01-01 00:00:00.000000+00:00{0}{0}",
            self.line_end
        )
        .into()
    }

    pub(super) fn event(&self, snapshot: &Snapshot) -> Bytes {
        let shaped = Shaped {
            snapshot,
            shape: self.shape,
        };
        self.event_of(&python_json::to_string(&shaped, self.ascii))
            .into()
    }

    /// An event with any data.
    pub(super) fn event_of(&self, data: &str) -> String {
        let end = self.line_end;
        let name = if self.named {
            format!("event: event{end}")
        } else {
            String::new()
        };
        let noise = if self.noise {
            format!(": noise{end}id: 7{end}retry: 3000{end}")
        } else {
            String::new()
        };
        let data = match data.split_once(", ").filter(|_| self.two_lines) {
            Some((first, second)) => format!("data: {first},{end}data: {second}{end}"),
            None => format!("data: {data}{end}"),
        };
        format!("{noise}{name}{data}{end}")
    }

    /// A snapshot as the body of an answer that is not streamed: compact, as FastAPI writes it.
    pub(in crate::emulator) fn body(&self, snapshot: &Snapshot) -> Vec<u8> {
        serde_json::to_vec(&Shaped {
            snapshot,
            shape: self.shape,
        })
        .expect("our own types serialize")
    }
}

/// An event of the queue's status stream: data only, LF. Source: fal docs, queue page.
pub(in crate::emulator) fn data_event(value: &impl Serialize) -> Bytes {
    format!("data: {}\n\n", python_json::to_string(value, true)).into()
}

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Snapshot {
            output,
            reasoning,
            partial,
            error,
        } = self.snapshot;
        let mut map = serializer.serialize_map(None)?;
        let usage = self.usage();
        if let Form::Media(_) = self.shape.form {
            map.serialize_entry("output", output)?;
            if error.is_some() {
                map.serialize_entry("error", error)?;
            }
            if usage.is_some() || self.shape.nulls {
                map.serialize_entry("usage", &usage)?;
            }
            return map.end();
        }
        let text = |map: &mut S::SerializeMap, key, value: &Option<String>| match value {
            None if !self.shape.nulls => Ok(()),
            value => map.serialize_entry(key, value),
        };
        if self.shape.reasoning_first {
            map.serialize_entry("schema_version", &3)?;
            text(&mut map, "reasoning", reasoning)?;
            text(&mut map, "output", output)?;
            map.serialize_entry("metadata", &[("provider", "emulated")])?;
        } else {
            text(&mut map, "output", output)?;
            text(&mut map, "reasoning", reasoning)?;
        }
        map.serialize_entry("partial", partial)?;
        text(&mut map, "error", error)?;
        if let Form::Router(_) = self.shape.form
            && (usage.is_some() || self.shape.nulls)
        {
            map.serialize_entry("usage", &usage)?;
        }
        map.end()
    }
}

impl Shaped<'_> {
    /// What the router tells of the usage here.
    fn usage(&self) -> Option<Usage> {
        let tally = match self.shape.form {
            Form::AnyLlm => return None,
            Form::Router(tally) | Form::Media(tally) => tally,
        };
        let Snapshot {
            output,
            reasoning,
            partial,
            ..
        } = self.snapshot;
        let tells = match self.shape.usage {
            TellsUsage::Never => false,
            TellsUsage::AtTheEnd => !partial,
            TellsUsage::Always => true,
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        tells.then(|| tally.usage(&text(output), &text(reasoning)))
    }
}
