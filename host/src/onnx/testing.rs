//! Small networks for tests, as the bytes of a file.

use prost::Message;

use super::proto::{Attribute, Constant, Dimension, Graph, Model, Node, Opset, Shape, TensorType, Type, ValueInfo};

/// A network of one input `x` and one output `y`.
#[derive(Default)]
pub(crate) struct File {
    graph: Graph,
    opset: i64,
}

/// The value of an attribute.
pub(crate) enum Value {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

impl File {
    /// Returns a network without nodes; a size of 0 is left open.
    pub(crate) fn new(input: &[i64]) -> Self {
        let mut file = Self { opset: 20, ..Self::default() };
        file.graph.inputs.push(value("x", input, 1));
        file.graph.outputs.push(value("y", &[], 1));
        file
    }

    pub(crate) fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    /// Adds weights whose values grow by a step from -1.
    pub(crate) fn weights(self, name: &str, dims: &[i64], step: f32) -> Self {
        let len = dims.iter().product::<i64>();
        let values: Vec<f32> = (0..len).map(|at| at as f32 * step - 1.0).collect();
        self.floats(name, dims, &values)
    }

    /// Adds weights of given values.
    pub(crate) fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializers.push(Constant {
            name: name.into(),
            dims: dims.to_vec(),
            element: 1,
            floats: values.to_vec(),
            ..Constant::default()
        });
        self
    }

    /// Adds constants of another element type, in the field of 32-bit integers.
    pub(crate) fn ints(mut self, name: &str, dims: &[i64], element: i32, values: &[i32]) -> Self {
        self.graph.initializers.push(Constant {
            name: name.into(),
            dims: dims.to_vec(),
            element,
            int32s: values.to_vec(),
            int64s: values.iter().map(|&value| value.into()).collect(),
            ..Constant::default()
        });
        self
    }

    /// Adds weights in a file beside it.
    pub(crate) fn external(mut self, name: &str, dims: &[i64], location: &str) -> Self {
        let pair = super::proto::Pair { key: "location".into(), value: location.into() };
        self.graph.initializers.push(Constant {
            name: name.into(),
            dims: dims.to_vec(),
            element: 1,
            location: 1,
            external: vec![pair],
            ..Constant::default()
        });
        self
    }

    /// Adds a node that gives `output`, whose name is the output's.
    pub(crate) fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<(&str, Value)>,
    ) -> Self {
        let attributes = attributes.into_iter().map(|(name, value)| {
            let mut attribute = Attribute { name: name.into(), ..Attribute::default() };
            match value {
                Value::Float(value) => (attribute.kind, attribute.float) = (1, value),
                Value::Int(value) => (attribute.kind, attribute.int) = (2, value),
                Value::Text(value) => (attribute.kind, attribute.text) = (3, value.into()),
                Value::Ints(values) => (attribute.kind, attribute.ints) = (7, values),
            }
            attribute
        });
        self.graph.nodes.push(Node {
            name: format!("{output} node"),
            operator: operator.into(),
            inputs: inputs.iter().map(|name| (*name).into()).collect(),
            outputs: vec![output.into()],
            attributes: attributes.collect(),
            ..Node::default()
        });
        self
    }

    /// Adds an input.
    pub(crate) fn input(mut self, name: &str, dims: &[i64]) -> Self {
        self.graph.inputs.push(value(name, dims, 1));
        self
    }

    /// Adds an output.
    pub(crate) fn output(mut self, name: &str) -> Self {
        self.graph.outputs.push(value(name, &[], 1));
        self
    }

    /// Returns the bytes of the file.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let opsets = vec![Opset { domain: String::new(), version: self.opset }];
        Model { ir_version: 8, graph: Some(self.graph), opsets }.encode_to_vec()
    }
}

fn value(name: &str, dims: &[i64], element: i32) -> ValueInfo {
    let dims = dims.iter().map(|&value| Dimension { value }).collect();
    let tensor = Some(TensorType { element, shape: Some(Shape { dims }) });
    ValueInfo { name: name.into(), kind: Some(Type { tensor }) }
}
