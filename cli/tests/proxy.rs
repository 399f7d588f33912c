//! The real program behind real proxies on loopback: what is in the environment and in the kubeconfig decides the way.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use probelet_fake_api::socket::{kubeconfig, listen, request, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

type Log = Arc<Mutex<Vec<String>>>;

/// An API server without TLS that has one ProbeConfig.
fn api() -> SocketAddr {
    let one = json!({"metadata": {"name": "far-away"}, "spec": {}});
    serve(move |_, _, _| (200, json!({"metadata": {}, "items": [one]})))
}

/// Carries bytes both ways until the client ends.
fn relay(mut stream: BufReader<TcpStream>, to: SocketAddr) {
    let server = TcpStream::connect(to).unwrap();
    let (mut up, mut down) = (server.try_clone().unwrap(), server);
    let mut back = stream.get_ref().try_clone().unwrap();
    thread::spawn(move || std::io::copy(&mut down, &mut back).ok());
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        up.write_all(&bytes[..n]).unwrap();
    }
}

/// A proxy that knows CONNECT; anyone who is asked for, it leads to `to`. `status` is its answer.
fn proxy(to: SocketAddr, status: &'static str) -> (SocketAddr, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let address = listen(move |mut stream| {
        let (head, _) = request(&mut stream).unwrap();
        kept.lock().unwrap().extend(head);
        write!(stream.get_mut(), "HTTP/1.1 {status}\r\n\r\n").unwrap();
        relay(stream, to);
    });
    (address, log)
}

fn run(server: &str, named: Option<&str>, variables: &[(&str, &str)]) -> Output {
    let named = named.map_or(String::new(), |url| format!(", proxy-url: \"{url}\""));
    run_with(server, &named, variables)
}

/// `fields` are further ones of the kubeconfig's cluster.
fn run_with(server: &str, fields: &str, variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let text = kubeconfig(server, fields);
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).arg("--kubeconfig").arg(file);
    command.args(["--timeout", "5s", "rollout", "status"]).output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_cluster_behind_a_proxy_is_reached_with_name_and_password() {
    let (proxy, log) = proxy(api(), "200 Connection established");
    let url = format!("http://me:pa%40ss@{proxy}");

    let output = run("http://api.example.test:8080", Some(&url), &[("NO_PROXY", "*")]);

    assert!(said(&output).contains("far-away"), "{}", said(&output));
    let log = log.lock().unwrap();
    assert_eq!(log[0], "CONNECT api.example.test:8080 HTTP/1.1");
    assert!(log.contains(&"Proxy-Authorization: Basic bWU6cGFAc3M=".to_owned()), "{log:?}");
}

/// A proxy that speaks SOCKS5 without a login, as `ssh -D` does.
fn socks(to: SocketAddr) -> (SocketAddr, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let address = listen(move |mut stream| {
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(hello, [5, 1, 0]);
        stream.get_mut().write_all(&[5, 0]).unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(head[4]) + 2];
        stream.read_exact(&mut rest).unwrap();
        let (name, port) = rest.split_at(rest.len() - 2);
        let port = u16::from_be_bytes([port[0], port[1]]);
        kept.lock().unwrap().push(format!("{}:{port}", String::from_utf8_lossy(name)));
        stream.get_mut().write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        relay(stream, to);
    });
    (address, log)
}

#[test]
fn a_cluster_behind_a_socks_proxy_is_reached_by_its_name() {
    let (address, log) = socks(api());

    let url = format!("socks5://{address}");
    let output = run("http://api.example.test:8080", Some(&url), &[]);

    assert!(said(&output).contains("far-away"), "{}", said(&output));
    assert_eq!(log.lock().unwrap()[0], "api.example.test:8080");
}

/// A proxy that knows CONNECT within TLS, and its certificate, which is its own authority.
fn secure(to: SocketAddr) -> (SocketAddr, String, Log) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let log = Log::default();
    let kept = Arc::clone(&log);
    let address = listen(move |stream| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tcp = stream.into_inner();
            tcp.set_nonblocking(true).unwrap();
            let tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
            // Who does not believe the certificate hangs up.
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = tls.read_u8().await else { return };
                head.push(byte);
            }
            kept.lock()
                .unwrap()
                .extend(String::from_utf8(head).unwrap().lines().map(str::to_owned));
            tls.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
            tokio::io::copy_bidirectional(&mut tls, &mut server).await.ok();
        });
    });
    (address, made.cert.pem(), log)
}

#[test]
fn a_proxy_over_tls_is_verified_as_the_server_is() {
    let (address, certificate, log) = secure(api());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    std::fs::write(&file, certificate).unwrap();
    let proxy = format!(", proxy-url: \"https://me:secret@{address}\"");
    let fields = format!("{proxy}, certificate-authority: {}", file.display());

    let output = run_with("http://api.example.test:8080", &fields, &[]);
    assert!(said(&output).contains("far-away"), "{}", said(&output));
    assert_eq!(log.lock().unwrap()[0], "CONNECT api.example.test:8080 HTTP/1.1");

    // Whom no authority vouches for is shown no password.
    log.lock().unwrap().clear();
    let text = said(&run_with("http://api.example.test:8080", &proxy, &[]));
    assert!(text.contains(&format!("the proxy https://{address} of the kubeconfig")), "{text}");
    assert!(text.contains("certificate") && !text.contains("secret"), "{text}");
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_proxy_of_the_environment_is_used_but_for_its_exceptions() {
    let (address, log) = proxy(api(), "200 OK");
    let through = ("HTTP_PROXY", format!("http://{address}"));
    let through = (through.0, through.1.as_str());

    let output = run("http://api.example.test", None, &[through]);
    assert!(said(&output).contains("far-away"), "{}", said(&output));
    assert_eq!(log.lock().unwrap()[0], "CONNECT api.example.test:80 HTTP/1.1");

    let direct = run("http://api.example.test", None, &[through, ("NO_PROXY", ".example.test")]);
    assert!(
        !direct.status.success() && !said(&direct).to_lowercase().contains("proxy"),
        "{}",
        said(&direct)
    );
}

#[test]
fn a_proxy_for_the_world_is_no_matter_of_a_server_on_this_machine() {
    let world = [
        ("HTTPS_PROXY", "http://proxy.invalid:3128"),
        ("HTTP_PROXY", "socks5://proxy.invalid:1080"),
    ];

    let output = run(&format!("http://{}", api()), None, &world);

    assert!(output.status.success() && said(&output).contains("far-away"), "{}", said(&output));
}

#[test]
fn a_proxy_that_cannot_be_used_or_refuses_is_named_and_its_password_is_not() {
    let socks =
        run("https://api.example.test", None, &[("HTTPS_PROXY", "socks4://me:secret@p:1080")]);
    let text = said(&socks);
    assert!(text.contains("the proxy of HTTPS_PROXY is for socks4"), "{text}");
    assert!(
        text.contains("NO_PROXY") && !text.contains("secret") && !text.contains("kubeconfig"),
        "{text}"
    );

    let (address, _) = proxy(api(), "407 Proxy Authentication Required");
    let url = format!("http://me:secret@{address}");
    let text = said(&run("http://api.example.test", Some(&url), &[]));
    assert!(text.contains("407 Proxy Authentication Required"), "{text}");
    assert!(text.contains("of the kubeconfig (proxy-url)") && !text.contains("secret"), "{text}");
}

#[test]
fn a_proxy_that_no_one_can_read_is_nothing_to_a_server_that_is_excepted() {
    let address = api();
    let variables = [("HTTPS_PROXY", "http://me:p{ss}^@proxy:3128/"), ("NO_PROXY", "127.0.0.1")];

    let output = run(&format!("http://{address}"), None, &variables);

    assert!(said(&output).contains("far-away"), "{}", said(&output));
}
