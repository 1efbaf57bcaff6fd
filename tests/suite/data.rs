//! Data through the recipe: what a batch holds is what the board will see.

use attar::data;
use attar::data::dataset::FactUse;
use attar::facts::Audience;
use attar::support::random;
use attar_device::{Session, Student, dequantize};
use candle_core::Device;

use crate::toys::small_recipe;

/// Training and board look at the same numbers: the int8 of input and facts stand for what the batch held.
#[test]
fn board_sees_what_the_network_was_trained_on() {
    let recipe = small_recipe(&[]);
    let data = data::load(&recipe, "".as_ref()).unwrap();
    let bytes = attar_tests::nets::untrained(&recipe, &data).unwrap();
    let student = Student::parse(&bytes).unwrap();
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    let mut saturated = 0;
    for sample in 0..50 {
        let batch = data.batch(&[sample], FactUse::AsKnown(Audience::Board), &Device::Cpu).unwrap();
        let facts = attar::student::engine::facts_of(&student, &data, sample).unwrap();
        session.load(data.input(sample), &facts).unwrap();
        for (tensor, expected) in [(0, batch.input), (1, batch.facts.unwrap())] {
            let quantization = student.model().tensor(tensor).unwrap().quantization;
            let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (&q, &value) in session.values(tensor).unwrap().iter().zip(&expected) {
                let error = (dequantize(q, quantization) - value).abs();
                if error > 0.501 * quantization.scale {
                    assert!(q == i8::MIN || q == i8::MAX, "sample {sample}: {value} became {q}");
                    saturated += 1;
                }
            }
        }
    }
    assert!(saturated < 50, "{saturated} values saturated");
}

#[test]
fn wrong_labels_are_in_the_training_split_alone() {
    let clean = data::load(&small_recipe(&[]), "".as_ref()).unwrap();
    let noisy = data::load(&small_recipe(&["data.label_noise=0.3"]), "".as_ref()).unwrap();
    let changed = |samples: &[usize]| {
        let differs = |&&sample: &&usize| clean.targets[0].class(sample) != noisy.targets[0].class(sample);
        samples.iter().filter(differs).count() as f64 / samples.len() as f64
    };
    assert_eq!((changed(&clean.splits.test), changed(&clean.splits.validation)), (0.0, 0.0));
    assert!((changed(&clean.splits.train) - 0.3).abs() < 0.08);
}

#[test]
fn hidden_facts_are_all_zeros_with_their_mask() {
    let data = data::load(&small_recipe(&[]), "".as_ref()).unwrap();
    let samples: Vec<usize> = (0..200).collect();
    let mut random = random::stream(1, "test");
    let batch = data.batch(&samples, FactUse::Dropped(Audience::Board, 0.5, &mut random), &Device::Cpu).unwrap();
    let rows = batch.facts.unwrap().reshape((200, 7)).unwrap().to_vec2::<f32>().unwrap();
    let mut hidden = 0;
    for row in rows {
        // rpm, four bearings, then the masks of rpm and bearing.
        if row[5] == 0.0 {
            assert_eq!(row[0], 0.0);
            hidden += 1;
        }
        let bearings = row[1..5].iter().sum::<f32>();
        assert_eq!(bearings, row[6], "{row:?}");
    }
    assert!((60..140).contains(&hidden), "{hidden} of 200 speeds were hidden at a chance of one half");
}
