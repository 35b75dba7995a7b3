//! Where a JSON object in a growing text ends.

/// Looks for the end of the object or array at the start of a text, of which there is more with
/// every call. Nothing is looked at twice.
#[derive(Clone, Debug, Default)]
pub struct JsonScan {
    at: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// More was closed than opened: this is no object.
    is_lost: bool,
}

impl JsonScan {
    /// How long the object is; `None` while it has not closed.
    pub fn end(&mut self, text: &str) -> Option<usize> {
        let unread = text.as_bytes().get(self.at..).unwrap_or_default();
        for byte in unread {
            self.at = self.at.saturating_add(1);
            match byte {
                _ if self.is_lost => {}
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => {
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' if !self.in_string => match self.depth {
                    0 => self.is_lost = true,
                    1 => return Some(self.at),
                    deeper => self.depth = deeper.saturating_sub(1),
                },
                _ => {}
            }
        }
        None
    }

    /// How far the text has been looked at.
    pub const fn seen(&self) -> usize {
        self.at
    }

    /// How long the JSON object at the start of a whole text is.
    pub fn length(text: &str) -> Option<usize> {
        Self::default().end(text)
    }
}
