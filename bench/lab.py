# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
"""What the measurements in the lab share: a lab machine for each turn, which may fail once."""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def environment(**more):
    """For scripts in the lab: the monitor, the kernel and the modules of the guests."""
    env = dict(os.environ, SKETE=f"{TOP}/build/bin/skete", **more)
    for name, args in (("LINUX_ELF", ["--elf"]), ("LINUX_DIR", ["--dir"])):
        env[name] = subprocess.check_output([f"{TOP}/tests/lab/fetch-kernel", *args], text=True).strip()
    return env


def _once(script, env, seconds):
    """Its lines, which are shown as they come, or None."""
    lines = []
    with subprocess.Popen([f"{TOP}/tests/lab/with-kvm", "-m", "4096", "-t", str(seconds), "--", f"{TOP}/{script}"],
                          env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=TOP) as machine:
        for line in machine.stdout:
            lines.append(line.rstrip())
            print(lines[-1], file=sys.stderr, flush=True)
    return lines if machine.returncode == 0 else None


def run(script, env, seconds, what):
    """The lines of @script in a lab machine that has @seconds; once more if the lab fails."""
    lines = _once(script, env, seconds)
    if lines is None:
        print(f"{what}: the lab failed, once more", flush=True)
        lines = _once(script, env, seconds)
    if lines is None:
        sys.exit(f"{script}: {what}: the lab failed twice")
    return lines
