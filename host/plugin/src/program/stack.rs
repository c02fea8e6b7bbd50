//! A larger stack for C code. Linkers give WASM programs a small one, here 512 KiB, and CPython needs 7 KiB of it
//! for each call that goes through C: `lru_cache`, constructors, `sum` over a generator. Programs that recurse 100
//! calls deep would crash where elsewhere CPython's own limit, 500 calls deep or more, is not even reached.

use std::ops::Range;

const PAGE: u32 = 64 << 10;

/// Pages of the new stack: 64 MiB, so that the engine's stack is exhausted first, which is a clean end.
const PAGES: u32 = 1024;

/// `store(500)` into the thread state's field of nested calls through C, as CPython 3.12 is compiled for WASI, and
/// the 1500 of all other systems: with the larger stack the reason for the difference is gone.
const FEW_CALLS: [u8; 6] = [0x41, 0xf4, 0x03, 0x36, 0x02, 0x18];
const CALLS: [u8; 6] = [0x41, 0xdc, 0x0b, 0x36, 0x02, 0x18];

/// `module` with the stack, and the limit of nested calls, that its program has on other systems; none if it is not
/// built as we know it.
pub(super) fn enlarged(module: &[u8]) -> Option<Vec<u8>> {
    let mut module = with_stack(module)?;
    let code = section(&module, 10)?.content;
    let found: Vec<usize> =
        memchr::memmem::find_iter(module.get(code.clone())?, &FEW_CALLS).collect();
    // Found elsewhere too, the bytes might mean something else.
    if let [at] = found[..] {
        module[code.start + at..][..CALLS.len()].copy_from_slice(&CALLS);
    }
    Some(module)
}

/// `module` with its stack at the end of its first memory, which grows by that. The stack pointer is the first
/// global, as LLVM's linker has it; a module whose first global cannot be one is left as it is.
fn with_stack(module: &[u8]) -> Option<Vec<u8>> {
    let memory = section(module, 5)?;
    let globals = section(module, 6)?;
    // One memory, without a maximum, shared by nobody.
    let rest = module.get(memory.content.clone())?.strip_prefix(&[1, 0])?;
    let (pages, rest) = number(rest)?;
    if !rest.is_empty() {
        return None;
    }
    // A count; then of the first global its type, i32 that changes, and its value, a constant.
    let (count, rest) = number(module.get(globals.content.clone())?)?;
    let (pointer, others) = number(rest.strip_prefix(&[0x7f, 1, 0x41])?)?;
    let others = others.strip_prefix(&[0x0b])?;
    let pages = pages.checked_add(PAGES)?;
    let end = pages.checked_mul(PAGE).filter(|end| *end < 1 << 31)?;
    if pointer == 0 || pointer > end {
        return None;
    }
    let new_memory = [&[1, 0], written(pages).as_slice()].concat();
    let new_globals = [
        &written(count),
        &[0x7f, 1, 0x41][..],
        &signed(end),
        &[0x0b],
        others,
    ];
    let new_globals = new_globals.concat();
    let mut larger = Vec::with_capacity(module.len() + 16);
    larger.extend(&module[..memory.all.start]);
    for (id, content) in [(5, new_memory), (6, new_globals)] {
        larger.push(id);
        larger.extend(written(u32::try_from(content.len()).ok()?));
        larger.extend(content);
        if id == 5 {
            larger.extend(module.get(memory.all.end..globals.all.start)?);
        }
    }
    larger.extend(&module[globals.all.end..]);
    Some(larger)
}

/// Where a section lies, with its head and without.
struct Section {
    all: Range<usize>,
    content: Range<usize>,
}

/// The section called `wanted`.
fn section(module: &[u8], wanted: u8) -> Option<Section> {
    // After a magic word and a version.
    let mut start = 8;
    loop {
        let (id, rest) = module.get(start..)?.split_first()?;
        let (length, content) = number(rest)?;
        let content = module.len() - content.len();
        let end = content.checked_add(length as usize)?;
        if *id == wanted {
            return Some(Section {
                all: start..end,
                content: content..end,
            });
        }
        start = end;
    }
}

/// The number that `bytes` begin with, in LEB128, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// `number` in LEB128.
fn written(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// `number`, below 2³¹, in signed LEB128, whose last byte has the sign in its second bit.
fn signed(number: u32) -> Vec<u8> {
    let mut bytes = written(number);
    if let Some(last) = bytes.last_mut().filter(|last| **last & 0x40 != 0) {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{number, signed, with_stack, written};

    #[test]
    fn the_stack_moves_to_the_end_of_a_larger_memory() {
        // A type, one memory of two pages, two globals, and something behind them.
        let head = b"\0asm\x01\0\0\0\x01\x01\0";
        let module = [
            &head[..],
            b"\x05\x03\x01\0\x02",
            b"\x06\x0b\x02\x7f\x01\x41\x80\x08\x0b\x7f\0\x41\0",
            b"\x0b",
            b"\x07\x01\0",
        ];
        let module = [&module.concat()[..]].concat();
        let module = fixed(module);
        let larger = with_stack(&module).unwrap();
        // 1026 pages; 1026 * 65536 = 67239936.
        assert!(larger.starts_with(&[&head[..], b"\x05\x04\x01\0\x82\x08"].concat()));
        let pointer = [&[0x7f, 1, 0x41][..], &signed(1026 << 16), &[0x0b]].concat();
        assert!(larger.windows(pointer.len()).any(|found| found == pointer));
        assert!(larger.ends_with(b"\x7f\0\x41\0\x0b\x07\x01\0"));
        // A global that never changes is no stack pointer.
        let at = module.windows(3).position(|found| found == [0x7f, 1, 0x41]);
        let mut other = module;
        other[at.unwrap() + 1] = 0;
        assert!(with_stack(&other).is_none());
        assert!(with_stack(head).is_none());
    }

    /// The length of section 6 is counted, not written by hand.
    fn fixed(mut module: Vec<u8>) -> Vec<u8> {
        let at = module
            .windows(2)
            .position(|found| found == [6, 0x0b])
            .unwrap();
        module[at + 1] = (module.len() - 3 - (at + 2)) as u8;
        module
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 63, 64, 127, 128, 65_536, 1 << 30] {
            assert_eq!(number(&written(value)), Some((value, &[][..])));
            assert_eq!(number(&signed(value)), Some((value, &[][..])));
        }
        assert_eq!(signed(64), [0xc0, 0]);
    }
}
