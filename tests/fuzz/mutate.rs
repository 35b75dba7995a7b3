//! Inputs made from others. Without coverage to steer by, most of the work is done by parts of
//! other inputs: they are the words of the format.

use fastrand::Rng;

/// The longest input that is made, in bytes.
const LONGEST: usize = 16 * 1024;
/// The longest that repeating a part makes it: long enough for a square to show.
const LONGEST_REPEATED: usize = 96 * 1024;
/// One in so many inputs has a part that is repeated to that length, since these take long.
const REPEATED: u8 = 32;
/// Bytes that mean something in what is read here.
const TELLING: &[u8] = b"\"'\\{}[]<>:,|=~@\r\n\t -+.019eu\x00\x7f\x80\xc3\xef\xff";

/// The input that belongs to a seed, a few changes away from one of the others.
pub(crate) fn mutate(inputs: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut data = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..=rng.usize(..6) {
        change(&mut data, inputs, &mut rng);
    }
    data.truncate(LONGEST);
    if rng.u8(..REPEATED) == 0 {
        repeat(&mut data, &mut rng);
    }
    data
}

/// Repeats a few bytes as often as there is room for: what is searched again for each item, or tried
/// until it fits, then takes far longer than any input may.
fn repeat(data: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..=data.len());
    let end = data.len().min(at + rng.usize(1..16));
    let part = data[at..end].to_vec();
    if !part.is_empty() {
        let times = (LONGEST_REPEATED - data.len()) / part.len();
        insert(data, end, &part.repeat(times));
    }
}

fn change(data: &mut Vec<u8>, inputs: &[Vec<u8>], rng: &mut Rng) {
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
            let other = &inputs[rng.usize(..inputs.len())];
            let part = part(other, rng, 60).to_vec();
            insert(data, at, &part);
        }
        _ => {
            let other = &inputs[rng.usize(..inputs.len())];
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
