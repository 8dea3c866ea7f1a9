//! A model that is loaded and checked: sessions that take turns, and outputs in the manifest's order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::manifest::{InputSpec, Kind, Manifest, OutputSpec};
use super::pool::{Lease, Pool, Turn};
use super::provider::Provider;
use super::tensor::{Input, Outputs, Values};
use super::trials::Trials;
use crate::fault::Fault;
use crate::metrics::PROVIDER_INFO;

/// Why a call gave no outputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// No session became free before the deadline; nothing was run.
    #[error("no session was free before the deadline")]
    DeadlinePassed,
    /// What went in or came out is not what the manifest says.
    #[error("{0}")]
    Shape(String),
    /// ONNX Runtime failed.
    #[error("{0}")]
    Failed(String),
}

/// A model ready to run; shared by all who use it.
pub struct Model {
    loaded: Arc<Loaded>,
    /// When its callers get a session where others wait, too.
    turn: Turn,
}

/// What all handles to a model share.
struct Loaded {
    manifest: Manifest,
    provider: Provider,
    input: [usize; 4],
    /// Set where the graph takes one picture at a time: a batch is then run item by item.
    single: bool,
    /// Position of each output of the manifest among the graph's.
    order: Vec<usize>,
    sessions: Pool<Session>,
    trials: Arc<Trials>,
    /// Up while this model is loaded.
    in_use: metrics::Gauge,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.in_use.decrement(1.0);
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.loaded.manifest.name)
            .field("provider", &self.loaded.provider)
            .field("input", &self.loaded.input)
            .field("sessions", &self.loaded.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Puts `sessions` of one graph to work once they are what the manifest says, for inputs of dimensions `input`.
    pub(super) fn new(
        manifest: Manifest,
        provider: Provider,
        input: [usize; 4],
        sessions: Vec<Session>,
    ) -> Result<Self, Fault> {
        let Some(first) = sessions.first() else {
            return Err(Fault::internal(format!("model {}: no sessions asked for", manifest.name)));
        };
        let single = check_input(&manifest, first, input)?;
        let order = find_outputs(&manifest, first)?;
        let in_use = metrics::gauge!(PROVIDER_INFO, "provider" => provider.name(), "model" => manifest.name.clone());
        in_use.increment(1.0);
        let (trials, sessions) = (Arc::new(Trials::of(sessions.len())), Pool::new(sessions));
        let loaded = Loaded { manifest, provider, input, single, order, sessions, trials, in_use };
        Ok(Self { loaded: Arc::new(loaded), turn: Turn::First })
    }

    /// The same sessions for those who can wait: they get one when nobody else wants it, and while others use the model
    /// at all one session is kept free of them.
    #[must_use]
    pub fn deferred(&self) -> Self {
        Self { loaded: Arc::clone(&self.loaded), turn: Turn::Last }
    }

    /// What the model is.
    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// Where it runs.
    pub fn provider(&self) -> Provider {
        self.loaded.provider
    }

    /// Dimensions of the input of one call; the first, the batch, may be another in each call.
    pub fn input_shape(&self) -> [usize; 4] {
        self.loaded.input
    }

    /// How many calls can run at once.
    pub fn sessions(&self) -> usize {
        self.loaded.sessions.len()
    }

    /// Whether others than [deferred](Self::deferred) callers have used it within the last second.
    pub fn in_demand(&self) -> bool {
        self.loaded.sessions.in_demand()
    }

    /// For how long the oldest call that has not come back is running. Nothing can stop a call that hangs; the
    /// watchdog asks here.
    pub fn oldest_call(&self) -> Option<Duration> {
        self.loaded.sessions.oldest()
    }

    /// What trials of its sessions gave.
    pub fn trials(&self) -> &Arc<Trials> {
        &self.loaded.trials
    }

    /// A session, once one is free.
    ///
    /// # Errors
    /// None is before the deadline.
    pub fn seat(&self, deadline: Instant) -> Result<Seat<'_>, InferError> {
        let session = self.loaded.sessions.take(self.turn, deadline).ok_or(InferError::DeadlinePassed)?;
        Ok(Seat { model: self, session })
    }

    /// This very session, if it is free.
    pub fn seat_at(&self, session: usize) -> Option<Seat<'_>> {
        self.loaded.sessions.take_at(session).map(|session| Seat { model: self, session })
    }

    /// Runs a batch on the session that is free first, as [`Seat::run`] does. A call that has begun is not interrupted by the
    /// deadline.
    pub fn run(&self, input: &Input, deadline: Instant, outputs: &mut Outputs) -> Result<(), InferError> {
        self.batch_of(input)?;
        self.seat(deadline)?.run(input, outputs)
    }

    /// How long ONNX Runtime alone takes for the first item of `input`: what a benchmark compares [`Model::run`] with.
    pub fn time_bare(&self, input: &Input, deadline: Instant) -> Result<Duration, InferError> {
        self.batch_of(input)?;
        let mut session = self.loaded.sessions.take(self.turn, deadline).ok_or(InferError::DeadlinePassed)?;
        let start = Instant::now();
        drop(self.run_session(&mut session, input, &(0..1))?);
        Ok(start.elapsed())
    }

    fn run_part(
        &self,
        session: &mut Session,
        input: &Input,
        items: std::ops::Range<usize>,
        outputs: &mut Outputs,
    ) -> Result<(), InferError> {
        let found = self.run_session(session, input, &items)?;
        for (index, (spec, &place)) in self.loaded.manifest.outputs.iter().zip(&self.loaded.order).enumerate() {
            let (shape, data) =
                found[place].try_extract_tensor::<f32>().map_err(|e| self.wrong_output(spec, e.message()))?;
            if !spec.fits(shape, Some(items.len())) {
                return Err(self.wrong_output(spec, &format!("found {}", dims(shape))));
            }
            outputs.append(index, shape, data);
        }
        Ok(())
    }

    fn run_session<'s>(
        &self,
        session: &'s mut Session,
        input: &Input,
        items: &std::ops::Range<usize>,
    ) -> Result<SessionOutputs<'s>, InferError> {
        match &input.values {
            Values::F32(values) => run_items(session, input.shape, values, items),
            Values::U8(values) => run_items(session, input.shape, values, items),
        }
        .map_err(|e| InferError::Failed(format!("model {}: {}", self.loaded.manifest.name, e.message())))
    }

    /// The number of items in `input`, once its dimensions, type and length are right.
    fn batch_of(&self, input: &Input) -> Result<usize, InferError> {
        let (kind, length) = match &input.values {
            Values::F32(values) => (Kind::F32, values.len()),
            Values::U8(values) => (Kind::U8, values.len()),
        };
        let [batch, rest @ ..] = input.shape;
        let [_, expected @ ..] = self.loaded.input;
        let right = batch > 0
            && rest == expected
            && kind == self.loaded.manifest.input.kind
            && length == input.shape.iter().product::<usize>();
        right.then_some(batch).ok_or_else(|| {
            InferError::Shape(format!(
                "model {}: expected an input of [N, {}, {}, {}] {:?}, found {:?} {kind:?} with {length} values",
                self.loaded.manifest.name,
                expected[0],
                expected[1],
                expected[2],
                self.loaded.manifest.input.kind,
                input.shape
            ))
        })
    }

    fn wrong_output(&self, spec: &OutputSpec, found: &str) -> InferError {
        InferError::Shape(format!(
            "{}: output {} is not what the manifest of {} says: expected {}, {found}",
            self.loaded.manifest.file,
            spec.name,
            self.loaded.manifest.name,
            spec.dims()
        ))
    }
}

/// A session of a model, for one caller until it is dropped.
pub struct Seat<'a> {
    model: &'a Model,
    session: Lease<'a, Session>,
}

impl Seat<'_> {
    /// Which of the model's sessions it is.
    pub fn session(&self) -> usize {
        self.session.index()
    }

    /// Runs a batch and copies what comes out to `outputs`, in the manifest's order. After an error `outputs` holds nothing of
    /// use.
    pub fn run(&mut self, input: &Input, outputs: &mut Outputs) -> Result<(), InferError> {
        let batch = self.model.batch_of(input)?;
        outputs.clear();
        if !self.model.loaded.single {
            return self.model.run_part(&mut self.session, input, 0..batch, outputs);
        }
        (0..batch).try_for_each(|item| self.model.run_part(&mut self.session, input, item..item + 1, outputs))
    }
}

/// A new view of the values each time: ort deadlocks when a tensor value is cloned.
fn run_items<'s, T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
    session: &'s mut Session,
    [batch, rest @ ..]: [usize; 4],
    values: &[T],
    items: &std::ops::Range<usize>,
) -> ort::Result<SessionOutputs<'s>> {
    let each = values.len() / batch;
    let shape = [items.len(), rest[0], rest[1], rest[2]];
    let view = TensorRef::from_array_view((shape, &values[items.start * each..items.end * each]))?;
    session.run([SessionInputValue::from(view)])
}

/// Whether the graph takes only one item at a time, once its one input is what the manifest says and takes `wanted`.
fn check_input(manifest: &Manifest, session: &Session, wanted: [usize; 4]) -> Result<bool, Fault> {
    let spec = &manifest.input;
    let found = match session.inputs() {
        [only] if only.name() == spec.name => only.dtype(),
        others => {
            let names: Vec<_> = others.iter().map(|outlet| outlet.name()).collect();
            return Err(mismatch(manifest, &format!("expected one input \"{}\", found {names:?}", spec.name)));
        }
    };
    let shape = found.tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default();
    let fits = shape.len() == 4
        && shape[1..].iter().zip(&wanted[1..]).all(|(&found, &wanted)| found < 0 || found == wanted as i64)
        && (shape[0] == 1 || shape[0] < 0);
    if !fits || found.tensor_type() != Some(element_type(spec)) {
        return Err(mismatch(
            manifest,
            &format!("expected input \"{}\" to take {wanted:?} {:?}, found {found}", spec.name, spec.kind),
        ));
    }
    Ok(shape[0] == 1)
}

fn element_type(spec: &InputSpec) -> TensorElementType {
    match spec.kind {
        Kind::F32 => TensorElementType::Float32,
        Kind::U8 => TensorElementType::Uint8,
    }
}

fn find_outputs(manifest: &Manifest, session: &Session) -> Result<Vec<usize>, Fault> {
    let found = session.outputs();
    let find = |spec: &OutputSpec| {
        let Some(place) = found.iter().position(|outlet| outlet.name() == spec.name) else {
            let names: Vec<_> = found.iter().map(|outlet| outlet.name()).collect();
            return Err(mismatch(manifest, &format!("expected an output \"{}\", found {names:?}", spec.name)));
        };
        check_output(manifest, spec, found[place].dtype()).map(|()| place)
    };
    manifest.outputs.iter().map(find).collect()
}

fn check_output(manifest: &Manifest, spec: &OutputSpec, found: &ValueType) -> Result<(), Fault> {
    let floats = found.tensor_type() == Some(TensorElementType::Float32);
    // Some exporters leave the rank open too; then only a run can tell.
    let fits = found.tensor_shape().is_some_and(|shape| shape.is_empty() || spec.fits(shape, None));
    if floats && fits {
        return Ok(());
    }
    Err(mismatch(manifest, &format!("expected output \"{}\" to be {} F32, found {found}", spec.name, spec.dims())))
}

fn mismatch(manifest: &Manifest, what: &str) -> Fault {
    Fault::unavailable(format!("model {}: {} is not what its manifest says: {what}", manifest.name, manifest.file))
        .remedy("mend the manifest, or fetch the file that belongs to it: visor models pull")
}

fn dims(shape: &[i64]) -> String {
    let texts: Vec<_> = shape.iter().map(i64::to_string).collect();
    format!("[{}]", texts.join(", "))
}
