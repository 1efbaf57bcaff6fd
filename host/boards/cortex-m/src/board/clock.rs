//! SysTick counts cycles of the core.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

/// How often the 24 bits of SysTick have gone around.
static TURNS: AtomicU32 = AtomicU32::new(0);

const TICKS: u32 = 1 << 24;

/// A count of cycles.
pub struct Clock;

impl Clock {
    /// Starts to count.
    pub fn start(mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(TICKS - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self
    }

    /// Returns the cycles since the start.
    pub fn cycles(&self) -> u64 {
        loop {
            let (before, ticks, after) = (turns(), SYST::get_current(), turns());
            // At 0 the turn is counted before the ticks begin again.
            if before == after && ticks != 0 {
                return u64::from(before) * u64::from(TICKS) + u64::from(TICKS - 1 - ticks);
            }
        }
    }

    /// Returns how many cycles a run took.
    pub fn of(&self, run: &mut dyn FnMut()) -> u32 {
        let start = self.cycles();
        run();
        u32::try_from(self.cycles() - start).unwrap_or(u32::MAX)
    }
}

fn turns() -> u32 {
    TURNS.load(Ordering::Relaxed)
}

#[exception]
fn SysTick() {
    // A Cortex-M0 adds in two instructions; nothing else writes it.
    TURNS.store(turns() + 1, Ordering::Relaxed);
}
