"""Runs a command as a unit of systemd would with these lists: no capabilities, no new privileges, and a filter of system calls.

usage: confined.py <allowed call,...> <address family,...> command [argument ...]

The filter is made by libseccomp, as systemd's own. A call that is not allowed fails with EPERM.
"""

import ctypes
import os
import socket
import sys

ALLOW = 0x7FFF0000
FAIL_WITH_EPERM = 0x00050000 | 1
EQUAL = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def confine(calls, families):
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("confined.py: no_new_privs was refused")
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(FAIL_WITH_EPERM))

    def allow(name, *comparisons):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        # Lists have calls of other machines and of other times.
        if number < 0:
            return
        array = (Comparison * len(comparisons))(*comparisons)
        code = lib.seccomp_rule_add_array(context, ALLOW, number, len(comparisons), array)
        if code != 0:
            sys.exit(f"confined.py: the rule for {name} was refused: {code}")

    for name in calls:
        if name != "socket":
            allow(name)
    for family in families:
        allow("socket", Comparison(0, EQUAL, getattr(socket, family), 0))
    code = lib.seccomp_load(context)
    if code != 0:
        sys.exit(f"confined.py: the filter was refused: {code}")


confine(sys.argv[1].split(","), sys.argv[2].split(","))
os.execv(sys.argv[3], sys.argv[3:])
