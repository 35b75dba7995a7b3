//! Installs the log: text for people or JSON lines for machines, on stderr.
//!
//! Knows how lines look, not what they say. Whatever clients and fal
//! send may end up in a field, so control characters are escaped: nobody can
//! forge a line or steer the operator's terminal.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};

use tracing::field::Field;
use tracing::{Subscriber, subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt as text_lines, registry};

use super::json_lines::JsonLines;
use super::lines::Lines;
use crate::config::{LogFormat, LogLevel};

/// Where the lines of this process go, once it logs.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// Starts logging to stderr. Only the first call of a process has an effect. Lines are written by a
/// thread of their own: whoever ends the process calls [`finish`] before.
pub fn init(level: LogLevel, format: LogFormat) {
    let terminal = io::stderr().is_terminal();
    let form = match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Form::Json,
        (LogFormat::Text | LogFormat::Auto, true) => Form::Text {
            colours: colours_wanted(),
        },
        (LogFormat::Text, false) => Form::Text { colours: false },
    };
    let lines = LINES.get_or_init(|| Lines::to(io::stderr(), lost_lines(form)));
    // An error says that there is a subscriber already, which may stay.
    let _ = subscriber::set_global_default(log(level, form, || &**lines));
}

/// Waits until all lines are written, for two seconds at most. What is logged later is written at
/// once.
pub fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish();
    }
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

/// What is said about lines that were lost.
fn lost_lines(form: Form) -> fn(u64) -> String {
    match form {
        Form::Json => |count| {
            format!(
                "{{\"timestamp\":\"{:.6}\",\"level\":\"WARN\",\"message\":\"{LOST}\",\"lines\":{count},\
                 \"target\":\"{}\"}}\n",
                jiff::Timestamp::now(),
                module_path!()
            )
        },
        Form::Text { .. } => {
            |count| format!("{:.6}  WARN {LOST} lines={count}\n", jiff::Timestamp::now())
        }
    }
}

const LOST: &str = "lines of the log were lost here: whoever takes them is too slow";

fn log<W>(level: LogLevel, form: Form, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let most = level_filter(level);
    let who_may_speak = who_may_speak(most);
    match form {
        Form::Json => Box::new(JsonLines {
            who_may_speak,
            most,
            writer,
        }),
        Form::Text { colours } => {
            let layer = text_lines::layer()
                .with_writer(writer)
                .with_ansi(colours)
                .fmt_fields(debug_fn(write_field).delimited(" "))
                .with_filter(who_may_speak);
            Box::new(registry().with(layer))
        }
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Our own messages at the chosen level; those of dependencies only when
/// something is wrong.
fn who_may_speak(level: LevelFilter) -> Targets {
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
    fn a_json_line_is_json_whatever_its_fields_hold() {
        let evil = "\"\\\u{0}\u{1f}\u{7f}\u{9b}\u{2028}\u{1f600}\n";
        let page = logged(LogLevel::Info, Form::Json, || {
            let (none, some): (Option<u64>, Option<bool>) = (None, Some(true));
            tracing::info!(a.b = evil, debug = ?evil, n = -1, f = 0.1, whole = 2.0, odd = f64::NAN, none, some, "it is {evil}");
        });
        let line: serde_json::Value = serde_json::from_str(&page).expect(&page);
        let expected = serde_json::json!({
            "timestamp": line["timestamp"], "level": "INFO", "message": format!("it is {evil}"),
            "a.b": evil, "debug": format!("{evil:?}"), "n": -1, "f": 0.1, "whole": 2.0, "odd": null,
            "some": true, "target": module_path!(),
        });
        assert_eq!(line, expected);
        let time = line["timestamp"].as_str().expect("a time is text");
        assert!(
            time.parse::<jiff::Timestamp>().is_ok() && time.len() == 27,
            "{time}"
        );
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
