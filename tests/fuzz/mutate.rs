//! Inputs made from others. Without coverage to steer by, most of the work is done by parts of
//! other inputs: they are the words of the format.

use fastrand::Rng;

/// The longest input that is made, in bytes.
const LONGEST: usize = 16 * 1024;
/// Bytes that mean something in what is read here.
const TELLING: &[u8] = b"\"'\\{}[]<>:,|=~@\r\n\t -+.019eu\x00\x7f\x80\xc3\xef\xff";

/// The input that belongs to a seed, a few changes away from one in the corpus.
pub(crate) fn mutate(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut data = corpus[rng.usize(..corpus.len())].clone();
    for _ in 0..=rng.usize(..6) {
        change(&mut data, corpus, &mut rng);
    }
    data.truncate(LONGEST);
    data
}

fn change(data: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=data.len());
    match rng.u8(..9) {
        0 => {
            data.truncate(at);
        }
        1 => {
            data.drain(at..(at + rng.usize(..20)).min(data.len()));
        }
        2 => data.insert(at, rng.u8(..)),
        3 => data.insert(at, TELLING[rng.usize(..TELLING.len())]),
        4 | 5 if at < data.len() => {
            data[at] = match rng.bool() {
                true => TELLING[rng.usize(..TELLING.len())],
                false => data[at] ^ (1 << rng.u8(..8)),
            }
        }
        6 => {
            let part = part(data, rng, 200).repeat(rng.usize(1..20));
            insert(data, at, &part);
        }
        7 => {
            let other = &corpus[rng.usize(..corpus.len())];
            let part = part(other, rng, 60).to_vec();
            insert(data, at, &part);
        }
        _ => {
            let other = &corpus[rng.usize(..corpus.len())];
            data.truncate(at);
            data.extend_from_slice(part(other, rng, LONGEST));
        }
    }
}

/// Some consecutive bytes of an input.
fn part<'d>(data: &'d [u8], rng: &mut Rng, most: usize) -> &'d [u8] {
    let start = rng.usize(..=data.len());
    let length = rng.usize(..=most.min(data.len() - start));
    &data[start..start + length]
}

fn insert(data: &mut Vec<u8>, at: usize, part: &[u8]) {
    data.splice(at..at, part.iter().copied());
}
