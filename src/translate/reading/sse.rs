//! Server-sent events, incrementally (source: WHATWG HTML, "Server-sent events").
//!
//! Line ends may be CR, LF or CRLF, cut anywhere; comments, unknown fields and a leading
//! byte-order mark are passed over; data over several lines is joined by line breaks. Each byte is
//! looked at once, however many pieces an event arrives in, and an event's data is handed out
//! where it lies in the buffer.

use std::ops::Range;

use memchr::memchr2;

/// Cuts bytes into events.
#[derive(Debug)]
pub struct SseDecoder {
    buffer: Vec<u8>,
    /// Where the line that is being read begins.
    line: usize,
    /// Up to where the buffer has been searched for the end of that line.
    searched: usize,
    /// Where the event that is being read begins.
    event: usize,
    /// The last line ended in CR; an LF directly after it belongs to it.
    after_cr: bool,
    is_not_first_line: bool,
    data: Option<Data>,
    is_error: bool,
    max_event: usize,
    is_overfull: bool,
}

/// One event that carries data.
#[derive(Debug)]
pub struct SseEvent {
    data: Data,
    /// The event's name is `error`.
    pub is_error: bool,
}

#[derive(Debug)]
enum Data {
    InBuffer(Range<usize>),
    Joined(Vec<u8>),
}

impl SseDecoder {
    /// A decoder for events of at most this many bytes, line ends and comments included.
    pub fn new(max_event: usize) -> Self {
        Self {
            buffer: Vec::new(),
            line: 0,
            searched: 0,
            event: 0,
            after_cr: false,
            is_not_first_line: false,
            data: None,
            is_error: false,
            max_event,
            is_overfull: false,
        }
    }

    /// Takes the next bytes. What was handed out before is no longer valid.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.drop_what_was_read();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete event, if all of it is there.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        while !self.is_overfull {
            self.skip_line_feed();
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(offset) = memchr2(b'\n', b'\r', unsearched) else {
                self.searched = self.buffer.len();
                self.is_overfull = self.is_beyond_limit(self.searched);
                return None;
            };
            let end = self.searched.saturating_add(offset);
            // Measured at each line's end as well, so that an event that arrives in one piece is
            // judged like one that arrives in many.
            self.is_overfull = self.is_beyond_limit(end);
            if self.is_overfull {
                return None;
            }
            self.after_cr = self.buffer.get(end) == Some(&b'\r');
            let line = self.line..end;
            self.line = end.saturating_add(1);
            self.searched = self.line;
            if let Some(event) = self.take_line(line) {
                return Some(event);
            }
        }
        None
    }

    /// The bytes of an event's data; valid until the next [`feed`](Self::feed).
    pub fn data<'d>(&'d self, event: &'d SseEvent) -> &'d [u8] {
        match &event.data {
            Data::InBuffer(range) => self.buffer.get(range.clone()).unwrap_or_default(),
            Data::Joined(bytes) => bytes,
        }
    }

    /// Whether an event is larger than allowed; no more events come then.
    pub fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Whether the input ends here properly: not inside an event, not inside a line.
    pub fn is_between_events(&self) -> bool {
        self.data.is_none() && self.line >= self.buffer.len()
    }

    /// Whether the event that is being read is larger than allowed if it goes on to here.
    fn is_beyond_limit(&self, end: usize) -> bool {
        end.saturating_sub(self.event) > self.max_event
    }

    fn skip_line_feed(&mut self) {
        if self.after_cr && self.searched == self.line && self.line < self.buffer.len() {
            if self.buffer.get(self.line) == Some(&b'\n') {
                self.line = self.line.saturating_add(1);
                self.searched = self.line;
                if self.data.is_none() {
                    self.event = self.event.max(self.line);
                }
            }
            self.after_cr = false;
        }
    }

    fn take_line(&mut self, mut line: Range<usize>) -> Option<SseEvent> {
        if !self.is_not_first_line {
            self.is_not_first_line = true;
            if self
                .buffer
                .get(line.clone())
                .unwrap_or_default()
                .starts_with(b"\xef\xbb\xbf")
            {
                line.start = line.start.saturating_add(3);
            }
        }
        let bytes = self.buffer.get(line.clone()).unwrap_or_default();
        if bytes.is_empty() {
            self.event = self.line;
            let is_error = std::mem::take(&mut self.is_error);
            return self.data.take().map(|data| SseEvent { data, is_error });
        }
        if let Some(value) = field_value(bytes, b"data") {
            let value = line.end.saturating_sub(value.len())..line.end;
            self.add_data(value);
        } else if let Some(value) = field_value(bytes, b"event") {
            self.is_error = value == b"error";
        } else if self.data.is_none() {
            // A comment or an unknown field before the data need not be kept.
            self.event = self.line;
        }
        None
    }

    fn add_data(&mut self, value: Range<usize>) {
        let bytes = |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        self.data = Some(match self.data.take() {
            None => Data::InBuffer(value),
            Some(Data::InBuffer(before)) => {
                Data::Joined([bytes(&before), b"\n", bytes(&value)].concat())
            }
            Some(Data::Joined(mut joined)) => {
                joined.push(b'\n');
                joined.extend_from_slice(bytes(&value));
                Data::Joined(joined)
            }
        });
    }

    fn drop_what_was_read(&mut self) {
        let read = self.event.min(self.buffer.len());
        if read == 0 {
            return;
        }
        self.buffer.drain(..read);
        self.line = self.line.saturating_sub(read);
        self.searched = self.searched.saturating_sub(read);
        self.event = 0;
        if let Some(Data::InBuffer(range)) = &mut self.data {
            *range = range.start.saturating_sub(read)..range.end.saturating_sub(read);
        }
    }
}

/// The value of a line `name: value` or `name:value`; empty for a line that is the name alone.
fn field_value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}
