//! A diagnosis over a made-up `/proc`, with real text in it.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const V2: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
    35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

/// A host: its kernel, its capabilities, and whether it has BTF.
fn host(release: &str, capabilities: &str, btf: bool) -> (tempfile::TempDir, Places) {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/sys/kernel/osrelease", &format!("{release}\n"));
    write("proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
    write("proc/sys/net/ipv4/tcp_child_ehash_entries", "0\n");
    write(
        "proc/self/status",
        &format!("Uid:\t0\t0\t0\t0\nNSpid:\t77\nCapEff:\t{capabilities}\nSeccomp:\t0\n"),
    );
    write("proc/self/mountinfo", V2);
    write("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
    if btf {
        write("sys/kernel/btf/vmlinux", "");
    }
    fs::create_dir_all(root.path().join("proc/self/ns")).unwrap();
    symlink("pid:[4026531836]", root.path().join("proc/self/ns/pid")).unwrap();
    let places = Places {
        proc: root.path().join("proc"),
        sys: root.path().join("sys"),
        docker: root.path().join("docker.sock"),
        binary: "/usr/local/bin/probelet-agent".into(),
    };
    (root, places)
}

/// What is found on a host on which every file and every refusal has a text of a stranger's in it.
pub(crate) fn hostile(text: impl Fn() -> String) -> Diagnosis {
    let (root, mut places) = host("6.18.44", ROOT, true);
    let write = |path: &str, text: String| fs::write(root.path().join(path), text).unwrap();
    write("proc/sys/kernel/osrelease", format!("6.1{}", text()));
    write("proc/sys/kernel/unprivileged_bpf_disabled", text());
    write("sys/kernel/security/lockdown", format!("none [{}]", text()));
    write(
        "proc/self/mountinfo",
        format!("22 27 0:21 / /proc rw - proc proc rw,hidepid={}\n", text()),
    );
    write("proc/self/status", format!("Uid:\t{}\nNSpid:\t{}\nCapEff:\t{ROOT}\n", text(), text()));
    places.docker = root.path().join(text().replace(['\0', '/'], ""));
    places.binary = text().into();
    examine(&places, &mut |_| Err(text()))
}

const ROOT: &str = "000001ffffffffff";

fn refuse_programs(source_kind: SourceKind) -> Result<(), String> {
    match source_kind {
        SourceKind::Bpf | SourceKind::BpfCompat => {
            Err(format!("{} refused at BPF_PROG_LOAD: not permitted", source_kind.name()))
        }
        SourceKind::Netlink | SourceKind::Procfs => Ok(()),
    }
}

fn found<'d>(diagnosis: &'d Diagnosis, topic: &str) -> &'d Finding {
    diagnosis.findings.iter().find(|f| f.topic == topic).unwrap()
}

#[test]
fn root_on_a_new_kernel_loses_nothing() {
    let (_root, places) = host("6.18.44", ROOT, true);

    let diagnosis = examine(&places, &mut |_| Ok(()));

    assert!(diagnosis.is_whole(), "{}", render(&diagnosis));
    assert_eq!(diagnosis.exit_code(), 0);
    assert!(render(&diagnosis).contains("Nothing is lost: the agent will read through bpf."));
}

#[test]
fn the_rights_of_the_start_are_shown_beside_those_that_are_kept() {
    // BPF, PERFMON and NET_ADMIN.
    let (_root, places) = host("6.18.44", "000000c000001000", true);

    let diagnosis = examine(&places, &mut |_| Ok(()));

    let rights = found(&diagnosis, "rights while it runs");
    assert_eq!(rights.found, "BPF, PERFMON, NET_ADMIN → NET_ADMIN");
}

#[test]
fn missing_capabilities_are_named_with_their_loss_and_their_remedy() {
    let (_root, places) = host("6.18.44", "0000000000080004", true);

    let diagnosis = examine(&places, &mut refuse_programs);

    assert_eq!(diagnosis.exit_code(), 1);
    assert_eq!(found(&diagnosis, "CAP_BPF").mark, Mark::Lost);
    assert_eq!(found(&diagnosis, "CAP_SYS_PTRACE").mark, Mark::Good);
    let remedy = diagnosis.sources[0].remedy.as_deref().unwrap();
    assert!(
        remedy.starts_with("setcap cap_bpf,cap_perfmon+ep /usr/local/bin/probelet-agent"),
        "{remedy}"
    );
    assert!(remedy.ends_with("securityContext.capabilities.add: [BPF, PERFMON]"), "{remedy}");
}

#[test]
fn sys_admin_stands_for_bpf_and_perfmon() {
    let (_root, places) = host("6.18.44", "0000000000200000", true);

    let diagnosis = examine(&places, &mut |_| Ok(()));

    assert_eq!(found(&diagnosis, "CAP_BPF").mark, Mark::Good);
    assert_eq!(found(&diagnosis, "CAP_SYS_PTRACE").mark, Mark::Note);
}

#[test]
fn on_an_old_kernel_the_best_possible_source_is_enough() {
    let (_root, places) = host("6.1.0-18-amd64", ROOT, true);
    let mut probe = |source_kind| {
        if source_kind == SourceKind::Bpf { Err("bpf refused".to_owned()) } else { Ok(()) }
    };

    let diagnosis = examine(&places, &mut probe);

    assert!(diagnosis.is_whole(), "{}", render(&diagnosis));
    assert_eq!(diagnosis.sources[0].remedy.as_deref(), Some("boot kernel 6.2 or newer"));
    assert!(diagnosis.sources[1].chosen);
}

#[test]
fn a_kernel_without_btf_has_lost_its_programs() {
    let (_root, places) = host("6.12.0", ROOT, false);

    let diagnosis = examine(&places, &mut refuse_programs);

    assert_eq!(found(&diagnosis, "BTF").mark, Mark::Lost);
    assert_eq!(diagnosis.exit_code(), 1);
}

#[test]
fn lockdown_confidentiality_is_the_reason_when_it_is_in_force() {
    let (root, places) = host("6.12.0", ROOT, true);
    fs::write(
        root.path().join("sys/kernel/security/lockdown"),
        "none integrity [confidentiality]\n",
    )
    .unwrap();

    let diagnosis = examine(&places, &mut refuse_programs);

    assert_eq!(found(&diagnosis, "lockdown").mark, Mark::Lost);
    assert_eq!(
        diagnosis.sources[0].remedy.as_deref(),
        Some("boot with lockdown=integrity or none")
    );
}

#[test]
fn hidden_processes_are_lost_unless_ptrace_shows_them() {
    let (root, places) = host("6.12.0", "000000c000000000", true);
    fs::write(
        root.path().join("proc/self/mountinfo"),
        V2.replace("proc rw\n", "proc rw,hidepid=2\n"),
    )
    .unwrap();

    let diagnosis = examine(&places, &mut |_| Ok(()));

    assert_eq!(found(&diagnosis, "/proc hidepid").mark, Mark::Lost);
}

#[test]
fn a_nested_pid_namespace_is_a_note() {
    let (root, places) = host("6.12.0", ROOT, true);
    fs::remove_file(root.path().join("proc/self/ns/pid")).unwrap();
    symlink("pid:[4026532201]", root.path().join("proc/self/ns/pid")).unwrap();

    let diagnosis = examine(&places, &mut |_| Ok(()));

    assert_eq!(found(&diagnosis, "pid namespace").mark, Mark::Note);
    assert!(diagnosis.is_whole());
}

#[test]
fn a_tree_without_any_file_is_a_diagnosis_and_not_a_failure() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let places =
        Places { proc: at("proc"), sys: at("sys"), docker: at("docker.sock"), binary: at("agent") };

    let diagnosis = examine(&places, &mut |_| Err("no".to_owned()));

    assert_eq!(diagnosis.exit_code(), 1);
    assert!(render(&diagnosis).contains("No source can be used"));
}

#[test]
fn a_docker_socket_that_answers_is_found() {
    let (root, places) = host("6.12.0", ROOT, true);
    let _listener =
        std::os::unix::net::UnixListener::bind(root.path().join("docker.sock")).unwrap();

    assert_eq!(found(&examine(&places, &mut |_| Ok(())), "Docker").mark, Mark::Good);
}

#[test]
fn the_text_fits_a_hundred_columns_and_the_json_is_json() {
    let (_root, mut places) = host("6.18.44", "0", true);
    places.binary = "/usr/local/bin/probelet-agent".into();

    let diagnosis = examine(&places, &mut refuse_programs);

    for line in render(&diagnosis).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let value: serde_json::Value = serde_json::from_str(&json(&diagnosis).unwrap()).unwrap();
    assert_eq!(value["whole"], false);
    assert_eq!(value["sources"][0]["source"], "bpf");
}

#[test]
fn a_chosen_source_that_sees_less_than_it_could_says_what_to_grant() {
    let (_root, places) = host("5.10.0-28-amd64", "0000000000200000", true);

    let diagnosis = examine(&places, &mut refuse_programs);

    assert_eq!(found(&diagnosis, "CAP_SYS_PTRACE").mark, Mark::Lost);
    assert!(!diagnosis.is_whole());
    let remedy = diagnosis.sources[2].remedy.as_deref().unwrap();
    assert!(remedy.contains("cap_sys_admin,cap_sys_ptrace,cap_dac_read_search+ep"), "{remedy}");
}
