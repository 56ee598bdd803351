//! A name server as in a cluster: it knows one name, resolved by the search list of a pod's `resolv.conf`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// Its address. Resolvers only use port 53, on which only root may listen.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
const TYPE_A: [u8; 2] = [0, 1];

/// A name server on its own thread, which ends with the process.
pub struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Starts one that resolves `name`, such as `egress.bi.svc.cluster.local`, to this machine. `None` if it may not listen.
    pub fn start(name: &str) -> Option<Self> {
        let socket = UdpSocket::bind((ADDRESS, 53)).ok()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, name) = (Arc::clone(&asked), name.to_owned());
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                serve(&socket, &query[..length], from, &name, &seen);
            }
        });
        Some(Self { asked })
    }

    /// The queried names, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The kubelet's `resolv.conf` for a pod of `namespace`.
    pub fn resolver(namespace: &str) -> String {
        format!("search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {ADDRESS}\noptions ndots:5\n")
    }
}

/// RFC 1035, section 4: a header of 12 bytes, the question, and the answer with a reference to its name.
fn serve(socket: &UdpSocket, query: &[u8], from: SocketAddr, known: &str, seen: &Mutex<Vec<String>>) {
    let Some((name, end)) = name(query) else { return };
    let question = &query[12..end + 4];
    let (is_known, wants_address) = (name == known, question[question.len() - 4..][..2] == TYPE_A);
    seen.lock().unwrap().push(name);
    let answers = u8::from(is_known && wants_address);
    // An authoritative answer; code 3 if the name does not exist. One question and its answers only.
    let flags = [0x85, if is_known { 0x80 } else { 0x83 }];
    let mut answer = [&query[..2], &flags, &[0, 1, 0, answers, 0, 0, 0, 0], question].concat();
    if answers > 0 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    let _ = socket.send_to(&answer, from);
}

/// The name in a question, in lower case, and the index of its end.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            query.get(at + 3)?;
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
}
