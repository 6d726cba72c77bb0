#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Streams between Linux and the host (AF_VSOCK): both ways, many at once, a large one with its sum,
# ends and clients that stand still in the middle. VSOCK_MIB=1024 moves more than 8 MiB
# each way, VSOCK_TRANSPORTS="mmio pci" does it over both transports.
set -euo pipefail
. tests/linux/lib.sh
mib=${VSOCK_MIB:-8}
seconds=$((300 + mib)) # each way, for a slow lab

command -v socat >/dev/null || {
	echo "1..0 # SKIP socat is missing; type: tools/install-packages run"
	exit 77
}
cat >"$WORK/script" <<SCRIPT
dmesg -n 1
for module in virtio_mmio virtio_pci vmw_vsock_virtio_transport; do modprobe \$module; done
$guest_shell
SCRIPT
# shellcheck disable=SC2046 # words
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,vmw_vsock_virtio_transport" $(programs socat)
dd if=/dev/urandom of="$WORK/file" bs=1M count="$mib" status=none
sum=$(sha256sum <"$WORK/file" | cut -d' ' -f1)

# host MODE...: the host's programs.
host() {
	timeout $((2 * seconds)) python3 - "$WORK/v" "$@" <<'HOST'
import hashlib, os, socket, sys, threading

path, mode, *rest = sys.argv[1:]


def connect(port):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(b"CONNECT %d\n" % port)
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            sys.exit(f"no answer but {line!r}")
        line += byte
    if not line.startswith(b"OK "):
        sys.exit(f"the answer is {line!r}")
    return s


def echo(s, data):
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=send)
    t.start()
    got = bytearray()
    while chunk := s.recv(65536):
        got += chunk
    t.join()
    if bytes(got) != data:
        sys.exit(f"{len(got)} bytes came back instead of {len(data)}, or others")


if mode == "echo":
    echo(connect(1000), os.urandom(int(rest[0])))
elif mode == "many":
    streams = [connect(1000) for _ in range(int(rest[0]))]
    data = [b"stream %d " % i * 100 for i in range(len(streams))]
    for s, d in zip(streams, data):
        s.sendall(d)
    for s, d in zip(streams, data):
        s.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
        if got != d:
            sys.exit(f"{got[:40]!r} instead of {d[:40]!r}")
elif mode == "kill":
    s = connect(1000)
    s.sendall(os.urandom(100000))
    s.close()
elif mode == "stall":
    # Clients that read nothing, that say nothing, that stop in the middle of the greeting.
    held = [connect(1001) for _ in range(4)]
    for text in [b"", b"CONNECT 10"] * 4:
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.sendall(text)
        held.append(s)
    echo(connect(1000), os.urandom(50000))
elif mode == "serve":
    # Sends a file at port 2000, and says the sum of what it gets at port 2001.
    servers = []
    for port in (2000, 2001):
        s = socket.socket(socket.AF_UNIX)
        s.bind(f"{path}_{port}")
        s.listen()
        servers.append(s)
    print("ready", flush=True)
    peer, _ = servers[0].accept()
    with open(rest[0], "rb") as f:
        peer.sendfile(f)
    peer.close()
    peer, _ = servers[1].accept()
    digest = hashlib.sha256()
    while chunk := peer.recv(65536):
        digest.update(chunk)
    print(digest.hexdigest())
HOST
}

# host_must MODE...: a problem if it fails.
host_must() {
	local said
	said=$(host "$@" 2>&1) || problem "$*: $said"
}

check_transport() {
	local transport=$1 got
	rm -f "$WORK"/v_*
	guest_commands=0
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 \
		--no-reboot --transport "$transport" --vsock "cid=5,path=$WORK/v" \
		--cmdline "console=ttyS0 quiet"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
	# Not PIPE: socat would write to a pipe that only it reads, and wait for itself.
	guest_must 60 "socat VSOCK-LISTEN:1000,fork,backlog=128 EXEC:cat & socat VSOCK-LISTEN:1001,fork EXEC:yes & sleep 2"
	host_must echo 1000000
	verdict "$transport: from the host, 1 MB and back"

	host serve "$WORK/file" >"$WORK/served" 2>&1 &
	server=$!
	for _ in {1..100}; do
		grep -q ready "$WORK/served" && break
		sleep 0.1
	done
	guest_must "$seconds" "socat -b 65536 -u VSOCK-CONNECT:2:2000 - | sha256sum"
	[ "${answer%% *}" = "$sum" ] || problem "to the guest: the sum is '$answer'"
	# The guest's memory would not hold it: a block of random bytes, each time with its number in front.
	guest_must 20 "dd if=/dev/urandom of=/tmp/block bs=1M count=1 2>/dev/null"
	guest_must "$seconds" "make() { for i in \$(seq $mib); do echo \$i; cat /tmp/block; done; }; make | socat -b 65536 -u - VSOCK-CONNECT:2:2001; make | sha256sum"
	wait "$server" || problem "the server says: $(cat "$WORK/served")"
	got=$(tail -n 1 "$WORK/served")
	[ "${answer%% *}" = "$got" ] || problem "from the guest: the sum is '$got', not '$answer'"
	guest_do 20 "socat -u VSOCK-CONNECT:2:2999 -" && problem "somebody answers at port 2999"
	verdict "$transport: from the guest, $mib MiB each way"

	host_must many 100
	verdict "$transport: 100 streams at once"

	host_must kill
	host_must kill
	host_must stall
	host_must echo 100000
	verdict "$transport: killed and stalled clients"

	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	[ ! -e "$WORK/v" ] || problem "the socket is still there"
	verdict "$transport: the end"
}

for transport in ${VSOCK_TRANSPORTS:-pci}; do
	check_transport "$transport"
done
done_testing
