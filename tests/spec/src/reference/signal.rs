//! The layout of a front-end.

use super::read::{Reader, expect};

/// What the file says of a front-end beside its tables.
#[derive(Default)]
pub(super) struct FrontEnd {
    /// Its bits of `signal_set`.
    pub(super) parts: u32,
    /// Its steps from one run of the network to the next.
    pub(super) work: u128,
    /// With detections 0, or the class plus one that is never detected.
    pub(super) background: Option<usize>,
}

impl Reader<'_> {
    /// A front-end.
    pub(super) fn front_end(&mut self) -> Result<FrontEnd, String> {
        let arithmetic = self.u8()?;
        expect("an arithmetic of 0 or 1", arithmetic <= 1, true)?;
        let is_float = arithmetic == 1;
        let [channels, stages, blocks] = [self.u8()?, self.u8()?, self.u8()?];
        let _rate = self.f32()?;
        let [window, hop, transform, every] = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let flags = self.take(4)?;
        expect("flags up to 3 and zeros", [flags[0] & !3, flags[1], flags[2], flags[3]], [0; 4])?;
        let follow = self.f32()?;
        expect("a sign of follow", follow.is_sign_negative(), false)?;
        let _words = self.u32()?;
        let [features, background] = [self.u16()?, self.u16()?];
        let detection = [self.f32()?, self.f32()?, self.f32()?];
        expect("a sign of detections", detection.iter().any(|x| x.is_sign_negative()), false)?;
        let background = if detection == [0.0; 3] { None } else { Some(usize::from(background)) };
        let entry = if is_float { 4 } else { 2 };
        let mut parts = if is_float { 1 << 1 } else { 1 };
        // The steps of a channel: what comes in, by the factors of the decimations, is known when all stages have been read.
        let mut factors = Vec::new();
        for _ in 0..stages {
            let kind = self.u32()?;
            expect("a stage of kind 0, 1 or 2", kind <= 2, true)?;
            parts |= 1 << (2 + kind);
            let word = self.u32()?;
            self.take(16)?;
            factors.push(if kind == 2 { u128::from(word) } else { 1 });
        }
        let mut samples = u128::from(hop) * factors.iter().product::<u128>();
        let mut each = samples;
        for factor in factors {
            each += samples;
            samples /= factor.max(1);
        }
        let (count, points) = (u128::from(blocks), u128::from(transform));
        each += u128::from(window) * (1 + count);
        if points > 0 {
            each += points * (u128::from(points.ilog2()) + count);
        }
        let table = |reader: &mut Self, bytes: usize| -> Result<(), String> {
            reader.take(bytes)?;
            expect("padding of a table", reader.take(bytes.wrapping_neg() % 4)?.iter().all(|&byte| byte == 0), true)
        };
        if flags[0] & 2 != 0 {
            table(self, entry * (usize::from(window) / 2 + 1))?;
        }
        if transform > 0 && !is_float {
            table(self, 2 * (usize::from(transform) / 4 + 1))?;
        }
        for _ in 0..blocks {
            let [kind, detail] = [self.u8()?, self.u8()?];
            let known = match kind {
                0 | 3 => detail == 0,
                1 => (1..=127).contains(&detail),
                2 => detail <= 1,
                _ => false,
            };
            expect("a block of a known kind and detail", known, true)?;
            let count = usize::from(self.u16()?);
            parts |= 1 << (5 + u32::from(kind));
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
                each += (coefficients * count) as u128;
                parts |= u32::from(coefficients > 0) << 9;
            }
        }
        let longer = [(follow > 0.0, 10), (transform > 256, 11), (transform > 1024, 12)];
        let parts = longer.iter().fold(parts, |parts, &(holds, bit)| parts | u32::from(holds) << bit);
        let work = (each * u128::from(channels) + u128::from(features)) * u128::from(every);
        Ok(FrontEnd { parts, work, background })
    }
}
