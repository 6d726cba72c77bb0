#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Linux on a network in user mode: DHCP, ping, DNS, downloads with their sums, IPv6, servers in the
# guest, iperf3 both ways.
#
#   NET_WHAT="user tap vhost"   also on a TAP device with several queues and with vhost-net: what
#                               ethtool says, queues of each CPU, jumbo frames, the driver reloaded,
#                               frames of noise from the outside
#   NET_WHAT="bridge apt"       two guests on a bridge; a package by apt-get and a proxy of the host
#   NET_TRANSPORTS="mmio pci"   over both transports
#   NET_MIB=1024                downloads of more than 16 MiB
#   NET_SECONDS=300             noise for longer than 3 s
set -euo pipefail
if [ "${NET_INSIDE:-}" != 1 ]; then
	# Interfaces, addresses and /etc/resolv.conf are those of a namespace.
	options=(--net --mount)
	[ "$(id -u)" -eq 0 ] || options+=(--map-root-user)
	exec env NET_INSIDE=1 unshare "${options[@]}" bash "$0"
fi
. tests/linux/lib.sh
PATH=$PATH:/usr/sbin:/sbin
mib=${NET_MIB:-16}
noise_seconds=${NET_SECONDS:-3}

need_tools iperf3 ethtool ip

# ---- The host's side ----

ip link set lo up
printf 'nameserver 127.0.0.1\n' >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
mkdir "$WORK/www"
dd if=/dev/urandom of="$WORK/www/file" bs=1M count="$mib" status=none
sum=$(sha256sum <"$WORK/www/file" | cut -d' ' -f1)
dd if=/dev/urandom of="$WORK/www/part" bs=1M count=4 status=none
part_sum=$(sha256sum <"$WORK/www/part" | cut -d' ' -f1)
helpers=()
busybox httpd -f -p 8080 -h "$WORK/www" &
helpers+=($!)
iperf3 -s >/dev/null 2>&1 &
helpers+=($!)
# A name server that knows one name.
python3 - <<'DNS' &
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
while True:
    q, peer = s.recvfrom(512)
    end = q.index(b"\0", 12) + 5
    is_a = q[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3" if is_a else b""
    s.sendto(q[:2] + b"\x81\x80\0\1\0" + bytes([is_a]) + b"\0\0\0\0" + q[12:end] + answer, peer)
DNS
helpers+=($!)

# ---- The guest's side ----

cat >"$WORK/dhcp" <<'DHCP'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "$router"
[ -z "$dns" ] || echo "nameserver $dns" >/etc/resolv.conf
DHCP
chmod +x "$WORK/dhcp"
cat >"$WORK/script" <<SCRIPT
dmesg -n 1
for module in virtio_mmio virtio_pci virtio_net; do modprobe \$module; done
ip link set lo up
ip link set eth0 up
$guest_shell
SCRIPT
# shellcheck disable=SC2046 # words
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" --file "$WORK/dhcp:/etc/dhcp" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_net" $(programs iperf3 ethtool)

# boot CPUS OPTION...
boot() {
	local cpus=$1
	shift
	guest_commands=0
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "${initrd:-$WORK/initrd}" --memory 512M \
		--cpus "$cpus" --no-reboot --cmdline "console=ttyS0 quiet" "$@"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
}

off() {
	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
}

# download URL [SUM]: in the guest
download() {
	guest_must 400 "wget -q -O - $1 | sha256sum"
	[ "${answer%% *}" = "${2:-$sum}" ] || problem "$1: the sum is '$answer'"
}

# A file of the guest, by its server.
serve() {
	guest_must 60 "mkdir -p /www; dd if=/dev/urandom of=/www/f bs=1M count=4 2>/dev/null; httpd -h /www; sha256sum /www/f"
	guest_sum=${answer%% *}
}

# fetch URL: from the guest
fetch() {
	local got
	got=$(timeout 120 busybox wget -q -O - "$1" | sha256sum) || true
	[ "${got%% *}" = "$guest_sum" ] || problem "$1: the sum is not $guest_sum"
}

# throughput ADDRESS: iperf3 both ways, some bytes at least.
throughput() {
	guest_must 120 "iperf3 -c $1 -t 2"
	echo "$answer" | grep -E 'sender|receiver' | sed 's/^/# out: /' || true
	guest_must 120 "iperf3 -c $1 -t 2 -R"
	echo "$answer" | grep -E 'sender|receiver' | sed 's/^/# in: /' || true
}

check_user() {
	local transport=$1
	boot 1 --transport "$transport" -p 8001:80 \
		--net user,host-loopback,mac=52:54:00:12:34:56,hostfwd=tcp:127.0.0.1:8000:80
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	guest_must 20 "ip addr show eth0"
	[[ $answer == *10.0.2.15/24* ]] || problem "its address is not 10.0.2.15: $answer"
	[[ $answer == *52:54:00:12:34:56* ]] || problem "its MAC is not the one given: $answer"
	[[ $answer == *"mtu 65520"* ]] || problem "its MTU is not 65520: $answer"
	guest_must 60 "ping -c 3 10.0.2.2"
	guest_must 60 "nslookup one.name 10.0.2.3"
	[[ $answer == *10.1.2.3* ]] || problem "the name server said: $answer"
	download http://10.0.2.2:8080/file
	verdict "$transport, user mode: DHCP, ping, DNS, $mib MiB"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		guest_do 20 "ip -6 addr show dev eth0 scope site | grep fec0" && break
		sleep 1
	done
	download "http://[fec0::2]:8080/part" "$part_sum"
	verdict "$transport, user mode: IPv6"
	serve
	fetch http://127.0.0.1:8000/f
	fetch http://127.0.0.1:8001/f
	verdict "$transport, user mode: servers in the guest"
	throughput 10.0.2.2
	verdict "$transport, user mode: iperf3"
	off
	verdict "$transport, user mode: the end"
}

# A TAP device of that name with an address for the host and DHCP for the guest.
make_tap() {
	ip tuntap add dev "$1" mode tap "${@:2}"
	ip link set "$1" mtu 9000 up
	ip addr add 10.9.0.1/24 dev "$1"
	ip addr add fd09::1/64 dev "$1" nodad
	printf 'start 10.9.0.20\nend 10.9.0.30\ninterface %s\nopt subnet 255.255.255.0\nlease_file %s\n' \
		"$1" "$WORK/leases" >"$WORK/udhcpd.conf"
	touch "$WORK/leases"
	busybox udhcpd -f "$WORK/udhcpd.conf" >/dev/null 2>&1 &
	dhcpd=$!
}

end_tap() {
	kill "$dhcpd" 2>/dev/null || true
	ip link del "$1"
}

# Frames of noise from the outside, some that begin well, for so many seconds.
send_noise() {
	python3 - "$1" "$2" <<'NOISE'
import os, random, socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
end = time.monotonic() + float(sys.argv[2])
random.seed(7)
kinds = [b"\x08\0", b"\x08\x06", b"\x86\xdd", b"\x81\0", b"\x88\xcc"]
sent = 0
while time.monotonic() < end:
    frame = bytearray(os.urandom(random.choice([14, 20, 60, 100, 600, 1500, 9000])))
    frame[0:6] = random.choice([b"\xff" * 6, b"\x52\x54\0\x12\x34\x57", b"\x33\x33\0\0\0\1"])
    frame[12:14] = random.choice(kinds)
    if len(frame) > 14:
        frame[14] = random.choice([0x45, 0x60, 0x4f, 0xff])
    try:
        s.send(frame)
        sent += 1
    except OSError:
        pass
print("# noise:", sent, "frames")
NOISE
}

# Whether each queue pair had its part in what the CPUs moved, each CPU a download of its own.
check_queues() {
	local transport=$1 queue used
	guest_must 20 "ethtool -l eth0"
	[ "$(grep -c 'Combined:.*4' <<<"$answer")" -eq 2 ] || problem "not 4 queues: $answer"
	guest_must 20 "ethtool -S eth0"
	local before=$answer
	guest_must 20 "grep virtio0-input /proc/interrupts || true"
	local interrupts=$answer
	guest_must 200 "for m in 1 2 4 8; do taskset \$m wget -q -O /dev/null http://10.9.0.1:8080/part & done; wait"
	guest_must 20 "ethtool -S eth0"
	for queue in 0 1 2 3; do
		used=
		for what in rx tx; do
			used+="$(($(counter "$answer" "$what" "$queue") - $(counter "$before" "$what" "$queue"))) "
		done
		echo "# queue $queue, packets received and sent: $used"
		[[ " $used" != *" 0 "* ]] || problem "queue $queue was not used: $used"
	done
	[ "$transport" = pci ] || return 0
	guest_must 20 "grep virtio0-input /proc/interrupts"
	for queue in 0 1 2 3; do
		used=$(($(interrupts_of "$answer" "$queue") - $(interrupts_of "$interrupts" "$queue")))
		echo "# queue $queue, interrupts: $used"
		[ "$used" -gt 0 ] || problem "queue $queue has not interrupted"
	done
}

# counter TEXT rx|tx QUEUE: packets in what ethtool -S said.
counter() {
	sed -n "s/.*$2_queue_$3_packets: *//p" <<<"$1"
}

# interrupts_of TEXT QUEUE: of all CPUs, in lines of /proc/interrupts.
interrupts_of() {
	awk -v name="virtio0-input.$2" '$NF == name { for (i = 2; i <= 5; i++) sum += $i } END { print sum + 0 }' <<<"$1"
}

# on_tap TRANSPORT TITLE OPTION: 4 queues on 4 CPUs.
on_tap() {
	local transport=$1 title="$1, $2" option=$3
	make_tap tap0 multi_queue
	boot 4 --transport "$transport" --net "tap=tap0,queues=4,mac=52:54:00:12:34:57$option"
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	[[ $answer == *"10.9.0."* ]] || problem "no address of ours: $answer"
	guest_must 20 "ip addr add fd09::2/64 dev eth0; ip addr show eth0"
	[[ $answer == *"mtu 9000"* ]] || problem "its MTU is not 9000: $answer"
	guest_must 60 "ping -c 3 10.9.0.1"
	guest_must 60 "ping -c 3 -s 8900 10.9.0.1"
	download http://10.9.0.1:8080/file
	verdict "$title: DHCP, ping, jumbo frames, $mib MiB"
	sleep 2
	guest_must 60 "ping6 -c 3 fd09::1"
	download "http://[fd09::1]:8080/part" "$part_sum"
	serve
	fetch "http://[fd09::2]/f"
	verdict "$title: IPv6, a server in the guest"
	guest_must 20 "ethtool -k eth0"
	for feature in tx-checksumming tcp-segmentation-offload rx-checksumming; do
		[[ $answer == *"$feature: on"* ]] || problem "$feature is off"
	done
	# A change of the MAC and of what is received goes through the control queue.
	guest_must 20 "ethtool -K eth0 rx-gro-hw off; ethtool -K eth0 rx-gro-hw on; ip link set eth0 promisc on; ip link set eth0 promisc off"
	guest_must 20 "ethtool -L eth0 combined 4"
	verdict "$title: offloads"
	check_queues "$transport"
	verdict "$title: 4 queues used by 4 CPUs"
	throughput 10.9.0.1
	guest_must 120 "iperf3 -c 10.9.0.1 -t 2 -P 4"
	verdict "$title: iperf3"
	guest_must 60 "ip link set eth0 down; rmmod virtio_net; modprobe virtio_net; ip link set eth0 up"
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	download http://10.9.0.1:8080/part "$part_sum"
	verdict "$title: the driver reloaded"
	send_noise tap0 "$noise_seconds"
	guest_must 60 "ping -c 3 10.9.0.1"
	download http://10.9.0.1:8080/part "$part_sum"
	verdict "$title: noise"
	off
	verdict "$title: the end"
	end_tap tap0
}

check_tap() {
	on_tap "$1" TAP ""
}

check_vhost() {
	if [ ! -e /dev/vhost-net ]; then
		skipped "$1, vhost-net" "there is no /dev/vhost-net"
		return
	fi
	on_tap "$1" vhost-net ,vhost
}

# Two guests on a bridge that the host has no address on: one does as it is told, the other one serves
# and, told to, fetches.
check_bridge() {
	local transport=$1 vhost='' peer
	[ ! -e /dev/vhost-net ] || vhost=,vhost
	ip link add br0 type bridge
	ip link set br0 up
	for tap in tap2 tap3; do
		ip tuntap add dev "$tap" mode tap
		ip link set "$tap" master br0 up
	done
	cat >"$WORK/peer-script" <<'PEER'
dmesg -n 1
for module in virtio_mmio virtio_pci virtio_net; do modprobe $module; done
ip link set lo up
ip addr add 10.8.0.3/24 dev eth0
ip link set eth0 up
mkdir -p /www
dd if=/dev/urandom of=/www/f bs=1M count=4 2>/dev/null
httpd -h /www
iperf3 -s >/dev/null 2>&1 &
echo "seen: serves $(sha256sum </www/f)"
nc -l -p 99
echo "seen: fetched $(wget -q -O - http://10.8.0.2/f | sha256sum)"
PEER
	# shellcheck disable=SC2046 # words
	tests/lab/make-initrd "$WORK/peer-initrd" --script "$WORK/peer-script" \
		--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_net" $(programs iperf3)
	"$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/peer-initrd" --memory 256M --no-reboot \
		--transport "$transport" --net tap=tap3,mac=52:54:00:12:34:03 --cmdline "console=ttyS0 quiet" \
		>"$WORK/peer" 2>&1 </dev/null &
	peer=$!
	boot 1 --transport "$transport" --net "tap=tap2,mac=52:54:00:12:34:02$vhost"
	guest_must 20 "ip addr add 10.8.0.2/24 dev eth0"
	for _ in {1..120}; do
		grep -q '^seen: serves' "$WORK/peer" && break
		sleep 1
	done
	guest_must 60 "ping -c 3 10.8.0.3"
	guest_must 20 "ip neigh show dev eth0"
	[[ $answer == *"10.8.0.3 "*52:54:00:12:34:03* ]] || problem "its neighbours: $answer"
	guest_must 120 "wget -q -O - http://10.8.0.3/f | sha256sum"
	grep -q "^seen: serves ${answer%% *}" "$WORK/peer" || problem "not the sum of the other: $answer"
	[ "$(bridge fdb show br br0 | grep -c '52:54:00:12:34:0[23] .*master')" -ge 2 ] ||
		problem "the bridge knows: $(bridge fdb show br br0)"
	throughput 10.8.0.3
	serve
	guest_must 20 "echo go | nc 10.8.0.3 99"
	wait "$peer" || problem "the other monitor's status is $?"
	grep -q "^seen: fetched $guest_sum" "$WORK/peer" || problem "the other said: $(cat "$WORK/peer")"
	off
	verdict "$transport, a bridge: two guests talk to each other${vhost:+, one by vhost-net}"
	ip link del tap2
	ip link del tap3
	ip link del br0
}

# What a folder of packages needs to be a repository, and apt to use it by a proxy of the host.
make_repository() {
	local package=$WORK/package deb=skete-noise_1.0_all.deb
	mkdir -p "$WORK/repository" "$package/DEBIAN"
	dd if=/dev/urandom of="$package/noise" bs=1M count=4 status=none
	printf '%s\n' 'Package: skete-noise' 'Version: 1.0' 'Architecture: all' 'Description: noise' \
		'Maintainer: Nobody <nobody@skete.invalid>' >"$package/DEBIAN/control"
	dpkg-deb --build --root-owner-group -Znone "$package" "$WORK/repository/$deb" >/dev/null
	{
		cat "$package/DEBIAN/control"
		echo "Filename: ./$deb"
		echo "Size: $(stat -c %s "$WORK/repository/$deb")"
		echo "SHA256: $(sha256sum <"$WORK/repository/$deb" | cut -d' ' -f1)"
	} | gzip >"$WORK/repository/Packages.gz"
	echo 'deb [trusted=yes] http://packages.skete.invalid ./' >"$WORK/sources.list"
	cat >"$WORK/apt.conf" <<'APT'
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::http::Proxy "http://10.0.2.2:3128";
APT
	python3 - "$WORK/repository" >"$WORK/proxied" 2>/dev/null <<'PROXY' &
import http.server, sys

class Proxy(http.server.SimpleHTTPRequestHandler):
    site = "http://packages.skete.invalid"

    def do_GET(self):
        if not self.path.startswith(self.site + "/"):
            self.send_error(403)
            return
        print(self.path, flush=True)
        self.path = self.path[len(self.site):]
        super().do_GET()

server = lambda *args: Proxy(*args, directory=sys.argv[1])
http.server.ThreadingHTTPServer(("127.0.0.1", 3128), server).serve_forever()
PROXY
	helpers+=($!)
}

check_apt() {
	local transport=$1 method file files=()
	command -v apt-get dpkg-deb >/dev/null || {
		skipped "$transport, apt-get" "there is no apt here"
		return
	}
	[ -d "$WORK/repository" ] || make_repository
	for method in http store copy gpgv; do
		file=/usr/lib/apt/methods/$method
		files+=(--file "$file:$file")
		while read -r library; do
			files+=(--file "$library:$library")
		done < <(ldd "$file" | grep -o '/[^ ]*')
	done
	for file in /usr/share/dpkg/cputable /usr/share/dpkg/tupletable; do
		files+=(--file "$file:$file")
	done
	for file in sources.list apt.conf; do
		files+=(--file "$WORK/$file:/etc/apt/$file")
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$WORK/passwd"
	# shellcheck disable=SC2046 # words
	tests/lab/make-initrd "$WORK/apt-initrd" --script "$WORK/script" "${files[@]}" \
		--file "$WORK/passwd:/etc/passwd" --file "$WORK/dhcp:/etc/dhcp" \
		--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_net" $(programs apt-get)
	initrd=$WORK/apt-initrd boot 1 --transport "$transport" --net user,host-loopback
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	guest_must 20 "mkdir -p /etc/apt/apt.conf.d /etc/apt/preferences.d /var/lib/apt/lists/partial /var/lib/dpkg /var/cache/apt/archives/partial; : >/var/lib/dpkg/status"
	guest_must 120 "apt-get -q update"
	guest_must 120 "cd /tmp; apt-get -q download skete-noise"
	guest_must 20 "sha256sum /tmp/skete-noise_1.0_all.deb"
	[ "${answer%% *}" = "$(sha256sum <"$WORK/repository/skete-noise_1.0_all.deb" | cut -d' ' -f1)" ] ||
		problem "the sum of the package is $answer"
	grep -q 'http://packages.skete.invalid/.*skete-noise_1.0_all.deb$' "$WORK/proxied" ||
		problem "the proxy saw: $(cat "$WORK/proxied")"
	off
	verdict "$transport, user mode: apt-get download by a proxy of the host"
}

for transport in ${NET_TRANSPORTS:-mmio}; do
	for what in ${NET_WHAT:-user}; do
		"check_$what" "$transport"
	done
done
kill "${helpers[@]}"
done_testing
