//! The last positions of a series, from run to run.

use super::*;

pub(crate) struct Delay;

impl Rules for Delay {
    const HAS_CLAMP: bool = false;
    const INPUTS: RangeInclusive<usize> = 2..=2;

    #[inline(always)]
    fn decode<'a>(_: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Delay;
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let new = (tensors.at)(operator.second())?;
        if operator.first() != operator.output || operator.second() == operator.output {
            return Err(Defect::InputIndex);
        }
        let out = tensors.output.shape;
        fits(out.height == 1 && new.shape.height == 1 && new.shape.channels == out.channels)?;
        fits(new.shape.width <= out.width)?;
        tensors.same(new.quantization)
    }
}
