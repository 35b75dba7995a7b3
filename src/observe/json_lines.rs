//! The log as JSON lines, written by hand: the same lines as `tracing-subscriber`'s at a fifth of
//! their cost, which was a third of what a short request took.

use std::fmt::{self, Debug, Write as _};
use std::io;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;

/// Longest usual line. More than a thousand bytes come from where large things are allocated, which takes
/// many times as long.
const USUAL_LINE: usize = 1000;
/// Bytes that are looked at together, which takes about as long as one by itself.
const STRIDE: usize = 16;

/// Writes each event as a JSON object on a line: when, how bad, what, its fields, where. There are no
/// spans here.
pub(super) struct JsonLines<W> {
    pub(super) who_may_speak: Targets,
    pub(super) most: LevelFilter,
    pub(super) writer: W,
}

impl<W> Subscriber for JsonLines<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (target, level) = (metadata.target(), metadata.level());
        metadata.is_event() && self.who_may_speak.would_enable(target, level)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn event(&self, event: &Event<'_>) {
        let line = line(event, jiff::Timestamp::now());
        // Nobody could be told that the log cannot be written.
        let _ = io::Write::write_all(&mut self.writer.make_writer(), line.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn line(event: &Event<'_>, now: jiff::Timestamp) -> String {
    let metadata = event.metadata();
    let mut line = String::with_capacity(USUAL_LINE);
    let _ = write!(
        line,
        "{{\"timestamp\":\"{now:.6}\",\"level\":\"{}\"",
        metadata.level()
    );
    event.record(&mut Members(&mut line));
    Members(&mut line).member("target", |out| out.text(metadata.target()));
    line.push_str("}\n");
    line
}

/// Adds members to a JSON object.
struct Members<'l>(&'l mut String);

impl Members<'_> {
    /// Names stand in the program, and have nothing that would have to be spelt out.
    fn member(&mut self, name: &'static str, value: impl FnOnce(&mut Self)) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
        value(self);
    }

    fn text(&mut self, text: &str) {
        self.0.push('"');
        let _ = Escaping(self.0).write_str(text);
        self.0.push('"');
    }

    fn shown(&mut self, field: &Field, value: impl fmt::Display) {
        self.member(field.name(), |out| {
            let _ = write!(out.0, "{value}");
        });
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field.name(), |out| {
            out.0.push('"');
            let _ = write!(Escaping(out.0), "{value:?}");
            out.0.push('"');
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), |out| out.text(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.shown(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.shown(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.shown(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.shown(field, format_args!("{value:?}")),
            false => self.shown(field, "null"),
        }
    }
}

/// Spells out on the way through what may not stand in a JSON string, and every control character.
struct Escaping<'l>(&'l mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text) {
            self.0.push_str(text);
            return Ok(());
        }
        for letter in text.chars() {
            match letter {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                control if control.is_control() => {
                    write!(self.0, "\\u{:04x}", u32::from(control))?;
                }
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

/// Whether a text stands in JSON as it is, and is plain ASCII.
fn is_plain(text: &str) -> bool {
    let is_other =
        |byte: &u8| u8::from(!matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'));
    // Without an early end, so that the compiler compares all of them at once.
    let has_other = |bytes: &[u8]| bytes.iter().fold(0, |any, byte| any | is_other(byte)) != 0;
    let (strides, rest) = text.as_bytes().as_chunks::<STRIDE>();
    !strides.iter().any(|stride| has_other(stride)) && !has_other(rest)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn what_is_spelt_out_is_seen_wherever_it_stands() {
        for length in 0..3 * super::STRIDE {
            let text = "x".repeat(length);
            assert!(is_plain(&text));
            for at in 0..length {
                for other in ["\"", "\\", "\n", "\u{7f}", "\u{9b}", "\u{e9}"] {
                    let mut text = text.clone();
                    text.replace_range(at..=at, other);
                    assert!(!is_plain(&text), "{text:?}");
                }
            }
        }
    }
}
