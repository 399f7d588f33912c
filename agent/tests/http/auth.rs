//! Who may read, with an API server that knows some tokens.

use super::client::{Server, start_behind, start_guarded};
use super::node::Node;
use super::reviews::Reviews;
use probelet_agent::serve::http::auth::{Guard, Terms, TokenFile};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const GOOD: &str = "Authorization: Bearer good\r\n";
const REPORT: &str = "/v1/report";

async fn start() -> (Reviews, Server) {
    start_on(Terms::default()).await
}

async fn start_on(terms: Terms) -> (Reviews, Server) {
    let reviews = Reviews::start().await;
    let front = reviews.front(terms, false);
    let server = start_behind(Node::new(1).pass(0), Some(front), None).await;
    (reviews, server)
}

#[tokio::test]
async fn without_a_token_there_is_health_and_nothing_else() {
    let (reviews, server) = start().await;

    let open = [server.get("/healthz").await.status, server.get("/readyz").await.status];
    let mut closed = Vec::new();
    for path in ["/metrics", REPORT, "/debug/pprof/heap", "/debug/pprof/profile", "/", "/v2"] {
        closed.push(server.get(path).await.status);
    }
    let post = server.send("POST", REPORT, "Content-Length: 0\r\n").await;

    assert_eq!(open, [200, 200]);
    assert_eq!(closed, [401; 6]);
    assert_eq!(post.status, 401);
    assert!(reviews.asked("TokenReview").is_empty());
}

#[tokio::test]
async fn who_shows_no_token_learns_how() {
    let (_reviews, server) = start().await;

    let reply = server.get(REPORT).await;

    assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"probelet-agent\""));
    assert!(reply.error().contains("X-Probelet-Authorization: Bearer TOKEN"));
}

#[tokio::test]
async fn a_token_that_the_api_server_does_not_know_is_refused() {
    let (reviews, server) = start().await;

    let reply = server.send("GET", REPORT, "Authorization: Bearer bad\r\n").await;

    let challenge = "Bearer realm=\"probelet-agent\", error=\"invalid_token\"";
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(challenge)));
    assert!(reviews.asked("SubjectAccessReview").is_empty());
}

#[tokio::test]
async fn who_may_not_is_named_with_what_is_missing() {
    let (_reviews, server) = start().await;

    let reply = server.send("GET", REPORT, "Authorization: Bearer weak\r\n").await;

    let message = "bob may not get nodeprobes/report of the group probelet.io: bind them to a ClusterRole that allows it; \
                   for the pods of a namespace, which they may get, add ?namespace=NAME";
    assert_eq!((reply.status, reply.error()), (403, message.to_owned()));
}

#[tokio::test]
async fn who_may_gets_the_report_and_is_asked_about_once() {
    let (reviews, server) = start().await;

    for _ in 0..3 {
        assert_eq!(server.send("GET", "/v1/report?pid=1", GOOD).await.status, 200);
    }

    let expected = json!({
        "user": "alice", "uid": "1", "groups": ["readers"], "extra": {},
        "resourceAttributes": {"verb": "get", "group": "probelet.io", "resource": "nodeprobes",
            "subresource": "report", "name": "node-1"},
    });
    let asked = reviews.asked("SubjectAccessReview");
    assert_eq!(reviews.asked("TokenReview").len(), 1);
    assert_eq!(asked.iter().map(|question| &question["spec"]).collect::<Vec<_>>(), [&expected]);
}

#[tokio::test]
async fn a_right_to_one_path_is_none_to_another() {
    let (reviews, server) = start().await;
    server.send("GET", REPORT, GOOD).await;

    server.send("GET", "/metrics", GOOD).await;

    let asked = reviews.asked("SubjectAccessReview");
    let part = |n: usize| asked[n]["spec"]["resourceAttributes"]["subresource"].clone();
    assert_eq!([part(0), part(1)], [json!("report"), json!("metrics")]);
}

#[tokio::test]
async fn a_token_for_the_api_server_is_refused_unless_that_is_switched_on() {
    let reviews = Reviews::start().await;
    let token = "Authorization: Bearer server\r\n";
    let strict =
        start_behind(Node::new(1).pass(0), Some(reviews.front(Terms::default(), false)), None)
            .await;

    let refused = strict.send("GET", REPORT, token).await;

    assert_eq!(refused.status, 401);
    assert!(
        refused.error().contains("kubectl create token NAME --audience probelet"),
        "{}",
        refused.error()
    );
    assert_eq!(reviews.asked("TokenReview")[0]["spec"]["audiences"], json!(["probelet"]));
    assert_eq!(reviews.asked("TokenReview").len(), 1);

    let lenient = reviews.front_for(Terms::default(), false, true);
    let server = start_behind(Node::new(1).pass(0), Some(lenient), None).await;
    assert_eq!(server.send("GET", REPORT, token).await.status, 200);
    assert_eq!(server.send("GET", REPORT, GOOD).await.status, 200);
    assert_eq!(server.send("GET", REPORT, "Authorization: Bearer bad\r\n").await.status, 401);
}

const TENANT: &str = "Authorization: Bearer tenant\r\n";

#[tokio::test]
async fn who_may_get_pods_of_a_namespace_reads_its_part_and_no_other() {
    let (reviews, server) = start().await;
    let get = async |target: &str| server.send("GET", target, TENANT).await;

    let own = get("/v1/report?namespace=shop,ops").await;
    let (whole, foreign) = (get(REPORT).await, get("/v1/report?namespace=shop,bank").await);
    let metrics = [get("/metrics").await.status, get("/metrics?namespace=shop").await.status];

    assert_eq!(own.status, 200);
    assert_eq!(own.json()["namespaces"], json!(["shop", "ops"]));
    assert_eq!((whole.status, foreign.status), (403, 403));
    assert!(whole.error().contains("add ?namespace=NAME"), "{}", whole.error());
    assert!(foreign.error().contains("nor the pods of the namespace bank"), "{}", foreign.error());
    assert_eq!(metrics, [403, 200]);
    let asked = reviews.asked("SubjectAccessReview");
    let namespaces: Vec<_> =
        asked.iter().map(|asked| &asked["spec"]["resourceAttributes"]["namespace"]).collect();
    assert_eq!(
        namespaces,
        [&json!(null), &json!("shop"), &json!("ops"), &json!("bank"), &json!(null)]
    );
}

#[tokio::test]
async fn a_tenant_sees_no_process_or_connection_of_the_host() {
    let (_reviews, server) = start().await;

    let reply = server.send("GET", "/v1/report?namespace=shop", TENANT).await.json();

    for list in ["processes", "connections", "listeners", "containers", "pods", "flows", "risks"] {
        assert_eq!(reply[list], json!([]), "{list}");
    }
    assert_eq!(reply["losses"], json!({}));
    assert_eq!(reply["coverage"].as_object().unwrap().len(), 2, "{}", reply["coverage"]);
}

#[tokio::test]
async fn one_request_costs_few_reviews_whatever_it_names() {
    let (reviews, server) = start().await;
    let many: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();

    let refused =
        server.send("GET", &format!("/v1/report?namespace={}", many.join(",")), TENANT).await;
    let nonsense = server.send("GET", "/v1/report?namespace=A%2Fb", TENANT).await;

    assert_eq!([refused.status, nonsense.status], [400, 400]);
    assert!(refused.error().contains("1 to 8 namespaces"), "{}", refused.error());
    assert_eq!(reviews.asked("SubjectAccessReview").len(), 1);
}

#[tokio::test]
async fn in_an_outage_a_tenant_goes_on_in_the_namespaces_that_were_good() {
    let terms = Terms { good: Duration::from_millis(100), bad: Duration::ZERO, ..Terms::default() };
    let (reviews, server) = start_on(terms).await;
    assert_eq!(server.send("GET", "/v1/report?namespace=shop", TENANT).await.status, 200);
    sleep(Duration::from_millis(150)).await;
    reviews.set_away(true);

    let known = server.send("GET", "/v1/report?namespace=shop", TENANT).await;
    let unknown = server.send("GET", "/v1/report?namespace=ops", TENANT).await;

    assert_eq!((known.status, unknown.status), (200, 503));
    assert_eq!(known.json()["namespaces"], json!(["shop"]));
}

#[tokio::test]
async fn a_right_that_goes_while_a_reader_waits_for_a_change_is_gone_for_the_answer() {
    let terms = Terms { good: Duration::ZERO, grace: Duration::ZERO, ..Terms::default() };
    let (reviews, server) = start_on(terms).await;
    let waiting = server.send("GET", "/v1/report?since=1&wait=0.3", GOOD);
    let (reply, ()) = tokio::join!(waiting, async {
        sleep(Duration::from_millis(100)).await;
        reviews.forget();
    });

    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn the_header_that_a_proxy_leaves_is_as_good() {
    let (_reviews, server) = start().await;

    let reply = server.send("GET", REPORT, "X-Probelet-Authorization: Bearer good\r\n").await;

    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn loopback_needs_no_token_where_that_was_said() {
    let reviews = Reviews::start().await;
    let front = reviews.front(Terms::default(), true);
    let server = start_behind(Node::new(1).pass(0), Some(front), None).await;

    assert_eq!(server.get(REPORT).await.status, 200);
}

#[tokio::test]
async fn in_an_outage_who_is_known_goes_on_and_no_one_else_begins() {
    let terms = Terms { good: Duration::from_millis(100), ..Terms::default() };
    let (reviews, server) = start_on(terms).await;
    assert_eq!(server.send("GET", REPORT, GOOD).await.status, 200);
    sleep(Duration::from_millis(150)).await;
    reviews.set_away(true);

    let known = server.send("GET", REPORT, GOOD).await;
    let unknown = server.send("GET", REPORT, "Authorization: Bearer slow\r\n").await;

    assert_eq!(known.status, 200);
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, Some("5")));
    // The known one was asked about, without success; the other had to wait.
    assert_eq!(reviews.asked("TokenReview").len(), 2);
}

#[tokio::test]
async fn a_token_that_is_known_no_more_is_refused_when_its_time_is_over() {
    let terms = Terms { good: Duration::ZERO, ..Terms::default() };
    let (reviews, server) = start_on(terms).await;
    assert_eq!(server.send("GET", REPORT, GOOD).await.status, 200);

    server.send("GET", REPORT, GOOD).await;

    assert_eq!(reviews.asked("TokenReview").len(), 2);
}

#[tokio::test]
async fn those_who_come_together_with_one_token_share_one_review() {
    let (reviews, server) = start().await;
    let ask = || server.send("GET", REPORT, "Authorization: Bearer slow\r\n");

    let (a, b, c) = tokio::join!(ask(), ask(), ask());

    assert_eq!([a.status, b.status, c.status], [200; 3]);
    assert_eq!(reviews.asked("TokenReview").len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_verdict_from_those_who_wait() {
    let (reviews, server) = start().await;
    let ask = || server.send("GET", REPORT, "Authorization: Bearer slow\r\n");
    let leaving = tokio::time::timeout(Duration::from_millis(100), ask());

    let (left, stays) = tokio::join!(leaving, ask());

    assert!(left.is_err());
    assert_eq!(stays.status, 200);
    assert!((1..=2).contains(&reviews.asked("TokenReview").len()));
}

#[tokio::test]
async fn invented_tokens_do_not_flood_the_api_server() {
    let (reviews, server) = start().await;
    let mut codes = Vec::new();
    for n in 0..40 {
        let header = format!("Authorization: Bearer made-up-{n}\r\n");
        codes.push(server.send("GET", REPORT, &header).await.status);
    }

    let metrics = server.send("GET", "/metrics", GOOD).await;

    assert!(codes.contains(&401) && codes.contains(&429), "{codes:?}");
    assert!(reviews.asked("TokenReview").len() < 20, "{codes:?}");
    assert!([200, 429].contains(&metrics.status));
}

#[tokio::test]
async fn refusals_and_reviews_are_counted() {
    let (_reviews, server) = start().await;
    server.get(REPORT).await;
    server.send("GET", REPORT, "Authorization: Bearer weak\r\n").await;
    sleep(Duration::from_secs(1)).await;

    let metrics = String::from_utf8(server.send("GET", "/metrics", GOOD).await.body).unwrap();

    for line in [
        "probelet_agent_http_requests_total{code=\"401\",path=\"/v1/report\"} 1",
        "probelet_agent_http_requests_total{code=\"403\",path=\"/v1/report\"} 1",
        "probelet_agent_auth_reviews_total{result=\"forbidden\"} 1",
        "probelet_agent_auth_reviews_total{result=\"allowed\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn without_an_api_server_a_token_of_the_file_reads_and_no_other_does() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(&path, "a-token-of-the-file\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tokens = Guard::Tokens(TokenFile::open(&path, Duration::ZERO).unwrap());
    let server = start_guarded(Node::new(1).pass(0), Some(tokens), None).await;
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");

    for path in [REPORT, "/metrics"] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
        assert_eq!(server.send("GET", path, &with("a-token-of-another")).await.status, 401);
        assert_eq!(server.send("GET", path, &with("a-token-of-the-file")).await.status, 200);
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}
