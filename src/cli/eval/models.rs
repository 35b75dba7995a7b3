//! Measures models, and keeps what was measured.

use std::fs;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret;

use super::form::Form;
use super::report::{self, Row};
use super::tasks::{Task, tasks};
use super::world::{Guidance, World};
use super::{ask_all, exit_code};
use crate::cli::args::EvalArgs;
use crate::cli::check::BAD_SETTINGS;
use crate::cli::check::name_found_file;
use crate::cli::terminal::tell;
use crate::config::{
    Capabilities, Capability, Config, Figures, Sources, read_capabilities, write_capabilities,
};
use crate::emulator::Options;

/// Measures the models that were named, in each form.
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
    let forms = forms(args, config.as_ref());
    if args.output.is_some() && forms.iter().all(is_native) {
        tell(
            "fal-gateway: --output keeps the best of the forms that are written into a prompt; \
             name one with --dialect",
        );
        return Ok(BAD_SETTINGS);
    }
    let tasks = tasks();
    announce(args, config.as_ref(), &forms, &tasks, out)?;
    report::write_head("Model", out)?;
    let bench = Bench {
        args,
        config: config.as_ref(),
        forms: &forms,
        tasks: &tasks,
    };
    let mut rows = Vec::new();
    let mut measured = Capabilities::new();
    let mut problem = None;
    for model in &args.model {
        match bench.measure_model(model, &mut rows, out).await? {
            Ok(capability) => measured.extend(capability.map(|found| (model.clone(), found))),
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

/// What models are measured with.
struct Bench<'b> {
    args: &'b EvalArgs,
    /// The settings of the gateway that is to be started; `None` where one runs already.
    config: Option<&'b Config>,
    /// `None` where a gateway that runs already decides.
    forms: &'b [Option<Form>],
    tasks: &'b [Task],
}

/// The best of the forms that are written, with all its figures and those of the tasks that have an
/// outline.
struct Best {
    form: Option<Form>,
    figures: Figures,
    outlined: Figures,
}

impl Bench<'_> {
    /// Adds a row for each form, and one for the best of those that are written without outlines,
    /// and tells what is to be kept; the inner error says why nothing could be measured.
    async fn measure_model(
        &self,
        model: &str,
        rows: &mut Vec<Row>,
        out: &mut impl Write,
    ) -> io::Result<Result<Option<Capability>, String>> {
        let best = match self.measure_forms(model, rows, out).await? {
            Err(why) => return Ok(Err(why)),
            Ok(None) => return Ok(Ok(None)),
            Ok(Some(best)) => best,
        };
        let dialect = best.form.and_then(Form::dialect);
        let mut capability = Capability {
            // Where no task was done in any of them, none of them is better.
            dialect: dialect.filter(|_| best.figures.right() > 0),
            outline: None,
            measured: Some(today()),
            figures: best.figures,
        };
        if let Some(form) = best.form {
            let guidance = Guidance {
                has_outlines: false,
                ..Guidance::of(form)
            };
            let label = format!("{model}, {}, no outlines", form.word());
            let world = world(self.args, self.config, Some(guidance))?;
            let tasks = self.tasks.iter().filter(|task| task.has_outline());
            match measure_row(world, label, model, tasks, out).await? {
                Err(why) => return Ok(Err(why)),
                Ok(row) => {
                    let has_done_any = best.outlined.right() + row.figures.right() > 0;
                    let is_better = is_better(row.figures, best.outlined);
                    capability.outline = has_done_any.then_some(!is_better);
                    rows.push(row);
                }
            }
        }
        Ok(Ok(Some(capability)))
    }

    /// Adds a row for each form. A model that fal's OpenAI face does not have is measured in the
    /// others all the same.
    async fn measure_forms(
        &self,
        model: &str,
        rows: &mut Vec<Row>,
        out: &mut impl Write,
    ) -> io::Result<Result<Option<Best>, String>> {
        let mut best: Option<Best> = None;
        for form in self.forms.iter().copied() {
            let label = match form {
                Some(form) => format!("{model}, {}", form.word()),
                None => model.to_owned(),
            };
            let world = world(self.args, self.config, form.map(Guidance::of))?;
            let is_native = is_native(&form);
            let row = measure_row(world, label.clone(), model, self.tasks.iter(), out).await?;
            match row {
                Err(why) if is_native && self.forms.len() > 1 => {
                    let mut row = Row::new(label);
                    row.say(format!("not measured: {why}"));
                    rows.push(row);
                }
                Err(why) => return Ok(Err(why)),
                Ok(mut row) => {
                    if is_native && row.is_written {
                        row.say(
                            "what it is not known to take was written into the prompt".to_owned(),
                        );
                    }
                    let is_best = best
                        .as_ref()
                        .is_none_or(|best| is_better(row.figures, best.figures));
                    if is_best && !is_native {
                        best = Some(Best {
                            form,
                            figures: row.figures,
                            outlined: row.outlined,
                        });
                    }
                    rows.push(row);
                }
            }
        }
        Ok(Ok(best))
    }
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

/// The forms in which models are measured; `None` for that of a gateway that runs already.
fn forms(args: &EvalArgs, config: Option<&Config>) -> Vec<Option<Form>> {
    let Some(config) = config else {
        return vec![None];
    };
    let mut forms: Vec<_> = match args.dialect.is_empty() {
        true => Form::all(),
        false => args.dialect.clone(),
    };
    // fal's OpenAI face has no enterprise endpoint.
    if config.fal.enterprise && forms.iter().any(|form| *form != Form::Native) {
        forms.retain(|form| *form != Form::Native);
    }
    forms.into_iter().map(Some).collect()
}

fn is_native(form: &Option<Form>) -> bool {
    *form == Some(Form::Native)
}

fn announce(
    args: &EvalArgs,
    config: Option<&Config>,
    forms: &[Option<Form>],
    tasks: &[Task],
    out: &mut impl Write,
) -> io::Result<()> {
    let again = match config {
        Some(_) if !forms.iter().all(is_native) => {
            tasks.iter().filter(|task| task.has_outline()).count()
        }
        _ => 0,
    };
    let answers = args.model.len() * (forms.len() * tasks.len() + again) * 2;
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
            "At most {} calls to fal, which bills them to your key{}.\n",
            answers * each,
            match forms.iter().any(is_native) {
                true => ", those of the row `native` by the token",
                false => "",
            }
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
