//! One connection to the broker: rumqttc's options, what fails, and who waits for which acknowledgement.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, LastWill, MqttOptions, NetworkOptions,
    Outgoing, Publish, QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use secrecy::ExposeSecret;
use tracing::error;

use super::config::{Broker, Settings};
use super::topics::Topics;

/// Messages handed to rumqttc and not acknowledged: what a broken connection makes the broker see twice at most.
const WINDOW: usize = 64;

/// Longest time to a connection, from the name's look-up to the broker's welcome, in seconds.
const CONNECT_TIMEOUT_S: u64 = 4;

/// Largest message taken in, with room for a camera's largest picture; more ends the connection, and would do so again if it
/// were a retained one.
const MAX_INCOMING: usize = 24 << 20;

/// Largest message sent; far above any event or discovery message.
const MAX_OUTGOING: usize = 1 << 20;

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The outbox' entry with this serial.
    Event(u64),
    /// A topic's value in this version.
    Value(String, u64),
    /// An answer to a user; said once.
    Answer,
    /// A best shot of this camera; said once.
    Snapshot(Arc<str>),
}

/// A message to publish.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) sent: Sent,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// What a step of the connection means to the worker.
#[derive(Debug)]
pub(super) enum Step {
    /// The broker took the connection.
    Welcome,
    /// A message came in.
    Heard(Publish),
    /// The broker has it (or, without QoS, the socket).
    Delivered(Sent),
    /// The broker does not let this client hear anything.
    Deaf,
    /// Our goodbye is out.
    Gone,
    /// Nothing of concern.
    Nothing,
}

/// A connection, from before it stands to after it broke.
pub(super) struct Connection {
    client: AsyncClient,
    /// Handed to rumqttc, in this order; packet ids follow in the same order.
    handed: VecDeque<Sent>,
    /// On their way, by packet id.
    waiting: HashMap<u16, Sent>,
    /// When the last sign of progress came.
    progress: Instant,
    /// When the broker's welcome came.
    pub(super) since: Option<Instant>,
}

impl Connection {
    /// A connection to be, and the event loop that drives it.
    pub(super) fn new(settings: &Settings, topics: &Topics) -> (Self, EventLoop) {
        // Room for the window, the subscription and the goodbye: `try_` calls never find it full.
        let (client, mut events) = AsyncClient::new(options(settings, topics), WINDOW + 4);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT_S);
        events.set_network_options(network);
        let connection =
            Self { client, handed: VecDeque::new(), waiting: HashMap::new(), progress: Instant::now(), since: None };
        (connection, events)
    }

    /// Whether one more message may go out.
    pub(super) fn has_room(&self) -> bool {
        self.since.is_some() && self.handed.len() + self.waiting.len() < WINDOW
    }

    /// Whether everything that went out was acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.handed.is_empty() && self.waiting.is_empty()
    }

    /// Whether the broker, though it may answer pings, acknowledged nothing of what it was sent for `patience`.
    pub(super) fn is_stuck(&self, patience: Duration) -> bool {
        self.since.is_some() && !self.is_settled() && self.progress.elapsed() > patience
    }

    /// Sends a message; ask [`Connection::has_room`] first.
    pub(super) fn publish(&mut self, message: Message) {
        if self.is_settled() {
            self.progress = Instant::now();
        }
        let Message { sent, topic, payload, qos, retain } = message;
        match self.client.try_publish(topic, qos, retain, payload) {
            Ok(()) => self.handed.push_back(sent),
            Err(e) => error!(error = %e, "a message was not taken: this is a bug"),
        }
    }

    /// Asks for all topics that concern this daemon.
    pub(super) fn subscribe(&self, filters: impl Iterator<Item = String>) {
        let filters = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        if let Err(e) = self.client.try_subscribe_many(filters) {
            error!(error = %e, "the subscription was not taken: this is a bug");
        }
    }

    /// Ends the connection in order, which keeps the broker from publishing the last will.
    pub(super) fn say_goodbye(&self) {
        if let Err(e) = self.client.try_disconnect() {
            error!(error = %e, "the goodbye was not taken: this is a bug");
        }
    }

    /// Takes in what the event loop says.
    pub(super) fn take(&mut self, event: Event) -> Step {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => {
                self.since = Some(Instant::now());
                Step::Welcome
            }
            Event::Incoming(Incoming::Publish(publish)) => Step::Heard(publish),
            Event::Incoming(Incoming::PubAck(ack)) => {
                self.progress = Instant::now();
                self.waiting.remove(&ack.pkid).map_or(Step::Nothing, Step::Delivered)
            }
            Event::Incoming(Incoming::SubAck(ack)) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => {
                Step::Deaf
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => match (self.handed.pop_front(), packet_id) {
                (Some(sent), 0) => Step::Delivered(sent),
                (Some(sent), packet_id) => {
                    self.waiting.insert(packet_id, sent);
                    Step::Nothing
                }
                (None, _) => Step::Nothing,
            },
            Event::Outgoing(Outgoing::Disconnect) => Step::Gone,
            Event::Incoming(_) | Event::Outgoing(_) => Step::Nothing,
        }
    }

    /// What a broken connection had still been told: acknowledgements read in the same gulp as its end.
    pub(super) fn leftovers(&mut self, mut events: EventLoop) -> Vec<Sent> {
        let read: Vec<Event> = events.state.events.drain(..).collect();
        let steps = read.into_iter().map(|event| self.take(event));
        steps.filter_map(|step| if let Step::Delivered(sent) = step { Some(sent) } else { None }).collect()
    }
}

/// Why a connection failed, for people, and what to do about it.
pub(super) fn describe(error: &ConnectionError) -> (String, &'static str) {
    use ConnectReturnCode::{BadClientId, BadUserNamePassword, NotAuthorized};
    match error {
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) => (
            "the broker refuses the user name or the password".to_owned(),
            "check mqtt.username and mqtt.password_file against the broker's accounts",
        ),
        ConnectionError::ConnectionRefused(BadClientId) => {
            ("the broker refuses the client id".to_owned(), "set mqtt.client_id to one that it allows")
        }
        ConnectionError::ConnectionRefused(code) => (format!("the broker refuses the connection: {code:?}"), ""),
        ConnectionError::Tls(e) => (
            format!("no TLS connection: {e}"),
            "check mqtt.ca_file, mqtt.client_certificate, and that mqtt.url has the name in the broker's certificate",
        ),
        ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e)) => {
            (format!("cannot reach the broker: {e}"), "check mqtt.url and that the broker runs")
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            ("the broker does not answer".to_owned(), "check mqtt.url and the network")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            ("the broker fell silent".to_owned(), "check the network")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => (
            "the broker closed the connection".to_owned(),
            "see the broker's log; another client with the same mqtt.client_id, or TLS on one side only, does this too",
        ),
        other => (other.to_string(), ""),
    }
}

fn options(settings: &Settings, topics: &Topics) -> MqttOptions {
    let Broker { host, port, tls, login, client_id, keep_alive } = &settings.broker;
    let mut options = MqttOptions::new(client_id, host, *port);
    options.set_clean_session(true).set_keep_alive(*keep_alive).set_inflight(2 * WINDOW as u16);
    options.set_max_packet_size(MAX_INCOMING, MAX_OUTGOING);
    options.set_last_will(LastWill::new(topics.status(), "offline", QoS::AtLeastOnce, true));
    if let Some((user, password)) = login {
        options.set_credentials(user, password.expose_secret());
    }
    if let Some(connector) = tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::NativeConnector(connector.clone())));
    }
    options
}
