//! Channels of several tensors, one after the other.

use super::*;

pub(crate) struct Concat;

impl Rules for Concat {
    const HAS_CLAMP: bool = false;
    const INPUTS: RangeInclusive<usize> = 2..=MAX_INPUTS;

    #[inline(always)]
    fn decode<'a>(_: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Concat;
        Ok(())
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let out = tensors.output.shape;
        let mut channels = 0;
        for &index in operator.inputs() {
            let part = (tensors.at)(index)?;
            let is_aligned = part.shape.height == out.height && part.shape.width == out.width;
            fits(is_aligned || part.shape.is_vector())?;
            tensors.same(part.quantization)?;
            channels += u32::from(part.shape.channels);
        }
        fits(channels == u32::from(out.channels))
    }

    /// A part of a vector may lie where it has to go.
    #[inline(always)]
    fn overlap(sharing: &Sharing<'_>) -> Overlap {
        if !sharing.output.is_vector() {
            return Overlap::Never;
        }
        Overlap::At(sharing.shapes.iter().take(sharing.place).map(|shape| u32::from(shape.channels)).sum())
    }
}
