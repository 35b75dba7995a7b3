//! The arithmetic of budgets: how much may be spent, by how many gateways at once, and exactly.
//!
//! A budget's [`Window`](books::Window) stands in a store. A gateway draws an amount of it, its
//! [`Lease`](books::Lease), spends that out of a [`Pocket`] without asking anybody,
//! and reports what it has spent. Nothing here does I/O or reads a clock: the store loads rows, calls
//! [`books`], and writes the rows back in one transaction.
//!
//! What holds, whatever is lost, repeated, late or out of order on the way:
//!
//! 1. `used + leased <= limit` for every window.
//! 2. A gateway spends no more from a lease than it drew. No clock is involved.
//! 3. A lease that expires is charged and never released: its rest moves from `leased` to `used`. Both
//!    count against the limit, so whoever goes on spending an expired lease spends what is paid for.
//!    When its gateway comes back, the rest moves back.
//! 4. Reports say totals and no differences, so one that arrives twice, or behind a later one, changes
//!    nothing. An answer that is lost is found in the next one.
//!
//! Two things can pass a limit, and both are counted apart, in [`Window::beyond`](books::Window::beyond):
//! what a store has forgotten (a standby that took over without the last draws), and a call that cost
//! more than was reckoned with (possible where tokens or dollars are counted, and for units of calls
//! through the router, whose worst cases are estimates; never for any-llm's units and requests).

pub mod amount;
pub mod books;
pub mod pace;
pub mod period;
pub mod pocket;
pub mod spending;
pub mod terms;

pub use amount::{Amount, Unit};
pub use pace::Pace;
pub use period::{Period, Span};
pub use pocket::Pocket;
pub use spending::Spending;
pub use terms::Terms;
