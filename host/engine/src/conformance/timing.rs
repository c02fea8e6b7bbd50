//! Seconds of a plugin's calls, one pass at a time, so that two plugins can take turns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Kind, Message, Metric, Observations, Partitioner, Plugin, PluginError,
    Round, State, Training, Update,
};
use serde_json::Value;

use super::Candidate;
use super::metric::{examples, observe_timed};
use super::partitioner::Rows;

/// Call and seconds, in the order of a run.
pub(super) type Seconds = Vec<(&'static str, f64)>;

/// What calls are timed on.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Scalars of the parameters.
    pub scalars: usize,
    /// Updates of an aggregation.
    pub clients: u32,
    /// Rows of a data set.
    pub rows: u32,
    /// Examples of an evaluation.
    pub examples: u64,
}

/// A plugin that is timed again and again on the same load.
pub struct Timed {
    what: What,
    load: Load,
    examples: Vec<Value>,
}

enum What {
    Algorithm(Box<Algorithm>, Params, Vec<Arc<Update>>),
    Partitioner(Box<Partitioner>),
    Metric(Box<Metric>),
}

impl Timed {
    /// `plugin` with the settings of `candidate`.
    pub fn new(candidate: &Candidate, plugin: Plugin, load: Load) -> Result<Self, PluginError> {
        let settings = &candidate.settings;
        let what = match plugin.kind {
            Kind::Algorithm => {
                let (global, updates) = updates(load)?;
                What::Algorithm(Box::new(Algorithm::new(plugin, settings)?), global, updates)
            }
            Kind::Partitioner => What::Partitioner(Box::new(Partitioner::new(plugin, settings)?)),
            Kind::Metric => What::Metric(Box::new(Metric::new(plugin, settings)?)),
        };
        let examples = examples(candidate, load.examples);
        Ok(Self {
            what,
            load,
            examples,
        })
    }

    /// Every call once; of calls that are made for each client or example, the mean.
    pub fn pass(&self) -> Result<Vec<(&'static str, f64)>, PluginError> {
        match &self.what {
            What::Algorithm(algorithm, global, updates) => round(algorithm, global, updates),
            What::Partitioner(partitioner) => {
                let data = Arc::new(Rows(self.load.rows));
                let clients = match partitioner.clients_from_data() {
                    true => 0,
                    false => 10,
                };
                let started = Instant::now();
                partitioner.partition(data, clients, Seed(7))?;
                Ok(vec![("partition", started.elapsed().as_secs_f64())])
            }
            What::Metric(metric) => {
                let (observed, mut seconds) = observe_timed(metric, &self.examples)?;
                let started = Instant::now();
                metric.summarize(&Observations::from_iter(observed))?;
                seconds.push(("summarize", started.elapsed().as_secs_f64()));
                Ok(seconds)
            }
        }
    }
}

/// Global parameters and updates of the load's size.
fn updates(load: Load) -> Result<(Params, Vec<Arc<Update>>), PluginError> {
    let width = 1024;
    let shapes = vec![("w".to_owned(), vec![load.scalars.div_ceil(width), width])];
    let global = super::federation::zeros(&shapes)?.gaussian(Seed(1));
    let figures = [("loss", 0.5), ("initial-loss", 1.0), ("seconds", 1.0)];
    let figures: BTreeMap<String, f64> =
        figures.map(|(name, value)| (name.to_owned(), value)).into();
    let update = |id: u32| {
        let client = Client {
            id,
            examples: 100 + u64::from(id),
            figures: figures.clone(),
            ..Client::default()
        };
        let delta = global.gaussian(Seed(2).derive("delta", u64::from(id)));
        let delta = delta.scale(0.01);
        // Evaluated now, not when it is timed.
        delta.values();
        Arc::new(Update {
            client,
            steps: 10,
            lr: 1e-3,
            staleness: 0,
            delta,
            message: Message::default(),
        })
    };
    global.values();
    Ok((global.clone(), (0..load.clients).map(update).collect()))
}

fn round(
    algorithm: &Algorithm,
    global: &Params,
    updates: &[Arc<Update>],
) -> Result<Seconds, PluginError> {
    let round = Round {
        number: 1,
        total: 1,
        clients: updates.len() as u32,
        seed: Seed(3),
    };
    let mut server = State::default();
    let mut totals = [("configure", 0.0), ("begin", 0.0), ("finish", 0.0)];
    let mut seconds = Vec::new();
    let started = Instant::now();
    algorithm.start(Seed(3), global, &mut server)?;
    seconds.push(("start", started.elapsed().as_secs_f64()));
    let clients: Vec<Client> = updates.iter().map(|own| own.client.clone()).collect();
    let started = Instant::now();
    algorithm.sample(round, &clients, updates.len() as u32, &mut server)?;
    seconds.push(("sample", started.elapsed().as_secs_f64()));
    let mut sent = Vec::new();
    for update in updates {
        let mut home = State::default();
        let at = Instant::now();
        let received = algorithm.configure(round, &update.client, &mut server)?;
        totals[0].1 += at.elapsed().as_secs_f64();
        let at = Instant::now();
        let objective = algorithm.begin(round, global, &received, &mut home)?;
        totals[1].1 += at.elapsed().as_secs_f64();
        // Twice the same where no second model is trained: only its time counts.
        let wants = objective.personal.is_some() || objective.envelope.is_some();
        let training = Training {
            steps: update.steps,
            lr: update.lr,
            figures: update.client.figures.clone(),
            before: global.clone(),
            after: update.delta.clone(),
            personal: wants.then(|| update.delta.clone()),
        };
        let at = Instant::now();
        let message = algorithm.finish(round, &training, &received, &mut home)?;
        totals[2].1 += at.elapsed().as_secs_f64();
        sent.push(Arc::new(Update {
            message,
            ..Update::clone(update)
        }));
    }
    let count = updates.len().max(1) as f64;
    seconds.extend(totals.map(|(call, total)| (call, total / count)));
    let started = Instant::now();
    algorithm.aggregate(round, global, &sent, &mut server)?;
    seconds.push(("aggregate", started.elapsed().as_secs_f64()));
    Ok(seconds)
}
