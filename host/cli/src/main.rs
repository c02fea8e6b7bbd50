//! The `folkmoot` program. Only this crate prints: results on stdout, everything else on stderr.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the crate that prints"
)]

mod arguments;
mod commands;
mod places;
mod profile;
mod screen;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

use std::process::ExitCode;

use arguments::{Arguments, Command, ModelCommand, PluginCommand};
use clap::Parser;

fn main() -> ExitCode {
    folkmoot_engine::keep_freed_memory();
    let result = match Arguments::parse().command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Check(arguments) => commands::check::check(&arguments),
        Command::Aggregate(arguments) => commands::aggregate::aggregate(&arguments),
        Command::Eval(arguments) => commands::eval::eval(&arguments),
        Command::Benchmark(command) => commands::benchmark::benchmark(&command),
        Command::Score(arguments) => commands::score::score(&arguments),
        Command::Partition(arguments) => commands::partition::partition(&arguments),
        Command::Data(command) => commands::data::data(&command),
        Command::Generate(arguments) => commands::model::generate(&arguments),
        Command::Model(ModelCommand::Merge(arguments)) => commands::model::merge(&arguments),
        Command::Plugin(PluginCommand::List) => commands::plugin::list(),
        Command::Plugin(PluginCommand::Info { plugin, native }) => {
            commands::plugin::info(&plugin, &native.allow_native)
        }
        Command::Plugin(PluginCommand::New(arguments)) => commands::plugin::new::new(&arguments),
        Command::Plugin(PluginCommand::Update { folder }) => commands::plugin::new::update(&folder),
        Command::Plugin(PluginCommand::Check(arguments)) => {
            commands::plugin::trial::check(&arguments)
        }
        Command::Plugin(PluginCommand::Test(arguments)) => {
            commands::plugin::trial::test(&arguments)
        }
        Command::Plugin(PluginCommand::Bench(arguments)) => {
            commands::plugin::trial::bench(&arguments)
        }
        Command::Plugin(PluginCommand::Build {
            folder,
            out,
            native,
        }) => commands::plugin::build::build(&folder, out.as_deref(), native),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::error(failure.error());
            ExitCode::from(failure.code())
        }
    }
}
