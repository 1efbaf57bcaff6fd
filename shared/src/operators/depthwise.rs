//! Depthwise convolutions.

use super::*;

pub(crate) struct Depthwise;

impl Rules for Depthwise {
    const HAS_WINDOW: bool = true;
    const HAS_CHANNELS: bool = true;

    #[inline(always)]
    fn rows(window: &Window, _: Shape, output: Shape) -> (usize, Option<usize>) {
        (1, window.taps().checked_mul(output.channels.into()))
    }

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Depthwise(fields.window);
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
        let Parameters::Depthwise(window) = &operator.parameters else { return Err(Defect::Kind) };
        let (input, output) = (tensors.input.shape, tensors.output.shape);
        window.check(input, output)?;
        fits(input.channels == output.channels)?;
        operator.channels.check_columns(input.channels.into())
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_pixels()
    }
}
