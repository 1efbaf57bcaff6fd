//! The stack shows how deep it went.

/// Returns the most bytes of stack that were ever in use; cortex-m-rt has painted them all at the start.
pub fn stack_bytes() -> u32 {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let words = (start as usize - end as usize) / 4;
    let painted = (0..words)
        // SAFETY: the linker puts the stack between the two symbols, only words are read, and volatile reads of
        // memory that the stack has not reached are plain loads.
        .take_while(|&word| unsafe { end.add(word).read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE)
        .count();
    ((words - painted) * 4) as u32
}
