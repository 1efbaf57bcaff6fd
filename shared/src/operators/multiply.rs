//! Products of two tensors.

use super::*;

pub(crate) struct Multiply;

impl Rules for Multiply {
    const INPUTS: RangeInclusive<usize> = 2..=2;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Multiply(fields.requantization()?);
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let Parameters::Multiply(requantization) = &operator.parameters else { return Err(Defect::Kind) };
        tensors.pair(operator)?;
        requantization.check()
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_values()
    }
}
