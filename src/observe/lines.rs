//! Lines of the log on their way out. A thread of their own writes them, so that no answer waits
//! for whoever takes them: a slow disk, or a program at the other end of a pipe.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that wait to be written: some two thousand lines. Lines beyond them are lost.
const MAX_WAITING: usize = 1024 * 1024;
/// How long the writer lets lines gather when it has written some, so that a busy gateway does not wake it
/// for each of them. A line that comes after a pause is written at once.
const GATHERING: Duration = Duration::from_millis(250);
/// So many bytes do not wait for more.
const ENOUGH: usize = 64 * 1024;
/// How long it is till a stream that takes nothing for the moment is tried again.
const ANOTHER_TRY: Duration = Duration::from_millis(10);
/// How long an end waits for lines that nobody takes.
const MAX_FAREWELL: Duration = Duration::from_secs(2);

/// What is said about lines that were lost, however lines are written.
pub(super) type TellOfLost = fn(u64) -> String;

/// Lines that wait to be written.
///
/// Lines are written whole and in the order in which they came, a quarter of a second after that at most,
/// and none is lost before an orderly end ([`Self::finish`]) unless whoever takes them falls a mebibyte behind. Then new lines are
/// lost until there is room, and a line says how many there were.
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
    out: Mutex<Box<dyn io::Write + Send>>,
    tell_of_lost: TellOfLost,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// Whether there is a thread that writes.
    has_writer: bool,
    rest: Rest,
    is_ending: bool,
}

/// What the thread sleeps for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// It is awake, or was woken.
    #[default]
    None,
    /// The next line.
    Idle,
    /// Lines to gather.
    Gathering,
}

impl Lines {
    /// Lines to this place. Where no thread can be had, each is written at once.
    pub(super) fn to(out: impl io::Write + Send + 'static, tell_of_lost: TellOfLost) -> Arc<Self> {
        let lines = Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            out: Mutex::new(Box::new(out)),
            tell_of_lost,
        });
        lines.lock().has_writer = true;
        let own = Arc::clone(&lines);
        let writer = thread::Builder::new().name("log".to_owned());
        if writer.spawn(move || own.write_all()).is_err() {
            lines.lock().has_writer = false;
        }
        lines
    }

    /// Adds a line, with its line break.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if !state.has_writer {
            drop(state);
            return self.write(line);
        }
        if state.waiting.len().saturating_add(line.len()) > MAX_WAITING {
            state.lost = state.lost.saturating_add(1);
            return;
        }
        state.waiting.extend_from_slice(line);
        let wakes = match state.rest {
            Rest::None => false,
            Rest::Idle => true,
            Rest::Gathering => state.waiting.len() >= ENOUGH,
        };
        if wakes {
            state.rest = Rest::None;
        }
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
    }

    /// Waits until all lines are written, for two seconds at most. Lines that come later are written
    /// at once.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.is_ending = true;
        self.changed.notify_all();
        let deadline = Instant::now() + MAX_FAREWELL;
        while state.has_writer {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    /// What the thread does.
    fn write_all(&self) {
        let mut batch = Vec::new();
        while let Some(lost) = self.take(&mut batch) {
            if lost > 0 {
                batch.extend_from_slice((self.tell_of_lost)(lost).as_bytes());
            }
            self.write(&batch);
            batch.clear();
            self.gather();
        }
    }

    /// Waits for lines and takes all there are; tells how many were lost behind them. `None` is the
    /// end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_ending {
                state.has_writer = false;
                self.changed.notify_all();
                return None;
            }
            state.rest = Rest::Idle;
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.rest = Rest::None;
        std::mem::swap(&mut state.waiting, batch);
        Some(std::mem::take(&mut state.lost))
    }

    /// Lets lines gather, unless there are many already or it is the end.
    fn gather(&self) {
        let mut state = self.lock();
        if state.is_ending || state.waiting.len() >= ENOUGH {
            return;
        }
        state.rest = Rest::Gathering;
        state = self.wait(state, GATHERING);
        state.rest = Rest::None;
    }

    fn write(&self, mut lines: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        while !lines.is_empty() {
            match out.write(lines) {
                Ok(count) if count > 0 => lines = lines.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever made the stream does not let it block.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(ANOTHER_TRY);
                }
                // Nobody could be told.
                _ => return,
            }
        }
        let _ = out.flush();
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, most: Duration) -> MutexGuard<'s, State> {
        let woken = self.changed.wait_timeout(state, most);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines, as [`tracing_subscriber`] writes them.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes what is written, once it is let.
    struct Slow {
        leave: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Whoever gives no more leaves has seen enough.
            let _ = self.leave.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Arc<Lines>, Sender<()>, Receiver<Vec<u8>>) {
        let (give, leave) = channel();
        let (written, read) = channel();
        let lines = Lines::to(Slow { leave, written }, |count| format!("lost {count}\n"));
        (lines, give, read)
    }

    fn text(read: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.try_iter().flatten().collect()).expect("lines are text")
    }

    #[test]
    fn an_orderly_end_waits_for_every_line() {
        let (lines, give, read) = slow();
        drop(give);
        let authors: Vec<_> = (0..4)
            .map(|author| {
                let lines = Arc::clone(&lines);
                thread::spawn(move || {
                    for number in 0..500 {
                        lines.push(format!("{author} {number}\n").as_bytes());
                    }
                })
            })
            .collect();
        for author in authors {
            author.join().expect("nobody panics");
        }
        lines.finish();
        let text = text(&read);
        assert_eq!(text.lines().count(), 2000);
        for author in 0..4 {
            let begin = format!("{author} ");
            let own = text.lines().filter_map(|line| line.strip_prefix(&begin));
            let numbers: Vec<usize> = own.map(|number| number.parse().expect(number)).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>(), "in their order");
        }
        lines.push(b"late\n");
        assert_eq!(self::text(&read), "late\n");
    }

    #[test]
    fn lines_that_gather_are_written_though_nothing_follows_them() {
        let (lines, give, read) = slow();
        drop(give);
        lines.push(b"first\n");
        assert_eq!(read.recv().expect("it is written"), b"first\n");
        lines.push(b"second\n");
        lines.push(b"third\n");
        let gathered = read.recv().expect("they are written");
        assert!(gathered.starts_with(b"second\n"), "{gathered:?}");
    }

    #[test]
    fn whoever_takes_lines_slowly_holds_nobody_up_and_is_told_what_was_lost() {
        let (lines, give, read) = slow();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // One batch is with the writer, a full one waits, and the rest is lost.
        for _ in 0..4000 {
            lines.push(&line);
        }
        drop(give);
        lines.finish();
        let text = text(&read);
        let whole = text.lines().filter(|line| line.len() == 1023).count();
        let lost = text.lines().filter_map(|line| line.strip_prefix("lost "));
        let lost: usize = lost.map(|count| count.parse::<usize>().expect(count)).sum();
        assert_eq!(whole + lost, 4000);
        assert!((1024..=2048).contains(&whole), "{whole}");
        let told = text.lines().count() - whole;
        assert!((1..=2).contains(&told), "{told}");
    }
}
