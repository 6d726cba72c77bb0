/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What the platform "virtual machine" is made of; platform.h says what each does. */
#ifndef SKETE_UK_VM_H
#define SKETE_UK_VM_H

#include <stddef.h>
#include <stdint.h>

struct cpu;
struct timespec;

/* apic.c: the local APIC */
void apic_init_cpu(struct cpu *cpu);
void apic_start_cpus(uint32_t count);
void apic_send(struct cpu *to, uint32_t irq);
void apic_timer(uint64_t deadline_ns);

/* kernel/time.c: clocks from the time-stamp counter */
void tsc_clock_init(void);
void tsc_clock_init_cpu(void);
uint64_t tsc_clock_ns(void);
uint64_t tsc_clock_wall_ns(void);
void tsc_clock_read(int is_wall, struct timespec *now);

/* console.c: the serial port */
void uart_init(void);
void uart_write(const char *data, size_t bytes);
int uart_byte(void);

/* port.c: the console port of Skete */
int port_is_there(void);
void port_write(const char *data, size_t bytes);
int port_byte(void);

/* power.c */
void vm_power_off(int status) __attribute__((noreturn));

#endif
