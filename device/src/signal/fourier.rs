//! The Fourier transform in integers: radix 2 over half as many complex values, each stage halving its results, then the split
//! into the lines of a real series (Cooley and Tukey 1965; Brigham, The Fast Fourier Transform, 1974, section 10-10).

use super::arithmetic::times;

/// Transforms a real series of 2^n values, n from 4 to 11, of at most 2^29, in place: value 2k and 2k + 1 become the real and the
/// imaginary part of line k, divided by half the length of the series. `sine` is a quarter of a sine, 0 to 2^15, with one entry
/// more than a quarter of the values.
#[inline(never)]
pub(super) fn transform(values: &mut [i32], sine: &[u8]) {
    let quarter = Quarter(sine.as_chunks::<2>().0);
    let (points, _) = values.as_chunks_mut::<2>();
    let count = points.len();
    reorder(points);
    first_two(points);
    let mut half = 4;
    while half < count {
        // A step of the table is 1/(2 count) of a turn, one of this stage 1/(2 half).
        stage(points, half, &quarter, count / half.max(1));
        half *= 2;
    }
    split(points, &quarter);
}

/// The sines of a quarter turn.
struct Quarter<'t>(&'t [[u8; 2]]);

impl Quarter<'_> {
    /// Returns cosine and sine of the angles of the first quarter, so many steps apart, from 0 on.
    fn angles(&self, step: usize) -> impl Iterator<Item = (i32, i32)> + Clone + '_ {
        let number = |entry: &[u8; 2]| i32::from(u16::from_le_bytes(*entry));
        let sines = self.0.iter().step_by(step.max(1)).map(number);
        let cosines = self.0.iter().rev().step_by(step.max(1)).map(number);
        cosines.zip(sines)
    }
}

/// Puts each value where the reversed bits of its place say.
fn reorder(points: &mut [[i32; 2]]) {
    let count = points.len();
    let mut reversed = 0;
    for place in 1..count {
        let mut bit = count / 2;
        while reversed & bit != 0 {
            reversed ^= bit;
            bit /= 2;
        }
        reversed |= bit;
        if let Ok([one, other]) = points.get_disjoint_mut([place, reversed])
            && place < reversed
        {
            core::mem::swap(one, other);
        }
    }
}

/// The first two stages, whose factors are 1 and -i.
fn first_two(points: &mut [[i32; 2]]) {
    for [a, b, c, d] in points.as_chunks_mut::<4>().0 {
        let ([ar, ai], [br, bi]) = sum_and_difference(*a, *b);
        let ([cr, ci], [dr, di]) = sum_and_difference(*c, *d);
        (*a, *c) = sum_and_difference([ar, ai], [cr, ci]);
        (*b, *d) = sum_and_difference([br, bi], [di, dr.wrapping_neg()]);
    }
}

/// A stage that joins pairs of transforms of `half` values.
fn stage(points: &mut [[i32; 2]], half: usize, quarter: &Quarter<'_>, step: usize) {
    for block in points.chunks_exact_mut((2 * half).max(1)) {
        let Some((lower, upper)) = block.split_at_mut_checked(half) else { return };
        let Some((low, low_next)) = lower.split_at_mut_checked(half / 2) else { return };
        let Some((high, high_next)) = upper.split_at_mut_checked(half / 2) else { return };
        // An angle of the first quarter serves the one a quarter further too.
        let firsts = low.iter_mut().zip(high).zip(quarter.angles(step));
        let seconds = low_next.iter_mut().zip(high_next);
        for (((a, b), (cos, sin)), (c, d)) in firsts.zip(seconds) {
            let turned = turn(*b, cos, sin);
            (*a, *b) = sum_and_difference(*a, turned);
            let turned = turn(*d, sin.wrapping_neg(), cos);
            (*c, *d) = sum_and_difference(*c, turned);
        }
    }
}

/// Makes lines of the transform of even values and odd ones as real and imaginary parts.
fn split(points: &mut [[i32; 2]], quarter: &Quarter<'_>) {
    let middle = points.len() / 2;
    let Some((front, back)) = points.split_at_mut_checked(middle) else { return };
    let pairs = front.iter_mut().skip(1).zip(back.iter_mut().skip(1).rev());
    for ((a, b), (cos, sin)) in pairs.zip(quarter.angles(1).skip(1)) {
        let ([even_r, odd_r], [difference, even_i]) = sum_and_difference(*a, *b);
        let [turned_r, turned_i] = turn([odd_r, difference.wrapping_neg()], cos, sin);
        *a = [even_r.wrapping_add(turned_r), even_i.wrapping_add(turned_i)];
        *b = [even_r.wrapping_sub(turned_r), turned_i.wrapping_sub(even_i)];
    }
    if let Some(first) = front.first_mut() {
        *first = [first[0].wrapping_add(first[1]), 0];
    }
    if let Some(half) = back.first_mut() {
        half[1] = half[1].wrapping_neg();
    }
}

/// Returns half the sum and half the difference.
#[inline(always)]
fn sum_and_difference(a: [i32; 2], b: [i32; 2]) -> ([i32; 2], [i32; 2]) {
    let ([ar, ai], [br, bi]) = (a, b);
    ([ar.wrapping_add(br) >> 1, ai.wrapping_add(bi) >> 1], [ar.wrapping_sub(br) >> 1, ai.wrapping_sub(bi) >> 1])
}

/// Returns a value turned back by an angle.
#[inline(always)]
fn turn([re, im]: [i32; 2], cos: i32, sin: i32) -> [i32; 2] {
    [times(re, cos).wrapping_add(times(im, sin)), times(im, cos).wrapping_sub(times(re, sin))]
}
