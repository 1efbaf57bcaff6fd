/// Moves a series by as many values as the input has, and puts the input at its end.
#[inline(never)]
pub(crate) fn delay(input: &[i8], series: &mut [i8]) {
    series.rotate_left(input.len().min(series.len()));
    let kept = series.len().saturating_sub(input.len());
    for (place, &value) in series.iter_mut().skip(kept).zip(input) {
        *place = value;
    }
}
