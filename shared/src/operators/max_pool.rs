//! Greatest values in a window.

use super::*;

pub(crate) struct MaxPool;

impl Rules for MaxPool {
    const HAS_WINDOW: bool = true;
    const HAS_CLAMP: bool = false;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::MaxPool(fields.window);
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
        let Parameters::MaxPool(window) = &operator.parameters else { return Err(Defect::Kind) };
        let (input, output) = (tensors.input.shape, tensors.output.shape);
        window.check(input, output)?;
        fits(input.channels == output.channels)?;
        if window.dilation != [1, 1] {
            return Err(Defect::Window);
        }
        tensors.same(tensors.input.quantization)
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_pixels()
    }
}
