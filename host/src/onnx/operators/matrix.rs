//! Products of matrices.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::broadcast::{pairs, shape_of};
use super::{Run, Work, one, strides_of};
use crate::net::ops::gemm::{Matrix, product};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Tensor, count};

/// Matrices of a product with the axes before them.
pub(super) struct Operands {
    /// Rows, columns, and the length of the sums.
    pub(super) sizes: [usize; 3],
    /// The places of both matrices, for each product.
    pub(super) places: Vec<(usize, usize)>,
    /// The shape of the result.
    pub(super) shape: Vec<usize>,
}

impl Operands {
    /// Returns how two shapes multiply, as `numpy.matmul` does.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub(super) fn new(a: &[usize], b: &[usize]) -> Result<Self> {
        ensure!(!a.is_empty() && !b.is_empty(), "multiplies a single number as a matrix");
        let [a_vector, b_vector] = [a.len() == 1, b.len() == 1];
        let left = if a_vector { vec![1, a[0]] } else { a.to_vec() };
        let right = if b_vector { vec![b[0], 1] } else { b.to_vec() };
        let [left_axes, right_axes] = [&left[..left.len() - 2], &right[..right.len() - 2]];
        let sizes = [left[left.len() - 2], right[right.len() - 1], left[left.len() - 1]];
        ensure!(sizes[2] == right[right.len() - 2], "shapes {a:?} and {b:?} do not multiply");
        let axes = shape_of(left_axes, right_axes)?;
        let starts = |axes: &[usize]| (0..axes.iter().product()).collect::<Vec<usize>>();
        let places = pairs([left_axes, right_axes, &axes], &starts(left_axes), &starts(right_axes), |a, b| (a, b));
        let mut shape = axes;
        if !a_vector {
            shape.push(sizes[0]);
        }
        if !b_vector {
            shape.push(sizes[1]);
        }
        count(&shape)?;
        Ok(Self { sizes, places, shape })
    }
}

pub(super) fn multiply(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let ((a_shape, a), (b_shape, b)) = (inputs.floats(0)?, inputs.floats(1)?);
        one(multiplied(a_shape, a, b_shape, b, work))
    }))
}

fn multiplied(a_shape: &[usize], a: &[f32], b_shape: &[usize], b: &[f32], work: &Work) -> Result<Tensor> {
    let Operands { mut sizes, mut places, shape } = Operands::new(a_shape, b_shape)?;
    if b_shape.len() == 2 && a_shape.len() > 2 {
        // One matrix for all: the rows go through as one.
        sizes[0] *= places.len();
        places.truncate(1);
    }
    let [m, n, k] = sizes;
    work.spend(&[places.len(), m, n, k.max(1)])?;
    let mut y = vec![0.0; count(&shape)?];
    for (y, &(left, right)) in y.chunks_exact_mut((m * n).max(1)).zip(&places) {
        let [a, b] = [&a[left * m * k..][..m * k], &b[right * k * n..][..k * n]];
        product(y, sizes, Matrix::rows(a, k), Matrix::rows(b, n), false, false);
    }
    Tensor::floats(shape, y)
}

pub(super) fn gemm(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.0)?;
    let beta = attributes.float("beta", 1.0)?;
    let turned = [attributes.flag("transA", false)?, attributes.flag("transB", false)?];
    Ok(Box::new(move |inputs, work| {
        let ((a_shape, a), (b_shape, b)) = (inputs.floats(0)?, inputs.floats(1)?);
        ensure!(a_shape.len() == 2 && b_shape.len() == 2, "shapes {a_shape:?} and {b_shape:?} are not of matrices");
        let sizes = |shape: &[usize], turned| if turned { [shape[1], shape[0]] } else { [shape[0], shape[1]] };
        let ([m, k], [inner, n]) = (sizes(a_shape, turned[0]), sizes(b_shape, turned[1]));
        ensure!(k == inner, "shapes {a_shape:?} and {b_shape:?} do not multiply");
        work.spend(&[m, n, k.max(1)])?;
        let matrix = |values, columns, turned| {
            if turned { Matrix::transposed(values, columns) } else { Matrix::rows(values, columns) }
        };
        let mut y = vec![0.0; count(&[m, n])?];
        product(&mut y, [m, n, k], matrix(a, a_shape[1], turned[0]), matrix(b, b_shape[1], turned[1]), false, false);
        if alpha != 1.0 {
            y.iter_mut().for_each(|y| *y *= alpha);
        }
        if inputs.optional(2).is_some() {
            let (shape, c) = inputs.floats(2)?;
            ensure!(shape_of(shape, &[m, n])? == [m, n], "input 2 of shape {shape:?} does not fit [{m}, {n}]");
            y = pairs([&[m, n], shape, &[m, n]], &y, c, |y, c| y + beta * c);
        }
        one(Tensor::floats(vec![m, n], y))
    }))
}

/// A sum of products over letters, such as `bij,bjk->bik`.
pub(super) fn einsum(attributes: &mut Attributes) -> Result<Run> {
    let equation: String = attributes.text("equation", "")?.split_whitespace().collect();
    ensure!(!equation.contains('.'), "equation {equation:?} has an ellipsis, which is not supported");
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_string(), right.to_string()),
        None => {
            let mut once: Vec<char> = equation.chars().filter(|c| equation.matches(*c).count() == 1).collect();
            once.retain(|c| c.is_alphabetic());
            once.sort_unstable();
            (equation.clone(), once.into_iter().collect())
        }
    };
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let output: Vec<char> = right.chars().collect();
    let letters_only = terms.iter().flatten().chain(&output).all(|c| c.is_ascii_alphabetic());
    let once = output.iter().enumerate().all(|(at, letter)| !output[..at].contains(letter));
    ensure!(letters_only && once, "equation {equation:?} is not understood");
    Ok(Box::new(move |inputs, work| {
        ensure!(inputs.0.len() == terms.len(), "equation {equation:?} does not have {} terms", inputs.0.len());
        let mut sizes: BTreeMap<char, usize> = BTreeMap::new();
        for (place, term) in terms.iter().enumerate() {
            let (shape, _) = inputs.floats(place)?;
            ensure!(shape.len() == term.len(), "input {place} of shape {shape:?} does not fit {equation:?}");
            for (&letter, &size) in term.iter().zip(shape) {
                let known = *sizes.entry(letter).or_insert(size);
                ensure!(known == size, "{letter:?} of {equation:?} has the sizes {known} and {size}");
            }
        }
        let size =
            |letter: &char| sizes.get(letter).copied().with_context(|| format!("{letter:?} comes from no input"));
        let shape: Vec<usize> = output.iter().map(size).collect::<Result<_>>()?;
        let summed: Vec<char> = sizes.keys().copied().filter(|letter| !output.contains(letter)).collect();
        let order: Vec<char> = output.iter().copied().chain(summed).collect();
        let all: Vec<usize> = order.iter().map(size).collect::<Result<_>>()?;
        let len = count(&shape)?;
        work.spend_slow(&[&all[..], &[terms.len()]].concat())?;
        let mut steps = Vec::new();
        for (place, term) in terms.iter().enumerate() {
            let strides = strides_of(inputs.floats(place)?.0);
            let of =
                |letter: &char| term.iter().zip(&strides).filter(|(c, _)| *c == letter).map(|(_, s)| s).sum::<usize>();
            steps.push(order.iter().map(of).collect::<Vec<usize>>());
        }
        let values = (0..terms.len()).map(|place| Ok(inputs.floats(place)?.1)).collect::<Result<Vec<_>>>()?;
        let sums: usize = all[output.len()..].iter().product();
        let strides = strides_of(&all);
        let mut y = vec![0.0f32; len];
        for (at, y) in y.iter_mut().enumerate() {
            let mut sum = 0.0f64;
            for rest in 0..sums {
                let index = at * sums + rest;
                let mut term = 1.0f64;
                for (values, steps) in values.iter().zip(&steps) {
                    let at =
                        strides.iter().zip(&all).zip(steps).map(|((stride, size), step)| index / stride % size * step);
                    term *= f64::from(values[at.sum::<usize>()]);
                }
                sum += term;
            }
            *y = sum as f32;
        }
        one(Tensor::floats(shape, y))
    }))
}
