//! What the schemas of one request may cost together.

use super::schema::SchemaError;

/// The most JSON values in all schemas. A tool with five parameters has some thirty.
const MOST_VALUES: usize = 20_000;
/// What all patterns may compile to, in states, so that compiling takes milliseconds.
pub(super) const MOST_STATES: usize = 50_000;
/// The steps that references and branches may take in place, whatever the answer will be.
const MOST_STEPS: usize = 100_000;

/// What is left to be spent on the schemas of one request, however many there are: a limit for each
/// of 128 tools would let one request cost 128 times as much.
#[derive(Debug)]
pub struct SchemaBudget {
    values: usize,
    states: usize,
    pub(super) steps: usize,
}

impl Default for SchemaBudget {
    fn default() -> Self {
        Self {
            values: MOST_VALUES,
            states: MOST_STATES,
            steps: MOST_STEPS,
        }
    }
}

impl SchemaBudget {
    /// Takes so many values out of the budget.
    pub(super) fn spend_values(&mut self, values: usize) -> Result<(), SchemaError> {
        let left = self.values.checked_sub(values);
        self.values = left.ok_or(SchemaError::AllTooLarge)?;
        Ok(())
    }

    /// Takes so many states out of the budget, and says whether there were as many.
    pub(super) fn spend_states(&mut self, states: usize) -> bool {
        let left = self.states.checked_sub(states);
        self.states = left.unwrap_or(self.states);
        left.is_some()
    }
}
