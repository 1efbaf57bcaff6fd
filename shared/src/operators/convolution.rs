//! Convolutions.

use super::*;

pub(crate) struct Convolution;

/// Bytes for each value of a window: a 16-bit value at each of two pixels.
const SCRATCH_BYTES: u32 = 4;

impl Rules for Convolution {
    const HAS_WINDOW: bool = true;
    const HAS_CHANNELS: bool = true;
    const FORMS: u8 = 1 << INT8 | 1 << INT4;
    const HAS_SCRATCH: bool = true;

    #[inline(always)]
    fn rows(window: &Window, input: Shape, output: Shape) -> (usize, Option<usize>) {
        (output.channels.into(), window.taps().checked_mul(input.channels.into()))
    }

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Convolution(fields.window);
        Ok(())
    }

    #[inline(always)]
    fn steps(operator: &Operator<'_>, input: Shape) -> u32 {
        operator.taps().wrapping_mul(input.channels.into())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let Parameters::Convolution(window) = &operator.parameters else { return Err(Defect::Kind) };
        window.check(tensors.input.shape, tensors.output.shape)?;
        let taps = window.taps() * usize::from(tensors.input.shape.channels);
        operator.channels.check_form::<PARTS>(Kind::Convolution, taps)
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_pixels()
    }

    /// Where the values of a window are laid out.
    fn scratch_len(window: &Window, input: Shape) -> u32 {
        let taps = u32::from(window.kernel[0]).saturating_mul(window.kernel[1].into());
        taps.saturating_mul(input.channels.into()).saturating_mul(SCRATCH_BYTES)
    }
}
