//! An API server without TLS on loopback, for programs that are run as such.
//!
//! In: a rule from method, path and body to code and answer. Out: its address, and a kubeconfig that leads there. I/O: a
//! listening socket; a thread for each connection, which end with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// Serves by this rule; a body that is not JSON is null.
pub fn serve(
    rule: impl Fn(&str, &str, Value) -> (u16, Value) + Send + Sync + 'static,
) -> SocketAddr {
    let rule = Arc::new(rule);
    listen(move |mut stream| {
        while let Some((lines, body)) = request(&mut stream) {
            let words: Vec<&str> = lines[0].split(' ').collect();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = rule(words[0], words[1], body);
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            stream.get_mut().write_all((head + &answer).as_bytes()).unwrap();
        }
    })
}

/// Gives each connection to a thread of its own.
pub fn listen(each: impl Fn(BufReader<TcpStream>) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, each) = (listener.local_addr().unwrap(), Arc::new(each));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let each = Arc::clone(&each);
            thread::spawn(move || each(BufReader::new(stream.unwrap())));
        }
    });
    address
}

/// The next request's head, line by line, and its body; `None` at the end of the connection.
pub fn request(stream: &mut BufReader<TcpStream>) -> Option<(Vec<String>, Vec<u8>)> {
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        lines.push(line.trim().to_owned());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some((lines, body))
}

/// A kubeconfig for this server; `more` are further fields of its cluster, each with a comma before it.
#[must_use]
pub fn kubeconfig(server: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: far, cluster: {{server: \"{server}\"{more}}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: far, user: u}}}}]\n"
    )
}
