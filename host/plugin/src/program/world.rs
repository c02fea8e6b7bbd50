//! All that a program can see or touch: its own text, a clock and randomness that are the same in every run,
//! and an output that is cut. There is no file, network or environment behind any of it.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ProgramLimits;
use crate::limits::Limiter;

/// Where the clock stands when a program starts: 2026-01-01, 00:00 UTC, in nanoseconds since 1970.
const START: u64 = 1_767_225_600_000_000_000;

/// What a look at the clock takes, in nanoseconds: loops that wait for a time end.
const LOOK: u64 = 1_000;

/// Bytes of the end of standard error that are kept to explain a failure.
const TAIL: usize = 16 << 10;

pub(super) struct World {
    pub(super) limiter: Limiter,
    /// The command line, each word with its terminating zero.
    pub(super) arguments: Vec<Vec<u8>>,
    pub(super) random: ChaCha8Rng,
    pub(super) errors: VecDeque<u8>,
    output: Vec<u8>,
    most: usize,
    cut: bool,
    now: u64,
}

impl World {
    /// `arguments` hold no zero byte.
    pub(super) fn new(arguments: &[&str], limits: &ProgramLimits) -> Self {
        let terminated = |word: &&str| [word.as_bytes(), b"\0"].concat();
        Self {
            limiter: Limiter::new(limits.memory),
            arguments: arguments.iter().map(terminated).collect(),
            random: ChaCha8Rng::seed_from_u64(0),
            errors: VecDeque::new(),
            output: Vec::new(),
            most: limits.output,
            cut: false,
            now: START,
        }
    }

    /// Takes in what the program writes; standard error is remembered beside it.
    pub(super) fn write(&mut self, bytes: &[u8], is_error: bool) {
        let room = self.most - self.output.len();
        self.cut |= bytes.len() > room;
        self.output.extend(&bytes[..bytes.len().min(room)]);
        if is_error {
            let kept = &bytes[bytes.len().saturating_sub(TAIL)..];
            let over = (self.errors.len() + kept.len()).saturating_sub(TAIL);
            self.errors.drain(..over);
            self.errors.extend(kept);
        }
    }

    /// The time in nanoseconds since 1970, or since the program started; it passes by being looked at.
    pub(super) fn time(&mut self, since_1970: bool) -> u64 {
        self.sleep(LOOK);
        match since_1970 {
            true => self.now,
            false => self.now - START,
        }
    }

    /// Nanoseconds that a program sleeps are over at once.
    pub(super) fn sleep(&mut self, nanoseconds: u64) {
        self.now = self.now.saturating_add(nanoseconds);
    }

    /// What the program wrote, and that it was cut if it was.
    pub(super) fn output(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.output).into_owned();
        if self.cut {
            text.push_str(&format!("\n[output cut after {} bytes]", self.most));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_and_the_end_of_errors_is_kept() {
        let limits = ProgramLimits {
            output: 4,
            ..ProgramLimits::default()
        };
        let mut world = World::new(&["a"], &limits);
        world.write(b"abcd", false);
        assert_eq!(world.output(), "abcd");
        world.write(b"e", true);
        world.write(&vec![b'x'; TAIL - 1], true);
        world.write(b"y", true);
        assert_eq!(world.output(), "abcd\n[output cut after 4 bytes]");
        assert_eq!(world.errors.len(), TAIL);
        assert_eq!((world.errors[0], world.errors[TAIL - 1]), (b'x', b'y'));
    }

    #[test]
    fn time_passes_by_looks_and_sleep_alone() {
        let mut world = World::new(&[], &ProgramLimits::default());
        let first = world.time(true);
        world.sleep(5_000_000_000);
        assert_eq!(world.time(true) - first, 5_000_001_000);
        assert_eq!(world.time(false), 5_000_003_000);
    }
}
