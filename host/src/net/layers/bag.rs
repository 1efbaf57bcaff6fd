//! The mean of the rows that a text's n-grams choose.

use anyhow::{Result, ensure};
use attar_shared::Kind;
use attar_shared::text::{Grams, MAX_BUCKETS, MAX_GRAMS, MAX_LETTERS, MAX_WORDS};
use candle_core::Tensor;

use super::{Build, Entry, Initial, Operator, Parameter, Pass, Site, channels};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops;
use crate::recipe::Layer;

/// The mean of the rows that a text's n-grams choose, weights `[buckets, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bag {
    /// Which n-grams, and among how many rows they choose.
    pub grams: Grams,
    /// Channels of the result.
    pub channels: usize,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["channels", "buckets", "letters", "words"],
    is_activated: false,
    build: Build::Operator(|layer, place| {
        let [height, bytes, values] = place.shape;
        ensure!(
            place.is_first && height == 1 && values == 1,
            "it reads the text and nothing else: facts enter behind it, so leave fuse_at out or say \"features\""
        );
        let channels = channels(layer, MAX_CHANNELS)?;
        Ok(Bag { grams: grams_of(layer, bytes)?, channels }.into())
    }),
};

/// Channels of the result.
const MAX_CHANNELS: usize = 4096;

impl Operator for Bag {
    fn shape(&self, _: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, 1, self.channels])
    }

    fn parameters(&self, _: &[[usize; 3]]) -> Vec<Parameter> {
        let initial = Initial::Weights { fan_in: self.channels, fan_out: self.channels };
        vec![Parameter::new("weight", [self.grams.buckets as usize, self.channels], initial)]
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let flat = pass.input(0)?.flatten_from(1)?;
        let mean = ops::bag(&flat, &pass.weight(0)?, &self.grams)?;
        Ok(mean.reshape((flat.dim(0)?, 1, 1, self.channels))?)
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let weighted = Some(Weighted::without_bias(0));
        Ok(lowered.push(site, Stage { weighted, grams: Some(self.grams), ..Stage::new(site, Kind::Bag) }))
    }

    fn reads_text(&self) -> bool {
        true
    }
}

/// Returns the n-grams of a layer over a text of so many bytes.
fn grams_of(layer: &Layer, bytes: usize) -> Result<Grams> {
    let buckets = layer.buckets.unwrap_or(512);
    ensure!((1..=MAX_BUCKETS as usize).contains(&buckets), "buckets are {buckets}, expected 1 to {MAX_BUCKETS}");
    let letters = layer.letters.unwrap_or([2, 4]);
    ensure!(
        letters == [0, 0] || (1 <= letters[0] && letters[0] <= letters[1] && letters[1] <= MAX_LETTERS),
        "letters are {letters:?}, expected [least, greatest] from 1 to {MAX_LETTERS}, or [0, 0] for none"
    );
    let words = layer.words.unwrap_or(2);
    ensure!(words <= MAX_WORDS, "words are {words}, expected 0 to {MAX_WORDS}");
    ensure!(words > 0 || letters != [0, 0], "neither letters nor words are looked at");
    let grams = Grams { buckets: buckets as u32, letters, words };
    let sizes = grams.most(0);
    ensure!(
        grams.most(bytes) <= MAX_GRAMS,
        "a text of {bytes} bytes may have {} n-grams, at most {MAX_GRAMS} fit: leave texts of more than {} bytes out, or look at \
         fewer sizes of letters and words",
        grams.most(bytes),
        (MAX_GRAMS / sizes - 1) / 2
    );
    Ok(grams)
}
