//! The client half of a round: begin, train, finish, answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use folkmoot_federation::{Answer, Federation, Lease, Task};
use folkmoot_params::{Objective, Params, Seed};
use folkmoot_plugin::{Message, Round, State, Training as Finished};
use folkmoot_train::{Base, Shard, Trained, Training, train};
use glob_match::glob_match;

use crate::parcel::{open_message, pack_message};
use crate::resolve::Setup;
use crate::rows::Own;
use crate::updates::{blob, check_finite};

/// What every client of a round works with.
pub(crate) struct Worksite<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) base: &'a Arc<Base>,
    pub(crate) federation: &'a dyn Federation,
    /// What stays at each client between rounds.
    pub(crate) homes: Mutex<BTreeMap<u32, Home>>,
}

/// What stays at a client.
#[derive(Clone, Default, Debug)]
pub(crate) struct Home {
    /// The algorithm's own.
    pub(crate) state: State,
    /// Tensors that its objective keeps from being sent.
    pub(crate) kept: Option<Params>,
}

impl Home {
    /// The client's own model, where its algorithm makes one: what it keeps over `global`, or the state's
    /// parameters `personal`.
    pub(crate) fn personal(&self, global: &Params) -> Option<Params> {
        if let Some(kept) = &self.kept {
            return global.merge(kept).ok();
        }
        let personal = self.state.params.get("personal")?;
        global.check_same_structure(personal).ok()?;
        Some(personal.clone())
    }
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

    /// Does one task.
    pub(crate) fn work(&self, lease: &Lease, round: Round, training: &Training) -> Result<Answer> {
        let task = &lease.task;
        let client = task.client;
        let file = |role| self.federation.file(blob(&task.inputs, role)?);
        let global = Params::open(&file("global")?)?;
        let received = open_message(&file("message")?)?;
        let mut home = self.homes()?.get(&client).cloned().unwrap_or_default();
        let algorithm = self.setup.algorithm.get();
        let local = Round {
            seed: round.seed.derive("client", u64::from(client)),
            ..round
        };
        let objective = algorithm.begin(local, &global, &received, &mut home.state)?;
        check_keep(&objective, &global)
            .with_context(|| format!("plugin `{}`, call `begin`", algorithm.plugin().name))?;
        let start = match &home.kept {
            Some(kept) => global.merge(kept)?,
            None => global.clone(),
        };
        let started = Instant::now();
        let seed = batch_seed(self.setup.experiment.seed, round.number, client);
        let data = shard(self.setup, client);
        let adapter = &self.setup.experiment.adapter;
        let trained = train(
            self.base, adapter, &start, &data, training, &objective, seed,
        )?;
        let mut figures = figures(&trained, data.len(), started.elapsed().as_secs_f64());
        let keeps = |name: &str| objective.keep.iter().any(|glob| glob_match(glob, name));
        home.kept = trained.params.filter(keeps);
        let delta = trained.params.sub(&start)?;
        let delta = delta.filter(|name| !keeps(name));
        let delta = delta.context("the objective keeps every tensor: nothing is left to send")?;
        check_finite(client, "update", &delta)?;
        if let Some(kept) = &home.kept {
            figures.insert("kept".into(), kept.structure().tensors().len() as f64);
        }
        let finished = Finished {
            steps: trained.steps as u32,
            lr: trained.lr,
            figures: figures.clone(),
            before: start,
            after: trained.params,
            personal: trained.personal,
        };
        let message = algorithm.finish(local, &finished, &received, &mut home.state)?;
        for (name, params) in &message.params {
            check_finite(client, &format!("message `{name}`"), params)?;
        }
        self.homes()?.insert(client, home);
        let attack = self.setup.experiment.attack.as_ref();
        let delta = match attack.filter(|attack| attack.clients().contains(&client)) {
            Some(attack) => attack.corrupt(&delta, seed.derive("attack", 0)),
            None => delta,
        };
        let delta = self.federation.put(&delta.to_safetensors()?)?;
        let message = self.federation.put(&pack_message(&message)?)?;
        Ok(Answer {
            round: task.round,
            client,
            outputs: BTreeMap::from([("delta".to_owned(), delta), ("message".to_owned(), message)]),
            figures,
        })
    }

    pub(crate) fn homes(&self) -> Result<MutexGuard<'_, BTreeMap<u32, Home>>> {
        let homes = self.homes.lock();
        homes.map_err(|_| anyhow!("a client's thread panicked"))
    }
}

/// Refuses globs that keep nothing: most likely they are misspelt.
fn check_keep(objective: &Objective, global: &Params) -> Result<()> {
    for glob in &objective.keep {
        let mut tensors = global.structure().tensors().iter();
        ensure!(
            tensors.any(|tensor| glob_match(glob, &tensor.name)),
            "objective: keeping `{glob}` selects no tensor"
        );
    }
    Ok(())
}

/// What one client has.
pub(crate) fn shard(setup: &Setup, client: u32) -> Own<'_> {
    Own {
        all: &setup.rows,
        rows: &setup.shards[client as usize],
    }
}

/// What a client's batches of a round are drawn from.
pub(crate) fn batch_seed(seed: Seed, round: u32, client: u32) -> Seed {
    seed.derive("batches", u64::from(round))
        .derive("client", u64::from(client))
}

fn figures(trained: &Trained, examples: usize, seconds: f64) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::from([
        ("examples".to_owned(), examples as f64),
        ("loss".to_owned(), trained.loss),
        ("steps".to_owned(), trained.steps as f64),
        ("lr".to_owned(), trained.lr),
        ("tokens".to_owned(), trained.tokens as f64),
        ("grad-norm".to_owned(), trained.grad_norm),
        ("seconds".to_owned(), seconds),
    ]);
    if let Some(loss) = trained.initial_loss {
        figures.insert("initial-loss".into(), loss);
    }
    if let Some(rewards) = trained.rewards {
        figures.extend([
            ("reward-chosen".to_owned(), rewards.chosen),
            ("reward-rejected".to_owned(), rewards.rejected),
            (
                "reward_margin".to_owned(),
                rewards.chosen - rewards.rejected,
            ),
            ("reward_accuracy".to_owned(), rewards.accuracy),
        ]);
    }
    figures
}
