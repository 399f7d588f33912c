//! Whether the test of an installation asks the right pod, and takes answers for what they are.

use std::net::SocketAddr;

use kube::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn pod(name: &str, ready: bool, change: impl FnOnce(&mut Value)) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "agent", "env": [{"name": "PROBELET_AUTH", "value": "token"}],
            "ports": [{"name": "https", "containerPort": 9466}]}]},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    change(&mut pod);
    serde_json::from_value(pod).unwrap()
}

/// An agent that wants a token, or none; what it is asked it answers by `statuses` (without, with a token).
async fn agent(statuses: (u16, u16)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\n") {
                text.push(stream.read_u8().await.unwrap());
            }
            let text = String::from_utf8(text).unwrap();
            let known = text.to_lowercase().contains("authorization: bearer secret");
            let status = if known { statuses.1 } else { statuses.0 };
            let body = match text.split(' ').nth(1).unwrap() {
                REPORT => "a\x1b\nb\n",
                // An agent of a large node says more than is read.
                pods::METRICS => &format!("{FOLLOWS}{}", "probelet_flows 1\n".repeat(1 << 16)),
                other => panic!("{other}"),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            // Who has read enough hangs up.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    address
}

/// What an agent says that follows its pods at the API server.
const FOLLOWS: &str = r#"probelet_agent_kubernetes_contact_age_seconds{kind="pods",source="api"} 1
probelet_agent_kubernetes_watch_state{kind="pods",state="watching"} 1
probelet_agent_pods_source{source="api"} 1
"#;

async fn asked(address: SocketAddr, auth: &str, shown: Shown) -> Found {
    let endpoint = endpoint(address, auth, "");
    let answer = endpoint.ask(&known(), shown, REPORT).await.unwrap();
    judged(&endpoint, shown, &answer)
}

fn known() -> Config {
    let mut known = Config::new("https://127.0.0.1:1".parse().unwrap());
    known.auth_info.token = Some("secret".to_owned().into());
    known
}

fn endpoint(address: SocketAddr, auth: &str, feed: &str) -> Endpoint {
    let pod = pod("a", true, |pod| {
        pod["status"]["podIP"] = json!(address.ip().to_string());
        pod["spec"]["containers"][0]["ports"] =
            json!([{"name": "http", "containerPort": address.port()}]);
        pod["spec"]["containers"][0]["env"] = json!([
            {"name": "PROBELET_AUTH", "value": auth}, {"name": "PROBELET_FEED", "value": feed}]);
    });
    Endpoint::best(&[pod]).unwrap()
}

#[tokio::test]
async fn an_agent_is_asked_where_its_pods_come_from_and_fails_if_that_is_not_the_operator() {
    let address = agent((401, 200)).await;
    let followed = async |feed| {
        let endpoint = endpoint(address, "token", feed);
        followed(&endpoint, &endpoint.ask(&known(), Shown::Token, pods::METRICS).await.unwrap())
    };

    let well = followed("").await;
    assert!(matches!(well, Found::Good(_)), "{well:?}");
    let away = followed("https://probelet-operator.probelet.svc:9470").await;
    assert!(matches!(away, Found::Bad(_)), "{away:?}");
}

#[tokio::test]
async fn an_agent_whose_metrics_may_not_be_read_has_that_check_skipped_and_one_that_has_no_time_fails()
 {
    for (status, skipped) in [(403, true), (503, false), (401, false)] {
        let endpoint = endpoint(agent((401, status)).await, "token", "");
        let answer = endpoint.ask(&known(), Shown::Token, pods::METRICS).await.unwrap();
        let found = followed(&endpoint, &answer);

        assert_eq!(matches!(found, Found::Skipped(_)), skipped, "{found:?}");
        assert_eq!(matches!(found, Found::Bad(_)), !skipped, "{found:?}");
    }
}

#[tokio::test]
async fn an_agent_is_asked_with_the_own_token_and_with_none() {
    let good = agent((401, 200)).await;
    assert!(matches!(asked(good, "token", Shown::Token).await, Found::Good(_)));
    assert!(matches!(asked(good, "token", Shown::Nothing).await, Found::Good(_)));
}

#[tokio::test]
async fn an_agent_that_gives_its_report_to_everybody_fails_unless_it_is_meant_to() {
    let lax = agent((200, 200)).await;
    assert!(matches!(asked(lax, "token", Shown::Nothing).await, Found::Bad(_)));
    assert!(matches!(asked(lax, "off", Shown::Nothing).await, Found::Skipped(_)));
    assert!(matches!(asked(lax, "off", Shown::Token).await, Found::Good(_)));
}

#[tokio::test]
async fn an_agent_that_refuses_a_good_token_fails_and_a_missing_right_is_said() {
    assert!(matches!(asked(agent((401, 401)).await, "token", Shown::Token).await, Found::Bad(_)));
    let forbidden = asked(agent((401, 403)).await, "token", Shown::Token).await;
    assert!(matches!(forbidden, Found::Skipped(_)), "{forbidden:?}");
    let Found::Bad(text) = asked(agent((503, 503)).await, "token", Shown::Nothing).await else {
        panic!("an agent that has no time has not refused anything")
    };
    assert!(text.contains("503"), "{text}");
}

#[test]
fn a_pod_that_is_ready_is_asked_before_others_and_one_without_an_address_never() {
    let away = pod("away", true, |pod| pod["status"]["podIP"] = Value::Null);
    let starting = pod("starting", false, |_| ());
    let ready = pod("ready", true, |_| ());
    assert_eq!(Endpoint::best(&[away.clone(), starting.clone(), ready]).unwrap().pod, "ready");
    assert_eq!(Endpoint::best(&[away.clone(), starting]).unwrap().pod, "starting");
    assert_eq!(Endpoint::best(&[away]), None);
}

/// The chart was installed with a `nameOverride`: only labels that no value changes may be asked for.
#[tokio::test]
async fn agents_are_found_whatever_the_installation_is_called() {
    use std::convert::Infallible;
    let service = tower::service_fn(|request: hyper::Request<kube::client::Body>| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let found = query.contains("part-of%3Dprobelet") && !query.contains("%2Fname%3D");
        let items = if found { vec![pod("node-map-agent-x", true, |_| ())] } else { vec![] };
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
        let body = http_body_util::Full::new(bytes::Bytes::from(list.to_string()));
        Ok::<_, Infallible>(hyper::Response::new(body))
    });
    let endpoint = agent_of(&Client::new(service, "probelet")).await;
    assert_eq!(endpoint.unwrap().pod, "node-map-agent-x");
}

async fn agent_of(client: &Client) -> Result<Endpoint, Found> {
    super::agent(client, "probelet").await
}
