//! The console: its pages and files, and who is kept away from them.

mod door;
mod pages;
