//! Blocks of reasoning that a model wants to have back with the results of its calls, as callers keep
//! them in between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::wire::list::List;
use crate::wire::openrouter::answer::ReasoningDetail;

/// What begins a sealed list, so that what another service has sealed is told from ours.
const SEAL: &str = "fal-gateway.1.";
/// The most blocks of one reply that are sent back.
const MAX_BLOCKS: usize = 256;

/// Blocks of reasoning as they came, as far as they are known; `None` where there are none.
pub fn blocks(json: &str) -> Option<Box<RawValue>> {
    let blocks: List<ReasoningDetail, MAX_BLOCKS> = serde_json::from_str(json).ok()?;
    let is_whole = !blocks.items.is_empty() && !blocks.is_cut();
    let json = serde_json::value::to_raw_value(&blocks.items).ok();
    json.filter(|_| is_whole)
}

/// A list of blocks in letters that no API gives a meaning to, for APIs whose callers send back what
/// they do not understand.
pub fn seal(blocks: &str) -> String {
    let mut sealed = SEAL.to_owned();
    STANDARD.encode_string(blocks, &mut sealed);
    sealed
}

/// The blocks that were sealed here; `None` for whatever else there is.
pub fn unseal(sealed: &str) -> Option<Box<RawValue>> {
    let json = STANDARD.decode(sealed.strip_prefix(SEAL)?).ok()?;
    blocks(std::str::from_utf8(&json).ok()?)
}
