/// Looks every value up: entry i of the table answers the value whose byte is i.
pub fn table(input: &[i8], table: &[u8; 256], output: &mut [i8]) {
    for (place, value) in output.iter_mut().zip(input) {
        // A byte is always below 256; `get` says so without a panic on the way.
        *place = table.get(usize::from(value.cast_unsigned())).map_or(0, |answer| answer.cast_signed());
    }
}
