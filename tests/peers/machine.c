/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "machine.h"

#include <elf.h>
#include <signal.h>
#include <time.h>

#define PORT_UART      0x3f8
#define UART_LSR       5
#define UART_LSR_EMPTY 0x60
#define PORT_I8042     0x64
#define I8042_RESET    0xfe
#define NOTE_PVH       18
#define LIMIT_S	       60
#define IMAGE_MAX      (16 * SK_MIB)

#define check(call, err)                                           \
	do {                                                       \
		if ((call) < 0)                                    \
			fail_msg("%s: %s", #call, (err)->message); \
	} while (0)

bool peer_has_kvm(void)
{
	struct sk_kvm *kvm = NULL;
	struct sk_error err;
	int ret = sk_kvm_open(&kvm, NULL, &err);

	sk_kvm_close(kvm);
	if (ret != -ENOENT && ret != -ENXIO && ret != -EACCES)
		return true;
	printf("1..0 # SKIP %s\n", err.message);
	return false;
}

void peer_write(struct peer *p, gpa_t gpa, const void *data, size_t len_bytes)
{
	assert_int_equal(sk_gmem_write(p->gm, gpa, data, len_bytes), 0);
}

static void read_notes(struct peer *p, const uint8_t *notes, uint64_t bytes)
{
	for (uint64_t at = 0; at + sizeof(Elf64_Nhdr) <= bytes;) {
		const Elf64_Nhdr *note = (const void *)(notes + at);
		const uint8_t *name = notes + at + sizeof(*note);
		const uint8_t *content = name + ((note->n_namesz + 3) & ~3u);

		if (note->n_type == NOTE_PVH && !memcmp(name, "Xen", 4))
			p->pvh = sk_load_le32(content);
		at = (uint64_t)(content - notes) + ((note->n_descsz + 3) & ~3u);
	}
}

static void load(struct peer *p, const char *path)
{
	uint8_t *image = test_malloc(IMAGE_MAX);
	FILE *file = fopen(path, "rb");
	const Elf64_Ehdr *elf = (const void *)image;
	const Elf64_Phdr *segment;
	size_t bytes;

	if (!file)
		fail_msg("cannot open %s", path);
	bytes = fread(image, 1, IMAGE_MAX, file);
	fclose(file);
	assert_in_range(bytes, sizeof(*elf), IMAGE_MAX - 1);
	assert_memory_equal(elf->e_ident, ELFMAG, SELFMAG);
	assert_true(elf->e_entry >= SK_MIB);
	p->entry = elf->e_entry;
	segment = (const void *)(image + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++, segment++) {
		if (segment->p_type == PT_LOAD)
			peer_write(p, segment->p_paddr, image + segment->p_offset,
				   segment->p_filesz);
		if (segment->p_type == PT_NOTE)
			read_notes(p, image + segment->p_offset, segment->p_filesz);
	}
	assert_true(p->pvh >= SK_MIB);
	test_free(image);
}

/* "Linux KVM Hv", and nothing about a clock. */
static void say_hyperv(struct sk_kvm_cpuid *table)
{
	struct kvm_cpuid_entry2 *leaf = sk_kvm_cpuid_find(table, 0x40000000, 0);

	assert_non_null(leaf);
	leaf->ebx = 0x756e694c;
	leaf->ecx = 0x564b2078;
	leaf->edx = 0x7648204d;
	leaf = sk_kvm_cpuid_find(table, 0x40000001, 0);
	assert_non_null(leaf);
	leaf->eax = 0x31237648; /* "Hv#1" */
}

static void create_cpu(struct peer *p, uint32_t index, const struct sk_kvm_cpuid *supported)
{
	struct peer_cpu *cpu = &p->cpus[index];
	static struct sk_kvm_cpuid table;
	const struct sk_kvm_cpuid_config config = {
		.index = index,
		.count = p->config.cpus,
		.has_tsc_deadline = sk_kvm_check(p->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.has_kernel_lapic = true,
	};
	struct sk_error err;

	cpu->peer = p;
	check(sk_kvm_vcpu_create(&cpu->vcpu, p->vm, index, &err), &err);
	check(sk_kvm_cpuid_build(&table, supported, &config, &err), &err);
	sk_kvm_cpuid_find(&table, 1, 0)->ecx &= ~p->config.hidden;
	if (p->config.is_hyperv)
		say_hyperv(&table);
	assert_int_equal(sk_kvm_vcpu_set_cpuid(cpu->vcpu, &table), 0);
	check(sk_kvm_vcpu_set_firmware_state(cpu->vcpu, &err), &err);
}

void peer_create(struct peer *p, const struct peer_config *config, const char *elf_path)
{
	static struct sk_kvm_cpuid supported;
	struct sk_gmem_region_config regions[2];
	struct sk_gmem_config memory = {.regions = regions};
	struct sk_kvm_vm_config vm = {.irqchip = config->irqchip,
				      .has_pit = config->irqchip == SK_KVM_IRQCHIP_KERNEL};
	struct sk_error err;
	int n = sk_gmem_layout_x86(config->memory_bytes, NULL, regions);

	assert_in_range(n, 1, 2);
	memset(p, 0, sizeof(*p));
	p->config = *config;
	p->low_end = regions[0].size_bytes;
	p->high_end = SK_GMEM_X86_HOLE_END + (n > 1 ? regions[1].size_bytes : 0);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ended, NULL);
	memory.nr_regions = (size_t)n;
	check(sk_kvm_open(&p->kvm, NULL, &err), &err);
	check(sk_gmem_create(&p->gm, &memory, &err), &err);
	vm.gm = p->gm;
	check(sk_kvm_vm_create(&p->vm, p->kvm, &vm, &err), &err);
	assert_int_equal(sk_kvm_supported_cpuid(p->kvm, &supported), 0);
	for (uint32_t i = 0; i < config->cpus; i++)
		create_cpu(p, i, &supported);
	load(p, elf_path);
}

void peer_destroy(struct peer *p)
{
	for (uint32_t i = 0; i < p->config.cpus; i++)
		sk_kvm_vcpu_destroy(p->cpus[i].vcpu);
	sk_kvm_vm_destroy(p->vm);
	sk_gmem_destroy(p->gm);
	sk_kvm_close(p->kvm);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
}

static void end_locked(struct peer *p, enum peer_end how)
{
	if (p->end == PEER_RUNNING)
		p->end = how;
	pthread_cond_signal(&p->ended);
}

/* An access of more than one byte, string I/O as well, is none that a 16550 of theirs knows. */
static void handle_uart(struct peer *p, const struct sk_kvm_exit *exit)
{
	static const uint8_t idle[8] = {[2] = 0x01, [3] = 0x03, [4] = 0x08, [6] = 0xb0};
	uint16_t offset = exit->pio.port - PORT_UART;

	if (exit->pio.size * exit->pio.count != 1)
		return;
	if (!exit->pio.is_out)
		exit->pio.data[0] = offset == UART_LSR ? UART_LSR_EMPTY : idle[offset];
	else if (offset == 0 && p->text_len < sizeof(p->text) - 1)
		p->text[p->text_len++] = (char)exit->pio.data[0];
}

static void handle_pio(struct peer *p, const struct sk_kvm_exit *exit)
{
	uint16_t port = exit->pio.port;

	if (port >= PORT_UART && port < PORT_UART + 8)
		handle_uart(p, exit);
	else if (exit->pio.is_out && port == PORT_I8042 && exit->pio.data[0] == I8042_RESET)
		end_locked(p, PEER_RESET);
	else if (exit->pio.is_out && p->config.sleep_port && port == p->config.sleep_port &&
		 exit->pio.data[0] == p->config.sleep_value)
		end_locked(p, PEER_POWERED_OFF);
}

static void *cpu_main(void *arg)
{
	struct peer_cpu *cpu = arg;
	struct peer *p = cpu->peer;
	struct sk_kvm_exit exit;
	int ret;

	for (;;) {
		ret = sk_kvm_vcpu_run(cpu->vcpu, &exit);
		pthread_mutex_lock(&p->lock);
		if (ret)
			end_locked(p, PEER_CRASHED);
		else if (exit.kind == SK_KVM_EXIT_PIO)
			handle_pio(p, &exit);
		else if (exit.kind == SK_KVM_EXIT_MMIO && !exit.mmio.is_write)
			memset(exit.mmio.data, 0, exit.mmio.len_bytes);
		else if (exit.kind != SK_KVM_EXIT_INTR && exit.kind != SK_KVM_EXIT_MMIO)
			end_locked(p, PEER_CRASHED);
		ret = p->end != PEER_RUNNING;
		pthread_mutex_unlock(&p->lock);
		if (ret)
			return NULL;
	}
}

static void on_kick(int signo)
{
	(void)signo; /* its arrival ends KVM_RUN: that is all it is for */
}

enum peer_end peer_run(struct peer *p, const struct sk_kvm_entry *entry)
{
	const struct sigaction action = {.sa_handler = on_kick};
	struct timespec until;
	struct sk_error err;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	check(sk_kvm_vcpu_set_entry(p->cpus[0].vcpu, entry, &err), &err);
	for (uint32_t i = 0; i < p->config.cpus; i++)
		assert_int_equal(pthread_create(&p->cpus[i].thread, NULL, cpu_main, &p->cpus[i]),
				 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_S;
	pthread_mutex_lock(&p->lock);
	while (p->end == PEER_RUNNING)
		if (pthread_cond_timedwait(&p->ended, &p->lock, &until))
			end_locked(p, PEER_LATE);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < p->config.cpus; i++) {
		sk_kvm_vcpu_set_immediate_exit(p->cpus[i].vcpu, true);
		pthread_kill(p->cpus[i].thread, SIGUSR1);
		pthread_join(p->cpus[i].thread, NULL);
	}
	return p->end;
}
