//! OpenVINO's intermediate representation → ONNX: each layer becomes an operation or two.

use super::ir::{Layer, Network};
use super::onnx::{Attribute, Graph, Node};
use super::protobuf::Malformed;
use super::{Part, Shape};

/// Kinds of layers that can be converted, for an error.
const KINDS: &str = "Input, ScaleShift, Convolution, PReLU, ReLU, Activation, Eltwise, Pooling";

/// Makes an ONNX model of the two files of a network with one picture input and one output, which get the names of `shape`.
pub(super) fn convert(xml: &Part, bin: &Part, shape: &Shape<'_>) -> Result<Vec<u8>, Malformed> {
    let network = Network::read(xml, bin)?;
    build(&network, shape).map_err(|why| format!("{}: {why}", xml.name))
}

fn build(network: &Network, shape: &Shape<'_>) -> Result<Vec<u8>, Malformed> {
    let [first, .., last] = &network.layers[..] else {
        return Err(format!("expected an input and a layer at least, found {} layers", network.layers.len()));
    };
    let (&[1, ref picture @ ..], [1, length, rest @ ..]) = (&first.dims[..], &last.dims[..]) else {
        return Err(format!("expected a batch of one, found {:?} to {:?}", first.dims, last.dims));
    };
    if picture.len() != 3 || rest.iter().any(|&dim| dim != 1) {
        return Err(format!("expected a picture to become a list, found {:?} to {:?}", first.dims, last.dims));
    }
    let mut builder = Builder { network, shape, graph: Graph::default() };
    network.layers.iter().try_for_each(|layer| builder.add(layer))?;
    let (last, flat) = (builder.value(last), [("axis", Attribute::Int(1))]);
    let flatten = Node { op: "Flatten", inputs: &[&last], output: shape.output, attributes: &flat, ..Node::default() };
    builder.graph.add(&flatten);
    Ok(builder.graph.finish(["ir2onnx", &network.name], (shape.input, picture), (shape.output, *length)))
}

struct Builder<'n> {
    network: &'n Network,
    shape: &'n Shape<'n>,
    graph: Graph,
}

impl Builder<'_> {
    /// The name of what comes out of a layer.
    fn value(&self, layer: &Layer) -> String {
        if layer.kind == "Input" { self.shape.input.to_owned() } else { format!("t{}", layer.id) }
    }

    /// The layers that go into `layer`, which must be as many as it can take.
    fn inputs<const N: usize>(&self, layer: &Layer) -> Result<[&Layer; N], Malformed> {
        let inputs: Vec<_> = layer.inputs.iter().map(|&place| &self.network.layers[place]).collect();
        let found = inputs.len();
        inputs.try_into().map_err(|_| layer.wrong(&format!("expected {N} inputs, found {found}")))
    }

    fn add(&mut self, layer: &Layer) -> Result<(), Malformed> {
        match layer.kind.as_str() {
            "Input" => Ok(()),
            "ScaleShift" => self.scale_shift(layer),
            "Convolution" => self.convolution(layer),
            "PReLU" | "ReLU" => self.rectifier(layer),
            "Activation" => {
                let op = choice(layer, "type", &[("sigmoid", "Sigmoid"), ("tanh", "Tanh")])?;
                self.unary(layer, op, &[])
            }
            "Eltwise" => self.pairwise(layer),
            "Pooling" => self.pooling(layer),
            other => Err(layer.wrong(&format!("expected one of {KINDS}, found {other}"))),
        }
    }

    /// An operation with nothing but the layer's one input.
    fn unary(&mut self, layer: &Layer, op: &str, attributes: &[(&str, Attribute<'_>)]) -> Result<(), Malformed> {
        let [input] = self.inputs(layer)?;
        self.operation(layer, op, &[&self.value(input)], attributes);
        Ok(())
    }

    fn operation(&mut self, layer: &Layer, op: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)]) {
        let (name, output) = (layer.name.replace('/', "_"), self.value(layer));
        self.graph.add(&Node { op, name: &name, inputs, output: &output, attributes });
    }

    /// `x · weights + biases`, per channel.
    fn scale_shift(&mut self, layer: &Layer) -> Result<(), Malformed> {
        let [input] = self.inputs(layer)?;
        let channels = *layer.dims.get(1).unwrap_or(&0);
        check_count(layer, "weights", channels, layer.weights.len())?;
        check_count(layer, "biases", channels, layer.biases.len())?;
        let (input, own) = (self.value(input), self.value(layer));
        let (weights, biases, scaled) = (format!("{own}_w"), format!("{own}_b"), format!("{own}m"));
        self.graph.floats(&weights, &[1, channels, 1, 1], &layer.weights);
        self.graph.floats(&biases, &[1, channels, 1, 1], &layer.biases);
        self.graph.add(&Node { op: "Mul", inputs: &[&input, &weights], output: &scaled, ..Node::default() });
        self.operation(layer, "Add", &[&scaled, &biases], &[]);
        Ok(())
    }

    fn convolution(&mut self, layer: &Layer) -> Result<(), Malformed> {
        let [input] = self.inputs(layer)?;
        if let Some(other) = layer.text("auto_pad").filter(|&text| text != "explicit") {
            return Err(layer.wrong(&format!("auto_pad: expected explicit, found {other}")));
        }
        let (kernel, group) = (layer.numbers("kernel", 2)?, layer.numbers("group", 1)?[0]);
        let channels = [*layer.dims.get(1).unwrap_or(&0), *input.dims.get(1).unwrap_or(&0)];
        let per_group = usize::try_from(group).ok().and_then(|group| channels[1].checked_div(group)).unwrap_or(0);
        let sides = kernel.iter().map(|&side| usize::try_from(side).unwrap_or(0));
        let shape: Vec<usize> = [channels[0], per_group].into_iter().chain(sides).collect();
        let count = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).unwrap_or(0);
        check_count(layer, "weights", count.max(1), layer.weights.len())?;

        let (input, own) = (self.value(input), self.value(layer));
        let (weights, biases) = (format!("{own}_w"), format!("{own}_b"));
        self.graph.floats(&weights, &shape, &layer.weights);
        let mut inputs = vec![input.as_str(), &weights];
        if !layer.biases.is_empty() {
            check_count(layer, "biases", channels[0], layer.biases.len())?;
            self.graph.floats(&biases, &[channels[0]], &layer.biases);
            inputs.push(&biases);
        }
        let (dilations, pads, strides) = (layer.numbers("dilations", 2)?, pads(layer)?, layer.numbers("strides", 2)?);
        let attributes = [
            ("dilations", Attribute::Ints(&dilations)),
            ("group", Attribute::Int(group)),
            ("pads", Attribute::Ints(&pads)),
            ("strides", Attribute::Ints(&strides)),
        ];
        self.operation(layer, "Conv", &inputs, &attributes);
        Ok(())
    }

    /// A slope below zero: none, one for all channels, or one each. One for all is a leaky rectifier, which is
    /// the same and twice as fast in ONNX Runtime.
    fn rectifier(&mut self, layer: &Layer) -> Result<(), Malformed> {
        let slope = layer.text("negative_slope").map_or(Ok(0.0), |text| text.trim().parse::<f32>());
        let slope = slope.map_err(|e| layer.wrong(&format!("negative_slope: {e}")))?;
        let shared = layer.kind == "PReLU" && layer.text("channel_shared") == Some("1");
        match layer.kind.as_str() {
            "ReLU" if slope == 0.0 => self.unary(layer, "Relu", &[]),
            "ReLU" => self.unary(layer, "LeakyRelu", &[("alpha", Attribute::Float(slope))]),
            _ if shared => {
                check_count(layer, "weights", 1, layer.weights.len())?;
                self.unary(layer, "LeakyRelu", &[("alpha", Attribute::Float(layer.weights[0]))])
            }
            _ => {
                let [input] = self.inputs(layer)?;
                let channels = *layer.dims.get(1).unwrap_or(&0);
                check_count(layer, "weights", channels, layer.weights.len())?;
                let (input, weights) = (self.value(input), format!("{}_w", self.value(layer)));
                self.graph.floats(&weights, &[channels, 1, 1], &layer.weights);
                self.operation(layer, "PRelu", &[&input, &weights], &[]);
                Ok(())
            }
        }
    }

    fn pairwise(&mut self, layer: &Layer) -> Result<(), Malformed> {
        let [a, b] = self.inputs(layer)?;
        let op = choice(layer, "operation", &[("sum", "Add"), ("mul", "Mul")])?;
        self.operation(layer, op, &[&self.value(a), &self.value(b)], &[]);
        Ok(())
    }

    fn pooling(&mut self, layer: &Layer) -> Result<(), Malformed> {
        let [input] = self.inputs(layer)?;
        let (kernel, pads) = (layer.numbers("kernel", 2)?, pads(layer)?);
        let op = choice(layer, "pool-method", &[("max", "MaxPool"), ("avg", "GlobalAveragePool")])?;
        if op == "GlobalAveragePool" {
            let whole = input.dims.iter().skip(2).zip(&kernel).all(|(&dim, &side)| dim as i64 == side);
            if !whole || pads != [0; 4] {
                let what = format!("expected an average of the whole {:?}, found one of {kernel:?}", input.dims);
                return Err(layer.wrong(&what));
            }
            return self.unary(layer, op, &[]);
        }
        let rounding = choice(layer, "rounding_type", &[("floor", "0"), ("ceil", "1")])?;
        let strides = layer.numbers("strides", 2)?;
        let attributes = [
            ("ceil_mode", Attribute::Int(i64::from(rounding == "1"))),
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("pads", Attribute::Ints(&pads)),
            ("strides", Attribute::Ints(&strides)),
        ];
        self.unary(layer, op, &attributes)
    }
}

/// What stands for a setting's word.
fn choice<'c>(layer: &Layer, key: &str, choices: &[(&str, &'c str)]) -> Result<&'c str, Malformed> {
    let found = layer.text(key).unwrap_or("none");
    let known = choices.iter().find(|(word, _)| *word == found);
    known.map(|&(_, meaning)| meaning).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        layer.wrong(&format!("{key}: expected {}, found {found}", words.join(" or ")))
    })
}

/// Rows and columns before the picture, then behind it.
fn pads(layer: &Layer) -> Result<Vec<i64>, Malformed> {
    Ok([layer.numbers("pads_begin", 2)?, layer.numbers("pads_end", 2)?].concat())
}

fn check_count(layer: &Layer, what: &str, expected: usize, found: usize) -> Result<(), Malformed> {
    if found == expected {
        return Ok(());
    }
    Err(layer.wrong(&format!("{what}: expected {expected} numbers, found {found}")))
}
