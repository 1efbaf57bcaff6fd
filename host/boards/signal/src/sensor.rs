//! The sensor, or what stands in for one: put your converter, microphone or accelerometer here.

/// Samples a second of each channel: what the student was trained on, and what your sensor has to be set to.
pub const RATE_HZ: usize = {{rate}};

/// Channels, whose samples take turns.
pub const CHANNELS: usize = {{channels}};

/// A sensor of 16 bits. {{scale}}
///
/// A converter of 12 bits without sign: `((raw as i16) - 2048) << 4`. Words of 32 bits with 24 of them used, as many I2S
/// microphones send them: `(word >> 16) as i16`. A sensor with another rate or another range gives other features, and nothing
/// notices.
pub struct Sensor {
    state: u32,
}

impl Sensor {
    /// Switches it on. `board.rs` takes the peripherals of the chip: let `Board::take` keep those that the sensor needs, and give them
    /// to this.
    pub fn start() -> Self {
        Self { state: 1 }
    }

    /// Waits for a block of samples: half of a DMA buffer, a FIFO, or what an interrupt has put into a queue. Here it is noise of
    /// about -40 dB of full scale.
    pub fn read(&mut self, block: &mut [i16]) {
        for sample in block {
            // Marsaglia's generator of 2003 with the shifts 13, 17 and 5.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            *sample = (self.state >> 16) as i16 / 64;
        }
    }
}
