//! What people type, and what the program says to it.

use clap::CommandFactory as _;

use super::*;
use probelet_runtime::logging::{self, Format};

fn parse(line: &str) -> Result<Args, Refused> {
    Args::parse(format!("probelet-agent {line}").split_whitespace().map(OsString::from))
}

fn args(line: &str) -> Args {
    parse(line).unwrap_or_else(|refused| panic!("{line}: {refused}"))
}

fn message(line: &str) -> String {
    parse(line).expect_err("a mistake").to_string()
}

#[test]
fn nothing_typed_is_run_with_the_defaults() {
    let args = args("");
    assert_eq!(args.command, Command::Run);
    assert_eq!(args.listen, Some("127.0.0.1:9466".parse().unwrap()));
    assert_eq!(args.docker, Some(PathBuf::from("/var/run/docker.sock")));
    assert_eq!((args.config, args.source, args.debug_pprof), (None, None, false));
    let log = Log { log_format: Format::Text, log_level: logging::filter("info").unwrap() };
    assert_eq!(args.log, log);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(args.node_name, host.trim());
}

#[test]
fn flags_may_stand_before_and_after_the_subcommand() {
    let before = args("--listen off --config c.yaml run");
    assert_eq!((&before.listen, before.config.as_deref()), (&None, Some(Path::new("c.yaml"))));
    assert_eq!(args("run --listen off --config c.yaml"), before);
}

#[test]
fn each_subcommand_has_its_own_flags() {
    let settle = Some(Duration::from_millis(1500));
    assert_eq!(args("once --json --settle 1s500ms").command, Command::Once { json: true, settle });
    assert_eq!(args("once").command, Command::Once { json: false, settle: None });
    let filter = Some("nginx".to_owned());
    assert_eq!(
        args("top --sort fds --filter nginx").command,
        Command::Top { sort: Some(Sort::Fds), filter }
    );
    assert_eq!(args("doctor --json").command, Command::Doctor { json: true });
}

#[test]
fn a_source_is_spelt_with_dashes() {
    assert_eq!(args("--source bpf-compat").source, Some(Source::BpfCompat));
}

#[test]
fn docker_is_a_socket_or_nothing() {
    assert_eq!(args("--docker unix:///run/x.sock").docker, Some(PathBuf::from("/run/x.sock")));
    assert_eq!(args("--docker off").docker, None);
    assert!(
        message("--docker tcp://1.2.3.4:2375")
            .contains("give auto, off, or a socket such as unix:///")
    );
}

#[test]
fn the_page_for_browsers_is_there_on_loopback_or_when_asked_for() {
    let web = |line: &str| parse(line).unwrap().web;

    assert!(web("") && web("--listen [::1]:1") && web("--auth off --listen 0.0.0.0:1 --web on"));
    assert!(!web("--auth off --listen 0.0.0.0:1") && !web("--listen off") && !web("--web off"));
}

#[test]
fn a_bad_listen_address_is_one_message() {
    let message = message("--listen localhost");
    let first = message.lines().next().unwrap();
    assert_eq!(
        first,
        "error: invalid value 'localhost' for '--listen <ADDR>': give an IP address with a port, such as \
         127.0.0.1:9466 or [::]:9466, or unix:/PATH, or off"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for line in [
        "--listen 127.0.0.1",
        "--source ebpf",
        "--node-name a/b",
        "--log-level info,=",
        "--log-format xml",
        "once --settle 1",
        "once --settle 2h",
        "top --sort name",
        "--unknown",
        "stop",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn every_flag_has_an_environment_variable_and_help() {
    let command = Typed::command();
    let mut seen = 0;
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for arg in command
            .get_arguments()
            .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        {
            seen += 1;
            let name = arg.get_id();
            assert!(
                arg.get_env().is_some_and(|env| env.to_string_lossy().starts_with("PROBELET_")),
                "{name}"
            );
            assert!(arg.get_help().is_some_and(|help| help.to_string().len() > 10), "{name}");
        }
    }
    assert_eq!(seen, 29);
}

#[test]
fn clap_finds_no_fault_in_the_definitions() {
    Typed::command().debug_assert();
}

#[test]
fn help_is_a_success_and_shows_examples_and_exit_codes() {
    let refused = parse("--help").unwrap_err();
    let text = refused.to_string();
    for part in ["Examples:", "probelet-agent once --json", "Exit codes:", "PROBELET_CONFIG"] {
        assert!(text.contains(part), "{part}");
    }
    assert_eq!(refused.exit(), Exit::Success);
}

#[test]
fn a_cluster_is_asked_where_there_is_one_or_where_it_is_asked_for() {
    let given = || Some(PathBuf::from("k.yaml"));
    let file = Some(Access::Kubeconfig(given()));
    for (asked, kubeconfig, in_cluster, access) in [
        (Kubernetes::Auto, None, false, None),
        (Kubernetes::Auto, None, true, Some(Access::InCluster)),
        (Kubernetes::Auto, given(), true, file.clone()),
        (Kubernetes::On, None, false, Some(Access::Kubeconfig(None))),
        (Kubernetes::On, None, true, Some(Access::InCluster)),
        (Kubernetes::On, given(), false, file),
        (Kubernetes::Off, given(), true, None),
    ] {
        assert_eq!(
            super::access(asked, kubeconfig.clone(), in_cluster),
            access,
            "{asked:?} {kubeconfig:?}"
        );
    }
}

#[test]
fn a_kubeconfig_is_a_flag_of_every_command() {
    let access = Some(Access::Kubeconfig(Some(PathBuf::from("k.yaml"))));
    assert_eq!(args("run --kubeconfig k.yaml").kubernetes, access);
    assert_eq!(args("--kubeconfig k.yaml top --kubernetes off").kubernetes, None);
}

#[test]
fn a_node_probe_needs_an_api_server_and_excludes_a_file() {
    let args = args("--node-probe --kubeconfig k --state-dir /var/lib/probelet");
    assert!(args.node_probe);
    assert_eq!(args.state_dir.as_deref(), Some(Path::new("/var/lib/probelet")));

    assert!(message("--node-probe --kubernetes off").contains("needs an API server"));
    assert!(message("--node-probe --kubeconfig k --config c.yaml").contains("cannot be used with"));
}

#[test]
fn tokens_are_asked_for_only_where_someone_can_be_asked_about_them() {
    assert_eq!(args("").auth, Auth::Off);
    assert_eq!(args("--auth token --kubeconfig k.yaml").auth, Auth::Token);
    assert_eq!(args("--auth always --kubeconfig k.yaml").auth, Auth::Always);
    let message = message("--auth token --kubernetes off");
    assert_eq!(
        message,
        "error: --auth needs an API server to ask about tokens: run in a pod, or give --kubeconfig FILE\n"
    );
}

#[test]
fn a_listener_to_the_network_has_to_be_asked_for() {
    for open in ["--listen 0.0.0.0:9466", "run --listen [::]:9466", "--listen 10.0.0.7:1"] {
        assert!(message(open).contains("choose --auth token"), "{open}");
        assert!(message(open).contains("--token-file FILE"), "{open}");
    }
    let guarded = args("--listen 0.0.0.0:9466 --token-file /etc/tokens");
    assert_eq!(guarded.token_file, Some(PathBuf::from("/etc/tokens")));
    let guarded = args("--listen 0.0.0.0:9466 --tls self-signed --client-ca /etc/ca.pem");
    assert_eq!(guarded.client_ca, Some(PathBuf::from("/etc/ca.pem")));
    assert_eq!(args("--listen 0.0.0.0:9466 --auth off").auth, Auth::Off);
    assert_eq!(args("--listen [::ffff:127.0.0.1]:9466").auth, Auth::Off);
    assert_eq!(args("--listen off").auth, Auth::Off);
    assert_eq!(args("once --listen 0.0.0.0:9466").auth, Auth::Off, "nothing is served");
}

#[test]
fn a_socket_that_only_its_user_may_open_needs_no_token_and_no_certificate() {
    let near = args("--listen unix:/run/probelet/agent.sock");
    assert_eq!(near.listen.unwrap().to_string(), "unix:/run/probelet/agent.sock");
    assert_eq!((near.auth, near.web), (Auth::Off, false));
    let asked = args("--listen unix:/a.sock --token-file /etc/tokens");
    assert_eq!(asked.token_file, Some(PathBuf::from("/etc/tokens")));
    assert!(message("--listen unix:/a.sock --tls self-signed").contains("--tls is for ports"));
    assert!(message("--listen unix:a.sock").contains("absolute path"));
    assert!(message("--probe-listen unix:/a.sock").contains("give an IP address with a port"));
}

#[test]
fn who_decides_about_clients_is_one_thing() {
    let both = message("--token-file /etc/tokens --auth always --kubeconfig k.yaml");
    assert!(both.contains("cannot be used with"), "{both}");
    let plain = message("--client-ca /etc/ca.pem");
    assert!(plain.contains("--client-ca needs HTTPS: give --tls self-signed"), "{plain}");
}

#[test]
fn probes_have_a_listener_of_their_own_where_it_is_asked_for() {
    assert_eq!(args("").probe_listen, None);
    let address = args("--probe-listen [::]:9468").probe_listen;
    assert_eq!(address, Some("[::]:9468".parse().unwrap()));
    assert!(message("--probe-listen here").contains("give an IP address with a port"));
}

#[test]
fn a_certificate_is_the_agents_own_or_in_a_directory() {
    assert_eq!(args("").tls, Tls::Off);
    assert_eq!(args("--tls self-signed").tls, Tls::SelfSigned);
    assert_eq!(args("--tls /etc/tls").tls, Tls::Dir(PathBuf::from("/etc/tls")));
    assert!(message("--tls=").contains("give off, self-signed, or the path of a directory"));
}

#[test]
fn the_page_of_flags_says_what_clap_takes() {
    let page = probelet_reference::flags(&Typed::command());

    probelet_reference::hold("reference/flags-agent.md", &page);
}

#[test]
fn the_page_of_man_and_the_completions_say_what_clap_takes() {
    probelet_reference::hold_shell_files(Typed::command());
}
