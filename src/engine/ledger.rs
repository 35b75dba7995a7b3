//! What one request costs: the calls it may still make, and the tokens and money of those it made.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::price;
use crate::access::limits::Hold;
use crate::access::purses::Allowance;
use crate::budget::Spending;
use crate::budget::spending::CallPrice;
use crate::observe::record::{Record, Settlement};
use crate::translate::cost::Cost;
use crate::translate::reading::Usage;

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
    /// How many calls are, or may be, paid for.
    billed_calls: Cell<u32>,
    /// What a call may cost at most, by the plan that is run.
    price: Cell<CallPrice>,
    /// Tokens of each choice, all its attempts together.
    usage: RefCell<Vec<Usage>>,
    grant: RefCell<Option<Grant>>,
}

/// What was taken of a caller's limits and budgets for a request.
#[derive(Debug)]
pub struct Grant {
    pub hold: Option<Hold>,
    pub allowance: Option<Allowance>,
    /// When the limits' time began.
    pub since: Instant,
}

impl Ledger {
    /// An account for this many choices and at most this many calls.
    pub fn new(record: Record, choices: u32, max_calls: u32, grant: Option<Grant>) -> Rc<Self> {
        Rc::new(Self {
            record,
            calls: Cell::new(0),
            calls_left: Cell::new(max_calls),
            billed: Cell::new(Billed::No),
            billed_calls: Cell::new(0),
            price: Cell::default(),
            usage: RefCell::new(vec![Usage::NOTHING; choices as usize]),
            grant: RefCell::new(grant),
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

    /// What each call may cost at most that is made from now on. Calls of an earlier plan were not
    /// paid for, or there would be no other.
    pub(super) fn priced(&self, price: CallPrice) {
        self.price.set(price);
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
    pub fn settle(&self, choice: usize, billed: Billed, usage: Usage) {
        if billed == Billed::No {
            return;
        }
        self.billed.set(self.billed.get().max(billed));
        self.billed_calls
            .set(self.billed_calls.get().saturating_add(1));
        self.correct(choice, usage);
    }

    /// Puts counted tokens in the place of estimated ones.
    pub fn correct(&self, choice: usize, usage: Usage) {
        if let Some(kept) = self.usage.borrow_mut().get_mut(choice) {
            *kept = usage;
        }
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
        let Some(grant) = self.grant.get_mut().take() else {
            return;
        };
        let tokens = total.prompt.saturating_add(total.completion);
        if let Some(hold) = grant.hold {
            hold.settle(tokens, grant.since.elapsed());
        }
        if let Some(allowance) = grant.allowance {
            let (price, calls) = (self.price.get(), self.billed_calls.get());
            allowance.settle(&price::spent(&price, calls, self.cost(), tokens));
        }
    }
}
