//! A bare RTSP client that can hang up at any moment, which players never do on purpose.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};

use super::wait::PATIENCE;

/// One connection. Dropping it hangs up.
pub struct Client {
    stream: BufReader<TcpStream>,
    url: String,
    sequence: u32,
    session: Option<String>,
    /// Where video comes in if not between the answers.
    udp: Option<UdpSocket>,
}

impl Client {
    /// Connects to the server of `url`.
    pub fn connect(url: &str) -> io::Result<Self> {
        let authority = url.trim_start_matches("rtsp://").split('/').next().unwrap();
        let stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::new(stream);
        Ok(Self { stream, url: url.to_owned(), sequence: 0, session: None, udp: None })
    }

    /// Sends a request with these further lines; the answer's status.
    pub fn ask(&mut self, method: &str, more: &str) -> io::Result<u16> {
        let url = if method == "SETUP" { format!("{}/stream=0", self.url) } else { self.url.clone() };
        self.sequence += 1;
        let session = self.session.as_ref().map_or(String::new(), |session| format!("Session: {session}\r\n"));
        let request = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{session}{more}\r\n", self.sequence);
        self.stream.get_mut().write_all(request.as_bytes())?;
        while self.stream.fill_buf()?.first() == Some(&b'$') {
            self.read_interleaved()?;
        }
        self.read_answer()
    }

    /// What there is.
    pub fn describe(&mut self) -> io::Result<u16> {
        self.ask("DESCRIBE", "Accept: application/sdp\r\n")
    }

    /// Asks for video over UDP, or between the answers.
    pub fn set_up(&mut self, over_udp: bool) -> io::Result<u16> {
        if !over_udp {
            return self.ask("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let port = socket.local_addr()?.port();
        self.udp = Some(socket);
        self.ask("SETUP", &format!("Transport: RTP/AVP;unicast;client_port={port}-{}\r\n", port.wrapping_add(1)))
    }

    /// Waits for a packet of video, or of reports about it.
    pub fn packet(&mut self) -> io::Result<()> {
        match &self.udp {
            Some(socket) => socket.recv(&mut [0; 65_536]).map(drop),
            None => self.read_interleaved(),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits until the server hangs up.
    pub fn wait_for_end(&mut self) -> io::Result<()> {
        while self.stream.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }

    fn read_interleaved(&mut self) -> io::Result<()> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let length = u16::from_be_bytes([header[2], header[3]]);
        self.stream.read_exact(&mut vec![0; length.into()])
    }

    fn read_answer(&mut self) -> io::Result<u16> {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (name, value) = line.trim_end().split_once([':', ' ']).unwrap_or_default();
            match name {
                "" => break,
                "RTSP/1.0" => status = value.split(' ').next().unwrap().parse().unwrap(),
                "Content-Length" => length = value.trim().parse().unwrap(),
                "Session" => self.session = value.trim().split(';').next().map(str::to_owned),
                _ => {}
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        Ok(status)
    }
}
