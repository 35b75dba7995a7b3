//! Installs the log: text for people or JSON lines for machines, on stderr.
//!
//! Knows how lines are written, not what they say. Whatever clients and fal
//! send may end up in a field, so control characters are escaped: nobody can
//! forge a line or steer the operator's terminal.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal};

use tracing::field::Field;
use tracing::{Subscriber, subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt as lines, registry};

use crate::config::{LogFormat, LogLevel};

/// Starts logging to stderr. Only the first call of a process has an effect.
pub fn init(level: LogLevel, format: LogFormat) {
    let terminal = io::stderr().is_terminal();
    let form = match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Form::Json,
        (LogFormat::Text | LogFormat::Auto, true) => Form::Text {
            colours: colours_wanted(),
        },
        (LogFormat::Text, false) => Form::Text { colours: false },
    };
    // An error says that there is a subscriber already, which may stay.
    let _ = subscriber::set_global_default(log(level, form, io::stderr));
}

/// Reports bugs in the log, by their place alone: the words of a panic may quote a caller's text.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a bug of the gateway");
    }));
}

#[derive(Clone, Copy)]
enum Form {
    Text { colours: bool },
    Json,
}

/// <https://no-color.org>: any value but the empty one says no.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn log<W>(level: LogLevel, form: Form, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = lines::layer().with_writer(writer);
    let layer = match form {
        Form::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_filter(who_may_speak(level))
            .boxed(),
        Form::Text { colours } => layer
            .with_ansi(colours)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_filter(who_may_speak(level))
            .boxed(),
    };
    registry().with(layer)
}

/// Our own messages at the chosen level; those of dependencies only when
/// something is wrong.
fn who_may_speak(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Escaping(writer), "{value:?}")
}

/// Spells control characters out on the way through.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("no test panics while writing")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, form: Form, speak: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        subscriber::with_default(log(level, form, move || writer.clone()), speak);
        let bytes = page.0.lock().expect("no test panics while writing").clone();
        String::from_utf8(bytes).expect("a log is text")
    }

    const PLAIN: Form = Form::Text { colours: false };

    #[test]
    fn control_characters_cannot_forge_a_line_or_steer_a_terminal() {
        let evil = "a\r\n2026-01-01 ERROR forged \x1b[31m\u{9b}31m\u{7f}";
        for form in [PLAIN, Form::Json] {
            let page = logged(LogLevel::Info, form, || {
                tracing::info!(field = %evil, other = evil, "hello {evil}");
            });
            assert_eq!(page.matches('\n').count(), 1, "{page}");
            assert!(page.ends_with('\n'));
            let c0 = page
                .trim_end()
                .chars()
                .find(|c| c.is_ascii_control() && *c != '\u{7f}');
            assert_eq!(c0, None, "{page}");
            assert!(page.contains("hello a\\r\\n"), "{page}");
        }
    }

    #[test]
    fn a_json_line_is_one_object_with_the_fields_at_its_top() {
        let page = logged(LogLevel::Info, Form::Json, || {
            tracing::info!(status = 200, "answered");
        });
        let line: serde_json::Value = serde_json::from_str(&page).expect("the line is JSON");
        assert_eq!(line.get("message"), Some(&"answered".into()));
        assert_eq!(line.get("status"), Some(&200.into()));
        assert_eq!(line.get("level"), Some(&"INFO".into()));
    }

    #[test]
    fn text_has_no_colours_unless_asked_for() {
        let page = logged(LogLevel::Info, PLAIN, || tracing::info!(n = 1, "hi"));
        assert!(page.ends_with("hi n=1\n"), "{page}");
        assert!(!page.contains('\x1b'));
    }

    #[test]
    fn dependencies_speak_only_when_something_is_wrong() {
        let page = logged(LogLevel::Debug, PLAIN, || {
            tracing::debug!("ours");
            tracing::info!(target: "actix_server", "chatter");
            tracing::warn!(target: "actix_server", "trouble");
        });
        assert!(page.contains("ours") && page.contains("trouble"), "{page}");
        assert!(!page.contains("chatter"), "{page}");
    }

    #[test]
    fn level_error_silences_warnings_of_dependencies_too() {
        let page = logged(LogLevel::Error, PLAIN, || {
            tracing::warn!(target: "actix_server", "trouble");
        });
        assert_eq!(page, "");
    }

    #[test]
    fn a_second_start_changes_nothing() {
        init(LogLevel::Error, LogFormat::Auto);
        init(LogLevel::Error, LogFormat::Json);
    }
}
