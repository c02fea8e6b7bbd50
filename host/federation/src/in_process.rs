//! Server and clients in one process: queues in memory, blobs in a folder, the round in a file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use crate::{Answer, Blobs, Digest, Federation, Lease, Submission, Task, write_whole};

/// The exchange of one process.
pub struct InProcess {
    blobs: Blobs,
    round_file: PathBuf,
    lease_time: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    round: u32,
    open: VecDeque<(Task, u32)>,
    leased: BTreeMap<u32, (Lease, Instant)>,
    answers: BTreeMap<u32, Answer>,
    /// What the tasks of the round were given.
    inputs: BTreeSet<Digest>,
}

impl InProcess {
    /// In `folder`, at round 0. A task that is not answered within `lease_time` is offered again.
    pub fn new(folder: &Path, lease_time: Duration) -> Result<Self> {
        Ok(Self {
            blobs: Blobs::new(&folder.join("blobs"))?,
            round_file: folder.join("round.json"),
            lease_time,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.state
            .lock()
            .map_err(|_| anyhow!("a thread panicked while it held the exchange"))
    }
}

impl Federation for InProcess {
    fn put(&self, bytes: &[u8]) -> Result<Digest> {
        self.blobs.put(bytes)
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.blobs.get(digest)
    }

    fn file(&self, digest: &Digest) -> Result<PathBuf> {
        self.blobs.file(digest)
    }

    fn publish(&self, task: Task) -> Result<()> {
        let mut state = self.state()?;
        ensure!(
            task.round == state.round,
            "task of round {} published in round {}",
            task.round,
            state.round
        );
        state.inputs.extend(task.inputs.values().cloned());
        state.open.push_back((task, 0));
        Ok(())
    }

    fn take(&self) -> Result<Option<Lease>> {
        let mut state = self.state()?;
        let now = Instant::now();
        let late = state.leased.iter().filter(|(_, (_, until))| *until <= now);
        let late: Vec<u32> = late.map(|(client, _)| *client).collect();
        for client in late {
            if let Some((lease, _)) = state.leased.remove(&client) {
                state.open.push_back((lease.task, lease.attempt));
            }
        }
        let Some((task, attempts)) = state.open.pop_front() else {
            return Ok(None);
        };
        let attempt = attempts + 1;
        let lease = Lease { task, attempt };
        let until = now + self.lease_time;
        state
            .leased
            .insert(lease.task.client, (lease.clone(), until));
        Ok(Some(lease))
    }

    fn submit(&self, answer: Answer) -> Result<Submission> {
        let mut state = self.state()?;
        if answer.round != state.round || state.answers.contains_key(&answer.client) {
            return Ok(Submission::Duplicate);
        }
        state.leased.remove(&answer.client);
        state.open.retain(|(task, _)| task.client != answer.client);
        state.answers.insert(answer.client, answer);
        Ok(Submission::Accepted)
    }

    fn answers(&self) -> Result<Vec<Answer>> {
        Ok(self.state()?.answers.values().cloned().collect())
    }

    fn advance(&self, from: u32, to: u32) -> Result<()> {
        let mut state = self.state()?;
        ensure!(
            state.round == from,
            "round {from} cannot be closed: the present round is {}",
            state.round
        );
        write_whole(
            &self.round_file,
            json!({ "round": to }).to_string().as_bytes(),
        )?;
        // What passed in a round is of no use after it; states and adapters are the caller's to keep.
        let answers = std::mem::take(&mut state.answers).into_values();
        let outputs = answers.flat_map(|answer| answer.outputs.into_values());
        for digest in outputs.chain(std::mem::take(&mut state.inputs)) {
            self.blobs.forget(&digest)?;
        }
        *state = State {
            round: to,
            ..State::default()
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(client: u32) -> Task {
        Task {
            round: 1,
            client,
            inputs: BTreeMap::new(),
        }
    }

    fn answer(client: u32) -> Answer {
        Answer {
            round: 1,
            client,
            outputs: BTreeMap::new(),
            figures: BTreeMap::new(),
        }
    }

    fn exchange(lease_time: Duration) -> (tempfile::TempDir, InProcess) {
        let folder = tempfile::tempdir().unwrap();
        let exchange = InProcess::new(folder.path(), lease_time).unwrap();
        exchange.advance(0, 1).unwrap();
        (folder, exchange)
    }

    #[test]
    fn answers_come_in_client_order_and_once() {
        let (_folder, exchange) = exchange(Duration::from_secs(60));
        [2, 0, 1]
            .into_iter()
            .for_each(|client| exchange.publish(task(client)).unwrap());
        while let Some(lease) = exchange.take().unwrap() {
            let submission = exchange.submit(answer(lease.task.client)).unwrap();
            assert_eq!(submission, Submission::Accepted);
        }
        assert_eq!(exchange.submit(answer(1)).unwrap(), Submission::Duplicate);
        let clients: Vec<u32> = exchange
            .answers()
            .unwrap()
            .iter()
            .map(|a| a.client)
            .collect();
        assert_eq!(clients, [0, 1, 2]);
    }

    #[test]
    fn a_task_whose_lease_ran_out_is_given_again() {
        let (_folder, exchange) = exchange(Duration::ZERO);
        exchange.publish(task(5)).unwrap();
        assert_eq!(exchange.take().unwrap().unwrap().attempt, 1);
        assert_eq!(exchange.take().unwrap().unwrap().attempt, 2);
        exchange.submit(answer(5)).unwrap();
        assert!(exchange.take().unwrap().is_none());
    }

    #[test]
    fn a_round_advances_once() {
        let (_folder, exchange) = exchange(Duration::ZERO);
        exchange.advance(1, 2).unwrap();
        let error = exchange.advance(1, 2).unwrap_err().to_string();
        assert_eq!(error, "round 1 cannot be closed: the present round is 2");
    }

    #[test]
    fn a_blob_that_changed_is_refused() {
        let (folder, exchange) = exchange(Duration::ZERO);
        let digest = exchange.put(b"weights").unwrap();
        assert_eq!(exchange.get(&digest).unwrap(), b"weights");
        std::fs::write(folder.path().join("blobs").join(digest.as_str()), b"other").unwrap();
        assert!(exchange.get(&digest).is_err());
    }
}
