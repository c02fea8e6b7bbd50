//! `folkmoot run`.

use std::path::{Path, PathBuf};

use folkmoot_engine::{Notes, Record, run as run_rounds};

use super::watch::Watch;
use super::{Done, Failure, resolved};
use crate::arguments::RunArguments;
use crate::profile::table as table_of;
use crate::screen::{Screen, spread, table};

pub(crate) fn run(arguments: &RunArguments) -> Done {
    let (screen, notes) = (Screen::new(), Notes::default());
    let (mut experiment, mut watch) = (arguments.experiment.clone(), None);
    if let Some(folder) = &arguments.watch {
        let name = folder.display().to_string();
        let say = move |what: &str| eprintln!("watching `{name}`: {what}");
        let own = Watch::start(folder, say).map_err(Failure::Usage)?;
        experiment.algorithm = Some(own.component.to_string_lossy().into_owned());
        watch = Some(own);
    }
    let setup = resolved(&experiment, &notes, &screen)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => free_folder(&setup.experiment.name),
    };
    let record = match arguments.resume {
        true => Record::resume(&folder, &setup, arguments.renew_algorithm),
        false => Record::create(&folder, &setup),
    };
    let mut record = record.map_err(Failure::Usage)?;
    screen.line(&format!("run folder: {}", folder.display()));
    let renew = || {
        let bytes = watch.as_ref()?.take()?;
        match setup.algorithm.get().renewed(&bytes) {
            Ok(algorithm) => Some(algorithm),
            Err(error) => {
                screen.line(&format!("the run goes on as it was: {error}"));
                None
            }
        }
    };
    let on = |event| screen.event(&event);
    let outcome = run_rounds(&setup, &mut record, &notes, &on, Some(&renew));
    if arguments.profile {
        // Of a run that failed, too.
        screen.line(&table_of(&setup.profile()));
    }
    let outcome = outcome.map_err(Failure::Run)?;
    // A run that was resumed after its last round had none left to do.
    if outcome.rounds > 0 {
        screen.line(&format!(
            "{} rounds in {:.0} s, {:.1} % of it not training",
            outcome.rounds,
            outcome.seconds,
            100.0 * (1.0 - outcome.training_seconds / outcome.seconds)
        ));
    }
    println!("{}", table(&outcome.rows, setup.held_out.len()));
    if !outcome.clients.is_empty() {
        println!("\n{}", spread(&outcome.clients));
    }
    Ok(())
}

fn free_folder(name: &str) -> PathBuf {
    let numbered = (1..).map(|number| Path::new("runs").join(format!("{name}-{number}")));
    let mut free = numbered.filter(|folder| !folder.exists());
    free.next().unwrap_or_else(|| PathBuf::from("runs"))
}
