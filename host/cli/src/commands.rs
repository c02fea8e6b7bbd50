//! One file per command.

pub(crate) mod aggregate;
pub(crate) mod benchmark;
pub(crate) mod check;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod helpers;
pub(crate) mod model;
pub(crate) mod partition;
pub(crate) mod plugin;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod watch;

use folkmoot_engine::{Document, Event, Notes, Places, Setup, resolve};

use crate::arguments::ExperimentArguments;
use crate::places::places;
use crate::screen::Screen;

/// Why a command failed.
pub(crate) enum Failure {
    /// Wrong usage, or an experiment that cannot run: nothing was begun.
    Usage(anyhow::Error),
    /// Something went wrong on the way.
    Run(anyhow::Error),
}

pub(crate) type Done = Result<(), Failure>;

impl Failure {
    pub(crate) fn error(&self) -> &anyhow::Error {
        match self {
            Self::Usage(error) | Self::Run(error) => error,
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

/// Reads and resolves the experiment that `arguments` name.
fn resolved(
    arguments: &ExperimentArguments,
    notes: &Notes,
    screen: &Screen,
) -> Result<Setup, Failure> {
    let document =
        Document::read(&arguments.experiment, &arguments.overrides()).map_err(Failure::Usage)?;
    let places: Places = places(arguments, notes.listener()).map_err(Failure::Usage)?;
    let mut on = |event: Event| screen.event(&event);
    resolve(&document, &places, &mut on).map_err(Failure::Usage)
}
