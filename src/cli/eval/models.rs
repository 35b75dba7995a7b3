//! Measures models, and keeps what was measured.

use std::fs;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret;

use super::report::{self, Row};
use super::tasks::{Task, tasks};
use super::world::{Guidance, World};
use super::{ask_all, chosen, exit_code};
use crate::cli::args::EvalArgs;
use crate::cli::check::BAD_SETTINGS;
use crate::cli::check::name_found_file;
use crate::cli::terminal::tell;
use crate::config::{
    Capabilities, Capability, Config, Dialect, Figures, Sources, read_capabilities,
    write_capabilities,
};
use crate::emulator::Options;

/// Measures the models that were named, in each dialect.
///
/// # Errors
/// When no port is free, or the output or the file cannot be written.
pub(super) async fn measure(args: &EvalArgs, out: &mut impl Write) -> io::Result<u8> {
    let known = match known_capabilities(args) {
        Ok(known) => known,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    let config = match config(args) {
        Ok(config) => config,
        Err(problem) => {
            tell(problem);
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
    announce(args, config.as_ref(), dialects.len(), &tasks, out)?;
    report::write_head("Model", out)?;
    let mut rows = Vec::new();
    let mut measured = Capabilities::new();
    let mut problem = None;
    for model in &args.model {
        match measure_model(
            args,
            config.as_ref(),
            &dialects,
            model,
            &tasks,
            &mut rows,
            out,
        )
        .await?
        {
            Ok(capability) => {
                measured.insert(model.clone(), capability);
            }
            Err(why) => {
                problem = Some(format!("{model}: {why}"));
                break;
            }
        }
    }
    // What was measured before something went wrong may have been paid for.
    conclude(args, &rows, known, measured, out)?;
    match problem {
        Some(problem) => {
            out.flush()?;
            tell(format_args!("fal-gateway: {problem}"));
            Ok(1)
        }
        None => Ok(exit_code(&rows)),
    }
}

/// Adds a row for each dialect, and one for the best of them without outlines, and tells what is to
/// be kept; the inner error says why nothing could be measured.
async fn measure_model(
    args: &EvalArgs,
    config: Option<&Config>,
    dialects: &[Option<Dialect>],
    model: &str,
    tasks: &[Task],
    rows: &mut Vec<Row>,
    out: &mut impl Write,
) -> io::Result<Result<Capability, String>> {
    let mut best: Option<(Option<Dialect>, Figures, Figures)> = None;
    for dialect in dialects {
        let label = match dialect {
            Some(dialect) => format!("{model}, {}", dialect.word()),
            None => model.to_owned(),
        };
        let guidance = dialect.map(Guidance::of);
        let world = world(args, config, guidance)?;
        match measure_row(world, label, model, tasks.iter(), out).await? {
            Err(why) => return Ok(Err(why)),
            Ok(row) => {
                let is_best = best.is_none_or(|(_, best, _)| is_better(row.figures, best));
                if is_best {
                    best = Some((*dialect, row.figures, row.outlined));
                }
                rows.push(row);
            }
        }
    }
    let (dialect, figures, outlined) = best.unwrap_or_default();
    let mut capability = Capability {
        // Where no task was done in any of them, none of them is better.
        dialect: dialect.filter(|_| figures.right() > 0),
        outline: None,
        measured: Some(today()),
        figures,
    };
    if let Some(dialect) = dialect {
        let guidance = Guidance {
            has_outlines: false,
            ..Guidance::of(dialect)
        };
        let label = format!("{model}, {}, no outlines", dialect.word());
        let world = world(args, config, Some(guidance))?;
        let tasks = tasks.iter().filter(|task| task.has_outline());
        match measure_row(world, label, model, tasks, out).await? {
            Err(why) => return Ok(Err(why)),
            Ok(row) => {
                let has_done_any = outlined.right() + row.figures.right() > 0;
                let is_better = is_better(row.figures, outlined);
                capability.outline = has_done_any.then_some(!is_better);
                rows.push(row);
            }
        }
    }
    Ok(Ok(capability))
}

/// Puts tasks to a model and prints its row; the inner error says why that was not possible.
async fn measure_row(
    world: World,
    label: String,
    model: &str,
    tasks: impl Iterator<Item = &Task>,
    out: &mut impl Write,
) -> io::Result<Result<Row, String>> {
    let mut row = Row::new(label);
    let answered = ask_all(&world, Some(model), tasks, &mut row).await;
    world.stop().await;
    if let Err(why) = answered {
        return Ok(Err(why));
    }
    report::write_row(&row, out)?;
    Ok(Ok(row))
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
    report::write_remarks(rows, |_| true, args.details, out)?;
    if rows.iter().any(|row| !row.is_told) {
        writeln!(
            out,
            "This server does not tell how its answers came about: what it repaired or asked for \
             again counts as the first try."
        )?;
    }
    let Some(path) = args.output.as_ref().filter(|_| !measured.is_empty()) else {
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
    name_found_file(&sources);
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
    tasks: &[Task],
    out: &mut impl Write,
) -> io::Result<()> {
    let again = match config {
        Some(_) => tasks.iter().filter(|task| task.has_outline()).count(),
        None => 0,
    };
    let answers = args.model.len() * (dialects * tasks.len() + again) * 2;
    let each = config.map_or(0, |config| config.tools.max_reasks) + 1;
    writeln!(
        out,
        "{} tasks, each asked whole and as a stream: {} answers in each row.",
        tasks.len(),
        2 * tasks.len()
    )?;
    if again > 0 {
        writeln!(
            out,
            "What is best is tried once more, in the {again} tasks that have an outline, without it."
        )?;
    }
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

fn world(
    args: &EvalArgs,
    config: Option<&Config>,
    guidance: Option<Guidance>,
) -> io::Result<World> {
    let (config, guidance) = match (&args.url, config, guidance) {
        (None, Some(config), Some(guidance)) => (config.clone(), guidance),
        (url, ..) => {
            return World::elsewhere(url.as_deref().unwrap_or_default(), args.key.as_ref());
        }
    };
    let Some(relay) = &args.relay else {
        return World::before_fal(config, guidance);
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
    World::emulated(config, guidance, options)
}

/// Which of two ways suits a model better: nothing invalid, then most tasks done, then with
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
