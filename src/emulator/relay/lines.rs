//! Cuts a stream of bytes into lines, wherever the network has cut it.

/// Bytes in, lines out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Takes more bytes; returns how many wait for the end of their line.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len()
    }

    /// The next complete line without its end, LF or CRLF.
    pub(super) fn next_line(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        let text = String::from_utf8_lossy(&line);
        Some(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_cut() {
        let text = "data: é日\r\n\r\n: note\ndata: b\n";
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for part in [first, second] {
                lines.push(part);
                seen.extend(std::iter::from_fn(|| lines.next_line()));
            }
            assert_eq!(seen, ["data: é日", "", ": note", "data: b"], "cut at {cut}");
        }
    }
}
