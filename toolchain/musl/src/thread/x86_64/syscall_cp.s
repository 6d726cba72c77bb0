# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# A cancellation point: long __syscall_cp_asm(&cancel, n, a, b, c, d, e, f). Between __cp_begin and
# __cp_end a cancellation signal moves the thread to __cp_cancel. Once the thread's counter "defer
# signals" (thread at gs:16, counter at its offset 0) is raised, a signal instead makes the blocking
# call return -EINTR.
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
	incl (%rax)
__cp_end:
	mov 8(%rsp),%rax
	mov 16(%rsp),%r11
	push %rsi
	mov %rdx,%rdi
	mov %rcx,%rsi
	mov %r8,%rdx
	mov %r9,%rcx
	mov %rax,%r8
	mov %r11,%r9
	call __skete_syscall
	mov %rax,(%rsp)
	call __skete_cp_leave
	pop %rax
	ret
__cp_cancel:
	jmp __cancel
