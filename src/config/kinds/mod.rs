//! How a value of some kind is read, and what to say when it cannot be.
//!
//! A kind takes what TOML offers and also plain text, because environment
//! variables and flags are nothing else.

mod added;
mod collection;
mod keys;
mod kind;
mod scalar;
mod text;

pub(super) use added::Added;
pub(super) use collection::{List, Table};
pub(super) use keys::{Budget, KeyName, Moment, Pattern, PlainHash};
pub(super) use kind::{Found, Kind};
pub(super) use scalar::{Choice, Count, Optional, Size, Span, Switch, ZeroMeansNone};
pub(super) use text::{
    Address, AppPath, BaseUrl, CaPath, DatabaseAddress, FalKey, FilePath, HashedKey, Host, ModelId,
    NetworkBlock, Passphrase, ProxyAddress, WebOrigin,
};
