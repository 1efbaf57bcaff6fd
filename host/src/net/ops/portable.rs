//! The operators from candle's primitive ones, with candle's gradients, for CUDA and Metal.
//!
//! A window is taken apart into its taps: for each, the input shifted, strided and padded. Neither
//! candle's `conv2d` (one stride for both axes, gradients that fail where the sides leave different
//! remainders) nor its pools (wrong gradients) can do what [`Window`] says.

use super::{Rounding, Scales, Window};
use candle_core::{Result, Tensor};

/// See [`super::conv2d`]; here `weight` is `[out, kh * kw * channels]`.
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let patches = Tensor::cat(&taps(x, window, 0.0)?, 3)?;
    let (batch, oh, ow, patch) = patches.dims4()?;
    patches.reshape((batch * oh * ow, patch))?.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape((
        batch,
        oh,
        ow,
        weight.dim(0)?,
    ))
}

/// See [`super::bag()`]: a product with how often each row is chosen, over how many are.
pub(super) fn bag(weight: &Tensor, chosen: &[Vec<u32>]) -> Result<Tensor> {
    let buckets = weight.dim(0)?;
    let mut shares = vec![0.0f32; chosen.len() * buckets];
    for (shares, chosen) in shares.chunks_exact_mut(buckets).zip(chosen) {
        chosen.iter().for_each(|&bucket| shares[bucket as usize] += 1.0 / chosen.len() as f32);
    }
    Tensor::from_vec(shares, (chosen.len(), buckets), weight.device())?.matmul(weight)
}

/// See [`super::dense()`].
pub(super) fn dense(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// See [`super::depthwise()`].
pub(super) fn depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let weight = weight.flatten_to(1)?;
    let mut sum: Option<Tensor> = None;
    for (index, tap) in taps(x, window, 0.0)?.iter().enumerate() {
        let term = tap.broadcast_mul(&weight.get(index)?)?;
        sum = Some(match sum {
            Some(sum) => (sum + term)?,
            None => term,
        });
    }
    match sum {
        Some(sum) => sum.broadcast_add(bias),
        None => candle_core::bail!("depthwise: {window:?} has no taps"),
    }
}

/// See [`super::max_pool`].
pub(super) fn max_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    let mut taps = taps(x, window, f32::NEG_INFINITY)?.into_iter();
    let Some(mut best) = taps.next() else { candle_core::bail!("max_pool: {window:?} has no taps") };
    for tap in taps {
        // A choice sends the gradient to one of equals; `maximum` would split it.
        let wins = (tap.gt(&best)? + tap.ne(&tap)?)?;
        best = wins.where_cond(&tap, &best)?;
    }
    Ok(best)
}

/// See [`super::average_pool`].
pub(super) fn average_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    let taps = taps(x, window, 0.0)?;
    let count = taps.len() as f64;
    let Some(sum) = taps.into_iter().map(Ok).reduce(|sum, tap| sum? + tap?) else {
        candle_core::bail!("average_pool: {window:?} has no taps")
    };
    sum? / count
}

/// See [`super::relu`].
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    x.le(0.0)?.where_cond(&x.zeros_like()?, &x)
}

/// See [`super::batch_norm`].
pub(super) fn batch_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Vec<f32>, Vec<f32>)> {
    let rows = x.flatten_to(2)?;
    let mean = rows.mean_keepdim(0)?;
    let centred = rows.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(0)?;
    let normal = centred.broadcast_div(&(&variance + f64::from(super::EPSILON))?.sqrt()?)?;
    let y = normal.broadcast_mul(scale)?.broadcast_add(shift)?.reshape(x.shape())?;
    Ok((y, mean.flatten_all()?.to_vec1()?, variance.flatten_all()?.to_vec1()?))
}

/// See [`super::fake_quantize`].
pub(super) fn fake_quantize(x: &Tensor, rounding: &Rounding) -> Result<Tensor> {
    let count = rounding.scales.len();
    let scales = Tensor::from_slice(&rounding.scales, count, x.device())?;
    let flat = match rounding.by {
        Scales::Rows(len) => x.reshape((count, len))?,
        Scales::Columns => x.reshape((x.elem_count() / count, count))?,
    };
    let scales = match rounding.by {
        Scales::Rows(_) => scales.unsqueeze(1)?,
        Scales::Columns => scales,
    };
    let steps = (flat.broadcast_div(&scales)? + f64::from(rounding.zero))?;
    // Candle's clamp passes the gradient inside only.
    let inside = steps.clamp(rounding.least - 0.5, rounding.most + 0.5)?;
    let rounded = steps.round()?.clamp(rounding.least, rounding.most)?;
    let straight = (&inside + (rounded - &inside)?.detach())?;
    (straight - f64::from(rounding.zero))?.broadcast_mul(&scales)?.reshape(x.shape())
}

/// For each tap of the window the values that the output positions see through it,
/// `[batch, oh, ow, channels]`; `padding` beside the input.
fn taps(x: &Tensor, window: &Window, padding: f32) -> Result<Vec<Tensor>> {
    let x = pad(&pad(x, window, 0, padding)?, window, 1, padding)?;
    let mut taps = Vec::with_capacity(window.kernel[0] * window.kernel[1]);
    for ky in 0..window.kernel[0] {
        let rows = tap(&x, window, 0, ky)?;
        for kx in 0..window.kernel[1] {
            taps.push(tap(&rows, window, 1, kx)?.contiguous()?);
        }
    }
    Ok(taps)
}

/// `x` with `value` before and after the input along `axis`, as far as the window reaches.
fn pad(x: &Tensor, window: &Window, axis: usize, value: f32) -> Result<Tensor> {
    let dim = axis + 1;
    let before = window.pad[axis];
    let reach = (window.out[axis] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    let after = reach.saturating_sub(before + x.dim(dim)?);
    let border = |len: usize| {
        let mut dims = x.dims().to_vec();
        dims[dim] = len;
        Tensor::full(value, dims, x.device())
    };
    match (before, after) {
        (0, 0) => Ok(x.clone()),
        (0, after) => Tensor::cat(&[x, &border(after)?], dim),
        (before, 0) => Tensor::cat(&[&border(before)?, x], dim),
        (before, after) => Tensor::cat(&[&border(before)?, x, &border(after)?], dim),
    }
}

/// What the output positions see of the padded `x` through one tap, along one axis.
fn tap(x: &Tensor, window: &Window, axis: usize, tap: usize) -> Result<Tensor> {
    let (dim, out, stride) = (axis + 1, window.out[axis], window.stride[axis]);
    let start = tap * window.dilation[axis];
    if stride == 1 {
        return x.narrow(dim, start, out);
    }
    let positions: Vec<u32> = (0..out).map(|p| (start + p * stride) as u32).collect();
    let positions = Tensor::from_vec(positions, out, x.device())?;
    x.contiguous()?.index_select(&positions, dim)
}
