use super::{View, ViewMut};

/// Repeats each pixel as often along both axes as the output is larger.
#[inline(never)]
pub(crate) fn upsample(input: View<'_>, output: ViewMut<'_>) {
    let times = |input: u16, output: u16| {
        usize::from(output.checked_div(input).unwrap_or_else(|| unreachable_in_checked_model!()))
    };
    let [rows, columns] =
        [times(input.shape.height, output.shape.height), times(input.shape.width, output.shape.width)];
    let pixel = usize::from(input.shape.channels).max(1);
    let (from, to) = (pixel * usize::from(input.shape.width).max(1), pixel * usize::from(output.shape.width).max(1));
    let bands = output.values.chunks_exact_mut((to * rows).max(1));
    for (line, band) in input.values.chunks_exact(from).zip(bands) {
        for places in band.chunks_exact_mut(to) {
            let spans = places.chunks_exact_mut((pixel * columns).max(1));
            for (values, span) in line.chunks_exact(pixel).zip(spans) {
                for place in span.chunks_exact_mut(pixel) {
                    place.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
                }
            }
        }
    }
}
