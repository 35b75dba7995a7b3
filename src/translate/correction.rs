//! What a model is told that shall mend its own reply.

use super::key::{Keys, Pen, Secret};
use super::reading::Unmet;

/// The most of a reply that is shown to the model again, in characters.
const MOST_SHOWN: usize = 4000;

/// What follows the prompt when it is sent again: the model's reply and what was wrong with it.
/// `sent` are the texts that were sent.
///
/// The reply stands in tags with a key of its own: the model knows the conversation's.
pub fn correction(sent: [&str; 2], secret: Secret, reply: &str, unmet: &Unmet) -> String {
    let shown: String = reply.chars().take(MOST_SHOWN).collect();
    let [prompt, system_prompt] = sent;
    let mut keys = Keys::new(secret, [prompt, system_prompt, shown.as_str()], []);
    loop {
        let pen = Pen::new(keys.take());
        let added = format!(
            "\n\nYour previous reply, quoted below, was not valid. {}\n\
             <previous_reply-{pen}>\n{shown}\n</previous_reply-{pen}>\n\
             Write the whole reply again, corrected, in the form that was asked for, and nothing else.",
            unmet.correction
        );
        if pen.is_sole_writer_of([prompt, added.as_str(), system_prompt]) {
            return added;
        }
    }
}
