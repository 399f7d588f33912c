//! The API server in memory on a socket of loopback, for programs that are run as such: watches go on, as with the real one.
//!
//! In: the server. Out: its address. I/O: a listening socket; a thread with a runtime of its own, which ends with the test.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::net::TcpListener;

use crate::Fake;

impl Fake {
    /// Listens on loopback.
    pub fn listen(&self) -> SocketAddr {
        let fake = self.clone();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((socket, _)) = listener.accept().await {
                    let fake = fake.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let fake = fake.clone();
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.unwrap().to_bytes();
                            let request = Request::from_parts(head, Body::from(body.to_vec()));
                            Ok::<_, Infallible>(fake.answer(request).await)
                        }
                    });
                    // Clients go as they like.
                    tokio::spawn(async move {
                        drop(
                            http1::Builder::new()
                                .serve_connection(TokioIo::new(socket), service)
                                .await,
                        );
                    });
                }
            });
        });
        address
    }
}
