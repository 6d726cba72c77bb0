# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
# The unikernel's thread creation takes the arguments of __clone as they are.
.text
.global __clone
.hidden __clone
.type __clone,@function
__clone:
	jmp __skete_clone
