/// Looks every value up: entry i of the table answers the value whose byte is i.
#[inline(never)]
pub(crate) fn table(input: &[i8], table: &[u8; 256], output: &mut [i8]) {
    for (place, &value) in output.iter_mut().zip(input) {
        *place = answer(table, value);
    }
}

/// As [`table`], over the input.
#[inline(never)]
pub(crate) fn table_over(table: &[u8; 256], values: &mut [i8]) {
    for value in values {
        *value = answer(table, *value);
    }
}

#[inline(always)]
fn answer(table: &[u8; 256], value: i8) -> i8 {
    // A byte is always below 256; `get` says so without a panic on the way.
    table
        .get(usize::from(value.cast_unsigned()))
        .map_or_else(|| unreachable_in_checked_model!(), |answer| answer.cast_signed())
}
