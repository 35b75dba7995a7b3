//! How text that is no call goes out, line by line, up to where a call may begin.

use std::ops::ControlFlow;

use super::super::fence::could_be_fence;
use super::super::marks::could_be_mark_in_line;
use super::{CallScanner, Scanned};

impl CallScanner {
    /// Lets blank lines before another line go.
    pub(super) fn release_blank_lines(&mut self, out: &mut Scanned) {
        let blank = self.rest().get(..self.blank).unwrap_or_default();
        if let Some(end) = blank.rfind('\n') {
            self.release(end.saturating_add(1), out);
        }
    }

    /// Lets a line go, or what there is of it up to where a call may begin. It was tried already
    /// whether one begins with the line.
    pub(super) fn release_line(&mut self, is_tried: bool, out: &mut Scanned) -> ControlFlow<()> {
        let rest = self.held.get(self.from..).unwrap_or_default();
        if rest.is_empty() {
            return ControlFlow::Break(());
        }
        let end = rest.find('\n').map(|at| at.saturating_add(1));
        // A fence shows itself by its whole line; until that is there, it could still become one.
        if end.is_none() && !self.is_mid_line && could_be_fence(rest) {
            return ControlFlow::Break(());
        }
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let line_end = line.len();
        if !self.is_mid_line {
            self.fence.pass(line.trim_end_matches('\n'));
        }
        let mark = match self.fence.is_open() {
            true => None,
            false => self.mark_in(line, is_tried),
        };
        let length = mark.unwrap_or(line_end);
        self.release(length, out);
        self.is_at_mark = mark.is_some();
        self.is_mid_line = mark.is_some() || end.is_none();
        ControlFlow::Continue(())
    }

    /// Where in a line a call may begin, except for where that was tried.
    pub(super) fn mark_in(&self, line: &str, is_tried: bool) -> Option<usize> {
        let first = line.chars().next().map_or(0, char::len_utf8);
        let mut from = match is_tried {
            true => first,
            false => 0,
        };
        while let Some(offset) = line.get(from..)?.find(['<', '[']) {
            let at = from.saturating_add(offset);
            let rest = line.get(at..)?;
            let could_be_block = rest.starts_with(&self.opener) || self.opener.starts_with(rest);
            if could_be_block || (self.is_lenient && could_be_mark_in_line(rest)) {
                return Some(at);
            }
            from = at.saturating_add(1);
        }
        None
    }

    pub(super) fn release(&mut self, length: usize, out: &mut Scanned) {
        let text = self.rest().get(..length).unwrap_or_default();
        let has_text = !text.trim().is_empty();
        out.text.push_str(text);
        self.has_text |= has_text;
        self.advance(length);
        self.blank = self.blank.saturating_sub(length);
    }
}
