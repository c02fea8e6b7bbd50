//! Generated programs in the sandboxed interpreter.

use std::time::Duration;

use anyhow::Result;
use folkmoot_plugin::{Interpreter, ProgramLimits, Reply};

use super::panel::Programs;

impl Programs for Interpreter {
    fn run(&self, source: &str, timeout: Duration) -> Result<Reply> {
        let limits = ProgramLimits {
            time: timeout,
            ..ProgramLimits::default()
        };
        let ran = self.run(source, &limits)?;
        Ok(Reply {
            succeeded: ran.succeeded,
            output: ran.output,
            failure: ran.failure.unwrap_or_default(),
            ..Reply::default()
        })
    }
}
