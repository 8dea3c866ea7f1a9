//! Makes a graph's picture dimensions symbolic, so that a package's model runs at any size.
//!
//! Only the few fields on the way to a tensor's dimensions are understood here; everything else is copied byte for byte, so
//! that the result is the same on every machine and can be pinned by its hash.

use super::protobuf::{Edited, Field, Malformed, VARINT, bytes_field, edit, edit_path, members, varint};

/// Field numbers of `onnx.proto`.
mod onnx {
    pub const MODEL_GRAPH: u64 = 7;
    pub const GRAPH_INPUT: u64 = 11;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const VALUE_NAME: u64 = 1;
    pub const VALUE_TYPE: u64 = 2;
    pub const TYPE_TENSOR: u64 = 1;
    pub const TENSOR_SHAPE: u64 = 2;
    pub const SHAPE_DIM: u64 = 1;
    pub const DIM_VALUE: u64 = 1;
    pub const DIM_PARAM: u64 = 2;
}

/// Makes batch, rows and columns of a graph's picture input and of its outputs symbolic. Fully convolutional graphs run at any
/// size, but an exporter writes down the size it was run with. The input's become `N`, `H`, `W`; an output's rows
/// are named for how many input rows they stand for: `H4` at stride 4.
pub(super) fn dynamic_nchw(model: &[u8], input: &str) -> Result<Vec<u8>, Malformed> {
    let size = picture_size(model, input)?;
    edit(model, &mut |field, graph| match field {
        onnx::MODEL_GRAPH => edit(graph, &mut |field, value| match field {
            onnx::GRAPH_INPUT if name_of(value)? == input => symbolic(value, size).map(Some),
            onnx::GRAPH_OUTPUT => symbolic(value, size).map(Some),
            _ => Ok(None),
        })
        .map(Some),
        _ => Ok(None),
    })
}

/// Rows and columns that the exporter wrote down for the input.
fn picture_size(model: &[u8], input: &str) -> Result<[u64; 2], Malformed> {
    for graph in members(model, onnx::MODEL_GRAPH)? {
        for value in members(graph, onnx::GRAPH_INPUT)? {
            if name_of(value)? == input {
                return match dimensions(value)?[..] {
                    [_, _, Some(rows), Some(columns)] if rows > 0 && columns > 0 => Ok([rows, columns]),
                    ref other => Err(format!("input \"{input}\" has no fixed picture size: {other:?}")),
                };
            }
        }
    }
    Err(format!("no input is named \"{input}\""))
}

fn name_of(value: &[u8]) -> Result<&str, Malformed> {
    let name = members(value, onnx::VALUE_NAME)?.pop().unwrap_or_default();
    std::str::from_utf8(name).map_err(|e| e.to_string())
}

/// The dimensions of a tensor, `None` where one is a symbol.
fn dimensions(value: &[u8]) -> Result<Vec<Option<u64>>, Malformed> {
    let mut level = vec![value];
    for field in [onnx::VALUE_TYPE, onnx::TYPE_TENSOR, onnx::TENSOR_SHAPE, onnx::SHAPE_DIM] {
        level = level.into_iter().map(|part| members(part, field)).collect::<Result<Vec<_>, _>>()?.concat();
    }
    level.into_iter().map(fixed).collect()
}

fn fixed(dim: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut rest = dim;
    while !rest.is_empty() {
        let field = Field::read(&mut rest)?;
        if field.number == onnx::DIM_VALUE && field.wire == VARINT {
            return Ok(Some(varint(&mut &field.payload[..])?));
        }
    }
    Ok(None)
}

/// The same tensor with symbols for batch, rows and columns, where it has four dimensions.
fn symbolic(value: &[u8], [rows, columns]: [u64; 2]) -> Edited {
    let [Some(_), Some(_), Some(high), Some(wide)] = dimensions(value)?[..] else { return Ok(value.to_vec()) };
    let named = |letter: &str, whole: u64, part: u64| match whole.checked_div(part) {
        Some(1) | None => letter.to_owned(),
        Some(stride) => format!("{letter}{stride}"),
    };
    let symbols = [Some("N".to_owned()), None, Some(named("H", rows, high)), Some(named("W", columns, wide))];
    let mut symbols = symbols.iter();
    edit_path(value, &[onnx::VALUE_TYPE, onnx::TYPE_TENSOR, onnx::TENSOR_SHAPE, onnx::SHAPE_DIM], &mut |dim| {
        Ok(match symbols.next() {
            Some(Some(symbol)) => bytes_field(onnx::DIM_PARAM, symbol.as_bytes()),
            _ => dim.to_vec(),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(path: &[u64], payload: Vec<u8>) -> Vec<u8> {
        path.iter().rev().fold(payload, |inner, &field| bytes_field(field, &inner))
    }

    fn value(name: &str, dims: &[u8]) -> Vec<u8> {
        let shape: Vec<u8> = dims.iter().flat_map(|&n| bytes_field(onnx::SHAPE_DIM, &[0x08, n])).collect();
        let mut value = bytes_field(onnx::VALUE_NAME, name.as_bytes());
        value.extend(nested(&[onnx::VALUE_TYPE, onnx::TYPE_TENSOR, onnx::TENSOR_SHAPE], shape));
        value
    }

    /// A model with one 32 x 64 picture input, a weight listed as an input, and an output at stride 4.
    fn model() -> Vec<u8> {
        let mut graph = bytes_field(onnx::GRAPH_INPUT, &value("picture", &[10, 3, 32, 64]));
        graph.extend(bytes_field(onnx::GRAPH_INPUT, &value("weight", &[8, 3, 3, 3])));
        graph.extend(bytes_field(onnx::GRAPH_OUTPUT, &value("map", &[10, 1, 8, 16])));
        let mut model = vec![0x08, 6]; // ir_version = 6
        model.extend(bytes_field(onnx::MODEL_GRAPH, &graph));
        model
    }

    fn symbols(value: &[u8]) -> Vec<Option<u64>> {
        dimensions(value).unwrap()
    }

    #[test]
    fn picture_dimensions_become_symbols_and_nothing_else_changes() {
        let edited = dynamic_nchw(&model(), "picture").unwrap();
        assert_eq!(edited[..2], [0x08, 6]);
        let graph = members(&edited, onnx::MODEL_GRAPH).unwrap()[0];
        let inputs = members(graph, onnx::GRAPH_INPUT).unwrap();
        assert_eq!(symbols(inputs[0]), [None, Some(3), None, None]);
        assert_eq!(inputs[1], value("weight", &[8, 3, 3, 3]));
        let output = members(graph, onnx::GRAPH_OUTPUT).unwrap()[0];
        assert_eq!(symbols(output), [None, Some(1), None, None]);
        for name in [b"H4", b"W4"] {
            assert!(output.windows(2).any(|pair| pair == name));
        }
    }

    #[test]
    fn what_cannot_be_edited_is_an_error() {
        assert!(dynamic_nchw(&model(), "other").unwrap_err().contains("\"other\""));
        assert!(dynamic_nchw(b"not a message", "picture").is_err());
        let twice = dynamic_nchw(&model(), "picture").and_then(|edited| dynamic_nchw(&edited, "picture"));
        assert!(twice.unwrap_err().contains("no fixed picture size"));
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..80) {
            let _ = dynamic_nchw(&bytes, "picture");
            let whole = model();
            let _ = dynamic_nchw(&whole[..cut.min(whole.len())], "picture");
        }
    }
}
