//! What a component is made of, read before it is compiled: a stranger's component must not take the host's time or
//! memory by being compiled. All of it depends on the bytes alone, so a component that is refused here is refused
//! everywhere.

use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Parser, Payload,
};

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
/// Memories over all modules: each has an image of its own, of whole pages. What one call may have is less.
const MEMORIES: usize = 256;
/// Elements that tables begin with, over all modules: their images are made when they are compiled.
const ELEMENTS: usize = 1 << 20;
/// Instances of components, and what they declare, as often as they are instantiated: the compiler unfolds them.
const INSTANCES: usize = 1_000;
const UNFOLDED: usize = 1_000_000;

/// What was met so far.
#[derive(Default)]
struct Tally {
    functions: usize,
    parts: usize,
    declared: usize,
    memories: usize,
    elements: usize,
    /// What is being read: a component or module within those before it.
    open: Vec<Open>,
}

/// A component or module of which the end was not met yet.
struct Open {
    is_component: bool,
    cost: Cost,
    /// The components that it may instantiate, by their index.
    components: Vec<Cost>,
}

/// What instantiating a component comes to, with those that it instantiates in turn.
#[derive(Clone, Copy, Default)]
struct Cost {
    instances: usize,
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
            Payload::Version { encoding, .. } => {
                self.open.push(Open {
                    is_component: *encoding == Encoding::Component,
                    cost: Cost {
                        instances: 1,
                        declared: 0,
                    },
                    components: Vec::new(),
                });
                Ok(())
            }
            Payload::End(_) => {
                let ended = self.open.pop().filter(|own| own.is_component);
                if let (Some(ended), Some(around)) = (ended, self.open.last_mut()) {
                    around.components.push(ended.cost);
                }
                Ok(())
            }
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
            Payload::TableSection(own) => {
                let tables = own.clone().into_iter().flatten();
                for table in tables {
                    let size = usize::try_from(table.ty.initial).unwrap_or(usize::MAX);
                    self.elements = self.elements.saturating_add(size);
                }
                within("elements in tables", self.elements, ELEMENTS)?;
                self.declare(own.count())
            }
            Payload::MemorySection(own) => {
                self.memories = self.memories.saturating_add(own.count() as usize);
                within("memories", self.memories, MEMORIES)?;
                self.declare(own.count())
            }
            Payload::GlobalSection(own) => self.declare(own.count()),
            Payload::InstanceSection(own) => self.declare(own.count()),
            Payload::CoreTypeSection(own) => self.declare(own.count()),
            Payload::ComponentInstanceSection(own) => {
                self.declare(own.count())?;
                let instances = own.clone().into_iter().flatten();
                for instance in instances {
                    self.instantiate(&instance)?;
                }
                Ok(())
            }
            Payload::ComponentAliasSection(own) => {
                self.declare(own.count())?;
                let aliases = own.clone().into_iter().flatten();
                for alias in aliases {
                    self.alias(&alias)?;
                }
                Ok(())
            }
            Payload::ComponentTypeSection(own) => self.declare(own.count()),
            Payload::ComponentCanonicalSection(own) => self.declare(own.count()),
            Payload::ComponentImportSection(own) => {
                self.declare(own.count())?;
                let mut imports = own.clone().into_iter().flatten();
                let passed = imports.any(|own| matches!(own.ty, ComponentTypeRef::Component(_)));
                unpassed(passed)
            }
            Payload::ComponentExportSection(own) => {
                self.declare(own.count())?;
                let mut exports = own.clone().into_iter().flatten();
                unpassed(exports.any(|own| is_component(&own)))
            }
            _ => Ok(()),
        }
    }

    fn declare(&mut self, count: u32) -> Result<(), String> {
        self.declared = self.declared.saturating_add(count as usize);
        let what = "types, imports, exports, aliases and instances";
        within(what, self.declared, DECLARED)?;
        match self.open.last_mut() {
            Some(open) => open.add(Cost {
                instances: 0,
                declared: count as usize,
            }),
            None => Ok(()),
        }
    }

    /// Counts an instance. One of a component costs what is in that; indices that lead nowhere are the compiler's to
    /// refuse.
    fn instantiate(&mut self, instance: &ComponentInstance) -> Result<(), String> {
        match instance {
            ComponentInstance::Instantiate {
                component_index,
                args,
            } => {
                let mut kinds = args.iter().map(|own| own.kind);
                unpassed(kinds.any(|kind| kind == ComponentExternalKind::Component))?;
                let Some(open) = self.open.last_mut() else {
                    return Ok(());
                };
                let cost = open.components.get(*component_index as usize).copied();
                open.add(cost.unwrap_or_default())
            }
            ComponentInstance::FromExports(exports) => unpassed(exports.iter().any(is_component)),
        }
    }

    /// Counts another name for a component.
    fn alias(&mut self, alias: &ComponentAlias) -> Result<(), String> {
        let cost = match alias {
            ComponentAlias::InstanceExport { kind, .. } => {
                return unpassed(*kind == ComponentExternalKind::Component);
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Component,
                count,
                index,
            } => {
                let around = self.open.iter().rev().nth(*count as usize);
                around.and_then(|own| own.components.get(*index as usize).copied())
            }
            _ => return Ok(()),
        };
        if let Some(open) = self.open.last_mut() {
            open.components.push(cost.unwrap_or_default());
        }
        Ok(())
    }
}

impl Open {
    fn add(&mut self, cost: Cost) -> Result<(), String> {
        self.cost.instances = self.cost.instances.saturating_add(cost.instances);
        self.cost.declared = self.cost.declared.saturating_add(cost.declared);
        within("instances of components", self.cost.instances, INSTANCES)?;
        let what = "types, imports, exports, aliases and instances in its instances";
        within(what, self.cost.declared, UNFOLDED)
    }
}

fn is_component(export: &ComponentExport) -> bool {
    export.kind == ComponentExternalKind::Component
}

/// Refuses components as arguments: what those come to is known only where they are used, and no plugin needs them.
fn unpassed(passed: bool) -> Result<(), String> {
    match passed {
        false => Ok(()),
        true => Err("it imports, exports or hands on components".into()),
    }
}

fn within(what: &str, found: usize, most: usize) -> Result<(), String> {
    match found <= most {
        true => Ok(()),
        false => Err(format!("it has more than {most} {what}")),
    }
}
