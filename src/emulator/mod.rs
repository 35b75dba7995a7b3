//! A stand-in for fal.
