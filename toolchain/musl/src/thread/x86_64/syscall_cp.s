# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# A cancellation point: long __syscall_cp_asm(&cancel, n, a, b, c, d, e, f). Between __cp_begin and
# __cp_end a cancellation signal moves the thread to __cp_cancel. From the store to the thread's
# word "signals wait" on (thread at gs:16, word at its offset 0), a signal instead ends a blocking
# call, which then starts anew from __cp_begin, where the signal handler looks.
.text
.global __cp_begin
.hidden __cp_begin
.global __cp_end
.hidden __cp_end
.global __cp_cancel
.hidden __cp_cancel
.hidden __cancel
.global __syscall_cp_asm
.hidden __syscall_cp_asm
.type __syscall_cp_asm,@function
__syscall_cp_asm:
__cp_begin:
	mov (%rdi),%eax
	test %eax,%eax
	jnz __cp_cancel
	mov %gs:16,%rax
	movl $1,(%rax)
__cp_end:
	jmp __skete_syscall_cp
__cp_cancel:
	jmp __cancel
