"""What the tests of a release stand on: a checkout in a folder of its own, and lines that begin with PASS or FAIL.

In: the tree under test, as its files are now. Out: a repository with one commit of them, the same in whatever folder. It must not
change the tree under test.
"""
import os
import pathlib
import shutil
import subprocess
import sys


class Say:
    """`say(good, what, details)` prints a line; `say.failed` is whether any was bad."""
    failed = False

    def __call__(self, good, check, detail=""):
        self.failed |= not good
        print(f"{'PASS' if good else 'FAIL'}: {check}{'' if good else f': {detail}'}", flush=True)
        return good


say = Say()


class Checkout:
    """A copy of the tracked and new files of a tree, committed."""

    def __init__(self, source, root):
        self.root, self.dist = root, root / "dist"
        listed = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=source, text=True)
        for name in filter(None, listed.split("\0")):
            if (source / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, root / name, follow_symlinks=False)
        self.git("init", "--quiet", "--initial-branch=main")
        # What a test leaves in its checkout is not a change of it.
        (root / ".git/info/exclude").write_text("/dist\n/made\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "all")
        lines = (root / "Cargo.toml").read_text().split("\n")
        self.version = next(line for line in lines if line.startswith("version = ")).split('"')[1]

    def git(self, *words):
        # The same commit each time, and no hooks or settings of who runs this.
        env = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@test",
                            "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@test", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
                            "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
        return subprocess.run(["git", *words], cwd=self.root, env=env, check=True, text=True, capture_output=True).stdout

    def run(self, *words, umask=-1, path=None, **env):
        return subprocess.run([str(word) for word in words], cwd=self.root, text=True, capture_output=True, umask=umask,
                              env=os.environ | {"PATH": path or os.environ["PATH"]} | env)

    def build(self, *words, **more):
        return self.run(sys.executable, "tools/release/build", *words, **more)

    def tools(self, *names):
        """A PATH on which only these are"""
        folder = self.root.parent / "few-tools"
        folder.mkdir(exist_ok=True)
        for name in names:
            if not (folder / name).exists():
                # Python itself: what is called so may be a script that looks for others.
                found = sys.executable if name == "python3" else shutil.which(name)
                (folder / name).symlink_to(pathlib.Path(found).resolve())
        return str(folder)
