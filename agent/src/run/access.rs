//! What stands between the report and anyone who asks for it: tokens and TLS.
//!
//! In: what was asked for, and where the agent runs. Out: the parts for the server. It must not let clients in that were to
//! be kept out: what cannot be had as asked is an error, and what cannot be determined is taken for the worse.
//!
//! I/O: certificates; `/proc`; asks the kernel which addresses it would send from.

use crate::args::{Address, Args, Auth, Tls};
use crate::kube::Reviewer;
use crate::serve::http::{auth, tls};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tracing::{info, warn};

/// The parts, or why they cannot be had.
pub(super) fn open(args: &Args) -> anyhow::Result<(Option<auth::Guard>, Option<tls::Tls>)> {
    let clients = args.client_ca.as_deref();
    let secured = match &args.tls {
        Tls::Off => None,
        Tls::SelfSigned => Some(tls::Tls::self_signed(
            &args.node_name,
            &addresses(args.listen.as_ref().and_then(Address::of_network)),
            clients,
        )?),
        Tls::Dir(dir) => Some(tls::Tls::from_dir(dir, tls::LOOK, clients)?),
    };
    let loopback = args.listen.as_ref().is_some_and(Address::is_near);
    // The flags say that there is an API server wherever tokens are asked for.
    let reviews = args.kubernetes.clone().filter(|_| args.auth != Auth::Off);
    let guard = match (&args.token_file, reviews) {
        (Some(file), _) => {
            Some(auth::Guard::Tokens(auth::TokenFile::open(file, auth::TOKEN_FILE_LOOK)?))
        }
        (None, None) => None,
        (None, Some(access)) => {
            let own = args.auth == Auth::Token && auth::network_is_a_pods_own();
            if args.auth == Auth::Token && !own {
                // As the chart has it. What cannot be determined is taken for that.
                info!("no network of this pod's own: loopback requests require a token");
            }
            let reviewer = Reviewer::new(access, args.audience.clone());
            Some(auth::Auth::new(reviewer, auth::Terms::default(), own)?.into())
        }
    };
    if guard.is_none() && clients.is_none() && !loopback {
        warn!(
            "--auth is off: any client that reaches this address can read this host's processes and connections"
        );
    }
    if guard.is_some() && secured.is_none() && !loopback {
        warn!("tokens are sent to this agent in the clear: give --tls");
    }
    Ok((guard, secured))
}

/// The addresses that the certificate is for.
fn addresses(listen: Option<SocketAddr>) -> Vec<IpAddr> {
    match listen.map(|address| address.ip().to_canonical()) {
        Some(ip) if !ip.is_unspecified() => vec![ip],
        // Addresses for documentation: nothing is sent, the kernel only chooses a route.
        _ => ["192.0.2.1:9", "[2001:db8::1]:9"].into_iter().filter_map(source).collect(),
    }
}

/// The address that packets to `target` would come from.
fn source(target: &str) -> Option<IpAddr> {
    let target: SocketAddr = target.parse().ok()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
