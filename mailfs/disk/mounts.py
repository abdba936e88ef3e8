"""Which file systems paths are on, and which of them may make the caller wait."""

# Other machines may write there, or whatever serves a user's own.
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "coda", "glusterfs"}
NETWORK |= {"lustre", "ocfs2", "gfs2", "virtiofs", "fuse", "autofs"}


def filesystem(path: str) -> str:
    """Return the type of the file system that path is on, empty if it cannot be told.

    Source: /proc/self/mountinfo, proc(5).
    """
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
            rows = f.read().splitlines()
    except OSError:
        return ""
    for row in rows:
        left, _, right = row.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        if len(point) >= len(best) and _within(path, point):
            best, kind = point, right.split(" ")[0]
    return kind


def _within(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
