//! Real data, where they are: the engine against the specification on every test image, and a recipe on a real table.

use attar::boards::verify;
use attar::data;
use attar::recipe::Recipe;
use attar_device::Student;
use attar_tests::{real_data, reference, root};

/// All 10,000 test images of Fashion-MNIST through the engine and through the plain implementation of the specification.
///
/// The student is that of the recipe with untrained weights; `ATTAR_STUDENT` names a trained one instead.
#[test]
fn engine_equals_the_specification_on_all_test_images() {
    let Some(folder) = real_data("fashion-mnist") else { return };
    let recipe = Recipe::read(&root().join("host/recipes/fashion-mnist.toml"), &[]).unwrap();
    let data = data::load(&recipe, &folder).unwrap();
    assert_eq!((data.len(), data.splits.test.len()), (70_000, 10_000));
    let bytes = match std::env::var_os("ATTAR_STUDENT") {
        Some(path) => std::fs::read(path).unwrap(),
        None => attar_tests::nets::untrained(&recipe, &data).unwrap(),
    };
    let samples = verify::samples_of(&bytes, &data, &data.splits.test).unwrap();
    let answers = verify::answers(&Student::parse(&bytes).unwrap(), &samples).unwrap();
    let plain = reference::Model::read(&bytes).unwrap();
    let mut mismatches = 0;
    let mut classes = [0; 10];
    for (sample, answer) in samples.iter().zip(&answers) {
        let tensors = plain.run(&plain.quantize_input(&sample.input), &[]);
        let outputs: Vec<u8> =
            plain.heads.iter().flat_map(|head| &tensors[head.tensor]).map(|q| q.cast_unsigned()).collect();
        let results: Vec<u8> = plain.head_results(&tensors).iter().flatten().flat_map(|p| p.to_le_bytes()).collect();
        mismatches += answer.mismatches(&verify::Answer { outputs, results, facts: Vec::new() });
        let logits: Vec<f32> = answer.outputs.iter().map(|&q| f32::from(q.cast_signed())).collect();
        classes[attar::heads::first_greatest(&logits)] += 1;
    }
    eprintln!("{} samples, {mismatches} mismatches, classes {classes:?}", samples.len());
    assert_eq!((samples.len(), mismatches), (10_000, 0));
    assert!(classes.iter().filter(|&&count| count > 0).count() >= 2, "every image got the same answer: {classes:?}");
}

/// The table of AI4I 2020: its rows, its facts, its two heads, and that its classes are as rare as published.
#[test]
fn ai4i_table_is_read_as_published() {
    let Some(folder) = real_data("ai4i2020") else { return };
    let recipe = Recipe::read(&root().join("host/recipes/ai4i.toml"), &[]).unwrap();
    let data = data::load(&recipe, &folder).unwrap();
    assert_eq!((data.len(), data.inputs.row_len(), data.facts.width(attar::facts::Audience::Board)), (10_000, 5, 4));
    let count = |head: usize, label: usize| {
        (0..data.len()).filter(|&sample| data.targets[head].flags(sample)[label] == Some(true)).count()
    };
    assert_eq!(count(0, 0), 339);
    assert_eq!([0, 1, 2, 3, 4].map(|label| count(1, label)), [46, 115, 95, 98, 19]);
}
