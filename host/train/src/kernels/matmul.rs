//! Products of strided matrices: a safe face of the `gemm` crate.

use gemm::Parallelism;

/// How a matrix lies in a slice: element (r, c) at r·row_stride + c·col_stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lay {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl Lay {
    /// Rows one after another.
    pub(crate) fn rows(rows: usize, cols: usize) -> Self {
        Self::strided(rows, cols, cols)
    }

    /// Rows `row_stride` apart.
    pub(crate) fn strided(rows: usize, cols: usize, row_stride: usize) -> Self {
        Self {
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The same slice read as its transpose.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// One past the last element.
    fn end(self) -> usize {
        match (self.rows, self.cols) {
            (0, _) | (_, 0) => 0,
            (rows, cols) => (rows - 1) * self.row_stride + (cols - 1) * self.col_stride + 1,
        }
    }
}

/// out ← scale · a·b, added to what is there where `accumulate`; on all threads of the present pool.
pub(crate) fn matmul(
    out: (&mut [f32], Lay),
    accumulate: bool,
    scale: f32,
    a: (&[f32], Lay),
    b: (&[f32], Lay),
) {
    let parallelism = match rayon::current_num_threads() {
        0 | 1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    product(out, accumulate, scale, a, b, parallelism);
}

/// The same on this thread alone.
pub(crate) fn matmul_alone(
    out: (&mut [f32], Lay),
    accumulate: bool,
    scale: f32,
    a: (&[f32], Lay),
    b: (&[f32], Lay),
) {
    product(out, accumulate, scale, a, b, Parallelism::None);
}

fn product(
    (out, out_lay): (&mut [f32], Lay),
    accumulate: bool,
    scale: f32,
    (a, a_lay): (&[f32], Lay),
    (b, b_lay): (&[f32], Lay),
    parallelism: Parallelism,
) {
    assert_eq!(
        (a_lay.rows, b_lay.cols),
        (out_lay.rows, out_lay.cols),
        "shapes of a product"
    );
    assert_eq!(a_lay.cols, b_lay.rows, "inner sizes of a product");
    assert!(
        out_lay.end() <= out.len() && a_lay.end() <= a.len() && b_lay.end() <= b.len(),
        "a product stays inside its slices"
    );
    // SAFETY: the assertions above keep every element that gemm reads or writes inside of the three
    // slices; `out` is borrowed mutably, so it overlaps neither input, and its rows do not overlap
    // one another because every layout has a row stride of at least its columns (or is a transpose
    // of such).
    #[allow(unsafe_code, reason = "gemm takes raw pointers")]
    unsafe {
        gemm::gemm(
            out_lay.rows,
            out_lay.cols,
            a_lay.cols,
            out.as_mut_ptr(),
            out_lay.col_stride as isize,
            out_lay.row_stride as isize,
            accumulate,
            a.as_ptr(),
            a_lay.col_stride as isize,
            a_lay.row_stride as isize,
            b.as_ptr(),
            b_lay.col_stride as isize,
            b_lay.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
