#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
"""`skete doctor` against the machine it runs on, and on machines that lack something.

usage: doctor_test.py SKETE

What is missing is made missing in a mount namespace of the test's own. Prints TAP.
"""
import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SKETE = os.path.abspath(sys.argv[1])
NAMES = ["kvm", "tun", "vhost-net", "vhost-vsock", "userfaultfd", "io_uring", "hugepages", "cgroup", "landlock",
         "memlock"]
SYS_USERFAULTFD, SYS_IO_URING_SETUP, SYS_LANDLOCK_CREATE_RULESET = 323, 425, 444
LIMIT = 60  # seconds; only a hang takes that long
LIBC = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    pass


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, text=True)
    return done.returncode, done.stdout, done.stderr


def doctor(*prefix):
    """(status, {name: finding}) of `skete doctor --json`."""
    status, out, err = run(*prefix, SKETE, "doctor", "--json")
    if err:
        raise AssertionError(f"a message: {err!r}")
    return status, json.loads(out)


def expect(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


def can_open(path):
    try:
        os.close(os.open(path, os.O_RDWR))
        return True
    except OSError:
        return False


def system_call(number, *args):
    """True if it succeeds; what it opens is closed."""
    result = LIBC.syscall(number, *args)
    if result >= 0:
        os.close(result)
    return result >= 0


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        return error.errno


def in_namespace(script):
    """A command prefix that runs what follows after @script, in a mount namespace of its own."""
    if not shutil.which("unshare"):
        raise Skip("unshare is not installed")
    prefix = ["unshare", "--mount", "--map-root-user", "--user", "sh", "-ec", script + '\nexec "$@"', "sh"]
    if os.geteuid() == 0:
        prefix = [word for word in prefix if word not in ("--map-root-user", "--user")]
    if run(*prefix, "true")[0]:
        raise Skip("a mount namespace cannot be made here")
    return prefix


def one_line_for_each():
    status, out, err = run(SKETE, "doctor")
    expect((status, err), (0 if can_open("/dev/kvm") else 1, ""), "status and messages")
    lines = [re.fullmatch(r"(ok|limited|missing) +([a-z_-]+) +(\S.*)", line) or
             re.fullmatch(r" +-> \S.*", line) for line in out.splitlines()]
    expect([line for line, match in zip(out.splitlines(), lines) if not match], [], "lines of no known form")
    expect([match[2] for match in lines if match.lastindex], NAMES, "names")
    expect([c for c in out if c != "\n" and not c.isprintable()], [], "control characters")


def json_says_the_same():
    text = run(SKETE, "doctor")[1]
    found = doctor()[1]
    expect(list(found), NAMES, "names")
    for name, finding in found.items():
        expect(bool(re.search(rf"^{finding['state']} +{name} ", text, re.M)), True, f"{name} in both forms")
        if "advice" in finding:
            expect(finding["advice"] in text, True, f"the advice about {name} in both forms")


def it_agrees_with_the_machine():
    found = doctor()[1]
    for name, path in (("tun", "/dev/net/tun"), ("vhost-net", "/dev/vhost-net"), ("vhost-vsock", "/dev/vhost-vsock")):
        expect(found[name]["state"], "ok" if can_open(path) else "missing", path)
    has_uffd = system_call(SYS_USERFAULTFD, os.O_CLOEXEC) or can_open("/dev/userfaultfd")
    expect(found["userfaultfd"]["state"], "ok" if has_uffd else "missing", "userfaultfd")
    has_ring = system_call(SYS_IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    expect(found["io_uring"]["state"], "ok" if has_ring else "limited", "io_uring")
    for words, kib in (("2 MiB", 2048), ("1 GiB", 1048576)):
        free = read(f"/sys/kernel/mm/hugepages/hugepages-{kib}kB/free_hugepages")
        free = free if isinstance(free, str) else "0"
        expect(re.search(rf"{words} pages: (\d+)", found["hugepages"]["text"])[1], free, f"free pages of {words}")
    is_v2 = subprocess.run(["stat", "-f", "-c", "%T", "/sys/fs/cgroup"], capture_output=True, check=False,
                           text=True).stdout == "cgroup2fs\n"
    expect(found["cgroup"]["state"], "ok" if is_v2 else "missing", "cgroup v2")
    abi = LIBC.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)
    if abi > 0:
        expect(found["landlock"]["text"], f"Landlock ABI {abi}", "Landlock")
    else:
        expect(found["landlock"]["state"], "missing", "Landlock")
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    words = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft // 1024} KiB"
    expect(words in found["memlock"]["text"], True, f"{words} in {found['memlock']['text']!r}")


def kvm_is_timed():
    if not can_open("/dev/kvm"):
        raise Skip("/dev/kvm is missing or not accessible")
    kvm = doctor()[1]["kvm"]
    ring0, ring3 = (float(v) for v in re.search(r"does ([\d.]+) million .* and ([\d.]+) in ring 3", kvm["text"]).groups())
    expect(kvm["kind"], "partial" if ring3 > 10 * ring0 else "complete", f"{ring0} in ring 0, {ring3} in ring 3")
    expect(kvm["state"], {"partial": "limited", "complete": "ok"}[kvm["kind"]], "the state")


def without_kvm_it_fails():
    status, found = doctor(*in_namespace("mount -t tmpfs none /dev"))
    expect((status, found["kvm"]["state"], found["kvm"]["kind"]), (1, "missing", "none"), "kvm")
    expect("enable nested virtualization" in found["kvm"]["text"], True, "advice")
    expect(found["tun"]["advice"], "load it: modprobe tun", "advice about tun")


def what_is_no_kvm_fails():
    if not os.path.exists("/dev/kvm"):
        raise Skip("there is no /dev/kvm to cover")
    status, found = doctor(*in_namespace("mount --bind /dev/null /dev/kvm"))
    expect((status, found["kvm"]["state"]), (1, "missing"), "kvm")
    expect("not a KVM device" in found["kvm"]["text"], True, found["kvm"]["text"])


def without_permission_it_names_the_group():
    if os.geteuid() or not shutil.which("setpriv"):
        raise Skip("only root can become somebody without permission")
    if not os.path.exists("/dev/kvm"):
        raise Skip("there is no /dev/kvm to forbid")
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        # The tree may be in a folder that nobody else may enter.
        shutil.copy(SKETE, folder + "/skete")
        hide = f"rm -f {folder}/kvm; mknod {folder}/kvm c 10 232; chown 0:7 {folder}/kvm; chmod 660 {folder}/kvm; " \
               f"mount --bind {folder}/kvm /dev/kvm"
        status, out, err = run(*in_namespace(hide), *as_nobody, folder + "/skete", "doctor", "--json")
    expect((status, err), (1, ""), "status and messages")
    text = json.loads(out)["kvm"]["text"]
    expect('it belongs to the group "lp"' in text and "usermod -aG lp" in text, True, text)


def a_limit_is_seen():
    text = doctor("sh", "-c", 'ulimit -l 64; exec "$@"', "sh")[1]["memlock"]["text"]
    expect(text, "64 KiB of memory can be locked", "memlock")


def a_full_standard_output_is_a_failure():
    for options in ((), ("--json",)):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([SKETE, "doctor", *options], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT, text=True)
        expect((done.returncode, done.stderr), (125, "skete: cannot write to standard output\n"), "status and message")


TESTS = [one_line_for_each, json_says_the_same, it_agrees_with_the_machine, kvm_is_timed, without_kvm_it_fails,
         what_is_no_kvm_fails, without_permission_it_names_the_group, a_limit_is_seen,
         a_full_standard_output_is_a_failure]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        name, reason = test.__name__, ""
        try:
            test()
        except Skip as skip:
            reason = f" # SKIP {skip}"
        except Exception as error:  # whatever it is, it is this test's failure
            failed += 1
            print(f"not ok {number} {name}\n# {type(error).__name__}: {error}", flush=True)
            continue
        print(f"ok {number} {name}{reason}", flush=True)
    return 1 if failed else 0


sys.exit(main())
