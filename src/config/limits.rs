//! How much one request may ask for, and how many run at once.

use super::kinds::{Choice, Count, Optional, Size};
use super::settings::settings;

settings! {
    /// How much one request may ask for, and how many run at once.
    pub struct Limits in "limits" {
        /// Largest `n`; each choice is a request of its own to fal.
        max_n: usize, Count(1, 128), default "4", reload live;
        /// Calls to fal that one request may cause: one for each choice, and one more each time a
        /// model is asked again, another model is tried, or a shortened prompt is sent.
        max_calls: usize, Count(1, 1000), default "8", reload live;
        /// Requests served at the same time; one more is refused at once with status 503.
        max_inflight: usize, Count(1, 1_000_000), default "1024", reload live;
        /// Requests at the same time whose body does not come at once; one more is refused with
        /// status 503. One address, one key, and all fal keys that fal has not accepted yet hold a
        /// quarter of them at most.
        max_awaiting: usize, Count(1, 1_000_000), default "1024", reload live;
        /// Bytes of request bodies held at the same time, those of up to 64 KiB not counted; one
        /// more is refused at once with status 503. A body takes up to three times its size.
        max_body_memory: usize, Size("1", "1024GiB"), default "512MiB", reload live;
        /// Largest request without its images, recordings and videos, in bytes: texts are read through
        /// several times, and the rest is only passed on.
        max_text: usize, Size("1", "1GiB"), default "4MiB", reload live;
        /// Messages in one request.
        max_messages: usize, Count(1, 1_000_000), default "4096", reload live;
        /// Largest `max_tokens` or `max_completion_tokens` a request may ask for, in tokens.
        max_tokens: Option<usize>, Optional(Count(1, 1_000_000_000)), reload live;
        /// Longest prompt sent to fal, in characters.
        max_prompt_chars: Option<usize>, Optional(Count(1, 1_000_000_000)), reload live;
        /// Longest system prompt sent to fal, in characters.
        max_system_chars: Option<usize>, Optional(Count(1, 1_000_000_000)), reload live;
        /// What happens to a conversation that is too long: `error` refuses it, `shift` moves
        /// text to where there is room, `drop_oldest` leaves out its oldest turns.
        overflow: Overflow, Choice(Overflow::WORDS), default "error", reload live;
        /// Images in one request, and recordings and videos in one; `images.excess` says what happens to
        /// more images.
        max_images: usize, Count(1, 10_000), default "16", reload live;
        /// Largest image, recording or video sent inside a request, in bytes after decoding.
        max_image_bytes: usize, Size("1", "1GiB"), default "10MiB", reload live;
    }
}

/// What happens to a conversation that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused.
    Error,
    /// Text moves to where there is room.
    Shift,
    /// Its oldest turns are left out.
    DropOldest,
}

impl Overflow {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("shift", Self::Shift),
        ("drop_oldest", Self::DropOldest),
    ];
}
