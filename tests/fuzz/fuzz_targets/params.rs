//! Any program of operations on parameters, recorded and evaluated fused in blocks, beside a scalar by scalar
//! evaluation that knows nothing of blocks: the same bits, the same errors, no panic.
#![no_main]

mod reference;

use arbitrary::{Result, Unstructured};
use folkmoot_params::{Evaluator, Params, mean_near_median, median, trimmed_mean, weighted_sum};
use libfuzzer_sys::fuzz_target;

use reference::{Known, Tensors};

/// Scalars of a tensor: around the ends of vectors, lanes, blocks and chunks.
const SIZES: [usize; 12] = [0, 1, 2, 15, 16, 17, 63, 100, 4095, 4096, 4097, 131_089];
const NAMES: [&str; 5] = ["a", "b.lora_A.weight", "b.lora_B.weight", "c", "d"];
const SPECIAL: [f32; 12] = [
    0.0,
    -0.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN_POSITIVE,
    1e-45,
    -1.0,
    0.1,
    3.0,
    1e20,
];
/// Scalars that one input may make the reference touch.
const WORK: usize = 1 << 21;

fuzz_target!(|bytes: &[u8]| {
    // Too few bytes end the program early, which is no error.
    let _ = run(&mut Unstructured::new(bytes));
});

fn run(u: &mut Unstructured) -> Result<()> {
    let mut sizes = Vec::new();
    for name in NAMES {
        if u.ratio(3, 4)? {
            // The largest rarely: it costs as much as all others.
            let last = if u.ratio(1, 50)? {
                SIZES.len()
            } else {
                SIZES.len() - 1
            };
            sizes.push((name, SIZES[u.choose_index(last)?]));
        }
    }
    let mut pool: Vec<(Params, Tensors)> = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        pool.push(leaf(u, &sizes)?);
    }
    let mut work = 0;
    for _ in 0..40 {
        if u.is_empty() || work > WORK {
            break;
        }
        let (params, tensors) = step(u, &pool)?;
        let Some(made) = check_alike(params, tensors) else {
            continue;
        };
        work += made.1.count();
        if u.ratio(1, 8)? {
            made.0.values();
        }
        pool.push(made);
        if u.ratio(1, 8)? {
            reduce(u, &pool)?;
        }
    }
    let all: Vec<Params> = pool.iter().map(|(params, _)| params.clone()).collect();
    Evaluator::default()
        .commit(&all)
        .expect("without a deadline it does not fail");
    for (params, tensors) in &pool {
        tensors.check(params);
    }
    Ok(())
}

/// Random tensors, in memory or in a mapped file.
fn leaf(u: &mut Unstructured, sizes: &[(&'static str, usize)]) -> Result<(Params, Tensors)> {
    let mut state: u32 = u.arbitrary()?;
    let special: bool = u.ratio(1, 3)?;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let high = state >> 16;
        match special && high % 7 == 0 {
            true => SPECIAL[high as usize / 7 % SPECIAL.len()],
            false => f32::from(high as u8 as i8) / 16.0,
        }
    };
    let mut tensors = Vec::new();
    for (name, size) in sizes {
        if u.ratio(7, 8)? {
            let values: Vec<f32> = (0..*size).map(|_| draw()).collect();
            tensors.push(((*name).to_owned(), vec![*size], values));
        }
    }
    let own = Tensors::new(&tensors);
    let params = Params::from_tensors(tensors).expect("names differ and sizes fit");
    if !u.ratio(1, 6)? {
        return Ok((params, own));
    }
    let bytes = params.to_safetensors().expect("real tensors");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("a file");
    Ok((Params::open(file.path()).expect("what was written"), own))
}

type Made = (
    std::result::Result<Params, folkmoot_params::ParamsError>,
    Option<Tensors>,
);

fn step(u: &mut Unstructured, pool: &[(Params, Tensors)]) -> Result<Made> {
    let (a, own) = u.choose(pool)?;
    let (b, other) = u.choose(pool)?;
    let x = number(u)?;
    let binary = |op: fn(f32, f32) -> f32| own.zip(other, op);
    Ok(match u.int_in_range(0..=18)? {
        0 => (a.add(b), binary(|a, b| a + b)),
        1 => (a.sub(b), binary(|a, b| a - b)),
        2 => (a.mul(b), binary(|a, b| a * b)),
        3 => (a.div(b), binary(|a, b| a / b)),
        4 => (
            a.minimum(b),
            binary(|a, b| if a < b || a.is_nan() { a } else { b }),
        ),
        5 => (
            a.maximum(b),
            binary(|a, b| if a > b || a.is_nan() { a } else { b }),
        ),
        6 => {
            let scaled = other.map(|b| x * b);
            (a.add_scaled(x, b), own.zip(&scaled, |a, b| a + b))
        }
        7 => (Ok(a.sqrt()), Some(own.map(f32::sqrt))),
        8 => (Ok(a.square()), Some(own.map(|a| a * a))),
        9 => (Ok(a.abs()), Some(own.map(f32::abs))),
        10 => {
            let sign = |a: f32| match a.partial_cmp(&0.0) {
                Some(std::cmp::Ordering::Greater) => 1.0,
                Some(std::cmp::Ordering::Less) => -1.0,
                _ => a,
            };
            (Ok(a.sign()), Some(own.map(sign)))
        }
        11 => {
            let high = number(u)?;
            let clamped = (x <= high).then(|| {
                own.map(|a| {
                    if a < x {
                        x
                    } else if a > high {
                        high
                    } else {
                        a
                    }
                })
            });
            (a.clamp(x, high), clamped)
        }
        12 => (Ok(a.scale(x)), Some(own.map(|a| x * a))),
        13 => (Ok(a.offset(x)), Some(own.map(|a| a + x))),
        14 => (Ok(a.filled(x)), Some(own.filled(x))),
        15 => {
            let glob: String = match u.ratio(1, 4)? {
                true => u.arbitrary()?,
                false => (*u.choose(&["*", "b.*", "[ab]*", "c", "{a,d}", "nothing"])?).to_owned(),
            };
            let chosen = a.select(&glob);
            let names = chosen.as_ref().ok().map(|chosen| own.only(chosen));
            (chosen, names)
        }
        16 => (a.merge(b), Some(own.merge(other))),
        17 => {
            let items = items(u, pool)?;
            let mut pairs = Vec::new();
            for item in &items {
                pairs.push((&item.0, f64::from(number(u)?)));
            }
            let own = items
                .iter()
                .zip(&pairs)
                .map(|(item, (_, weight))| (&item.1, *weight));
            (
                weighted_sum(&pairs),
                Tensors::weighted_sum(&own.collect::<Vec<_>>()),
            )
        }
        _ => {
            let items = items(u, pool)?;
            let params: Vec<&Params> = items.iter().map(|item| &item.0).collect();
            let own: Vec<&Tensors> = items.iter().map(|item| &item.1).collect();
            let count = usize::from(u.int_in_range(0..=12u8)?);
            match u.int_in_range(0..=2)? {
                0 => (
                    median(&params),
                    Tensors::trimmed(&own, own.len().saturating_sub(1) / 2),
                ),
                1 => (trimmed_mean(&params, count), Tensors::trimmed(&own, count)),
                _ => (
                    mean_near_median(&params, count),
                    Tensors::near_median(&own, count),
                ),
            }
        }
    })
}

fn items<'a>(
    u: &mut Unstructured,
    pool: &'a [(Params, Tensors)],
) -> Result<Vec<&'a (Params, Tensors)>> {
    let most = if u.ratio(1, 6)? { 40 } else { 5 };
    let first = u.choose(pool)?;
    let mut items = vec![first];
    for _ in 0..u.int_in_range(0..=most)? {
        let item = u.choose(pool)?;
        // Mostly of one structure, so that something comes of it.
        if first.1.alike(&item.1) || u.ratio(1, 20)? {
            items.push(item);
        }
    }
    Ok(items)
}

fn number(u: &mut Unstructured) -> Result<f32> {
    Ok(match u.ratio(1, 3)? {
        true => *u.choose(&SPECIAL)?,
        false => f32::from(u.arbitrary::<i8>()?) / 8.0,
    })
}

/// Both sides refuse, or both have a result.
fn check_alike(
    params: std::result::Result<Params, folkmoot_params::ParamsError>,
    tensors: Option<Tensors>,
) -> Option<(Params, Tensors)> {
    match (params, tensors) {
        (Ok(params), Some(tensors)) => Some((params, tensors)),
        (Err(_), None) => None,
        (Ok(_), None) => panic!("it should have been refused"),
        (Err(error), Some(_)) => panic!("refused: {error}"),
    }
}

fn reduce(u: &mut Unstructured, pool: &[(Params, Tensors)]) -> Result<()> {
    let evaluator = Evaluator::default();
    let (a, own) = u.choose(pool)?;
    let (b, other) = u.choose(pool)?;
    let check = |found: f64, expected: Option<f64>| {
        if let Some(expected) = expected {
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{found} where {expected} is expected"
            );
        }
    };
    let never = "without a deadline it does not fail";
    match u.int_in_range(0..=5)? {
        0 => check(evaluator.sum(a).expect(never), own.sum()),
        1 => match own.alike(other) {
            true => check(evaluator.dot(a, b).expect(never), own.dot(other)),
            false => assert!(evaluator.dot(a, b).is_err()),
        },
        2 => check(evaluator.norm(a).expect(never), own.dot(own).map(f64::sqrt)),
        3 => {
            let norms = evaluator.norms(a).expect(never);
            assert_eq!(norms.len(), own.0.len());
            for (found, (_, values)) in norms.into_iter().zip(&own.0) {
                check(found, Tensors::dot_of(values, values).map(f64::sqrt));
            }
        }
        4 => {
            let items = items(u, pool)?;
            let params: Vec<&Params> = items.iter().map(|item| &item.0).collect();
            let fits = items.iter().all(|item| item.1.alike(own));
            match evaluator.distances(&params, a) {
                Ok(found) => {
                    assert!(fits);
                    for (found, item) in found.into_iter().zip(&items) {
                        check(found, own.distance(&item.1));
                    }
                }
                Err(_) => assert!(!fits),
            }
        }
        _ => {
            let known: Option<Vec<Known>> = own
                .0
                .values()
                .flatten()
                .map(|value| value.map(Some))
                .collect();
            if let Some(known) = known {
                let expected = known.iter().flatten().position(|value| !value.is_finite());
                let found = a.first_non_finite().map(|(tensor, index, _)| {
                    let place = a.structure().get(tensor).expect("its own tensor");
                    place.offset + index
                });
                assert_eq!(found, expected);
            }
        }
    }
    Ok(())
}
