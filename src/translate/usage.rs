//! Token counts, estimated: fal reports none.
//!
//! See [`super::tokenizer`] for counts that are exact.
//!
//! The estimate walks over the text once and needs no dictionary. It counts words by length,
//! digits by threes, punctuation by runs, and ideographs and emoji one by one, which is how
//! byte-pair encodings of today's models behave on average. How near it comes, by kind of text:
//! `cargo run --example token-error`.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::image;
use super::media::Media;

/// Tokens that chat templates add around a prompt.
const TEMPLATE_TOKENS: u64 = 7;
/// What providers charge for an image of middling size.
const IMAGE_TOKENS: u64 = 258;

/// What a second of a recording comes to, and of a video with its sound (source: ai.google.dev, "Token
/// counting").
const AUDIO_TOKENS_PER_SECOND: u64 = 32;
const VIDEO_TOKENS_PER_SECOND: u64 = 295;
/// How many bytes a second takes up: sound that is compressed at 128 kbit/s, without a loss, and not at
/// all (both of a compact disc's quality), and video at 2 Mbit/s.
const AUDIO_BYTES_PER_SECOND: u64 = 16_000;
const LOSSLESS_BYTES_PER_SECOND: u64 = 88_200;
const RAW_BYTES_PER_SECOND: u64 = 176_400;
const VIDEO_BYTES_PER_SECOND: u64 = 250_000;
/// How long a video is taken to be of which there is only an address.
const USUAL_VIDEO_S: u64 = 60;

/// Estimated tokens of a recording in base64; `format` is OpenAI's word for what it is.
pub fn audio_tokens(format: &str, data: &str) -> u64 {
    let bytes = data.len() as u64 / 4 * 3;
    let each_second = match format {
        "wav" => wav_bytes_per_second(data).unwrap_or(RAW_BYTES_PER_SECOND),
        "aiff" => RAW_BYTES_PER_SECOND,
        "flac" => LOSSLESS_BYTES_PER_SECOND,
        _ => AUDIO_BYTES_PER_SECOND,
    };
    bytes.saturating_mul(AUDIO_TOKENS_PER_SECOND) / each_second
}

/// How many bytes a second takes up, as the head of a WAV file says where it is the usual one (source:
/// Microsoft's "Multimedia Programming Interface and Data Specifications 1.0"). Rates that no recording
/// has are not believed.
fn wav_bytes_per_second(data: &str) -> Option<u64> {
    let head = STANDARD.decode(data.get(..WAV_HEAD_ENCODED)?).ok()?;
    let is_wav = head.starts_with(b"RIFF") && head.get(8..16)? == b"WAVEfmt ";
    let rate = head.get(28..32)?.try_into().ok()?;
    let rate = u64::from(u32::from_le_bytes(rate));
    Some(rate).filter(|rate| is_wav && WAV_RATES.contains(rate))
}

/// How much base64 holds the head of a WAV file.
const WAV_HEAD_ENCODED: usize = 48;
/// From the telephone to a studio with eight channels.
const WAV_RATES: RangeInclusive<u64> = 8_000..=4_608_000;

/// Estimated tokens of a video at an address.
pub fn video_tokens(url: &str) -> u64 {
    match image::is_data_uri(url) {
        true => {
            let bytes = url.len() as u64 / 4 * 3;
            bytes.saturating_mul(VIDEO_TOKENS_PER_SECOND) / VIDEO_BYTES_PER_SECOND
        }
        false => USUAL_VIDEO_S * VIDEO_TOKENS_PER_SECOND,
    }
}

/// Estimated tokens of recordings and videos.
pub fn media_tokens(media: &[Media<'_>]) -> u64 {
    let tokens = media.iter().map(|media| match media {
        Media::Audio { format, data } => audio_tokens(format.word, data),
        Media::Video(url) => video_tokens(url),
    });
    tokens.fold(0, u64::saturating_add)
}

/// Estimated tokens of a prompt, its instructions and its images.
pub fn prompt_tokens(prompt: &str, system_prompt: Option<&str>, images: usize) -> u64 {
    let mut estimate = TokenEstimate::default();
    estimate.push(system_prompt.unwrap_or_default());
    estimate.end_word();
    estimate.push(prompt);
    estimate.tokens() + tokens_around(images)
}

/// The same, where the tokens of a part of the instructions may be known.
pub fn prompt_tokens_knowing(
    part: Option<&EstimatedText>,
    prompt: &str,
    system_prompt: Option<&str>,
    images: usize,
) -> u64 {
    let system_prompt = system_prompt.unwrap_or_default();
    let mut estimate = TokenEstimate::default();
    match part.and_then(|part| Some((part, part.split(system_prompt)?))) {
        None => estimate.push(system_prompt),
        Some((part, (before, after))) => {
            estimate.push(before);
            estimate.push_estimated(part);
            estimate.push(after);
        }
    }
    estimate.end_word();
    estimate.push(prompt);
    estimate.tokens() + tokens_around(images)
}

/// Tokens of a prompt that stand in no text: its images and the template around it.
pub fn tokens_around(images: usize) -> u64 {
    TEMPLATE_TOKENS + images as u64 * IMAGE_TOKENS
}

/// Estimated tokens of a text.
pub fn tokens(text: &str) -> u64 {
    let mut estimate = TokenEstimate::default();
    estimate.push(text);
    estimate.tokens()
}

/// Estimates the tokens of a text that arrives in pieces. Where the pieces are cut does not matter.
#[derive(Clone, Debug, Default)]
pub struct TokenEstimate {
    thousandths: u64,
    run: Run,
}

/// A text whose tokens have been estimated.
#[derive(Clone, Debug)]
pub struct EstimatedText {
    text: String,
    estimate: TokenEstimate,
}

impl EstimatedText {
    /// Estimates the tokens of a text, once and for all.
    pub fn new(text: String) -> Self {
        let mut estimate = TokenEstimate::default();
        estimate.push(&text);
        Self { text, estimate }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before and after this text in another; `None` where it does not stand there, or
    /// only behind something that begins as it does.
    pub fn split<'t>(&self, whole: &'t str) -> Option<(&'t str, &'t str)> {
        const BEGINNING: usize = 64;
        let beginning = self.text.as_bytes();
        let beginning = beginning.get(..BEGINNING).unwrap_or(beginning);
        let at = memchr::memmem::find(whole.as_bytes(), beginning)?;
        let (before, rest) = whole.split_at_checked(at)?;
        Some((before, rest.strip_prefix(self.text.as_str())?))
    }
}

/// What kind of thing a character is, as far as tokenizers care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Space,
    Newline,
    UpperCase,
    LowerCase,
    Digit,
    Punctuation,
    OtherLetter,
    Ideograph,
    Kana,
    Hangul,
    WidePunctuation,
    Symbol,
}

impl TokenEstimate {
    /// Adds a piece of text.
    pub fn push(&mut self, text: &str) {
        let mut rest = text;
        while let Some(letter) = self.push_ascii(&mut rest) {
            let class = self.beyond_ascii(letter);
            let step = self.run.step(class);
            self.thousandths += step.cost();
            self.run = step.run();
        }
    }

    /// Adds the beginning of a text, up to the first character beyond ASCII; takes that one too, and gives
    /// it back.
    fn push_ascii(&mut self, text: &mut &str) -> Option<char> {
        let (mut cost, mut run) = (0_u64, self.run);
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first()
            && byte.is_ascii()
        {
            let step = run.step(Class::of_ascii(*byte));
            // No text is long enough for a sum that does not fit.
            cost = cost.wrapping_add(step.cost());
            run = step.run();
            rest = after;
            // Most of a text is words, of which several letters are taken at once.
            if run.comes_before_words() {
                let letters = small_letters(rest);
                let step = run.step_through(letters);
                cost = cost.wrapping_add(step.cost());
                run = step.run();
                rest = rest.get(letters..).unwrap_or_default();
            }
        }
        self.thousandths += cost;
        self.run = run;
        let length = text.len().saturating_sub(rest.len());
        let mut beyond = text.get(length..).unwrap_or_default().chars();
        let letter = beyond.next();
        *text = beyond.as_str();
        letter
    }

    /// Adds a text that has been estimated.
    pub fn push_estimated(&mut self, text: &EstimatedText) {
        let mut first = Self::default();
        first.push(text.text.get(..1).unwrap_or_default());
        // A word that goes on from one text into the other is neither's own.
        if first.run.place() != 1 || self.run.goes_on_with(first.run.class()) {
            return self.push(&text.text);
        }
        self.thousandths += text.estimate.thousandths;
        self.run = text.estimate.run;
    }

    fn beyond_ascii(&mut self, letter: char) -> Class {
        let class = Class::of(letter);
        if class.is_latin() {
            self.thousandths += ACCENT;
        }
        class
    }

    /// The estimate so far.
    pub fn tokens(&self) -> u64 {
        self.thousandths.div_ceil(1000)
    }

    pub fn end_word(&mut self) {
        self.run = Run::new(self.run.class(), 0);
    }
}

/// What an accented letter adds to its word, in thousandths of a token: such words are cut more
/// often than English ones.
const ACCENT: u64 = 1300;

/// The classes of bytes, of which only ASCII, which most text is made of, says what a character is.
static ASCII: [Class; 256] = {
    let mut classes = [Class::Punctuation; 256];
    let mut rest = classes.as_mut_slice();
    let mut byte = 0u8;
    while let Some((class, later)) = rest.split_first_mut() {
        *class = match byte {
            b'a'..=b'z' => Class::LowerCase,
            b'A'..=b'Z' => Class::UpperCase,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' => Class::Space,
            b'\n' | b'\r' => Class::Newline,
            _ => Class::Punctuation,
        };
        byte = byte.saturating_add(1);
        rest = later;
    }
    classes
};

/// A run of characters of one class, as far as what comes next depends on it: the class, and where the
/// last character stands in the run, from 1, in the lowest four bits. None is 0. Beyond the last place
/// that is told apart the last ones repeat, as many as digits make a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run(u8);

const MAX_PLACE: u8 = 15;
const PERIOD: u8 = 3;

/// What one more character does: the run that it stands in, in the lowest byte, and above that what it
/// costs, in thousandths of a token.
#[derive(Clone, Copy, Debug)]
struct Step(u32);

/// What a character of each class does behind each run. Both have room for numbers that no class has, so
/// that nothing has to be checked for each character.
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler runs it, and would refuse to go beyond"
)]
static STEPS: [[Step; 16]; 256] = {
    let mut steps = [[Step(0); 16]; 256];
    let mut run = 0;
    while run < Class::ALL.len() << 4 {
        let mut class = 0;
        while class < Class::ALL.len() {
            steps[run][class] = Run(run as u8).step_to(Class::ALL[class]);
            class += 1;
        }
        run += 1;
    }
    steps
};

/// What so many small letters do behind each run of a class up to theirs.
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler runs it, and would refuse to go beyond"
)]
static LETTERS: [[Step; 16]; BEFORE_WORDS] = {
    let mut steps = [[Step(0); 16]; BEFORE_WORDS];
    let mut run = 0;
    while run < BEFORE_WORDS {
        let mut step = Step(run as u32);
        let mut letters = 0;
        while letters <= AT_ONCE {
            steps[run][letters] = step;
            let next = step.run().step_to(Class::LowerCase);
            step = Step(next.0 + (step.0 & !0xff));
            letters += 1;
        }
        run += 1;
    }
    steps
};

/// Runs of blanks, line ends and letters are numbered below this.
const BEFORE_WORDS: usize = ((Class::LowerCase as usize) + 1) << 4;
/// So many letters are looked at together.
const AT_ONCE: usize = size_of::<u64>();

/// How many small letters of ASCII a text begins with, as far as they are looked at together; none where
/// the text ends before.
fn small_letters(text: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH: u64 = EACH << 7;
    let Some(word) = text.first_chunk::<AT_ONCE>() else {
        return 0;
    };
    let word = u64::from_le_bytes(*word);
    // Without its highest bit no byte carries over into the next.
    let low = word & !HIGH;
    let from_a = low.wrapping_add(EACH.wrapping_mul(0x80 - b'a' as u64));
    let beyond_z = low.wrapping_add(EACH.wrapping_mul(0x80 - b'z' as u64 - 1));
    let others = !(from_a & !beyond_z & !word) & HIGH;
    others.trailing_zeros() as usize / 8
}

impl Step {
    const fn run(self) -> Run {
        Run(self.0 as u8)
    }

    const fn cost(self) -> u64 {
        self.0 as u64 >> 8
    }
}

impl Run {
    const fn new(class: Class, place: u8) -> Self {
        Self((class as u8) << 4 | place)
    }

    const fn class(self) -> Class {
        let at = (self.0 >> 4) as usize;
        match at < Class::ALL.len() {
            #[expect(clippy::indexing_slicing, reason = "it is less")]
            true => Class::ALL[at],
            false => Class::Space,
        }
    }

    const fn place(self) -> u8 {
        self.0 & MAX_PLACE
    }

    /// Whether a character of this class belongs to it. A capital begins a word that small letters go on.
    const fn goes_on_with(self, class: Class) -> bool {
        let is_capital = matches!((self.class(), class), (Class::UpperCase, Class::LowerCase));
        self.class() as u8 == class as u8 || is_capital
    }

    /// What one more character of this class does.
    #[expect(clippy::indexing_slicing, reason = "every number has a place")]
    fn step(self, class: Class) -> Step {
        STEPS[usize::from(self.0)][class as usize & 15]
    }

    /// Whether it is one of blanks, line ends or letters, which words often follow or go on with.
    const fn comes_before_words(self) -> bool {
        (self.0 as usize) < BEFORE_WORDS
    }

    /// What so many small letters do, at most [`AT_ONCE`], behind a run that comes before words.
    #[expect(clippy::indexing_slicing, reason = "every number has a place")]
    fn step_through(self, letters: usize) -> Step {
        LETTERS[usize::from(self.0) & (BEFORE_WORDS - 1)][letters & 15]
    }

    /// The same, worked out.
    const fn step_to(self, class: Class) -> Step {
        let place = match self.goes_on_with(class) {
            true => self.place() + 1,
            false => 1,
        };
        let before = class.fitted_cost(place as u64 - 1);
        let cost = (class.fitted_cost(place as u64) - before) as u32;
        let place = match place > MAX_PLACE {
            true => place - PERIOD,
            false => place,
        };
        Step(cost << 8 | Self::new(class, place).0 as u32)
    }
}

impl Class {
    /// In the order in which they are declared.
    const ALL: [Self; 12] = [
        Self::Space,
        Self::Newline,
        Self::UpperCase,
        Self::LowerCase,
        Self::Digit,
        Self::Punctuation,
        Self::OtherLetter,
        Self::Ideograph,
        Self::Kana,
        Self::Hangul,
        Self::WidePunctuation,
        Self::Symbol,
    ];

    #[expect(clippy::indexing_slicing, reason = "every byte has a place")]
    fn of_ascii(byte: u8) -> Self {
        ASCII[usize::from(byte)]
    }

    /// The class of a character beyond ASCII.
    fn of(letter: char) -> Self {
        match letter {
            '\u{c0}'..='\u{24f}' if letter.is_uppercase() => Self::UpperCase,
            '\u{c0}'..='\u{24f}' => Self::LowerCase,
            ..'\u{c0}' | '\u{2010}'..='\u{205e}' => Self::Punctuation,
            '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' => Self::WidePunctuation,
            '\u{3040}'..='\u{30ff}' => Self::Kana,
            '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
                Self::Ideograph
            }
            '\u{200b}'..='\u{2e7f}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f000}'..='\u{1ffff}' => {
                Self::Symbol
            }
            _ => Self::OtherLetter,
        }
    }

    fn is_latin(self) -> bool {
        matches!(self, Self::UpperCase | Self::LowerCase)
    }

    /// Fitted by least squares to what the o200k encoding makes of prose in eleven languages, code,
    /// JSON and Markdown.
    const fn fitted_cost(self, run: u64) -> u64 {
        if run == 0 {
            return 0;
        }
        match self {
            // A single blank belongs to the word after it, and indentation to the line break.
            Self::Space => 10 * run.saturating_sub(1),
            Self::Newline => 830,
            Self::UpperCase | Self::LowerCase => {
                920 + 130 * run.saturating_sub(5) + 600 * run.saturating_sub(10)
            }
            Self::Digit => 600 + 1000 * run.div_ceil(3),
            Self::Punctuation => 750 + 250 * run.saturating_sub(1),
            Self::OtherLetter => 1020 + 140 * run,
            Self::Ideograph => 660 * run,
            Self::Kana => 680 * run,
            Self::Hangul => 710 * run,
            Self::WidePunctuation => 1800 * run,
            Self::Symbol => 1900 * run,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::{
        Class, EstimatedText, Run, TokenEstimate, audio_tokens, prompt_tokens,
        prompt_tokens_knowing,
    };

    /// Ten seconds of sound with so many bytes in each.
    fn wav(rate: u32) -> String {
        let mut file = b"RIFF----WAVEfmt \x10\0\0\0\x01\0\x01\0----".to_vec();
        file.extend(rate.to_le_bytes());
        file.resize(10 * rate as usize, 0);
        STANDARD.encode(file)
    }

    #[test]
    fn a_wav_file_says_how_long_it_is_and_is_not_believed_everything() {
        for rate in [16_000, 32_000, 176_400] {
            let tokens = audio_tokens("wav", &wav(rate));
            assert!((319..=321).contains(&tokens), "{rate}: {tokens}");
        }
        // A rate that none has, and a file that is none, count as what is usual.
        assert_eq!(audio_tokens("wav", &wav(100)), 0);
        let (long, unknown) = (wav(176_400), "A".repeat(wav(176_400).len()));
        assert_eq!(audio_tokens("wav", &unknown), audio_tokens("wav", &long));
        assert!(audio_tokens("mp3", &long) > 10 * audio_tokens("wav", &long));
        for short in ["", "UklGRg==", &"=".repeat(48), &"\u{e9}".repeat(40)] {
            assert_eq!(audio_tokens("wav", short), 0);
        }
    }

    #[test]
    fn knowing_a_part_changes_no_estimate() {
        let parts = [
            "",
            "{\"a\": 1}\n",
            "word",
            "Word",
            " x",
            "7",
            "\n",
            "\u{e9}t\u{e9}",
            "\u{6f22}",
        ];
        for known in parts.map(|text| EstimatedText::new(text.to_owned())) {
            for (before, after) in parts
                .iter()
                .flat_map(|one| parts.map(|other| (*one, other)))
            {
                let whole = format!("{before}{}{after}", known.as_str());
                let plain = prompt_tokens("asked", Some(&whole), 1);
                let knowing = prompt_tokens_knowing(Some(&known), "asked", Some(&whole), 1);
                assert_eq!(knowing, plain, "{whole}");
            }
        }
    }

    #[test]
    fn a_text_costs_the_same_however_much_of_it_is_taken_at_once() {
        let parts = [
            "",
            " ",
            "a",
            "Word",
            "verylongwordindeed",
            "{z`",
            "7",
            "\n\t",
            "\u{e9}b",
            "x\u{6f22}",
        ];
        let pairs = parts
            .iter()
            .flat_map(|one| parts.map(|two| format!("{one}{two}")));
        for text in pairs.flat_map(|pair| parts.map(|three| format!("{pair}{three}"))) {
            let mut whole = TokenEstimate::default();
            whole.push(&text);
            let mut single = TokenEstimate::default();
            let mut letter = [0; 4];
            text.chars()
                .for_each(|char| single.push(char.encode_utf8(&mut letter)));
            assert_eq!(
                (whole.thousandths, whole.run),
                (single.thousandths, single.run),
                "{text}"
            );
        }
    }

    #[test]
    fn the_steps_of_a_run_are_what_the_fit_says_of_all_of_it() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            let other = if at == 0 { Class::Symbol } else { Class::Space };
            let (mut run, mut cost) = (Run::new(other, 1), 0);
            for length in 1..100 {
                let step = run.step(class);
                (run, cost) = (step.run(), cost + step.cost());
                assert_eq!(cost, class.fitted_cost(length), "{class:?} {length}");
                assert_eq!(run.class(), class);
            }
        }
    }
}
