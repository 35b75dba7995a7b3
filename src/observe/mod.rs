//! What can be seen of the gateway from outside. Knows only the settings.

pub mod logging;
