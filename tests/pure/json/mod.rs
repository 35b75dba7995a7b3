//! What models write instead of JSON, and what becomes of it.
mod arguments;
mod breakages;
mod coercion;
mod hostile;
mod partial;
mod properties;
