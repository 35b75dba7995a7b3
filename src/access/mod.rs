//! Who may call, and how much of what is scarce they may hold. Knows the settings, but nothing of
//! HTTP, OpenAI or fal.

pub mod admin;
pub mod failures;
pub mod filed;
pub mod keyring;
pub mod keys;
pub mod known;
pub mod likeness;
pub mod limits;
pub mod models;
pub mod pieces;
pub mod purses;
pub mod roster;
pub mod secret;
pub mod shares;

pub use admin::{AdminKey, AdminKeys};
pub use failures::Failures;
pub use filed::Filed;
pub use keyring::{ClientKeys, Refused};
pub use keys::{ClientKey, ClientKeyId};
pub use known::{KeyPrint, KnownKeys};
pub use limits::{Limiter, Limiters};
pub use models::ModelRules;
pub use purses::Purses;
pub use roster::Roster;
pub use shares::{Holder, Seat, Shares};
