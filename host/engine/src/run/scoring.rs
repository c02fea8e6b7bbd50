//! The evaluations of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use folkmoot_params::{Objective, Params};
use folkmoot_plugin::Update;
use folkmoot_train::train;

use super::{Event, Run};
use crate::clients::{batch_seed, shard};
use crate::evaluate::Which;
use crate::evaluate::clients::{OfClient, Spread, lines, score};
use crate::evaluate::panel::Scores;
use crate::record::{Record, Row, Seconds};

/// What an evaluation between rounds gave.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) values: BTreeMap<String, f64>,
    /// The run ends here.
    pub(super) stop: bool,
}

impl Run<'_> {
    /// Scores after this round, if it is one of those; the last round is scored by the final table.
    pub(super) fn evaluate_between(
        &mut self,
        record: &mut Record,
        number: u32,
        global: &Params,
        spent: &mut Seconds,
    ) -> Result<Seen> {
        let every = self.setup.experiment.evaluation.every;
        if every == 0 || !number.is_multiple_of(every) || number == self.setup.experiment.rounds {
            return Ok(Seen::default());
        }
        let started = Instant::now();
        let row = self.scored(record, &format!("round {number}"), Some(global))?;
        let stop = self.keep_best(record, number, &row.scores, global)?;
        spent.evaluate += started.elapsed().as_secs_f64();
        let values = row.scores.into_iter();
        Ok(Seen {
            values: values.map(|score| (score.name, score.value)).collect(),
            stop,
        })
    }

    /// Keeps the adapter if its scores are the best so far; whether the run should end.
    pub(super) fn keep_best(
        &mut self,
        record: &Record,
        number: u32,
        scores: &Scores,
        global: &Params,
    ) -> Result<bool> {
        let how = &self.setup.experiment.evaluation;
        let verdict = self.watch.see(how, number, scores);
        let verdict = verdict.with_context(|| format!("evaluation after round {number}"))?;
        if verdict.best {
            record.adapter(self.setup, "best", global)?;
            record.best(number, scores)?;
        }
        Ok(verdict.stop)
    }

    /// Scores of clients' models on their own rows, if they are due after this round; the global model's
    /// after the last are those of the end.
    pub(super) fn evaluate_clients(
        &self,
        record: &mut Record,
        number: u32,
        (before, global): (&Params, &Params),
        updates: &[Arc<Update>],
        spent: &mut Seconds,
        last: bool,
    ) -> Result<()> {
        let Some(how) = &self.setup.experiment.evaluation.clients else {
            return Ok(());
        };
        if !last && (how.every == 0 || !number.is_multiple_of(how.every)) {
            return Ok(());
        }
        let started = Instant::now();
        for which in &how.models {
            let models = match which {
                Which::Global if last => continue,
                Which::Global => self.of_clients(global)?,
                Which::Local => self.locally_trained(before, updates)?,
            };
            self.score_clients(record, number, which.name(), &models, &[])?;
        }
        spent.evaluate += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// The end: the global model on each client's rows, beside what clients got alone.
    pub(super) fn across_clients(
        &self,
        record: &mut Record,
        number: u32,
        global: &Params,
        alone: &[(u32, Params)],
    ) -> Result<Vec<Spread>> {
        let Some(how) = &self.setup.experiment.evaluation.clients else {
            return Ok(Vec::new());
        };
        let (alone, _) = self.score_clients(record, number, "alone", alone, &[])?;
        if !how.models.contains(&Which::Global) {
            return Ok(Vec::new());
        }
        let models = self.of_clients(global)?;
        let (_, spreads) = self.score_clients(record, number, "global", &models, &alone)?;
        Ok(spreads)
    }

    fn score_clients(
        &self,
        record: &mut Record,
        number: u32,
        model: &'static str,
        models: &[(u32, Params)],
        alone: &[OfClient],
    ) -> Result<(Vec<OfClient>, Vec<Spread>)> {
        let Some(across) = self.setup.across.as_ref().filter(|_| !models.is_empty()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        (self.on)(Event::Note(format!(
            "evaluating {} models ({model}) on their clients' rows",
            models.len()
        )));
        let scored = score(self.setup, &self.client_sets, self.site.base, models)?;
        let spreads = across.spreads(&scored, alone)?;
        record.evaluations(&lines(number, model, &scored, &spreads))?;
        Ok((scored, spreads))
    }

    /// The global model as each client has it: with what the client keeps to itself.
    fn of_clients(&self, global: &Params) -> Result<Vec<(u32, Params)>> {
        let homes = self.site.homes()?;
        let clients = 0..self.setup.shards.len() as u32;
        let own = |client: u32| {
            let home = homes.get(&client);
            let personal = home.and_then(|home| home.personal(global));
            (client, personal.unwrap_or_else(|| global.clone()))
        };
        Ok(clients.map(own).collect())
    }

    /// What local training made of the parameters `before` the round, for the clients of the round.
    fn locally_trained(
        &self,
        before: &Params,
        updates: &[Arc<Update>],
    ) -> Result<Vec<(u32, Params)>> {
        let homes = self.site.homes()?;
        let trained = updates.iter().map(|update| {
            let own = before.add(&update.delta)?;
            let home = homes.get(&update.client.id);
            let own = match home.and_then(|home| home.kept.as_ref()) {
                Some(kept) => own.merge(kept)?,
                None => own,
            };
            Ok((update.client.id, own))
        });
        trained.collect()
    }

    /// The largest clients, each trained alone from the same start for the same number of steps.
    pub(super) fn alone(&self) -> Result<Vec<(u32, Params)>> {
        let setup = self.setup;
        let mut order: Vec<u32> = (0..setup.shards.len() as u32).collect();
        order.sort_by_key(|client| std::cmp::Reverse(setup.shards[*client as usize].len()));
        order.truncate(setup.experiment.compare.alone as usize);
        if order.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = order.iter().map(u32::to_string).collect();
        (self.on)(Event::Note(format!(
            "training alone, for comparison: client {}",
            names.join(", client ")
        )));
        let trained = setup.workers.map(order.len(), |index| {
            let client = order[index];
            let data = shard(setup, client);
            let mut params = setup.initial.clone();
            for number in 1..=setup.experiment.rounds {
                let seed = batch_seed(setup.experiment.seed, number, client);
                let (adapter, training) = (&setup.experiment.adapter, setup.training(number));
                let plain = Objective::default();
                let trained = train(
                    self.site.base,
                    adapter,
                    &params,
                    &data,
                    &training,
                    &plain,
                    seed,
                );
                params = trained
                    .with_context(|| format!("client {client} alone, round {number}"))?
                    .params;
            }
            Ok(params)
        })?;
        Ok(order.into_iter().zip(trained).collect())
    }

    /// Scores on the held-out rows, with what was asked and answered in the record.
    pub(super) fn scored(
        &self,
        record: &Record,
        name: &str,
        params: Option<&Params>,
    ) -> Result<Row> {
        (self.on)(Event::Note(format!("evaluating {name}")));
        let adapter = params.map(|params| (&self.setup.experiment.adapter, params));
        let mut lines = Vec::new();
        let base = self.site.base;
        let (scores, cuts) = self.evaluator.observed(base, adapter, Some(&mut lines))?;
        if cuts > 0 {
            (self.on)(Event::Note(format!(
                "{cuts} prompts are longer than the model takes, and lost their beginning"
            )));
        }
        record.examples(name, &lines)?;
        let row = Row {
            name: name.to_owned(),
            scores,
        };
        (self.on)(Event::Scored(row.clone()));
        Ok(row)
    }
}
