//! One budget, in the hands of this gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Entry, Overdrawn, Page, PurseId};
use crate::budget::books::{Answer, Report};
use crate::budget::pocket::Waiting;
use crate::budget::{Amount, Pace, Pocket, Span, Spending, Terms};

/// How long what the books have said is taken for true.
const FRESH: Duration = Duration::from_secs(1);
/// How long a gateway keeps what nobody asks for.
const KEPT: Duration = Duration::from_secs(10);
/// After which time the books are told again that the gateway is there. Who is not heard of for longer
/// is not waited for.
const RENEWAL: Duration = Duration::from_secs(2);

/// One budget of a key or a project, with what this gateway has drawn of it.
#[derive(Debug)]
pub struct Purse {
    pub id: PurseId,
    state: Mutex<State>,
    /// Whether the books are told of it.
    is_active: AtomicBool,
    /// Told when the books have said something or cannot be reached, and when something that others
    /// wait for is there again.
    pub(super) told: Notify,
}

#[derive(Debug)]
struct State {
    terms: Terms,
    /// The window that holds now, and earlier ones of which the books do not know all yet.
    windows: BTreeMap<Timestamp, Open>,
    /// What those who wait want, the least first, with a number that each has.
    waiting: BTreeSet<(Amount, u64)>,
    last_waiter: u64,
    /// How often the books were asked, and which time was the last that came to an end.
    begun: u64,
    ended: u64,
    outcome: Option<Outcome>,
}

/// A window that is open here.
#[derive(Debug)]
struct Open {
    span: Span,
    pocket: Pocket,
    /// What the books know.
    reported: Option<(Report, Instant)>,
    /// How fast it is spent, in times since it was opened.
    pace: Pace,
    opened_at: Instant,
    used_at: Instant,
    /// How many have taken of it and not settled yet, be it that they took nothing.
    unsettled: u64,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    at: Instant,
    start: Timestamp,
    /// `None` where the books were not reached.
    answer: Option<Answer>,
}

/// How much of a budget is left, as far as this gateway knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    pub owner: Arc<str>,
    pub terms: Terms,
    pub span: Span,
    /// `None` before the books have said anything.
    pub remaining: Option<Amount>,
    pub used: Option<Amount>,
}

/// What somebody who waits may expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// The books were not asked yet, or have not answered.
    Unknown,
    /// There may be enough now.
    Better,
    /// There is enough, in the hands of other gateways.
    Elsewhere,
    Worse(Overdrawn),
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) purse: Arc<Purse>,
    number: u64,
    amount: Amount,
    /// The last time that the books had been asked when this one came.
    joined: Mutex<u64>,
}

impl Purse {
    pub(super) fn new(id: PurseId, terms: Terms) -> Self {
        Self {
            id,
            state: Mutex::new(State {
                terms,
                windows: BTreeMap::new(),
                waiting: BTreeSet::new(),
                last_waiter: 0,
                begun: 0,
                ended: 0,
                outcome: None,
            }),
            is_active: AtomicBool::new(false),
            told: Notify::new(),
        }
    }

    /// Whether the books have to be told of it from now on, and were not until now. Whoever asks has
    /// changed what they are told before.
    pub(super) fn wakes(&self) -> bool {
        !self.is_active() && !self.is_active.swap(true, Ordering::AcqRel)
    }

    /// Whether the books are told of it.
    pub(super) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// Whether the books know all of it and nobody asks for any: they are told no more of it then.
    pub(super) fn rests(&self) -> bool {
        let state = self.state();
        let is_reached = state.outcome.is_none_or(|outcome| outcome.answer.is_some());
        let rests =
            is_reached && state.waiting.is_empty() && state.windows.values().all(Open::rests);
        if rests {
            // Whoever takes something from now on waits for the lock, and finds it so.
            self.is_active.store(false, Ordering::Release);
        }
        rests
    }

    pub(super) fn allow(&self, terms: &Terms) {
        let mut state = self.state();
        if state.terms != *terms {
            state.terms = terms.clone();
            state.outcome = None;
        }
    }

    /// The window of a moment.
    pub fn span(&self, now: Timestamp) -> Span {
        let state = self.state();
        state.terms.period.span(now, state.terms.zone.zone())
    }

    /// What the budget is.
    pub fn terms(&self) -> Terms {
        self.state().terms.clone()
    }

    /// Takes what a request may cost at most, from the window of this moment; `None` where there is
    /// too little at hand.
    pub(super) fn take(&self, now: Timestamp, worst: &Spending) -> Option<(Timestamp, Amount)> {
        let mut state = self.state();
        let amount = worst.counted_by(&state.terms);
        let is_soft = state.terms.is_soft;
        let open = state.open(now);
        match is_soft {
            true => open.pocket.take_anyway(amount),
            false => open.pocket.take(amount).then_some(())?,
        }
        open.pace.take(amount);
        open.is_taken_of();
        Some((open.span.start, amount))
    }

    /// The same, whether it is at hand or not.
    pub(super) fn take_anyway(&self, now: Timestamp, worst: &Spending) -> (Timestamp, Amount) {
        let mut state = self.state();
        let amount = worst.counted_by(&state.terms);
        let open = state.open(now);
        open.pocket.take_anyway(amount);
        open.is_taken_of();
        (open.span.start, amount)
    }

    /// Takes more from a window for a request that has taken something of it before.
    pub(super) fn take_more(&self, start: Timestamp, taken: &mut Amount, worst: &Spending) -> bool {
        let mut state = self.state();
        let more = (worst.counted_by(&state.terms) - *taken).or_zero();
        let is_soft = state.terms.is_soft;
        let Some(open) = state.windows.get_mut(&start) else {
            return more.is_zero();
        };
        let is_taken = more.is_zero() || open.pocket.take(more);
        if !is_taken && is_soft {
            open.pocket.take_anyway(more);
        }
        if is_taken || is_soft {
            *taken += more;
        }
        is_taken || is_soft
    }

    pub(super) fn settle(&self, start: Timestamp, taken: Amount, spent: &Spending) {
        let mut state = self.state();
        let cost = spent.counted_by(&state.terms);
        if let Some(open) = state.windows.get_mut(&start) {
            open.pocket.settle(taken, cost);
            open.unsettled = open.unsettled.saturating_sub(1);
        }
        // Where the least is not at hand, nothing is: many may wait while many settle.
        let serves_somebody = state
            .least_wanted()
            .is_some_and(|least| state.is_at_hand(least));
        drop(state);
        if serves_somebody {
            self.told.notify_waiters();
        }
    }

    /// Waits for the books from now on, unless they have said just now that there is too little or
    /// could not be reached.
    pub(super) fn wait(
        self: &Arc<Self>,
        now: Timestamp,
        worst: &Spending,
    ) -> Result<Waiter, Overdrawn> {
        let mut state = self.state();
        let amount = worst.counted_by(&state.terms);
        state.open(now);
        // That the books cannot be reached holds until they are.
        let is_fresh = |outcome: &Outcome| outcome.answer.is_none() || outcome.at.elapsed() < FRESH;
        let fresh = state.outcome.filter(is_fresh);
        if let Outlook::Worse(overdrawn) = self.judge(&state, fresh, amount) {
            return Err(overdrawn);
        }
        state.last_waiter += 1;
        let number = state.last_waiter;
        state.waiting.insert((amount, number));
        Ok(Waiter {
            purse: Arc::clone(self),
            number,
            amount,
            joined: Mutex::new(state.begun),
        })
    }

    fn judge(&self, state: &State, outcome: Option<Outcome>, amount: Amount) -> Outlook {
        let Some(Outcome { start, answer, .. }) = outcome else {
            return Outlook::Unknown;
        };
        let Some((last, open)) = state.windows.last_key_value() else {
            return Outlook::Unknown;
        };
        let Some(answer) = answer else {
            return Outlook::Worse(Overdrawn::Unavailable);
        };
        // What was said of the window before says nothing of this one.
        if *last != start {
            return Outlook::Unknown;
        }
        let left = open.pocket.left();
        if amount <= left + answer.room {
            return Outlook::Better;
        }
        match amount <= left + answer.room + answer.others {
            true => Outlook::Elsewhere,
            false => Outlook::Worse(Overdrawn::Exhausted {
                owner: Arc::clone(&self.id.owner),
                terms: state.terms.clone(),
                span: open.span,
                used: state.terms.limit - (left + answer.room + answer.others).or_zero(),
                wanted: amount,
            }),
        }
    }

    /// What the books have to be told of it.
    pub(super) fn pages(self: &Arc<Self>, now: Timestamp, gives_back: bool) -> Vec<Page> {
        let mut state = self.state();
        let waiting = state.waiting();
        let is_waited_for = !state.waiting.is_empty();
        let allowed = state.terms.limit;
        let limit = match state.terms.is_soft {
            true => Amount::MAX_LIMIT,
            false => allowed,
        };
        state.begun += 1;
        let round = state.begun;
        let has_failed = state
            .outcome
            .is_some_and(|outcome| outcome.answer.is_none());
        let mut pages = Vec::new();
        for open in state.windows.values_mut() {
            let is_current = open.span.contains(now);
            let waiting = if is_current {
                waiting
            } else {
                Waiting::default()
            };
            // Whoever waits hears of it, also where enough has come back meanwhile.
            let is_due = has_failed || is_current && is_waited_for;
            let report = open.report(waiting, gives_back || !is_current, is_due);
            if let Some(report) = report {
                pages.push(Page {
                    purse: Arc::clone(self),
                    span: open.span,
                    limit,
                    allowed,
                    report,
                    round,
                });
            }
        }
        pages
    }

    /// Takes in what the books say; whether they have to be asked once more.
    pub(super) fn hear(&self, page: &Page, entry: Option<&Entry>) -> bool {
        let mut state = self.state();
        let start = page.span.start;
        let mut asks_again = false;
        if let Some(entry) = entry
            && let Some(open) = state.windows.get_mut(&start)
        {
            open.pocket.hear(&entry.answer);
            open.reported = Some((page.report, Instant::now()));
            if entry.others_wait && open.pocket.left() > Amount::ZERO {
                open.pocket.empty();
                asks_again = true;
            }
        }
        state.forget_cleared();
        state.ended = state.ended.max(page.round);
        state.outcome = Some(Outcome {
            at: Instant::now(),
            start,
            answer: entry.map(|entry| entry.answer),
        });
        drop(state);
        self.told.notify_waiters();
        asks_again
    }

    /// Gives up what is in hand; whether all can be forgotten. A window that goes on cannot, once the
    /// books know it: they go by totals, and a new pocket would begin at nothing.
    pub(super) fn gives_up(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        for open in state.windows.values_mut() {
            open.pocket.empty();
        }
        state.windows.values().all(|open| {
            let is_over = open.span.end.is_some_and(|end| end <= now);
            open.is_clear() && (is_over || open.reported.is_none())
        })
    }

    /// How much of it is left in the window of this moment.
    pub fn level(&self, now: Timestamp) -> Level {
        let mut state = self.state();
        let outcome = state.outcome;
        let open = state.open(now);
        let (span, left) = (open.span, open.pocket.left());
        let answer = outcome
            .filter(|outcome| outcome.start == span.start)
            .and_then(|outcome| outcome.answer);
        let remaining = answer.map(|answer| {
            let hidden = match state.terms.is_soft {
                true => Amount::MAX_LIMIT - state.terms.limit,
                false => Amount::ZERO,
            };
            (left + answer.room + answer.others - hidden).or_zero()
        });
        Level {
            owner: Arc::clone(&self.id.owner),
            used: remaining.map(|remaining| state.terms.limit - remaining),
            terms: state.terms.clone(),
            span,
            remaining,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The window of a moment.
    fn open(&mut self, now: Timestamp) -> &mut Open {
        let span = match self.windows.last_key_value() {
            Some((_, open)) if open.span.contains(now) => open.span,
            _ => self.terms.period.span(now, self.terms.zone.zone()),
        };
        self.windows.entry(span.start).or_insert_with(|| Open {
            span,
            pocket: Pocket::default(),
            reported: None,
            pace: Pace::default(),
            opened_at: Instant::now(),
            used_at: Instant::now(),
            unsettled: 0,
        })
    }

    /// Whether so much can be taken without a word of the books.
    fn is_at_hand(&self, amount: Amount) -> bool {
        let last = self.windows.last_key_value();
        last.is_some_and(|(_, open)| amount <= open.pocket.left())
    }

    /// The least that anybody waits for.
    fn least_wanted(&self) -> Option<Amount> {
        self.waiting.first().map(|(least, _)| *least)
    }

    fn waiting(&self) -> Waiting {
        Waiting {
            sum: self.waiting.iter().map(|(amount, _)| *amount).sum(),
            least: self.least_wanted().unwrap_or_default(),
        }
    }

    /// Lets go of earlier windows of which the books know all.
    fn forget_cleared(&mut self) {
        let last = self.windows.last_key_value().map(|(start, _)| *start);
        self.windows
            .retain(|start, open| Some(*start) == last || !open.is_clear());
    }
}

impl Open {
    /// What the books have to be told, if anything; `is_due` is that they are told in any case.
    fn report(&mut self, waiting: Waiting, gives_back: bool, is_due: bool) -> Option<Report> {
        if gives_back || self.used_at.elapsed() > KEPT {
            self.pocket.empty();
        }
        let pace = self.pace.a_second(self.opened_at.elapsed());
        let liking = if gives_back { Amount::ZERO } else { pace };
        let report = self.pocket.report(waiting, liking);
        let is_news = match &self.reported {
            None => true,
            Some((known, at)) => {
                let is_told = known.spent == report.spent && known.returned == report.returned;
                let is_held = !self.pocket.held().is_zero() || self.pocket.left() > Amount::ZERO;
                let is_due = is_due || is_held && at.elapsed() > RENEWAL;
                !is_told || is_due || !report.need.is_zero() || !report.liking.is_zero()
            }
        };
        is_news.then_some(report)
    }

    /// Whether nothing has to be said of it until somebody asks.
    fn rests(&self) -> bool {
        self.reported.is_some() && self.used_at.elapsed() > KEPT && self.is_clear()
    }

    fn is_taken_of(&mut self) {
        self.used_at = Instant::now();
        self.unsettled = self.unsettled.saturating_add(1);
    }

    fn is_clear(&self) -> bool {
        let reported = self.reported.as_ref();
        let is_known = match reported {
            Some((report, _)) => self.pocket.is_clear(report),
            None => self.pocket == Pocket::default(),
        };
        is_known && self.unsettled == 0
    }
}

impl Waiter {
    pub(super) fn outlook(&self) -> Outlook {
        let state = self.purse.state();
        let joined = *self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        match state.ended > joined {
            _ if state.is_at_hand(self.amount) => Outlook::Better,
            true => self.purse.judge(&state, state.outcome, self.amount),
            false => Outlook::Unknown,
        }
    }

    /// Which time the books were asked last of those that have come to an end.
    pub(super) fn last_heard(&self) -> u64 {
        self.purse.state().ended
    }

    /// Waits for the next answer from here on.
    pub(super) fn ask_again(&self) {
        let begun = self.purse.state().begun;
        *self.joined.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waits = (self.amount, self.number);
        self.purse.state().waiting.remove(&waits);
    }
}
