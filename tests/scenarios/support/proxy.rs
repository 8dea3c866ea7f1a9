//! A TCP relay that can refuse, cut, and cut after so many bytes: a bad network on loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Relays to `upstream` until dropped.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

/// A port at which nobody listens yet, and nobody else can.
#[cfg(feature = "media")]
pub struct Reserved(rustix::fd::OwnedFd);

#[cfg(feature = "media")]
impl Reserved {
    /// One that was free.
    pub fn new() -> Self {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self(socket)
    }

    pub fn port(&self) -> u16 {
        std::net::SocketAddr::try_from(rustix::net::getsockname(&self.0).unwrap()).unwrap().port()
    }

    /// Listens there.
    pub fn listen(self) -> TcpListener {
        // not before: until now the port was to be nobody else's. Who comes after may have it while connections die out.
        rustix::net::sockopt::set_socket_reuseaddr(&self.0, true).unwrap();
        rustix::net::listen(&self.0, 128).unwrap();
        TcpListener::from(self.0)
    }
}

struct Shared {
    upstream: u16,
    open: AtomicBool,
    ended: AtomicBool,
    accepted: AtomicUsize,
    /// Connections still to be cut, each after a random number of bytes below the second figure, in either direction.
    cuts: Mutex<(usize, usize)>,
    streams: Mutex<Vec<TcpStream>>,
    /// Set for connections whose bytes stay where they are.
    frozen: Mutex<Arc<AtomicBool>>,
}

impl Proxy {
    /// A relay to `upstream` on this machine; refuses everybody until opened where `open` is false.
    pub fn to(upstream: u16, open: bool) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), upstream, open)
    }

    /// An open relay that listens from now on.
    #[cfg(feature = "media")]
    pub fn at(port: Reserved, upstream: u16) -> Self {
        Self::listening(port.listen(), upstream, true)
    }

    fn listening(listener: TcpListener, upstream: u16, open: bool) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream,
            open: AtomicBool::new(open),
            ended: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            cuts: Mutex::new((0, 0)),
            streams: Mutex::new(Vec::new()),
            frozen: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                accepting.relay(client);
            }
        });
        Self { port, shared }
    }

    /// Lets connections through from now on.
    pub fn open(&self) {
        self.shared.open.store(true, Ordering::SeqCst);
    }

    /// Cuts all connections and lets none through.
    pub fn close(&self) {
        self.shared.open.store(false, Ordering::SeqCst);
        self.cut();
    }

    /// Cuts all connections; new ones are let through.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            // Already gone is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Lets nothing through on the present connections, which stay open; new ones work. What the way has swallowed
    /// comes out with [`Frozen::thaw`].
    pub fn freeze(&self) -> Frozen {
        let frozen = std::mem::take(&mut *self.shared.frozen.lock().unwrap());
        frozen.store(true, Ordering::SeqCst);
        Frozen(frozen)
    }

    /// Cuts each of the next `connections` after a random number of bytes, fewer than `bytes`, in either direction.
    pub fn cut_next(&self, connections: usize, bytes: usize) {
        *self.shared.cuts.lock().unwrap() = (connections, bytes);
        self.cut();
    }

    /// How many of the cuts asked for are still to come.
    pub fn cuts_left(&self) -> usize {
        self.shared.cuts.lock().unwrap().0
    }

    /// Connections that came, let through or not.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

/// Connections that are neither dead nor alive.
pub struct Frozen(Arc<AtomicBool>);

impl Frozen {
    /// Lets their bytes go on.
    pub fn thaw(self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.close();
        // Wakes the accepting thread, which sees the flag.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn relay(self: &Arc<Self>, client: TcpStream) {
        if !self.open.load(Ordering::SeqCst) {
            return;
        }
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.upstream)) else { return };
        let (up, down) = self.budgets();
        let ends = |stream: &TcpStream| stream.try_clone().unwrap();
        self.streams.lock().unwrap().extend([ends(&client), ends(&broker)]);
        let (client_too, broker_too) = (ends(&client), ends(&broker));
        let frozen = Arc::clone(&*self.frozen.lock().unwrap());
        let frozen_too = Arc::clone(&frozen);
        std::thread::spawn(move || copy(client, broker, up, &frozen));
        std::thread::spawn(move || copy(broker_too, client_too, down, &frozen_too));
    }

    fn budgets(&self) -> (usize, usize) {
        let mut cuts = self.cuts.lock().unwrap();
        let (left, bytes) = *cuts;
        if left == 0 {
            return (usize::MAX, usize::MAX);
        }
        cuts.0 -= 1;
        if fastrand::bool() { (fastrand::usize(1..bytes), usize::MAX) } else { (usize::MAX, fastrand::usize(1..bytes)) }
    }
}

/// Copies until an end is closed or `budget` bytes went through, then closes both.
fn copy(mut from: TcpStream, mut to: TcpStream, mut budget: usize, frozen: &AtomicBool) {
    let mut buffer = [0; 4096];
    while budget > 0 {
        let Ok(read) = from.read(&mut buffer) else { break };
        while frozen.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let part = read.min(budget);
        budget -= part;
        if read == 0 || to.write_all(&buffer[..part]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
