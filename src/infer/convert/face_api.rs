//! face-api's copy of dlib's `face_recognition_resnet_model_v1` → ONNX.
//!
//! The weights are TensorFlow.js's: a JSON list of names, shapes and how each is quantised, and one file of numbers. The network is a
//! residual one (King, 2017): each convolution is followed by a scale and a shift per channel, which are folded into its weights
//! here. Eight-bit weights stay eight-bit in the file, which is a quarter as long so; ONNX Runtime widens them once, at load.
//!
//! Sums are made in double precision and rounded once at the end, so that the result does not depend on the machine.

use std::collections::HashMap;

use serde::Deserialize;

use super::onnx::{Attribute, Graph, Node};
use super::protobuf::Malformed;
use super::{Part, Shape};

/// Rows and columns of the input.
const SIDE: usize = 150;

/// Subtracted from red, green and blue; then all is divided by 256.
const MEAN: [f32; 3] = [122.782, 117.001, 104.298];

/// Numbers that come out.
const DIMENSION: usize = 128;

/// The residual blocks in their order, with the channels that each gives. One named `down` halves rows and columns.
pub(super) const BLOCKS: [(&str, usize); 14] = [
    ("conv32_1", 32),
    ("conv32_2", 32),
    ("conv32_3", 32),
    ("conv64_down", 64),
    ("conv64_1", 64),
    ("conv64_2", 64),
    ("conv64_3", 64),
    ("conv128_down", 128),
    ("conv128_1", 128),
    ("conv128_2", 128),
    ("conv256_down", 256),
    ("conv256_1", 256),
    ("conv256_2", 256),
    ("conv256_down_out", 256),
];

/// Makes the model of the list of weights and the weights.
pub(super) fn convert(list: &Part, numbers: &Part, shape: &Shape<'_>) -> Result<Vec<u8>, Malformed> {
    let weights = Weights::read(list, numbers)?;
    let mut builder =
        Builder { weights, graph: Graph::default(), value: shape.input.to_owned(), channels: 3, side: SIDE };
    builder.network(shape.output).map_err(|why| format!("{}: {why}", list.name))?;
    let names = ["faceapi2onnx", "dlib_face_recognition_resnet_faceapi"];
    Ok(builder.graph.finish(names, (shape.input, &[3, SIDE, SIDE]), (shape.output, DIMENSION)))
}

/// One entry of the list.
#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantisation>,
}

/// A byte `q` stands for `scale · q + min`.
#[derive(Clone, Copy, Deserialize)]
struct Quantisation {
    dtype: QuantisedType,
    scale: f64,
    min: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuantisedType {
    Uint8,
}

#[derive(Deserialize)]
struct Group {
    weights: Vec<Entry>,
}

/// A tensor as it is stored.
struct Tensor<'b> {
    shape: Vec<usize>,
    bytes: &'b [u8],
    quantisation: Option<Quantisation>,
}

impl Tensor<'_> {
    /// The number at `index`, row-major.
    fn at(&self, index: usize) -> f64 {
        match self.quantisation {
            Some(Quantisation { scale, min, .. }) => f64::from(self.bytes[index]) * scale + min,
            None => {
                let four = &self.bytes[4 * index..][..4];
                f64::from(f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            }
        }
    }
}

/// All tensors by name.
struct Weights<'b>(HashMap<String, Tensor<'b>>);

impl<'b> Weights<'b> {
    fn read(list: &Part, numbers: &'b Part) -> Result<Self, Malformed> {
        let groups: Vec<Group> = serde_json::from_slice(&list.bytes).map_err(|e| format!("{}: {e}", list.name))?;
        let mut rest = &numbers.bytes[..];
        let mut all = HashMap::new();
        for entry in groups.into_iter().flat_map(|group| group.weights) {
            if entry.dtype != "float32" {
                return Err(format!("{}: {}: expected float32, found {}", list.name, entry.name, entry.dtype));
            }
            let width = if entry.quantization.is_some() { Some(1usize) } else { Some(4) };
            let length = entry.shape.iter().fold(width, |length, &dim| length?.checked_mul(dim));
            let split = length.and_then(|length| rest.split_at_checked(length));
            let (bytes, after) = split.ok_or_else(|| {
                let (name, shape) = (&entry.name, &entry.shape);
                format!("{}: expected {name} of {shape:?}, found {} bytes more", numbers.name, rest.len())
            })?;
            rest = after;
            all.insert(entry.name, Tensor { shape: entry.shape, bytes, quantisation: entry.quantization });
        }
        if !rest.is_empty() {
            let read = numbers.bytes.len() - rest.len();
            return Err(format!("{}: expected {read} bytes, found {}", numbers.name, numbers.bytes.len()));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<&Tensor<'b>, Malformed> {
        let tensor = self.0.get(name).ok_or_else(|| format!("expected weights named {name}, found none"))?;
        if tensor.shape == shape {
            return Ok(tensor);
        }
        Err(format!("{name}: expected {shape:?}, found {:?}", tensor.shape))
    }
}

/// The graph, and what its last operation gives.
struct Builder<'b> {
    weights: Weights<'b>,
    graph: Graph,
    value: String,
    channels: usize,
    side: usize,
}

impl Builder<'_> {
    fn network(&mut self, output: &str) -> Result<(), Malformed> {
        self.graph.floats("mean", &[1, 3, 1, 1], &MEAN);
        self.graph.floats("scale", &[1], &[1.0 / 256.0]);
        self.step("Sub", &[&self.value.clone(), "mean"], "n0", &[]);
        self.step("Mul", &["n0", "scale"], "n1", &[]);
        self.convolution("conv32_down", "conv32_down", [7, 32], Stride::Down)?;
        self.rectify("conv32_down_r");
        let window = [("kernel_shape", Attribute::Ints(&[3, 3])), ("strides", Attribute::Ints(&[2, 2]))];
        self.step("MaxPool", &["conv32_down_r"], "mp", &window);
        self.side = (self.side - 3) / 2 + 1;
        BLOCKS.iter().try_for_each(|&(name, channels)| self.residual(name, channels))?;
        self.step("GlobalAveragePool", &[&self.value.clone()], "gap", &[]);
        self.step("Flatten", &["gap"], "flat", &[("axis", Attribute::Int(1))]);
        self.numbers_out(output)
    }

    /// An operation whose output is the next one's input.
    fn step(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute<'_>)]) {
        self.graph.add(&Node { op, inputs, output, attributes, ..Node::default() });
        self.value = output.to_owned();
    }

    fn rectify(&mut self, output: &str) {
        self.step("Relu", &[&self.value.clone()], output, &[]);
    }

    /// Two convolutions, and a way around them.
    fn residual(&mut self, name: &str, channels: usize) -> Result<(), Malformed> {
        let (around, before) = (self.value.clone(), (self.channels, self.side));
        let stride = if name.contains("down") { Stride::Down } else { Stride::Keep };
        let part = |part: &str| (format!("{name}_{part}"), format!("{name}/{part}"));
        let ((first, first_weights), (second, second_weights)) = (part("conv1"), part("conv2"));
        self.convolution(&first, &first_weights, [3, channels], stride)?;
        self.rectify(&format!("{first}_r"));
        self.convolution(&second, &second_weights, [3, channels], Stride::Keep)?;
        match stride {
            Stride::Keep => self.step("Add", &[&second, &around], &format!("{name}_add"), &[]),
            Stride::Down => self.join(name, &around, before),
        }
        self.rectify(&format!("{name}_out"));
        Ok(())
    }

    /// Adds the halved input of a block to what the block made of it; whichever is smaller is filled up with zeros.
    fn join(&mut self, name: &str, around: &str, (channels, side): (usize, usize)) {
        let named = |suffix: &str| format!("{name}_{suffix}");
        let mut inner = named("conv2");
        let mut pooled = named("pool");
        let window = [("kernel_shape", Attribute::Ints(&[2, 2])), ("strides", Attribute::Ints(&[2, 2]))];
        self.step("AveragePool", &[around], &pooled, &window);
        let short = side / 2 - self.side;
        if short > 0 {
            let (pads, padded) = (named("pads"), named("padded"));
            self.graph.integers(&pads, &[0, 0, 0, 0, 0, 0, short as i64, short as i64]);
            self.step("Pad", &[&inner, &pads], &padded, &[]);
            inner = padded;
            self.side += short;
        }
        if self.channels > channels {
            let (pads, padded) = (named("cpads"), named("pc"));
            self.graph.integers(&pads, &[0, 0, 0, 0, 0, (self.channels - channels) as i64, 0, 0]);
            self.step("Pad", &[&pooled, &pads], &padded, &[]);
            pooled = padded;
        }
        self.step("Add", &[&pooled, &inner], &named("add"), &[]);
    }

    /// A convolution with its scale and shift folded in.
    fn convolution(
        &mut self,
        name: &str,
        from: &str,
        [side, channels]: [usize; 2],
        stride: Stride,
    ) -> Result<(), Malformed> {
        let shape = [side, side, self.channels, channels];
        let filters = self.weights.get(&format!("{from}/conv/filters"), &shape)?;
        let vector = |kind: &str| self.weights.get(&format!("{from}/{kind}"), &[channels]);
        let (bias, scale, shift) = (vector("conv/bias")?, vector("scale/weights")?, vector("scale/biases")?);
        let scales: Vec<f64> = (0..channels).map(|channel| scale.at(channel)).collect();
        let biases: Vec<f32> = scales
            .iter()
            .enumerate()
            .map(|(channel, scale)| (bias.at(channel) * scale + shift.at(channel)) as f32)
            .collect();
        let places = transposed(&shape);
        let dims = [channels, self.channels, side, side];
        let weights = format!("{name}_w");
        match filters.quantisation {
            None => {
                let each = dims[1..].iter().product::<usize>();
                let folded = places.enumerate().map(|(index, place)| (filters.at(place) * scales[index / each]) as f32);
                let folded: Vec<f32> = folded.collect();
                self.graph.floats(&weights, &dims, &folded);
            }
            Some(quantisation) => {
                let bytes: Vec<u8> = places.map(|place| filters.bytes[place]).collect();
                let scales: Vec<f32> = scales.iter().map(|scale| (quantisation.scale * scale) as f32).collect();
                let packed =
                    Packed { dims: &dims, bytes: &bytes, quantisation, scales: (&[channels, 1, 1, 1], &scales) };
                widen(&mut self.graph, &weights, &packed);
            }
        }
        let bias_name = format!("{name}_b");
        self.graph.floats(&bias_name, &[channels], &biases);
        let (pad, step) = match stride {
            Stride::Keep => ((side / 2) as i64, 1),
            Stride::Down => (0, 2),
        };
        self.add_convolution(name, [&weights, &bias_name], [side as i64, pad, step]);
        if step == 2 {
            self.side = (self.side - side) / 2 + 1;
        }
        self.channels = channels;
        Ok(())
    }

    fn add_convolution(&mut self, name: &str, [weights, biases]: [&str; 2], [side, pad, step]: [i64; 3]) {
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[side, side])),
            ("pads", Attribute::Ints(&[pad; 4])),
            ("strides", Attribute::Ints(&[step, step])),
        ];
        let inputs = [self.value.as_str(), weights, biases];
        self.graph.add(&Node { op: "Conv", name, inputs: &inputs, output: name, attributes: &attributes });
        self.value = name.to_owned();
    }

    /// The last layer: a matrix without a bias.
    fn numbers_out(&mut self, output: &str) -> Result<(), Malformed> {
        let dims = [self.channels, DIMENSION];
        let matrix = self.weights.get("fc", &dims)?;
        match matrix.quantisation {
            None => {
                let values: Vec<f32> = (0..dims[0] * dims[1]).map(|index| matrix.at(index) as f32).collect();
                self.graph.floats("fc_w", &dims, &values);
            }
            Some(quantisation) => {
                let scales = [quantisation.scale as f32; DIMENSION];
                let scales = (&[1, DIMENSION][..], &scales[..]);
                widen(&mut self.graph, "fc_w", &Packed { dims: &dims, bytes: matrix.bytes, quantisation, scales });
            }
        }
        self.step("MatMul", &[&self.value.clone(), "fc_w"], output, &[]);
        Ok(())
    }
}

/// Whether a convolution halves rows and columns, and then takes only windows that are wholly inside.
#[derive(Clone, Copy)]
enum Stride {
    Keep,
    Down,
}

/// Eight-bit weights and what each stands for: `(byte + min / scale) · scales`.
struct Packed<'a> {
    dims: &'a [usize],
    bytes: &'a [u8],
    quantisation: Quantisation,
    scales: (&'a [usize], &'a [f32]),
}

/// Adds eight-bit weights, and the operations that make numbers named `name` of them.
fn widen(graph: &mut Graph, name: &str, packed: &Packed<'_>) {
    let [stored, zero, scales] = ["q", "zp", "sc"].map(|suffix| format!("{name}_{suffix}"));
    let QuantisedType::Uint8 = packed.quantisation.dtype;
    graph.quantised(&stored, packed.dims, packed.bytes);
    let zero_point = (-packed.quantisation.min / packed.quantisation.scale).round_ties_even();
    graph.floats(&zero, &[1], &[zero_point as f32]);
    graph.floats(&scales, packed.scales.0, packed.scales.1);
    let [cast, shifted] = ["c", "s"].map(|suffix| format!("{name}_{suffix}"));
    let to_float = [("to", Attribute::Int(1))];
    graph.add(&Node { op: "Cast", inputs: &[&stored], output: &cast, attributes: &to_float, ..Node::default() });
    graph.add(&Node { op: "Sub", inputs: &[&cast, &zero], output: &shifted, ..Node::default() });
    graph.add(&Node { op: "Mul", inputs: &[&shifted, &scales], output: name, ..Node::default() });
}

/// Where each weight of a filter in ONNX's order (out, in, row, column) is in TensorFlow's (row, column, in, out).
fn transposed(&[rows, columns, input, output]: &[usize; 4]) -> impl Iterator<Item = usize> {
    let out = (0..output).flat_map(move |out| (0..input).map(move |channel| (out, channel)));
    let cells = move |(out, channel)| (0..rows * columns).map(move |cell| (cell * input + channel) * output + out);
    out.flat_map(cells)
}
