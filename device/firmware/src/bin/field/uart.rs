//! The serial line: the UART of Arm's CMSDK at 0x4000_4000, by polling.

use attar_device::link::{Answer, Frames, MAX_FRAME, Refusal, Reply, Request, frame, read};

use crate::Owned;

const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *mut u32 = 0x4000_4004 as *mut u32;
const CONTROL: *mut u32 = 0x4000_4008 as *mut u32;
const DIVIDER: *mut u32 = 0x4000_4010 as *mut u32;

const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;

/// The line with the answer that was given last.
pub struct Line {
    frames: Frames,
    answered: Option<u32>,
    frame: [u8; MAX_FRAME],
    len: usize,
}

impl Line {
    pub fn open() -> Self {
        // SAFETY: the registers of the UART are these on all MPS2 boards, and nothing else uses them.
        unsafe {
            DIVIDER.write_volatile(16);
            CONTROL.write_volatile(3);
        }
        Self { frames: Frames::new(), answered: None, frame: [0; MAX_FRAME], len: 0 }
    }

    /// Waits for the next request that is no repetition; to one that is, it says once more what it said.
    pub fn next(&mut self) -> Owned {
        loop {
            let byte = receive();
            let request = self.frames.push(byte).and_then(read::<Request<'_>>);
            let Some(request) = request else { continue };
            if self.answered == Some(request.number) {
                self.frame.iter().take(self.len).for_each(|&byte| send(byte));
            } else if let Some(request) = Owned::of(&request) {
                return request;
            }
        }
    }

    pub fn answer(&mut self, number: u32, answer: Answer<'_>) {
        self.len = frame(&Reply { number, answer }, &mut self.frame).map_or(0, <[u8]>::len);
        self.answered = Some(number);
        self.frame.iter().take(self.len).for_each(|&byte| send(byte));
    }

    pub fn refuse(&mut self, number: u32, why: impl Into<Refusal>) {
        self.answer(number, Answer::Refused(why.into()));
    }
}

fn receive() -> u8 {
    // SAFETY: as in `open`.
    unsafe {
        while STATE.read_volatile() & RECEIVE_FULL == 0 {}
        DATA.read_volatile() as u8
    }
}

fn send(byte: u8) {
    // SAFETY: as in `open`.
    unsafe {
        while STATE.read_volatile() & TRANSMIT_FULL != 0 {}
        DATA.write_volatile(u32::from(byte));
    }
}
