//! What a model is told that shall mend its own reply.

use serde::Serialize;

use super::key::{Keys, Pen, Secret};
use super::reading::Unmet;

/// The most of a reply that is shown to the model again, in characters.
const MOST_SHOWN: usize = 4000;

/// What follows the prompt when it is sent again: the model's reply and what was wrong with it.
/// `sent` are the texts that were sent.
///
/// The reply stands in tags with a key of its own: the model knows the conversation's.
pub fn correction(sent: [&str; 2], secret: Secret, reply: &str, unmet: &Unmet) -> String {
    const CLOSING: &str =
        "Write the whole reply again, corrected, in the form that was asked for, and nothing else.";
    format!("\n\n{}", complaint(sent, secret, reply, unmet, CLOSING))
}

/// The message that is added where messages were sent: as a user's, in JSON. `sent` is the JSON of
/// the request.
pub fn message(sent: &str, secret: Secret, reply: &str, unmet: &Unmet) -> String {
    #[derive(Serialize)]
    struct UserMessage<'m> {
        role: &'static str,
        content: &'m str,
    }
    const CLOSING: &str = "Give the whole reply again, corrected, in the form that was asked for: calls of tools as such, \
                           not as text, and nothing else.";
    let content = complaint([sent, ""], secret, reply, unmet, CLOSING);
    let message = UserMessage {
        role: "user",
        content: &content,
    };
    serde_json::to_string(&message).unwrap_or_default()
}

fn complaint(sent: [&str; 2], secret: Secret, reply: &str, unmet: &Unmet, closing: &str) -> String {
    let shown: String = reply.chars().take(MOST_SHOWN).collect();
    let [prompt, system_prompt] = sent;
    let mut keys = Keys::new(secret, [prompt, system_prompt, shown.as_str()], []);
    loop {
        let pen = Pen::new(keys.take());
        let added = format!(
            "Your previous reply, quoted below, was not valid. {}\n\
             <previous_reply-{pen}>\n{shown}\n</previous_reply-{pen}>\n\
             {closing}",
            unmet.correction
        );
        if pen.is_sole_writer_of([prompt, added.as_str(), system_prompt]) {
            return added;
        }
    }
}
