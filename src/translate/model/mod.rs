//! The models: what each can on which upstream, what it costs there, and by which names it goes.

pub mod abilities;
mod builtin;
pub mod catalogue;
pub mod info;
pub mod lists;
pub mod price;

pub use abilities::{Modalities, Modality, Parameter, Parameters, Reasoning};
pub use builtin::{CATALOGUE_UNIX_S, DEFAULT_MODEL};
pub use catalogue::{Catalogue, Changes, Resolved};
pub use info::{AnyLlm, ModelInfo, Price, Router, Service, UNIT};
pub use lists::{ListError, ListedModel, PublicLists};
pub use price::{PicoDollars, TokenPrice};
