//! What plugins and the arithmetic for them give does not depend on the processor: the program beside itself under
//! QEMU, which has AVX2 or nothing beyond SSE2, where this machine has what it has.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use folkmoot_params::{Params, Seed};
use rand::RngExt;

use crate::bench::{folkmoot, root, stderr, target};
use crate::hostile::component;

/// With AVX2 and without anything that x86-64 did not have from the start.
const PROCESSORS: [&str; 2] = ["max", "qemu64"];

/// Numbers of every size, so that another order of a sum shows.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    let number = |_| {
        let size = 10f32.powi(rng.random_range(-4..4));
        size * (2.0 * rng.random::<f32>() - 1.0)
    };
    (0..count).map(number).collect()
}

fn write(folder: &Path, name: &str, seed: u64) {
    let tensor = |own: u64| {
        let side = ["A", "B"][own as usize % 2];
        let values = numbers(100 * seed + own, 8 * 601);
        (
            format!("layers.{}.lora_{side}.weight", own / 2),
            vec![8, 601],
            values,
        )
    };
    let params = Params::from_tensors((0..4).map(tensor)).unwrap();
    fs::write(folder.join(name), params.to_safetensors().unwrap()).unwrap();
}

/// One aggregation of seven updates; what the program said, and what it wrote.
fn aggregate(folder: &Path, processor: Option<&str>, algorithm: &[&str]) -> (Output, Vec<u8>) {
    let mut command = match processor {
        None => folkmoot(folder),
        Some(processor) => {
            let mut command = Command::new("qemu-x86_64");
            command.current_dir(folder).args(["-cpu", processor]);
            command.arg(target().join("folkmoot"));
            // What is compiled for one processor does not pass for another, but shares the folder.
            command
        }
    };
    command.args([
        "aggregate",
        "--global",
        "global.safetensors",
        "--out",
        "next.safetensors",
    ]);
    for client in 0..7 {
        let update = format!(
            "c{client}.safetensors:examples={},steps=10,lr=0.1,initial-loss=2",
            client + 1
        );
        command.args(["--update", &update]);
    }
    let next = folder.join("next.safetensors");
    drop(fs::remove_file(&next));
    let output = command.args(["--algorithm"]).args(algorithm).output();
    let output = output.unwrap_or_else(|error| {
        panic!("qemu-x86_64: {error}: `apt-get install --yes qemu-user` installs it")
    });
    let written = fs::read(&next).unwrap_or_default();
    (output, written)
}

#[test]
fn every_algorithm_gives_the_same_bytes_on_every_processor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "global.safetensors", 1);
    (0..7).for_each(|client| write(folder, &format!("c{client}.safetensors"), 2 + client));
    let hostile = component().to_string_lossy();
    let bits = [
        "--algorithm-arg",
        "deed=nan-bits",
        "--algorithm-arg",
        "round=1",
    ];
    let mut cases: Vec<Vec<&str>> = vec![[&[&*hostile], &bits[..]].concat()];
    let mut names: Vec<String> = fs::read_dir(root().join("plugins/algorithms"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in &names {
        let settings: &[&str] = match name.as_str() {
            "fedper" | "fedrep" => &["personal=[\"*lora_B*\"]"],
            "krum" | "multikrum" | "bulyan" => &["byzantine=1"],
            "norm-bounded" => &["bound=1.0"],
            _ => &[],
        };
        let settings = settings.iter().flat_map(|own| ["--algorithm-arg", own]);
        cases.push(std::iter::once(name.as_str()).chain(settings).collect());
    }
    let mut written = 0;
    for case in &cases {
        let (here, bytes) = aggregate(folder, None, case);
        written += usize::from(here.status.success());
        for processor in PROCESSORS {
            let (there, others) = aggregate(folder, Some(processor), case);
            // Some want messages that none of these updates has: then they say so everywhere.
            assert_eq!(
                (here.status.code(), stderr(&here)),
                (there.status.code(), stderr(&there)),
                "{case:?} on {processor}"
            );
            assert!(bytes == others, "{case:?} on {processor}");
        }
    }
    assert!(written > 18, "{written} of {} aggregated", cases.len());
    // The first case answered with the upper bits of NaN: those of WASM's canonical one.
    aggregate(folder, None, &cases[0]);
    let next = fs::read(folder.join("next.safetensors")).unwrap();
    let next = Params::from_safetensors(&next).unwrap();
    assert_eq!(next.values()[0], 0x7f_c000 as f32);
}
