//! The agent's report as the bench reads it: a minimal HTTP/1.1 client as little as it takes.
//!
//! In: the address of an agent. Out: [`Report`]. It must not cost the agent more than it has to: one connection is
//! kept open, and `If-None-Match` spares an unchanged body. I/O: one TCP connection.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use probelet_report::Report;

/// A body larger than this is not read: the report of 200,000 sockets is about 60 MB.
const MAX_BODY: u64 = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer to a GET.
#[derive(Debug)]
pub struct Reply {
    /// 200, 304, …
    pub status: u16,
    /// The version of the body.
    pub etag: Option<String>,
    /// Empty unless the status is 200.
    pub body: Vec<u8>,
}

/// A client that keeps its connection.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Connects at the first request.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        Self { server, stream: None }
    }

    /// The whole report.
    pub fn report(&mut self) -> anyhow::Result<Report> {
        let reply = self.get("/v1/report", None)?;
        ensure!(reply.status == 200, "the report answered {}", reply.status);
        Ok(serde_json::from_slice(&reply.body)?)
    }

    /// The report if it is not the one with `etag`, which then becomes its tag.
    pub fn newer(
        &mut self,
        path: &str,
        etag: &mut Option<String>,
    ) -> anyhow::Result<Option<Report>> {
        let reply = self.get(path, etag.as_deref())?;
        match reply.status {
            200 => {
                let report = serde_json::from_slice(&reply.body).context("the report")?;
                *etag = reply.etag;
                Ok(Some(report))
            }
            304 => Ok(None),
            status => bail!("the report answered {status}"),
        }
    }

    /// One GET. A kept connection that the server has closed meanwhile is replaced once.
    pub fn get(&mut self, path: &str, etag: Option<&str>) -> anyhow::Result<Reply> {
        if let Some(stream) = self.stream.take()
            && let Ok(reply) = self.exchange(stream, path, etag)
        {
            return Ok(reply);
        }
        let stream = TcpStream::connect_timeout(&self.server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        self.exchange(BufReader::new(stream), path, etag)
    }

    fn exchange(
        &mut self,
        mut stream: BufReader<TcpStream>,
        path: &str,
        etag: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let condition = etag.map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{condition}\r\n", self.server);
        stream.get_mut().write_all(request.as_bytes())?;
        let head = Head::read(&mut stream)?;
        let mut body = Vec::new();
        if head.status == 304 || head.status == 204 {
            // These have no body.
        } else if head.chunked {
            read_chunks(&mut stream, &mut body)?;
        } else if let Some(length) = head.length {
            ensure!(length <= MAX_BODY, "a body of {length} bytes");
            body.resize(usize::try_from(length)?, 0);
            stream.read_exact(&mut body)?;
        } else {
            stream.by_ref().take(MAX_BODY).read_to_end(&mut body)?;
        }
        if !head.close {
            self.stream = Some(stream);
        }
        Ok(Reply { status: head.status, etag: head.etag, body })
    }
}

#[derive(Default)]
struct Head {
    status: u16,
    etag: Option<String>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Head {
    fn read(stream: &mut impl BufRead) -> anyhow::Result<Self> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let version = words.next().context("the server closed the connection")?;
        let status = words
            .next()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("not HTTP: {line:?}"))?;
        let mut head = Self { status, close: version == "HTTP/1.0", ..Self::default() };
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                bail!("the answer ends inside its headers");
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(head) };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "etag" => head.etag = Some(value.to_owned()),
                "content-length" => head.length = Some(value.parse()?),
                "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => head.close = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or(""), 16)?;
        ensure!(size + body.len() as u64 <= MAX_BODY, "a chunk of {size} bytes");
        stream.by_ref().take(size).read_to_end(body)?;
        line.clear();
        stream.read_line(&mut line)?; // the empty line after a chunk
        if size == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers every request of one connection with the next of `answers`, then closes it.
    fn serve(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            for answer in answers {
                while {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap() > 2
                } {}
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn one_connection_serves_a_report_and_then_not_modified() {
        let address = serve(&[
            "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: 126\r\n\r\n{\"source\":\"bpf\",\"connections\":[{\"protocol\":\"tcp\",\"local\":\"127.0.0.1:1\",\"remote\":\"127.0.0.1:2\",\"netns\":4026531840,\"pid\":null}]}    ",
            "HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n",
        ]);
        let mut client = Client::new(address);

        let first = client.get("/v1/report", None).unwrap();
        let second = client.get("/v1/report", first.etag.as_deref()).unwrap();

        let report: Report = serde_json::from_slice(&first.body).unwrap();
        assert_eq!(report.connections[0].netns, Some(4_026_531_840));
        assert_eq!((second.status, second.body.len()), (304, 0));
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let address = serve(&[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        ]);

        assert_eq!(Client::new(address).get("/", None).unwrap().body, b"abcde");
    }

    #[test]
    fn an_answer_that_is_not_http_is_an_error() {
        let address = serve(&["hello\r\n\r\n"]);

        assert!(Client::new(address).get("/", None).is_err());
    }
}
