//! The sums of 8-bit weights in plain Rust, written so that a compiler finds vectors of halves in it: the workstation, and
//! every core that has no kernels of its own.
//!
//! Two rows share an i16 of a tap, `256 * second + first`, with the first raised by 128: products with it sum both rows, and
//! those with its high byte tell them apart. A patch holds i16: of four taps those of the first pixel, then those of the
//! second, the even taps first, as pairs of rows have them; of taps that are left over, one of each pixel.

use attar_shared::internal::ROWS;

use super::layout::{COLUMNS, Patch, Sums, WindowRun};
use super::window::InputWindow;

/// Halves of a group of weights.
const LANES: usize = 8;

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 2 * COLUMNS;

/// Bytes of a group of weights.
const GROUP: usize = 2 * LANES;

/// Bytes of a pixel's four taps.
const FOUR: usize = 8;

/// Puts what a run of a window shows into a patch of so many taps.
#[inline(always)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
    let total = match values {
        WindowRun::Values(values) => {
            let mut tap = tap;
            let mut rest = values;
            while tap.is_multiple_of(4)
                && let Some((&four, more)) = rest.split_first_chunk::<4>()
            {
                if let Some(places) = patch.bytes.get_mut(place(column, tap, taps)..)
                    && let Some(places) = places.first_chunk_mut::<FOUR>()
                {
                    *places = spread(four);
                } else {
                    unreachable_in_checked_model!()
                }
                (tap, rest) = (tap.wrapping_add(4), more);
            }
            rest.iter().zip(tap..).for_each(|(&value, tap)| put(patch, column, tap, taps, value));
            values.iter().fold(0i32, |total, &value| total.wrapping_add(value.into()))
        }
        WindowRun::Padding { len, value } => {
            (tap..tap.wrapping_add(len)).for_each(|tap| put(patch, column, tap, taps, value));
            i32::from(value).wrapping_mul(len as i32)
        }
    };
    patch.add_total(column, total);
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(super) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
    if !window.width.is_multiple_of(4) {
        return false;
    }
    let (mut start, mut tap) = (0usize, 0usize);
    for _ in 0..window.vertical.kernel {
        let row =
            values.get(start..start.wrapping_add(window.width)).unwrap_or_else(|| unreachable_in_checked_model!());
        lay(patch, column, tap, WindowRun::Values(row), window.len);
        (start, tap) = (start.wrapping_add(window.row), tap.wrapping_add(window.width));
    }
    true
}

/// Returns where a value stands in a patch.
#[inline(always)]
const fn place(column: usize, tap: usize, taps: usize) -> usize {
    if tap < taps & !3 {
        let lane = (tap & 1) * 2 + (tap & 2) / 2;
        (tap & !3) * BYTES + column * FOUR + lane * 2
    } else {
        tap * BYTES + column * 2
    }
}

#[inline(always)]
fn bytes_of(value: i16) -> [i8; 2] {
    value.to_le_bytes().map(u8::cast_signed)
}

#[inline(always)]
fn put(patch: &mut Patch<'_>, column: usize, tap: usize, taps: usize, value: i8) {
    let at = place(column, tap, taps);
    if let Some(half) = patch.bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut::<2>()) {
        *half = bytes_of(value.into());
    } else {
        unreachable_in_checked_model!()
    }
}

/// Returns the values of four taps as halves, the even ones first.
#[inline(always)]
fn spread([a, b, c, d]: [i8; 4]) -> [i8; FOUR] {
    let sign = |value: i8| value >> 7;
    let [p, q, r, s] = [sign(a), sign(b), sign(c), sign(d)];
    [a, p, c, r, b, q, d, s]
}

/// The sums of a group's lanes: of both rows together, and of the second alone.
#[derive(Clone, Copy)]
struct Lanes {
    mixed: vector::Sums,
    second: vector::Sums,
}

impl Lanes {
    const ZERO: Self = Self { mixed: vector::ZERO, second: vector::ZERO };

    /// Adds the products of a group of weights, as bytes of halves.
    #[inline(always)]
    fn add(&mut self, weights: &[u8; GROUP], values: &[i8; FOUR]) {
        let (weights, values) = (vector::load(weights), vector::load_twice(values));
        self.mixed = vector::add_pairs(self.mixed, weights, values);
        self.second = vector::add_pairs(self.second, vector::high_bytes(weights), values);
    }

    /// Returns the sums of the four rows, of values that add up to `total`.
    #[inline(always)]
    fn rows(self, total: i32) -> [i32; ROWS] {
        let pair = |[a, b, c, d]: [i32; 4]| [a.wrapping_add(c), b.wrapping_add(d)];
        let ([mixed_a, mixed_b], [b, d]) = (pair(vector::store(self.mixed)), pair(vector::store(self.second)));
        let first =
            |mixed: i32, second: i32| mixed.wrapping_sub(second.wrapping_shl(8)).wrapping_sub(total.wrapping_shl(7));
        [first(mixed_a, b), b, first(mixed_b, d), d]
    }
}

/// Eight halves at once, with what every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod vector {
    use core::arch::x86_64::*;

    pub(super) type Halves = __m128i;
    pub(super) type Sums = __m128i;

    // SAFETY: both are sixteen bytes of any content.
    pub(super) const ZERO: Sums = unsafe { core::mem::transmute::<[i32; 4], __m128i>([0; 4]) };

    #[inline(always)]
    pub(super) fn load(bytes: &[u8; super::GROUP]) -> Halves {
        // SAFETY: sixteen bytes are read, at any address.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    /// Each pair of halves for both pairs of rows.
    #[inline(always)]
    pub(super) fn load_twice(bytes: &[i8; super::FOUR]) -> Halves {
        // SAFETY: eight bytes are read, at any address.
        unsafe {
            let pairs = _mm_loadl_epi64(bytes.as_ptr().cast());
            _mm_unpacklo_epi32(pairs, pairs)
        }
    }

    #[inline(always)]
    pub(super) fn high_bytes(halves: Halves) -> Halves {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_srai_epi16(halves, 8) }
    }

    #[inline(always)]
    pub(super) fn add_pairs(sums: Sums, weights: Halves, values: Halves) -> Sums {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_add_epi32(sums, _mm_madd_epi16(weights, values)) }
    }

    #[inline(always)]
    pub(super) fn store(sums: Sums) -> [i32; 4] {
        // SAFETY: both are sixteen bytes of any content.
        unsafe { core::mem::transmute(sums) }
    }
}

/// Eight halves one after the other.
#[cfg(not(target_arch = "x86_64"))]
mod vector {
    use super::LANES;

    pub(super) type Halves = [i16; LANES];
    pub(super) type Sums = [i32; 4];

    pub(super) const ZERO: Sums = [0; 4];

    #[inline(always)]
    pub(super) fn load(bytes: &[u8; super::GROUP]) -> Halves {
        let mut halves = [0; LANES];
        halves.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(half, &bytes)| *half = i16::from_le_bytes(bytes));
        halves
    }

    #[inline(always)]
    pub(super) fn load_twice(bytes: &[i8; super::FOUR]) -> Halves {
        let [a, p, c, r, b, q, d, s] = bytes.map(i8::cast_unsigned);
        load(&[a, p, c, r, a, p, c, r, b, q, d, s, b, q, d, s])
    }

    #[inline(always)]
    pub(super) fn high_bytes(halves: Halves) -> Halves {
        halves.map(|half| half >> 8)
    }

    #[inline(always)]
    pub(super) fn add_pairs(mut sums: Sums, weights: Halves, values: Halves) -> Sums {
        let pairs = weights.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0);
        for (sum, (&[a, b], &[x, y])) in sums.iter_mut().zip(pairs) {
            let product = i32::from(a) * i32::from(x) + i32::from(b) * i32::from(y);
            *sum = sum.wrapping_add(product);
        }
        sums
    }

    #[inline(always)]
    pub(super) fn store(sums: Sums) -> [i32; 4] {
        sums
    }
}

/// Returns the sums of a block at both pixels of a patch.
#[inline(never)]
pub(super) fn block(weights: &[u8], patch: &Patch<'_>) -> Sums {
    let taps = weights.len() / ROWS;
    let (groups, left) = weights.as_chunks::<GROUP>();
    let (windows, _) = patch.bytes.as_chunks::<{ COLUMNS * FOUR }>();
    let mut lanes = [Lanes::ZERO; COLUMNS];
    for (group, window) in groups.iter().zip(windows) {
        let (columns, _) = window.as_chunks::<FOUR>();
        for (lanes, values) in lanes.iter_mut().zip(columns) {
            lanes.add(group, values);
        }
    }
    let mut sums = [[0; COLUMNS]; ROWS];
    for ((column, lanes), total) in lanes.into_iter().enumerate().zip(patch.totals) {
        for (row, sum) in sums.iter_mut().zip(lanes.rows(total)) {
            if let Some(place) = row.get_mut(column) {
                *place = sum;
            }
        }
    }
    for (&[a, b, c, d], tap) in left.as_chunks::<ROWS>().0.iter().zip(taps & !3..) {
        let weights = [i32::from(a), i32::from(b.cast_signed()), i32::from(c), i32::from(d.cast_signed())];
        for (row, weight) in sums.iter_mut().zip(weights) {
            for (column, sum) in row.iter_mut().enumerate() {
                *sum = sum.wrapping_add(weight.wrapping_mul(value(patch, column, tap, taps)));
            }
        }
    }
    sums
}

#[inline(always)]
fn value(patch: &Patch<'_>, column: usize, tap: usize, taps: usize) -> i32 {
    let bytes = patch.bytes.get(place(column, tap, taps)..).and_then(|bytes| bytes.first_chunk::<2>());
    bytes.map_or_else(
        || unreachable_in_checked_model!(),
        |bytes| i16::from_le_bytes(bytes.map(i8::cast_unsigned)).into(),
    )
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    let mut sums = [0i32; COLUMNS];
    for (tap, &weight) in weights.iter().enumerate() {
        let weight = i32::from(weight.cast_signed());
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(weight.wrapping_mul(value(patch, column, tap, weights.len())));
        }
    }
    sums
}

/// Returns the sums of a block over a vector, whose values add up to `total`.
#[inline(never)]
pub(super) fn block_of_vector(weights: &[u8], values: &[i8], total: i32) -> [i32; ROWS] {
    let (groups, left) = weights.as_chunks::<GROUP>();
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = Lanes::ZERO;
    for (group, &four) in groups.iter().zip(fours) {
        lanes.add(group, &spread(four));
    }
    let mut sums = lanes.rows(total);
    for (&[a, b, c, d], &value) in left.as_chunks::<ROWS>().0.iter().zip(rest) {
        let weights = [i32::from(a), i32::from(b.cast_signed()), i32::from(c), i32::from(d.cast_signed())];
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(weight.wrapping_mul(value.into()));
        }
    }
    sums
}
