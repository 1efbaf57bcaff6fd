//! Functions of each value, by a table.

use super::*;

pub(crate) struct Table;

impl Rules for Table {
    const HAS_CLAMP: bool = false;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Table(fields.cursor.chunk()?);
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(_: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        fits(tensors.input.shape == tensors.output.shape)
    }

    #[inline(always)]
    fn overlap(_: &Sharing<'_>) -> Overlap {
        Overlap::At(0)
    }
}
