//! Resizing by interpolation, one axis after the other. Coordinates are in single precision, as in ONNX Runtime.

use anyhow::{Result, bail, ensure};

use super::{Run, Work, around, axis_of, one};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Tensor, count, sizes};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Debug, Clone)]
struct Sampling {
    mode: Mode,
    coordinates: String,
    nearest: String,
    cubic_a: f32,
    exclude_outside: bool,
}

/// Resize, with scales or sizes.
pub(super) fn resize(attributes: &mut Attributes) -> Result<Run> {
    let old = attributes.opset < 11;
    let mode = mode_of(attributes)?;
    let coordinates =
        attributes.text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?;
    let known = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"];
    ensure!(known.contains(&coordinates.as_str()), "coordinate_transformation_mode {coordinates:?} is not supported");
    let nearest = attributes.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" })?;
    let known = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
    ensure!(known.contains(&nearest.as_str()), "nearest_mode {nearest:?} is not supported");
    attributes.only_int("antialias", 0)?;
    attributes.only_text("keep_aspect_ratio_policy", "stretch")?;
    // It is the value outside of the input for the one way of coordinates that is refused above.
    attributes.float("extrapolation_value", 0.0)?;
    let axes = attributes.ints("axes")?;
    let cubic_a = attributes.float("cubic_coeff_a", -0.75)?;
    let exclude_outside = attributes.flag("exclude_outside", false)?;
    let sampling = Sampling { mode, coordinates, nearest, cubic_a, exclude_outside };
    let scales_at = if old { 1 } else { 2 };
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let axes = match &axes {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<Vec<_>>>()?,
            None => (0..x.rank()).collect(),
        };
        let present = |at: usize| inputs.optional(at).filter(|tensor| tensor.len() > 0);
        let targets: Vec<(usize, f32)> = match (present(scales_at), present(3)) {
            (Some(scales), None) => {
                let scales = scales.as_floats()?;
                ensure!(scales.len() == axes.len(), "has {} scales for {} axes", scales.len(), axes.len());
                let corners = sampling.coordinates == "align_corners";
                let target = |(&axis, &scale): (&usize, &f32)| {
                    // The specification and ONNX Runtime differ in the length that the corners of the result are apart.
                    let exact = (x.shape[axis] as f32 * scale).fract() == 0.0;
                    ensure!(
                        exact || !corners,
                        "aligns corners with a scale of {scale}, which gives no whole length: use sizes"
                    );
                    scaled(x.shape[axis], scale)
                };
                axes.iter().zip(scales).map(target).collect::<Result<_>>()?
            }
            (None, Some(lens)) => {
                let lens = sizes(lens.as_ints()?)?;
                ensure!(lens.len() == axes.len(), "has {} sizes for {} axes", lens.len(), axes.len());
                let scale = |(&axis, len): (&usize, usize)| (len, len as f32 / x.shape[axis] as f32);
                axes.iter().zip(lens).map(scale).collect()
            }
            _ => bail!("needs scales or sizes, and not both"),
        };
        one(resized(x, &axes, &targets, &sampling, work))
    }))
}

/// Upsample, the former name of Resize.
pub(super) fn upsample(attributes: &mut Attributes) -> Result<Run> {
    let mode = mode_of(attributes)?;
    ensure!(attributes.opset >= 9, "has its scales as an attribute before opset 9, which is not supported");
    let sampling = Sampling {
        mode,
        coordinates: "asymmetric".into(),
        nearest: "floor".into(),
        cubic_a: -0.75,
        exclude_outside: false,
    };
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let (_, scales) = inputs.floats(1)?;
        ensure!(scales.len() == x.rank(), "has {} scales for {} axes", scales.len(), x.rank());
        let axes: Vec<usize> = (0..x.rank()).collect();
        let targets: Vec<_> =
            axes.iter().zip(scales).map(|(&axis, &scale)| scaled(x.shape[axis], scale)).collect::<Result<_>>()?;
        one(resized(x, &axes, &targets, &sampling, work))
    }))
}

fn mode_of(attributes: &mut Attributes) -> Result<Mode> {
    Ok(match attributes.text("mode", "nearest")?.as_str() {
        "nearest" => Mode::Nearest,
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic,
        other => bail!("mode {other:?} is not known"),
    })
}

/// Returns the length that a scale leads to, and the scale.
fn scaled(len: usize, scale: f32) -> Result<(usize, f32)> {
    ensure!(scale > 0.0 && scale.is_finite(), "has a scale of {scale}");
    Ok(((len as f32 * scale).floor() as usize, scale))
}

fn resized(x: &Tensor, axes: &[usize], targets: &[(usize, f32)], sampling: &Sampling, work: &Work) -> Result<Tensor> {
    let mut shape = x.shape.clone();
    let mut values = x.as_floats()?.to_vec();
    for (&axis, &(len, scale)) in axes.iter().zip(targets) {
        if len == shape[axis] && (scale - 1.0).abs() < f32::EPSILON {
            continue;
        }
        let [before, old, behind] = around(&shape, axis);
        ensure!(old > 0, "resizes an axis without values");
        shape[axis] = len;
        let total = count(&shape)?;
        let taps: Vec<Vec<(usize, f32)>> = (0..len).map(|at| sampling.taps(at, len, old, scale)).collect();
        work.spend(&[total, taps.first().map_or(1, Vec::len).max(1)])?;
        let mut y = vec![0.0; total];
        for row in 0..before {
            for (at, taps) in taps.iter().enumerate() {
                let y = &mut y[(row * len + at) * behind..][..behind];
                for &(from, weight) in taps {
                    let x = &values[(row * old + from) * behind..][..behind];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                }
            }
        }
        values = y;
    }
    Tensor::floats(shape, values)
}

impl Sampling {
    /// Returns the places, with their weights, that a value of the result comes from.
    fn taps(&self, at: usize, len: usize, old: usize, scale: f32) -> Vec<(usize, f32)> {
        let last = old - 1;
        let x = self.coordinate(at as f32, len as f32, old as f32, scale);
        let place = |at: f32| (at.max(0.0) as usize).min(last);
        match self.mode {
            Mode::Nearest => {
                let rounded = match self.nearest.as_str() {
                    "round_prefer_floor" => (x - 0.5).ceil(),
                    "round_prefer_ceil" => (x + 0.5).floor(),
                    "floor" => x.floor(),
                    _ => x.ceil(),
                };
                vec![(place(rounded), 1.0)]
            }
            Mode::Linear => {
                let x = x.clamp(0.0, last as f32);
                let (low, share) = (x.floor(), x - x.floor());
                vec![(place(low), 1.0 - share), (place(low + 1.0), share)]
            }
            Mode::Cubic => {
                let (low, share, a) = (x.floor(), x - x.floor(), self.cubic_a);
                let near = |d: f32| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                let far = |d: f32| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                let mut taps = vec![
                    (low - 1.0, far(share + 1.0)),
                    (low, near(share)),
                    (low + 1.0, near(1.0 - share)),
                    (low + 2.0, far(2.0 - share)),
                ];
                if self.exclude_outside {
                    taps.retain(|&(at, _)| at >= 0.0 && at <= last as f32);
                    let sum: f32 = taps.iter().map(|(_, weight)| weight).sum();
                    taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
                }
                taps.into_iter().map(|(at, weight)| (place(at), weight)).collect()
            }
        }
    }

    /// Returns where a value of the result lies in the input.
    fn coordinate(&self, at: f32, len: f32, old: f32, scale: f32) -> f32 {
        match self.coordinates.as_str() {
            "half_pixel" => (at + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if len > 1.0 => (at + 0.5) / scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            "align_corners" if len > 1.0 => at * (old - 1.0) / (len - 1.0),
            "align_corners" => 0.0,
            "half_pixel_symmetric" => {
                let adjustment = len / (scale * old);
                let offset = old / 2.0 * (1.0 - adjustment);
                offset + (at + 0.5) / scale - 0.5
            }
            _ => at / scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_scale_that_is_no_number_is_refused() -> Result<()> {
        let refusal = scaled(4, f32::NAN).err().context("it was taken")?;
        assert!(refusal.to_string().contains("a scale of NaN"));
        assert_eq!(scaled(3, 2.5)?, (7, 2.5));
        Ok(())
    }
}
