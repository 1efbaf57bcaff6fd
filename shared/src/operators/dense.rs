//! Dense layers.

use super::*;

pub(crate) struct Dense;

impl Rules for Dense {
    const HAS_CHANNELS: bool = true;
    const FORMS: u8 = 1 << INT8 | 1 << INT4 | 1 << INT8_ROWS;

    #[inline(always)]
    fn rows(_: &Window, input: Shape, output: Shape) -> (usize, Option<usize>) {
        (output.channels.into(), Some(input.len()))
    }

    #[inline(always)]
    fn decode<'a>(_: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Dense;
        Ok(())
    }

    #[inline(always)]
    fn steps(_: &Operator<'_>, input: Shape) -> u32 {
        input.len() as u32
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        fits(tensors.output.shape.is_vector())?;
        operator.channels.check_form::<PARTS>(Kind::Dense, tensors.input.shape.len())
    }
}
