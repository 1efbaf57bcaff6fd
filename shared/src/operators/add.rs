//! Sums of two tensors.

use super::*;

pub(crate) struct Add;

impl Rules for Add {
    const INPUTS: RangeInclusive<usize> = 2..=2;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        let bytes = fields.cursor.chunk::<ADDITION_BYTES>()?;
        let &[.., 0, 0, 0] = bytes else { return Err(Defect::Padding) };
        *parameters = Parameters::Add(AddConstants::new(bytes));
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let Parameters::Add(constants) = &operator.parameters else { return Err(Defect::Kind) };
        tensors.pair(operator)?;
        constants.check()
    }

    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        sharing.by_values()
    }
}
