//! What a component is made of, read before it is compiled: a stranger's component must not take the host's time or
//! memory by being compiled. All of it depends on the bytes alone, so a component that is refused here is refused
//! everywhere.

use wasmparser::{Parser, Payload};

use crate::Limits;

/// Functions over all modules. An interpreter of Python or JavaScript has about 20 000.
const FUNCTIONS: usize = 100_000;
/// Bytes of one function's body: Cranelift's time and memory grow faster than it.
const BODY: usize = 1 << 20;
/// Variables of one function beside its parameters, and the same times its bytes: each may live in every block.
const LOCALS: u64 = 20_000;
const LOCALS_BY_BYTES: u64 = 1 << 28;
/// Modules and components that are nested in it.
const PARTS: usize = 256;
/// Types, imports, exports, aliases and instances that it declares, over all parts.
const DECLARED: usize = 100_000;

/// What was met so far.
#[derive(Default)]
struct Tally {
    functions: usize,
    parts: usize,
    declared: usize,
}

/// Says what of `bytes` is more than a component may have; what is no component at all is left to the compiler.
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<(), String> {
    if bytes.len() > limits.component {
        return Err(format!(
            "it has {:.1} MiB, more than the {} MiB that a component may have",
            bytes.len() as f64 / f64::from(1 << 20),
            limits.component >> 20
        ));
    }
    let mut tally = Tally::default();
    for payload in Parser::new(0).parse_all(bytes) {
        // The compiler says better what is wrong with it, and does so before it compiles anything.
        let Ok(payload) = payload else {
            return Ok(());
        };
        tally.count(&payload)?;
    }
    Ok(())
}

impl Tally {
    fn count(&mut self, payload: &Payload) -> Result<(), String> {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.parts += 1;
                within("modules and components", self.parts, PARTS)
            }
            Payload::CodeSectionEntry(body) => {
                self.functions += 1;
                within("functions", self.functions, FUNCTIONS)?;
                let size = body.range().len();
                within("bytes in one function", size, BODY)?;
                let locals = body.get_locals_reader();
                let locals = locals.into_iter().flatten().map(|local| match local {
                    Ok((count, _)) => u64::from(count),
                    Err(_) => 0,
                });
                let locals: u64 = locals.sum();
                if locals > LOCALS || locals * size as u64 > LOCALS_BY_BYTES {
                    return Err(format!(
                        "a function of {size} bytes has {locals} variables, more than can be compiled in reasonable time"
                    ));
                }
                Ok(())
            }
            Payload::TypeSection(own) => self.declare(own.count()),
            Payload::ImportSection(own) => self.declare(own.count()),
            Payload::ExportSection(own) => self.declare(own.count()),
            Payload::TableSection(own) => self.declare(own.count()),
            Payload::MemorySection(own) => self.declare(own.count()),
            Payload::GlobalSection(own) => self.declare(own.count()),
            Payload::InstanceSection(own) => self.declare(own.count()),
            Payload::CoreTypeSection(own) => self.declare(own.count()),
            Payload::ComponentInstanceSection(own) => self.declare(own.count()),
            Payload::ComponentAliasSection(own) => self.declare(own.count()),
            Payload::ComponentTypeSection(own) => self.declare(own.count()),
            Payload::ComponentCanonicalSection(own) => self.declare(own.count()),
            Payload::ComponentImportSection(own) => self.declare(own.count()),
            Payload::ComponentExportSection(own) => self.declare(own.count()),
            _ => Ok(()),
        }
    }

    fn declare(&mut self, count: u32) -> Result<(), String> {
        self.declared = self.declared.saturating_add(count as usize);
        let what = "types, imports, exports, aliases and instances";
        within(what, self.declared, DECLARED)
    }
}

fn within(what: &str, found: usize, most: usize) -> Result<(), String> {
    match found <= most {
        true => Ok(()),
        false => Err(format!("it has more than {most} {what}")),
    }
}
