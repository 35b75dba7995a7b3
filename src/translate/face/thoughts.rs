//! Blocks of reasoning that a model wants to have back with the results of its calls, as callers keep
//! them in between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::translate::ask::{Origin, Thoughts};
use crate::wire::list::List;
use crate::wire::openrouter::answer::ReasoningDetail;

/// What begins a sealed list, so that what another service has sealed is told from ours.
const SEAL: &str = "fal-gateway.1.";
/// The most blocks of one reply that are sent back.
const MAX_BLOCKS: usize = 256;

/// Blocks of reasoning as they came, as far as they are known; `None` where there are none.
pub fn blocks(json: &str) -> Option<Thoughts> {
    let blocks: List<ReasoningDetail, MAX_BLOCKS> = serde_json::from_str(json).ok()?;
    let is_whole = !blocks.items.is_empty() && !blocks.is_cut();
    let mut items = blocks.items;
    let origin = origin(&items);
    items.iter_mut().for_each(|block| block.model = None);
    let blocks = serde_json::value::to_raw_value(&items).ok();
    let blocks = blocks.filter(|_| is_whole)?;
    Some(Thoughts { origin, blocks })
}

/// A list of blocks in which each names the model that wrote it, so that they go back to no other.
/// What is no such list stays as it is.
pub fn signed(blocks: &str, model: &str) -> String {
    let Ok(mut items) = serde_json::from_str::<Vec<ReasoningDetail>>(blocks) else {
        return blocks.to_owned();
    };
    for block in &mut items {
        block.model = Some(model.to_owned());
    }
    serde_json::to_string(&items).unwrap_or_else(|_| blocks.to_owned())
}

/// The same in letters that no API gives a meaning to, for APIs whose callers send back what they do
/// not understand.
pub fn seal(blocks: &str, model: &str) -> String {
    let mut sealed = SEAL.to_owned();
    STANDARD.encode_string(signed(blocks, model), &mut sealed);
    sealed
}

/// The blocks that were sealed here; `None` for whatever else there is.
pub fn unseal(sealed: &str) -> Option<Thoughts> {
    let json = STANDARD.decode(sealed.strip_prefix(SEAL)?).ok()?;
    blocks(std::str::from_utf8(&json).ok()?)
}

/// Who wrote these blocks.
fn origin(blocks: &[ReasoningDetail]) -> Origin {
    let mut models = blocks.iter().map(|block| block.model.as_deref());
    match models.next().flatten() {
        Some(model) if models.all(|other| other == Some(model)) => Origin::Model(model.to_owned()),
        None if models.all(|other| other.is_none()) => {
            let formats = blocks.iter().filter_map(|block| block.format.as_deref());
            let mut makers = formats.filter_map(maker);
            makers.next().map_or(Origin::Unknown, Origin::Maker)
        }
        _ => Origin::Several,
    }
}

/// Whose form of blocks this is (source: OpenRouter's page "Reasoning tokens").
fn maker(format: &str) -> Option<&'static str> {
    const MAKERS: [(&str, &str); 4] = [
        ("anthropic-claude-", "anthropic/"),
        ("google-gemini-", "google/"),
        ("openai-responses-", "openai/"),
        ("xai-responses-", "x-ai/"),
    ];
    let of = MAKERS.iter().find(|(form, _)| format.starts_with(form));
    of.map(|(_, maker)| *maker)
}
