//! An algorithm with its settings. Wrappers convert, call and convert back; they hold no logic.

use std::sync::Arc;

use folkmoot_params::{Objective, Params, Seed};
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use crate::bindings::exports::folkmoot::plugin::algorithm::{Guest, GuestIndices};
use crate::call::{Called, called_fallibly};
use crate::component::Indices;
use crate::host::Host;
use crate::host::run::{Cohort, Drawing};
use crate::settings::check_settings;
use crate::{Client, Kind, Message, Plugin, PluginError, Round, State, Training, Update};

/// A federated algorithm, ready to be asked.
pub struct Algorithm {
    plugin: Plugin,
    indices: GuestIndices,
    settings: String,
}

type Store_ = Store<Host>;

impl Algorithm {
    /// `plugin` with `settings`, which are checked against its schema.
    pub fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        let plugin = plugin.expect(Kind::Algorithm)?;
        check_settings(&plugin, settings)?;
        let Indices::Algorithm(indices) = plugin.indices.clone() else {
            unreachable!("`expect` let an algorithm through");
        };
        Ok(Self {
            plugin,
            indices,
            settings: settings.to_string(),
        })
    }

    /// The plugin behind it.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Once, before round 1.
    pub fn start(&self, global: &Params, state: &mut State) -> Result<(), PluginError> {
        self.with_state("start", Seed(0), state, |store, guest, state| {
            let global = store.data_mut().give(global.clone())?;
            let state = Resource::new_borrow(state);
            guest.call_start(store, &self.settings, borrowed(&global), state)
        })
    }

    /// Which clients take part; none leaves it to the host.
    pub fn sample(
        &self,
        round: Round,
        clients: &[Client],
        count: u32,
        state: &mut State,
    ) -> Result<Option<Vec<u32>>, PluginError> {
        let seed = self.seed("sample", round);
        self.with_state("sample", seed, state, |store, guest, state| {
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
        })
    }

    /// What one client gets beside the global parameters.
    pub fn configure(
        &self,
        round: Round,
        client: &Client,
        state: &mut State,
    ) -> Result<Message, PluginError> {
        let seed = self.seed("configure", round);
        let mut to = 0;
        let done = self.run("configure", seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let client = store.data_mut().table.push(client.clone())?;
            let message = store.data_mut().table.push(Message::default())?;
            to = message.rep();
            let (round, client, message) =
                (borrowed(&round), borrowed(&client), borrowed(&message));
            let state = Resource::new_borrow(state);
            guest.call_configure(store, &self.settings, round, client, state, message)
        })?;
        self.take(done, "configure", to)
    }

    /// What is added to a client's local training.
    pub fn begin(
        &self,
        round: Round,
        global: &Params,
        received: &Message,
        state: &mut State,
    ) -> Result<Objective, PluginError> {
        let seed = self.seed("begin", round);
        let mut objective = 0;
        let done = self.run("begin", seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let global = store.data_mut().give(global.clone())?;
            let received = store.data_mut().table.push(received.clone())?;
            let handle = store.data_mut().table.push(Objective::default())?;
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
        self.take(done, "begin", objective)
    }

    /// What a client sends beside its delta.
    pub fn finish(
        &self,
        round: Round,
        training: &Training,
        received: &Message,
        state: &mut State,
    ) -> Result<Message, PluginError> {
        let seed = self.seed("finish", round);
        let mut to = 0;
        let done = self.run("finish", seed, state, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let training = store.data_mut().table.push(training.clone())?;
            let received = store.data_mut().table.push(received.clone())?;
            let message = store.data_mut().table.push(Message::default())?;
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
        self.take(done, "finish", to)
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
        // An answer that is refused must not leave a trace in the state.
        let mut after = state.clone();
        let mut done = self.run("aggregate", seed, &mut after, |store, guest, state| {
            let round = store.data_mut().table.push(Drawing::new(round, seed))?;
            let global = store.data_mut().give(global.clone())?;
            let updates = store.data_mut().table.push(Cohort(updates.to_vec()))?;
            let (round, global, updates) =
                (borrowed(&round), borrowed(&global), borrowed(&updates));
            let state = Resource::new_borrow(state);
            guest.call_aggregate(store, &self.settings, round, global, updates, state)
        })?;
        let bad = |cause: String| self.plugin.bad_output("aggregate", cause);
        let next = done.store.data_mut().table.delete(done.answer);
        let next = next.map_err(|error| bad(error.to_string()))?;
        let same = global.check_same_structure(&next);
        same.map_err(|error| bad(format!("next global parameters: {error}")))?;
        match next.first_non_finite() {
            None => {
                *state = after;
                Ok(next)
            }
            Some((tensor, index, value)) => Err(bad(format!(
                "next global parameters: tensor `{tensor}` holds {value} at {index}"
            ))),
        }
    }

    fn seed(&self, call: &str, round: Round) -> Seed {
        let purpose = format!("{}/{call}", self.plugin.name);
        round.seed.derive(&purpose, u64::from(round.number))
    }

    /// Runs a call that works on `state`, and takes the state back.
    fn run<T>(
        &self,
        call: &'static str,
        seed: Seed,
        state: &mut State,
        run: impl FnOnce(&mut Store_, &Guest, u32) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<Called<T>, PluginError> {
        let mut rep = 0;
        let mut done = called_fallibly(&self.plugin, call, seed, |store, instance: &Instance| {
            let guest = self.indices.load(&mut *store, instance)?;
            // A clone: a call that fails must leave the state as it was.
            rep = store.data_mut().table.push(state.clone())?.rep();
            run(store, &guest, rep)
        })?;
        let table = &mut done.store.data_mut().table;
        let taken = table.delete(Resource::<State>::new_own(rep));
        *state = taken.map_err(|error| self.plugin.bad_output(call, error.to_string()))?;
        Ok(done)
    }

    fn with_state<T>(
        &self,
        call: &'static str,
        seed: Seed,
        state: &mut State,
        run: impl FnOnce(&mut Store_, &Guest, u32) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, PluginError> {
        Ok(self.run(call, seed, state, run)?.answer)
    }

    /// The resource `rep` that a finished call worked on.
    fn take<R: 'static>(
        &self,
        mut done: Called<()>,
        call: &'static str,
        rep: u32,
    ) -> Result<R, PluginError> {
        let taken = done
            .store
            .data_mut()
            .table
            .delete(Resource::<R>::new_own(rep));
        taken.map_err(|error| self.plugin.bad_output(call, error.to_string()))
    }
}

fn borrowed<T: 'static>(own: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(own.rep())
}
