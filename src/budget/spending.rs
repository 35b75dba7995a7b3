//! What a request may cost at most, and what it did cost, in everything that a budget can count.

use serde::{Deserialize, Serialize};

use super::amount::{Amount, Unit};
use super::terms::Terms;

/// An amount of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    pub units: Amount,
    pub dollars: Amount,
    pub requests: Amount,
    pub tokens: Amount,
}

/// What is spent, and how much of it on models at the premium rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    pub all: Amounts,
    pub premium: Amounts,
}

/// What a call may cost at most.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct CallPrice {
    pub units: Amount,
    pub dollars: Amount,
    pub tokens: Amount,
    /// Whether it is at the premium rate, or might be.
    pub is_premium: bool,
}

impl Amounts {
    /// How much of a unit it is.
    pub fn of(&self, unit: Unit) -> Amount {
        match unit {
            Unit::Units => self.units,
            Unit::Dollars => self.dollars,
            Unit::Requests => self.requests,
            Unit::Tokens => self.tokens,
        }
    }

    fn with(&self, other: &Self, join: impl Fn(Amount, Amount) -> Amount) -> Self {
        Self {
            units: join(self.units, other.units),
            dollars: join(self.dollars, other.dollars),
            requests: join(self.requests, other.requests),
            tokens: join(self.tokens, other.tokens),
        }
    }
}

impl Spending {
    /// The worst case of a request: the dearest of the models that may answer, asked as often as can
    /// be. A model is only passed over after a refusal that costs nothing, so prices do not add up.
    pub fn worst(models: impl IntoIterator<Item = CallPrice>, max_calls: u32) -> Self {
        models.into_iter().fold(Self::default(), |worst, price| {
            let amounts = Amounts {
                units: price.units.times(max_calls),
                dollars: price.dollars.times(max_calls),
                requests: Amount(1),
                tokens: price.tokens.times(max_calls),
            };
            worst.with(&Self::at(price.is_premium, amounts), Ord::max)
        })
    }

    /// Amounts that were spent on a model.
    pub fn at(is_premium: bool, amounts: Amounts) -> Self {
        Self {
            all: amounts,
            premium: if is_premium {
                amounts
            } else {
                Amounts::default()
            },
        }
    }

    /// Both together, as one request: it counts once, however many calls it took.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut sum = self.with(other, |one, other| one + other);
        let once = self.with(other, Ord::max);
        sum.all.requests = once.all.requests;
        sum.premium.requests = once.premium.requests;
        sum
    }

    /// How much of it a budget counts.
    pub fn counted_by(&self, terms: &Terms) -> Amount {
        match terms.only_premium {
            true => self.premium.of(terms.unit),
            false => self.all.of(terms.unit),
        }
    }

    fn with(&self, other: &Self, join: impl Fn(Amount, Amount) -> Amount + Copy) -> Self {
        Self {
            all: self.all.with(&other.all, join),
            premium: self.premium.with(&other.premium, join),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(units: i64, is_premium: bool) -> CallPrice {
        CallPrice {
            units: Amount(units),
            is_premium,
            ..CallPrice::default()
        }
    }

    #[test]
    fn the_worst_case_is_the_dearest_model_asked_as_often_as_can_be() {
        let worst = Spending::worst([price(1000, false), price(10_000, true)], 3);
        assert_eq!(worst.all.units, Amount(30_000));
        assert_eq!(worst.premium.units, Amount(30_000));
        assert_eq!(worst.all.requests, Amount(1));
        let plain = Spending::worst([price(1000, false)], 2);
        assert_eq!(plain.all.units, Amount(2000));
        assert_eq!(plain.premium, Amounts::default());
    }

    #[test]
    fn a_request_of_several_calls_is_one_request() {
        let call = |is_premium| {
            let requests = Amount(1);
            let units = Amount(1000);
            Spending::at(
                is_premium,
                Amounts {
                    units,
                    requests,
                    ..Amounts::default()
                },
            )
        };
        let both = call(false).and(&call(true)).and(&call(true));
        assert_eq!(
            (both.all.units, both.all.requests),
            (Amount(3000), Amount(1))
        );
        assert_eq!(
            (both.premium.units, both.premium.requests),
            (Amount(2000), Amount(1))
        );
    }
}
