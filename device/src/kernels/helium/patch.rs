//! What a window shows at two pixels, one after the other, as it is in the input.

use core::arch::naked_asm;

use crate::kernels::layout::{COLUMNS, Patch, WindowRun};
use crate::kernels::window::InputWindow;

/// Bytes that a patch takes for each tap.
pub(in crate::kernels) const BYTES: usize = COLUMNS;

/// Puts what a run of a window shows into a patch.
#[inline(never)]
pub(in crate::kernels) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
    let len = match values {
        WindowRun::Values(values) => values.len(),
        WindowRun::Padding { len, .. } => len,
    };
    let first = column.wrapping_mul(taps).wrapping_add(tap);
    let Some(places) = patch.bytes.get_mut(first..first.wrapping_add(len)) else {
        unreachable_in_checked_model!(return)
    };
    match values {
        // SAFETY: there are as many values and as many places.
        WindowRun::Values(values) => unsafe { copy_rows(values.as_ptr(), places.as_mut_ptr(), len, 1, 0) },
        WindowRun::Padding { value, .. } => places.iter_mut().for_each(|place| *place = value),
    }
}

/// Returns whether [`lay_rows`] can put windows into a patch.
#[inline(always)]
pub(in crate::kernels) fn lays_rows(window: &InputWindow) -> bool {
    window.len > 0
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(in crate::kernels) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
    if patch.bytes.len() / BYTES < window.len || values.len() < window.reach || window.len == 0 {
        return false;
    }
    let places = patch.bytes.as_mut_ptr().wrapping_add(column.wrapping_mul(window.len));
    let rows = window.vertical.kernel as usize;
    // SAFETY: every row lies in the values, and the patch has two bytes for each value.
    unsafe { copy_rows(values.as_ptr(), places, window.width, rows, window.row.wrapping_sub(window.width)) };
    true
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(in crate::kernels) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    [0, 1].map(|column: usize| {
        let first = column.wrapping_mul(weights.len());
        let values = patch
            .bytes
            .get(first..first.wrapping_add(weights.len()))
            .unwrap_or_else(|| unreachable_in_checked_model!());
        crate::kernels::scalar::row_of_vector(weights, values)
    })
}

/// Copies rows of values, with `skip` bytes between them, one behind the other.
///
/// # Safety
///
/// There are `width` values in each row and as many places; there is a row at least.
#[unsafe(naked)]
unsafe extern "C" fn copy_rows(values: *const i8, places: *mut i8, width: usize, rows: usize, skip: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, lr}}",
        "ldr r12, [sp, #8]",
        "1:",
        "mov r4, r0",
        "wlstp.8 lr, r2, 3f",
        "2:",
        "vldrb.u8 q0, [r4], #16",
        "vstrb.8 q0, [r1], #16",
        "letp lr, 2b",
        "3:",
        // The last step went on by sixteen, full or not.
        "rsb r4, r2, #0",
        "and r4, r4, #15",
        "sub r1, r1, r4",
        "add r0, r0, r2",
        "add r0, r0, r12",
        "subs r3, r3, #1",
        "bne 1b",
        "pop {{r4, pc}}",
    )
}
