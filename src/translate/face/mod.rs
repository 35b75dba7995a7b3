//! The public APIs. A face turns one API's JSON into an [`Ask`](super::ask::Ask), and
//! [`Event`](super::reading::event::Event)s into that API's objects and SSE frames. It knows
//! nothing of fal and nothing of the other faces; what several of them do alike lies beside them.

pub mod answer;
pub mod chat;
pub mod completions;
pub mod objects;
pub mod rules;
