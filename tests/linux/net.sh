#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Linux on a network in user mode: DHCP, ping, DNS, downloads with their sums, IPv6, servers in the
# guest, iperf3 both ways.
#
#   NET_WHAT="user tap vhost"   also on a TAP device with several queues and with vhost-net: what
#                               ethtool says, jumbo frames, frames of noise from the outside
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

for program in iperf3 ethtool ip; do
	command -v "$program" >/dev/null || {
		echo "1..0 # SKIP $program is missing; type: tools/install-packages run"
		exit 77
	}
done

# ---- The host's side ----

ip link set lo up
printf 'nameserver 127.0.0.1\n' >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
mkdir "$WORK/www"
dd if=/dev/urandom of="$WORK/www/file" bs=1M count="$mib" status=none
sum=$(sha256sum <"$WORK/www/file" | cut -d' ' -f1)
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
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 512M \
		--cpus "$cpus" --no-reboot --cmdline "console=ttyS0 quiet" "$@"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
}

off() {
	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
}

# download URL: in the guest
download() {
	guest_must 300 "wget -q -O - $1 | sha256sum"
	[ "${answer%% *}" = "$sum" ] || problem "$1: the sum is '$answer'"
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
	download "http://[fec0::2]:8080/file"
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

check_tap() {
	local transport=$1 queue used
	make_tap tap0 multi_queue
	boot 4 --transport "$transport" --net tap=tap0,queues=4,mac=52:54:00:12:34:57
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	[[ $answer == *"10.9.0."* ]] || problem "no address of ours: $answer"
	guest_must 20 "ip addr add fd09::2/64 dev eth0; ip addr show eth0"
	[[ $answer == *"mtu 9000"* ]] || problem "its MTU is not 9000: $answer"
	guest_must 60 "ping -c 3 10.9.0.1"
	guest_must 60 "ping -c 3 -s 8900 10.9.0.1"
	download http://10.9.0.1:8080/file
	verdict "$transport, TAP: DHCP, ping, jumbo frames, $mib MiB"
	sleep 2
	guest_must 60 "ping6 -c 3 fd09::1"
	download "http://[fd09::1]:8080/file"
	serve
	fetch "http://[fd09::2]/f"
	verdict "$transport, TAP: IPv6, a server in the guest"
	guest_must 20 "ethtool -k eth0"
	for queue in tx-checksumming tcp-segmentation-offload rx-checksumming; do
		[[ $answer == *"$queue: on"* ]] || problem "$queue is off"
	done
	guest_must 20 "ethtool -l eth0"
	[ "$(grep -c 'Combined:.*4' <<<"$answer")" -eq 2 ] || problem "not 4 queues: $answer"
	guest_must 60 "iperf3 -c 10.9.0.1 -t 2 -P 8"
	guest_must 60 "iperf3 -c 10.9.0.1 -t 2 -P 8 -R"
	guest_must 20 "ethtool -S eth0"
	for queue in 0 1 2 3; do
		used=$(sed -n "s/.*[rt]x_queue_${queue}_packets: //p" <<<"$answer" | tr '\n' ' ')
		echo "# queue $queue, packets received and sent: $used"
		[[ " $used" != *" 0 "* ]] || problem "queue $queue was not used: $used"
	done
	verdict "$transport, TAP: offloads; 4 queues used by 4 CPUs"
	throughput 10.9.0.1
	verdict "$transport, TAP: iperf3"
	send_noise tap0 "$noise_seconds"
	guest_must 60 "ping -c 3 10.9.0.1"
	download http://10.9.0.1:8080/file
	verdict "$transport, TAP: noise"
	off
	verdict "$transport, TAP: the end"
	end_tap tap0
}

check_vhost() {
	local transport=$1
	if [ ! -e /dev/vhost-net ]; then
		skipped "$transport, vhost-net" "there is no /dev/vhost-net"
		return
	fi
	make_tap tap1
	boot 1 --transport "$transport" --net tap=tap1,vhost
	guest_must 60 "udhcpc -i eth0 -n -q -s /etc/dhcp"
	guest_must 60 "ping -c 3 10.9.0.1"
	guest_must 60 "ping -c 3 -s 8900 10.9.0.1"
	download http://10.9.0.1:8080/file
	throughput 10.9.0.1
	verdict "$transport, vhost-net: DHCP, ping, $mib MiB, iperf3"
	off
	verdict "$transport, vhost-net: the end"
	end_tap tap1
}

for transport in ${NET_TRANSPORTS:-mmio}; do
	for what in ${NET_WHAT:-user}; do
		"check_$what" "$transport"
	done
done
kill "${helpers[@]}"
done_testing
