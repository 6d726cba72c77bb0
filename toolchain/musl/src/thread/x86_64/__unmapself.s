# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
.text
.global __unmapself
.type __unmapself,@function
__unmapself:
	jmp __skete_unmap_exit
