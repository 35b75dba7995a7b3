//! The emulator's front: calls in, replies out, and the record of both.

pub(super) mod auth;
pub(super) mod call;
pub(super) mod front;
pub(super) mod guard;
pub(super) mod kinds;
pub(super) mod record;
