//! The window of a layer by its keys in a recipe.

use anyhow::{Result, ensure};

use crate::net::ops::Window;
use crate::recipe::{Layer, Padding, Size};

/// Returns the window of a convolution over an input: 3 wide, `same` and at every position where the recipe does not say.
pub(super) fn of_convolution(layer: &Layer, shape: [usize; 3]) -> Result<Window> {
    let stride = layer.stride.unwrap_or(Size::One(1));
    window(layer, layer.kernel.unwrap_or(Size::One(3)), stride, layer.padding.unwrap_or(Padding::Same), shape)
}

/// Returns the window of a pool over an input: 2 wide, `valid`, side by side where the recipe does not say.
pub(super) fn of_pool(layer: &Layer, shape: [usize; 3]) -> Result<Window> {
    let kernel = layer.kernel.unwrap_or(Size::One(2));
    window(layer, kernel, layer.stride.unwrap_or(kernel), layer.padding.unwrap_or(Padding::Valid), shape)
}

fn window(layer: &Layer, kernel: Size, stride: Size, padding: Padding, shape: [usize; 3]) -> Result<Window> {
    let series = shape[0] == 1;
    let both = |size: Size| match size {
        Size::One(size) => [if series { 1 } else { size }, size],
        Size::Two(sizes) => sizes,
    };
    let (kernel, stride) = (both(kernel), both(stride));
    let dilation = layer.dilation.map_or([1, 1], both);
    for (name, sizes) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
        ensure!(
            sizes.iter().all(|size| (1..=65_535).contains(size)),
            "{name} is {sizes:?}, expected 1 to 65535 on each axis"
        );
    }
    let mut window = Window { kernel, stride, dilation, pad: [0, 0], out: [0, 0] };
    for axis in 0..2 {
        let reach = (kernel[axis] - 1) * dilation[axis];
        let len = shape[axis];
        let causal = padding == Padding::Causal && axis == 1;
        (window.pad[axis], window.out[axis]) = if padding == Padding::Valid {
            ensure!(
                reach < len,
                "its window of {}x{} does not fit {}x{} positions without padding",
                (kernel[0] - 1) * dilation[0] + 1,
                (kernel[1] - 1) * dilation[1] + 1,
                shape[0],
                shape[1]
            );
            (0, (len - 1 - reach) / stride[axis] + 1)
        } else {
            let out = len.div_ceil(stride[axis]);
            let total = ((out - 1) * stride[axis] + reach + 1).saturating_sub(len);
            (if causal { reach } else { total / 2 }, out)
        };
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::LayerKind;

    #[test]
    fn windows_are_as_their_padding_says_for_every_size() {
        let mut windows = 0;
        for (len, kernel, stride, dilation) in (1..24).flat_map(|len| {
            (1..8).flat_map(move |kernel| {
                (1..5).flat_map(move |stride| (1..4).map(move |dilation| (len, kernel, stride, dilation)))
            })
        }) {
            let layer = |padding| Layer {
                kernel: Some(Size::Two([1, kernel])),
                stride: Some(Size::Two([1, stride])),
                dilation: Some(Size::Two([1, dilation])),
                padding: Some(padding),
                ..Layer::of(LayerKind::Conv)
            };
            let window = |padding| of_convolution(&layer(padding), [1, len, 1]);
            let reach = (kernel - 1) * dilation;
            let end = |window: &Window| (window.out[1] - 1) * stride + reach;
            match window(Padding::Valid) {
                Ok(valid) => {
                    assert_eq!(valid.pad, [0, 0]);
                    assert!(end(&valid) < len && end(&valid) + stride >= len, "{valid:?} over {len}");
                    windows += 1;
                }
                Err(_) => assert!(reach >= len),
            }
            let same = window(Padding::Same).unwrap();
            let after = (end(&same) + 1).saturating_sub(same.pad[1] + len);
            assert_eq!(same.out[1], len.div_ceil(stride), "{same:?} over {len}");
            assert!(after >= same.pad[1] && after - same.pad[1] <= 1, "{same:?} over {len}: {after} after");
            let causal = window(Padding::Causal).unwrap();
            // The last tap of an output is the input at its own place: nothing after it.
            assert_eq!((causal.pad[1], causal.out[1]), (reach, len.div_ceil(stride)));
        }
        assert!(windows > 500);
    }
}
