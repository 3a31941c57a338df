"""Who may use a file that takes the place of another: owner, group, mode, ACL and extended attributes.

A file is replaced by renaming a new one over it. So what the old file allowed has to be given to the new one first,
and what the old file forbade has to be refused here, as a rename needs only the right to write the folder.
"""

import errno
import os
import stat
from contextlib import suppress

_ACL = "system.posix_acl_access"
# What a system that has no such attribute, or does not let this user set it, answers.
_NOT_KEPT = {
    number
    for name in ("EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "ENODATA", "ENOATTR", "ENOENT")
    if (number := getattr(errno, name, None)) is not None
}


def check_writable(target: str) -> None:
    """Refuse to replace a file that the user may not write, as `open(target, "wb")` does.

    Raises:
        PermissionError: it is read-only, or another user's.
        OSError: it can't be written for another reason, such as a file system that is read-only.
    """
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        with suppress(FileNotFoundError):  # what is gone by now is no obstacle
            os.close(os.open(target, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)))  # raises what the system says


def inherit(descriptor: int, target: str, old: os.stat_result, mode: int | None = None) -> None:
    """Give a new file what the file has that it will replace: group, owner, mode, ACL and extended attributes.

    The owner is kept where the system lets this user give files away, and the group where the user belongs to it. A
    group that could not be kept must not get its rights: another group gets those that everybody has.

    Args:
        descriptor: the new file, which nobody else can use so far.
        target: the old file.
        old: its status.
        mode: permissions for the new file instead of the old ones; the ACL is not copied then.

    Raises:
        OSError: the file has an ACL and it can't be copied, or the system failed.
    """
    if not hasattr(os, "fchown"):
        return  # Windows: the new file has the rights that the folder gives to it
    new = os.fstat(descriptor)
    is_groups = new.st_gid == old.st_gid or _chown(descriptor, -1, old.st_gid)
    is_owners = new.st_uid == old.st_uid or _chown(descriptor, old.st_uid, -1)
    wanted = stat.S_IMODE(old.st_mode) if mode is None else mode
    if not is_owners:
        wanted &= ~stat.S_ISUID
    if not is_groups:
        wanted = wanted & ~(stat.S_ISGID | stat.S_IRWXG) | (wanted & stat.S_IRWXO) << 3 & wanted
    os.fchmod(descriptor, wanted)  # last: a change of the owner clears bits
    if hasattr(os, "listxattr"):
        _copy_attributes(descriptor, target, with_acl=mode is None and is_groups)


def _chown(descriptor: int, owner: int, group: int) -> bool:
    try:
        os.fchown(descriptor, owner, group)
    except OSError as exc:
        if exc.errno not in _NOT_KEPT:
            raise
        return False
    return True


def _copy_attributes(descriptor: int, target: str, with_acl: bool) -> None:
    try:
        names = os.listxattr(target)
    except OSError as exc:
        if exc.errno not in _NOT_KEPT:
            raise
        return
    for name in names:
        if name == _ACL and not with_acl:
            continue
        try:
            os.setxattr(descriptor, name, os.getxattr(target, name))
        except OSError as exc:
            # Without the ACL, its mask would become the rights of the group.
            if name == _ACL or exc.errno not in _NOT_KEPT:
                raise
