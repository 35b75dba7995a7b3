//! Which turns stand where in a prompt.

use crate::translate::ask::{Conversation, Speaker, Turn};

/// The turns of a conversation, by their places.
///
/// The user's last words stand bare behind the record, whatever comes after them: models answer
/// what stands last, and take what stands in the record for context.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'c, 'a> {
    /// In the record.
    pub(super) recorded: &'c [Turn<'a>],
    /// From the first thing that the user said since the last reply to the last one; what the
    /// system said between them is among them.
    pub(super) asked: &'c [Turn<'a>],
    /// What the system said after that. It stands before what was asked.
    pub(super) reminders: &'c [Turn<'a>],
}

impl<'c, 'a> Layout<'c, 'a> {
    pub(super) fn of(conversation: &'c Conversation<'a>) -> Self {
        let turns = conversation.turns.as_slice();
        let all_recorded = Self {
            recorded: turns,
            asked: &[],
            reminders: &[],
        };
        if conversation.prefill.is_some() {
            return all_recorded;
        }
        let unanswered = turns.iter().rposition(is_reply).map_or(0, |at| at + 1);
        let since = turns.get(unanswered..).unwrap_or_default();
        let (Some(first), Some(last)) = (
            since.iter().position(is_user),
            since.iter().rposition(is_user),
        ) else {
            return all_recorded;
        };
        let (before, reminders) = turns.split_at(unanswered + last + 1);
        let (recorded, asked) = before.split_at(unanswered + first);
        Self {
            recorded,
            asked,
            reminders,
        }
    }

    /// The same without the first turns.
    pub(super) fn without_first(self, count: usize) -> Self {
        let asked = count.saturating_sub(self.recorded.len());
        Self {
            recorded: self.recorded.get(count..).unwrap_or_default(),
            asked: self.asked.get(asked..).unwrap_or_default(),
            ..self
        }
    }
}

fn is_user(turn: &Turn<'_>) -> bool {
    matches!(turn.speaker, Speaker::User { .. })
}

/// Whether a turn is the model's, or the result of what it did.
fn is_reply(turn: &Turn<'_>) -> bool {
    matches!(
        turn.speaker,
        Speaker::Assistant { .. } | Speaker::Tool { .. }
    )
}
