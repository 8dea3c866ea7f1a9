//! Reads OpenVINO's intermediate representation: an XML file with layers and edges, and a file with their weights. Versions
//! 2 to 7 are understood, in which a layer carries its weights; from version 10 on weights are layers themselves.

use std::collections::HashMap;
use std::str::FromStr;

use roxmltree::{Document, Node};

use super::Part;
use super::protobuf::Malformed;

/// Versions of the format whose layers carry their weights.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=7;

/// A network, its layers in the order in which they run.
pub(super) struct Network {
    pub name: String,
    pub layers: Vec<Layer>,
}

/// One operation with its weights.
pub(super) struct Layer {
    pub id: u32,
    pub name: String,
    pub kind: String,
    /// The layers whose outputs go in, by their place in [`Network::layers`], in the order of the ports.
    pub inputs: Vec<usize>,
    /// Dimensions of what comes out.
    pub dims: Vec<usize>,
    /// Empty where the layer has none.
    pub weights: Vec<f32>,
    /// Empty where the layer has none.
    pub biases: Vec<f32>,
    settings: HashMap<String, String>,
}

impl Layer {
    /// A setting, where the layer has it.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// A list of numbers, one for each axis.
    pub fn numbers(&self, key: &str, count: usize) -> Result<Vec<i64>, Malformed> {
        let text = self.text(key).unwrap_or_default();
        let numbers: Result<Vec<i64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        numbers
            .ok()
            .filter(|numbers| numbers.len() == count)
            .ok_or_else(|| self.wrong(&format!("{key}: expected {count} numbers, found \"{text}\"")))
    }

    /// An error about this layer.
    pub fn wrong(&self, what: &str) -> Malformed {
        format!("layer \"{}\": {what}", self.name)
    }
}

impl Network {
    /// Puts the two files together.
    pub fn read(xml: &Part, bin: &Part) -> Result<Self, Malformed> {
        let named = |why: String| format!("{}: {why}", xml.name);
        let text = std::str::from_utf8(&xml.bytes).map_err(|e| named(e.to_string()))?;
        let document = Document::parse(text).map_err(|e| named(e.to_string()))?;
        Self::from_document(&document, bin).map_err(named)
    }

    fn from_document(document: &Document<'_>, bin: &Part) -> Result<Self, Malformed> {
        let net = document.root_element();
        if !net.has_tag_name("net") {
            return Err(format!("expected a network <net>, found <{}>", net.tag_name().name()));
        }
        let version: u32 = attribute(net, "version")?;
        if !VERSIONS.contains(&version) {
            return Err(format!("expected version {} to {}, found {version}", VERSIONS.start(), VERSIONS.end()));
        }
        let mut network = Self { name: net.attribute("name").unwrap_or_default().to_owned(), layers: Vec::new() };
        let edges = edges(net)?;
        for node in children(net, "layers").flat_map(|layers| children(layers, "layer")) {
            let mut layer = layer(node, bin)?;
            for source in edges.get(&layer.id).into_iter().flatten() {
                let place = network.layers.iter().position(|before| before.id == source.layer);
                layer.inputs.push(place.ok_or_else(|| {
                    layer.wrong(&format!("expected layer {} before it, found none of that id", source.layer))
                })?);
            }
            network.layers.push(layer);
        }
        Ok(network)
    }
}

/// Where an input comes from.
struct Edge {
    to_port: u32,
    layer: u32,
}

/// What goes into each layer, by its id, in the order of its ports.
fn edges(net: Node<'_, '_>) -> Result<HashMap<u32, Vec<Edge>>, Malformed> {
    let mut all: HashMap<u32, Vec<Edge>> = HashMap::new();
    for edge in children(net, "edges").flat_map(|edges| children(edges, "edge")) {
        let source = Edge { to_port: attribute(edge, "to-port")?, layer: attribute(edge, "from-layer")? };
        all.entry(attribute(edge, "to-layer")?).or_default().push(source);
    }
    all.values_mut().for_each(|sources| sources.sort_by_key(|source| source.to_port));
    Ok(all)
}

fn layer(node: Node<'_, '_>, bin: &Part) -> Result<Layer, Malformed> {
    let name: String = attribute(node, "name")?;
    let located = |why: String| format!("layer \"{name}\": {why}");
    let precision = node.attribute("precision").unwrap_or("FP32");
    let weights = blob(node, "weights", precision, bin).map_err(located)?;
    let biases = blob(node, "biases", precision, bin).map_err(located)?;
    let data = children(node, "data").flat_map(|data| data.attributes());
    Ok(Layer {
        id: attribute(node, "id")?,
        kind: attribute(node, "type")?,
        inputs: Vec::new(),
        dims: dims(node).map_err(located)?,
        weights,
        biases,
        settings: data.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect(),
        name,
    })
}

/// Dimensions of a layer's one output.
fn dims(layer: Node<'_, '_>) -> Result<Vec<usize>, Malformed> {
    let ports: Vec<_> = children(layer, "output").flat_map(|output| children(output, "port")).collect();
    let [port] = ports[..] else { return Err(format!("expected one output, found {}", ports.len())) };
    let dims = children(port, "dim").map(|dim| dim.text().unwrap_or_default());
    dims.map(|text| text.trim().parse().map_err(|_| format!("expected a dimension, found \"{text}\""))).collect()
}

/// A layer's weights or biases; none where it has none.
fn blob(layer: Node<'_, '_>, kind: &str, precision: &str, bin: &Part) -> Result<Vec<f32>, Malformed> {
    let Some(blob) = children(layer, "blobs").flat_map(|blobs| children(blobs, kind)).next() else {
        return Ok(Vec::new());
    };
    let (offset, size): (usize, usize) = (attribute(blob, "offset")?, attribute(blob, "size")?);
    let end = offset.checked_add(size).filter(|&end| end <= bin.bytes.len()).ok_or_else(|| {
        format!("{kind}: expected {size} bytes at {offset} of {}, found a file of {}", bin.name, bin.bytes.len())
    })?;
    let bytes = &bin.bytes[offset..end];
    let precision = blob.attribute("precision").unwrap_or(precision);
    let width = if precision == "FP16" { 2 } else { 4 };
    match precision {
        "FP16" | "FP32" if size % width != 0 => {
            Err(format!("{kind}: expected whole {precision} numbers, found {size} bytes"))
        }
        "FP16" => Ok(bytes.chunks_exact(2).map(|pair| half(u16::from_le_bytes([pair[0], pair[1]]))).collect()),
        "FP32" => {
            Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
        }
        other => Err(format!("{kind}: expected FP16 or FP32, found {other}")),
    }
}

/// A half-precision number (IEEE 754 binary16); each of them is a single-precision number too.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn attribute<T: FromStr>(node: Node<'_, '_>, name: &str) -> Result<T, Malformed> {
    let found = node.attribute(name);
    found.and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        let at = node.document().text_pos_at(node.range().start);
        let found = found.map_or("none".to_owned(), |text| format!("\"{text}\""));
        format!("line {}: <{}>: expected a fitting {name}, found {found}", at.row, node.tag_name().name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_the_standard_says() {
        let expected = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in expected {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert!(half(0x8000).is_sign_negative());
        assert!(half(0x7e00).is_nan());
    }
}
