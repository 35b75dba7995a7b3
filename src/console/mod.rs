//! The console without its HTTP: the files of the page, and the sessions of those who have opened it.

pub mod assets;
pub mod sessions;
