//! When the next request may start: how many are under way, how many a minute, and what the server asks for.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How soon a waiting thread notices that there is nothing to wait for any more.
const LOOK: Duration = Duration::from_millis(50);

/// Shared by all threads that use a client.
pub(crate) struct Pace {
    parallel: usize,
    /// Between the starts of two requests.
    gap: Duration,
    state: Mutex<State>,
    left: Condvar,
}

struct State {
    running: usize,
    /// No request starts before.
    next: Instant,
}

/// A request is under way while this lives.
pub(crate) struct Permit<'a>(&'a Pace);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.left.notify_one();
    }
}

impl Pace {
    pub(crate) fn new(parallel: usize, per_minute: Option<NonZeroU32>) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            parallel,
            gap: per_minute.map_or(Duration::ZERO, |most| minute / most.get()),
            state: Mutex::new(State {
                running: 0,
                next: Instant::now(),
            }),
            left: Condvar::new(),
        }
    }

    /// Waits until a request may start; nothing once `stop` is set.
    pub(crate) fn enter(&self, stop: &AtomicBool) -> Option<Permit<'_>> {
        let mut state = self.lock();
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let now = Instant::now();
            let wait = state.next.saturating_duration_since(now);
            if wait.is_zero() && state.running < self.parallel {
                state.running += 1;
                state.next = now + self.gap;
                return Some(Permit(self));
            }
            let wait = if wait.is_zero() { LOOK } else { wait.min(LOOK) };
            let waited = self.left.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// No request starts for this long.
    pub(crate) fn rest(&self, wait: Duration) {
        let mut state = self.lock();
        state.next = state.next.max(Instant::now() + wait);
    }

    /// Waits; false once `stop` is set.
    pub(crate) fn sleep(wait: Duration, stop: &AtomicBool) -> bool {
        let end = Instant::now() + wait;
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return true,
                left => std::thread::sleep(left.min(LOOK)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A count and a time are whole at each moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
