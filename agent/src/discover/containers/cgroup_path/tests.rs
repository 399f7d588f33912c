//! Texts as runtimes and drivers of cgroups leave them.

use super::*;
use probelet_core::facts::Runtime;

const ID: &str = "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";
const OTHER: &str = "aa1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3dff";
const UID: &str = "8dbc6577-d0e2-4706-8787-57d52c03ddf2";
const UID_: &str = "8dbc6577_d0e2_4706_8787_57d52c03ddf2";
const STATIC: &str = "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1";

/// Replaces the capital words by the constants above.
fn text(template: &str) -> String {
    template
        .replace("OTHER", OTHER)
        .replace("STATIC", STATIC)
        .replace("UID_", UID_)
        .replace("UID", UID)
        .replace("{ID}", ID)
}

fn of(template: &str) -> Option<Container> {
    container(&text(template), &Node::default())
}

fn assert_is(template: &str, runtime: Runtime, pod: Option<&str>) {
    let found = of(template).unwrap_or_else(|| panic!("{template}"));
    assert_eq!(found.id, ID, "{template}");
    assert_eq!(found.runtime, runtime, "{template}");
    assert_eq!(found.pod_uid.as_deref(), pod, "{template}");
    assert!(found.cgroup.trim_end_matches(".scope").ends_with(ID), "{template}");
}

#[test]
fn kubernetes_with_the_systemd_driver_and_cgroup_v2() {
    for (prefix, runtime) in [
        ("cri-containerd", Runtime::Containerd),
        ("crio", Runtime::CriO),
        ("docker", Runtime::Docker),
    ] {
        for class in ["-burstable", "-besteffort", ""] {
            let slice =
                if class.is_empty() { String::new() } else { format!("/kubepods{class}.slice") };
            let line = format!(
                "0::/kubepods.slice{slice}/kubepods{class}-podUID_.slice/{prefix}-{{ID}}.scope\n"
            );
            assert_is(&line, runtime, Some(UID));
        }
    }
}

#[test]
fn kubernetes_with_the_cgroupfs_driver_and_cgroup_v2() {
    assert_is("0::/kubepods/burstable/podUID/{ID}\n", Runtime::Unknown, Some(UID));
    assert_is("0::/kubepods/besteffort/podUID/{ID}\n", Runtime::Unknown, Some(UID));
    assert_is("0::/kubepods/podUID/{ID}\n", Runtime::Unknown, Some(UID));
    assert_is("0::/kubepods/burstable/podUID/crio-{ID}\n", Runtime::CriO, Some(UID));
}

#[test]
fn kubernetes_with_cgroup_v1_has_one_line_per_hierarchy() {
    assert_is(
        "12:hugetlb:/kubepods/burstable/podUID/{ID}\n11:cpu,cpuacct:/kubepods/burstable/podUID/{ID}\n1:name=systemd:/kubepods/burstable/podUID/{ID}\n",
        Runtime::Unknown,
        Some(UID),
    );
    assert_is(
        "4:memory:/kubepods.slice/kubepods-podUID_.slice/docker-{ID}.scope\n1:name=systemd:/kubepods.slice/kubepods-podUID_.slice/docker-{ID}.scope\n0::/\n",
        Runtime::Docker,
        Some(UID),
    );
    assert_is(
        "3:pids:/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:{ID}\n",
        Runtime::Containerd,
        Some(UID),
    );
}

#[test]
fn a_hybrid_host_prefers_the_v2_line_only_if_it_names_a_container() {
    assert_is("4:memory:/docker/{ID}\n0::/docker/{ID}\n", Runtime::Docker, None);
    assert_is(
        "4:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/docker.service\n",
        Runtime::Docker,
        None,
    );
    assert_is("9:blkio:/docker/{ID}\n4:memory:/\n0::/\n", Runtime::Docker, None);
}

#[test]
fn plain_docker_podman_and_nerdctl() {
    assert_is("0::/system.slice/docker-{ID}.scope\n", Runtime::Docker, None);
    assert_is("4:memory:/docker/{ID}\n", Runtime::Docker, None);
    assert_is("0::/system.slice/nerdctl-{ID}.scope\n", Runtime::Containerd, None);
    assert_is("0::/libpod_parent/libpod-{ID}\n", Runtime::Podman, None);
    assert_is("0::/default/{ID}\n", Runtime::Unknown, None);
    let rootless = text(
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
    );
    let found = container(&rootless, &Node::default()).unwrap();
    assert_eq!((found.id.as_str(), found.runtime), (ID, Runtime::Podman));
    assert!(found.cgroup.ends_with(&text("/libpod-{ID}.scope")), "{}", found.cgroup);
}

#[test]
fn the_helpers_of_a_runtime_are_not_the_container() {
    for line in [
        "0::/machine.slice/libpod-conmon-{ID}.scope\n",
        "0::/kubepods.slice/kubepods-podUID_.slice/crio-conmon-{ID}.scope\n",
        "0::/libpod_parent/conmon\n",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}

#[test]
fn a_pod_of_podman_is_not_a_container_around_those_in_it() {
    let inside = of("0::/libpod_parent/OTHER/libpod-{ID}\n").unwrap();

    assert_eq!((&*inside.id, inside.runtime), (ID, Runtime::Podman));
    assert_eq!((inside.outer, inside.foreign), (0, false));
    assert_eq!(of("0::/libpod_parent/OTHER/conmon\n"), None);
}

#[test]
fn a_path_seen_from_inside_a_cgroup_namespace_climbs_first() {
    assert_is("0::/../../podUID/{ID}\n", Runtime::Unknown, Some(UID));
    assert_is(
        "0::/../../../kubepods-burstable-podUID_.slice/cri-containerd-{ID}.scope\n",
        Runtime::Containerd,
        Some(UID),
    );
    assert_is("0::/../cri-containerd-{ID}.scope\n", Runtime::Containerd, None);
}

#[test]
fn a_container_in_a_plain_one_is_the_inner_one_with_its_own_pod() {
    assert_is(
        "0::/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podUID_.slice/cri-containerd-{ID}.scope\n",
        Runtime::Containerd,
        Some(UID),
    );
    assert_is(
        "0::/system.slice/docker-OTHER.scope/kubelet/kubepods/burstable/podUID/{ID}\n",
        Runtime::Unknown,
        Some(UID),
    );
    assert_is("0::/docker/OTHER/docker/{ID}/init.scope\n", Runtime::Docker, None);
}

#[test]
fn whatever_runs_in_a_pod_is_the_pods_and_its_outermost_containers() {
    const POD: &str =
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice";
    for inside in [
        "docker/OTHER",
        "docker/buildkit/qm1e1kznv4e1qnq0wq5z8h2vp",
        "kubelet/kubepods/burstable/pod11111111-2222-3333-4444-555555555555/OTHER",
        "system.slice/docker-OTHER.scope/init.scope",
        "lxc.payload.web/init.scope",
        "init.scope/system.slice/app.service",
    ] {
        let line = format!("{POD}/cri-containerd-{{ID}}.scope/{inside}\n");
        assert_is(&line, Runtime::Containerd, Some(UID));
    }
    assert_is("0::/kubepods/podUID/{ID}/docker/OTHER\n", Runtime::Unknown, Some(UID));
    assert_is("0::/kubepods/podUID/docker/{ID}\n", Runtime::Docker, Some(UID));
}

#[test]
fn a_node_in_a_pod_of_another_cluster_knows_its_own_pods() {
    let outer = "0::/kubepods/pod11111111-2222-3333-4444-555555555555/OTHER";
    let own = text(&format!("{outer}/kubelet/kubepods/podSTATIC/{}\n", "b".repeat(64)));
    let node = Node::of(&own);
    let line = text(&format!("{outer}/kubelet/kubepods/burstable/podUID/{{ID}}/docker/OTHER\n"));

    let inner = container(&line, &node).unwrap();
    let from_outside = container(&line, &Node::default()).unwrap();

    assert_eq!((&*inner.id, inner.pod_uid.as_deref()), (ID, Some(UID)));
    assert!(inner.cgroup.starts_with("/kubepods/pod1111") && inner.cgroup.ends_with(ID));
    assert!(!inner.foreign && inner.outer == 0);
    assert_eq!(from_outside.id, OTHER);
}

#[test]
fn kata_and_unknown_runtimes_leave_their_processes_to_the_pod() {
    for (line, runtime) in [
        ("0::/kubepods/burstable/podUID/kata_{ID}\n", Runtime::Kata),
        ("4:memory:/kubepods.slice/kubepods-podUID_.slice/kata_{ID}\n0::/\n", Runtime::Kata),
        ("0::/kubepods.slice/kubepods-podUID_.slice:cri-containerd:{ID}\n", Runtime::Containerd),
    ] {
        assert_is(line, runtime, Some(UID));
    }
    let overhead = of("0::/kata_overhead/{ID}\n").unwrap();
    assert_eq!((&*overhead.id, overhead.runtime, overhead.pod_uid), (ID, Runtime::Kata, None));
    let unknown = of("0::/kubepods.slice/kubepods-podUID_.slice/youki-web.scope/a\n").unwrap();
    assert_eq!((&*unknown.id, unknown.pod_uid.as_deref()), ("youki-web", Some(UID)));
    assert!(unknown.cgroup.ends_with("/youki-web.scope"));
    // Anyone who may make cgroups in a pod may give them such names.
    for odd in ["odd name", ".scope", ".scope/a"] {
        assert_eq!(of(&format!("0::/kubepods/podUID/{odd}\n")), None, "{odd}");
    }
}

#[test]
fn a_removed_cgroup_still_names_its_container() {
    let slice = "/kubepods.slice/kubepods-podUID_.slice/cri-containerd-{ID}.scope (deleted)";
    assert_is(&format!("0::{slice}\n"), Runtime::Containerd, Some(UID));
    assert_is(&format!("4:memory:{slice}\n0::/\n"), Runtime::Containerd, Some(UID));
    assert_is("0::/system.slice/docker-{ID}.scope (deleted)\n", Runtime::Docker, None);
}

#[test]
fn a_cgroup_that_anybody_may_make_is_no_pod_of_this_node() {
    let foreign = |line: &str| of(line).unwrap().foreign;
    let session = "user.slice/user-1000.slice/user@1000.service";

    assert!(foreign(&format!("0::/{session}/cri-containerd-{{ID}}.scope\n")));
    assert!(foreign(&format!("0::/{session}/kubepods/podUID/{{ID}}\n")));
    assert!(foreign("0::/docker/OTHER/kubepods/podUID/{ID}\n"));
    assert!(foreign("0::/docker/OTHER/docker/{ID}\n"));
    assert!(!foreign("0::/kubepods/podUID/{ID}\n"));
    assert!(!foreign("0::/k8s.io/{ID}\n"));
    let rootless = Node::of(&text(&format!("0::/{session}/kubepods/podSTATIC/OTHER\n")));
    let line = text(&format!("0::/{session}/kubepods/podUID/{{ID}}\n"));
    assert!(!container(&line, &rootless).unwrap().foreign);
    let by_hand = Node::of(&format!("0::/{session}/session-3.scope\n"));
    assert!(container(&line, &by_hand).unwrap().foreign, "an agent that someone started");
}

#[test]
fn a_nested_container_knows_where_the_outer_one_ends() {
    let inner = of("0::/docker/OTHER/docker/{ID}\n").unwrap();

    assert_eq!(&inner.cgroup[..inner.outer as usize], format!("/docker/{OTHER}"));
}

#[test]
fn a_process_in_a_pods_own_cgroup_is_that_pods() {
    // gVisor's sentry is there: the host's it is not, as only the kubelet writes a pod's uid.
    for (line, cgroup) in [
        ("0::/kubepods/burstable/podUID\n", "/kubepods/burstable/podUID"),
        ("0::/kubepods/podUID (deleted)\n", "/kubepods/podUID"),
        ("0::/../../podUID\n", "/../../podUID"),
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice\n",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice",
        ),
        (
            "4:memory:/kubepods/podUID\n1:name=systemd:/system.slice/containerd.service\n0::/\n",
            "/kubepods/podUID",
        ),
    ] {
        let found = of(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((&*found.id, found.pod_uid.as_deref()), (UID, Some(UID)), "{line}");
        assert_eq!((found.cgroup, found.foreign, found.outer), (text(cgroup), false, 0));
    }
    let fixed = of("0::/kubepods/burstable/podSTATIC\n").unwrap();
    assert_eq!((&*fixed.id, fixed.pod_uid.as_deref()), (STATIC, Some(STATIC)));
}

#[test]
fn a_pods_own_cgroup_in_a_container_or_a_session_is_no_pod_of_this_node() {
    let in_kind =
        "0::/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice\n";
    let kind = of(in_kind).unwrap();
    assert_eq!((kind.pod_uid.as_deref(), kind.foreign), (Some(UID), true));
    assert_eq!(&kind.cgroup[..kind.outer as usize], format!("/docker/{OTHER}"));
    assert!(of("0::/user.slice/user-1000.slice/kubepods/podUID\n").unwrap().foreign);

    let outer = "0::/kubepods/pod11111111-2222-3333-4444-555555555555/OTHER";
    let node = Node::of(&text(&format!("{outer}/kubelet/kubepods/podSTATIC/{{ID}}\n")));
    let own = container(&text(&format!("{outer}/kubelet/kubepods/podUID\n")), &node).unwrap();
    assert_eq!((&*own.id, own.foreign, own.outer), (UID, false, 0));
}

#[test]
fn what_a_hierarchy_shows_below_a_pod_is_stronger_than_the_pod() {
    let pod = "/kubepods.slice/kubepods-podUID_.slice";
    // systemd puts a scope without a controller of its own into the slice above it.
    let conmon = format!("4:memory:{pod}\n1:name=systemd:{pod}/crio-conmon-{{ID}}.scope\n");
    assert_eq!(of(&conmon), None);
    assert_is(
        &format!("4:memory:{pod}\n3:pids:{pod}/crio-{{ID}}.scope\n0::{pod}\n"),
        Runtime::CriO,
        Some(UID),
    );
    let in_kind = "4:memory:/docker/OTHER/kubelet/kubepods/podUID\n1:name=systemd:/docker/OTHER\n";
    assert_eq!(of(in_kind).unwrap().id, UID);
}

#[test]
fn a_static_pod_has_a_uid_without_dashes() {
    assert_is("0::/kubepods/burstable/podSTATIC/{ID}\n", Runtime::Unknown, Some(STATIC));
}

#[test]
fn a_host_process_is_in_no_container() {
    for line in [
        "0::/\n",
        "0::/init.scope\n",
        "0::/system.slice/docker.service\n",
        "0::/user.slice/user-0.slice/session-3.scope\n",
        "0::/kubepods.slice/kubepods-burstable.slice\n",
        "0::/kubelet.slice/kubelet.service\n",
        "4:memory:/process_api/bb38962aa0446d2f923290c4923b3207\n0::/\n",
        "",
        "nonsense",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}
