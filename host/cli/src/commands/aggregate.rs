//! `folkmoot aggregate`.

use folkmoot_engine::{Aggregation, UpdateFile, aggregate as aggregate_files, settings};
use folkmoot_params::Seed;
use folkmoot_plugin::{Algorithm, Kind};

use super::{Done, Failure};
use crate::arguments::{AggregateArguments, UpdateIs};
use crate::places::{library, sandbox, threads};
use crate::profile::table;
use crate::screen::{count, said};

pub(crate) fn aggregate(arguments: &AggregateArguments) -> Done {
    threads(arguments.threads).map_err(Failure::Usage)?;
    let (algorithm, given, asked) = asked(arguments).map_err(Failure::Usage)?;
    let done = aggregate_files(&algorithm, &given, &asked);
    if arguments.profile {
        eprintln!("{}", table(&algorithm.plugin().sandbox().profile()));
    }
    let done = done.map_err(Failure::Run)?;
    eprintln!(
        "{}: {} updates of {} scalars, step norm {:.6}",
        algorithm.plugin().name,
        done.clients,
        count(done.scalars),
        done.step_norm
    );
    println!("{}", asked.out.display());
    Ok(())
}

fn asked(
    arguments: &AggregateArguments,
) -> anyhow::Result<(Algorithm, serde_json::Value, Aggregation)> {
    let library = library(&arguments.native.allow_native)?;
    let plugin = library.load(&sandbox(said())?, &arguments.algorithm, Kind::Algorithm)?;
    let given = settings(&arguments.algorithm_args)?;
    let algorithm = Algorithm::new(plugin, &given)?;
    let updates = arguments.updates.iter().map(|text| UpdateFile::parse(text));
    let asked = Aggregation {
        global: arguments.global.clone(),
        updates: updates.collect::<anyhow::Result<_>>()?,
        weights: matches!(arguments.update_is, UpdateIs::Weights),
        state: arguments.state.clone(),
        round: arguments.round,
        total: arguments.rounds,
        clients: arguments.clients,
        seed: Seed(arguments.seed),
        out: arguments.out.clone(),
    };
    Ok((algorithm, given, asked))
}
