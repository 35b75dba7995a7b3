//! `fal-gateway eval`: how well models call tools and write JSON, by a fixed set of tasks.
//!
//! Without a model the built-in emulator answers, going wrong in every way it knows, one row of the
//! table each: that measures the gateway. With models there is one row for each of them: that
//! measures the model, and the result can be kept in a file that the gateway reads. The same is
//! measured in several forms, one row below the other: with tools that are written into the prompt,
//! and with those that are handed to the model's provider.

mod form;
mod heard;
mod judge;
mod models;
mod offers;
mod report;
mod tasks;
mod world;

use std::io::{self, Write};

use futures::StreamExt;
use serde_json::{Value, json};

use super::args::EvalArgs;
use super::client::AskError;
use crate::config::{Config, Dialect, Sources};
use crate::emulator::{self, Behaviour, Options, SlipWord};
pub use form::Form;
use heard::Heard;
use judge::{Outcome, judge};
use report::Row;
use tasks::{Task, tasks};
use world::{Guidance, World};

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
            false => models::measure(args, out).await,
        }
    })
}

/// The emulator at every position of its dial.
async fn measure_gateway(args: &EvalArgs, out: &mut impl Write) -> io::Result<u8> {
    // No source but this one: what is measured is the gateway, not somebody's settings.
    let sources = Sources::default().with_flag("--listen", "127.0.0.1:0");
    let config = Config::load(&sources).map_err(io::Error::other)?;
    let forms = match args.dialect.as_slice() {
        [] => &[Form::Written(Dialect::Tagged), Form::Native],
        named => named,
    };
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
        words(forms)
    )?;
    report::write_head("How the model goes wrong", out)?;
    let right = SlipWord {
        word: "",
        about: "not at all",
        is_native: true,
    };
    let positions = std::iter::once(right).chain(emulator::slips());
    let positions = positions.flat_map(|slip| {
        let forms_of_it = forms.iter().filter(move |form| form.has(&slip));
        forms_of_it.map(move |form| (slip, *form))
    });
    let positions = positions.map(|(slip, form)| Position {
        label: labelled(&position(slip), form, forms),
        words: format!(
            "{}{}",
            slip.word,
            if args.stubborn { " stubborn" } else { "" }
        ),
        form,
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
    report::write_mended(&rows, out)?;
    report::write_remarks(&rows, |remark| args.details || remark.is_breach, false, out)?;
    Ok(exit_code(&rows))
}

/// The emulator going wrong in one way, asked in one form.
struct Position {
    label: String,
    /// What the emulator is told.
    words: String,
    form: Form,
}

impl Position {
    async fn measure(self, config: &Config, tasks: &[Task]) -> io::Result<Row> {
        let behaviour: Behaviour = self.words.parse().map_err(io::Error::other)?;
        let options = Options {
            behaviour,
            ..Options::default()
        };
        let world = World::emulated(config.clone(), Guidance::of(self.form), options)?;
        let mut row = Row::new(self.label);
        let answered = ask_all(&world, None, tasks.iter(), &mut row).await;
        world.stop().await;
        answered.map_err(io::Error::other)?;
        Ok(row)
    }
}

fn position(SlipWord { word, about, .. }: SlipWord) -> String {
    match word {
        "" => about.to_owned(),
        word => format!("`{word}`: {about}"),
    }
}

/// Puts every task to a world, whole and as a stream.
///
/// # Errors
/// When nobody answers, or the first answer is a refusal that all others would be too.
async fn ask_all(
    world: &World,
    model: Option<&str>,
    tasks: impl Iterator<Item = &Task>,
    row: &mut Row,
) -> Result<(), String> {
    for task in tasks {
        for stream in [false, true] {
            let mut delivered = None;
            let outcome = match world.client.complete(&request(task, model, stream)).await {
                Ok(reply)
                    if row.figures.answers() == 0 && matches!(reply.status, 401 | 403 | 404) =>
                {
                    return Err(String::from_utf8_lossy(&reply.body).into_owned());
                }
                Ok(reply) => {
                    let heard = Heard::read(&reply);
                    row.is_told &= heard.as_ref().is_ok_and(Heard::tells);
                    row.is_written |= heard.as_ref().is_ok_and(Heard::is_written);
                    delivered = heard.as_ref().map(|heard| heard.content.clone()).ok();
                    let mended = heard.iter().flat_map(|heard| judge::mended(task, heard));
                    row.mended.extend(mended.map(str::to_owned));
                    judge(task, &heard)
                }
                Err(AskError::Broken) => Outcome::Error("the answer broke off".to_owned()),
                Err(error) => return Err(error.to_string()),
            };
            let way = if stream { " (stream)" } else { "" };
            let overheard = world.take_overheard();
            let texts = match overheard.is_empty() {
                true => delivered.into_iter().collect(),
                false => overheard,
            };
            row.count(task, way, &outcome, texts);
        }
    }
    Ok(())
}

fn request(task: &Task, model: Option<&str>, stream: bool) -> Value {
    let mut request = task.request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.insert("stream".to_owned(), json!(stream));
        // So that two measurements are alike, as far as models can be.
        fields.entry("temperature").or_insert(json!(0));
        fields.extend(model.map(|model| ("model".to_owned(), json!(model))));
    }
    request
}

fn labelled(label: &str, form: Form, all: &[Form]) -> String {
    match all {
        [_] => label.to_owned(),
        _ => format!("{label} ({})", form.word()),
    }
}

fn words(forms: &[Form]) -> String {
    let words: Vec<&str> = forms.iter().map(|form| form.word()).collect();
    words.join(", ")
}

fn exit_code(rows: &[Row]) -> u8 {
    u8::from(rows.iter().any(|row| row.figures.invalid > 0))
}
