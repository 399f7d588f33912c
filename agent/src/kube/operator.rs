//! The way to the operator's feed: where its Service is, and whom to believe there.
//!
//! In: the Service's name, the connection to the API server. Out: an address, authorities, the file of the token. The API server is
//! asked for both when a connection is made, for an agent on the node's network has no names of the cluster's DNS, and a volume
//! would bring the authorities of a new installation a minute late. What it said last counts while it does not answer. It must
//! not show the token to anyone whose certificate is not of these authorities, or go by a proxy.
//!
//! I/O: two small requests to the API server.

use super::connection::{Connection, whole};
use super::destination::{Destination, Looked, Unknown};
use super::selection::encode;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Config;
use kube::config::AuthInfo;
use probelet_runtime::tls::without_unreadable;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

const PATIENCE: Duration = Duration::from_secs(10);
/// A Service and a few certificates are a tenth of that.
const MAX_ANSWER: usize = 256 << 10;
/// The key of the authorities.
const AUTHORITIES: &str = "ca.crt";

/// Where the feed is, as a person says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The operator's Service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// The port of the feed.
    pub port: u16,
    /// The file with the token that is shown there.
    pub token: PathBuf,
}

impl Place {
    /// The name that the certificate has to be for.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

#[derive(Debug, Clone)]
struct Known {
    address: IpAddr,
    authorities: Vec<Vec<u8>>,
}

/// The way there.
struct Way {
    api: Arc<Connection>,
    place: Place,
    last: Mutex<Option<Known>>,
}

#[derive(Deserialize)]
struct Services {
    items: Vec<Service>,
}

/// The way to the operator's feed, which the API server is asked for; nothing is sent yet.
#[must_use]
pub fn feed(api: Arc<Connection>, place: Place, renew: Duration, gather: Duration) -> Connection {
    Connection::feed(Box::new(Way { api, place, last: Mutex::new(None) }), renew, gather)
}

impl Destination for Way {
    fn look(&self) -> Looked<'_> {
        Box::pin(self.config())
    }
}

impl Way {
    async fn config(&self) -> Result<Config, Unknown> {
        let known = match self.ask().await {
            Ok(known) => {
                *self.last() = Some(known.clone());
                known
            }
            Err(error) => self.last().clone().ok_or(error)?,
        };
        let host = match known.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let absent = || Unknown::Absent(format!("address of the Service {}", self.place.service));
        let url = format!("https://{host}:{}", self.place.port);
        let mut config = Config::new(url.parse().map_err(|_| absent())?);
        config.root_cert = Some(known.authorities);
        without_unreadable(&mut config);
        config.tls_server_name = Some(self.place.server());
        let token = self.place.token.to_string_lossy().into_owned();
        config.auth_info = AuthInfo { token_file: Some(token), ..AuthInfo::default() };
        Ok(config)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> Result<Known, Unknown> {
        let Place { service, namespace, .. } = &self.place;
        let base = format!("/api/v1/namespaces/{namespace}");
        let mut url = format!("{base}/services?fieldSelector=metadata.name%3D");
        encode(&mut url, service);
        let found: Services = self.get(&url, "where the operator's feed is").await?;
        let spec = found.items.into_iter().next().and_then(|service| service.spec);
        let address = spec.and_then(|spec| spec.cluster_ip).and_then(|ip| ip.parse().ok());
        let address = address.ok_or_else(|| {
            Unknown::Absent(format!("Service {namespace}/{service} with an address"))
        })?;
        let url = format!("{base}/configmaps/{service}-tls");
        let found: ConfigMap = self.get(&url, "by whom the feed's certificate is signed").await?;
        let text = found.data.unwrap_or_default().remove(AUTHORITIES).unwrap_or_default();
        let authorities = CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok);
        let authorities: Vec<Vec<u8>> = authorities.map(|authority| authority.to_vec()).collect();
        if authorities.is_empty() {
            let what = format!("authority in the ConfigMap {namespace}/{service}-tls");
            return Err(Unknown::Absent(what));
        }
        Ok(Known { address, authorities })
    }

    async fn get<T: for<'a> Deserialize<'a>>(
        &self,
        url: &str,
        what: &'static str,
    ) -> Result<T, Unknown> {
        let failed = |error| Unknown::Unanswered(what, Box::new(error));
        // Boxed: the connection to the API server is of the same type as the one that waits for this.
        let answer = Box::pin(self.api.get(url, PATIENCE)).await.map_err(failed)?;
        let text = whole(answer.into_body(), MAX_ANSWER, PATIENCE).await.map_err(failed)?;
        serde_json::from_slice(&text).map_err(|_| Unknown::Absent(what.to_owned()))
    }
}
