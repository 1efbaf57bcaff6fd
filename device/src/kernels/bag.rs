//! The embedding bag: the mean of the rows that a text's n-grams choose.

use attar_shared::Bag;

use super::ViewMut;

/// Channels that are averaged side by side.
const BLOCK: usize = 16;

/// Computes an embedding bag over the bytes of a text; its n-grams are found anew for every 16 channels.
#[inline(never)]
pub(crate) fn bag(text: &[i8], bag: &Bag<'_>, output: ViewMut<'_>) {
    let depth = output.values.len();
    let finish = output.finish();
    for (block, places) in output.values.chunks_mut(BLOCK).enumerate() {
        let first = block.wrapping_mul(BLOCK);
        let mut sums = [0i32; BLOCK];
        let mut count = 0i32;
        bag.grams.each(&text, |bucket| {
            let start = (bucket as usize).wrapping_mul(depth).wrapping_add(first);
            let row = bag
                .rows
                .get(start..start.wrapping_add(places.len()))
                .unwrap_or_else(|| unreachable_in_checked_model!());
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum = sum.wrapping_add(i32::from(weight.cast_signed())));
            count = count.wrapping_add(1);
        });
        for (place, &sum) in places.iter_mut().zip(&sums) {
            *place = finish(mean(sum, count), bag.requantization);
        }
    }
}

/// Returns `floor((512 * sum + count) / (2 * count))`, 256 times the mean; 0 of nothing.
fn mean(sum: i32, count: i32) -> i32 {
    let twice = count.wrapping_mul(2);
    sum.wrapping_mul(512).wrapping_add(count).checked_div_euclid(twice).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_round_halves_up_and_extremes_fit() {
        assert_eq!((mean(1, 1), mean(-1, 1), mean(0, 0)), (256, -256, 0));
        assert_eq!((mean(1, 512), mean(-1, 512), mean(-3, 512)), (1, 0, -1));
        let most = attar_shared::text::MAX_GRAMS as i32;
        assert_eq!((mean(-128 * most, most), mean(127 * most, most)), (-128 * 256, 127 * 256));
    }
}
