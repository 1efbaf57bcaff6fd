//! Trainable operators on channels-last tensors: a convolution, a depthwise convolution, pools and
//! a rectifier.
//!
//! Each gives the gradients that candle's own operators get wrong or give slowly: strided windows
//! over sides that leave different remainders, pools whose windows overlap, a rectifier that is
//! flat at zero. On the CPU each is one custom operator, spread over the threads of rayon such that
//! the result has the same bits for any number of them. On other devices the same results come from
//! candle's primitive operators (`portable`).
//!
//! All take and give 32-bit floats; results are contiguous.

mod activation;
mod bag;
mod convolution;
mod dense;
mod depthwise;
mod fake;
pub(crate) mod gemm;
mod geometry;
mod layer;
mod norm;
mod pool;
mod portable;
mod storage;
#[cfg(test)]
mod testing;

use attar_shared::text::Grams;
use candle_core::{DType, Result, Tensor, bail};

pub use fake::{Rounding, Scales};
pub use geometry::Window;
pub use norm::EPSILON;

pub(super) use convolution::Convolution;
pub(super) use dense::Dense;
pub(super) use depthwise::Depthwise;
pub(super) use layer::Layer;
pub(super) use norm::BatchNorm;
pub(super) use pool::MaxPool;
pub(super) use storage::CHUNK;
pub(crate) use storage::{accumulate, vectorized, with_floats, with_floats_mut};

/// The convolution of `x` with `weight`, plus `bias` for each output channel.
///
/// # Shape
/// `x` is `[batch, height, width, channels]`, `weight` `[out, kh, kw, channels]` or
/// `[out, kh * kw * channels]`, `bias` `[out]`; the result is `[batch, oh, ow, out]`.
///
/// # Errors
/// When the shapes do not fit each other and the window, or a tensor is not of 32-bit floats.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let [_, _, _, channels] = check_input(OP, x, window)?;
    let [kh, kw] = window.kernel;
    let dims = weight.dims();
    let out = dims.first().copied().unwrap_or(0);
    let patch = kh * kw * channels;
    if out == 0 || (dims != [out, kh, kw, channels] && dims != [out, patch]) {
        bail!("{OP}: weight has shape {dims:?}, expected [out, {kh}, {kw}, {channels}] or [out, {patch}]")
    }
    check_vector(OP, bias, out)?;
    check_floats(OP, &[x, weight, bias])?;
    let weight = weight.reshape((out, patch))?;
    if x.device().is_cpu() {
        convolution::conv2d(x, &weight, bias, window)
    } else {
        portable::conv2d(x, &weight, bias, window)
    }
}

/// `x` times the transpose of `weight`, plus `bias`.
///
/// # Shape
/// `x` is `[batch, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]`; the result is `[batch, outputs]`.
///
/// # Errors
/// When the shapes do not fit each other, or a tensor is not of 32-bit floats.
pub fn dense(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    const OP: &str = "dense";
    let (_, inputs) = x.dims2()?;
    let (outputs, expected) = weight.dims2()?;
    if inputs != expected {
        bail!("{OP}: input has shape {:?}, expected [batch, {expected}]", x.dims())
    }
    check_vector(OP, bias, outputs)?;
    check_floats(OP, &[x, weight, bias])?;
    if x.device().is_cpu() { dense::dense(x, weight, bias) } else { portable::dense(x, weight, bias) }
}

/// The convolution of each channel of `x` with a kernel of its own, plus `bias` for each channel.
///
/// # Shape
/// `x` is `[batch, height, width, channels]`, `weight` `[kh, kw, channels]`, `bias` `[channels]`;
/// the result is `[batch, oh, ow, channels]`.
///
/// # Errors
/// When the shapes do not fit each other and the window, or a tensor is not of 32-bit floats.
pub fn depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    const OP: &str = "depthwise";
    let [_, _, _, channels] = check_input(OP, x, window)?;
    let [kh, kw] = window.kernel;
    if weight.dims() != [kh, kw, channels] {
        bail!("{OP}: weight has shape {:?}, expected [{kh}, {kw}, {channels}]", weight.dims())
    }
    check_vector(OP, bias, channels)?;
    check_floats(OP, &[x, weight, bias])?;
    if x.device().is_cpu() {
        depthwise::depthwise(x, weight, bias, window)
    } else {
        portable::depthwise(x, weight, bias, window)
    }
}

/// The mean of the rows of `weight` that the n-grams of each text choose; 0 for a text without any.
///
/// The words and n-grams are those of the device, found anew in each pass.
///
/// # Shape
/// `x` is `[batch, bytes]`, each byte as the int8 that it is on the board, `weight` `[buckets, channels]`; the result is
/// `[batch, channels]`.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not of 32-bit floats.
pub fn bag(x: &Tensor, weight: &Tensor, grams: &Grams) -> Result<Tensor> {
    const OP: &str = "bag";
    let (_, bytes) = x.dims2()?;
    let (buckets, _) = weight.dims2()?;
    if buckets != grams.buckets as usize {
        bail!("{OP}: weight has shape {:?}, expected [{}, channels]", weight.dims(), grams.buckets)
    }
    check_floats(OP, &[x, weight])?;
    let chosen = bag::chosen(&x.flatten_all()?.to_vec1::<f32>()?, bytes, grams);
    if weight.device().is_cpu() { bag::bag(weight, chosen) } else { portable::bag(weight, &chosen) }
}

/// The greatest value in each window, channel by channel.
///
/// Padding never wins. The gradient goes to the first of equal maxima, in the order of rows and
/// then columns. A window that holds a NaN gives NaN.
///
/// # Shape
/// `x` is `[batch, height, width, channels]`; the result is `[batch, oh, ow, channels]`.
///
/// # Errors
/// When the window does not fit the input, a window holds nothing but padding, or `x` is not of
/// 32-bit floats.
pub fn max_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    const OP: &str = "max_pool";
    let [_, height, width, _] = check_input(OP, x, window)?;
    check_floats(OP, &[x])?;
    for (axis, length) in [height, width].into_iter().enumerate() {
        if let Some(position) = (0..window.out[axis]).find(|&p| window.taps(axis, p, length).is_empty()) {
            bail!("{OP}: {window:?} holds only padding at position {position} of axis {axis}")
        }
    }
    if x.device().is_cpu() { pool::max_pool(x, window) } else { portable::max_pool(x, window) }
}

/// The sum of each window divided by `kh * kw`, channel by channel: padding counts as zero.
///
/// # Shape
/// `x` is `[batch, height, width, channels]`; the result is `[batch, oh, ow, channels]`.
///
/// # Errors
/// When the window does not fit the input or `x` is not of 32-bit floats.
pub fn average_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    const OP: &str = "average_pool";
    check_input(OP, x, window)?;
    check_floats(OP, &[x])?;
    if x.device().is_cpu() { pool::average_pool(x, window) } else { portable::average_pool(x, window) }
}

/// The positive part of `x`; its derivative at zero is 0. NaN stays NaN.
///
/// # Shape
/// Any; the result has the same.
///
/// # Errors
/// When `x` is not of 32-bit floats.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    check_floats("relu", &[x])?;
    if x.device().is_cpu() { activation::relu(x) } else { portable::relu(x) }
}

/// `x` brought to mean 0 and deviation 1 in each channel over the batch and all positions, times `scale`, plus `shift`;
/// with it the means and the variances (n in the denominator) of the batch.
///
/// # Shape
/// `x` is `[batch, height, width, channels]`, `scale` and `shift` `[channels]`; the result has the shape of `x`.
///
/// # Errors
/// When the shapes do not fit each other, or a tensor is not of 32-bit floats.
pub fn batch_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Vec<f32>, Vec<f32>)> {
    const OP: &str = "batch_norm";
    let (.., channels) = x.dims4()?;
    check_vector(OP, scale, channels)?;
    check_vector(OP, shift, channels)?;
    check_floats(OP, &[x, scale, shift])?;
    if x.device().is_cpu() { norm::batch_norm(x, scale, shift) } else { portable::batch_norm(x, scale, shift) }
}

/// `x` rounded to integers and back; the gradient passes as if nothing had been done wherever an integer reaches the value,
/// and is 0 elsewhere (straight-through, Bengio et al. 2013).
///
/// # Shape
/// Any; the result has the same.
///
/// # Errors
/// When `x` is not of 32-bit floats.
pub fn fake_quantize(x: &Tensor, rounding: &Rounding) -> Result<Tensor> {
    check_floats("fake_quantize", &[x])?;
    if x.device().is_cpu() { fake::fake_quantize(x, rounding) } else { portable::fake_quantize(x, rounding) }
}

/// `[batch, height, width, channels]` of an input that the window fits.
fn check_input(op: &str, x: &Tensor, window: &Window) -> Result<[usize; 4]> {
    let &[batch, height, width, channels] = x.dims() else {
        bail!("{op}: input has shape {:?}, expected [batch, height, width, channels]", x.dims())
    };
    if channels == 0 {
        bail!("{op}: input has no channels, expected at least 1")
    }
    window.check(op, [height, width])?;
    Ok([batch, height, width, channels])
}

fn check_vector(op: &str, bias: &Tensor, len: usize) -> Result<()> {
    if bias.dims() != [len] {
        bail!("{op}: bias has shape {:?}, expected [{len}]", bias.dims())
    }
    Ok(())
}

fn check_floats(op: &str, tensors: &[&Tensor]) -> Result<()> {
    for tensor in tensors {
        if tensor.dtype() != DType::F32 {
            bail!("{op}: a tensor holds {:?}, expected F32", tensor.dtype())
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    const WINDOW: Window = Window { kernel: [3, 2], stride: [1, 1], dilation: [1, 1], pad: [0, 0], out: [2, 3] };

    fn zeros(dims: &[usize]) -> Tensor {
        Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
    }

    fn message(result: Result<Tensor>) -> String {
        let text = result.unwrap_err().to_string();
        text.lines().next().unwrap().to_string()
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_with_expected_and_got() {
        let x = zeros(&[1, 4, 4, 5]);
        let (weight, bias) = (zeros(&[7, 3, 2, 5]), zeros(&[7]));
        assert_eq!(
            message(conv2d(&zeros(&[4, 4, 5]), &weight, &bias, &WINDOW)),
            "conv2d: input has shape [4, 4, 5], expected [batch, height, width, channels]"
        );
        assert_eq!(
            message(conv2d(&x, &zeros(&[7, 3, 3, 5]), &bias, &WINDOW)),
            "conv2d: weight has shape [7, 3, 3, 5], expected [out, 3, 2, 5] or [out, 30]"
        );
        assert_eq!(message(conv2d(&x, &weight, &zeros(&[6]), &WINDOW)), "conv2d: bias has shape [6], expected [7]");
        assert_eq!(
            message(depthwise(&x, &zeros(&[3, 2, 4]), &zeros(&[5]), &WINDOW)),
            "depthwise: weight has shape [3, 2, 4], expected [3, 2, 5]"
        );
        assert_eq!(
            message(depthwise(&x, &zeros(&[3, 2, 5]), &zeros(&[5, 1]), &WINDOW)),
            "depthwise: bias has shape [5, 1], expected [5]"
        );
        assert_eq!(
            message(average_pool(&zeros(&[1, 4, 4, 0]), &WINDOW)),
            "average_pool: input has no channels, expected at least 1"
        );
        assert!(conv2d(&x, &zeros(&[]), &bias, &WINDOW).is_err());
        assert!(conv2d(&x, &zeros(&[0, 30]), &zeros(&[0]), &WINDOW).is_err());
        assert!(conv2d(&x, &zeros(&[7, 30]), &bias, &WINDOW).is_ok());
    }

    #[test]
    fn doubles_are_an_error() {
        let x = zeros(&[1, 4, 4, 5]).to_dtype(DType::F64).unwrap();
        assert_eq!(message(relu(&x)), "relu: a tensor holds F64, expected F32");
        assert!(max_pool(&x, &WINDOW).is_err());
    }

    #[test]
    fn a_maximum_over_nothing_but_padding_is_an_error() {
        // With a dilation of 4, rows -2 and 2 of an input of two rows: both are padding.
        let window = Window { kernel: [2, 1], stride: [1, 1], dilation: [4, 1], pad: [2, 0], out: [1, 1] };
        let x = zeros(&[1, 2, 1, 1]);
        assert!(message(max_pool(&x, &window)).contains("only padding at position 0 of axis 0"));
        assert!(average_pool(&x, &window).is_ok());
    }

    #[test]
    fn an_empty_batch_gives_an_empty_result() {
        let x = zeros(&[0, 4, 4, 5]);
        for result in [
            conv2d(&x, &zeros(&[7, 3, 2, 5]), &zeros(&[7]), &WINDOW),
            depthwise(&x, &zeros(&[3, 2, 5]), &zeros(&[5]), &WINDOW),
            max_pool(&x, &WINDOW),
            average_pool(&x, &WINDOW),
        ] {
            assert_eq!(result.unwrap().dims()[..3], [0, 2, 3]);
        }
    }
}
