//! The gateway's side: what it has drawn of a window, and spends without asking anybody.

use super::amount::Amount;
use super::books::{Answer, Report};

/// What a gateway holds of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pocket {
    drawn: Amount,
    spent: Amount,
    returned: Amount,
    /// What requests that run may still spend.
    held: Amount,
}

/// Requests that wait for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// What all of them want.
    pub sum: Amount,
    /// What the most modest of them wants.
    pub least: Amount,
}

impl Pocket {
    /// What is there for the next request. Below zero where calls have cost more than was taken.
    pub fn left(&self) -> Amount {
        self.drawn - self.spent - self.returned - self.held
    }

    /// Takes what a request may cost at most; whether there is as much.
    pub fn take(&mut self, worst: Amount) -> bool {
        let is_there = worst <= self.left();
        if is_there {
            self.held += worst;
        }
        is_there
    }

    /// Takes it whether it is there or not: where a budget only counts, and for calls that were made.
    pub fn take_anyway(&mut self, worst: Amount) {
        self.held += worst;
    }

    /// Books what a request has cost for which `taken` was taken. The rest is there again.
    pub fn settle(&mut self, taken: Amount, cost: Amount) {
        self.held -= taken;
        self.spent += cost;
    }

    /// Gives up everything that no request holds; the next report says so.
    pub fn empty(&mut self) {
        self.returned += self.left().or_zero();
    }

    /// What the store has to be told. `liking` is what the gateway would like to have in hand.
    pub fn report(&self, waiting: Waiting, liking: Amount) -> Report {
        let left = self.left();
        let missing = |wanted: Amount| (wanted - left).or_zero();
        Report {
            drawn: self.drawn,
            spent: self.spent,
            returned: self.returned,
            need: missing(waiting.sum),
            least: missing(waiting.least),
            liking: missing(liking),
        }
    }

    /// Takes in the store's answer to the last report.
    pub fn hear(&mut self, answer: &Answer) {
        self.drawn = answer.drawn;
    }

    /// Whether the store knows all of it, and nothing is in hand or running.
    pub fn is_clear(&self, reported: &Report) -> bool {
        let is_told = reported.spent == self.spent && reported.returned == self.returned;
        is_told && self.held.is_zero() && self.left() <= Amount::ZERO
    }

    /// What has been spent out of it, in all.
    pub fn spent(&self) -> Amount {
        self.spent
    }

    /// What requests that run may still spend.
    pub fn held(&self) -> Amount {
        self.held
    }
}
