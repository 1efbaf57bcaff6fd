//! The layout of a front-end.

use super::read::{Reader, expect};

impl Reader<'_> {
    /// A front-end, and its bits of `operator_set`.
    pub(super) fn front_end(&mut self) -> Result<u32, String> {
        let is_float = self.u8()? == 1;
        let [_channels, stages, blocks] = [self.u8()?, self.u8()?, self.u8()?];
        let _rate = self.f32()?;
        let [window, _hop, transform, _every] = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let flags = self.take(4)?[0];
        let follow = self.f32()?;
        let _words = self.u32()?;
        let _features_and_background = self.take(4)?;
        let _detection = self.take(12)?;
        let entry = if is_float { 4 } else { 2 };
        let mut parts = if is_float { 1 << 17 } else { 1 << 16 };
        for _ in 0..stages {
            parts |= 1 << (18 + self.u32()?);
            self.take(20)?;
        }
        let table = |reader: &mut Self, bytes: usize| -> Result<(), String> {
            reader.take(bytes)?;
            expect("padding of a table", reader.take(bytes.wrapping_neg() % 4)?.iter().all(|&byte| byte == 0), true)
        };
        if flags & 2 != 0 {
            table(self, entry * (usize::from(window) / 2 + 1))?;
        }
        if transform > 0 && !is_float {
            table(self, 2 * (usize::from(transform) / 4 + 1))?;
        }
        for _ in 0..blocks {
            let kind = self.take(2)?[0];
            let count = usize::from(self.u16()?);
            parts |= 1 << (21 + u32::from(kind));
            if kind == 2 {
                self.take(12)?;
            }
            if kind == 3 {
                let coefficients = usize::from(self.u16()?);
                self.take(10)?;
                let edges = self.take(2 * (count + 2))?.to_vec();
                expect(
                    "padding of edges",
                    self.take((2 * (count + 2)).wrapping_neg() % 4)?.iter().all(|&b| b == 0),
                    true,
                )?;
                let edge = |at: usize| usize::from(u16::from_le_bytes([edges[at], edges[at + 1]]));
                table(self, entry * (edge(edges.len() - 2) - edge(0)))?;
                table(self, entry * coefficients * count)?;
                parts |= u32::from(coefficients > 0) << 25;
            }
        }
        let longer = [(follow > 0.0, 26), (transform > 256, 27), (transform > 1024, 28)];
        Ok(longer.iter().fold(parts, |parts, &(holds, bit)| parts | u32::from(holds) << bit))
    }
}
