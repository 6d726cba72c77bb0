#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
"""`skete run` as its user sees it: exit statuses, messages, pipes, signals, the terminal.

usage: run_test.py SKETE ACTOR MULTIBOOT32 MULTIBOOT64 [OPTION...]

The guests are those of tests/vm; the options are given to every `skete run`. Prints TAP.
"""
import json
import os
import pty
import random
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time

SKETE, ACTOR, *MULTIBOOT = map(os.path.abspath, sys.argv[1:5])
RUN = ["run", *sys.argv[5:]]
LIMIT = 60  # seconds; only a hang takes that long


def skete(*args, stdin=b"", env=None):
    done = subprocess.run([SKETE, *args], input=stdin, capture_output=True, timeout=LIMIT, env=env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def guest(script, *args, **kw):
    image = () if ACTOR in args else (ACTOR,)
    return skete(*RUN, "--memory", "4M", "--cmdline", script, *args, *image, **kw)


def expect(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


def expect_in(words, text):
    if words not in text:
        raise AssertionError(f"{text!r} does not say {words!r}")


def expect_one_sentence(err):
    lines = err.strip().split("\n")
    if len(lines) != 1 or not lines[0].startswith("skete: "):
        raise AssertionError(f"not one sentence of skete's: {err!r}")


def exit_statuses():
    expect(guest("PX"), (42, "PX\n", ""), "exact status")
    expect(guest("O")[0], 0, "power off")
    expect(guest("D")[0], 0x21, "debug exit")
    expect(guest("R", "--no-reboot")[0], 0, "reset with --no-reboot")


def crash_report_comes_once():
    status, out, err = guest("PT")
    expect((status, out), (134, "PT\n"), "triple fault")
    expect(err.count("triple fault"), 1, "number of reports")
    expect_in("rip", err)
    expect_in("0f 0b", err)


def refuse(status, words, *args):
    got, out, err = skete(*RUN, *args)
    expect((got, out), (status, ""), " ".join(args))
    expect_one_sentence(err)
    for word in words:
        expect_in(word, err)


def bad_input_gets_one_sentence():
    refuse(127, ["/nonexistent/kernel", "No such file"], "/nonexistent/kernel")
    refuse(126, ["/tmp", "directory"], "/tmp")
    refuse(126, ["/etc/passwd"], "/etc/passwd")
    refuse(125, ["cpus"], "--cpus", "0", ACTOR)
    refuse(125, ["memory"], "--memory", "12X", ACTOR)
    refuse(125, ["MiB of memory", "this host has"], "--memory", "60T", ACTOR)
    refuse(125, ["--memory"], "--memroy", "1M", ACTOR)
    refuse(125, ["/nonexistent/initrd"], "--initrd", "/nonexistent/initrd", ACTOR)
    refuse(125, ["kernel"])
    refuse(125, ["/nonexistent/dir/log"], "--serial", "/nonexistent/dir/log", ACTOR)


def bad_disks_get_one_sentence():
    with tempfile.TemporaryDirectory() as folder:
        raw, qcow2 = f"{folder}/raw", f"{folder}/qcow2"
        with open(raw, "wb") as file:
            file.truncate(1 << 20)
        with open(qcow2, "wb") as file:
            file.write(b"QFI\xfb\0\0\0\x09" + bytes(4096))
        refuse(125, [f"cannot open the disk {folder}/none"], "--disk", f"path={folder}/none", ACTOR)
        refuse(125, ["is a directory"], "--disk", f"path={folder}", ACTOR)
        refuse(125, ["add format=qcow2, or format=raw"], "--disk", f"path={qcow2}", ACTOR)
        refuse(125, ["version 9 of qcow2"], "--disk", f"path={qcow2},format=qcow2", ACTOR)
        refuse(125, ["is no qcow2 image"], "--disk", f"path={raw},format=qcow2", ACTOR)
        refuse(125, ["is in use"], "--disk", f"path={raw}", "--disk", f"path={raw}", ACTOR)
        refuse(125, ["the path is missing"], "--disk", "ro", ACTOR)
        refuse(125, ["the most is 64"], "--disk", f"path={raw},queues=65", ACTOR)


def impossible_networks_get_one_sentence():
    refuse(125, ["no TAP device nowhere0", "ip tuntap add"], "--net", "tap=nowhere0", ACTOR)
    refuse(125, ["lo is not a TAP device"], "--net", "tap=lo", ACTOR)
    refuse(125, ["either user or tap=x"], "--net", "user,tap=x", ACTOR)
    refuse(125, ["--net user or --net tap=NAME"], "--net", "mtu=1500", ACTOR)
    refuse(125, ["vhost is for tap only"], "--net", "user,vhost", ACTOR)
    refuse(125, ["hostfwd is for user only"], "--net", "tap=x,hostfwd=tcp::1:2", ACTOR)
    refuse(125, ["mac=52:54"], "--net", "user,mac=52:54", ACTOR)
    refuse(125, ["MAC of a group"], "--net", "user,mac=53:54:00:00:00:01", ACTOR)
    refuse(125, ["1280 to 65520"], "--net", "user,mtu=100", ACTOR)
    refuse(125, ["1 to 65535"], "-p", "80000:1", ACTOR)
    refuse(125, ["only tcp and udp"], "-p", "80:80/sctp", ACTOR)
    refuse(125, ["not an IPv4 address"], "-p", "here:80:80", ACTOR)
    refuse(125, ["UDP port", "loopback"], "-p", "8053:53/udp", ACTOR)
    refuse(125, ["/nonexistent/rng", "random numbers"], "--rng", "path=/nonexistent/rng", ACTOR)
    refuse(125, ["/tmp gives no random numbers"], "--rng", "path=/tmp", ACTOR)
    refuse(125, ["/nonexistent/hvc0", "console"], "--console", "/nonexistent/hvc0", ACTOR)
    refuse(125, ["do not go together"], "--console", "stdio", "--serial", "pty", ACTOR)
    refuse(125, ["--vsock", "cid"], "--vsock", "path=/tmp/x,cid=2", ACTOR)
    refuse(125, ["/nonexistent/s"], "--vsock", "path=/nonexistent/s", ACTOR)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refuse(125, [f"TCP port {port}", "in use"], "-p", f"{port}:80", ACTOR)


def damaged_images_are_refused():
    with open(ACTOR, "rb") as file:
        image = file.read()
    with tempfile.NamedTemporaryFile() as damaged:
        for length in (0, 3, 40, 60, 90):
            damaged.truncate(0)
            damaged.seek(0)
            damaged.write(image[:length])
            damaged.flush()
            refuse(126, [damaged.name], damaged.name)


def input_from_a_pipe_arrives():
    status, out, _ = guest("EEPX", stdin=b"first\nsecond\n")
    expect((status, out), (42, "first\nsecond\nEEPX\n"), "echo")
    big = b"x" * 20000 + b"\n"
    expect(guest("EX", stdin=big), (42, big.decode(), ""), "long line")


def serial_goes_where_it_is_told():
    with tempfile.TemporaryDirectory() as folder:
        log = folder + "/log"
        expect(guest("PX", "--serial", log), (42, "", ""), "serial to a file")
        with open(log) as file:
            expect(file.read(), "PX\n", "the file")
    expect(guest("PX", "--serial", "none"), (42, "", ""), "no serial port")
    expect(guest("PX", "--console", "stdio", "--rng"), (42, "PX\n", ""), "beside a virtio console")


def serial_on_a_pty():
    process = subprocess.Popen([SKETE, *RUN, "--memory", "4M", "--serial", "pty", "--cmdline", "ES",
                                ACTOR], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    RUNNING.append(process)
    path = re.search(r"/dev/pts/\d+", process.stderr.readline())[0]
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"through the pty\n")
    text = b""
    while not text.endswith(b"\n"):  # the guest stays: its end would hang up the terminal
        text += os.read(fd, 100)
    expect(text, b"through the pty\n", "the pty")
    process.send_signal(signal.SIGTERM)
    expect(process.wait(LIMIT), 128 + signal.SIGTERM, "status")
    process.stderr.close()
    os.close(fd)


def late_reader_of_a_pty():
    process = subprocess.Popen([SKETE, *RUN, "--memory", "4M", "--serial", "pty", "--cmdline", "EPX",
                                ACTOR], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    RUNNING.append(process)
    path = re.search(r"/dev/pts/\d+", process.stderr.readline())[0]
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"line\n")
    time.sleep(0.2)  # by now the guest has ended
    text = b""
    try:
        while part := os.read(fd, 100):
            text += part
    except OSError:
        pass  # hung up
    expect(text, b"line\nEPX\n", "the pty")
    expect(process.wait(LIMIT), 42, "status")
    process.stderr.close()
    os.close(fd)
    # Nobody has it open: nothing is waited for, and nothing fails.
    expect(guest("PX", "--serial", "pty")[:2], (42, ""), "a pty that nobody reads")


RUNNING = []  # whatever a test that fails leaves behind is ended after it


def start(script, *args, **kw):
    RUNNING.append(subprocess.Popen([SKETE, *RUN, "--memory", "4M", "--cmdline", script, *args, ACTOR],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, bufsize=0, **kw))
    return RUNNING[-1]


def read_exactly(process, count):
    """Unbuffered: what follows is for finish()."""
    text = b""
    while len(text) < count:
        part = process.stdout.read(count - len(text))
        if not part:
            break
        text += part
    return text


def finish(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def signals_end_the_machine():
    for name, number in (("TERM", 15), ("INT", 2), ("HUP", 1)):
        process = start("PS")
        expect(read_exactly(process, 3), b"PS\n", "output")
        process.send_signal(number)
        expect(finish(process)[0], 128 + number, "SIG" + name)


def pause_and_resume_by_signal():
    process = start("PWPWPWPWX")
    first = read_exactly(process, 1)  # its signals are in order once it runs
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    process.send_signal(signal.SIGUSR2)
    status, out, _ = finish(process)
    expect((status, first + out), (42, b"PWPWPWPWX\n" * 4), "after a pause")


def slow_reader_loses_nothing():
    process = start("FFPX")
    time.sleep(0.5)
    status, out, _ = finish(process)
    expect((status, len(out), out[-5:]), (42, 2 * 65536 + 5, b"FFPX\n"), "flood")


TERMINALS = []


class Terminal:
    """A job in the foreground of a new pseudo-terminal, whose session belongs to a shell of ours:
    when the job dies, the terminal lives on, as a user's does."""

    def __init__(self, script, env=None, cwd="."):
        news, self.news = os.pipe()[::-1]
        done, self.done = os.pipe()
        shell, self.fd = pty.fork()
        if shell == 0:
            os.close(self.done)
            self.be_shell([SKETE, *RUN, "--memory", "4M", "--cmdline", script, ACTOR], env, cwd,
                          news, done)
        os.close(news)
        os.close(done)
        self.shell = shell
        self.pid = int(os.read(self.news, 20))
        TERMINALS.append(self)
        self.text = b""
        self.is_closed = False

    @staticmethod
    def be_shell(command, env, cwd, news, done):
        def become_job():
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)

        job = subprocess.Popen(command, env=env, cwd=cwd, preexec_fn=become_job)
        os.write(news, b"%d" % job.pid)
        os.write(news, b"%4d" % job.wait())
        os.read(done, 1)
        os._exit(0)

    def wait(self):
        """The status of the job: negative if a signal ended it."""
        return int(os.read(self.news, 4))

    def close(self):
        self.is_closed = True
        for fd in (self.done, self.news, self.fd):
            os.close(fd)
        os.waitpid(self.shell, 0)

    def is_raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def read_until(self, words):
        end = time.time() + LIMIT
        while words not in self.text:
            if not select.select([self.fd], [], [], max(0, end - time.time()))[0]:
                raise AssertionError(f"{words!r} does not come: {self.text!r}")
            self.text += os.read(self.fd, 4096)

    def wait_cooked(self):
        end = time.time() + LIMIT
        while self.is_raw():
            if time.time() > end:
                raise AssertionError("the terminal stays raw")
            time.sleep(0.01)


def terminal_is_raw_only_while_the_guest_runs():
    t = Terminal("PEX")
    t.read_until(b"PEX\n")
    expect(t.is_raw(), True, "raw mode")
    os.write(t.fd, b"\x03a\x01\x01b\n")  # Ctrl-C and a doubled Ctrl-A go to the guest
    t.read_until(b"\x03a\x01b\n")
    expect(t.wait(), 42, "status")
    expect(t.is_raw(), False, "raw mode afterwards")
    t.close()


def ctrl_a_keys():
    t = Terminal("PS")
    t.read_until(b"PS\n")
    os.write(t.fd, b"\x01h")
    t.read_until(b"Ctrl-A x")
    os.write(t.fd, b"\x01x")
    expect(t.wait(), 0, "status after Ctrl-A x")
    expect(t.is_raw(), False, "raw mode afterwards")
    t.close()


def descendants(mark):
    """The processes that have @mark in their environment, whoever their parent is by now."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if mark in file.read():
                    found.append(entry)
        except OSError:
            pass  # not a process, or gone
    return found


def killed_at_any_moment_it_leaves_nothing():
    mark = f"SKETE_TEST_MARK={os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TMPDIR": folder, "SKETE_TEST_MARK": str(os.getpid())}
        for i in range(50):
            t = Terminal("PS", env=env, cwd=folder)
            if i % 2:
                t.read_until(b"PS\n")
            time.sleep(random.random() * 0.01)
            os.kill(t.pid, signal.SIGKILL)
            expect(t.wait(), -9, "status")
            t.wait_cooked()
            t.close()
        end = time.time() + LIMIT
        while descendants(mark.encode()):
            if time.time() > end:
                raise AssertionError("a process is left")
            time.sleep(0.01)
        expect(os.listdir(folder), [], "files left behind")


def no_permission_names_the_group():
    if os.geteuid() != 0:
        return "this test has to be root to become nobody"
    def become_nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    if os.stat("/dev/kvm").st_mode & 0o006:
        return "everybody may use /dev/kvm here"
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for file in (SKETE, ACTOR):
            subprocess.check_call(["cp", file, folder])
        program, image = (f"{folder}/{os.path.basename(f)}" for f in (SKETE, ACTOR))
        done = subprocess.run([program, *RUN, image], capture_output=True, timeout=LIMIT,
                              stdin=subprocess.DEVNULL, preexec_fn=become_nobody, text=True)
    expect(done.returncode, 125, "status")
    expect_one_sentence(done.stderr)
    expect_in("/dev/kvm", done.stderr)
    expect_in("group", done.stderr)


def multiboot_kernels_boot():
    with tempfile.NamedTemporaryFile("w") as module:
        module.write("the content")
        module.flush()
        for image in MULTIBOOT:
            status, out, err = skete(*RUN, "--memory", "16M", "--initrd", module.name,
                                     "--cmdline", "a line", image)
            expect((status, err), (42, ""), image)
            lines = dict(line.split(" ", 1) for line in out.strip().split("\n"))
            expect_in("kete", lines["loader"])
            expect_in("a line", lines["line"])
            expect(lines["module"].split("=")[1], "the content", "module")
            expect_in(os.path.basename(module.name), lines["module"])
            ram_kib = int(lines["ram"], 16)
            # 16 MiB less the legacy hole from 639 KiB to 1 MiB.
            expect(16384 - 385 - 4 <= ram_kib <= 16384 - 384, True, f"{ram_kib} KiB of RAM")


def configuration_round_trip():
    status, out, _ = skete(*RUN, "--memory", "4M", "--cmdline", "PX", "--dry-run", ACTOR)
    expect(status, 0, "dry run")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(out)
        file.flush()
        expect(skete(*RUN, "--config", file.name), (42, "PX\n", ""), "run from its own dry run")


def arguments_follow_on_the_command_line():
    line = 'PX -- --verbose "two words" ""\n'
    expect(guest("PX", ACTOR, "--", "--verbose", "two words", "")[1], line, "command line")
    expect(skete(*RUN, "--memory", "4M", ACTOR, "--", "PX")[:2], (42, "-- PX\n"), "no --cmdline")
    refuse(125, ["double quote"], ACTOR, "--", 'a"b')


def the_end_as_json():
    status, _, err = guest("PX", "--json")
    report = json.loads(err.strip().split("\n")[-1])
    expect((status, report["end"], report["guest_status"], report["exit_status"]),
           (42, "exited", 42, 42), "report")
    expect(report["pio_exits"] > 3 and report["set_up_ms"] > 0, True, "figures")


def a_file_that_may_not_grow_is_an_error():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([SKETE, *RUN, "--memory", "4M", "--cmdline", "FS", "--serial", folder + "/log",
                                    ACTOR], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limit)
        RUNNING.append(process)
        _, err = process.communicate(timeout=LIMIT)
        expect(process.returncode, 125, "status")
        expect_one_sentence(err.decode())
        expect_in("File too large", err.decode())
        expect(os.path.getsize(folder + "/log"), 5000, "bytes in the file")


def no_signal_may_be_queued():
    def limit():
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))

    process = start("PS", preexec_fn=limit)
    expect(read_exactly(process, 3), b"PS\n", "output")
    process.send_signal(signal.SIGTERM)
    expect(finish(process)[0], 128 + signal.SIGTERM, "status")


def closed_standard_output_is_no_hang():
    process = start("FFFFS")
    process.stdout.close()
    expect(process.wait(LIMIT) != 0, True, "status")
    process.stderr.close()


TESTS = [
    exit_statuses, crash_report_comes_once, bad_input_gets_one_sentence,
    bad_disks_get_one_sentence,
    impossible_networks_get_one_sentence,
    damaged_images_are_refused, input_from_a_pipe_arrives, serial_goes_where_it_is_told,
    serial_on_a_pty, late_reader_of_a_pty, signals_end_the_machine, pause_and_resume_by_signal,
    slow_reader_loses_nothing, terminal_is_raw_only_while_the_guest_runs, ctrl_a_keys,
    killed_at_any_moment_it_leaves_nothing, no_permission_names_the_group,
    multiboot_kernels_boot, configuration_round_trip,
    arguments_follow_on_the_command_line, the_end_as_json, closed_standard_output_is_no_hang,
    a_file_that_may_not_grow_is_an_error, no_signal_may_be_queued,
]


def end_leftovers():
    while RUNNING:
        RUNNING.pop().kill()
    while TERMINALS:
        terminal = TERMINALS.pop()
        if not terminal.is_closed:
            os.kill(terminal.pid, signal.SIGKILL)
            terminal.close()


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("1..0 # SKIP /dev/kvm is missing or not accessible")
        return 0
    # What nohup or a shell's `&` ignores, skete would ignore, too.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        name = test.__name__
        try:
            reason = test()
        except Exception as error:  # whatever it is, it is this test's failure
            failed += 1
            print(f"not ok {number} {name}\n# {type(error).__name__}: {error}", flush=True)
        else:
            print(f"ok {number} {name}" + (f" # SKIP {reason}" if reason else ""), flush=True)
        end_leftovers()
    return 1 if failed else 0


sys.exit(main())
