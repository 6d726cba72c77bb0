# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
# The unikernel runs programs only on CPUs with FSGSBASE, and enables it.
.text
.global __set_thread_area
.hidden __set_thread_area
.type __set_thread_area,@function
__set_thread_area:
	wrfsbase %rdi
	xor %eax,%eax
	ret
