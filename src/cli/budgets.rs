//! `fal-gateway budgets`: what is used and left of budgets, and what an operator knows better.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::accounts::{Desk, finish};
use super::args::Overrides;
use super::sheet::{Cell, Form, Sheet};
use super::usage::on_store;
use crate::accounts::books::{self, Adjustment};
use crate::budget::{Amount, Unit};
use crate::store::windows::{StoredWindow, WantedWindows};

/// How many lines are read at once.
const PAGE: usize = 1000;
const HEAD: [&str; 6] = ["owner", "budget", "limit", "used", "left", "resets"];

#[derive(Debug, Args)]
pub struct BudgetsArgs {
    #[command(subcommand)]
    pub command: Option<BudgetsCommand>,
    /// How lines are printed
    #[arg(long, global = true, value_name = "FORM", default_value = "table")]
    pub format: Form,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Subcommand)]
pub enum BudgetsCommand {
    /// Count more or less as used, in the window that holds now, and note who did and why.
    Adjust(Box<AdjustArgs>),
}

#[derive(Debug, Args)]
pub struct AdjustArgs {
    /// Whose budget: key/ci, project/web
    pub owner: String,
    /// How much more counts as used, or less: +100, -2.5
    #[arg(allow_hyphen_values = true)]
    pub amount: String,
    /// Which budget, where there are several: units/day/UTC
    #[arg(long, value_name = "NAME")]
    pub budget: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

/// Prints the budgets, with what is used and left of their windows.
///
/// # Errors
/// Those of writing.
pub fn budgets(args: BudgetsArgs, out: &mut impl Write) -> io::Result<u8> {
    if let Some(BudgetsCommand::Adjust(adjusted)) = args.command {
        return adjust(*adjusted, args.format, &args.overrides, out);
    }
    on_store(&args.overrides.to_sources(), async |database| {
        let mut out = out;
        let mut sheet = Sheet::new(&mut out, args.format, HEAD.to_vec())?;
        let mut after = <(String, String)>::default();
        loop {
            let wanted = WantedWindows {
                owner: None,
                after,
                most: PAGE,
            };
            let windows = database.windows(wanted).await?;
            let Some(last) = windows.last() else { break };
            after = (last.owner.clone(), last.budget.clone());
            for window in &windows {
                sheet.add(budget_line(window))?;
            }
        }
        sheet.end()?;
        Ok(())
    })
}

/// Counts more or less as used, and prints the budget as it is then.
fn adjust(
    args: AdjustArgs,
    form: Form,
    overrides: &Overrides,
    out: &mut impl Write,
) -> io::Result<u8> {
    let AdjustArgs {
        owner,
        amount,
        budget,
        note,
    } = args;
    let adjust = |desk: Desk| {
        let condition = desk.condition();
        let adjustment = Adjustment {
            owner,
            budget,
            amount,
            note,
        };
        let adjusted = desk.write(async move |transaction| {
            books::adjust(transaction, &adjustment, &condition).await
        })?;
        let mut out = out;
        let mut sheet = Sheet::new(&mut out, form, HEAD.to_vec())?;
        sheet.add(budget_line(&adjusted.window))?;
        sheet.end()?;
        let owner = &adjusted.window.owner;
        desk.say("budget of", owner, "adjusted", adjusted.revision);
        Ok(())
    };
    finish(Desk::open(overrides).and_then(adjust))
}

fn budget_line(window: &StoredWindow) -> Vec<Cell> {
    let word = window.budget.split('/').next().unwrap_or_default();
    let unit = Unit::of_word(word).unwrap_or(Unit::Units);
    let number = |amount: i64| Cell::Decimal(unit.number(Amount(amount)));
    let is_soft = Amount(window.limit) >= Amount::MAX_LIMIT;
    let used = window.used.saturating_add(window.beyond);
    let left = window.limit.saturating_sub(used).max(0);
    let end = window
        .end
        .and_then(|end| Timestamp::from_millisecond(end).ok());
    let none = || Cell::Text(String::new());
    vec![
        Cell::Text(window.owner.clone()),
        Cell::Text(window.budget.clone()),
        if is_soft {
            none()
        } else {
            number(window.limit)
        },
        number(used),
        if is_soft { none() } else { number(left) },
        end.map_or_else(none, |end| Cell::Text(format!("{end:.0}"))),
    ]
}
