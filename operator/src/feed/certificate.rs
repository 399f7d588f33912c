//! The certificate that the feed shows: the one of a Secret, which the leading replica makes and renews (`certify`).
//!
//! In: the Secret. Out: handshakes. Without a certificate there is none, and agents come again. It must not go without one
//! because someone put a bad one in place of a good one.
//!
//! I/O: reads one Secret every few minutes.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tracing::{info, warn};

use probelet_runtime::chain;

/// A certificate is shown for weeks before it ends.
const LOOK: Duration = Duration::from_mins(10);
/// The first one comes once a replica leads.
const FIRST: Duration = Duration::from_secs(1);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What is shown now.
#[derive(Default)]
pub(super) struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(super) fn acceptor(shown: Arc<Shown>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Thousands of agents come back: what they need for that is kept by them, not by us.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shows what the Secret holds, as it changes.
pub(super) async fn follow(
    client: Client,
    namespace: &str,
    name: &str,
    shown: &Shown,
) -> Infallible {
    let secrets = Api::<Secret>::namespaced(client, namespace);
    let (mut last, mut logged) = (None, false);
    loop {
        let pause = match timeout(PATIENCE, secrets.get(name)).await {
            Ok(Ok(secret)) => {
                let data = secret.data.unwrap_or_default();
                let pair = data.get(CERTIFICATE).zip(data.get(KEY));
                let pair = pair.map(|(chain, key)| (chain.0.clone(), key.0.clone()));
                match pair {
                    None => FIRST,
                    same if same == last => LOOK,
                    Some((chain, key)) => {
                        match read(&chain, &key) {
                            Ok(pair) => {
                                *shown.0.write().unwrap_or_else(PoisonError::into_inner) =
                                    Some(Arc::new(pair));
                                info!(secret = name, "the feed shows a new certificate");
                            }
                            Err(why) => warn!(secret = name, why, "no certificate for the feed"),
                        }
                        last = Some((chain, key));
                        LOOK
                    }
                }
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut logged, true) {
                    let error = chain(&error);
                    warn!(error, secret = name, "cannot read the certificate of the feed");
                }
                AGAIN
            }
            Err(_) => AGAIN,
        };
        sleep(pause).await;
    }
}

fn read(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| error.to_string())
}
