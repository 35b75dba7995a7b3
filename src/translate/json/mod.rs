//! The JSON in a model's answer: found, repaired where nothing is lost by it, and checked.
//!
//! A model that only gets a prompt cannot be made to write JSON; it can only be asked to. What
//! comes back is JSON in a Markdown fence, after a sentence of prose, with a comma too many. This
//! module takes such a text through a ladder and says on which rung it stood:
//!
//! ```text
//! text -> root -> repair -> coerce -> check -> what the application gets
//!         fences  lexical   types as  the caller's
//!         prose   fixes     declared  schema
//! ```
//!
//! Three promises hold on every rung. What was valid comes out byte for byte, since clients compare
//! and cache it. Nothing is guessed: a text with two readings is refused, and the model asked
//! again. And every text ends in bounded time and stack, since callers choose both the schemas and,
//! through their prompts, the answers.
//!
//! [`root`] and [`RootScanner`] find the JSON, whole or live; [`repair()`] makes it parse;
//! [`Schema`] and [`coerce()`] hold it against a schema; [`parse_arguments`] does all of it for the
//! arguments of a tool call; [`outline()`] makes a value for a model to fill in. Each change is a [`Fix`], to be counted and reported.
#![deny(clippy::arithmetic_side_effects)]

mod arguments;
mod budget;
mod coerce;
mod compact;
mod escape;
mod exact;
mod extent;
mod extract;
mod fix;
mod nesting;
mod outline;
mod pattern;
mod pointer;
mod quote;
mod repair;
mod scanner;
mod schema;
mod survey;
mod texts;
mod twins;
mod usual;
mod validation_cost;

pub use arguments::{Arguments, ArgumentsError, parse_arguments};
pub use budget::SchemaBudget;
pub use coerce::coerce;
pub use compact::{compact, count_values, small_tree};
pub use extent::Extent;
pub use extract::{Found, Root, root};
pub use fix::Fix;
pub use nesting::{DEEPEST, RootEnd};
pub use outline::outline;
pub use quote::{escape_into, escaped};
pub use repair::{LONGEST, Repaired, repair};
pub use scanner::{Progress, RootFinder, RootScanner};
pub use schema::{LONGEST_SCHEMA, Partial, Schema, SchemaError, Violation};
pub use texts::{TextMember, members_that_take, object_of_texts};
