//! Pixels repeated along both axes: the nearest value of a larger picture.

use super::*;

pub(crate) struct Upsample;

impl Rules for Upsample {
    const HAS_CLAMP: bool = false;

    #[inline(always)]
    fn decode<'a>(_: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Upsample;
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(_: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let (input, output) = (tensors.input.shape, tensors.output.shape);
        let is_multiple = output.height.is_multiple_of(input.height) && output.width.is_multiple_of(input.width);
        fits(is_multiple && input.channels == output.channels)?;
        tensors.same(tensors.input.quantization)
    }
}
