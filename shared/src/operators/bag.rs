//! Means of the embeddings of a text's n-grams.

use super::*;
use crate::INPUT_TENSOR;
use crate::bytes::padding;
use crate::text::Grams;

/// An embedding bag over the hashed n-grams of a text (Joulin et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bag<'a> {
    /// Which n-grams, and among how many rows they choose.
    pub grams: Grams,
    /// From 256 times the mean to the output.
    pub requantization: Requantization,
    /// `[buckets, channels]`, int8.
    pub rows: &'a [u8],
}

impl Rules for Bag<'_> {
    const HAS_CLAMP: bool = false;

    #[inline(always)]
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect> {
        *parameters = Parameters::Bag(Bag::read(&mut fields.cursor, fields.outputs)?);
        Ok(())
    }

    #[inline(always)]
    fn steps(operator: &Operator<'_>, input: Shape) -> u32 {
        let Parameters::Bag(bag) = &operator.parameters else { return 1 };
        bag.grams.most(input.len()) as u32
    }

    #[inline(always)]
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let Parameters::Bag(bag) = &operator.parameters else { return Err(Defect::Kind) };
        fits(operator.first() == INPUT_TENSOR && tensors.output.shape.is_vector())?;
        bag.grams.check(tensors.input.shape.len())?;
        bag.requantization.check()
    }
}

impl<'a> Bag<'a> {
    // Not inlined: the other kinds are decoded at every step of a run.
    #[inline(never)]
    fn read(cursor: &mut Cursor<'a>, channels: usize) -> Result<Self, Defect> {
        let buckets = cursor.u32()?;
        let grams = Grams { buckets, letters: [cursor.u8()?, cursor.u8()?], words: cursor.u8()? };
        cursor.zeros(1)?;
        let requantization = Requantization { multiplier: cursor.i32()?, shift: cursor.u8()? };
        cursor.zeros(3)?;
        let bytes = usize::try_from(buckets).ok().and_then(|rows| rows.checked_mul(channels));
        let bytes = bytes.ok_or(Defect::TooLarge)?;
        let rows = cursor.take(bytes)?;
        cursor.zeros(padding(bytes))?;
        Ok(Self { grams, requantization, rows })
    }
}
