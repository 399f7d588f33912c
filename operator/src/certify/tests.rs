//! The agents' certificate against a client that verifies it, and an API server in memory.

use std::sync::{Arc, Mutex};

use probelet_fake_api::scripted;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const SERVER: &str = "probelet-agent.probelet.svc";

/// A handshake of a client that believes these authorities and wants this name.
async fn greets(shown: &turn::Pair, authorities: &str, name: &str) -> bool {
    let provider = Arc::new(default_provider());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(shown.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = duplex(64 << 10);
    let accept = async {
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(far).await else { return };
        stream.write_all(b"x").await.ok();
        stream.flush().await.ok();
    };
    let ask = async {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, near).await;
        let Ok(mut stream) = stream else { return false };
        stream.read_u8().await.is_ok()
    };
    tokio::join!(accept, ask).1
}

#[tokio::test]
async fn a_client_that_knows_the_authority_verifies_the_name_and_no_other_authority_does() {
    let (one, other) =
        (make::pair(SERVER, Holder::Agents).unwrap(), make::pair(SERVER, Holder::Agents).unwrap());

    for name in [SERVER, "localhost"] {
        assert!(greets(&one, &one.authority, name).await, "{name}");
    }
    assert!(greets(&one, &format!("{}{}", other.authority, one.authority), SERVER).await);
    assert!(!greets(&one, &other.authority, SERVER).await);
    assert!(!greets(&one, &one.authority, "probelet-agent.other.svc").await);
}

/// An API server with a Secret and a `ConfigMap` of that name.
struct Server {
    client: Client,
    /// What was patched, by path.
    patched: Arc<Mutex<Vec<String>>>,
    /// The data of the Secret.
    kept: Arc<Mutex<Value>>,
}

fn server() -> Server {
    let patched: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept: Arc<Mutex<Value>> = Arc::new(Mutex::new(json!({})));
    let (log, data) = (Arc::clone(&patched), Arc::clone(&kept));
    let client = scripted(move |request| {
        let path = request.uri().path().to_owned();
        let secret = path.contains("/secrets/");
        let object = |data: Value| {
            let kind = if secret { "Secret" } else { "ConfigMap" };
            json!({"apiVersion": "v1", "kind": kind, "data": data,
                "metadata": {"name": "probelet-agent-tls", "resourceVersion": "7"}})
        };
        if request.method() == hyper::Method::PATCH {
            log.lock().unwrap().push(path);
        }
        let answer = object(if secret { data.lock().unwrap().clone() } else { json!({}) });
        (200, answer.to_string().into_bytes())
    });
    Server { client, patched, kept }
}

fn wanted() -> Wanted {
    let (object, server) = ("probelet-agent-tls".to_owned(), SERVER.to_owned());
    Wanted { object, server, holder: Holder::Agents }
}

#[tokio::test]
async fn an_empty_secret_is_filled_and_the_authorities_are_reported_to_readers() {
    let Server { client, patched, .. } = server();

    round(&client, "probelet", &wanted()).await.unwrap();

    let patched = patched.lock().unwrap();
    assert_eq!(
        *patched,
        [
            "/api/v1/namespaces/probelet/secrets/probelet-agent-tls",
            "/api/v1/namespaces/probelet/configmaps/probelet-agent-tls"
        ]
    );
}

#[tokio::test]
async fn nothing_is_written_when_nothing_is_due_and_by_no_one_who_does_not_lead() {
    let Server { client, patched, kept } = server();
    let (full, _) = Kept::default().turn(now(), || make::pair(SERVER, Holder::Agents)).unwrap();
    *kept.lock().unwrap() = json!(difference(&BTreeMap::new(), &full.write()));

    round(&client, "probelet", &wanted()).await.unwrap();
    let (lead, leads) = watch::channel(false);
    let following = run(client.clone(), "probelet".to_owned(), wanted(), leads);
    let waited = timeout(Duration::from_millis(50), following).await;

    assert!(waited.is_err());
    let patched = patched.lock().unwrap();
    assert_eq!(*patched, ["/api/v1/namespaces/probelet/configmaps/probelet-agent-tls"]);
    drop(lead);
}

#[test]
fn what_is_kept_no_more_is_taken_out_of_the_secret() {
    let before = BTreeMap::from([
        ("next.key".to_owned(), ByteString(b"old".to_vec())),
        ("tls.key".to_owned(), ByteString(b"old".to_vec())),
    ]);

    let change = difference(&before, &BTreeMap::from([("tls.key", "new".to_owned())]));

    assert_eq!(json!(change), json!({"next.key": null, "tls.key": "bmV3"}));
}
