"""Archives whose bytes depend on nothing but what is in them.

In: names, contents and modes. Out: tar files, gzipped ones, and their digests. Times are SOURCE_DATE_EPOCH's, owners are 0, the
order is that of names, and modes are given by the caller: no umask, clock, folder or user shows in them. It must not read a
clock or write anything that the caller did not name.
"""
import dataclasses
import gzip
import hashlib
import io
import pathlib
import tarfile


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: where it stands in the archive, what is in it, who may do what with it."""
    name: str
    data: bytes
    mode: int = 0o644


def read(path, name, mode=0o644):
    return Entry(name, pathlib.Path(path).read_bytes(), mode)


def tar(entries, epoch):
    """The bytes of a tar, with an entry for each folder that a name goes through. Two entries of one name are a mistake."""
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError(f"two entries of one name in {sorted(names)}")
    folders = {str(parent) for name in names for parent in pathlib.PurePosixPath(name).parents} - {"."}
    out = io.BytesIO()
    # USTAR: the same bytes from every version of Python, and refused rather than cut where a name does not fit.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(folders | set(names)):
            info = tarfile.TarInfo(name)
            info.mtime = epoch
            if name in folders:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            entry = entries[names.index(name)]
            info.size, info.mode = len(entry.data), entry.mode
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def gz(data):
    """As `gzip -n -9`: no name, no time."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def digest(data):
    return "sha256:" + sha256(data)


def sums(folder, names):
    """What `sha256sum` prints of these files, in the order of their names."""
    return "".join(f"{sha256((pathlib.Path(folder) / name).read_bytes())}  {name}\n" for name in sorted(names))
