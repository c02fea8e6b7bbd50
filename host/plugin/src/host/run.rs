//! `run`: rounds, clients, messages, state, updates and what is asked of local training.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use folkmoot_params::{Envelope, FrozenPart, Objective, Params, Seed};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::quota::{Letter, check_glob, check_objective};
use super::{Host, plain, refuse};
use crate::bindings::folkmoot::plugin::run;
use crate::sandbox::Said;

/// A round, as the host tells it to a plugin.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// From 1.
    pub number: u32,
    pub total: u32,
    /// Clients of the federation.
    pub clients: u32,
    /// What the plugin's randomness in this round comes from.
    pub seed: Seed,
}

/// A round with its stream of random numbers.
pub struct Drawing {
    round: Round,
    rng: ChaCha8Rng,
}

impl Drawing {
    pub(crate) fn new(round: Round, seed: Seed) -> Self {
        Self {
            round,
            rng: seed.rng(),
        }
    }
}

/// A client as the server knows it.
#[derive(Clone, Default, Debug)]
pub struct Client {
    pub id: u32,
    pub examples: u64,
    /// Rounds since it last took part; none if it never did.
    pub idle: Option<u32>,
    /// What it last reported.
    pub figures: BTreeMap<String, f64>,
}

/// Tensors, scalars and bytes beside the parameters.
#[derive(Clone, Default, Debug)]
pub struct Message {
    pub params: BTreeMap<String, Params>,
    pub scalars: BTreeMap<String, f64>,
    pub bytes: BTreeMap<String, Vec<u8>>,
}

/// What an algorithm keeps between rounds: the server has one, each client its own.
#[derive(Clone, Default, Debug)]
pub struct State {
    pub params: BTreeMap<String, Params>,
    pub bytes: BTreeMap<String, Vec<u8>>,
}

/// What a client returns.
#[derive(Clone, Debug)]
pub struct Update {
    pub client: Client,
    pub steps: u32,
    pub lr: f64,
    pub staleness: u32,
    /// Local minus global parameters.
    pub delta: Params,
    pub message: Message,
}

/// One update, shared with the cohort it is of.
pub struct Answered(Arc<Update>);

/// The updates of a round in ascending client id.
pub struct Cohort(pub(crate) Vec<Arc<Update>>);

/// A finished local training.
#[derive(Clone, Debug)]
pub struct Training {
    pub steps: u32,
    pub lr: f64,
    pub figures: BTreeMap<String, f64>,
    pub before: Params,
    pub after: Params,
    pub personal: Option<Params>,
}

/// An objective while a plugin states it; a personal one is shared with the one it belongs to.
#[derive(Clone, Default)]
pub struct Stated(Arc<Mutex<Statement>>);

#[derive(Default)]
struct Statement {
    objective: Objective,
    personal: Option<(Params, Stated)>,
    is_personal: bool,
}

impl Stated {
    fn lock(&self) -> MutexGuard<'_, Statement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was stated.
    pub(crate) fn objective(&self) -> Objective {
        let statement = self.lock();
        let personal = statement.personal.as_ref();
        let personal = personal.map(|(from, own)| Box::new((from.clone(), own.objective())));
        Objective {
            personal,
            ..statement.objective.clone()
        }
    }
}

impl run::HostRound for Host {
    fn number(&mut self, this: Resource<Drawing>) -> Result<u32> {
        Ok(self.table.get(&this)?.round.number)
    }

    fn total(&mut self, this: Resource<Drawing>) -> Result<u32> {
        Ok(self.table.get(&this)?.round.total)
    }

    fn clients(&mut self, this: Resource<Drawing>) -> Result<u32> {
        Ok(self.table.get(&this)?.round.clients)
    }

    fn random(&mut self, this: Resource<Drawing>) -> Result<u64> {
        Ok(self.table.get_mut(&this)?.rng.next_u64())
    }

    fn drop(&mut self, this: Resource<Drawing>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostClient for Host {
    fn id(&mut self, this: Resource<Client>) -> Result<u32> {
        Ok(self.table.get(&this)?.id)
    }

    fn examples(&mut self, this: Resource<Client>) -> Result<u64> {
        Ok(self.table.get(&this)?.examples)
    }

    fn idle(&mut self, this: Resource<Client>) -> Result<Option<u32>> {
        Ok(self.table.get(&this)?.idle)
    }

    fn figure(&mut self, this: Resource<Client>, name: String) -> Result<Option<f64>> {
        self.copied_out(&name);
        Ok(self.table.get(&this)?.figures.get(&name).copied())
    }

    fn drop(&mut self, this: Resource<Client>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostMessage for Host {
    fn new(&mut self) -> Result<Resource<Letter>> {
        Ok(self.table.push(Letter::Own(Message::default()))?)
    }

    fn put_params(
        &mut self,
        this: Resource<Letter>,
        name: String,
        value: Resource<Params>,
    ) -> Result<()> {
        let value = self.table.get(&value)?.clone();
        self.reserve_kept(&value)?;
        self.copied_out(&name);
        self.letter(&this, name.len())?.params.insert(name, value);
        Ok(())
    }

    fn put_scalar(&mut self, this: Resource<Letter>, name: String, value: f64) -> Result<()> {
        self.copied_out(&name);
        if !value.is_finite() {
            let name = plain(&name, 80);
            return Err(refuse(format!("`message.put-scalar`: `{name}` is {value}")));
        }
        self.letter(&this, name.len())?.scalars.insert(name, value);
        Ok(())
    }

    fn put_bytes(&mut self, this: Resource<Letter>, name: String, value: Vec<u8>) -> Result<()> {
        self.copied_out(&name);
        self.copied_out(&value);
        let message = self.letter(&this, name.len() + value.len())?;
        message.bytes.insert(name, value);
        Ok(())
    }

    fn params(&mut self, this: Resource<Letter>, name: String) -> Result<Option<Resource<Params>>> {
        self.copied_out(&name);
        let found = self.table.get(&this)?.read().params.get(&name).cloned();
        found.map(|params| self.give(params)).transpose()
    }

    fn scalar(&mut self, this: Resource<Letter>, name: String) -> Result<Option<f64>> {
        self.copied_out(&name);
        Ok(self.table.get(&this)?.read().scalars.get(&name).copied())
    }

    fn bytes(&mut self, this: Resource<Letter>, name: String) -> Result<Option<Vec<u8>>> {
        self.copied_out(&name);
        let found = self.table.get(&this)?.read().bytes.get(&name).cloned();
        self.answer(found)
    }

    fn drop(&mut self, this: Resource<Letter>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostState for Host {
    fn put_params(
        &mut self,
        this: Resource<State>,
        name: String,
        value: Resource<Params>,
    ) -> Result<()> {
        let value = self.table.get(&value)?.clone();
        self.reserve_kept(&value)?;
        self.copied_out(&name);
        self.retain(name.len())?;
        self.table.get_mut(&this)?.params.insert(name, value);
        Ok(())
    }

    fn put_bytes(&mut self, this: Resource<State>, name: String, value: Vec<u8>) -> Result<()> {
        self.copied_out(&name);
        self.copied_out(&value);
        self.retain(name.len() + value.len())?;
        self.table.get_mut(&this)?.bytes.insert(name, value);
        Ok(())
    }

    fn params(&mut self, this: Resource<State>, name: String) -> Result<Option<Resource<Params>>> {
        self.copied_out(&name);
        let found = self.table.get(&this)?.params.get(&name).cloned();
        found.map(|params| self.give(params)).transpose()
    }

    fn bytes(&mut self, this: Resource<State>, name: String) -> Result<Option<Vec<u8>>> {
        self.copied_out(&name);
        let found = self.table.get(&this)?.bytes.get(&name).cloned();
        self.answer(found)
    }

    fn drop(&mut self, this: Resource<State>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostUpdate for Host {
    fn client(&mut self, this: Resource<Answered>) -> Result<Resource<Client>> {
        let client = self.table.get(&this)?.0.client.clone();
        self.retain(64 * client.figures.len())?;
        Ok(self.table.push(client)?)
    }

    fn examples(&mut self, this: Resource<Answered>) -> Result<u64> {
        Ok(self.table.get(&this)?.0.client.examples)
    }

    fn steps(&mut self, this: Resource<Answered>) -> Result<u32> {
        Ok(self.table.get(&this)?.0.steps)
    }

    fn lr(&mut self, this: Resource<Answered>) -> Result<f64> {
        Ok(self.table.get(&this)?.0.lr)
    }

    fn staleness(&mut self, this: Resource<Answered>) -> Result<u32> {
        Ok(self.table.get(&this)?.0.staleness)
    }

    fn figure(&mut self, this: Resource<Answered>, name: String) -> Result<Option<f64>> {
        self.copied_out(&name);
        Ok(self.table.get(&this)?.0.client.figures.get(&name).copied())
    }

    fn delta(&mut self, this: Resource<Answered>) -> Result<Resource<Params>> {
        let delta = self.table.get(&this)?.0.delta.clone();
        self.give(delta)
    }

    fn message(&mut self, this: Resource<Answered>) -> Result<Resource<Letter>> {
        let update = self.table.get(&this)?.0.clone();
        Ok(self.table.push(Letter::Of(update))?)
    }

    fn drop(&mut self, this: Resource<Answered>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostUpdates for Host {
    fn count(&mut self, this: Resource<Cohort>) -> Result<u32> {
        Ok(self.table.get(&this)?.0.len() as u32)
    }

    fn get(&mut self, this: Resource<Cohort>, index: u32) -> Result<Resource<Answered>> {
        let updates = &self.table.get(&this)?.0;
        let update = updates.get(index as usize).cloned().ok_or_else(|| {
            refuse(format!(
                "`updates.get`: there is no update {index} of {}",
                updates.len()
            ))
        })?;
        Ok(self.table.push(Answered(update))?)
    }

    fn drop(&mut self, this: Resource<Cohort>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Host {
    /// Changes an objective; `whole` says that this is not for a personal one.
    fn state_objective(
        &mut self,
        this: &Resource<Stated>,
        method: &str,
        whole: bool,
        change: impl FnOnce(&mut Objective),
    ) -> Result<()> {
        let mut statement = self.table.get(this)?.lock();
        if whole && statement.is_personal {
            return Err(refuse(format!(
                "`objective.{method}`: not for a personal objective"
            )));
        }
        change(&mut statement.objective);
        check_objective(&statement.objective)
    }

    /// A message to be changed, by so many bytes.
    fn letter(&mut self, this: &Resource<Letter>, bytes: usize) -> Result<&mut Message> {
        let copied = self.table.get(this)?.copied();
        self.retain(bytes.saturating_add(copied))?;
        Ok(self.table.get_mut(this)?.write())
    }

    fn term(&mut self, params: &Resource<Params>) -> Result<Params> {
        let params = self.table.get(params)?.clone();
        self.reserve_if_recorded(&params)?;
        Ok(params)
    }
}

impl run::HostObjective for Host {
    fn proximal(
        &mut self,
        this: Resource<Stated>,
        mu: f64,
        reference: Resource<Params>,
    ) -> Result<()> {
        Self::quantity("proximal", "mu", mu)?;
        let reference = self.term(&reference)?;
        self.state_objective(&this, "proximal", false, |objective| {
            objective.proximal.push((mu, reference));
        })
    }

    fn linear(&mut self, this: Resource<Stated>, gradient: Resource<Params>) -> Result<()> {
        let gradient = self.term(&gradient)?;
        self.state_objective(&this, "linear", false, |objective| {
            objective.linear.push(gradient);
        })
    }

    fn correct(&mut self, this: Resource<Stated>, direction: Resource<Params>) -> Result<()> {
        let direction = self.term(&direction)?;
        self.state_objective(&this, "correct", false, |objective| {
            objective.correct.push(direction);
        })
    }

    fn freeze(&mut self, this: Resource<Stated>, glob: String) -> Result<()> {
        self.copied_out(&glob);
        check_glob("objective.freeze", &glob)?;
        self.state_objective(&this, "freeze", false, |objective| {
            objective.freeze.push(glob);
        })
    }

    fn freeze_during(
        &mut self,
        this: Resource<Stated>,
        glob: String,
        start: f64,
        end: f64,
    ) -> Result<()> {
        self.copied_out(&glob);
        check_glob("objective.freeze-during", &glob)?;
        Self::quantity("freeze-during", "start", start)?;
        Self::quantity("freeze-during", "end", end)?;
        self.state_objective(&this, "freeze-during", false, |objective| {
            objective
                .freeze_during
                .push(FrozenPart { glob, start, end });
        })
    }

    fn keep(&mut self, this: Resource<Stated>, glob: String) -> Result<()> {
        self.copied_out(&glob);
        check_glob("objective.keep", &glob)?;
        self.state_objective(&this, "keep", true, |objective| objective.keep.push(glob))
    }

    fn scale_lr(&mut self, this: Resource<Stated>, factor: f64) -> Result<()> {
        Self::quantity("scale-lr", "factor", factor)?;
        self.state_objective(&this, "scale-lr", false, |objective| {
            objective.lr_factor *= factor;
        })
    }

    fn envelope(
        &mut self,
        this: Resource<Stated>,
        lambda: f64,
        rate: f64,
        period: u32,
    ) -> Result<()> {
        Self::quantity("envelope", "lambda", lambda)?;
        Self::quantity("envelope", "rate", rate)?;
        if period == 0 {
            return Err(refuse("`objective.envelope`: `period` is 0"));
        }
        self.state_objective(&this, "envelope", true, |objective| {
            objective.envelope = Some(Envelope {
                lambda,
                rate,
                period,
            });
        })
    }

    fn personal(
        &mut self,
        this: Resource<Stated>,
        from: Resource<Params>,
    ) -> Result<Resource<Stated>> {
        let from = self.term(&from)?;
        self.state_objective(&this, "personal", true, |_| {})?;
        let own = Stated::default();
        own.lock().is_personal = true;
        self.table.get(&this)?.lock().personal = Some((from, own.clone()));
        Ok(self.table.push(own)?)
    }

    fn initial_loss(&mut self, this: Resource<Stated>, examples: u32) -> Result<()> {
        self.state_objective(&this, "initial-loss", true, |objective| {
            objective.initial_loss = Some(examples);
        })
    }

    fn drop(&mut self, this: Resource<Stated>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl run::HostTraining for Host {
    fn steps(&mut self, this: Resource<Training>) -> Result<u32> {
        Ok(self.table.get(&this)?.steps)
    }

    fn lr(&mut self, this: Resource<Training>) -> Result<f64> {
        Ok(self.table.get(&this)?.lr)
    }

    fn figure(&mut self, this: Resource<Training>, name: String) -> Result<Option<f64>> {
        self.copied_out(&name);
        Ok(self.table.get(&this)?.figures.get(&name).copied())
    }

    fn before(&mut self, this: Resource<Training>) -> Result<Resource<Params>> {
        let before = self.table.get(&this)?.before.clone();
        self.give(before)
    }

    fn after(&mut self, this: Resource<Training>) -> Result<Resource<Params>> {
        let after = self.table.get(&this)?.after.clone();
        self.give(after)
    }

    fn personal(&mut self, this: Resource<Training>) -> Result<Option<Resource<Params>>> {
        let personal = self.table.get(&this)?.personal.clone();
        personal.map(|params| self.give(params)).transpose()
    }

    fn drop(&mut self, this: Resource<Training>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// Levels of a line for the log.
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

impl run::Host for Host {
    fn log(&mut self, level: String, message: String) -> Result<()> {
        self.copied_out(&level);
        self.copied_out(&message);
        if !LEVELS.contains(&level.as_str()) {
            let (level, known) = (plain(&level, 80), LEVELS.join(", "));
            return Err(refuse(format!("`log`: level `{level}` is none of {known}")));
        }
        self.note(Said::Log { level, message });
        Ok(())
    }

    fn report(&mut self, name: String, value: f64) -> Result<()> {
        self.copied_out(&name);
        self.note(Said::Report { name, value });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Sandbox};

    /// What is there already is not written when it is put under a name, but with all that has the name.
    #[test]
    fn what_is_put_is_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            params: 100,
            ..Limits::default()
        };
        let sandbox = Sandbox::new(limits, folder.path(), Arc::new(|_| {})).unwrap();
        let global = Params::from_tensors([("w".to_owned(), vec![10], vec![0.5; 10])]).unwrap();
        let mut host = Host::new(&sandbox, "algorithm", "start", Seed(0));
        let state = host.table.push(State::default()).unwrap();
        let message = run::HostMessage::new(&mut host).unwrap();
        let global = host.give(global).unwrap();
        let borrowed = || Resource::new_borrow(global.rep());
        let state = || Resource::new_borrow(state.rep());
        run::HostState::put_params(&mut host, state(), "a".into(), borrowed()).unwrap();
        let to = Resource::new_borrow(message.rep());
        run::HostMessage::put_params(&mut host, to, "a".into(), borrowed()).unwrap();
        assert_eq!((host.written, host.kept), (0, 80));
        let put = run::HostState::put_params(&mut host, state(), "b".into(), borrowed());
        assert!(put.is_err());
        let refusal = host.limiter.refusal.unwrap();
        assert_eq!((refusal.of, refusal.asked), ("parameters", 120));
    }
}
