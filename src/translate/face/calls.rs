//! What several faces do alike with calls.

/// The id of a call: unique as the answer's own id is, and the same whenever it is asked for. It
/// begins with `prefix`.
pub fn call_id(prefix: &str, head_id: &str, choice: usize, call: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let seed = format!("{head_id}/{choice}/{call}");
    let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    let letters = digest.as_ref().iter().take(24);
    let letters = letters.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)).copied());
    letters.fold(prefix.to_owned(), |mut id, letter| {
        id.push(char::from(letter));
        id
    })
}

/// A text in pieces of a size that suits a chunk, cut between characters.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    const PIECE: usize = 1024;
    let mut rest = text;
    std::iter::from_fn(move || {
        let cut = rest
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| *at >= PIECE)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at_checked(cut)?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
