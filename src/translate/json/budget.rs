//! What the schemas of one request may cost together.

use super::schema::SchemaError;
use super::usual::Weight;

/// The most JSON values in all schemas. A tool with five parameters has some thirty.
const MAX_VALUES: usize = 20_000;
/// What all patterns may compile to, in states, so that compiling takes milliseconds.
pub(super) const MAX_STATES: usize = 50_000;
/// The steps that references and branches may take in place, whatever the answer will be.
const MAX_STEPS: usize = 100_000;

/// A value in a schema becomes a part of a tree and of what checks it.
const BYTES_OF_VALUE: usize = 1024;
/// A state of a pattern, with what is remembered of it while it matches.
const BYTES_OF_STATE: usize = 512;

/// What a schema may always take: more than most do.
const FEW_STEPS: usize = 256;

/// What is left to be spent on the schemas of one request, however many there are: a limit for each
/// of 128 tools would let one request cost 128 times as much.
#[derive(Debug)]
pub struct SchemaBudget {
    values: usize,
    states: usize,
    steps: usize,
}

impl Default for SchemaBudget {
    fn default() -> Self {
        Self {
            values: MAX_VALUES,
            states: MAX_STATES,
            steps: MAX_STEPS,
        }
    }
}

impl SchemaBudget {
    /// About how many bytes of memory that takes which was spent: rather too many than too few.
    pub const fn memory(&self) -> usize {
        let values = MAX_VALUES.saturating_sub(self.values);
        let states = MAX_STATES.saturating_sub(self.states);
        let of_values = values.saturating_mul(BYTES_OF_VALUE);
        of_values.saturating_add(states.saturating_mul(BYTES_OF_STATE))
    }

    /// Takes so many values out of the budget.
    pub(super) fn spend_values(&mut self, values: usize) -> Result<(), SchemaError> {
        let left = self.values.checked_sub(values);
        self.values = left.ok_or(SchemaError::AllTooLarge)?;
        Ok(())
    }

    /// Takes what a schema weighs out of the budget, and says whether there was as much.
    pub(super) fn spend(&mut self, weight: Weight) -> bool {
        let is_enough = weight.values <= self.values && weight.steps <= self.share_of_steps();
        if is_enough {
            self.values = self.values.saturating_sub(weight.values);
            self.spend_steps(weight.steps);
        }
        is_enough
    }

    /// How many steps one more schema may take: a part of what is left, so that one that takes too
    /// many leaves enough for the others.
    pub(super) const fn share_of_steps(&self) -> usize {
        match self.steps / 4 {
            0..FEW_STEPS => FEW_STEPS,
            share => share,
        }
    }

    pub(super) const fn spend_steps(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }

    /// Takes so many states out of the budget, and says whether there were as many.
    pub(super) fn spend_states(&mut self, states: usize) -> bool {
        let left = self.states.checked_sub(states);
        self.states = left.unwrap_or(self.states);
        left.is_some()
    }
}
