//! An algorithm with its settings. Wrappers convert, call and convert back; they hold no logic.

use std::collections::BTreeSet;
use std::sync::Arc;

use folkmoot_params::{Objective, Params, ParamsError, Seed};
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use crate::bindings::exports::folkmoot::plugin::algorithm::{Guest, GuestIndices};
use crate::block_kernel;
use crate::call::{Called, called_fallibly, explain};
use crate::component::Indices;
use crate::host::quota::Letter;
use crate::host::run::{Cohort, Drawing, Stated};
use crate::host::{Host, plain};
use crate::settings::check_settings;
use crate::{Client, Kind, Message, Plugin, PluginError, Round, State, Training, Update};

/// A federated algorithm, ready to be asked.
pub struct Algorithm {
    plugin: Plugin,
    style: Style,
    settings: String,
}

/// How it is written.
enum Style {
    /// On handles, with any of the hooks.
    Handles(GuestIndices),
    /// As a pure function of a block: it has no other hook.
    Blocks,
}

type Store_ = Store<Host>;

impl Algorithm {
    /// `plugin` with `settings`, which are checked against its schema.
    pub fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        let plugin = plugin.expect(Kind::Algorithm)?;
        check_settings(&plugin, settings)?;
        let style = match plugin.indices.clone() {
            Indices::Algorithm(indices) => Style::Handles(indices),
            Indices::BlockKernel(_) => Style::Blocks,
            _ => unreachable!("`expect` let an algorithm through"),
        };
        Ok(Self {
            plugin,
            style,
            settings: settings.to_string(),
        })
    }

    /// The plugin behind it.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Once, before round 1.
    pub fn start(&self, global: &Params, state: &mut State) -> Result<(), PluginError> {
        let Style::Handles(indices) = &self.style else {
            return Ok(());
        };
        let done = self.run("start", indices, Seed(0), state, |store, guest, state| {
            let global = store.data_mut().give(global.clone())?;
            let state = Resource::new_borrow(state);
            guest.call_start(store, &self.settings, borrowed(&global), state)
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
        let Style::Handles(indices) = &self.style else {
            return Ok(None);
        };
        let seed = self.seed("sample", round);
        let mut done = self.run("sample", indices, seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let handles = clients
                .iter()
                .map(|client| store.data_mut().table.push(client.clone()));
            let handles = handles.collect::<Result<Vec<_>, _>>()?;
            let state = Resource::new_borrow(state);
            guest.call_sample(
                store,
                &self.settings,
                borrowed(&round),
                &handles,
                count,
                state,
            )
        })?;
        let answer = done.called.answer.take();
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
        let Style::Handles(indices) = &self.style else {
            return Ok(Message::default());
        };
        let seed = self.seed("configure", round);
        let mut to = 0;
        let mut done = self.run("configure", indices, seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let client = store.data_mut().table.push(client.clone())?;
            let message = Letter::Own(Message::default());
            let message = store.data_mut().table.push(message)?;
            to = message.rep();
            let (round, client, message) =
                (borrowed(&round), borrowed(&client), borrowed(&message));
            let state = Resource::new_borrow(state);
            guest.call_configure(store, &self.settings, round, client, state, message)
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
        let Style::Handles(indices) = &self.style else {
            return Ok(Objective::default());
        };
        let seed = self.seed("begin", round);
        let mut objective = 0;
        let mut done = self.run("begin", indices, seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let global = store.data_mut().give(global.clone())?;
            let received = Letter::Own(received.clone());
            let received = store.data_mut().table.push(received)?;
            let handle = store.data_mut().table.push(Stated::default())?;
            objective = handle.rep();
            let (round, global) = (borrowed(&round), borrowed(&global));
            let (received, handle) = (borrowed(&received), borrowed(&handle));
            let state = Resource::new_borrow(state);
            guest.call_begin(
                store,
                &self.settings,
                round,
                global,
                received,
                state,
                handle,
            )
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
        let Style::Handles(indices) = &self.style else {
            return Ok(Message::default());
        };
        let seed = self.seed("finish", round);
        let mut to = 0;
        let mut done = self.run("finish", indices, seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let training = store.data_mut().table.push(training.clone())?;
            let received = Letter::Own(received.clone());
            let received = store.data_mut().table.push(received)?;
            let message = Letter::Own(Message::default());
            let message = store.data_mut().table.push(message)?;
            to = message.rep();
            let (round, training) = (borrowed(&round), borrowed(&training));
            let (received, message) = (borrowed(&received), borrowed(&message));
            let state = Resource::new_borrow(state);
            guest.call_finish(
                store,
                &self.settings,
                round,
                training,
                received,
                state,
                message,
            )
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
        let seed = self.seed("aggregate", round);
        let Style::Handles(indices) = &self.style else {
            let next =
                block_kernel::aggregate(&self.plugin, &self.settings, seed, global, updates)?;
            return self.checked(next);
        };
        let mut done = self.run("aggregate", indices, seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let global = store.data_mut().give(global.clone())?;
            let updates = store.data_mut().table.push(Cohort(updates.to_vec()))?;
            let (round, global, updates) =
                (borrowed(&round), borrowed(&global), borrowed(&updates));
            let state = Resource::new_borrow(state);
            guest.call_aggregate(store, &self.settings, round, global, updates, state)
        })?;
        let bad = |cause: String| self.plugin.bad_output("aggregate", cause);
        let answer = Resource::new_own(done.called.answer.rep());
        let next: Params = done
            .called
            .store
            .data_mut()
            .table
            .delete(answer)
            .map_err(|error| bad(error.to_string()))?;
        let same = global.check_same_structure(&next);
        same.map_err(|error| bad(format!("next global parameters: {error}")))?;
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
        indices: &GuestIndices,
        seed: Seed,
        state: &State,
        run: impl FnOnce(&mut Store_, &Guest, u32) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<Done<T>, PluginError> {
        let mut rep = 0;
        let called = called_fallibly(&self.plugin, call, seed, |store, instance: &Instance| {
            let guest = indices.load(&mut *store, instance)?;
            rep = store.data_mut().table.push(state.clone())?.rep();
            run(store, &guest, rep)
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
        let host = done.called.store.data_mut();
        let evaluated = host.evaluate(call, |evaluator| evaluator.commit_finite(&wanted));
        let limits = &self.plugin.sandbox.limits;
        let finite = evaluated.map_err(|error| {
            let failure = explain(&error, done.called.store.data(), limits);
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
        let table = &mut done.called.store.data_mut().table;
        let taken = table.delete(Resource::<R>::new_own(rep));
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

fn borrowed<T: 'static>(own: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(own.rep())
}
