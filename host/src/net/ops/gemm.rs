//! The matrix product on slices, by the crate that candle itself multiplies with.

use gemm::Parallelism;

/// A matrix that is read: its values and how far they are apart from row to row and from column to column.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix row by row.
    pub(crate) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [columns, 1] }
    }

    /// The transpose of a matrix that stands row by row with so many columns.
    pub(crate) fn transposed(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [1, columns] }
    }

    /// Whether `rows` by `columns` values are all there.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let (Some(rows), Some(columns)) = (rows.checked_sub(1), columns.checked_sub(1)) else { return true };
        let last = rows.checked_mul(self.strides[0]).zip(columns.checked_mul(self.strides[1]));
        last.and_then(|(down, along)| down.checked_add(along)).is_some_and(|last| last < self.values.len())
    }
}

/// Sets `y`, `m` by `n` row by row, to `a b`, or adds that to it; `a` is `m` by `k`, `b` is `k` by `n`.
///
/// With `parallel` the work is spread over the threads of rayon; the bits are the same.
///
/// # Panics
/// When a matrix has too few values.
pub(crate) fn product(y: &mut [f32], [m, n, k]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, add: bool, parallel: bool) {
    assert!(m.checked_mul(n) == Some(y.len()) && a.holds(m, k) && b.holds(k, n), "a matrix of a product is too short");
    if y.is_empty() {
        return;
    }
    if k == 0 {
        if !add {
            y.fill(0.0);
        }
        return;
    }
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    let [a_rows, a_columns] = a.strides.map(|stride| stride as isize);
    let [b_rows, b_columns] = b.strides.map(|stride| stride as isize);
    // SAFETY: by the assertion above, whose arithmetic is checked, every place of the three matrices that the strides lead to
    // lies in its slice, whose length fits an isize; `y` is borrowed alone, and a slice of floats is aligned and initialised.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.values.as_ptr(),
            a_columns,
            a_rows,
            b.values.as_ptr(),
            b_columns,
            b_rows,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_three_loops() {
        let fill = |len: usize, seed: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 7.0 - 1.0).collect()
        };
        for [m, n, k] in [[1, 1, 1], [3, 5, 2], [17, 16, 40], [64, 9, 144], [5, 4, 0]] {
            let (a, b) = (fill(m * k, 1), fill(k * n, 2));
            let flip = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
            };
            let (at, bt) = (flip(&a, m, k), flip(&b, k, n));
            let mut expected = fill(m * n, 3);
            for i in 0..m {
                for j in 0..n {
                    expected[i * n + j] += (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<f32>();
                }
            }
            for (left, right) in [
                (Matrix::rows(&a, k), Matrix::rows(&b, n)),
                (Matrix::transposed(&at, m), Matrix::rows(&b, n)),
                (Matrix::rows(&a, k), Matrix::transposed(&bt, k)),
            ] {
                for parallel in [false, true] {
                    let mut y = fill(m * n, 3);
                    product(&mut y, [m, n, k], left, right, true, parallel);
                    assert!(y.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-4), "{m} {n} {k}");
                    let mut y = vec![f32::NAN; m * n];
                    product(&mut y, [m, n, k], left, right, false, parallel);
                    let before = fill(m * n, 3);
                    assert!(y.iter().zip(&expected).zip(before).all(|((y, e), b)| (y + b - e).abs() < 1e-4));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn short_matrices_are_refused() {
        product(&mut [0.0; 4], [2, 2, 2], Matrix::rows(&[1.0; 3], 2), Matrix::rows(&[1.0; 4], 2), false, false);
    }
}
