use super::{View, ViewMut};

/// Copies the channels of one input to their place, `first` channels in; a vector goes to every position.
#[inline(never)]
pub(crate) fn concat_part(part: View<'_>, first: usize, output: ViewMut<'_>) {
    let count = usize::from(part.shape.channels).max(1);
    let mut values = part.values.chunks_exact(count).cycle();
    for pixel in output.values.chunks_exact_mut(usize::from(output.shape.channels).max(1)) {
        let places = pixel.iter_mut().skip(first).take(count);
        for (place, &value) in places.zip(values.next().unwrap_or_else(|| unreachable_in_checked_model!())) {
            *place = value;
        }
    }
}
