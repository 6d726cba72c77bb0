/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Tracing of system calls: while it is on, all numbers lead to one function, which prints, calls
 * the real one, and prints the result. Each call is one line, written when it is over; one that
 * does not return is written before. Memory that is not there is not looked at.
 */
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/mm.h"
#include "sys.h"

#define LINE_BYTES 480 /* with all six arguments at their longest */
#define TEXT_MAX   48  /* of a string or buffer */
#define ARGUMENTS  6

typedef long (*syscall_function)(long, long, long, long, long, long);

struct line {
	char text[LINE_BYTES];
	size_t n;
};

extern const syscall_function syscall_table[SYSCALL_COUNT];
extern const syscall_function *syscall_functions;
const syscall_function *syscall_functions = syscall_table;
static syscall_function traced[SYSCALL_COUNT];

long sys_traced(void); /* entry.S */
long trace_call(const long args[ARGUMENTS], long number);

static const char *const errno_names[] = {
	[EPERM] = "EPERM",
	[ENOENT] = "ENOENT",
	[ESRCH] = "ESRCH",
	[EINTR] = "EINTR",
	[EIO] = "EIO",
	[ENXIO] = "ENXIO",
	[E2BIG] = "E2BIG",
	[ENOEXEC] = "ENOEXEC",
	[EBADF] = "EBADF",
	[ECHILD] = "ECHILD",
	[EAGAIN] = "EAGAIN",
	[ENOMEM] = "ENOMEM",
	[EACCES] = "EACCES",
	[EFAULT] = "EFAULT",
	[ENOTBLK] = "ENOTBLK",
	[EBUSY] = "EBUSY",
	[EEXIST] = "EEXIST",
	[EXDEV] = "EXDEV",
	[ENODEV] = "ENODEV",
	[ENOTDIR] = "ENOTDIR",
	[EISDIR] = "EISDIR",
	[EINVAL] = "EINVAL",
	[ENFILE] = "ENFILE",
	[EMFILE] = "EMFILE",
	[ENOTTY] = "ENOTTY",
	[ETXTBSY] = "ETXTBSY",
	[EFBIG] = "EFBIG",
	[ENOSPC] = "ENOSPC",
	[ESPIPE] = "ESPIPE",
	[EROFS] = "EROFS",
	[EMLINK] = "EMLINK",
	[EPIPE] = "EPIPE",
	[EDOM] = "EDOM",
	[ERANGE] = "ERANGE",
	[EDEADLK] = "EDEADLK",
	[ENAMETOOLONG] = "ENAMETOOLONG",
	[ENOLCK] = "ENOLCK",
	[ENOSYS] = "ENOSYS",
	[ENOTEMPTY] = "ENOTEMPTY",
	[ELOOP] = "ELOOP",
	[ENOMSG] = "ENOMSG",
	[EIDRM] = "EIDRM",
	[ECHRNG] = "ECHRNG",
	[EL2NSYNC] = "EL2NSYNC",
	[EL3HLT] = "EL3HLT",
	[EL3RST] = "EL3RST",
	[ELNRNG] = "ELNRNG",
	[EUNATCH] = "EUNATCH",
	[ENOCSI] = "ENOCSI",
	[EL2HLT] = "EL2HLT",
	[EBADE] = "EBADE",
	[EBADR] = "EBADR",
	[EXFULL] = "EXFULL",
	[ENOANO] = "ENOANO",
	[EBADRQC] = "EBADRQC",
	[EBADSLT] = "EBADSLT",
	[EBFONT] = "EBFONT",
	[ENOSTR] = "ENOSTR",
	[ENODATA] = "ENODATA",
	[ETIME] = "ETIME",
	[ENOSR] = "ENOSR",
	[ENONET] = "ENONET",
	[ENOPKG] = "ENOPKG",
	[EREMOTE] = "EREMOTE",
	[ENOLINK] = "ENOLINK",
	[EADV] = "EADV",
	[ESRMNT] = "ESRMNT",
	[ECOMM] = "ECOMM",
	[EPROTO] = "EPROTO",
	[EMULTIHOP] = "EMULTIHOP",
	[EDOTDOT] = "EDOTDOT",
	[EBADMSG] = "EBADMSG",
	[EOVERFLOW] = "EOVERFLOW",
	[ENOTUNIQ] = "ENOTUNIQ",
	[EBADFD] = "EBADFD",
	[EREMCHG] = "EREMCHG",
	[ELIBACC] = "ELIBACC",
	[ELIBBAD] = "ELIBBAD",
	[ELIBSCN] = "ELIBSCN",
	[ELIBMAX] = "ELIBMAX",
	[ELIBEXEC] = "ELIBEXEC",
	[EILSEQ] = "EILSEQ",
	[ERESTART] = "ERESTART",
	[ESTRPIPE] = "ESTRPIPE",
	[EUSERS] = "EUSERS",
	[ENOTSOCK] = "ENOTSOCK",
	[EDESTADDRREQ] = "EDESTADDRREQ",
	[EMSGSIZE] = "EMSGSIZE",
	[EPROTOTYPE] = "EPROTOTYPE",
	[ENOPROTOOPT] = "ENOPROTOOPT",
	[EPROTONOSUPPORT] = "EPROTONOSUPPORT",
	[ESOCKTNOSUPPORT] = "ESOCKTNOSUPPORT",
	[EOPNOTSUPP] = "EOPNOTSUPP",
	[EPFNOSUPPORT] = "EPFNOSUPPORT",
	[EAFNOSUPPORT] = "EAFNOSUPPORT",
	[EADDRINUSE] = "EADDRINUSE",
	[EADDRNOTAVAIL] = "EADDRNOTAVAIL",
	[ENETDOWN] = "ENETDOWN",
	[ENETUNREACH] = "ENETUNREACH",
	[ENETRESET] = "ENETRESET",
	[ECONNABORTED] = "ECONNABORTED",
	[ECONNRESET] = "ECONNRESET",
	[ENOBUFS] = "ENOBUFS",
	[EISCONN] = "EISCONN",
	[ENOTCONN] = "ENOTCONN",
	[ESHUTDOWN] = "ESHUTDOWN",
	[ETOOMANYREFS] = "ETOOMANYREFS",
	[ETIMEDOUT] = "ETIMEDOUT",
	[ECONNREFUSED] = "ECONNREFUSED",
	[EHOSTDOWN] = "EHOSTDOWN",
	[EHOSTUNREACH] = "EHOSTUNREACH",
	[EALREADY] = "EALREADY",
	[EINPROGRESS] = "EINPROGRESS",
	[ESTALE] = "ESTALE",
	[EUCLEAN] = "EUCLEAN",
	[ENOTNAM] = "ENOTNAM",
	[ENAVAIL] = "ENAVAIL",
	[EISNAM] = "EISNAM",
	[EREMOTEIO] = "EREMOTEIO",
	[EDQUOT] = "EDQUOT",
	[ENOMEDIUM] = "ENOMEDIUM",
	[EMEDIUMTYPE] = "EMEDIUMTYPE",
	[ECANCELED] = "ECANCELED",
	[ENOKEY] = "ENOKEY",
	[EKEYEXPIRED] = "EKEYEXPIRED",
	[EKEYREVOKED] = "EKEYREVOKED",
	[EKEYREJECTED] = "EKEYREJECTED",
	[EOWNERDEAD] = "EOWNERDEAD",
	[ENOTRECOVERABLE] = "ENOTRECOVERABLE",
	[ERFKILL] = "ERFKILL",
	[EHWPOISON] = "EHWPOISON",
};

static void put(struct line *line, char c)
{
	if (line->n < LINE_BYTES - 1) /* the newline has its place */
		line->text[line->n++] = c;
}

static void put_text(struct line *line, const char *text)
{
	while (*text)
		put(line, *text++);
}

static void put_number(struct line *line, uint64_t value, unsigned int base)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (n)
		put(line, digits[--n]);
}

static void put_signed(struct line *line, long value)
{
	if (value < 0)
		put(line, '-');
	put_number(line, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void put_hex(struct line *line, uint64_t value)
{
	put_text(line, value ? "0x" : "");
	put_number(line, value, 16);
}

static void put_escaped(struct line *line, unsigned char c)
{
	if (c == '\n' || c == '\t' || c == '\r') {
		put(line, '\\');
		put(line, c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
	} else if (c == '"' || c == '\\') {
		put(line, '\\');
		put(line, (char)c);
	} else if (c >= ' ' && c < 127) {
		put(line, (char)c);
	} else {
		put(line, '\\');
		put(line, 'x');
		put(line, "0123456789abcdef"[c >> 4]);
		put(line, "0123456789abcdef"[c & 15]);
	}
}

/* Up to `bytes` bytes, or to a zero byte if that comes first and `is_string`. */
static void put_memory(struct line *line, uint64_t address, uint64_t bytes, int is_string)
{
	uint64_t shown = bytes < TEXT_MAX ? bytes : TEXT_MAX, i;

	if (!mm_present(address)) {
		put_text(line, address ? "" : "NULL");
		if (address)
			put_hex(line, address);
		return;
	}
	put(line, '"');
	for (i = 0; i < shown && mm_present(address + i); i++) {
		unsigned char c = *(const volatile unsigned char *)(address + i);

		if (is_string && !c)
			break;
		put_escaped(line, c);
	}
	put(line, '"');
	if (i == TEXT_MAX && bytes > TEXT_MAX)
		put_text(line, "...");
}

static void put_protection(struct line *line, long value)
{
	put_text(line, value == PROT_NONE		   ? "PROT_NONE"
		       : value == PROT_READ		   ? "PROT_READ"
		       : value == (PROT_READ | PROT_WRITE) ? "PROT_READ|PROT_WRITE"
		       : value == (PROT_READ | PROT_EXEC)  ? "PROT_READ|PROT_EXEC"
							   : "PROT_");
	if (value & ~3l && value != (PROT_READ | PROT_EXEC))
		put_hex(line, (uint64_t)value);
}

/* `result` is known (is_over) only when the call has returned. */
static void put_argument(struct line *line, char kind, const long *arg, long result, int is_over)
{
	switch (kind) {
	case 'd':
	case 'S':
		put_signed(line, (int)*arg);
		break;
	case 'u':
		put_number(line, (uint64_t)*arg, 10);
		break;
	case 'o':
	case 'F':
		put(line, '0');
		put_number(line, (uint64_t)*arg & 0xffffffff, 8);
		break;
	case 's':
		put_memory(line, (uint64_t)*arg, UINT64_MAX, 1);
		break;
	case 'b':
		put_memory(line, (uint64_t)*arg, (uint64_t)arg[1], 0);
		break;
	case 'B':
		if (is_over && result >= 0)
			put_memory(line, (uint64_t)*arg, (uint64_t)result, 0);
		else
			put_hex(line, (uint64_t)*arg);
		break;
	case 'P':
		put_protection(line, *arg);
		break;
	case 'p':
		put_text(line, *arg ? "" : "NULL");
		if (*arg)
			put_hex(line, (uint64_t)*arg);
		break;
	default:
		put_hex(line, (uint64_t)*arg);
		break;
	}
}

static void put_call(struct line *line, const struct trace_signature *s, long number,
		     const long args[ARGUMENTS], long result, int is_over)
{
	const char *kinds = s->arguments ? s->arguments : "xxxxxx";

	put(line, '[');
	put_number(line, (uint64_t)sys_gettid(), 10);
	put_text(line, "] ");
	if (s->name) {
		put_text(line, s->name);
	} else {
		put_text(line, "syscall_");
		put_number(line, (uint64_t)number, 10);
	}
	put(line, '(');
	if (*kinds == '!')
		kinds++;
	for (int i = 0; kinds[i] && i < ARGUMENTS; i++) {
		if (i)
			put_text(line, ", ");
		put_argument(line, kinds[i], &args[i], result, is_over);
	}
	put_text(line, ") = ");
}

static void put_result(struct line *line, long result)
{
	unsigned long code = -(unsigned long)result;

	if (code == RESTART_UNLESS_HANDLED || code == RESTART_NO_HANDLER) {
		put_text(line, "? (interrupted by a signal)");
	} else if (code && code < sizeof(errno_names) / sizeof(*errno_names) && errno_names[code]) {
		put_text(line, "-1 ");
		put_text(line, errno_names[code]);
	} else if (result > 1l << 32) {
		put_hex(line, (uint64_t)result);
	} else {
		put_signed(line, result);
	}
}

static void print(struct line *line)
{
	line->text[line->n++] = '\n';
	console_write(line->text, line->n);
}

/* Called in place of every system call, with its arguments. */
long trace_call(const long args[ARGUMENTS], long number)
{
	/* TABLE_GUARDED is no part of the address; what it asks for, the caller did. */
	uintptr_t at = (uintptr_t)syscall_table[number] & ~(uintptr_t)TABLE_GUARDED;
	const struct trace_signature *s = &trace_signatures[number];
	struct line line = {.n = 0};
	long result = 0;
	int returns = !s->arguments || s->arguments[0] != '!';

	if (!returns) {
		put_call(&line, s, number, args, 0, 0);
		put(&line, '?');
		print(&line);
	}
	if (at == (uintptr_t)sys_missing)
		result = sys_unknown(number);
	else
		result = ((syscall_function)at)(args[0], args[1], args[2], args[3], args[4],
						args[5]);
	if (returns) {
		put_call(&line, s, number, args, result, 1);
		put_result(&line, result);
		print(&line);
	}
	return result;
}

void trace_start(void)
{
	for (int i = 0; i < SYSCALL_COUNT; i++)
		traced[i] = (syscall_function)((uintptr_t)sys_traced |
					       ((uintptr_t)syscall_table[i] & TABLE_GUARDED));
	syscall_functions = traced;
}
