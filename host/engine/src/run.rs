//! The rounds of a run: sample, train, aggregate, evaluate, record.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::Progress;
use folkmoot_federation::{Federation, InProcess};
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Client, Listener, Message, Note, Profile, Round, Said, State, Update, placed,
};
use folkmoot_train::{Base, Schedule, Training};
use rand::seq::index::sample;

use crate::BadUpdate;
use crate::checkpoint::{Checkpoint, Seen};
use crate::clients::Worksite;
use crate::current::Renewal;
use crate::evaluate::Evaluator;
use crate::evaluate::clients::{Spread, sets};
use crate::record::{ClientLine, Record, RoundLine, Row, Seconds};
use crate::resolve::Setup;
use crate::updates::{Dropped, Expected};
use crate::watch::Watch;

mod scoring;

/// What a run tells whoever watches it.
#[derive(Debug)]
pub enum Event {
    /// Something began, or is worth saying.
    Note(String),
    /// A file is on its way.
    Fetch(Progress),
    /// A round began.
    Round {
        number: u32,
        total: u32,
        clients: usize,
    },
    /// A client of the round has trained.
    Trained {
        client: u32,
        loss: f64,
        seconds: f64,
    },
    /// The round is over.
    Closed {
        number: u32,
        loss: f64,
        seconds: f64,
        training: f64,
    },
    /// A model was evaluated.
    Scored(Row),
}

/// Lines that plugins say until the run takes them; each has up to 1 KiB.
const MOST_NOTES: usize = 100_000;

/// A word on those that are not kept, from the plugin that says the first of them.
fn too_many(note: Note) -> Note {
    let (level, message) = (
        "warn".into(),
        format!("more than {MOST_NOTES} lines in one round: the rest is dropped"),
    );
    Note {
        // At the end.
        place: None,
        said: Said::Log { level, message },
        ..note
    }
}

/// What plugins say during a run, until the run takes it.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    /// For the sandbox.
    pub fn listener(&self) -> Listener {
        let notes = self.0.clone();
        Arc::new(move |note| {
            if let Ok(mut notes) = notes.lock() {
                // A call says little, but a round has many calls.
                match notes.len().cmp(&MOST_NOTES) {
                    Ordering::Less => notes.push(note),
                    Ordering::Equal => notes.push(too_many(note)),
                    Ordering::Greater => {}
                }
            }
        })
    }

    fn take(&self) -> Vec<Note> {
        self.0
            .lock()
            .map(|mut notes| std::mem::take(&mut *notes))
            .unwrap_or_default()
    }
}

/// What came of a run.
pub struct Outcome {
    /// Base, clients alone, federation: those that the experiment asks for.
    pub rows: Vec<Row>,
    /// What the global model's scores are like across clients, where clients are evaluated.
    pub clients: Vec<Spread>,
    pub global: Params,
    /// Rounds that were run; fewer than the experiment's where it was resumed.
    pub rounds: u32,
    /// Wall seconds of these rounds, and of the training in them.
    pub seconds: f64,
    pub training_seconds: f64,
}

/// Runs `setup` into `record`; `renew` may replace the algorithm between rounds. If it fails, the rounds before stay
/// recorded, and so does what plugins said.
pub fn run(
    setup: &Setup,
    record: &mut Record,
    notes: &Notes,
    on: &(dyn Fn(Event) + Sync),
    renew: Option<Renewal>,
) -> Result<Outcome> {
    let outcome = rounds(setup, record, notes, on, renew);
    if let Err(error) = &outcome {
        record.notes(notes.take())?;
        record.log(&format!("failed: {error:#}"))?;
    }
    outcome
}

fn rounds(
    setup: &Setup,
    record: &mut Record,
    notes: &Notes,
    on: &(dyn Fn(Event) + Sync),
    renew: Option<Renewal>,
) -> Result<Outcome> {
    on(Event::Note(format!(
        "reading the model `{}`",
        setup.experiment.model.base
    )));
    let base = Arc::new(Base::read(&setup.base_path, setup.form)?);
    for note in base.notes() {
        on(Event::Note(note.clone()));
        record.log(note)?;
    }
    let evaluator = Evaluator::new(setup)?;
    let exchange = InProcess::new(&record.exchange(), Duration::from_secs(3600))?;
    let mut run = Run {
        setup,
        on,
        evaluator,
        site: Worksite {
            setup,
            base: &base,
            federation: &exchange,
            homes: Mutex::default(),
        },
        client_sets: sets(setup)?,
        watch: Watch::default(),
        clients: clients(setup),
        roster: vec![Seen::default(); setup.shards.len()],
    };
    let mut rows = Vec::new();
    if setup.experiment.compare.base {
        rows.push(run.scored(record, "base", None)?);
    }
    let mut state = State::default();
    let mut global = setup.initial.clone();
    let mut done = 0;
    match record.take_checkpoint() {
        Some(checkpoint) => {
            on(Event::Note(format!(
                "going on after round {}",
                checkpoint.round
            )));
            done = checkpoint.round;
            (global, state) = (checkpoint.global, checkpoint.server);
            *run.site.homes()? = checkpoint.homes;
            (run.roster, run.watch) = (checkpoint.roster, checkpoint.watch);
            run.introduce(done);
            exchange.advance(0, done)?;
        }
        None => setup
            .algorithm
            .get()
            .start(setup.plugin_seed(), &global, &mut state)?,
    }
    let (mut seconds, mut training_seconds) = (0.0, 0.0);
    let mut ran = done;
    // A run that ended early has no round left.
    let until = if run.watch.stopped {
        done
    } else {
        setup.experiment.rounds
    };
    for number in done + 1..=until {
        // The same component built again is no other.
        let digest = setup.algorithm.get().plugin().digest.clone();
        let next = renew.and_then(|renew| renew());
        if let Some(next) = next.filter(|next| next.plugin().digest != digest) {
            let said = format!("round {number} begins with {}", next.plugin().digest);
            setup.algorithm.replace(next);
            record.renewed(number, setup)?;
            on(Event::Note(said));
        }
        let started = Instant::now();
        let round = setup.round(number);
        exchange.advance(number - 1, number)?;
        let at = || format!("round {number}");
        let cohort = run.sample(round, &mut state).with_context(at)?;
        let (updates, dropped, train_seconds) = run.train(round, &cohort, &global, &mut state)?;
        for Dropped { client, cause } in &dropped {
            let said = format!("round {number}: client {client} is left out: {cause}");
            record.log(&said)?;
            on(Event::Note(said));
        }
        let next = setup
            .algorithm
            .get()
            .aggregate(round, &global, &updates, &mut state)
            .with_context(at)?;
        let step_norm = next.sub(&global)?.norm();
        let before = std::mem::replace(&mut global, next);
        let mut spent = Seconds {
            train: train_seconds,
            ..Seconds::default()
        };
        let mut last = number == setup.experiment.rounds;
        let seen = run.evaluate_between(record, number, &global, &mut spent);
        let seen = seen.with_context(at)?;
        if seen.stop {
            last = true;
            let stop = setup.experiment.evaluation.stop.as_ref();
            let (score, patience) = stop.map_or(("", 0), |own| (own.score.as_str(), own.patience));
            let said = format!(
                "stopped after round {number}: `{score}` is no better than {patience} evaluations ago"
            );
            record.log(&said)?;
            on(Event::Note(said));
        }
        run.evaluate_clients(
            record,
            number,
            (&before, &global),
            &updates,
            &mut spent,
            last,
        )
        .with_context(at)?;
        let due = last || number.is_multiple_of(setup.experiment.checkpoint.every);
        if due {
            record.adapter(setup, &format!("round-{number:04}"), &global)?;
        }
        spent.total = started.elapsed().as_secs_f64();
        seconds += spent.total - spent.evaluate;
        training_seconds += spent.train;
        let loss = mean_loss(&updates);
        let reports = record.notes(notes.take())?;
        record.round(
            &RoundLine {
                round: number,
                cohort,
                lr: setup.training(number).lr,
                loss,
                step_norm,
                seconds: spent,
                scores: seen.values,
                dropped,
                reports,
            },
            &updates
                .iter()
                .map(|update| client_line(number, update))
                .collect::<Vec<_>>(),
        )?;
        // After the lines: a checkpoint vouches for the record up to its round.
        if due {
            record.save(&Checkpoint {
                round: number,
                global: global.clone(),
                server: state.clone(),
                homes: run.site.homes()?.clone(),
                roster: run.roster.clone(),
                watch: run.watch.clone(),
            })?;
            record.profile(&setup.profile(), done, number - done)?;
        }
        let (total, training) = (spent.total, spent.train);
        record.log(&format!(
            "round {number}: loss {loss:.6}, step norm {step_norm:.6}"
        ))?;
        on(Event::Closed {
            number,
            loss,
            seconds: total,
            training,
        });
        ran = number;
        if last {
            break;
        }
    }
    record.adapter(setup, "final", &global)?;
    for (client, home) in run.site.homes()?.iter() {
        if let Some(personal) = home.personal(&global) {
            record.adapter(setup, &format!("client-{client}"), &personal)?;
        }
    }
    // What the last round's exchange held is recorded now.
    exchange.advance(ran, ran + 1)?;
    let alone = run.alone()?;
    for (client, params) in &alone {
        rows.push(run.scored(record, &format!("client {client} alone"), Some(params))?);
    }
    let algorithm = setup.algorithm.get();
    let name = &algorithm.plugin().name;
    let last = run.scored(record, name, Some(&global))?;
    run.keep_best(record, ran, &last.scores, &global)?;
    rows.push(last);
    if let Some(best) = run.watch.best.as_ref().filter(|best| best.round != ran) {
        rows.push(Row {
            name: format!("{name}, best (round {})", best.round),
            scores: best.scores.clone(),
        });
    }
    let clients = run.across_clients(record, ran, &global, &alone)?;
    record.notes(notes.take())?;
    for row in &rows {
        let scores = row
            .scores
            .iter()
            .map(|score| format!("{} {:.6}", score.name, score.value));
        record.log(&format!(
            "{}: {}",
            row.name,
            scores.collect::<Vec<_>>().join(", ")
        ))?;
    }
    record.scores(&rows)?;
    record.profile(&setup.profile(), done, ran - done)?;
    Ok(Outcome {
        rows,
        clients,
        global,
        rounds: ran - done,
        seconds,
        training_seconds,
    })
}

struct Run<'a> {
    setup: &'a Setup,
    on: &'a (dyn Fn(Event) + Sync),
    evaluator: Evaluator<'a>,
    /// Of each client, where clients are evaluated.
    client_sets: Vec<Evaluator<'a>>,
    watch: Watch,
    site: Worksite<'a>,
    clients: Vec<Client>,
    roster: Vec<Seen>,
}

impl Run<'_> {
    /// The cohort in ascending client id: the algorithm's choice, or a seeded uniform one.
    fn sample(&self, round: Round, state: &mut State) -> Result<Vec<u32>> {
        let (count, clients) = (self.setup.experiment.training.cohort, self.clients.len());
        let algorithm = self.setup.algorithm.get();
        let chosen = algorithm.sample(round, &self.clients, count, state)?;
        let mut cohort = match chosen {
            Some(cohort) => cohort,
            None => {
                let mut rng = self
                    .setup
                    .experiment
                    .seed
                    .derive("cohort", u64::from(round.number))
                    .rng();
                let drawn = sample(&mut rng, clients, count as usize);
                drawn.iter().map(|client| client as u32).collect()
            }
        };
        cohort.sort_unstable();
        Ok(cohort)
    }

    /// Trains the cohort; gives the updates, those left out, and the wall seconds of the training.
    fn train(
        &mut self,
        round: Round,
        cohort: &[u32],
        global: &Params,
        state: &mut State,
    ) -> Result<(Vec<Arc<Update>>, Vec<Dropped>, f64)> {
        let (number, total) = (round.number, round.total);
        (self.on)(Event::Round {
            number,
            total,
            clients: cohort.len(),
        });
        let messages = cohort.iter().map(|client| {
            let client = &self.clients[*client as usize];
            let at = || format!("round {number}, client {}", client.id);
            let message = self.setup.algorithm.get().configure(round, client, state);
            message.with_context(at)
        });
        let messages = messages.collect::<Result<Vec<Message>>>()?;
        self.site.publish(round, cohort, global, &messages)?;
        let training = self.setup.training(round.number);
        let dropped: Mutex<Vec<Dropped>> = Mutex::default();
        // A bad update stops the run, or is noted and left out.
        let leave_out = |client: u32, error: anyhow::Error| -> Result<()> {
            match self.setup.experiment.training.bad_update {
                BadUpdate::Stop => Err(error.context(format!("round {number}, client {client}"))),
                BadUpdate::Drop => {
                    let cause = format!("{error:#}");
                    let dropped = dropped
                        .lock()
                        .map(|mut all| all.push(Dropped { client, cause }));
                    dropped.map_err(|_| anyhow::anyhow!("a client's thread panicked"))
                }
            }
        };
        let started = Instant::now();
        self.setup.workers.map(cohort.len(), |_| {
            let lease = self
                .site
                .federation
                .take()?
                .context("a task for every client of the cohort")?;
            let place = lease.task.client.into();
            let answer = match placed(place, || self.site.work(&lease, round, &training)) {
                Ok(answer) => answer,
                Err(error) => return leave_out(lease.task.client, error),
            };
            let (client, loss, seconds) = (
                answer.client,
                answer.figures["loss"],
                answer.figures["seconds"],
            );
            self.site.federation.submit(answer)?;
            (self.on)(Event::Trained {
                client,
                loss,
                seconds,
            });
            Ok(())
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let expected = Expected {
            global,
            clients: &self.clients,
            steps: training.steps,
        };
        let mut updates = Vec::new();
        for answer in self.site.federation.answers()? {
            match expected.update(self.site.federation, &answer) {
                Ok(update) => updates.push(update),
                Err(error) => leave_out(answer.client, error)?,
            }
        }
        let dropped = dropped.into_inner();
        let mut dropped = dropped.map_err(|_| anyhow::anyhow!("a client's thread panicked"))?;
        dropped.sort_by_key(|dropped| dropped.client);
        ensure!(
            updates.len() + dropped.len() == cohort.len(),
            "round {}: {} answers for {} clients",
            round.number,
            updates.len() + dropped.len(),
            cohort.len()
        );
        if let (true, Some(first)) = (updates.is_empty(), dropped.first()) {
            bail!(
                "round {}: every update was left out, the first, of client {}, because: {}",
                round.number,
                first.client,
                first.cause
            );
        }
        for update in &updates {
            self.roster[update.client.id as usize] = Seen {
                last: Some(round.number),
                figures: update.client.figures.clone(),
            };
        }
        self.introduce(round.number);
        Ok((updates, dropped, seconds))
    }

    /// Tells the clients' views what the server knows of them after `round`.
    fn introduce(&mut self, round: u32) {
        for (client, seen) in self.clients.iter_mut().zip(&self.roster) {
            client.figures = seen.figures.clone();
            client.idle = seen.last.map(|last| round - last);
        }
    }
}

impl Setup {
    /// What plugins cost so far: all of a run's are in one sandbox.
    pub fn profile(&self) -> Profile {
        self.algorithm.get().plugin().sandbox().profile()
    }

    /// What plugins draw from.
    fn plugin_seed(&self) -> Seed {
        self.experiment.seed.derive("plugins", 0)
    }

    /// What plugins are told of round `number`.
    fn round(&self, number: u32) -> Round {
        Round {
            number,
            total: self.experiment.rounds,
            clients: self.shards.len() as u32,
            seed: self.plugin_seed(),
        }
    }

    /// How clients train in round `number`.
    fn training(&self, number: u32) -> Training {
        let local = &self.experiment.training;
        let rounds = Schedule {
            decay: local.schedule,
            warm_up: local.warmup_rounds as usize,
            total: self.experiment.rounds as usize,
        };
        let since = number.saturating_sub(1) as usize;
        Training {
            steps: local.steps,
            batch: local.batch,
            micro_batch: local.micro_batch,
            accumulation: local.accumulation,
            lr: rounds.at(local.lr, local.lr_floor, since),
            decay: local.within,
            warm_up: local.warmup_steps,
            optimizer: local.optimizer,
            recompute: local.recompute,
            weight_decay: local.weight_decay,
            max_grad_norm: local.max_grad_norm,
        }
    }
}

fn clients(setup: &Setup) -> Vec<Client> {
    let shards = setup.shards.iter().enumerate();
    let client = |(id, shard): (usize, &Vec<u32>)| Client {
        id: id as u32,
        examples: shard.len() as u64,
        ..Client::default()
    };
    shards.map(client).collect()
}

fn client_line(round: u32, update: &Update) -> ClientLine<'_> {
    ClientLine {
        round,
        client: update.client.id,
        examples: update.client.examples,
        figures: &update.client.figures,
    }
}

fn mean_loss(updates: &[Arc<Update>]) -> f64 {
    let weight = |update: &Arc<Update>| update.client.examples as f64;
    let sum: f64 = updates
        .iter()
        .map(|update| weight(update) * update.client.figures["loss"])
        .sum();
    sum / updates.iter().map(weight).sum::<f64>()
}
