//! A model that does as it is told: it calls the tools that its instructions list, in the form they
//! show, and writes JSON that fits the schema they state; or goes wrong the way models do.
//!
//! It knows no form by heart. [`toolbox`] finds the list of tools, [`envelope`] learns the form of a
//! call from the example next to it, [`brief`] gathers what else is asked, [`moment`] finds out
//! what is to be answered now. [`choose`] decides on calls, [`showcase`] on those that are only shown, [`calling`] writes them, [`shaping`]
//! writes JSON; both make the slips of the script. [`instance`] invents values for a schema out of
//! [`hints`] in the message.
//!
//! Whatever is found neither here nor there is left to the rest of the stand-in: an instruction
//! that we cannot read is ignored, as a model would ignore it.

mod brief;
mod calling;
mod choose;
mod elements;
mod envelope;
mod families;
mod hints;
mod instance;
mod json_text;
mod moment;
pub(in crate::emulator) mod native;
mod pattern;
mod scalar;
mod scan;
mod shaping;
mod showcase;
mod signature;
mod slipped;
mod toolbox;

use super::{
    Input,
    commands::{Said, exactly, plainly},
    conversation::Conversation,
};
use crate::emulator::script::{Behaviour, Quirk, Slip};
use brief::Brief;
use choose::Call;
use moment::Moment;

pub(in crate::emulator) use moment::is_reask;

/// The reply to an input that gives instructions or brings results; `None` if it does neither, or
/// if they leave room for anything.
pub(super) fn reply(
    input: &Input,
    conversation: &Conversation<'_>,
    behaviour: &Behaviour,
) -> Option<Said> {
    let brief = Brief::read(input.system_prompt.as_deref().unwrap_or_default());
    let moment = Moment::read(conversation);
    if moment.reasks == 0 && is_echo(&moment.message) {
        return None;
    }
    let is_held_to_a_form = brief.envelope.is_some() || brief.format.is_some();
    if is_held_to_a_form && let Some(said) = copied_correction(&moment, behaviour) {
        return Some(said);
    }
    let behaviour = behaviour.corrected(moment.reasks);
    let shows = behaviour.has(Quirk::Showcase);
    if let Some(envelope) = &brief.envelope {
        if let Some(said) = showcase::begin(&brief, envelope, &moment, &behaviour).filter(|_| shows)
        {
            return Some(said);
        }
        let calls = choose::calls(&brief, &moment);
        if let Some(said) = no_call(&brief, &moment, &calls, &behaviour) {
            return Some(said);
        }
        if !calls.is_empty() {
            return Some(calling::write(&brief, envelope, calls, &behaviour));
        }
    }
    if let Some(format) = &brief.format {
        return Some(exactly(shaping::write(format, &moment, &behaviour)));
    }
    if shows && let Some(said) = showcase::end(&moment) {
        return Some(said);
    }
    moment.report().map(plainly)
}

/// Nothing at first, then what was said of that, and only then an answer.
fn copied_correction(moment: &Moment<'_>, behaviour: &Behaviour) -> Option<Said> {
    let is_stubborn = behaviour.stubbornness == Some(usize::MAX);
    let is_over = moment.reasks > 1 && !is_stubborn;
    (behaviour.makes(Slip::TurnCorrection) && !is_over).then(|| exactly(moment.correction.trim()))
}

/// Gives an answer of exact bytes, whatever the instructions are.
fn is_echo(message: &str) -> bool {
    let word = message.split(char::is_whitespace).next();
    word.is_some_and(|word| word.eq_ignore_ascii_case("echo"))
}

/// The slips that put something else where a call was due, or show one where none was.
fn no_call(
    brief: &Brief,
    moment: &Moment<'_>,
    calls: &[Call],
    behaviour: &Behaviour,
) -> Option<Said> {
    if !moment.results.is_empty() && calls.is_empty() {
        return None;
    }
    if behaviour.makes(Slip::CallNothing) {
        return Some(exactly(""));
    }
    if behaviour.makes(Slip::CallInProse) {
        return Some(plainly(
            "I could look that up for you, but I would rather talk about it first.",
        ));
    }
    if behaviour.makes(Slip::CallQuoted) {
        return calling::quote(brief, calls).map(plainly);
    }
    None
}
