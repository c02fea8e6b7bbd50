//! Dropout of what goes into A of LoRA (Srivastava et al. 2014): each scalar is zeroed with probability p,
//! the others are divided by 1 - p. Masks come from a seed and a place, so that the backward pass, or a
//! second forward pass, finds the same ones again without keeping them.

use folkmoot_params::Seed;
use rayon::prelude::*;

use crate::Projection;

/// Dropout of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// Scalars whose 24 random bits are below this are dropped.
    threshold: u32,
    scale: f32,
    key: u64,
}

const BITS: u32 = 24;
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dropout {
    /// With probability `p` below 1; none where it is 0.
    pub(crate) fn new(p: f64, seed: Seed) -> Option<Self> {
        (p > 0.0).then(|| Self {
            threshold: (p * f64::from(1u32 << BITS)).round() as u32,
            scale: (1.0 / (1.0 - p)) as f32,
            key: seed.0,
        })
    }

    /// The masks of one projection.
    pub(crate) fn at(self, layer: usize, projection: Projection) -> Self {
        let place = (layer * Projection::ALL.len() + projection as usize) as u64;
        Self {
            key: mix(self.key ^ mix(place.wrapping_add(1).wrapping_mul(GOLDEN))),
            ..self
        }
    }

    /// What is left of `x`.
    pub(crate) fn apply(self, x: &[f32]) -> Vec<f32> {
        const CHUNK: usize = 16 * 1024;
        let mut out = vec![0f32; x.len()];
        let chunks = out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.enumerate().for_each(|(chunk, (out, x))| {
            for (offset, (out, x)) in out.iter_mut().zip(x).enumerate() {
                let index = (chunk * CHUNK + offset) as u64;
                let random = mix(self.key.wrapping_add(index.wrapping_mul(GOLDEN)));
                let kept = (random >> (64 - BITS)) as u32 >= self.threshold;
                *out = if kept { x * self.scale } else { 0.0 };
            }
        });
        out
    }
}

/// SplitMix64's output function (Steele, Lea & Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_right_and_the_mask_comes_back() {
        let dropout = Dropout::new(0.3, Seed(5)).unwrap();
        let x = vec![1f32; 100_000];
        let own = dropout.at(3, Projection::VProj);
        let y = own.apply(&x);
        let dropped = y.iter().filter(|y| **y == 0.0).count();
        // Six standard deviations of a binomial share are 0.0087.
        assert!((dropped as f64 / 1e5 - 0.3).abs() < 0.0087, "{dropped}");
        assert!(y.iter().all(|y| *y == 0.0 || *y == 1.0 / 0.7));
        assert_eq!(y, own.apply(&x));
        assert_ne!(y, dropout.at(3, Projection::QProj).apply(&x));
        assert_ne!(y, dropout.at(4, Projection::VProj).apply(&x));
        assert!(Dropout::new(0.0, Seed(5)).is_none());
    }
}
