//! HTTPS: what a client of rustls sees.

use super::client::{Reply, Server, ask, start_behind};
use super::node::Node;
use probelet_agent::serve::http::tls::Tls;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, HandshakeKind, ProtocolVersion, RootCertStore,
    SignatureScheme, SupportedProtocolVersion, version,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubernetes")
}

/// A directory with the fixtures' certificate, for 127.0.0.1.
fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixtures().join("server.pem"), dir.path().join("tls.crt")).unwrap();
    fs::copy(fixtures().join("server.key"), dir.path().join("tls.key")).unwrap();
    dir
}

async fn start(tls: Tls) -> Server {
    start_behind(Node::new(1).pass(0), None, Some(tls)).await
}

/// The authority of the fixtures' certificate.
fn authority() -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixtures().join("ca.pem")).unwrap()
}

/// A client that trusts no one else.
fn client(
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(server: &Server, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    client.connect("127.0.0.1".try_into().unwrap(), socket).await
}

async fn report(server: &Server, client: &TlsConnector) -> (Reply, HandshakeKind) {
    let mut stream = connect(server, client).await.unwrap();
    let reply = ask(&mut stream, "GET", "/v1/report", "").await;
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    (reply, kind)
}

#[tokio::test]
async fn the_report_is_served_over_both_versions() {
    let server = start(Tls::from_dir(dir().path(), Duration::ZERO, None).unwrap()).await;

    for (offered, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut stream = connect(&server, &client(&authority(), &[offered])).await.unwrap();
        let reply = ask(&mut stream, "GET", "/v1/report", "").await;

        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(expected));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(reply.json()["connections"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn who_comes_back_resumes_the_session() {
    for version in [&version::TLS12, &version::TLS13] {
        let server = start(Tls::from_dir(dir().path(), Duration::ZERO, None).unwrap()).await;
        let client = client(&authority(), &[version]);

        let (_, first) = report(&server, &client).await;
        let (_, second) = report(&server, &client).await;

        assert_eq!((first, second), (HandshakeKind::Full, HandshakeKind::Resumed), "{version:?}");
    }
}

/// What the server shows as its certificate.
async fn shown(server: &Server, client: &TlsConnector) -> Option<Vec<u8>> {
    let stream = connect(server, client).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let dir = dir();
    let renewed = fixtures().join("../tls/renewed.pem");
    let server = start(Tls::from_dir(dir.path(), Duration::ZERO, None).unwrap()).await;
    let old = client(&authority(), &[&version::TLS13]);
    let before = shown(&server, &old).await;

    // Another certificate than the key is for, and then its key as well.
    fs::copy(&renewed, dir.path().join("tls.crt")).unwrap();
    let meanwhile = shown(&server, &old).await;
    fs::copy(renewed.with_extension("key"), dir.path().join("tls.key")).unwrap();
    let renewed = CertificateDer::from_pem_file(renewed).unwrap();
    let after = shown(&server, &client(&renewed, &[&version::TLS13])).await;

    assert!(before.is_some());
    assert_eq!(meanwhile, before);
    assert_eq!(after, Some(renewed.to_vec()));
}

/// Takes any certificate, as a client that was asked to.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        text: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(text, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        text: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(text, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn a_certificate_of_its_own_is_one_for_its_address() {
    let tls = Tls::self_signed("node-1", &["127.0.0.1".parse().unwrap()], None).unwrap();
    let server = start(tls).await;
    let provider = Arc::new(ring::default_provider());
    let careless = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_no_client_auth();
    let careless = TlsConnector::from(Arc::new(careless));
    let own = shown(&server, &careless).await.unwrap();

    let careful = client(&own.into(), &[&version::TLS13]);
    let (reply, _) = report(&server, &careful).await;

    assert_eq!(reply.status, 200);
}

/// An authority and the certificate of a client that it signed, with its key.
fn authority_of_clients() -> (rcgen::Certificate, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(vec!["clients".to_owned()]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = ca.self_signed(&ca_key).unwrap();
    let mut client = CertificateParams::new(vec!["reader".to_owned()]).unwrap();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let signed = client.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (certificate, signed.der().clone(), key)
}

/// A client that shows a certificate.
fn known_client(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn only_a_certificate_of_the_clients_authority_connects() {
    let (authority, certificate, key) = authority_of_clients();
    let dir = dir();
    let file = dir.path().join("clients.pem");
    fs::write(&file, authority.pem()).unwrap();
    let server = start(Tls::from_dir(dir.path(), Duration::ZERO, Some(&file)).unwrap()).await;

    let (reply, _) = report(&server, &known_client(certificate, key)).await;
    assert_eq!(reply.status, 200);

    let (_, other, key) = authority_of_clients();
    for stranger in [known_client(other, key), client(&self::authority(), &[&version::TLS13])] {
        // In TLS 1.3 a client learns only from the first answer that its certificate was refused.
        let refused = match connect(&server, &stranger).await {
            Err(_) => true,
            Ok(mut stream) => {
                let _unheard = stream.write_all(b"GET /v1/report HTTP/1.1\r\n\r\n").await;
                !matches!(stream.read(&mut [0; 1]).await, Ok(1..))
            }
        };
        assert!(refused);
    }
}

#[tokio::test]
async fn a_file_without_authorities_of_clients_is_refused_by_name() {
    let dir = dir();
    let file = dir.path().join("clients.pem");
    fs::write(&file, "hello").unwrap();

    let error = Tls::from_dir(dir.path(), Duration::ZERO, Some(&file)).err().unwrap().to_string();

    let name = file.display();
    assert_eq!(error, format!("{name} holds no certificate in PEM"));
}

#[tokio::test]
async fn plain_http_is_asked_to_come_with_https() {
    let server = start(Tls::self_signed("node-1", &[], None).unwrap()).await;

    let reply = server.get("/healthz").await;

    assert_eq!(
        (reply.status, reply.error()),
        (400, "this port speaks HTTPS: ask with https://".to_owned())
    );
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off() {
    let server = start(Tls::self_signed("node-1", &[], None).unwrap()).await;
    for began_with in [&b""[..], &[0x16, 3, 1][..]] {
        let mut stalled = TcpStream::connect(server.address).await.unwrap();
        stalled.write_all(began_with).await.unwrap();
        let began = Instant::now();

        let read = tokio::time::timeout(Duration::from_secs(9), stalled.read(&mut [0; 1])).await;

        assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
        assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn bad_files_are_a_message_with_their_name() {
    let message = |dir: &Path| {
        let Err(error) = Tls::from_dir(dir, Duration::ZERO, None) else { panic!("it was taken") };
        error.to_string().replace(dir.to_str().unwrap(), "DIR")
    };
    let (none, junk) = (tempfile::tempdir().unwrap(), dir());
    fs::write(junk.path().join("tls.key"), "hello").unwrap();

    assert!(message(none.path()).starts_with("cannot read DIR/tls.crt: No such file or directory"));
    assert_eq!(message(junk.path()), "DIR/tls.key holds no private key in PEM");
}
