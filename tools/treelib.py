# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
"""What the Python tools share: the tree, a build of it, and what Meson knows about that build."""

import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = os.path.basename(sys.argv[0])


def say(text):
    print(f"{NAME}: {text}", flush=True)


def die(text):
    print(f"{NAME}: {text}", file=sys.stderr)
    sys.exit(1)


def run(command, **kwargs):
    """Runs a command and returns what it printed; its status is the caller's to judge."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False, **kwargs)
    except FileNotFoundError:
        die(f"{command[0]} is missing; type: tools/install-packages build test")


def build_in(folder, *options, cc=None, configure_only=False):
    """A build of its own below build/, as build_in of lib.sh makes it; returns its path."""
    command = 'set -euo pipefail; . tools/lib.sh; build_in "$@"'
    env = dict(os.environ)
    if cc:
        env["CC"] = cc
    if configure_only:
        env["CONFIGURE_ONLY"] = "1"
    done = run(["bash", "-c", command, os.path.join(TOP, "tools", NAME), folder, *options],
               cwd=TOP, env=env)
    if done.returncode:
        die(done.stdout.strip())
    return os.path.join(TOP, folder)


def targets(build):
    """Meson's targets, each with `folder`: where it is declared, relative to the tree."""
    done = subprocess.run(["meson", "introspect", build, "--targets"], stdout=subprocess.PIPE,
                          text=True, check=True)
    found = json.loads(done.stdout)
    for target in found:
        target["folder"] = os.path.relpath(os.path.dirname(target["defined_in"]), TOP)
    return found


def flags(target):
    """The compiler flags of a target's C sources (empty if it has none)."""
    for group in target["target_sources"]:
        if group.get("language") == "c":
            return group["parameters"]
    return []


def public_headers():
    """{"skete/base.h": "bricks/base/include", ...}: what the bricks offer to others."""
    found = {}
    for folder, _, files in os.walk(os.path.join(TOP, "bricks")):
        place, mark, rest = (os.path.relpath(folder, TOP) + "/").partition("/include/")
        for name in files:
            if mark and name.endswith(".h"):
                found[rest + name] = place + "/include"
    return found


def brick_libraries(build):
    """{"bricks/base": target, ...}: the static library of each brick that has a public header."""
    libraries = {}
    for target in targets(build):
        is_helper = target["name"].startswith("skete-test-")  # what the tests of several bricks share
        if target["type"] == "static library" and target["folder"].startswith("bricks/") and not is_helper:
            if target["folder"] in libraries:
                die(f"{target['folder']} has two libraries; one brick, one library")
            libraries[target["folder"]] = target
    for header, place in public_headers().items():
        brick = os.path.dirname(place)
        if brick not in libraries:
            die(f"{brick} has a public header ({header}) but its meson.build declares no library")
    if not libraries:
        die("the build has no bricks: is this the tree?")
    return libraries


def compiles(text, command, build, extra=()):
    """Whether the compiler accepts @text with the flags @command; and what it said."""
    compiler = os.environ.get("CC", "gcc")
    done = run([compiler, *command, *extra, "-fsyntax-only", "-x", "c", "-"], input=text, cwd=build)
    return done.returncode == 0, done.stdout


def tree_files(pattern):
    """Tree files whose path matches the regular expression, builds and .git left out."""
    found = []
    for folder, folders, files in os.walk(TOP):
        if folder == TOP:
            folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), TOP)
            if re.search(pattern, path):
                found.append(path)
    return sorted(found)
