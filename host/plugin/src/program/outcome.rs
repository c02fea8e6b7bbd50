//! What became of a program, told by how its instance ended.

use wasmtime::Trap;

use super::system::Exit;
use super::world::World;
use super::{ProgramLimits, Ran};

impl Ran {
    /// The outcome of an interpreter whose `_start` came to `end` in `world`.
    pub(super) fn new(end: wasmtime::Result<()>, world: &World, limits: &ProgramLimits) -> Self {
        let failure = end.err().map(|error| failure(&error, world, limits));
        Self {
            succeeded: failure.is_none(),
            output: world.output(),
            failure,
        }
    }
}

fn failure(error: &wasmtime::Error, world: &World, limits: &ProgramLimits) -> String {
    let starved = || format!("ran out of memory ({} MiB)", limits.memory >> 20);
    let refused = world.limiter.refusal.is_some();
    if let Some(Exit(code)) = error.downcast_ref() {
        let (front, back) = world.errors.as_slices();
        let errors = [front, back].concat();
        return match exception(&String::from_utf8_lossy(&errors)) {
            Some(line) if *code == 1 => match refused && line.starts_with("MemoryError") {
                true => starved(),
                false => line.to_owned(),
            },
            _ if *code == 0 => "exited with 0 before its end".to_owned(),
            _ => format!("exited with {code}"),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => format!("ran out of time ({} s)", limits.time.as_secs_f64()),
        // C code that does not check what it is given: the interpreter's own, at its start.
        _ if refused => starved(),
        Some(trap) => format!("crashed: {trap}"),
        None => format!("crashed: {}", error.root_cause()),
    }
}

/// The line of the exception that ended the program: the first line at the margin after the last header.
fn exception(errors: &str) -> Option<&str> {
    let header = "Traceback (most recent call last):\n";
    let report = match errors.rfind(header) {
        Some(at) => &errors[at + header.len()..],
        // Errors of syntax have none.
        None => &errors[errors.rfind("  File \"")?..],
    };
    let at_margin = |line: &&str| !line.is_empty() && !line.starts_with(' ');
    report.lines().find(at_margin)
}

#[cfg(test)]
mod tests {
    use super::exception;

    #[test]
    fn the_last_exception_is_the_one_that_ended_the_program() {
        let first = "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nKeyError: 1\n";
        let during = "\nDuring handling of the above exception, another exception occurred:\n\n";
        let second = "Traceback (most recent call last):\n  File \"<string>\", line 3, in <module>\nValueError: a\nb\n";
        let errors = format!("warning\n{first}{during}{second}");
        assert_eq!(exception(&errors), Some("ValueError: a"));
        let syntax =
            "  File \"<string>\", line 1\n    def\n       ^\nSyntaxError: invalid syntax\n";
        assert_eq!(exception(syntax), Some("SyntaxError: invalid syntax"));
        assert_eq!(exception("that is wrong\n"), None);
    }
}
