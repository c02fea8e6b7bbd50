//! An algorithm with its settings. Wrappers convert, call and convert back; they hold no logic.

use std::collections::BTreeSet;
use std::sync::Arc;

use folkmoot_params::{Objective, Params, ParamsError, Seed};
use serde_json::Value;
use wasmtime::component::Resource;

use crate::bindings::exports::folkmoot::plugin::algorithm::Guest;
use crate::block_kernel;
use crate::call::{Called, called_fallibly, explain};
use crate::host::plain;
use crate::host::quota::Letter;
use crate::host::run::{Cohort, Drawing, Stated};
use crate::native::abi::Hook;
use crate::session::{Exports, Session, lent};
use crate::settings::check_settings;
use crate::{Client, Kind, Message, Plugin, PluginError, Round, State, Training, Update};

/// A federated algorithm, ready to be asked.
pub struct Algorithm {
    plugin: Plugin,
    style: Style,
    settings: String,
}

/// How it is written.
#[derive(PartialEq, Eq)]
enum Style {
    /// On handles, with any of the hooks.
    Handles,
    /// As a pure function of a block: it has no other hook.
    Blocks,
}

/// What a hook is called through.
type Guest_ = Exports<Guest>;

impl Algorithm {
    /// `plugin` with `settings`, which are checked against its schema.
    pub fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        let plugin = plugin.expect(Kind::Algorithm)?;
        check_settings(&plugin, settings)?;
        let style = match plugin.is_by_block() {
            false => Style::Handles,
            true => Style::Blocks,
        };
        Ok(Self {
            plugin,
            style,
            settings: settings.to_string(),
        })
    }

    /// `bytes` in place of this one: same name, sandbox and settings.
    pub fn renewed(&self, bytes: &[u8]) -> Result<Self, PluginError> {
        let plugin = Plugin::load(&self.plugin.sandbox, &self.plugin.name, bytes)?;
        let plugin = plugin.expect(Kind::Algorithm)?;
        let settings = serde_json::from_str(&self.settings);
        let settings: Value = settings.map_err(|error| PluginError::Settings {
            plugin: self.plugin.name.clone(),
            problems: vec![error.to_string()],
        })?;
        Self::new(plugin, &settings)
    }

    /// The plugin behind it.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Once, before round 1. `seed` is that of the run's plugins, as in [`Round`].
    pub fn start(&self, seed: Seed, global: &Params, state: &mut State) -> Result<(), PluginError> {
        if self.style == Style::Blocks {
            return Ok(());
        }
        let settings = self.settings.as_str();
        let seed = seed.derive(&format!("{}/start", self.plugin.name), 0);
        let done = self.run("start", seed, state, |session, guest, state| {
            let global = session.host().give(global.clone())?;
            let given = vec![settings.into(), (&global).into(), state.into()];
            session.call(guest, Hook::Start, given, |guest, store| {
                guest.call_start(store, settings, lent(&global), lent(state))
            })
        })?;
        self.commit("start", done, state, Vec::new()).map(|_| ())
    }

    /// Which clients take part; none leaves it to the host.
    pub fn sample(
        &self,
        round: Round,
        clients: &[Client],
        count: u32,
        state: &mut State,
    ) -> Result<Option<Vec<u32>>, PluginError> {
        if self.style == Style::Blocks {
            return Ok(None);
        }
        let (settings, seed) = (self.settings.as_str(), self.seed("sample", round));
        let mut done = self.run("sample", seed, state, |session, guest, state| {
            let table = &mut session.host().table;
            let round = table.push(Drawing::new(round, seed))?;
            let handles = clients.iter().map(|client| table.push(client.clone()));
            let handles = handles.collect::<Result<Vec<_>, _>>()?;
            let given = vec![
                settings.into(),
                (&round).into(),
                handles.as_slice().into(),
                count.into(),
                state.into(),
            ];
            session.call(guest, Hook::Sample, given, |guest, store| {
                guest.call_sample(store, settings, lent(&round), &handles, count, lent(state))
            })
        })?;
        let answer = done.called.answer.take();
        done.called.host.copied_out(&answer);
        if let Some(chosen) = &answer {
            let checked = check_choice(chosen, clients);
            checked.map_err(|cause| self.plugin.bad_output("sample", cause))?;
        }
        self.commit("sample", done, state, Vec::new())?;
        Ok(answer)
    }

    /// What one client gets beside the global parameters.
    pub fn configure(
        &self,
        round: Round,
        client: &Client,
        state: &mut State,
    ) -> Result<Message, PluginError> {
        if self.style == Style::Blocks {
            return Ok(Message::default());
        }
        let (settings, seed) = (self.settings.as_str(), self.seed("configure", round));
        let mut to = 0;
        let mut done = self.run("configure", seed, state, |session, guest, state| {
            let table = &mut session.host().table;
            let round = table.push(Drawing::new(round, seed))?;
            let client = table.push(client.clone())?;
            let message = table.push(Letter::Own(Message::default()))?;
            to = message.rep();
            let given = vec![
                settings.into(),
                (&round).into(),
                (&client).into(),
                state.into(),
                (&message).into(),
            ];
            session.call(guest, Hook::Configure, given, |guest, store| {
                let (round, client, message) = (lent(&round), lent(&client), lent(&message));
                guest.call_configure(store, settings, round, client, lent(state), message)
            })
        })?;
        let message: Letter = self.take(&mut done, "configure", to)?;
        self.post("configure", done, state, message.into_message())
    }

    /// What is added to a client's local training.
    pub fn begin(
        &self,
        round: Round,
        global: &Params,
        received: &Message,
        state: &mut State,
    ) -> Result<Objective, PluginError> {
        if self.style == Style::Blocks {
            return Ok(Objective::default());
        }
        let (settings, seed) = (self.settings.as_str(), self.seed("begin", round));
        let mut objective = 0;
        let mut done = self.run("begin", seed, state, |session, guest, state| {
            let host = session.host();
            let round = host.table.push(Drawing::new(round, seed))?;
            let global = host.give(global.clone())?;
            let received = host.table.push(Letter::Own(received.clone()))?;
            let handle = host.table.push(Stated::default())?;
            objective = handle.rep();
            let given = vec![
                settings.into(),
                (&round).into(),
                (&global).into(),
                (&received).into(),
                state.into(),
                (&handle).into(),
            ];
            session.call(guest, Hook::Begin, given, |guest, store| {
                let (round, global) = (lent(&round), lent(&global));
                let (received, handle) = (lent(&received), lent(&handle));
                guest.call_begin(
                    store,
                    settings,
                    round,
                    global,
                    received,
                    lent(state),
                    handle,
                )
            })
        })?;
        let stated: Stated = self.take(&mut done, "begin", objective)?;
        let objective = stated.objective();
        let personal = objective.personal.as_deref();
        let mut wanted: Vec<Params> = personal.iter().map(|(from, _)| from.clone()).collect();
        for own in std::iter::once(&objective).chain(personal.map(|(_, own)| own)) {
            wanted.extend(own.proximal.iter().map(|(_, reference)| reference.clone()));
            wanted.extend(own.linear.iter().chain(&own.correct).cloned());
        }
        let mut after = state.clone();
        self.commit("begin", done, &mut after, wanted.clone())?;
        for term in &wanted {
            let same = global.check_same_structure(term);
            let bad = |error: ParamsError| format!("a term of the objective: {error}");
            same.map_err(|error| self.plugin.bad_output("begin", bad(error)))?;
            self.finite("begin", "a term of the objective", term)?;
        }
        *state = after;
        Ok(objective)
    }

    /// What a client sends beside its delta.
    pub fn finish(
        &self,
        round: Round,
        training: &Training,
        received: &Message,
        state: &mut State,
    ) -> Result<Message, PluginError> {
        if self.style == Style::Blocks {
            return Ok(Message::default());
        }
        let (settings, seed) = (self.settings.as_str(), self.seed("finish", round));
        let mut to = 0;
        let mut done = self.run("finish", seed, state, |session, guest, state| {
            let table = &mut session.host().table;
            let round = table.push(Drawing::new(round, seed))?;
            let training = table.push(training.clone())?;
            let received = table.push(Letter::Own(received.clone()))?;
            let message = table.push(Letter::Own(Message::default()))?;
            to = message.rep();
            let given = vec![
                settings.into(),
                (&round).into(),
                (&training).into(),
                (&received).into(),
                state.into(),
                (&message).into(),
            ];
            session.call(guest, Hook::Finish, given, |guest, store| {
                let (round, training) = (lent(&round), lent(&training));
                let (received, message) = (lent(&received), lent(&message));
                guest.call_finish(
                    store,
                    settings,
                    round,
                    training,
                    received,
                    lent(state),
                    message,
                )
            })
        })?;
        let message: Letter = self.take(&mut done, "finish", to)?;
        self.post("finish", done, state, message.into_message())
    }

    /// The next global parameters: same structure as `global`, all finite.
    pub fn aggregate(
        &self,
        round: Round,
        global: &Params,
        updates: &[Arc<Update>],
        state: &mut State,
    ) -> Result<Params, PluginError> {
        let (settings, seed) = (self.settings.as_str(), self.seed("aggregate", round));
        if self.style == Style::Blocks {
            let next = block_kernel::aggregate(&self.plugin, settings, seed, global, updates)?;
            return self.checked(next);
        }
        let mut done = self.run("aggregate", seed, state, |session, guest, state| {
            let host = session.host();
            let round = host.table.push(Drawing::new(round, seed))?;
            let global = host.give(global.clone())?;
            let updates = host.table.push(Cohort(updates.to_vec()))?;
            let given = vec![
                settings.into(),
                (&round).into(),
                (&global).into(),
                (&updates).into(),
                state.into(),
            ];
            session.call(guest, Hook::Aggregate, given, |guest, store| {
                let (round, global, updates) = (lent(&round), lent(&global), lent(&updates));
                guest.call_aggregate(store, settings, round, global, updates, lent(state))
            })
        })?;
        let bad = |cause: String| self.plugin.bad_output("aggregate", cause);
        let answer = Resource::new_own(done.called.answer.rep());
        let next: Params = done
            .called
            .host
            .table
            .delete(answer)
            .map_err(|error| bad(error.to_string()))?;
        let same = global.check_same_structure(&next);
        same.map_err(|error| bad(format!("next global parameters: {error}")))?;
        if !next.is_evaluated() {
            let usage = &mut done.called.host.usage;
            usage.bytes_written += 4 * next.count() as u64;
        }
        // An answer that is refused must not leave a trace in the state.
        let mut after = state.clone();
        if !self.commit("aggregate", done, &mut after, vec![next.clone()])? {
            return self.checked(next);
        }
        *state = after;
        Ok(next)
    }

    /// The next global parameters, evaluated, which must be finite.
    fn checked(&self, next: Params) -> Result<Params, PluginError> {
        self.finite("aggregate", "next global parameters", &next)?;
        Ok(next)
    }

    fn finite(&self, call: &'static str, what: &str, params: &Params) -> Result<(), PluginError> {
        match params.first_non_finite() {
            None => Ok(()),
            Some((tensor, index, value)) => Err(self.plugin.bad_output(
                call,
                format!("{what}: tensor `{tensor}` holds {value} at {index}"),
            )),
        }
    }

    /// Ends a call that made a message: one that is refused leaves no trace in the state.
    fn post<T>(
        &self,
        call: &'static str,
        done: Done<T>,
        state: &mut State,
        message: Message,
    ) -> Result<Message, PluginError> {
        let checked = message.check(&self.plugin.sandbox.limits);
        checked.map_err(|failure| self.plugin.failed(call, failure))?;
        let wanted = message.params.values().cloned().collect();
        let mut after = state.clone();
        self.commit(call, done, &mut after, wanted)?;
        for (name, params) in &message.params {
            let what = format!("message `{}`", plain(name, 80));
            self.finite(call, &what, params)?;
        }
        *state = after;
        Ok(message)
    }

    fn seed(&self, call: &str, round: Round) -> Seed {
        let purpose = format!("{}/{call}", self.plugin.name);
        round.seed.derive(&purpose, u64::from(round.number))
    }

    /// Runs a call that works on a clone of `state`: one that fails must leave the state as it was.
    fn run<T>(
        &self,
        call: &'static str,
        seed: Seed,
        state: &State,
        run: impl FnOnce(&mut Session, &Guest_, &Resource<State>) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<Done<T>, PluginError> {
        let mut rep = 0;
        let called = called_fallibly(&self.plugin, call, seed, |session| {
            let guest = session.exports()?;
            session.host().copied_in(self.settings.as_str());
            let state = session.host().table.push(state.clone())?;
            rep = state.rep();
            run(session, &guest, &state)
        })?;
        Ok(Done { called, state: rep })
    }

    /// Ends a call: evaluates `wanted` and what it put into its state in one pass, and keeps the state;
    /// tells whether the first of them is finite.
    fn commit<T>(
        &self,
        call: &'static str,
        mut done: Done<T>,
        state: &mut State,
        mut wanted: Vec<Params>,
    ) -> Result<bool, PluginError> {
        let rep = done.state;
        let after: State = self.take(&mut done, call, rep)?;
        let checked = after.check(&self.plugin.sandbox.limits);
        checked.map_err(|failure| self.plugin.failed(call, failure))?;
        wanted.extend(after.params.values().cloned());
        let evaluated = done
            .called
            .host
            .evaluate(call, |evaluator| evaluator.commit_finite(&wanted));
        let limits = &self.plugin.sandbox.limits;
        let finite = evaluated.map_err(|error| {
            let failure = explain(&error, &done.called.host, limits);
            self.plugin.failed(call, failure)
        })?;
        *state = after;
        Ok(finite)
    }

    /// The resource `rep` that a finished call worked on.
    fn take<T, R: 'static>(
        &self,
        done: &mut Done<T>,
        call: &'static str,
        rep: u32,
    ) -> Result<R, PluginError> {
        let taken = done.called.host.table.delete(Resource::<R>::new_own(rep));
        taken.map_err(|error| self.plugin.bad_output(call, error.to_string()))
    }
}

/// Refuses a choice of nobody, of somebody twice, or of a stranger; `clients` are in ascending id.
fn check_choice(chosen: &[u32], clients: &[Client]) -> Result<(), String> {
    if chosen.is_empty() {
        return Err("it chose no client".into());
    }
    let mut met = BTreeSet::new();
    for id in chosen {
        if clients
            .binary_search_by_key(id, |client| client.id)
            .is_err()
        {
            return Err(format!("it chose client {id} of {}", clients.len()));
        }
        if !met.insert(id) {
            return Err(format!("it chose client {id} twice"));
        }
    }
    Ok(())
}

/// A call that came back, and where its state lies.
struct Done<T> {
    called: Called<T>,
    state: u32,
}
