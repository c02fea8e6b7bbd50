//! Threads: each worker has a pool of its own, so that clients train side by side and no sum is
//! ever shared out differently.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};

/// How many things are done at once, and on how many threads each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workers {
    threads: usize,
}

impl Workers {
    /// With `threads` in all; at least one.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
        }
    }

    /// Workers that run when there are `tasks` to do.
    pub fn count(self, tasks: usize) -> usize {
        self.threads.min(tasks).max(1)
    }

    /// Does tasks 0..`tasks` and gives their results in that order. The first failure stops the rest.
    pub fn map<T: Send>(
        self,
        tasks: usize,
        work: impl Fn(usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let workers = self.count(tasks);
        let each = (self.threads / workers).max(1);
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..tasks).map(|_| None).collect());
        std::thread::scope(|scope| -> Result<()> {
            let mut handles = Vec::new();
            for _ in 0..workers {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(each).build();
                let pool = pool.context("starting threads")?;
                let (next, failed, results, work) = (&next, &failed, &results, &work);
                handles.push(scope.spawn(move || {
                    pool.install(|| {
                        while !failed.load(Ordering::Relaxed) {
                            let task = next.fetch_add(1, Ordering::Relaxed);
                            if task >= tasks {
                                break;
                            }
                            let result = work(task);
                            failed.fetch_or(result.is_err(), Ordering::Relaxed);
                            if let Ok(mut results) = results.lock() {
                                results[task] = Some(result);
                            }
                        }
                    });
                }));
            }
            for handle in handles {
                if let Err(panic) = handle.join() {
                    std::panic::resume_unwind(panic);
                }
            }
            Ok(())
        })?;
        let results = results.into_inner().ok().context("a worker panicked")?;
        // Tasks are taken in order, so what is missing comes after the failure that stopped the rest.
        let done = results.into_iter().flatten().collect::<Result<Vec<T>>>()?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_failures_stop() {
        let doubled = Workers::new(3).map(10, |task| Ok(task * 2)).unwrap();
        assert_eq!(doubled, (0..10).map(|task| task * 2).collect::<Vec<_>>());
        let failed = Workers::new(2).map(10, |task| {
            anyhow::ensure!(task != 4, "task {task}");
            Ok(task)
        });
        assert_eq!(failed.unwrap_err().to_string(), "task 4");
    }
}
