//! A metric with its settings.

use std::collections::BTreeSet;

use folkmoot_params::Seed;
use serde_json::Value;
use wasmtime::component::Resource;

use crate::bindings::exports::folkmoot::plugin::metric::Guest;
use crate::call::called_fallibly;
use crate::host::evaluation::{Answers, Asked, Observed, Question, Reply, Score, Scored};
use crate::native::abi::Hook;
use crate::session::lent;
use crate::settings::check_settings;
use crate::{Kind, Plugin, PluginError};

/// A metric, ready to be asked.
pub struct Metric {
    plugin: Plugin,
    settings: String,
}

/// What a metric has observed so far, example by example.
#[derive(Clone, Default, Debug)]
pub struct Observations(Vec<Observed>);

impl FromIterator<Observed> for Observations {
    fn from_iter<I: IntoIterator<Item = Observed>>(examples: I) -> Self {
        Self(examples.into_iter().collect())
    }
}

impl Observations {
    /// One record per example, in the order of observing.
    pub fn examples(&self) -> &[Observed] {
        &self.0
    }

    /// Everything in an order that depends on what was observed only, so that neither batches nor the order
    /// in which clients answer change a sum or what a bootstrap draws.
    fn in_order(&self) -> Observed {
        let mut examples: Vec<&Observed> = self.0.iter().collect();
        examples.sort_by(|a, b| a.order(b));
        let mut all = Observed::default();
        for example in examples {
            all.values.extend(example.values.iter().cloned());
            all.labels.extend(example.labels.iter().cloned());
        }
        all
    }
}

impl Metric {
    /// `plugin` with `settings`, which are checked against its schema.
    pub fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        let plugin = plugin.expect(Kind::Metric)?;
        check_settings(&plugin, settings)?;
        Ok(Self {
            plugin,
            settings: settings.to_string(),
        })
    }

    /// Its settings as JSON.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// The plugin behind it.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What it wants to know beyond the answers so far; `example` is a JSON object.
    pub fn ask(&self, example: &str, so_far: &[Reply]) -> Result<Vec<Question>, PluginError> {
        let mut asked = 0;
        let settings = self.settings.as_str();
        let mut done = called_fallibly(&self.plugin, "ask", Seed(0), |session| {
            let guest = session.exports::<Guest>()?;
            let table = &mut session.host().table;
            let answers = table.push(Answers(so_far.to_vec()))?;
            let questions = table.push(Asked::default())?;
            asked = questions.rep();
            session.host().copied_in(&[settings, example][..]);
            let given = vec![
                settings.into(),
                example.into(),
                (&answers).into(),
                (&questions).into(),
            ];
            session.call(&guest, Hook::Ask, given, |guest, store| {
                guest.call_ask(store, settings, example, lent(&answers), lent(&questions))
            })
        })?;
        let taken = done.host.table.delete(Resource::<Asked>::new_own(asked));
        Ok(taken
            .map_err(|error| self.plugin.bad_output("ask", error.to_string()))?
            .0)
    }

    /// What the answers about one example say.
    pub fn observe(&self, example: &str, answers: &[Reply]) -> Result<Observed, PluginError> {
        let mut observed = 0;
        let settings = self.settings.as_str();
        let mut done = called_fallibly(&self.plugin, "observe", Seed(0), |session| {
            let guest = session.exports::<Guest>()?;
            let table = &mut session.host().table;
            let answers = table.push(Answers(answers.to_vec()))?;
            let fresh = table.push(Observed::default())?;
            observed = fresh.rep();
            session.host().copied_in(&[settings, example][..]);
            let given = vec![
                settings.into(),
                example.into(),
                (&answers).into(),
                (&fresh).into(),
            ];
            session.call(&guest, Hook::Observe, given, |guest, store| {
                guest.call_observe(store, settings, example, lent(&answers), lent(&fresh))
            })
        })?;
        let taken = done
            .host
            .table
            .delete(Resource::<Observed>::new_own(observed));
        taken.map_err(|error| self.plugin.bad_output("observe", error.to_string()))
    }

    /// The scores over everything observed: finite numbers, none named twice.
    pub fn summarize(&self, observations: &Observations) -> Result<Vec<Score>, PluginError> {
        let mut scored = 0;
        let settings = self.settings.as_str();
        let mut done = called_fallibly(&self.plugin, "summarize", Seed(0), |session| {
            let guest = session.exports::<Guest>()?;
            let table = &mut session.host().table;
            let observed = table.push(observations.in_order())?;
            let scores = table.push(Scored::default())?;
            scored = scores.rep();
            session.host().copied_in(settings);
            let given = vec![settings.into(), (&observed).into(), (&scores).into()];
            session.call(&guest, Hook::Summarize, given, |guest, store| {
                guest.call_summarize(store, settings, lent(&observed), lent(&scores))
            })
        })?;
        let bad = |cause| self.plugin.bad_output("summarize", cause);
        let taken = done.host.table.delete(Resource::<Scored>::new_own(scored));
        let scores = taken.map_err(|error| bad(error.to_string()))?.0;
        let mut names = BTreeSet::new();
        for score in &scores {
            if !score.value.is_finite() {
                return Err(bad(format!("score `{}` is {}", score.name, score.value)));
            }
            if let Some(error) = score
                .standard_error
                .filter(|own| !(own.is_finite() && *own >= 0.0))
            {
                return Err(bad(format!(
                    "the standard error of `{}` is {error}",
                    score.name
                )));
            }
            if !names.insert(&score.name) {
                return Err(bad(format!("score `{}` is given twice", score.name)));
            }
        }
        Ok(scores)
    }
}
