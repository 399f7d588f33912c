//! The way there: TLS and one connection.

use super::feed::{Running, fixtures, no_limit, quick};
use super::server::{Asked, added, end_of_list, secured};
use probelet_agent::kube::Class;
use probelet_core::cluster::objects::Kind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server behind TLS that offers these protocols, its requests, and how many connections it got.
async fn secure(protocols: &[&str]) -> (SocketAddr, mpsc::Receiver<Asked>, Arc<AtomicU32>) {
    let certificate = CertificateDer::from_pem_file(fixtures().join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixtures().join("server.key")).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    secured(config, &[Kind::Pod]).await
}

async fn everything_is_watched(protocols: &[&str]) -> u32 {
    let (address, mut requests, connections) = secure(protocols).await;
    let mut feed = Running::start(&format!("https://{address}"), quick(), no_limit());
    let stream = requests.recv().await.unwrap().stream();
    stream.send(&(added("a", 2) + &end_of_list(3))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "listed"]);
    for kind in Kind::ALL {
        feed.watching(kind).await;
    }
    feed.stop().await;
    connections.load(Ordering::Relaxed)
}

#[tokio::test]
async fn all_watches_share_one_connection() {
    assert_eq!(everything_is_watched(&["h2", "http/1.1"]).await, 1);
}

#[tokio::test]
async fn a_server_without_http2_gets_a_connection_for_each_watch() {
    assert_eq!(everything_is_watched(&["http/1.1"]).await, 3);
}

#[tokio::test]
async fn a_server_whose_certificate_no_one_vouches_for_is_not_talked_to() {
    let (address, mut requests, _) = secure(&["h2"]).await;
    let feed = Running::start(&format!("https://{address}"), quick(), no_limit());
    // The same server by a name that its certificate does not have.
    let text = std::fs::read_to_string(&feed.kubeconfig).unwrap();
    let text = text.replace("127.0.0.1", "localhost");
    std::fs::write(&feed.kubeconfig, text).unwrap();
    while let Ok(early) = requests.try_recv() {
        early.refuse(401, "Unauthorized", &[]);
    }

    feed.until(Kind::Pod, |status| status.errors(Class::Connect) > 0).await;

    assert!(requests.try_recv().is_err());
    feed.stop().await;
}
