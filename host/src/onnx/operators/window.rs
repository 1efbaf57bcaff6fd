//! Where the windows of convolutions and pools lie. One to three dimensions of space are held as three.

use anyhow::{Context, Result, bail, ensure};

use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::count;

/// The attributes of a window.
#[derive(Debug, Clone)]
pub(super) struct Window {
    kernel: Option<Vec<i64>>,
    strides: Option<Vec<i64>>,
    dilations: Option<Vec<i64>>,
    pads: Option<Vec<i64>>,
    auto: AutoPad,
    ceil: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// As `pads` says.
    Explicit,
    SameUpper,
    SameLower,
    Valid,
}

/// The windows over an input of one shape: one value an axis, `[depth, height, width]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub(super) input: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) strides: [usize; 3],
    pub(super) dilations: [usize; 3],
    /// Padding before the first value.
    pub(super) before: [usize; 3],
    /// Padding behind the last value, without what `ceil_mode` adds.
    pub(super) behind: [usize; 3],
}

impl Window {
    /// Takes the attributes.
    pub(super) fn take(attributes: &mut Attributes) -> Result<Self> {
        let auto = match attributes.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => AutoPad::Explicit,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            other => bail!("attribute \"auto_pad\" is {other:?}, which is not known"),
        };
        let pads = attributes.ints("pads")?;
        let none = pads.iter().flatten().all(|&pad| pad == 0);
        ensure!(auto == AutoPad::Explicit || none, "has pads and auto_pad, which contradict each other");
        Ok(Self {
            kernel: attributes.ints("kernel_shape")?,
            strides: attributes.ints("strides")?,
            dilations: attributes.ints("dilations")?,
            pads,
            auto,
            ceil: false,
        })
    }

    /// As [`Window::take`], with the attribute of pools.
    pub(super) fn take_with_ceil(attributes: &mut Attributes) -> Result<Self> {
        let ceil = attributes.flag("ceil_mode", false)?;
        Ok(Self { ceil, ..Self::take(attributes)? })
    }

    /// Returns the windows over an input of `[batch, channels, space...]`; `kernel` is that of the weights, if there are any.
    ///
    /// # Errors
    ///
    /// When the attributes are not of this many dimensions, contradict the weights, or leave no window.
    pub(super) fn over(&self, shape: &[usize], kernel: Option<&[usize]>) -> Result<Windows> {
        let space = space_of(shape)?;
        let axes = space.len();
        let kernel = self.kernel_of(axes, kernel)?;
        let [strides, dilations] = self.steps(axes)?;
        let mut windows = Windows {
            input: three(space, 1),
            kernel: three(&kernel, 1),
            output: [1; 3],
            strides: three(&strides, 1),
            dilations: three(&dilations, 1),
            before: [0; 3],
            behind: [0; 3],
        };
        let pads = self.pads_of(axes)?;
        for (axis, &[mut before, mut behind]) in pads.iter().enumerate() {
            let at = 3 - axes + axis;
            let (len, stride) = (windows.input[at], windows.strides[at]);
            let field = field_of(windows.kernel[at], windows.dilations[at])?;
            windows.output[at] = match self.auto {
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let output = len.div_ceil(stride);
                    let pad = (output.saturating_sub(1) * stride + field).saturating_sub(len);
                    [before, behind] = match self.auto {
                        AutoPad::SameLower => [pad - pad / 2, pad / 2],
                        _ => [pad / 2, pad - pad / 2],
                    };
                    output
                }
                AutoPad::Explicit | AutoPad::Valid => {
                    let room = len + before + behind;
                    ensure!(field <= room, "slides a kernel of {field} over {room} values: give it larger inputs");
                    let gaps = room - field;
                    let mut output = if self.ceil { gaps.div_ceil(stride) } else { gaps / stride } + 1;
                    // A window that begins in the padding behind is left out.
                    if self.ceil && (output - 1) * stride >= len + before {
                        output -= 1;
                    }
                    output
                }
            };
            windows.before[at] = before;
            windows.behind[at] = behind;
        }
        count(&windows.output)?;
        Ok(windows)
    }

    /// Returns the windows of a transposed convolution: `output` is that of the convolution that it turns round.
    ///
    /// # Errors
    ///
    /// As [`Window::over`].
    pub(super) fn transposed(
        &self,
        shape: &[usize],
        kernel: &[usize],
        extra: &[i64],
        wanted: Option<&[i64]>,
    ) -> Result<Windows> {
        let space = space_of(shape)?;
        let axes = space.len();
        let kernel = self.kernel_of(axes, Some(kernel))?;
        let [strides, dilations] = self.steps(axes)?;
        let pads = self.pads_of(axes)?;
        let extra = list("output_padding", Some(extra).filter(|extra| !extra.is_empty()), axes, 0)?;
        let wanted = match wanted {
            // Some files give the batch and the channels too.
            Some(all) if all.len() == axes + 2 => Some(&all[2..]),
            other => other,
        };
        ensure!(wanted.is_none_or(|wanted| wanted.len() == axes), "attribute \"output_shape\" has the wrong length");
        let mut windows = Windows {
            input: [1; 3],
            kernel: three(&kernel, 1),
            output: three(space, 1),
            strides: three(&strides, 1),
            dilations: three(&dilations, 1),
            before: [0; 3],
            behind: [0; 3],
        };
        for axis in 0..axes {
            let at = 3 - axes + axis;
            let (len, stride, extra) = (windows.output[at], windows.strides[at], extra[axis]);
            ensure!(len > 0, "turns round an input without values");
            let field = field_of(windows.kernel[at], windows.dilations[at])?;
            ensure!(extra < stride.max(windows.dilations[at]), "attribute \"output_padding\" is not below the stride");
            let full = (len - 1) * stride + field + extra;
            let wanted = match (wanted, self.auto) {
                (Some(wanted), _) => Some(usize::try_from(wanted[axis]).ok().context("output_shape is negative")?),
                (None, AutoPad::SameUpper | AutoPad::SameLower) => Some(len * stride),
                _ => None,
            };
            let [before, behind] = match wanted {
                None => pads[axis],
                Some(wanted) => {
                    let cut = full.checked_sub(wanted);
                    let cut = cut.with_context(|| format!("asks for {wanted} values where {full} come to be"))?;
                    match self.auto {
                        AutoPad::SameUpper => [cut / 2, cut - cut / 2],
                        _ => [cut - cut / 2, cut / 2],
                    }
                }
            };
            let left = full.checked_sub(before + behind).filter(|&left| left > 0);
            windows.input[at] = left.with_context(|| format!("cuts {} of {full} values", before + behind))?;
            windows.before[at] = before;
            windows.behind[at] = behind;
        }
        count(&windows.input)?;
        Ok(windows)
    }

    fn kernel_of(&self, axes: usize, weights: Option<&[usize]>) -> Result<Vec<usize>> {
        let given = self.kernel.as_ref().map(|kernel| list("kernel_shape", Some(kernel), axes, 1)).transpose()?;
        let kernel = match (given, weights) {
            (Some(given), Some(weights)) => {
                ensure!(given == weights, "attribute \"kernel_shape\" is {given:?}, the weights have {weights:?}");
                given
            }
            (Some(given), None) => given,
            (None, Some(weights)) => weights.to_vec(),
            (None, None) => bail!("attribute \"kernel_shape\" is missing"),
        };
        ensure!(kernel.len() == axes && !kernel.contains(&0), "a kernel of {kernel:?} does not fit {axes} dimensions");
        count(&kernel)?;
        Ok(kernel)
    }

    fn steps(&self, axes: usize) -> Result<[Vec<usize>; 2]> {
        let strides = list("strides", self.strides.as_deref(), axes, 1)?;
        let dilations = list("dilations", self.dilations.as_deref(), axes, 1)?;
        ensure!(!strides.contains(&0) && !dilations.contains(&0), "has a stride or a dilation of 0");
        Ok([strides, dilations])
    }

    fn pads_of(&self, axes: usize) -> Result<Vec<[usize; 2]>> {
        let pads = list("pads", self.pads.as_deref(), 2 * axes, 0)?;
        Ok((0..axes).map(|axis| [pads[axis], pads[axes + axis]]).collect())
    }
}

impl Windows {
    /// Returns the place of a tap of a window along an axis, if it is not padding.
    #[inline]
    pub(super) fn place(&self, axis: usize, window: usize, tap: usize) -> Option<usize> {
        let padded = window * self.strides[axis] + tap * self.dilations[axis];
        padded.checked_sub(self.before[axis]).filter(|&place| place < self.input[axis])
    }

    pub(super) fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    pub(super) fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Returns the output's shape, in as many dimensions as the input had.
    pub(super) fn shape(&self, batch: usize, channels: usize, axes: usize) -> Vec<usize> {
        [&[batch, channels], &self.output[3 - axes..]].concat()
    }
}

/// Returns the dimensions of space.
fn space_of(shape: &[usize]) -> Result<&[usize]> {
    let space = shape.get(2..).filter(|space| (1..=3).contains(&space.len()));
    space.with_context(|| format!("an input of shape {shape:?} is not [batch, channels, one to three dimensions]"))
}

/// Returns an attribute of one value an axis.
fn list(name: &str, values: Option<&[i64]>, len: usize, other: usize) -> Result<Vec<usize>> {
    let Some(values) = values else { return Ok(vec![other; len]) };
    ensure!(values.len() == len, "attribute {name:?} has {} values, expected {len}", values.len());
    let size = |&value: &i64| {
        let size = usize::try_from(value).ok().filter(|&size| size <= MAX_STEP);
        size.with_context(|| format!("attribute {name:?} is {values:?}; 0 to {MAX_STEP} are supported"))
    };
    values.iter().map(size).collect()
}

/// Returns how many values a kernel spans.
fn field_of(kernel: usize, dilation: usize) -> Result<usize> {
    ensure!(kernel <= MAX_STEP, "has a kernel of {kernel}; at most {MAX_STEP} is supported");
    Ok((kernel - 1) * dilation + 1)
}

fn three(values: &[usize], other: usize) -> [usize; 3] {
    let mut all = [other; 3];
    all[3 - values.len()..].copy_from_slice(values);
    all
}

/// The largest size of a kernel, stride, dilation or padding.
const MAX_STEP: usize = 1 << 20;
