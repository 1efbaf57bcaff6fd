//! The engine in WebAssembly, with the few functions that the page calls; memory is reserved once and never given back.
#![no_std]

use core::arch::wasm32;
use core::slice;

use attar_device::format::{MISSING, Model};
use attar_device::{Error, Session, Student};

/// Reserves bytes, zeros at first, and returns their address, a multiple of 16; 0 when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(bytes: usize) -> usize {
    let pages = bytes.div_ceil(PAGE);
    match wasm32::memory_grow::<0>(pages) {
        usize::MAX => 0,
        page => page * PAGE,
    }
}

/// Returns the bytes of arena that the model at an address takes, or -1 when it is none.
///
/// # Safety
///
/// The bytes were reserved.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn arena_bytes(model: *const u8, len: usize) -> isize {
    // SAFETY: the caller reserved them.
    let bytes = unsafe { slice::from_raw_parts(model, len) };
    Model::parse(bytes).map_or(-1, |model| model.arena_bytes() as isize)
}

/// Runs a model on one input or on a series of them, and writes what a board would answer: the int8 of all heads, the bits of
/// their probabilities or values, those of the computed facts. Returns the answer's length, or less than 0 when something
/// does not fit.
///
/// `input` holds f32, `facts` for each fact whether it is known and then its value, both f32.
///
/// # Safety
///
/// All of it was reserved, and none lies over another.
#[allow(clippy::too_many_arguments)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run(
    model: *const u8,
    model_len: usize,
    arena: *mut i8,
    arena_len: usize,
    input: *const f32,
    input_len: usize,
    facts: *const f32,
    facts_len: usize,
    answer: *mut u8,
    answer_len: usize,
) -> isize {
    // SAFETY: the caller reserved them.
    let (model, arena, input, facts, answer) = unsafe {
        (
            slice::from_raw_parts(model, model_len),
            slice::from_raw_parts_mut(arena, arena_len),
            slice::from_raw_parts(input, input_len),
            slice::from_raw_parts(facts, facts_len),
            slice::from_raw_parts_mut(answer, answer_len),
        )
    };
    match answered(model, arena, input, facts, answer) {
        Ok(Some(len)) => len as isize,
        Ok(None) => -2,
        Err(_) => -1,
    }
}

fn answered(
    model: &[u8],
    arena: &mut [i8],
    input: &[f32],
    facts: &[f32],
    answer: &mut [u8],
) -> Result<Option<usize>, Error> {
    let student = Student::parse(model)?;
    let mut known = student.facts();
    for (index, pair) in facts.chunks_exact(2).enumerate() {
        if let [is_known, value] = *pair {
            known.set_raw(index, (is_known != 0.0).then_some(value))?;
        }
    }
    let mut session = Session::new(*student.model(), arena)?;
    let mut last: &[f32] = &[];
    for step in input.chunks(student.model().input_shape().len().max(1)) {
        session.run(step, &known)?;
        last = step;
    }
    let outputs = session.outputs()?;
    let all = known.known(last);
    let heads = outputs.heads().flat_map(|head| head.quantized().iter().map(|q| q.cast_unsigned()));
    let results = outputs.heads().flat_map(|head| head.probabilities().flat_map(f32::to_le_bytes));
    let computed = all.computed().flat_map(|value| value.unwrap_or(MISSING).to_le_bytes());
    let mut places = answer.iter_mut();
    let mut len = 0;
    for byte in heads.chain(results).chain(computed) {
        let Some(place) = places.next() else { return Ok(None) };
        *place = byte;
        len += 1;
    }
    Ok(Some(len))
}

const PAGE: usize = 65536;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
