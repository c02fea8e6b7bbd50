//! The client half of a round, and the server's reading of what clients answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use folkmoot_federation::{Answer, Digest, Federation, Lease, Task};
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{Client, Message, Round, State, Training as Finished, Update};
use folkmoot_train::{Base, Example, Trained, Training, train};

use crate::parcel::{pack_message, unpack_message};
use crate::resolve::Setup;

/// What every client of a round works with.
pub(crate) struct Worksite<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) base: &'a Arc<Base>,
    pub(crate) federation: &'a dyn Federation,
    /// What the algorithm keeps at each client.
    pub(crate) states: Mutex<BTreeMap<u32, State>>,
}

impl Worksite<'_> {
    /// Publishes the tasks of a round.
    pub(crate) fn publish(
        &self,
        round: Round,
        cohort: &[u32],
        global: &Params,
        messages: &[Message],
    ) -> Result<()> {
        let global = self.federation.put(&global.to_safetensors()?)?;
        for (client, message) in cohort.iter().zip(messages) {
            let message = self.federation.put(&pack_message(message)?)?;
            self.federation.publish(Task {
                round: round.number,
                client: *client,
                inputs: BTreeMap::from([
                    ("global".to_owned(), global.clone()),
                    ("message".to_owned(), message),
                ]),
            })?;
        }
        Ok(())
    }

    /// Does one task: begin, train, finish, answer.
    pub(crate) fn work(&self, lease: &Lease, round: Round, training: &Training) -> Result<Answer> {
        let task = &lease.task;
        let client = task.client;
        let at = || format!("round {}, client {client}", task.round);
        let global =
            Params::from_safetensors(&self.get(&task.inputs, "global")?).with_context(at)?;
        let received = unpack_message(&self.get(&task.inputs, "message")?).with_context(at)?;
        let mut state = self.state(client)?;
        let algorithm = &self.setup.algorithm;
        let local = Round {
            seed: round.seed.derive("client", u64::from(client)),
            ..round
        };
        let objective = algorithm
            .begin(local, &global, &received, &mut state)
            .with_context(at)?;
        let started = Instant::now();
        let seed = batch_seed(self.setup.experiment.seed, round.number, client);
        let examples = shard(self.setup, client);
        let adapter = &self.setup.experiment.adapter;
        let trained = train(
            self.base, adapter, &global, &examples, training, &objective, seed,
        )
        .with_context(at)?;
        let figures = figures(&trained, started.elapsed().as_secs_f64());
        let delta = trained.params.sub(&global).with_context(at)?;
        check_finite(client, "update", &delta)?;
        let finished = Finished {
            steps: trained.steps as u32,
            lr: trained.lr,
            figures: figures.clone(),
            before: global,
            after: trained.params,
        };
        let message = algorithm
            .finish(local, &finished, &received, &mut state)
            .with_context(at)?;
        for (name, params) in &message.params {
            check_finite(client, &format!("message `{name}`"), params)?;
        }
        self.keep(client, state)?;
        Ok(Answer {
            round: task.round,
            client,
            outputs: BTreeMap::from([
                (
                    "delta".to_owned(),
                    self.federation.put(&delta.to_safetensors()?)?,
                ),
                (
                    "message".to_owned(),
                    self.federation.put(&pack_message(&message)?)?,
                ),
            ]),
            figures,
        })
    }

    /// The round's updates in ascending client id, each checked against `global`.
    pub(crate) fn updates(
        &self,
        round: Round,
        global: &Params,
        clients: &[Client],
    ) -> Result<Vec<Arc<Update>>> {
        let answers = self.federation.answers()?;
        let updates = answers.iter().map(|answer| {
            let client = answer.client;
            let at = || format!("round {}, client {client}", round.number);
            let delta =
                Params::from_safetensors(&self.get(&answer.outputs, "delta")?).with_context(at)?;
            global
                .check_same_structure(&delta)
                .context("update")
                .with_context(at)?;
            check_finite(client, "update", &delta)?;
            let figure = |name: &str| answer.figures.get(name).copied().unwrap_or_default();
            let known = clients
                .get(client as usize)
                .with_context(|| format!("client {client} is unknown"))?;
            Ok(Arc::new(Update {
                client: Client {
                    figures: answer.figures.clone(),
                    ..known.clone()
                },
                steps: figure("steps") as u32,
                lr: figure("lr"),
                staleness: 0,
                delta,
                message: unpack_message(&self.get(&answer.outputs, "message")?).with_context(at)?,
            }))
        });
        updates.collect()
    }

    fn get(&self, blobs: &BTreeMap<String, Digest>, role: &str) -> Result<Vec<u8>> {
        let digest = blobs
            .get(role)
            .with_context(|| format!("blob `{role}` is missing"))?;
        self.federation.get(digest)
    }

    fn state(&self, client: u32) -> Result<State> {
        let states = self
            .states
            .lock()
            .map_err(|_| anyhow!("a client's thread panicked"))?;
        Ok(states.get(&client).cloned().unwrap_or_default())
    }

    fn keep(&self, client: u32, state: State) -> Result<()> {
        let mut states = self
            .states
            .lock()
            .map_err(|_| anyhow!("a client's thread panicked"))?;
        states.insert(client, state);
        Ok(())
    }
}

/// The examples of one client.
pub(crate) fn shard(setup: &Setup, client: u32) -> Vec<&Example> {
    let rows = setup.shards[client as usize].iter();
    rows.map(|row| &setup.examples[*row as usize]).collect()
}

/// What a client's batches of a round are drawn from.
pub(crate) fn batch_seed(seed: Seed, round: u32, client: u32) -> Seed {
    seed.derive("batches", u64::from(round))
        .derive("client", u64::from(client))
}

fn figures(trained: &Trained, seconds: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([
        ("loss".to_owned(), trained.loss),
        ("steps".to_owned(), trained.steps as f64),
        ("lr".to_owned(), trained.lr),
        ("tokens".to_owned(), trained.tokens as f64),
        ("grad-norm".to_owned(), trained.grad_norm),
        ("seconds".to_owned(), seconds),
    ])
}

fn check_finite(client: u32, what: &str, params: &Params) -> Result<()> {
    match params.first_non_finite() {
        None => Ok(()),
        Some((tensor, index, value)) => {
            bail!("{what} of client {client}: tensor `{tensor}` holds {value} at {index}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_names_client_and_tensor() {
        let params =
            |value| Params::from_tensors([("w".to_owned(), vec![2], vec![0.0, value])]).unwrap();
        check_finite(3, "update", &params(1.0)).unwrap();
        let error = check_finite(3, "update", &params(f32::NAN)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "update of client 3: tensor `w` holds NaN at 1"
        );
    }
}
