//! `fal-gateway eval`: how well models call tools and write JSON, by a fixed set of tasks.
//!
//! Without a model the built-in emulator answers, going wrong in every way it knows, one row of the
//! table each: that measures the gateway. With models there is one row for each of them: that
//! measures the model, and the result can be kept in a file that the gateway reads.

mod heard;
mod judge;
mod report;
mod tasks;
mod world;

use std::fs;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::args::EvalArgs;
use super::check::BAD_SETTINGS;
use super::client::AskError;
use crate::config::{
    Capabilities, Capability, Config, Dialect, Figures, Sources, read_capabilities,
    write_capabilities,
};
use crate::emulator::{self, Behaviour, Options};
use heard::Heard;
use judge::{Outcome, judge};
use report::Row;
use tasks::{Task, tasks};
use world::World;

/// Positions of the emulator's dial that are measured at a time.
const AT_ONCE: usize = 4;

/// Runs the tasks and prints the table. The exit code is 0 if nothing was delivered that breaks a
/// promise, 1 if something was or nobody answers, 2 when the settings are wrong.
///
/// # Errors
/// When no port is free, or the output cannot be written.
pub fn eval(args: &EvalArgs, out: &mut impl Write) -> io::Result<u8> {
    actix_web::rt::System::new().block_on(async {
        match args.model.is_empty() {
            true => measure_gateway(args, out).await,
            false => measure_models(args, out).await,
        }
    })
}

/// The emulator at every position of its dial.
async fn measure_gateway(args: &EvalArgs, out: &mut impl Write) -> io::Result<u8> {
    // No source but this one: what is measured is the gateway, not somebody's settings.
    let sources = Sources::default().with_flag("--listen", "127.0.0.1:0");
    let config = Config::load(&sources).map_err(io::Error::other)?;
    let dialects = chosen(&args.dialect, &[Dialect::Tagged]);
    let insistence = match args.stubborn {
        true => "however often it is asked again",
        false => "until it is asked again",
    };
    let tasks = tasks();
    writeln!(
        out,
        "{} tasks, each asked whole and as a stream: {} answers in each row.\n\
         The model is the built-in emulator, which goes wrong in one way in each row, {insistence};\n\
         nothing is paid for. Models are asked to call in the form: {}.\n",
        tasks.len(),
        2 * tasks.len(),
        words(&dialects)
    )?;
    report::write_head("How the model goes wrong", out)?;
    let right = ("", "not at all");
    let positions = dialects.iter().flat_map(|dialect| {
        let each = std::iter::once(right).chain(emulator::slips());
        each.map(|(word, about)| Position {
            label: labelled(&position(word, about), *dialect, &dialects),
            words: format!("{word}{}", if args.stubborn { " stubborn" } else { "" }),
            dialect: *dialect,
        })
    });
    // Several at a time, because each waits for servers to start and to stop.
    let measuring = positions.map(|position| position.measure(&config, &tasks));
    let mut measured = futures::stream::iter(measuring).buffered(AT_ONCE);
    let mut rows = Vec::new();
    while let Some(row) = measured.next().await {
        let row = row?;
        report::write_row(&row, out)?;
        rows.push(row);
    }
    report::write_remarks(
        &rows,
        |remark| args.details || remark.contains(": INVALID: "),
        out,
    )?;
    Ok(exit_code(&rows))
}

/// The emulator going wrong in one way, asked in one dialect.
struct Position {
    label: String,
    /// What the emulator is told.
    words: String,
    dialect: Dialect,
}

impl Position {
    async fn measure(self, config: &Config, tasks: &[Task]) -> io::Result<Row> {
        let behaviour: Behaviour = self.words.parse().map_err(io::Error::other)?;
        let options = Options {
            behaviour,
            ..Options::default()
        };
        let world = World::emulated(config.clone(), self.dialect, options)?;
        let mut row = Row::new(self.label);
        let answered = ask_all(&world, None, tasks, &mut row).await;
        world.stop().await;
        answered.map_err(io::Error::other)?;
        Ok(row)
    }
}

fn position(word: &str, about: &str) -> String {
    match word {
        "" => about.to_owned(),
        word => format!("`{word}`: {about}"),
    }
}

/// The models that were named, in each dialect.
async fn measure_models(args: &EvalArgs, out: &mut impl Write) -> io::Result<u8> {
    let known = match known_capabilities(args) {
        Ok(known) => known,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(BAD_SETTINGS);
        }
    };
    let config = match config(args) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}");
            return Ok(BAD_SETTINGS);
        }
    };
    let dialects: Vec<Option<Dialect>> = match args.url {
        // That gateway has its own settings.
        Some(_) => vec![None],
        None => {
            let each: Vec<Dialect> = Dialect::WORDS.iter().map(|(_, each)| *each).collect();
            chosen(&args.dialect, &each).into_iter().map(Some).collect()
        }
    };
    let tasks = tasks();
    announce(args, config.as_ref(), dialects.len(), tasks.len(), out)?;
    report::write_head("Model", out)?;
    let mut rows = Vec::new();
    let mut measured = Capabilities::new();
    for model in &args.model {
        let mut best: Option<Capability> = None;
        for dialect in &dialects {
            let label = match dialect {
                Some(dialect) => format!("{model}, {}", dialect.word()),
                None => model.clone(),
            };
            let mut row = Row::new(label);
            let world = world(args, config.as_ref(), *dialect)?;
            let answered = ask_all(&world, Some(model), &tasks, &mut row).await;
            world.stop().await;
            if let Err(problem) = answered {
                eprintln!("fal-gateway: {model}: {problem}");
                return Ok(1);
            }
            report::write_row(&row, out)?;
            let figures = row.figures;
            rows.push(row);
            if best
                .as_ref()
                .is_none_or(|best| is_better(figures, best.figures))
            {
                best = Some(Capability {
                    dialect: *dialect,
                    measured: Some(today()),
                    figures,
                });
            }
        }
        measured.extend(best.map(|best| (model.clone(), best)));
    }
    conclude(args, &rows, known, measured, out)?;
    Ok(exit_code(&rows))
}

/// Says what was wrong, and keeps what was measured.
fn conclude(
    args: &EvalArgs,
    rows: &[Row],
    mut known: Capabilities,
    measured: Capabilities,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out)?;
    report::write_remarks(rows, |_| true, out)?;
    if rows.iter().any(|row| !row.is_told) {
        writeln!(
            out,
            "This server does not tell how its answers came about: what it repaired or asked for \
             again counts as the first try."
        )?;
    }
    let Some(path) = &args.output else {
        return Ok(());
    };
    known.extend(measured);
    fs::write(path, write_capabilities(&known))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    writeln!(
        out,
        "Written to {0}. The gateway reads it with the setting: models.capabilities = \"{0}\"",
        path.display()
    )
}

/// What the file that is to be written holds already; models that are not measured now stay in it.
fn known_capabilities(args: &EvalArgs) -> Result<Capabilities, String> {
    match args.output.as_ref().filter(|path| path.exists()) {
        Some(path) => read_capabilities(path).map_err(|problems| problems.to_string()),
        None => Ok(Capabilities::new()),
    }
}

/// The settings of the gateway that is to be started; `None` where one runs already.
fn config(args: &EvalArgs) -> Result<Option<Config>, String> {
    if args.url.is_some() {
        return Ok(None);
    }
    let sources = Sources::from_process(args.config.as_deref(), Vec::new());
    let mut config = Config::load(&sources).map_err(|problems| problems.to_string())?;
    if args.relay.is_none() && config.fal.key.is_none() {
        return Err(
            "fal-gateway: there is no fal key to measure models with: set FAL_KEY, or name a \
             --relay or the --url of a running gateway"
                .to_owned(),
        );
    }
    // What was measured before must not decide what is measured now, nor may another model answer.
    config.capabilities.clear();
    config.models.fallbacks.clear();
    Ok(Some(config))
}

fn announce(
    args: &EvalArgs,
    config: Option<&Config>,
    dialects: usize,
    tasks: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let answers = args.model.len() * dialects * tasks * 2;
    let each = config.map_or(0, |config| config.tools.max_reasks) + 1;
    writeln!(
        out,
        "{tasks} tasks, each asked whole and as a stream: {} answers in each row.",
        2 * tasks
    )?;
    match (&args.url, &args.relay) {
        (Some(url), _) => writeln!(
            out,
            "{answers} requests to {url}, which may ask its models more often than that.\n"
        )?,
        (None, Some(url)) => writeln!(out, "At most {} calls to {url}.\n", answers * each)?,
        (None, None) => writeln!(
            out,
            "At most {} calls to fal, which bills them to your key.\n",
            answers * each
        )?,
    }
    out.flush()
}

fn world(args: &EvalArgs, config: Option<&Config>, dialect: Option<Dialect>) -> io::Result<World> {
    let (config, dialect) = match (&args.url, config, dialect) {
        (None, Some(config), Some(dialect)) => (config.clone(), dialect),
        (url, ..) => {
            return World::elsewhere(url.as_deref().unwrap_or_default(), args.key.as_ref());
        }
    };
    let Some(relay) = &args.relay else {
        return World::before_fal(config, dialect);
    };
    let options = Options {
        relay: Some(relay.clone()),
        relay_key: args
            .relay_key
            .as_ref()
            .map(|key| key.expose_secret().to_owned()),
        relay_model: args.relay_model.clone(),
        ..Options::default()
    };
    World::emulated(config, dialect, options)
}

/// Puts every task to a world, whole and as a stream.
///
/// # Errors
/// When nobody answers, or the first answer is a refusal that all others would be too.
async fn ask_all(
    world: &World,
    model: Option<&str>,
    tasks: &[Task],
    row: &mut Row,
) -> Result<(), String> {
    for task in tasks {
        for stream in [false, true] {
            let outcome = match world.client.complete(&request(task, model, stream)).await {
                Ok(reply)
                    if row.figures.answers() == 0 && matches!(reply.status, 401 | 403 | 404) =>
                {
                    return Err(String::from_utf8_lossy(&reply.body).into_owned());
                }
                Ok(reply) => {
                    let heard = Heard::read(&reply);
                    row.is_told &= heard.as_ref().is_ok_and(Heard::tells);
                    judge(task, &heard)
                }
                Err(AskError::Broken) => Outcome::Error("the answer broke off".to_owned()),
                Err(error) => return Err(error.to_string()),
            };
            let way = if stream { " (stream)" } else { "" };
            row.count(&format!("{}{way}", task.name), &outcome);
        }
    }
    Ok(())
}

fn request(task: &Task, model: Option<&str>, stream: bool) -> Value {
    let mut request = task.request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.insert("stream".to_owned(), json!(stream));
        fields.extend(model.map(|model| ("model".to_owned(), json!(model))));
    }
    request
}

/// Which of two dialects suits a model better: nothing invalid, then most tasks done, then with
/// least help.
fn is_better(new: Figures, old: Figures) -> bool {
    let merit = |figures: Figures| {
        (
            std::cmp::Reverse(figures.invalid),
            figures.right(),
            figures.first_try,
            figures.repaired,
        )
    };
    merit(new) > merit(old)
}

fn chosen(given: &[Dialect], default: &[Dialect]) -> Vec<Dialect> {
    if given.is_empty() { default } else { given }.to_vec()
}

fn labelled(label: &str, dialect: Dialect, all: &[Dialect]) -> String {
    match all {
        [_] => label.to_owned(),
        _ => format!("{label} ({})", dialect.word()),
    }
}

fn words(dialects: &[Dialect]) -> String {
    let words: Vec<&str> = dialects.iter().map(|dialect| dialect.word()).collect();
    words.join(", ")
}

fn exit_code(rows: &[Row]) -> u8 {
    u8::from(rows.iter().any(|row| row.figures.invalid > 0))
}

/// Today's date in UTC, as `2026-11-22`.
fn today() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    date(since_epoch.unwrap_or_default().as_secs() / 86_400)
}

/// The date so many days after the first of January 1970.
fn date(days: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        (year, left) = (year + 1, left - length);
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        (month, left) = (month + 1, left - length);
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_453), "2025-12-31");
        assert_eq!(date(20_454), "2026-01-01");
    }
}
