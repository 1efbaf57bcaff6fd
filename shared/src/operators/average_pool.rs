//! Means over a window.

use super::*;

pub(crate) struct AveragePool;

/// How far a sum is shifted left before it is averaged, so that small windows keep their precision.
const SHIFT: u32 = 8;

/// The most taps: `taps * 255 * 2^SHIFT` has to fit 31 bits.
const MAX_TAPS: u32 = i32::MAX as u32 / (255 << SHIFT);

impl Rules for AveragePool {
    const HAS_WINDOW: bool = true;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::AveragePool(fields.window, fields.requantization()?);
        Ok(())
    }

    #[inline(always)]
    fn steps(operator: &Operator<'_>, _: Shape) -> u32 {
        operator.taps()
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let Parameters::AveragePool(window, requantization) = &operator.parameters else { return Err(Defect::Kind) };
        let (input, output) = (tensors.input.shape, tensors.output.shape);
        window.check(input, output)?;
        fits(input.channels == output.channels)?;
        if window.dilation != [1, 1] {
            return Err(Defect::Window);
        }
        if window.taps() as u64 > u64::from(MAX_TAPS) {
            return Err(Defect::Overflow);
        }
        requantization.check()
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_pixels()
    }
}
