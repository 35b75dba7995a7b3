//! The public APIs. A face turns one API's JSON into an [`Ask`](super::ask::Ask), and
//! [`Event`](super::reading::event::Event)s into that API's objects and SSE frames. It knows
//! nothing of fal and nothing of the other faces.

pub mod chat;
pub mod rules;
