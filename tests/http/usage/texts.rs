//! Texts of several kinds, written for this purpose, on which the estimate of tokens is measured.

/// By how much of the exact count an estimate may be off, for each of these texts.
pub(crate) const BOUND_PERCENT: f64 = 6.0;

pub(crate) struct Sample {
    pub(crate) kind: &'static str,
    pub(crate) text: &'static str,
}

const fn sample(kind: &'static str, text: &'static str) -> Sample {
    Sample { kind, text }
}

#[rustfmt::skip]
pub(crate) const SAMPLES: &[Sample] = &[
    sample("English prose", include_str!("texts/english.txt")),
    sample("German prose", include_str!("texts/german.txt")),
    sample("French prose", include_str!("texts/french.txt")),
    sample("Russian prose", include_str!("texts/russian.txt")),
    sample("Chinese prose", include_str!("texts/chinese.txt")),
    sample("Japanese prose", include_str!("texts/japanese.txt")),
    sample("Chat with emoji", include_str!("texts/emoji.txt")),
    sample("Markdown", include_str!("texts/markdown.txt")),
    sample("Rust", include_str!("texts/rust.txt")),
    sample("Python", include_str!("texts/python.txt")),
    sample("JSON", include_str!("texts/data.json.txt")),
];
