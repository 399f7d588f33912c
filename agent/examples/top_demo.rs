//! Shows `top` over a made-up node that moves.
use probelet_agent::{discover, snapshot, top};
use std::sync::Arc;
use std::time::Duration;

#[path = "../src/top/sample.rs"]
mod sample;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = discover::Limiter::Fds;
    let _ = snapshot::Task::ALL;
    let (sender, receiver) = tokio::sync::watch::channel(Arc::new(sample::empty()));
    tokio::spawn(async move {
        for second in 3600.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut s = sample::at(second, 40);
            if std::env::args().nth(1).is_some() {
                s.vitals.level = probelet_core::budget::Level::Stretched;
                s.vitals.level_reason = "needs 9m for 1 s freshness at 41,200 sockets".into();
                s.vitals.config_error = Some("spec.budget.cpu: 0m is below 1m".into());
                s.vitals.cpu_cores = 0.00493;
            }
            if sender.send(Arc::new(s)).is_err() {
                break;
            }
        }
    });
    let names = Box::new(|id: probelet_core::facts::ContainerId| {
        (id.0 == 1).then(|| "web-frontend".to_owned())
    });
    let result = top::run(receiver, names, top::Options::default()).await;
    println!("{result:?}");
}
