//! What calls cost, as far as it is known.

use std::fmt;

use super::model::{PicoDollars, UNIT};

/// What calls cost: any-llm's are charged by the request, in units of fal's, the router's by the
/// token, in dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub units: u64,
    pub dollars: PicoDollars,
}

impl Cost {
    /// So many units.
    pub fn of_units(units: u64) -> Self {
        Self {
            units,
            ..Self::default()
        }
    }

    /// An amount of money.
    pub fn of_dollars(dollars: PicoDollars) -> Self {
        Self {
            dollars,
            ..Self::default()
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            units: self.units.saturating_add(other.units),
            dollars: self.dollars.plus(other.dollars),
        }
    }

    /// All of it in dollars, a unit at fal's list price.
    pub fn in_dollars(self) -> PicoDollars {
        self.dollars.plus(UNIT.times(self.units))
    }
}

impl fmt::Display for Cost {
    /// `1 unit`, `10 units`, `0.0005795 usd`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { units, dollars } = self;
        let name = if *units == 1 { "unit" } else { "units" };
        match (*units, dollars.0) {
            (0, _) => write!(f, "{dollars} usd"),
            (_, 0) => write!(f, "{units} {name}"),
            (..) => write!(f, "{units} {name}, {dollars} usd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_written_in_what_it_is_charged_in() {
        let dollars = Cost::of_dollars(PicoDollars(579_500_000));
        assert_eq!(dollars.to_string(), "0.0005795 usd");
        assert_eq!(Cost::of_units(1).to_string(), "1 unit");
        assert_eq!(Cost::of_units(10).to_string(), "10 units");
        let both = dollars.plus(Cost::of_units(3));
        assert_eq!(both.to_string(), "3 units, 0.0005795 usd");
        assert_eq!(both.in_dollars().to_string(), "0.0035795");
        assert_eq!(Cost::default().to_string(), "0 usd");
    }
}
