//! What one request costs: the calls it may still make, and the tokens and money of those it made.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::price;
use crate::access::limits::Hold;
use crate::access::purses::Allowance;
use crate::budget::Spending;
use crate::budget::spending::{Amounts, CallPrice};
use crate::observe::calls::{Call, CallKind, CallQueue, Payer, Tokens};
use crate::observe::record::{Record, Settlement};
use crate::translate::cost::Cost;
use crate::translate::reading::{Usage, UsageSource};

/// Whether a call is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Billed {
    /// Nothing was sent, or fal refused.
    #[default]
    No,
    /// fal answered.
    Yes,
    /// Something was sent, and nobody knows what became of it.
    Maybe,
}

impl Billed {
    /// The word for it in the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Maybe => "maybe",
        }
    }
}

/// One request's account. It is settled, into the request's record, when the last of those who work
/// on the request lets go of it: after a good answer, a failure, or a client that left.
#[derive(Debug)]
pub struct Ledger {
    record: Record,
    calls: Cell<u32>,
    calls_left: Cell<u32>,
    billed: Cell<Billed>,
    /// What is known of every call by the plan that is run.
    planned: Cell<Planned>,
    /// Tokens of each choice, all its attempts together.
    usage: RefCell<Vec<Usage>>,
    ended: RefCell<Vec<Ended>>,
    grant: RefCell<Option<Grant>>,
    /// Where the calls are told that have ended.
    calls_to: Arc<CallQueue>,
}

/// What a plan says of each of its calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planned {
    /// What one may cost at most.
    pub price: CallPrice,
    /// Whether the catalogue has the model.
    pub is_known_model: bool,
    /// Whether it stands in for a plan that was refused.
    pub is_fallback: bool,
}

/// A call that has ended, and what it came to.
#[derive(Debug)]
pub(super) struct Ended {
    pub choice: usize,
    pub is_reask: bool,
    pub billed: Billed,
    /// What the call alone came to.
    pub own: Usage,
    pub model: String,
    pub upstream: &'static str,
    /// `ok`, or why it is not.
    pub outcome: &'static str,
    pub duration: Duration,
    pub fal_request_id: Option<String>,
    pub planned: Planned,
}

/// What was taken of a caller's limits and budgets for a request.
#[derive(Debug)]
pub struct Grant {
    pub hold: Option<Hold>,
    pub allowance: Option<Allowance>,
    /// When the limits' time began.
    pub since: Instant,
    pub payer: Payer,
    /// Where what it comes to is left, unless it is charged at once.
    pub escrow: Option<Escrow>,
}

/// What a request comes to, left by its ledger for whoever decides whether it is charged here: another
/// gateway may have taken the request over by then, and charge it there.
#[derive(Clone, Debug, Default)]
pub struct Escrow(Rc<RefCell<Option<Due>>>);

/// What is to be charged.
#[derive(Debug)]
struct Due {
    allowance: Option<Allowance>,
    spent: Spending,
    calls: Vec<Call>,
    calls_to: Arc<CallQueue>,
}

impl Escrow {
    /// Charges what was left. Without this, what was taken of budgets is given back when it is dropped.
    pub fn charge(&self) {
        if let Some(due) = self.0.borrow_mut().take() {
            due.charge();
        }
    }
}

impl Due {
    fn charge(self) {
        if let Some(allowance) = self.allowance {
            allowance.settle(&self.spent);
        }
        if self.calls_to.is_on() {
            self.calls_to.push(self.calls);
        }
    }
}

impl Ledger {
    /// An account for this many choices and at most this many calls.
    pub fn new(
        record: Record,
        choices: u32,
        max_calls: u32,
        grant: Option<Grant>,
        calls_to: Arc<CallQueue>,
    ) -> Rc<Self> {
        Rc::new(Self {
            record,
            calls: Cell::new(0),
            calls_left: Cell::new(max_calls),
            billed: Cell::new(Billed::No),
            planned: Cell::default(),
            usage: RefCell::new(vec![Usage::NOTHING; choices as usize]),
            ended: RefCell::default(),
            grant: RefCell::new(grant),
            calls_to,
        })
    }

    /// The record of the request.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether this many more calls may be made.
    pub fn has_calls_left(&self, wanted: u32) -> bool {
        self.calls_left.get() >= wanted
    }

    /// What holds for each call that is made from now on.
    pub(super) fn plans(&self, planned: Planned) {
        self.planned.set(planned);
    }

    pub(super) fn planned(&self) -> Planned {
        self.planned.get()
    }

    /// Whether the caller's budgets have room for a plan that may cost so much, in place of the one
    /// before; what is missing is taken.
    pub(super) fn affords(&self, worst: &Spending) -> bool {
        let mut grant = self.grant.borrow_mut();
        let allowance = grant.as_mut().and_then(|grant| grant.allowance.as_mut());
        allowance.is_none_or(|allowance| allowance.grow(worst))
    }

    /// Takes a call out of those that are left; whether there was one.
    pub fn take_call(&self) -> bool {
        let left = self.calls_left.get().checked_sub(1);
        if let Some(left) = left {
            self.calls_left.set(left);
            self.calls.set(self.calls.get().saturating_add(1));
            self.record.calls_fal();
        }
        left.is_some()
    }

    /// How many calls have been made.
    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// Writes down what a call came to. `usage` is that of its choice with all that came before.
    pub(super) fn settle(&self, ended: Ended, usage: Usage) {
        let (choice, billed) = (ended.choice, ended.billed);
        if billed != Billed::No || self.calls_to.is_on() {
            self.ended.borrow_mut().push(ended);
        }
        if billed == Billed::No {
            return;
        }
        self.billed.set(self.billed.get().max(billed));
        self.set_usage(choice, usage);
    }

    /// Forgets all calls: somebody else reads and settles them, those that have ended as well.
    pub(super) fn hand_over(&self) {
        self.ended.borrow_mut().clear();
        self.usage.borrow_mut().fill(Usage::NOTHING);
        self.billed.set(Billed::No);
    }

    fn set_usage(&self, choice: usize, usage: Usage) {
        if let Some(kept) = self.usage.borrow_mut().get_mut(choice) {
            *kept = usage;
        }
    }

    /// Puts counted tokens in the place of estimated ones.
    pub fn correct(&self, choice: usize, usage: Usage) {
        self.set_usage(choice, usage);
        let mut ended = self.ended.borrow_mut();
        let own = ended
            .iter_mut()
            .filter(|call| call.choice == choice && call.billed != Billed::No);
        share_out(usage, own.map(|call| &mut call.own).collect());
    }

    /// Tokens of a choice so far.
    pub fn usage(&self, choice: usize) -> Usage {
        let usage = self.usage.borrow().get(choice).copied();
        usage.unwrap_or(Usage::NOTHING)
    }

    /// What all calls that have ended cost; `None` where that is not known of each of them.
    pub fn cost(&self) -> Option<Cost> {
        let is_certain = self.billed.get() != Billed::Maybe;
        self.total().cost.filter(|_| is_certain)
    }

    fn total(&self) -> Usage {
        Usage::of_choices(self.usage.borrow().iter().copied())
    }

    /// Whether any call that has ended is, or may be, paid for.
    pub fn may_have_been_paid(&self) -> bool {
        self.billed.get() != Billed::No
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let total = self.total();
        let spent = total.cost.unwrap_or_default();
        self.record.settled(Settlement {
            calls: self.calls.get(),
            billed: self.billed.get().label(),
            cost: self.cost().map(|cost| cost.to_string()),
            units: spent.units,
            picodollars: spent.dollars.0,
            prompt_tokens: total.prompt,
            completion_tokens: total.completion,
        });
        let grant = self.grant.get_mut().take();
        let payer = grant.as_ref().map(|grant| grant.payer.clone());
        let ended = std::mem::take(self.ended.get_mut());
        let spent = ended.iter().filter(|call| call.billed != Billed::No);
        let spent = spent.fold(Spending::default(), |sum, call| sum.and(&call.spent()));
        let (mut allowance, mut escrow) = (None, None);
        if let Some(grant) = grant {
            if let Some(hold) = grant.hold {
                let tokens = total.prompt.saturating_add(total.completion);
                hold.settle(tokens, grant.since.elapsed());
            }
            (allowance, escrow) = (grant.allowance, grant.escrow);
        }
        let calls = match self.calls_to.is_on() {
            true => self.told(&payer.unwrap_or_default(), ended),
            false => Vec::new(),
        };
        let due = Due {
            allowance,
            spent,
            calls,
            calls_to: Arc::clone(&self.calls_to),
        };
        match escrow {
            Some(Escrow(left)) => drop(left.borrow_mut().replace(due)),
            None => due.charge(),
        }
    }
}

impl Ledger {
    /// The calls of the request, for whoever keeps them.
    fn told(&self, payer: &Payer, ended: Vec<Ended>) -> Vec<Call> {
        let mut is_counted = false;
        let calls = ended.into_iter().map(|call| {
            let counts = call.billed != Billed::No && !is_counted;
            is_counted |= counts;
            call.told(&self.record, payer.clone(), counts)
        });
        calls.collect()
    }
}

impl Ended {
    /// What a call that is, or may be, paid for is charged. Where it is not known, it is taken to
    /// have cost as much as it could.
    fn spent(&self) -> Spending {
        let is_certain = self.billed == Billed::Yes;
        let tokens = self.own.prompt.saturating_add(self.own.completion);
        price::spent(
            &self.planned.price,
            self.own.cost.filter(|_| is_certain),
            tokens,
        )
    }

    fn told(self, record: &Record, payer: Payer, counts_request: bool) -> Call {
        let is_billed = self.billed != Billed::No;
        let spent = match is_billed {
            true => self.spent().all,
            false => Amounts::default(),
        };
        let own = if is_billed { self.own } else { Usage::NOTHING };
        let kind = match (self.is_reask, self.choice) {
            (true, _) => CallKind::Reask,
            (false, 1..) => CallKind::Choice,
            (false, 0) if self.planned.is_fallback => CallKind::Fallback,
            (false, 0) => CallKind::First,
        };
        Call {
            payer,
            face: record.route(),
            kind,
            // A call that may have been paid for proves nothing: its caller may have hung up on purpose.
            is_known_model: self.planned.is_known_model || self.billed == Billed::Yes,
            model: self.model,
            upstream: self.upstream,
            tokens: Tokens {
                input: own.prompt,
                cached: own.cached,
                output: own.completion,
                reasoning: own.reasoning,
                is_estimated: own.source == UsageSource::Estimated,
            },
            units: spent.units.0,
            dollars: spent.dollars.0,
            is_premium: self.planned.price.is_premium,
            billed: self.billed.label(),
            counts_request,
            outcome: self.outcome,
            duration_ms: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            request_id: record.request_id().to_owned(),
            fal_request_id: self.fal_request_id.unwrap_or_default(),
        }
    }
}

/// Shares out what was counted for several calls together: each keeps what it was thought to have
/// had, as far as there is so much, and the last has the rest.
fn share_out(counted: Usage, mut calls: Vec<&mut Usage>) {
    let Some(last) = calls.pop() else {
        return;
    };
    let mut rest = counted;
    let take = |rest: &mut u64, own: &mut u64| {
        *own = (*own).min(*rest);
        *rest = rest.saturating_sub(*own);
    };
    for own in calls {
        take(&mut rest.prompt, &mut own.prompt);
        take(&mut rest.cached, &mut own.cached);
        take(&mut rest.completion, &mut own.completion);
        take(&mut rest.reasoning, &mut own.reasoning);
        own.source = counted.source;
    }
    *last = Usage {
        cost: last.cost,
        ..rest
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage {
            prompt,
            completion,
            source: UsageSource::Estimated,
            ..Usage::NOTHING
        }
    }

    #[test]
    fn what_is_counted_for_all_calls_is_what_they_have_together() {
        for counted in [usage(100, 50), usage(15, 3), usage(0, 0)] {
            let mut calls = [usage(10, 20), usage(30, 5), usage(1, 1)];
            let exact = Usage {
                source: UsageSource::Counted,
                ..counted
            };
            share_out(exact, calls.iter_mut().collect());
            let sum = |of: fn(&Usage) -> u64| calls.iter().map(of).sum::<u64>();
            assert_eq!(sum(|call| call.prompt), counted.prompt);
            assert_eq!(sum(|call| call.completion), counted.completion);
            assert!(calls.iter().all(|call| call.source == UsageSource::Counted));
        }
    }
}
