//! Fences of Markdown in a text that comes line by line.

/// The marks of a fence, and what indents them, are shorter than this.
const MAX_FENCE: usize = 64;

/// Whether the text is within a fence.
#[derive(Debug, Default)]
pub struct FenceWatch {
    open: Option<String>,
}

impl FenceWatch {
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next line, as far as it is there.
    pub fn pass(&mut self, line: &str) {
        let Some((marks, after)) = fence_marks(line) else {
            return;
        };
        match &self.open {
            Some(open) if is_bare(line, after) && marks.starts_with(open.as_str()) => {
                self.open = None;
            }
            None if marks.len() >= 3 => self.open = Some(marks.to_owned()),
            _ => {}
        }
    }
}

/// The marks of a fence that a line begins with, and what follows them.
fn fence_marks(line: &str) -> Option<(&str, &str)> {
    let start = line.trim_start();
    let mark = start
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let after = start.trim_start_matches(mark);
    let marks = start.strip_suffix(after)?;
    (line.len().saturating_sub(after.len()) <= MAX_FENCE).then_some((marks, after))
}

/// Whether a line of which more may come could turn out to open or to close a fence, or not to.
pub fn could_be_fence(line: &str) -> bool {
    let start = line.trim_start();
    if start.is_empty() {
        return line.len() <= MAX_FENCE;
    }
    fence_marks(line).is_some_and(|(_, after)| is_bare(line, after))
}

/// Whether a line holds nothing but the marks of a fence.
fn is_bare(line: &str, after: &str) -> bool {
    after.trim().is_empty() && line.len() <= 2 * MAX_FENCE
}
