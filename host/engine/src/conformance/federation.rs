//! A federation without training: clients whose local training ends where a seed, or a recording, says.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use folkmoot_params::{Objective, Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Failure, Message, PluginError, Round, State, Training, Update,
};
use rand::seq::index::sample;

use super::transcript::Transcript;
use crate::parcel::{open_message, open_state, pack_message, pack_state};

/// Name and shape of each tensor.
pub(super) type Shapes = Vec<(String, Vec<usize>)>;

/// What local trainings end with.
#[derive(Clone)]
pub(super) enum Learnt {
    /// Normal values of this standard deviation.
    Normal(f32),
    /// The same in every client and coordinate.
    Same(f32),
    /// Client k moved as recording k (modulo their number).
    Recorded(Vec<Params>),
}

/// The algorithm as another process has it.
pub(super) type Reload<'a> = &'a dyn Fn() -> Result<Algorithm, PluginError>;

/// Of what a federation consists.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) rounds: u32,
    /// Examples of each client.
    pub(super) examples: Vec<u64>,
    pub(super) cohort: u32,
    pub(super) global: Params,
    pub(super) learnt: Learnt,
    /// Everything that lasts, and everything that is sent, goes through files, as in a run that is killed and
    /// resumed after every round.
    pub(super) through_files: bool,
    pub(super) seed: Seed,
}

/// Tensors as LoRA of this rank has them, on the queries and values of so many layers.
pub(super) fn lora(layers: usize, hidden: usize, rank: usize) -> Shapes {
    let tensor = |layer: usize, projection: &str, half: &str, shape: [usize; 2]| {
        let name = format!(
            "base_model.model.model.layers.{layer}.self_attn.{projection}.lora_{half}.weight"
        );
        (name, shape.to_vec())
    };
    let both = |layer: usize, projection: &str| {
        let a = tensor(layer, projection, "A", [rank, hidden]);
        [a, tensor(layer, projection, "B", [hidden, rank])]
    };
    let all = (0..layers).flat_map(|layer| [both(layer, "q_proj"), both(layer, "v_proj")]);
    all.flatten().collect()
}

/// Zeros of these shapes.
pub(super) fn zeros(shapes: &Shapes) -> Result<Params, PluginError> {
    let tensors = shapes.iter().map(|(name, shape)| {
        let count = shape.iter().product();
        (name.clone(), shape.clone(), vec![0.0; count])
    });
    Params::from_tensors(tensors).map_err(|error| broken("synthetic parameters", &error))
}

fn figures(loss: f64) -> BTreeMap<String, f64> {
    let all = [
        ("loss", loss),
        ("initial-loss", 2.0 * loss),
        ("tokens", 1000.0),
        ("seconds", 1.0),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What is not the plugin's fault, said as what it was made for.
fn broken(what: &str, error: &dyn std::fmt::Display) -> PluginError {
    let cause = format!("{what}: {error}");
    PluginError::Call {
        plugin: "trial".into(),
        call: "set-up",
        failure: Failure::Trapped { cause },
    }
}

impl Scenario {
    /// Every hook of `algorithm` in every round, as a run calls them.
    pub(super) fn play(&self, algorithm: &Algorithm) -> Result<Transcript, PluginError> {
        self.run(algorithm, None)
    }

    /// The same in a run that is killed and resumed after every round: only what is in files lasts, and every round
    /// but the first has an algorithm that was loaded anew.
    pub(super) fn play_resumed(
        &self,
        algorithm: &Algorithm,
        reload: Reload,
    ) -> Result<Transcript, PluginError> {
        let killed = Self {
            through_files: true,
            ..self.clone()
        };
        killed.run(algorithm, Some(reload))
    }

    fn run(
        &self,
        algorithm: &Algorithm,
        reload: Option<Reload>,
    ) -> Result<Transcript, PluginError> {
        let mut transcript = Transcript::default();
        let mut server = State::default();
        let mut homes: BTreeMap<u32, State> = BTreeMap::new();
        let mut global = self.global.clone();
        let mut clients = self.clients();
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        let seed = self.seed.derive("plugins", 0);
        algorithm.start(seed, &global, &mut server)?;
        transcript.add("`start`".into(), |own| own.state(&server));
        let mut renewed: Option<Algorithm> = None;
        for number in 1..=self.rounds {
            if let Some(reload) = reload.filter(|_| number > 1) {
                renewed = Some(reload()?);
            }
            let algorithm = renewed.as_ref().unwrap_or(algorithm);
            let round = Round {
                number,
                total: self.rounds,
                clients: clients.len() as u32,
                seed,
            };
            for client in &mut clients {
                client.idle = last.get(&client.id).map(|last| number - last);
            }
            let cohort = self.sample(algorithm, round, &clients, &mut server)?;
            transcript.add(format!("`sample` in round {number}"), |own| {
                cohort
                    .iter()
                    .for_each(|client| own.number(f64::from(*client)));
                own.state(&server);
            });
            let mut updates = Vec::new();
            for &id in &cohort {
                let home = homes.entry(id).or_default();
                let client = &clients[id as usize];
                let received = algorithm.configure(round, client, &mut server)?;
                let received = self.sent(&received)?;
                let objective = algorithm.begin(round, &global, &received, home)?;
                let training = self.training(&global, &objective, number, id)?;
                let to = algorithm.finish(round, &training, &received, home)?;
                transcript.add(
                    format!("the client half in round {number}, client {id},"),
                    |own| {
                        own.message(&received);
                        own.objective(&objective);
                        own.message(&to);
                        own.state(home);
                    },
                );
                let delta = training.after.sub(&training.before);
                updates.push(Arc::new(Update {
                    client: Client {
                        figures: training.figures.clone(),
                        ..client.clone()
                    },
                    steps: training.steps,
                    lr: training.lr,
                    staleness: 0,
                    delta: self.kept(&delta.map_err(|error| broken("delta", &error))?)?,
                    message: self.sent(&to)?,
                }));
                *home = self.lasting(home)?;
                last.insert(id, number);
            }
            for update in &updates {
                clients[update.client.id as usize].figures = update.client.figures.clone();
            }
            global = algorithm.aggregate(round, &global, &updates, &mut server)?;
            transcript.add(format!("`aggregate` in round {number}"), |own| {
                own.params(&global);
                own.state(&server);
            });
            (global, server) = (self.kept(&global)?, self.lasting(&server)?);
        }
        Ok(transcript)
    }

    fn clients(&self) -> Vec<Client> {
        let client = |(id, examples): (usize, &u64)| Client {
            id: id as u32,
            examples: *examples,
            ..Client::default()
        };
        self.examples.iter().enumerate().map(client).collect()
    }

    fn sample(
        &self,
        algorithm: &Algorithm,
        round: Round,
        clients: &[Client],
        server: &mut State,
    ) -> Result<Vec<u32>, PluginError> {
        let chosen = algorithm.sample(round, clients, self.cohort, server)?;
        let mut cohort = chosen.unwrap_or_else(|| {
            let mut rng = self.seed.derive("cohort", u64::from(round.number)).rng();
            let drawn = sample(&mut rng, clients.len(), self.cohort as usize);
            drawn.iter().map(|client| client as u32).collect()
        });
        cohort.sort_unstable();
        Ok(cohort)
    }

    /// A training that ended, with zeros where the objective says that nothing trains.
    fn training(
        &self,
        global: &Params,
        objective: &Objective,
        round: u32,
        client: u32,
    ) -> Result<Training, PluginError> {
        let draw = self
            .seed
            .derive(&format!("round-{round}"), u64::from(client));
        let mut delta = match &self.learnt {
            Learnt::Normal(deviation) => global.gaussian(draw).scale(*deviation),
            Learnt::Same(value) => global.filled(*value),
            Learnt::Recorded(all) => all[client as usize % all.len()].clone(),
        };
        let failed = |error| broken("training", &error);
        for glob in objective.keep.iter().chain(&objective.freeze) {
            if let Ok(still) = delta.select(glob) {
                delta = delta.merge(&still.filled(0.0)).map_err(failed)?;
            }
        }
        let after = global.add(&delta).map_err(failed)?;
        let own = objective.personal.is_some()
            || objective.envelope.is_some()
            || !objective.keep.is_empty();
        let personal = own.then(|| after.add_scaled(0.5, &delta)).transpose();
        Ok(Training {
            steps: 10,
            lr: 1e-3,
            figures: figures(1.0 / f64::from(round + client)),
            before: global.clone(),
            after,
            personal: personal.map_err(failed)?,
        })
    }

    fn sent(&self, message: &Message) -> Result<Message, PluginError> {
        self.filed(message, pack_message, open_message)
    }

    fn lasting(&self, state: &State) -> Result<State, PluginError> {
        self.filed(state, pack_state, open_state)
    }

    fn kept(&self, params: &Params) -> Result<Params, PluginError> {
        let pack = |params: &Params| Ok(params.to_safetensors()?);
        let open = |path: &std::path::Path| Ok(Params::open(path)?);
        self.filed(params, pack, open)
    }

    /// `value` as it comes back from a file, if it goes through one.
    fn filed<T: Clone>(
        &self,
        value: &T,
        pack: impl Fn(&T) -> anyhow::Result<Vec<u8>>,
        open: impl Fn(&std::path::Path) -> anyhow::Result<T>,
    ) -> Result<T, PluginError> {
        if !self.through_files {
            return Ok(value.clone());
        }
        let through = || -> anyhow::Result<T> {
            let file = tempfile::NamedTempFile::new()?;
            fs::write(file.path(), pack(value)?)?;
            // It stays mapped after its name is gone.
            open(file.path())
        };
        through().map_err(|error| broken("a checkpoint", &format!("{error:#}")))
    }
}
