//! Rows of weights times what a window shows: the driver of convolution and dense for weights of any width.

use core::ops::Range;

use attar_shared::{Channels, ROWS};

use super::Slide;
use super::slide::{Finish, Pixel};
use super::window::{Over, Run};

/// Pixels that are computed side by side, so that each weight is read once for both.
pub(super) const COLUMNS: usize = 2;

/// Sums of a block of output channels, each at every pixel.
pub(super) type Sums = [[i32; COLUMNS]; ROWS];

/// Rows of weights in blocks, of any width and for any core.
pub(super) trait Rows: Copy {
    /// What a patch takes for each tap of both pixels.
    const BYTES: usize;

    /// Puts what a run of a window shows into a patch of so many taps, from a tap on; how many times which value is padding.
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, taps: usize);

    /// Puts rows of values, a step apart, into a patch that holds all its taps, and returns whether it could.
    #[inline(always)]
    fn lay_rows(
        _patch: &mut Patch<'_>,
        _column: usize,
        _values: &[i8],
        _step: usize,
        _rows: usize,
        _len: usize,
    ) -> bool {
        false
    }

    /// Adds to the sums of a block the products of some taps with a patch that holds them.
    fn block(self, block: usize, taps: Range<usize>, patch: &Patch<'_>, sums: &mut Sums);

    /// Adds to the sums of one row of those that fill no block.
    fn row(self, row: usize, taps: Range<usize>, patch: &Patch<'_>, sums: &mut [i32; COLUMNS]);

    /// Computes all whole blocks of channels of a pair of pixels from a patch that holds all taps, end and all, where the core
    /// has something better than a block at a time; returns how many.
    #[inline(always)]
    fn blocks(
        self,
        _slide: &mut Slide<'_>,
        _pair: [Option<Pixel>; COLUMNS],
        _patch: &Patch<'_>,
        _channels: Channels<'_>,
        _finish: &Finish,
    ) -> usize {
        0
    }

    /// As [`Rows::blocks`], of a vector whose values add up to `total`.
    #[inline(always)]
    fn blocks_of_vector(self, _slide: &mut Slide<'_>, _total: i32, _channels: Channels<'_>, _finish: &Finish) -> usize {
        0
    }

    /// Returns the sums of a block over all values of a vector, whose sum is `total`.
    fn block_of_vector(self, block: usize, values: &[i8], total: i32) -> [i32; ROWS];

    /// Returns the sum of a row of those that fill no block.
    fn row_of_vector(self, row: usize, values: &[i8]) -> i32;
}

/// What a window shows at two pixels, laid out for a kernel.
pub(super) struct Patch<'a> {
    /// The values, in the order of the kernel that reads them; aligned to four bytes.
    pub(super) bytes: &'a mut [i8],
    /// The sum of each pixel's values.
    pub(super) totals: [i32; COLUMNS],
}

impl Patch<'_> {
    /// Adds to the sums of a block its own sums, of which those of the first and third row are of weights raised by 128.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn add_raised(&self, sums: &mut Sums, mut own: Sums) {
        let [a, _, c, _] = &mut own;
        for row in [a, c] {
            row.iter_mut().zip(self.totals).for_each(|(sum, total)| *sum = sum.wrapping_sub(total.wrapping_shl(7)));
        }
        for (sums, own) in sums.iter_mut().zip(own) {
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.wrapping_add(own));
        }
    }
}

/// Bytes of the stack that a patch may take where the arena has none to spare.
const PATCH_BYTES: usize = if cfg!(target_pointer_width = "64") { 16_384 } else { 592 };

/// Blocks that are computed on the same part of a patch where it does not hold all taps.
const TOGETHER: usize = 8;

/// The greatest window, in values, that is put together before it is laid out where its runs do not come in fours.
const SMALL: usize = 64;

#[repr(align(4))]
struct Aligned([i8; PATCH_BYTES]);

/// Computes every pixel of a convolution.
#[inline(never)]
pub(super) fn pixels<R: Rows>(mut slide: Slide<'_>, over: &Over, channels: Channels<'_>, rows: R) {
    let mut own = Aligned([0; PATCH_BYTES]);
    let spare = core::mem::take(&mut slide.scratch);
    let spare = spare.get_mut(spare.as_ptr().align_offset(4)..).unwrap_or_default();
    let len = over.len();
    let bytes = if len.wrapping_mul(R::BYTES) > PATCH_BYTES && spare.len() > PATCH_BYTES { spare } else { &mut own.0 };
    let capacity = (bytes.len() / R::BYTES) & !3;
    let patch = Patch { bytes, totals: [0; COLUMNS] };
    let finish = slide.finish();
    let driver = Driver { over, channels, rows, finish };
    if len <= capacity {
        driver.whole(&mut slide, patch);
    } else {
        driver.chunked(&mut slide, patch, capacity);
    }
}

/// What all pixels have in common.
struct Driver<'a, R> {
    over: &'a Over,
    channels: Channels<'a>,
    rows: R,
    finish: Finish,
}

impl<R: Rows> Driver<'_, R> {
    /// Computes all pixels where a patch holds all that a window shows.
    #[inline(always)]
    fn whole(&self, slide: &mut Slide<'_>, mut patch: Patch<'_>) {
        let taps = 0..self.over.len();
        let count = usize::from(slide.output.shape.channels);
        let mut pixels = slide.pixels();
        while let Some(first) = pixels.next() {
            // Both are read before either is written.
            let pair = [Some(first), pixels.next()];
            self.gather(slide, pair, &taps, &mut patch);
            let done = self.rows.blocks(slide, pair, &patch, self.channels, &self.finish);
            for block in done..count / ROWS {
                let mut sums = [[0; COLUMNS]; ROWS];
                self.rows.block(block, taps.clone(), &patch, &mut sums);
                self.end_block(slide, pair, block, sums);
            }
            for row in count / ROWS * ROWS..count {
                let mut sums = [0; COLUMNS];
                self.rows.row(row, taps.clone(), &patch, &mut sums);
                self.end_row(slide, pair, row, sums);
            }
        }
    }

    /// Computes all pixels where a patch is too small, some taps at a time, anew for every [`TOGETHER`] blocks.
    #[inline(never)]
    fn chunked(&self, slide: &mut Slide<'_>, mut patch: Patch<'_>, capacity: usize) {
        let len = self.over.len();
        let chunks = || (0..len).step_by(capacity.max(1)).map(|from| from..len.min(from.wrapping_add(capacity)));
        let count = usize::from(slide.output.shape.channels);
        // The first channels of a pair are written before its last have read their windows, which bears no overlap.
        let pairs = slide.is_apart();
        let mut pixels = slide.pixels();
        while let Some(first) = pixels.next() {
            let pair = [Some(first), if pairs { pixels.next() } else { None }];
            for first in (0..count / ROWS).step_by(TOGETHER) {
                let mut sums = [[[0; COLUMNS]; ROWS]; TOGETHER];
                let blocks = first..(count / ROWS).min(first.wrapping_add(TOGETHER));
                for taps in chunks() {
                    self.gather(slide, pair, &taps, &mut patch);
                    for (block, sums) in blocks.clone().zip(&mut sums) {
                        self.rows.block(block, taps.clone(), &patch, sums);
                    }
                }
                for (block, sums) in blocks.zip(sums) {
                    self.end_block(slide, pair, block, sums);
                }
            }
            for row in count / ROWS * ROWS..count {
                let mut sums = [0; COLUMNS];
                for taps in chunks() {
                    self.gather(slide, pair, &taps, &mut patch);
                    self.rows.row(row, taps, &patch, &mut sums);
                }
                self.end_row(slide, pair, row, sums);
            }
        }
    }

    /// Requantises and writes a block of channels of a pair of pixels.
    #[inline(always)]
    fn end_block(&self, slide: &mut Slide<'_>, [first, second]: [Option<Pixel>; COLUMNS], block: usize, sums: Sums) {
        let channel = block.wrapping_mul(ROWS);
        if let Some(pixel) = first {
            slide.end(&self.finish, &self.channels, pixel, channel, &sums.map(|[sum, _]| sum));
        }
        if let Some(pixel) = second {
            slide.end(&self.finish, &self.channels, pixel, channel, &sums.map(|[_, sum]| sum));
        }
    }

    /// Requantises and writes a channel of a pair of pixels.
    #[inline(always)]
    fn end_row(&self, slide: &mut Slide<'_>, pair: [Option<Pixel>; COLUMNS], row: usize, sums: [i32; COLUMNS]) {
        for (pixel, sum) in pair.into_iter().zip(sums) {
            if let Some(pixel) = pixel {
                slide.end(&self.finish, &self.channels, pixel, row, &[sum]);
            }
        }
    }

    /// Lays some of what the window shows at a pair of pixels into a patch, which begins with the first of these taps.
    #[inline(always)]
    fn gather(&self, slide: &Slide<'_>, pair: [Option<Pixel>; COLUMNS], taps: &Range<usize>, patch: &mut Patch<'_>) {
        patch.totals = [0; COLUMNS];
        for (column, pixel) in pair.into_iter().enumerate() {
            if let Some(pixel) = pixel {
                self.gather_column(slide, pixel, column, taps, patch);
            }
        }
    }

    #[inline(never)]
    fn gather_column(
        &self,
        slide: &Slide<'_>,
        pixel: Pixel,
        column: usize,
        taps: &Range<usize>,
        patch: &mut Patch<'_>,
    ) {
        let len = self.over.len();
        if taps.len() == len
            && let Some(at) = self.over.within(pixel)
        {
            let (rows, row) = (self.over.vertical.kernel as usize, self.over.row);
            let width = (self.over.horizontal.kernel as usize).wrapping_mul(self.over.depth);
            let reach = rows.wrapping_sub(1).wrapping_mul(row).wrapping_add(width);
            let values = slide.values(at, reach).unwrap_or_default();
            if R::lay_rows(patch, column, values, row, rows, width) {
                return;
            }
        }
        if taps.len() == len && len <= SMALL && !self.over.depth.is_multiple_of(4) {
            let mut window = [slide.input.zero_point; SMALL];
            self.over.runs(pixel, |place, run, len| {
                if let Run::Values(first) = run {
                    let values = slide.values(first, len).unwrap_or_default();
                    let places = window.get_mut(place..).unwrap_or_default();
                    places.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
                }
            });
            R::lay(patch, column, 0, Ok(window.get(..len).unwrap_or_default()), len);
            return;
        }
        self.over.runs(pixel, |place, run, len| {
            let (from, end) = (place.max(taps.start), place.wrapping_add(len).min(taps.end));
            if from < end {
                let (skipped, len) = (from.wrapping_sub(place), end.wrapping_sub(from));
                let values = match run {
                    Run::Values(first) => Ok(slide.values(first.wrapping_add(skipped), len).unwrap_or_default()),
                    Run::Padding => Err((len, slide.input.zero_point)),
                };
                R::lay(patch, column, from.wrapping_sub(taps.start), values, taps.len());
            }
        });
    }
}

/// Computes every output of a dense layer.
#[inline(never)]
pub(super) fn vector<R: Rows>(mut slide: Slide<'_>, channels: Channels<'_>, rows: R) {
    let finish = slide.finish();
    let pixel = Pixel { index: 0, y: 0, x: 0 };
    let count = usize::from(slide.output.shape.channels);
    let total = slide.all().iter().fold(0i32, |total, &value| total.wrapping_add(value.into()));
    let done = rows.blocks_of_vector(&mut slide, total, channels, &finish);
    for block in done..count / ROWS {
        let sums = rows.block_of_vector(block, slide.all(), total);
        slide.end(&finish, &channels, pixel, block.wrapping_mul(ROWS), &sums);
    }
    for row in count / ROWS * ROWS..count {
        let sum = rows.row_of_vector(row, slide.all());
        slide.end(&finish, &channels, pixel, row, &[sum]);
    }
}
