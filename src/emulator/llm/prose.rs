//! Pleasant sentences, picked by the hash of the message so that they never change.

/// Characters of the message that an answer quotes.
const QUOTED: usize = 60;

const HAIKU: [&str; 8] = [
    "Small words pass the gate, / each one a part of the last — / now the river flows.",
    "A question arrives; / the lamp by the door is lit, / and someone answers.",
    "Two banks and one bridge: / what is said on either side / is carried across.",
    "Morning in the port. / Every ship asks the same light / a different way.",
    "The letter is sealed. / What was written stays written / all along the road.",
    "Rain on the tin roof, / each drop a word of a song / nobody has learned.",
    "Behind the paper / there is no one, only ink / that was told to dance.",
    "Snow on the mailbox. / Inside, still warm from the hand, / a folded answer.",
];

const REMARKS: [&str; 6] = [
    "I have no model behind me, but I keep every promise of the wire.",
    "Ask me to count 10, to echo a text, or to describe what you sent.",
    "The same words will always get this same answer.",
    "Nothing you write here leaves your machine.",
    "A real model would know more; it would not answer faster.",
    "Add a line with /emulate and a word, and I shall misbehave on request.",
];

const SENTENCES: [&str; 12] = [
    "The harbour woke before the town did, as it always had.",
    "A clerk counted the crates twice and wrote the smaller number down.",
    "Nobody could say who had first thought of building a gate there.",
    "It stood between two rivers, and both were known to change their minds.",
    "Travellers paid in salt, in stories, or not at all.",
    "The keeper spoke every language a little and none of them loudly.",
    "When a message came, she read it once and passed it on unchanged.",
    "\"A gate,\" she said, \"is a wall that has learned to listen.\"",
    "In the evening the lamps were lit from the east to the west.",
    "Some letters arrived in pieces, and were put together on the long table.",
    "Others were called back before anyone had broken the seal.",
    "By midnight the ledger balanced, and the tide took care of the rest.",
];

const THOUGHTS: [&str; 8] = [
    "First, what is really being asked?",
    "The wording suggests that a short answer would do.",
    "Let me consider the opposite for a moment.",
    "That does not hold, because the message says otherwise.",
    "There may be a simpler way to put it.",
    "Checking this against what was said before, it fits.",
    "One case is still open, so I go through it step by step.",
    "Good; nothing contradicts it.",
];

/// Some words for a message that is no command.
pub(super) fn small_talk(message: &str) -> String {
    let seed = hash(message);
    let quoted = quote(message);
    let verse = pick(&HAIKU, seed);
    if message.to_lowercase().contains("haiku") || seed.is_multiple_of(3) {
        return format!("You said: \"{quoted}\"\n{verse}");
    }
    let remark = pick(&REMARKS, seed / 8);
    let sentence = pick(&SENTENCES, seed / 64);
    format!("You said: \"{quoted}\" {remark} {sentence}")
}

/// What is said after long reasoning.
pub(super) fn conclusion(message: &str) -> String {
    format!(
        "Having thought it through: {}",
        pick(&SENTENCES, hash(message))
    )
}

/// So many steps of reasoning about a message.
pub(super) fn reasoning(message: &str, sentences: usize) -> String {
    let start = hash(message);
    let thoughts: Vec<&str> = (0..sentences as u64)
        .map(|step| pick(&THOUGHTS, start.wrapping_add(step)))
        .collect();
    format!(
        "The message begins \"{}\". {}",
        quote(message),
        thoughts.join(" ")
    )
}

/// Readable prose of exactly `chars` characters, all of them ASCII.
pub(super) fn long(message: &str, chars: usize) -> String {
    let mut text = String::with_capacity(chars + 128);
    let mut state = hash(message);
    let mut sentences = 0;
    while text.len() < chars {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(pick(&SENTENCES, state >> 33));
        sentences += 1;
        text.push_str(if sentences % 6 == 0 { "\n\n" } else { " " });
    }
    text.truncate(chars);
    text
}

fn quote(message: &str) -> String {
    let message = message.trim();
    match message.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", message.split_at(end).0),
        None => message.to_owned(),
    }
}

fn pick<const N: usize>(texts: &[&'static str; N], seed: u64) -> &'static str {
    texts
        .iter()
        .cycle()
        .nth((seed % N as u64) as usize)
        .copied()
        .unwrap_or_default()
}

/// FNV-1a: small, and the same on every machine and in every release.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
