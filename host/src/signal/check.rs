//! Whether the keys of `[signal]` make a front-end.

use anyhow::{Result, ensure};

use super::design::Design;
use super::recipe::{Signal, Span};
use crate::domain::limits::{MADE_VALUES, check_product};

impl Signal {
    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// When a number is out of its range, naming the key.
    pub fn check(&self) -> Result<()> {
        Design::new(self, None)?;
        if let Some(scale) = self.full_scale {
            ensure!(
                scale.is_finite() && scale > 0.0,
                "signal.full_scale is {scale}, expected what the greatest sample stands for, above 0"
            );
        }
        let spans = [(&self.length, "signal.length"), (&self.settle, "signal.settle"), (&self.step, "signal.step")];
        let count =
            |(span, key): (&Option<Span>, &str)| span.as_ref().map_or(Ok(0), |span| span.samples(key, self.rate));
        let [length, settle, _] = [count(spans[0])?, count(spans[1])?, count(spans[2])?];
        check_product(
            "signal.length + settle x channels",
            &[length.saturating_add(settle), self.channels],
            MADE_VALUES,
        )?;
        if let Some(noise) = &self.noise {
            let good = |db: f64| (-200.0..=200.0).contains(&db);
            ensure!(
                noise.share > 0.0 && noise.share <= 1.0,
                "signal.noise.share is {}, expected above 0 to 1",
                noise.share
            );
            ensure!(
                noise.db[0] <= noise.db[1] && noise.db.into_iter().all(good),
                "signal.noise.db is {:?}, expected the least and the greatest level in dB",
                noise.db
            );
        }
        let Some(vary) = &self.augment else { return Ok(()) };
        vary.check()?;
        count((&vary.shift, "signal.augment.shift"))?;
        count((&vary.echo, "signal.augment.echo")).map(drop)
    }
}
