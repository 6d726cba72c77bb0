/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* `skete run`: --net, --publish, --vsock and --balloon become devices of libskete. */
#include "run.h"

#include <stdio.h>

#include <skete/vm.h>

struct run_nets {
	struct sk_vm_net *nets; /* one more than --net says, for --publish alone */
	size_t nr;
	char **texts; /* of forwards; ours */
	size_t nr_texts;
	struct sk_vm_vsock vsock;
	struct sk_vm_balloon balloon;
	const char **forwards; /* of the first user-mode device: its own and --publish */
};

/* "52:54:00:12:34:56" */
static bool parse_mac(const char *text, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++) {
		unsigned value = 0;

		for (unsigned k = 0; k < 2; k++, text++) {
			if (*text >= '0' && *text <= '9')
				value = value * 16 + (unsigned)(*text - '0');
			else if (*text >= 'a' && *text <= 'f')
				value = value * 16 + (unsigned)(*text - 'a') + 10;
			else if (*text >= 'A' && *text <= 'F')
				value = value * 16 + (unsigned)(*text - 'A') + 10;
			else
				return false;
		}
		mac[i] = (uint8_t)value;
		if (*text != (i < 5 ? ':' : '\0'))
			return false;
		text++;
	}
	return true;
}

static int check_net(const struct cli_net *net, struct sk_error *err)
{
	bool is_user = !net->tap;

	if (net->tap && net->is_user)
		return sk_error_set(err, -EINVAL, "--net: a device is either user or tap=%s",
				    net->tap);
	if (!net->tap && !net->is_user)
		return sk_error_set(err, -EINVAL, "--net: write --net user or --net tap=NAME");
	if (is_user && (net->has_vhost || net->queues > 1))
		return sk_error_set(err, -EINVAL, "--net user: %s is for tap only",
				    net->has_vhost ? "vhost" : "queues");
	if (!is_user && (net->forward || net->has_host_loopback))
		return sk_error_set(err, -EINVAL, "--net tap: %s is for user only",
				    net->forward ? "hostfwd" : "host-loopback");
	return 0;
}

static int convert(struct run_nets *r, const struct cli_net *net, struct sk_error *err)
{
	struct sk_vm_net *to = &r->nets[r->nr++];
	int ret = check_net(net, err);

	if (ret)
		return ret;
	*to = (struct sk_vm_net){
		.kind = net->tap ? SK_VM_NET_TAP : SK_VM_NET_USER,
		.mtu = (uint32_t)net->mtu,
		.bytes_per_s = net->bytes_per_s,
		.frames_per_s = net->frames_per_s,
		.tap = net->tap,
		.queues = (uint32_t)net->queues,
		.has_vhost = net->has_vhost,
		.forwards = (const char *const *)&net->forward,
		.nr_forwards = net->forward != NULL,
		.has_host_loopback = net->has_host_loopback,
	};
	if (net->mac && !parse_mac(net->mac, to->mac))
		return sk_error_set(err, -EINVAL,
				    "--net: mac=%s is not an address such as 52:54:00:12:34:56",
				    net->mac);
	return 0;
}

/* "[ADDR:]PORT:PORT[/PROTO]" as "PROTO:[ADDR]:PORT:PORT"; NULL: no memory. */
static char *forward_of(const char *publish)
{
	const char *slash = strchr(publish, '/'), *colon = strchr(publish, ':');
	int len = slash ? (int)(slash - publish) : (int)strlen(publish);
	bool has_addr = colon && strchr(colon + 1, ':');
	char *text;

	if (asprintf(&text, "%s:%s%.*s", slash ? slash + 1 : "tcp", has_addr ? "" : ":", len,
		     publish) < 0)
		return NULL;
	return text;
}

/* Adds --publish to the first device of user mode. */
static int publish(struct run_nets *r, const struct cli_list *list, struct sk_error *err)
{
	struct sk_vm_net *user = NULL;
	size_t nr = 0;

	for (size_t i = 0; !user && i < r->nr; i++)
		user = r->nets[i].kind == SK_VM_NET_USER ? &r->nets[i] : NULL;
	if (!user)
		user = &r->nets[r->nr++];
	r->texts = calloc(list->nr, sizeof(*r->texts));
	r->forwards = calloc(list->nr + user->nr_forwards, sizeof(*r->forwards));
	if (!r->texts || !r->forwards)
		return sk_error_set(err, -ENOMEM, "no memory for the configuration");
	for (; nr < user->nr_forwards; nr++)
		r->forwards[nr] = user->forwards[nr];
	for (size_t i = 0; i < list->nr; i++) {
		r->texts[i] = forward_of(list->items[i]);
		if (!r->texts[i])
			return sk_error_set(err, -ENOMEM, "no memory for the configuration");
		r->nr_texts++;
		r->forwards[nr++] = r->texts[i];
	}
	user->forwards = r->forwards;
	user->nr_forwards = nr;
	return 0;
}

int run_nets_configure(struct run_nets **out, const struct cli_options *options,
		       struct sk_vm_config *config, struct sk_error *err)
{
	const struct cli_net *nets = options->net.items;
	struct run_nets *r = calloc(1, sizeof(*r));
	int ret = 0;

	*out = r;
	if (r)
		r->nets = calloc(options->net.nr + 1, sizeof(*r->nets));
	if (!r || !r->nets)
		return sk_error_set(err, -ENOMEM, "no memory for the configuration");
	for (size_t i = 0; !ret && i < options->net.nr; i++)
		ret = convert(r, &nets[i], err);
	if (!ret && options->publish.nr)
		ret = publish(r, &options->publish, err);
	config->nets = r->nets;
	config->nr_nets = r->nr;
	if (options->balloon.nr) {
		const struct cli_balloon *balloon = options->balloon.items;

		r->balloon = (struct sk_vm_balloon){
			.size_bytes = balloon->size_bytes,
			.keeps_on_oom = !balloon->has_deflate_on_oom,
			.has_no_reporting = !balloon->has_reporting,
		};
		config->balloon = &r->balloon;
	}
	if (options->vsock.nr) {
		const struct cli_vsock *vsock = options->vsock.items;

		r->vsock = (struct sk_vm_vsock){vsock->cid, vsock->path};
		config->vsock = &r->vsock;
	}
	return ret;
}

void run_nets_free(struct run_nets *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nr_texts; i++)
		free(r->texts[i]);
	free(r->texts);
	free(r->forwards);
	free(r->nets);
	free(r);
}
