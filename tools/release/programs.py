"""The programs of a release: which there are, how they are built, and whether a file is one for the architecture it is said to be for.

In: the tree, an architecture, a profile of cargo. Out: stripped static programs and the tools that made them. Paths of this machine
are taken out (--remap-path-prefix and its like for C), so that two checkouts in different folders give the same bytes. It must not
write anywhere but below target/release-build and the folder that it is given.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import struct
import subprocess


class Refused(Exception):
    """Why nothing is released: shown to a person, and the end."""


@dataclasses.dataclass(frozen=True)
class Program:
    """What is released of one program. `user` is that of its image; without one there is no image."""
    name: str
    licences: str
    user: str = ""


# The agent reads other users' processes and is root with named capabilities; its BPF programs are under licences of their own.
PROGRAMS = (
    Program("probelet-agent", "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)", "0:0"),
    Program("probelet-operator", "Apache-2.0", "65532:65532"),
    Program("kubectl-probelet", "Apache-2.0"),
)
TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
MACHINES = {62: "amd64", 183: "arm64"}
# Of programs that were built elsewhere nothing is known.
UNKNOWN = {"rustc": "rustc unknown", "cc": "unknown", "glibc": "unknown"}
HERE = pathlib.Path(__file__).resolve().parent
# Variables that would change what is compiled, and by what: who builds may have them set for other work. Where cargo finds its
# home, its registries and its number of jobs is left as it is.
STEERS = re.compile(
    r"(RUSTC|RUSTC_.*|RUSTFLAGS|RUSTUP_TOOLCHAIN|CARGO_(BUILD|ENCODED|PROFILE|TARGET|UNSTABLE)_(?!JOBS$).*|(.+_)?(CC|CXX|AR|RANLIB)(_.*)?"
    r"|(.+_)?(C|CXX|AR|CPP|LD)FLAGS(_.*)?|CRATE_CC_NO_DEFAULTS|C_INCLUDE_PATH|CPATH|LIBRARY_PATH|GCC_EXEC_PREFIX|COMPILER_PATH|JEMALLOC_.*"
    r"|SOURCE_DATE_EPOCH)")


def surroundings():
    """The variables of the person who builds, without those that steer compilers."""
    return {name: value for name, value in os.environ.items() if not STEERS.fullmatch(name)}


def run(*command, **more):
    """The output of a command; its own words when it fails."""
    more.setdefault("env", surroundings())
    try:
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **more)
    except FileNotFoundError as why:
        raise Refused(f"no {why.filename}: scripts/setup release") from why
    if done.returncode:
        raise Refused(f"{' '.join(map(str, command[:3]))} failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def examine(path, arch):
    """Refuses what is not a static program for this architecture: in an image with nothing else it could not start."""
    head = pathlib.Path(path).read_bytes()
    if head[:6] != b"\x7fELF\x02\x01":
        raise Refused(f"{path} is not a program for 64-bit Linux")
    machine = MACHINES.get(struct.unpack_from("<H", head, 18)[0], "another machine")
    if machine != arch:
        raise Refused(f"{path} is for {machine}, not for {arch}")
    offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    if any(struct.unpack_from("<I", head, offset + n * size)[0] == 3 for n in range(count)):
        raise Refused(f"{path} is not static: it needs a dynamic loader, which an image with nothing else has not")


@dataclasses.dataclass
class Toolchain:
    """What compiles for one architecture: variables for cargo, the program that strips, and what of it goes into a provenance."""
    variables: dict
    strip: str
    versions: dict


def toolchain(root, arch):
    """The pinned toolchain, where it has this architecture's standard library; else Debian's, which `cross` unpacks."""
    triple = TRIPLES[arch]
    pinned = run("rustc", "--print", "target-libdir", "--target", triple, cwd=root).strip()
    native = run("rustc", "-vV", cwd=root).split("host: ")[1].split()[0] == triple
    variables, versions, prefix = {}, {}, ""
    if not native:
        prefix = "aarch64-linux-gnu-" if arch == "arm64" else "x86_64-linux-gnu-"
        if not (os.path.isdir(pinned) and shutil.which(prefix + "gcc")):
            tools = root / "target/cross"
            run(HERE / "cross", tools, arch)
            variables["PATH"] = f"{tools}/bin:{os.environ['PATH']}"
            variables["RUSTC"] = str(tools / "bin/rustc")
            versions["packages"] = (tools / "packages").read_text().split("\n")[:-1]
        under = triple.replace("-", "_")
        variables |= {f"CC_{under}": prefix + "gcc", f"AR_{under}": prefix + "ar",
                      f"CARGO_TARGET_{under.upper()}_LINKER": prefix + "gcc"}
    if arch == "arm64":
        # Pages of 64 KiB are usual on arm64, and jemalloc ends at once where they are larger than it was built for.
        variables["JEMALLOC_SYS_WITH_LG_PAGE"] = "16"
    path = {"env": surroundings() | {"PATH": variables.get("PATH", os.environ["PATH"])}, "cwd": root}
    versions["rustc"] = run(variables.get("RUSTC", "rustc"), "--version", **path).strip()
    versions["cc"] = run(prefix + "gcc", "--version", **path).split("\n")[0]
    asked = "#include <features.h>\n__GLIBC__.__GLIBC_MINOR__\n"
    versions["glibc"] = run(prefix + "gcc", "-E", "-P", "-x", "c", "-", input=asked, **path).split("\n")[-2].replace(" ", "")
    strip = shutil.which(prefix + "strip", path=path["env"]["PATH"])
    if not strip:
        raise Refused(f"no {prefix}strip: install binutils")
    return Toolchain(variables, strip, versions)


def flags(root, rustc):
    """What .cargo/config.toml says for both architectures, which a variable replaces, and no path of this machine."""
    cargo_home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    sysroot = run(rustc, "--print", "sysroot", cwd=root).strip()
    # The last one that fits wins: the folder of the checkout may be below the home of cargo, or the other way round.
    maps = {cargo_home: "/cargo", sysroot: "/rust", str(root): "/probelet"}
    sources = pathlib.Path(cargo_home, "registry/src")
    # One folder for each registry or mirror of it: its name is no matter of the programs.
    maps |= {str(folder): "/crates" for folder in (sources.iterdir() if sources.is_dir() else ())}
    # No build id: the linker makes it from what strip takes away as well, where folders of this machine have left their mark.
    rust = ["-Ctarget-feature=+crt-static", "-Cforce-frame-pointers=yes", "-Clink-arg=-Wl,--build-id=none"]
    return rust + [f"--remap-path-prefix={old}={new}" for old, new in maps.items()], \
        " ".join(f"-ffile-prefix-map={old}={new}" for old, new in maps.items())


def packed(arch, glibc):
    """amd64's programs can be loaded anywhere and relocate themselves when they start. As a list of bits, what they read for that is some
    kB and not 0.5 to 0.65 MiB on the disk and in memory. glibc reads it from 2.36 on; arm64's programs have their fixed place."""
    able = arch == "amd64" and tuple(int(part) for part in glibc.split(".") if part.isdigit()) >= (2, 36)
    return ["-Clink-arg=-Wl,-z,pack-relative-relocs"] if able else []


def environment(root, arch, tools):
    """In what cargo runs: the compilers, and flags by which the same source gives the same bytes in whatever folder."""
    rust, c = flags(root, tools.variables.get("RUSTC", "rustc"))
    rust += packed(arch, tools.versions["glibc"])
    return surroundings() | tools.variables | {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(rust), f"CFLAGS_{TRIPLES[arch].replace('-', '_')}": c, "CARGO_TERM_COLOR": "never",
        "CARGO_INCREMENTAL": "0", "TZ": "UTC", "LC_ALL": "C",
    }


def compile_all(root, arch, profile, into, wanted=PROGRAMS):
    """Builds and strips the programs of one architecture into a folder. Returns {name: path} and what built them."""
    root, triple = pathlib.Path(root), TRIPLES[arch]
    tools = toolchain(root, arch)
    # Before the paths are asked for: a registry's sources have a folder of their own.
    run("cargo", "fetch", "--locked", cwd=root)
    env = environment(root, arch, tools)
    target = root / "target/release-build"
    names = [program.name for program in wanted]
    # One call for the three: what they share is compiled once. The list of what is in them is asked for in the same way.
    command = ["cargo", "build", "--locked", "--target", triple, "--target-dir", target, "--profile", profile]
    done = subprocess.run([*command, *(word for name in names for word in ("-p", name))], cwd=root, env=env)
    if done.returncode:
        raise Refused(f"the programs for {arch} cannot be built: cargo says why above")
    folder = {"dev": "debug"}.get(profile, profile)
    return take(target / triple / folder, arch, tools.strip, into, wanted), tools.versions


def take(folder, arch, strip, into, wanted=PROGRAMS):
    """Strips the programs of a folder into another one (or copies them), and refuses those that are not what they should be."""
    found = {}
    into = pathlib.Path(into)
    into.mkdir(parents=True, exist_ok=True)
    for program in wanted:
        source = pathlib.Path(folder) / program.name
        if not source.is_file():
            raise Refused(f"no {source}")
        examine(source, arch)
        found[program.name] = into / program.name
        if strip:
            run(strip, "-o", found[program.name], source)
        else:
            shutil.copyfile(source, found[program.name])
    return found
