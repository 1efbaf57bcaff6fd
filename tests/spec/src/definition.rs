//! The way back: of a parsed model what it was written from.

use attar_shared::{
    Addend, Definition, FactDefinition, FactKind, HeadDefinition, InputDefinition, KindDefinition, Model,
    OperatorDefinition, Parameters, Tensor, TestDefinition, Window,
};

use crate::parameters;

/// Writes a model that was parsed.
pub fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let model = Model::parse(bytes).unwrap();
    with_definition(&model, |definition| {
        let mut buffer = vec![0; definition.encoded_len().unwrap()];
        definition.write(&mut buffer).unwrap().to_vec()
    })
}

/// Makes of a parsed model the definition that it was written from.
pub fn with_definition<R>(model: &Model<'_>, with: impl FnOnce(&Definition<'_>) -> R) -> R {
    let input = model.input().unwrap();
    let (gains, offsets): (Vec<f32>, Vec<f32>) = (input.gains.iter().collect(), input.offsets.iter().collect());
    let channels: Vec<&str> = input.channels.iter().collect();
    let categories: Vec<(Vec<&str>, Vec<Vec<f32>>)> = model
        .facts()
        .map(|fact| match fact.kind {
            FactKind::Category(category) => {
                let numbers: Vec<f32> = category.table.iter().collect();
                let columns = numbers.chunks(category.values.len()).map(<[f32]>::to_vec).collect();
                (category.values.iter().collect(), columns)
            }
            FactKind::Gazetteer(gazetteer) => (gazetteer.features.iter().collect(), Vec::new()),
            _ => (Vec::new(), Vec::new()),
        })
        .collect();
    let phrases: Vec<Vec<(u32, u16)>> = model
        .facts()
        .map(|fact| match fact.kind {
            FactKind::Gazetteer(gazetteer) => gazetteer.entries().collect(),
            _ => Vec::new(),
        })
        .collect();
    let columns: Vec<Vec<&[f32]>> =
        categories.iter().map(|(_, columns)| columns.iter().map(Vec::as_slice).collect()).collect();
    let facts: Vec<FactDefinition<'_>> = model
        .facts()
        .zip(categories.iter().zip(&columns).zip(&phrases))
        .map(|(fact, (((values, _), columns), entries))| FactDefinition {
            name: fact.name,
            unit: fact.unit,
            kind: match fact.kind {
                FactKind::Number { least, greatest } => KindDefinition::Number { least, greatest },
                FactKind::Category(_) => KindDefinition::Category { values, columns },
                FactKind::Flag => KindDefinition::Flag,
                FactKind::Gazetteer(gazetteer) => {
                    KindDefinition::Gazetteer { features: values, words: gazetteer.words, entries }
                }
            },
            encoder: fact.encoder,
            code: fact.code.bytes(),
        })
        .collect();
    let lists: Vec<(Vec<&str>, Vec<f32>, Vec<f32>)> = model
        .heads()
        .map(|head| {
            (head.labels.iter().collect(), head.rescale.gains.iter().collect(), head.rescale.offsets.iter().collect())
        })
        .collect();
    let heads: Vec<HeadDefinition<'_>> = model
        .heads()
        .zip(&lists)
        .map(|(head, (labels, gains, offsets))| HeadDefinition {
            name: head.name,
            kind: head.kind,
            tensor: head.tensor,
            labels,
            gains,
            offsets,
        })
        .collect();
    let parts: Vec<(Vec<u16>, Option<Window>, Vec<u8>)> = model
        .operators()
        .map(|operator| {
            let of_channels = || {
                let channels = operator.channels;
                let (biases, multipliers): (Vec<i32>, Vec<i32>) =
                    (channels.biases.iter().collect(), channels.multipliers.iter().collect());
                let weights: Vec<i8> = channels.weights.bytes().iter().map(|w| w.cast_signed()).collect();
                parameters::channels(&biases, &multipliers, channels.shifts, &weights)
            };
            let (window, parameters) = match operator.parameters {
                Parameters::Dense => (None, of_channels()),
                Parameters::Convolution(window) => (Some(window), of_channels()),
                Parameters::Depthwise(window) => (Some(window), of_channels()),
                Parameters::Add(c) => (None, parameters::addition(c.a_multiplier, c.b_multiplier, c.bias, c.shift)),
                Parameters::AveragePool(window, r) => (Some(window), parameters::average(r.multiplier, r.shift)),
                Parameters::MaxPool(window) => (Some(window), Vec::new()),
                Parameters::Table(table) => (None, table.to_vec()),
                Parameters::Concat | Parameters::Delay | Parameters::Upsample => (None, Vec::new()),
                Parameters::Multiply(r) => (None, parameters::average(r.multiplier, r.shift)),
                Parameters::Bag(bag) => {
                    let rows: Vec<i8> = bag.rows.iter().map(|row| row.cast_signed()).collect();
                    (None, parameters::bag(bag.grams, bag.requantization.multiplier, bag.requantization.shift, &rows))
                }
                other => panic!("{} is not taken apart here", other.kind().name()),
            };
            let addend = operator.addend.map(|Addend { constants: c, zero_point, clamp }| {
                let own = [zero_point, clamp.min, clamp.max];
                parameters::joined_addition(c.a_multiplier, c.b_multiplier, c.bias, c.shift, own)
            });
            let parameters = [parameters, addend.unwrap_or_default()].concat();
            (operator.inputs().to_vec(), window, parameters)
        })
        .collect();
    let operators: Vec<OperatorDefinition<'_>> = model
        .operators()
        .zip(&parts)
        .map(|(operator, (inputs, window, parameters))| OperatorDefinition {
            kind: operator.kind(),
            form: operator.form(),
            inputs,
            clamp: operator.clamp,
            window: *window,
            parameters,
        })
        .collect();
    let tensors: Vec<Tensor> = model.tensors().collect();
    let signed = |bytes: &[u8]| bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<i8>>();
    let vectors: Vec<([Vec<i8>; 3], Vec<u32>)> = model
        .tests()
        .map(|test| ([signed(test.input), signed(test.facts), signed(test.outputs)], test.checksums.iter().collect()))
        .collect();
    let tests: Vec<TestDefinition<'_>> = vectors
        .iter()
        .map(|([input, facts, outputs], checksums)| TestDefinition { input, facts, outputs, checksums })
        .collect();
    with(&Definition {
        input: InputDefinition {
            name: input.name,
            is_text: input.is_text,
            signal: input.signal,
            gains: &gains,
            offsets: &offsets,
            channels: &channels,
        },
        facts: &facts,
        fact_mask: model.has_fact_mask(),
        heads: &heads,
        operators: &operators,
        tensors: &tensors,
        tests: &tests,
        macs: model.header().macs,
        revision: model.header().revision,
    })
}
