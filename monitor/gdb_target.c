/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The guest as gdb sees it; it stands still. A gdb thread is a vCPU. */
#include "gdb.h"

#include <sys/socket.h>

#include "events.h"
#include "vm_internal.h"

#define FLAG_TRAP UINT64_C(0x100)

static struct sk_kvm_vcpu *vcpu_of(struct gdb_server *g, uint32_t index)
{
	return g->vm->machine->vcpus[index];
}

/* The unikernel tells of its stops itself. */
static bool is_told(const struct gdb_server *g)
{
	return g->vm->config.gdb_text != 0;
}

/* --- memory --- */

int gdb_target_read(struct gdb_server *g, uint32_t index, uint64_t address, void *to,
		    size_t len_bytes)
{
	return event_guest_memory(g->vm->machine, index, address, to, len_bytes, false);
}

int gdb_target_write(struct gdb_server *g, uint32_t index, uint64_t address, const void *from,
		     size_t len_bytes)
{
	uint8_t copy[256];
	const uint8_t *at = from;
	int ret = 0;

	for (size_t n; !ret && len_bytes; len_bytes -= n, at += n, address += n) {
		n = SK_MIN(len_bytes, sizeof(copy));
		memcpy(copy, at, n);
		ret = event_guest_memory(g->vm->machine, index, address, copy, n, true);
	}
	return ret;
}

/* Breakpoints in memory are ours: gdb sees what is below them. */
static int target_read_memory(void *ctx, uint32_t thread, uint64_t address, void *to,
			      size_t len_bytes)
{
	struct gdb_server *g = ctx;
	int ret = gdb_target_read(g, thread, address, to, len_bytes);

	for (size_t i = 0; !ret && i < GDB_BREAKS_MAX; i++) {
		const struct gdb_break *b = &g->breaks[i];

		if (b->is_used && !b->is_hard && b->address - address < len_bytes)
			((uint8_t *)to)[b->address - address] = b->original;
	}
	return ret;
}

static int target_write_memory(void *ctx, uint32_t thread, uint64_t address, const void *from,
			       size_t len_bytes)
{
	static const uint8_t trap = 0xcc;
	struct gdb_server *g = ctx;
	int ret = gdb_target_write(g, thread, address, from, len_bytes);

	for (size_t i = 0; !ret && i < GDB_BREAKS_MAX; i++) {
		struct gdb_break *b = &g->breaks[i];

		if (!b->is_used || b->is_hard || b->address - address >= len_bytes)
			continue;
		b->original = ((const uint8_t *)from)[b->address - address];
		ret = sk_gmem_write(g->vm->machine->gm, b->gpa, &trap, 1);
	}
	return ret;
}

/* --- registers --- */

static void copy_general(struct sk_gdb_regs *to, const struct sk_debug_regs *from)
{
	const uint64_t gpr[16] = {from->rax, from->rbx, from->rcx, from->rdx, from->rsi, from->rdi,
				  from->rbp, from->rsp, from->r8,  from->r9,  from->r10, from->r11,
				  from->r12, from->r13, from->r14, from->r15};

	memcpy(to->gpr, gpr, sizeof(gpr));
	to->rip = from->rip;
	to->eflags = (uint32_t)from->rflags;
}

static struct sk_debug_regs general_of(const struct sk_gdb_regs *r)
{
	const uint64_t *g = r->gpr;

	return (struct sk_debug_regs){
		.rax = g[0],
		.rbx = g[1],
		.rcx = g[2],
		.rdx = g[3],
		.rsi = g[4],
		.rdi = g[5],
		.rbp = g[6],
		.rsp = g[7],
		.r8 = g[8],
		.r9 = g[9],
		.r10 = g[10],
		.r11 = g[11],
		.r12 = g[12],
		.r13 = g[13],
		.r14 = g[14],
		.r15 = g[15],
		.rip = r->rip,
		.rflags = r->eflags,
	};
}

/* What was interrupted: the unikernel keeps it in memory, or the vCPU still holds it. */
static int read_general(struct gdb_server *g, uint32_t index, struct sk_debug_regs *out)
{
	struct kvm_regs k;
	int ret;

	if (g->vcpus[index].stop)
		return gdb_target_read(g, index, g->vcpus[index].regs, out, sizeof(*out));
	ret = sk_kvm_vcpu_get_regs(vcpu_of(g, index), &k);
	*out = (struct sk_debug_regs){
		.rip = k.rip,
		.r15 = k.r15,
		.r14 = k.r14,
		.r13 = k.r13,
		.r12 = k.r12,
		.r11 = k.r11,
		.r10 = k.r10,
		.r9 = k.r9,
		.r8 = k.r8,
		.rdi = k.rdi,
		.rsi = k.rsi,
		.rbp = k.rbp,
		.rbx = k.rbx,
		.rdx = k.rdx,
		.rcx = k.rcx,
		.rax = k.rax,
		.rflags = k.rflags,
		.rsp = k.rsp,
	};
	return ret;
}

static int write_general(struct gdb_server *g, uint32_t index, const struct sk_debug_regs *r)
{
	struct kvm_regs k = {
		.rip = r->rip,
		.r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rdi = r->rdi,
		.rsi = r->rsi,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.rdx = r->rdx,
		.rcx = r->rcx,
		.rax = r->rax,
		.rflags = r->rflags,
		.rsp = r->rsp,
	};

	if (g->vcpus[index].stop)
		return gdb_target_write(g, index, g->vcpus[index].regs, r, sizeof(*r));
	return sk_kvm_vcpu_set_regs(vcpu_of(g, index), &k);
}

/* The x87 tag word as gdb wants it, two bits each: what KVM keeps says only "empty". */
static uint32_t full_tags(uint8_t abridged)
{
	uint32_t tags = 0;

	for (unsigned int i = 0; i < 8; i++)
		tags |= (abridged >> i & 1 ? 0u : 3u) << 2 * i;
	return tags;
}

static int target_read_regs(void *ctx, uint32_t thread, struct sk_gdb_regs *out)
{
	struct gdb_server *g = ctx;
	struct sk_debug_regs general;
	struct kvm_sregs s;
	struct kvm_fpu f;
	int ret = read_general(g, thread, &general);

	if (!ret)
		ret = sk_kvm_vcpu_get_sregs(vcpu_of(g, thread), &s);
	if (!ret)
		ret = sk_kvm_vcpu_get_fpu(vcpu_of(g, thread), &f);
	if (ret)
		return ret;
	*out = (struct sk_gdb_regs){
		.segments = {s.cs.selector, s.ss.selector, s.ds.selector, s.es.selector,
			     s.fs.selector, s.gs.selector},
		.fpu = {f.fcw, f.fsw, full_tags(f.ftwx), 0, (uint32_t)f.last_ip, 0,
			(uint32_t)f.last_dp, f.last_opcode},
		.mxcsr = f.mxcsr,
		.fs_base = s.fs.base,
		.gs_base = s.gs.base,
	};
	copy_general(out, &general);
	for (int i = 0; i < 8; i++)
		memcpy(out->st[i], f.fpr[i], sizeof(out->st[i]));
	memcpy(out->xmm, f.xmm, sizeof(out->xmm));
	return 0;
}

/* General registers and those of SSE; segments and x87 stay as they are. */
static int target_write_regs(void *ctx, uint32_t thread, const struct sk_gdb_regs *regs)
{
	const struct sk_debug_regs general = general_of(regs);
	struct gdb_server *g = ctx;
	struct kvm_fpu f;
	int ret = write_general(g, thread, &general);

	if (!ret)
		ret = sk_kvm_vcpu_get_fpu(vcpu_of(g, thread), &f);
	if (ret || !memcmp(f.xmm, regs->xmm, sizeof(f.xmm)))
		return ret;
	memcpy(f.xmm, regs->xmm, sizeof(f.xmm));
	return sk_kvm_vcpu_set_fpu(vcpu_of(g, thread), &f);
}

/* --- breakpoints --- */

struct gdb_break *gdb_target_find(struct gdb_server *g, uint64_t address, bool is_hard)
{
	for (size_t i = 0; i < GDB_BREAKS_MAX; i++) {
		struct gdb_break *b = &g->breaks[i];

		if (b->is_used && b->is_hard == is_hard && b->address == address)
			return b;
	}
	return NULL;
}

static struct gdb_break *free_slot(struct gdb_server *g)
{
	for (size_t i = 0; i < GDB_BREAKS_MAX; i++)
		if (!g->breaks[i].is_used)
			return &g->breaks[i];
	return NULL;
}

static int set_soft(struct gdb_server *g, uint64_t address)
{
	static const uint8_t trap = 0xcc;
	struct gdb_break b = {.address = address, .is_used = true}, *slot = free_slot(g);
	struct sk_gmem *gm = g->vm->machine->gm;
	int ret;

	if (!is_told(g))
		return -EPERM; /* the guest would meet the exception itself */
	if (gdb_target_find(g, address, false))
		return 0;
	if (!slot)
		return -ENOSPC;
	ret = sk_kvm_vcpu_translate(vcpu_of(g, g->stop_thread), address, &b.gpa);
	if (!ret)
		ret = sk_gmem_read(gm, b.gpa, &b.original, 1);
	if (!ret)
		ret = sk_gmem_write(gm, b.gpa, &trap, 1);
	if (!ret)
		*slot = b;
	return ret;
}

static int set_hard(struct gdb_server *g, enum sk_gdb_break kind, uint64_t address, uint32_t len)
{
	struct gdb_break *slot = free_slot(g);
	uint32_t nr = 0;

	if (is_told(g))
		return -EOPNOTSUPP;
	for (size_t i = 0; i < GDB_BREAKS_MAX; i++)
		nr += g->breaks[i].is_used && g->breaks[i].is_hard;
	if (!slot || nr == GDB_DEBUG_REGS)
		return -ENOSPC;
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return -EINVAL;
	*slot = (struct gdb_break){.address = address,
				   .is_used = true,
				   .is_hard = true,
				   .kind = kind,
				   .len_bytes = len};
	return 0;
}

static int target_set_break(void *ctx, enum sk_gdb_break kind, uint64_t address, uint32_t len_bytes)
{
	return kind == SK_GDB_BREAK_SOFT ? set_soft(ctx, address)
					 : set_hard(ctx, kind, address, len_bytes);
}

static void remove_break(struct gdb_server *g, struct gdb_break *b)
{
	if (!b->is_hard)
		(void)!sk_gmem_write(g->vm->machine->gm, b->gpa, &b->original, 1);
	b->is_used = false;
}

static int target_clear_break(void *ctx, enum sk_gdb_break kind, uint64_t address,
			      uint32_t len_bytes)
{
	struct gdb_break *b = gdb_target_find(ctx, address, kind != SK_GDB_BREAK_SOFT);

	(void)len_bytes;
	if (!b)
		return -ENOENT;
	remove_break(ctx, b);
	return 0;
}

void gdb_target_clear(struct gdb_server *g)
{
	for (size_t i = 0; i < GDB_BREAKS_MAX; i++)
		if (g->breaks[i].is_used)
			remove_break(g, &g->breaks[i]);
}

/* DR7 (SDM volume 3, 17.2.4): two bits of condition and two of length for each address. */
static void fill_debug_registers(const struct gdb_server *g, struct kvm_guest_debug *d)
{
	unsigned int n = 0;

	for (size_t i = 0; i < GDB_BREAKS_MAX; i++) {
		const struct gdb_break *b = &g->breaks[i];
		uint64_t condition, length;

		if (!b->is_used || !b->is_hard)
			continue;
		condition = b->kind == SK_GDB_BREAK_HARD    ? 0
			    : b->kind == SK_GDB_WATCH_WRITE ? 1
							    : 3;
		length = condition == 0 || b->len_bytes == 1 ? 0
			 : b->len_bytes == 2		     ? 1
			 : b->len_bytes == 4		     ? 3
							     : 2;
		d->arch.debugreg[n] = b->address;
		d->arch.debugreg[7] |= UINT64_C(2) << 2 * n | (condition | length << 2)
								      << (16 + 4 * n);
		n++;
	}
	if (n)
		d->control |= KVM_GUESTDBG_USE_HW_BP;
}

int gdb_target_arm(struct gdb_server *g, uint32_t index)
{
	struct gdb_vcpu *v = &g->vcpus[index];
	struct kvm_guest_debug d = {0};

	if (is_told(g))
		return 0;
	if (g->is_attached) {
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
		if (v->is_stepped)
			d.control |= KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
		if (v->must_inject)
			d.control |= KVM_GUESTDBG_INJECT_BP;
		fill_debug_registers(g, &d);
	}
	v->must_inject = false;
	return sk_kvm_vcpu_set_guest_debug(vcpu_of(g, index), &d);
}

/* --- going on --- */

/* The unikernel waits in its handler: tell it what to do. */
static int release_told(struct gdb_server *g, uint32_t index, bool steps, int signal)
{
	struct gdb_vcpu *v = &g->vcpus[index];
	struct sk_debug_regs r;
	const uint32_t is_handled = signal == 0 || signal == GDB_SIGNAL_TRAP;
	int ret = read_general(g, index, &r);

	if (ret)
		return ret;
	r.rflags = steps && is_handled ? r.rflags | FLAG_TRAP : r.rflags & ~FLAG_TRAP;
	ret = write_general(g, index, &r);
	if (!ret && v->stop)
		ret = gdb_target_write(g, index,
				       v->stop + offsetof(struct sk_debug_stop, is_handled),
				       &is_handled, sizeof(is_handled));
	v->stop = 0;
	return ret;
}

static int release(struct gdb_server *g, uint32_t index, enum sk_gdb_action action, int signal)
{
	struct gdb_vcpu *v = &g->vcpus[index];

	v->is_held = action == SK_GDB_STAY;
	v->is_stepped = action == SK_GDB_STEP;
	if (v->is_held)
		return 0;
	if (!is_told(g))
		return gdb_target_arm(g, index);
	/* One that merely stands where the pause found it needs nothing to go on. */
	return v->stop || v->is_stepped ? release_told(g, index, v->is_stepped, signal) : 0;
}

static int target_resume(void *ctx, const enum sk_gdb_action *actions, uint32_t nr, int signal)
{
	struct gdb_server *g = ctx;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < nr; i++)
		ret = release(g, i, actions[i], signal);
	if (!ret)
		gdb_go_on(g);
	return ret;
}

static uint32_t target_nr_threads(void *ctx)
{
	const struct gdb_server *g = ctx;

	return g->vm->machine->nr_vcpus;
}

static void target_stop(void *ctx)
{
	gdb_request_stop(ctx, 0, GDB_SIGNAL_INT, false);
}

static void target_detach(void *ctx)
{
	struct gdb_server *g = ctx;
	enum sk_gdb_action all[SK_VM_MAX_CPUS];

	gdb_target_clear(g);
	pthread_mutex_lock(&g->vm->lock);
	g->is_attached = false;
	g->has_stop = false;
	pthread_mutex_unlock(&g->vm->lock);
	for (uint32_t i = 0; i < SK_VM_MAX_CPUS; i++)
		all[i] = SK_GDB_CONTINUE;
	(void)!target_resume(g, all, g->vm->machine->nr_vcpus, 0);
}

static void target_kill(void *ctx)
{
	struct gdb_server *g = ctx;

	vm_request_end(g->vm, SK_VM_STOPPED, 0, NULL);
}

static void target_send(void *ctx, const void *data, size_t len_bytes)
{
	const struct gdb_server *g = ctx;
	const uint8_t *at = data;

	while (len_bytes) {
		ssize_t n = send(g->fd, at, len_bytes, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return; /* the next reception says so, too */
		if (n > 0) {
			at += n;
			len_bytes -= (size_t)n;
		}
	}
}

const struct sk_gdb_ops gdb_target_ops = {
	.nr_threads = target_nr_threads,
	.read_regs = target_read_regs,
	.write_regs = target_write_regs,
	.read_memory = target_read_memory,
	.write_memory = target_write_memory,
	.set_break = target_set_break,
	.clear_break = target_clear_break,
	.resume = target_resume,
	.stop = target_stop,
	.detach = target_detach,
	.kill = target_kill,
	.send = target_send,
};
