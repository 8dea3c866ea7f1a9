//! Writes an ONNX model: nodes and weights in the order in which they are added, one picture input and one output of
//! numbers, both for any batch.

use super::protobuf::Message;

/// The operator set that the nodes are of, and the file format's version that goes with it.
const OPSET: u64 = 13;
const IR_VERSION: u64 = 8;

/// Element types of `TensorProto`.
const F32: u64 = 1;
const U8: u64 = 2;
const I64: u64 = 7;

/// One attribute's value.
pub(super) enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Ints(&'a [i64]),
}

/// One operation.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub op: &'a str,
    /// Empty where nobody looks for it.
    pub name: &'a str,
    pub inputs: &'a [&'a str],
    pub output: &'a str,
    /// In alphabetical order.
    pub attributes: &'a [(&'a str, Attribute<'a>)],
}

/// A graph as it grows.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Message,
    weights: Message,
}

impl Graph {
    /// Adds an operation; its inputs must have been added before it.
    pub fn add(&mut self, node: &Node<'_>) {
        let mut message = Message::default();
        for input in node.inputs {
            message = message.bytes(1, input);
        }
        message = message.bytes(2, node.output);
        if !node.name.is_empty() {
            message = message.bytes(3, node.name);
        }
        message = message.bytes(4, node.op);
        for (name, value) in node.attributes {
            message = message.message(5, &attribute(name, value));
        }
        self.nodes = std::mem::take(&mut self.nodes).message(1, &message);
    }

    /// Adds weights.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.tensor(F32, name, dims, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    }

    /// Adds quantised weights.
    pub fn quantised(&mut self, name: &str, dims: &[usize], values: &[u8]) {
        self.tensor(U8, name, dims, values);
    }

    /// Adds a list of numbers that an operation takes as an input.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        self.tensor(
            I64,
            name,
            &[values.len()],
            &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(),
        );
    }

    fn tensor(&mut self, kind: u64, name: &str, dims: &[usize], raw: &[u8]) {
        let mut message = Message::default();
        for &dim in dims {
            message = message.integer(1, dim as u64);
        }
        message = message.integer(2, kind).bytes(8, name).bytes(9, raw);
        self.weights = std::mem::take(&mut self.weights).message(5, &message);
    }

    /// The model's file: `input` is a picture's name and its channels, rows and columns, `output` the name and number of
    /// what comes out. `producer` and `name` say what made it and of what.
    pub fn finish(self, [producer, name]: [&str; 2], input: (&str, &[usize]), output: (&str, usize)) -> Vec<u8> {
        let Message(mut graph) = self.nodes;
        graph.extend(Message::default().bytes(2, name).0);
        graph.extend(self.weights.0);
        let graph = Message(graph).message(11, &value(input.0, input.1)).message(12, &value(output.0, &[output.1]));
        let opset = Message::default().bytes(1, "").integer(2, OPSET);
        Message::default().integer(1, IR_VERSION).bytes(2, producer).message(7, &graph).message(8, &opset).0
    }
}

fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let message = Message::default().bytes(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).integer(20, 1),
        Attribute::Int(value) => message.integer(3, *value as u64).integer(20, 2),
        Attribute::Ints(values) => {
            values.iter().fold(message, |message, &value| message.integer(8, value as u64)).integer(20, 7)
        }
    }
}

/// A tensor of floats whose first dimension is the batch, `N`.
fn value(name: &str, dims: &[usize]) -> Message {
    let batch = Message::default().bytes(2, "N");
    let dims = dims.iter().map(|&dim| Message::default().integer(1, dim as u64));
    let shape = std::iter::once(batch).chain(dims).fold(Message::default(), |shape, dim| shape.message(1, &dim));
    let tensor = Message::default().integer(1, F32).message(2, &shape);
    Message::default().bytes(1, name).message(2, &Message::default().message(1, &tensor))
}
