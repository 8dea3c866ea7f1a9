//! Execution providers: which device a model runs on. The one asked for is used, or none.

use std::sync::{Arc, Mutex, PoisonError};

use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Where models run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// NVIDIA, through CUDA and cuDNN.
    Cuda,
    /// NVIDIA, through TensorRT.
    Tensorrt,
    /// Intel, through OpenVINO.
    Openvino,
}

impl Provider {
    /// The name in configurations, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
            Self::Openvino => "openvino",
        }
    }

    /// ONNX Runtime's name.
    const fn runtime_name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda => ep::CUDA::NAME,
            Self::Tensorrt => ep::TensorRT::NAME,
            Self::Openvino => ep::OpenVINO::NAME,
        }
    }

    /// What has to be there for it.
    const fn needs(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Cuda => {
                "it needs an NVIDIA GPU with its driver, CUDA and cuDNN, and the library of the onnxruntime-gpu package with its provider files beside it"
            }
            Self::Tensorrt => {
                "it needs an NVIDIA GPU with its driver, TensorRT, and the library of the onnxruntime-gpu package with its provider files beside it"
            }
            Self::Openvino => {
                "it needs the library of the onnxruntime-openvino package with its provider files beside it"
            }
        }
    }

    /// What ONNX Runtime is asked for; the CPU needs no asking.
    fn request(self) -> Option<ExecutionProviderDispatch> {
        let dispatch = match self {
            Self::Cpu => return None,
            // An exhaustive search for the fastest convolution costs half a second at each new shape.
            Self::Cuda => {
                ep::CUDA::default().with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic).build()
            }
            Self::Tensorrt => ep::TensorRT::default().build(),
            Self::Openvino => ep::OpenVINO::default().build(),
        };
        Some(dispatch.error_on_failure())
    }

    /// Adds this provider to a session's settings, or says what is missing.
    pub(super) fn add_to(self, builder: SessionBuilder) -> Result<SessionBuilder, Fault> {
        match self.request() {
            None => Ok(builder),
            Some(request) => builder.with_execution_providers([request]).map_err(|e| self.not_had(e.message())),
        }
    }

    /// The error of a provider that was asked for and cannot be had.
    pub(super) fn not_had(self, why: &str) -> Fault {
        let why = why.trim().trim_end_matches('.').replace('\n', " ");
        Fault::unavailable(format!("provider \"{}\" is not to be had: {why}", self.name()))
            .remedy(format!("{}; or set models.provider = \"cpu\"", self.needs()))
    }

    /// Makes sure that a session with the settings of `builder` runs its model on this provider. Registering one is
    /// not enough: ONNX Runtime quietly leaves to the CPU what a provider declines, be it the whole graph. Where the nodes
    /// went is told only in the runtime's verbose log, so a session is made just to read it.
    pub(super) fn verify(self, builder: SessionBuilder, model: &[u8]) -> Result<(), Fault> {
        let placements = Arc::new(Mutex::new(Vec::new()));
        let session = probe(builder, model, &placements).map_err(|e| self.not_had(e.message()))?;
        drop(session);
        let placements = placements.lock().unwrap_or_else(PoisonError::into_inner);
        if placements.iter().any(|name: &String| name == self.runtime_name()) {
            Ok(())
        } else {
            Err(self.not_had(&format!("ONNX Runtime gave it no node of the model, only {}", placements.join(", "))))
        }
    }
}

fn probe(builder: SessionBuilder, model: &[u8], placements: &Arc<Mutex<Vec<String>>>) -> ort::Result<Session> {
    let found = Arc::clone(placements);
    let listen = move |_: LogLevel, _: &str, _: &str, _: &str, message: &str| {
        if let Some(name) = placement(message) {
            found.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        }
    };
    builder.with_log_level(LogLevel::Verbose)?.with_logger(Arc::new(listen))?.commit_from_memory(model)
}

/// The provider in a line such as ` All nodes placed on [CPUExecutionProvider]. Number of nodes: 85`.
fn placement(message: &str) -> Option<&str> {
    let (_, rest) =
        message.to_ascii_lowercase().find("placed on [").map(|at| message.split_at(at + "placed on [".len()))?;
    rest.split_once(']').map(|(name, _)| name)
}
