/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The virtio socket device (virtio 1.2, 5.10): streams between programs of the guest (AF_VSOCK) and
 * Unix sockets of the host, by Firecracker's convention.
 *
 *   host to guest   a client connects to PATH and writes "CONNECT <port>\n"; once a program of the
 *                   guest has accepted it reads "OK <number>\n", and from there on the stream
 *   guest to host   a program that connects to CID 2, port N, gets whoever listens at PATH_N
 *
 * Both directions of a stream end separately (shutdown(2)). What the host's side has not read yet
 * is bounded by the credit that the guest gets: SK_VSOCK_BUFFER_BYTES a connection, of which there
 * are at most SK_VSOCK_MAX_CONNECTIONS. A client that says nothing, a guest that does not answer,
 * and one that does not confirm the end are given ten seconds.
 *
 * Connections do not survive a restore: both sides see them end, and the guest is told (5.10.6.7).
 *
 * Threading class: owner-thread only (the loop of the configuration), but for the functions that
 * say otherwise. create may run on another thread before the loop turns.
 */
#ifndef SKETE_DEV_VSOCK_H
#define SKETE_DEV_VSOCK_H

#include <skete/base.h>
#include <skete/virtio.h>

#define SK_VSOCK_HOST_CID	 2
#define SK_VSOCK_MIN_CID	 3
#define SK_VSOCK_MAX_CID	 UINT64_C(0xfffffffe)
#define SK_VSOCK_BUFFER_BYTES	 (128 * 1024)
#define SK_VSOCK_MAX_CONNECTIONS 512

struct sk_vsock;

struct sk_vsock_config {
	struct sk_gmem *gm;   /* borrowed until destroy, as is what follows */
	struct sk_loop *loop; /* the device's thread */
	const struct sk_log *log;
	uint64_t cid;	  /* of the guest: SK_VSOCK_MIN_CID to SK_VSOCK_MAX_CID */
	const char *path; /* copied; a socket that nobody listens at is replaced */
};

/*
 * Errors, each with its sentence: -EINVAL (CID), -ENAMETOOLONG, -EADDRINUSE (somebody listens
 * there), -EEXIST (a file that is no socket), and what bind(2) said; -ENOMEM, -EMFILE. destroy
 * comes after the end of the loop and removes the socket. NULL is fine.
 */
int sk_vsock_create(struct sk_vsock **out, const struct sk_vsock_config *config,
		    struct sk_error *err) SK_MUST_CHECK;
void sk_vsock_destroy(struct sk_vsock *vsock);

/* For the transport: the device's core, which lives as long as the device. */
struct sk_virtio *sk_vsock_virtio(struct sk_vsock *vsock);

struct sk_vsock_stats {
	uint64_t rx_packets, rx_bytes; /* to the guest; bytes of streams */
	uint64_t tx_packets, tx_bytes; /* from it */
	uint64_t opened, refused;      /* connections, both ways */
	uint64_t connections;	       /* now */
	uint64_t bad_packets;	       /* of the guest, against the rules */
	uint64_t timeouts;
};

/* Any thread. */
void sk_vsock_get_stats(const struct sk_vsock *vsock, struct sk_vsock_stats *stats);

#endif
