//! What models write instead of JSON, and what becomes of it.

mod breakages;
