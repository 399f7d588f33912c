//! Lists that grow with the cluster: pages of 500, each dropped before the next is asked for.
//!
//! In: the API server's pages. Out: small values, and how many pages it took. A list whose position the server has
//! forgotten is begun again once. I/O: the network.

use hyper::Method;
use serde::de::DeserializeOwned;

use super::{Ask, Error, List, With};
use crate::seen::Node;
use crate::seen::config::Config;
use crate::seen::probe::Probe;

/// Objects of a page: some 3 MiB of `NodeProbes`.
const PAGE: u32 = 500;
const PROBES: &str = "/apis/probelet.io/v1alpha1/nodeprobes";
const CONFIGS: &str = "/apis/probelet.io/v1alpha1/probeconfigs";
/// Names and labels only.
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A whole list.
pub struct Pages<T> {
    /// What was in it.
    pub items: Vec<T>,
    /// In so many pages.
    pub pages: usize,
}

/// All nodes as their `NodeProbes` show them.
pub type Nodes = Pages<Probe>;

impl Ask {
    /// All `NodeProbes`; what is largest on each only if `top`.
    pub async fn probes(&self, top: bool) -> Result<Nodes, Error> {
        let keep = |mut probe: Probe| {
            if !top {
                probe.top = None;
            }
            probe
        };
        self.pages(PROBES, None, "nodes", keep).await
    }

    /// All `ProbeConfigs`.
    pub async fn configs(&self) -> Result<Vec<Config>, Error> {
        Ok(self.pages(CONFIGS, None, "configurations", |config: Config| config).await?.items)
    }

    /// One `ProbeConfig`.
    pub async fn config(&self, name: &str) -> Result<Config, Error> {
        self.get(&config_path(name)).await
    }

    /// All nodes with their labels.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        Ok(self.pages("/api/v1/nodes", Some(METADATA), "nodes", |node: Node| node).await?.items)
    }

    /// How many nodes there are, by the server's own count.
    pub async fn count_nodes(&self) -> Result<u64, Error> {
        let path = "/api/v1/nodes?limit=1";
        let with = With { accept: Some(METADATA), ..With::default() };
        let reply = self.send(Method::GET, path, with).await?;
        let list: List<serde::de::IgnoredAny> = reply.decode(path)?;
        Ok(list.items.len() as u64 + list.metadata.remaining_item_count.unwrap_or(0))
    }

    /// A whole list.
    pub async fn pages<W: DeserializeOwned, T>(
        &self,
        path: &str,
        accept: Option<&'static str>,
        what: &str,
        keep: impl Fn(W) -> T,
    ) -> Result<Pages<T>, Error> {
        let (mut items, mut pages, mut again) = (Vec::new(), 0, false);
        let mut token = String::new();
        let sign = if path.contains('?') { '&' } else { '?' };
        loop {
            let mut page = format!("{path}{sign}limit={PAGE}");
            if !token.is_empty() {
                page = format!("{page}&continue={}", escape(&token));
            }
            let with = With { accept, ..With::default() };
            let reply = match self.send(Method::GET, &page, with).await {
                Err(Error::Refused { code: 410, .. }) if !again => {
                    (items, pages, token, again) = (Vec::new(), 0, String::new(), true);
                    continue;
                }
                reply => reply?,
            };
            let list: List<W> = reply.decode(path)?;
            items.reserve_exact(
                list.items.len()
                    + list
                        .metadata
                        .remaining_item_count
                        .map_or(0, |n| usize::try_from(n).unwrap_or(0).min(1 << 16)),
            );
            items.extend(list.items.into_iter().map(&keep));
            pages += 1;
            self.progress.say(&format!("reading {what}: {}", items.len()));
            match list.metadata.token.filter(|token| !token.is_empty()) {
                Some(next) => token = next,
                None => return Ok(Pages { items, pages }),
            }
        }
    }
}

/// Where a `ProbeConfig` is.
#[must_use]
pub(crate) fn config_path(name: &str) -> String {
    format!("{CONFIGS}/{name}")
}

/// Where a `NodeProbe` is.
#[must_use]
pub(crate) fn probe_path(node: &str) -> String {
    format!("{PROBES}/{node}")
}

/// A value of a query.
pub(crate) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to memory does not fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_a_list_survives_the_query() {
        assert_eq!(escape("eyJ2+/a=&b"), "eyJ2%2B%2Fa%3D%26b");
    }
}
