//! Listens: the sensor gives samples in blocks, the student answers as they come, and what it detects is said.
#![no_std]
#![no_main]

use attar_device::Error;
use attar_device::link::Cost;
use attar_device::signal::{Detector, StreamMemory};
use static_cell::ConstStaticCell;

use firmware::board::{self, Board, entry};
use firmware::sensor::{CHANNELS, RATE_HZ, Sensor};
use firmware::{Memory, STUDENT, say, tell};

/// Memory for what the front-end keeps of the signal.
type Kept = StreamMemory<{ STUDENT.stream_words() }>;

/// Samples of a block, and blocks that this program hears, two seconds of them; yours goes on for ever: `loop` in the place of `for`.
///
/// While a block is worked on, the next one fills. Where a hop takes longer than a block lasts (the program says what the dearest
/// takes, `attar budget` estimates it before), samples are lost: take longer blocks then, or a queue between.
const BLOCK: usize = 16 * CHANNELS;
const BLOCKS: usize = (2 * RATE_HZ * CHANNELS).div_ceil(BLOCK);

#[entry]
fn main() -> ! {
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    static KEPT: ConstStaticCell<Kept> = ConstStaticCell::new(Kept::new());
    let mut board = Board::take();
    match hear(&mut board, MEMORY.take(), KEPT.take()) {
        Ok(()) => board::end(),
        Err(error) => board::fail(error),
    }
}

fn hear(board: &mut Board, memory: &'static mut Memory, kept: &'static mut Kept) -> Result<(), Error> {
    let student = STUDENT.parse()?;
    // What stands here is told once; in a loop of yours, set what changes, such as a speed, before each run.
    {{facts}}
    let signal = student.model().signal().ok_or(Error::NoSignal)?;
    let mut detector = signal.detection.map(Detector::<{{classes}}>::new);
    let mut stream = student.stream(kept, memory)?;
    let mut sensor = Sensor::start();
    let mut block = [0; BLOCK];
    let (mut hops, mut detections) = (0u32, 0u32);
    let mut dearest = Cost::default();
    for _ in 0..BLOCKS {
        sensor.read(&mut block);
        let mut rest = &block[..];
        while !rest.is_empty() {
            let (mut ready, mut ran) = (false, Ok(false));
            let cost = board.measure(&mut || {
                ran = stream.fill(&mut rest).and_then(|is_ready| {
                    ready = is_ready;
                    Ok(is_ready && stream.run(&facts)?.is_some())
                });
            });
            hops += u32::from(ready);
            if (cost.instructions, cost.cycles) > (dearest.instructions, dearest.cycles) {
                dearest = cost;
            }
            if !ran? {
                continue;
            }
            let outputs = stream.session().outputs()?;
            let detector_and_head = detector.as_mut().zip(outputs.heads().next());
            if let Some(found) = detector_and_head.and_then(|(detector, head)| detector.update(&head)) {
                let first = outputs.heads().next();
                let label = first.and_then(|head| head.head().labels.at(found.class)).unwrap_or("a class");
                say!("hop {}: {} ({} of 1000)", hops - 1, label, (found.probability * 1000.0) as u32);
                detections += 1;
            }
        }
    }
    say!("{} hops, {} detections", hops, detections);
    if let Ok(outputs) = stream.session().outputs() {
        tell(&outputs);
    }
    say!("the dearest hop:");
    board::say_cost(&dearest);
    Ok(())
}
