//! `params` by handles.

use super::abi::Function;
use super::datum::Datum;
use super::{call, resource};

resource! {
    /// Named f32 tensors that the host owns.
    Params, ParamsDrop;
    names() -> Vec<String> = ParamsNames;
    shape(name: &str) -> Option<Vec<u32>> = ParamsShape;
    count() -> u64 = ParamsCount;
    filled(value: f32) -> Params = ParamsFilled;
    select(glob: &str) -> Params = ParamsSelect;
    merge(other: &Params) -> Params = ParamsMerge;
    add(other: &Params) -> Params = ParamsAdd;
    sub(other: &Params) -> Params = ParamsSub;
    mul(other: &Params) -> Params = ParamsMul;
    div(other: &Params) -> Params = ParamsDiv;
    minimum(other: &Params) -> Params = ParamsMinimum;
    maximum(other: &Params) -> Params = ParamsMaximum;
    scale(factor: f32) -> Params = ParamsScale;
    offset(addend: f32) -> Params = ParamsOffset;
    add_scaled(factor: f32, other: &Params) -> Params = ParamsAddScaled;
    sqrt() -> Params = ParamsSqrt;
    square() -> Params = ParamsSquare;
    abs() -> Params = ParamsAbs;
    sign() -> Params = ParamsSign;
    clamp(low: f32, high: f32) -> Params = ParamsClamp;
    sum() -> f64 = ParamsSum;
    dot(other: &Params) -> f64 = ParamsDot;
    norm() -> f64 = ParamsNorm;
    norms() -> Vec<f64> = ParamsNorms;
    read(offset: u64, length: u32) -> Vec<f32> = ParamsRead;
    write() -> Writer = ParamsWrite;
}

resource! {
    /// Builds parameters from raw scalars.
    Writer, WriterDrop;
    put(offset: u64, values: &[f32]) -> () = WriterPut;
}

impl Writer {
    pub fn finish(this: Writer) -> Params {
        call(Function::WriterFinish, vec![this.into()])
    }
}

fn handles(items: &[&Params]) -> Datum<'static> {
    Datum::List(items.iter().map(|&item| item.into()).collect())
}

pub fn weighted_sum(items: &[(&Params, f64)]) -> Params {
    let (params, weights): (Vec<&Params>, Vec<f64>) = items.iter().copied().unzip();
    let pairs = Datum::List(vec![handles(&params), weights.into()]);
    call(Function::WeightedSum, vec![pairs])
}

pub fn trimmed_mean(items: &[&Params], drop: u32) -> Params {
    call(Function::TrimmedMean, vec![handles(items), drop.into()])
}

pub fn median(items: &[&Params]) -> Params {
    call(Function::Median, vec![handles(items)])
}

pub fn mean_near_median(items: &[&Params], keep: u32) -> Params {
    call(Function::MeanNearMedian, vec![handles(items), keep.into()])
}

pub fn distances(items: &[&Params], center: &Params) -> Vec<f64> {
    call(Function::Distances, vec![handles(items), center.into()])
}

pub fn pairwise_distances(items: &[&Params]) -> Vec<f64> {
    call(Function::PairwiseDistances, vec![handles(items)])
}

pub fn gaussian(like: &Params, label: &str) -> Params {
    call(Function::Gaussian, vec![like.into(), label.into()])
}
