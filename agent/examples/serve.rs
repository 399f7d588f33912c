//! A server over a made-up node, to measure what serving costs: `serve ADDRESS CONNECTIONS MOVED`
//! publishes once a second a picture in which MOVED connections changed.

#[path = "../tests/http/node.rs"]
mod node;

use node::Node;
use probelet_agent::serve::http::cost::Admission;
use probelet_agent::serve::{Parts, SeriesLimits, State, bind, full_report, serve};
use probelet_core::display::ContainerNames;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9466".to_owned()).parse()?;
    let connections = args.next().map_or(Ok(40_000), |n| n.parse())?;
    let moved = args.next().map_or(Ok(100), |n| n.parse())?;
    let listener = bind(address)?;
    let mut node = Node::new(connections);
    let first = node.pass(0);
    for _ in 0..5 {
        let began = Instant::now();
        let text = full_report(&first, &Arc::default());
        let each = began.elapsed() / connections.max(1);
        writeln!(std::io::stdout(), "{} bytes, {each:?} per connection", text.len())?;
    }
    let (snapshots, seen) = watch::channel(node::empty());
    snapshots.send_replace(first);
    let (_names, names) = watch::channel(Arc::new(ContainerNames::default()));
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            snapshots.send_replace(node.pass(moved));
        }
    });
    let parts = Parts {
        snapshots: seen,
        names,
        series: Arc::new(SeriesLimits::default),
        admit: Arc::new(|_| Admission::Granted),
        debug_pprof: true,
        web: true,
        kubernetes: None,
        auth: None,
        tls: None,
        node_probe: None,
    };
    serve(listener, State::new(parts), stopped).await;
    Ok(())
}
