//! The private network segment of a lab: an Ethernet switch in a few lines.
//!
//! Each node's second network card is one end of a datagram socket pair, a frame a datagram
//! (`-netdev dgram`); the other end is here. Nothing of it is visible outside the process: no
//! address, no port, no privilege. A switch, not links between QEMUs, so that any number of nodes
//! meets and a node that loses power takes nobody else's network with it.

use std::{
    collections::HashMap,
    io,
    net::Shutdown,
    os::unix::net::UnixDatagram,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// A network card's address.
pub(crate) type Mac = [u8; 6];

/// The segment; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    ports: Arc<Mutex<HashMap<Mac, Port>>>,
}

#[derive(Debug)]
struct Port {
    socket: Arc<UnixDatagram>,
    /// No frame passes a port that is cut off.
    cut_off: bool,
}

impl Segment {
    /// Plugs in the card `mac` and returns QEMU's end of the cable. What was plugged in under that
    /// address before is unplugged.
    pub(crate) fn plug(&self, mac: Mac) -> io::Result<UnixDatagram> {
        self.unplug(mac);
        let (ours, theirs) = UnixDatagram::pair()?;
        // A machine that does not read (stopped, or slow) loses frames; it holds up nobody.
        ours.set_write_timeout(Some(Duration::from_millis(20)))?;
        let socket = Arc::new(ours);
        let port = Port {
            socket: Arc::clone(&socket),
            cut_off: false,
        };
        self.ports().insert(mac, port);
        let segment = self.clone();
        thread::spawn(move || segment.forward(mac, &socket));
        Ok(theirs)
    }

    /// Pulls the cable.
    pub(crate) fn unplug(&self, mac: Mac) {
        if let Some(port) = self.ports().remove(&mac) {
            // Wakes the port's thread, which then ends.
            let _ = port.socket.shutdown(Shutdown::Both);
        }
    }

    /// Cuts a node off, or joins it again: frames vanish, the node's link stays up.
    pub(crate) fn cut_off(&self, mac: Mac, cut_off: bool) {
        if let Some(port) = self.ports().get_mut(&mac) {
            port.cut_off = cut_off;
        }
    }

    fn forward(&self, from: Mac, socket: &UnixDatagram) {
        // Cards have an MTU of 1500 and no offloading.
        let mut frame = [0; 2048];
        while let Ok(length @ 14..) = socket.recv(&mut frame) {
            for receiver in self.receivers(from, &frame[..6]) {
                // Lost, like a frame on any wire.
                let _ = receiver.send(&frame[..length]);
            }
        }
    }

    /// The port that has the address `to`, or all others for a broadcast.
    fn receivers(&self, from: Mac, to: &[u8]) -> Vec<Arc<UnixDatagram>> {
        let ports = self.ports();
        if ports.get(&from).is_none_or(|port| port.cut_off) {
            return Vec::new();
        }
        let known = ports.contains_key(to);
        ports
            .iter()
            .filter(|(mac, port)| **mac != from && !port.cut_off && (!known || mac[..] == *to))
            .map(|(_, port)| Arc::clone(&port.socket))
            .collect()
    }

    fn ports(&self) -> MutexGuard<'_, HashMap<Mac, Port>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];
    const C: Mac = [2, 0, 0, 0, 0, 3];
    const ALL: Mac = [0xff; 6];

    fn plug(segment: &Segment, mac: Mac) -> UnixDatagram {
        let socket = segment.plug(mac).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    fn send(socket: &UnixDatagram, from: Mac, to: Mac) {
        socket.send(&[&to[..], &from, b"..payload"].concat()).unwrap();
    }

    fn arrives(socket: &UnixDatagram) -> bool {
        socket.recv(&mut [0; 100]).is_ok_and(|length| length > 0)
    }

    #[test]
    fn a_frame_reaches_its_receiver_and_a_broadcast_all_others() {
        let segment = Segment::default();
        let [a, b, c] = [A, B, C].map(|mac| plug(&segment, mac));
        send(&a, A, B);
        assert!(arrives(&b) && !arrives(&c) && !arrives(&a));
        send(&a, A, ALL);
        assert!(arrives(&b) && arrives(&c) && !arrives(&a));
    }

    #[test]
    fn a_node_cut_off_neither_hears_nor_speaks_until_it_is_joined() {
        let segment = Segment::default();
        let [a, b] = [A, B].map(|mac| plug(&segment, mac));
        segment.cut_off(B, true);
        send(&a, A, B);
        send(&b, B, A);
        assert!(!arrives(&a) && !arrives(&b));
        segment.cut_off(B, false);
        send(&a, A, B);
        assert!(arrives(&b));
    }

    #[test]
    fn an_unplugged_port_ends_its_thread() {
        let segment = Segment::default();
        let socket = plug(&segment, A);
        segment.unplug(A);
        assert!(socket.send(&[0; 20]).is_err());
        assert!(ended(&segment));
    }

    fn ended(segment: &Segment) -> bool {
        for _ in 0..100 {
            if Arc::strong_count(&segment.ports) == 1 {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}
