/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Users and groups. The program starts as root and may become somebody else; the file system then
 * checks its rights. One set for all threads, as POSIX has it.
 */
#include <errno.h>
#include <sys/types.h>

#include "../fs/inode.h"
#include "sys.h"

#define GROUPS_MAX 64
#define KEEP	   ((uint32_t)-1)

static struct ids {
	uint32_t real, effective, saved;
} users, groups;
static uint32_t fs_user, fs_group;
static uint32_t more_groups[GROUPS_MAX], more_count;
static uint32_t session = 1, group_leader = 1;

uint32_t caller_uid(void)
{
	return fs_user;
}

uint32_t caller_gid(void)
{
	return fs_group;
}

int caller_in_group(uint32_t gid)
{
	if (gid == fs_group)
		return 1;
	for (uint32_t i = 0; i < more_count; i++)
		if (more_groups[i] == gid)
			return 1;
	return 0;
}

static int may_become(const struct ids *ids, uint32_t id)
{
	return users.effective == 0 || id == KEEP || id == ids->real || id == ids->effective ||
	       id == ids->saved;
}

static long set(struct ids *ids, uint32_t real, uint32_t effective, uint32_t saved)
{
	if (!may_become(ids, real) || !may_become(ids, effective) || !may_become(ids, saved))
		return -EPERM;
	if (real != KEEP)
		ids->real = real;
	if (effective != KEEP)
		ids->effective = effective;
	if (saved != KEEP)
		ids->saved = saved;
	fs_user = users.effective;
	fs_group = groups.effective;
	return 0;
}

long sys_getuid(void)
{
	return users.real;
}

long sys_geteuid(void)
{
	return users.effective;
}

long sys_getgid(void)
{
	return groups.real;
}

long sys_getegid(void)
{
	return groups.effective;
}

long sys_setresuid(uint32_t real, uint32_t effective, uint32_t saved)
{
	return set(&users, real, effective, saved);
}

long sys_setresgid(uint32_t real, uint32_t effective, uint32_t saved)
{
	return set(&groups, real, effective, saved);
}

/* The saved id follows the effective one if the real one is set, or the two differ. */
static long set_two(struct ids *ids, uint32_t real, uint32_t effective)
{
	int follows = real != KEEP || (effective != KEEP && effective != ids->real);
	long result = set(ids, real, effective, KEEP);

	if (!result && follows)
		ids->saved = ids->effective;
	return result;
}

long sys_setreuid(uint32_t real, uint32_t effective)
{
	return set_two(&users, real, effective);
}

long sys_setregid(uint32_t real, uint32_t effective)
{
	return set_two(&groups, real, effective);
}

long sys_setuid(uint32_t id)
{
	return users.effective == 0 ? set(&users, id, id, id) : set(&users, KEEP, id, KEEP);
}

long sys_setgid(uint32_t id)
{
	return users.effective == 0 ? set(&groups, id, id, id) : set(&groups, KEEP, id, KEEP);
}

long sys_setfsuid(uint32_t id)
{
	uint32_t old = fs_user;

	if (may_become(&users, id) && id != KEEP)
		fs_user = id;
	return old;
}

long sys_setfsgid(uint32_t id)
{
	uint32_t old = fs_group;

	if (may_become(&groups, id) && id != KEEP)
		fs_group = id;
	return old;
}

long sys_getresuid(uint32_t *real, uint32_t *effective, uint32_t *saved)
{
	*real = users.real;
	*effective = users.effective;
	*saved = users.saved;
	return 0;
}

long sys_getresgid(uint32_t *real, uint32_t *effective, uint32_t *saved)
{
	*real = groups.real;
	*effective = groups.effective;
	*saved = groups.saved;
	return 0;
}

long sys_getgroups(int room, uint32_t *list)
{
	if (room < 0 || (room && (uint32_t)room < more_count))
		return -EINVAL;
	for (uint32_t i = 0; room && i < more_count; i++)
		list[i] = more_groups[i];
	return more_count;
}

long sys_setgroups(int count, const uint32_t *list)
{
	if (users.effective)
		return -EPERM;
	if (count < 0 || count > GROUPS_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++)
		more_groups[i] = list[i];
	more_count = (uint32_t)count;
	return 0;
}

/* One process, which leads its group and its session. */
long sys_getpgid(int pid)
{
	return pid == 0 || pid == 1 ? (long)group_leader : -ESRCH;
}

long sys_getpgrp(void)
{
	return group_leader;
}

long sys_getsid(int pid)
{
	return pid == 0 || pid == 1 ? (long)session : -ESRCH;
}

long sys_setpgid(int pid, int group)
{
	if (pid != 0 && pid != 1)
		return -ESRCH;
	return group == 0 || group == 1 ? 0 : -EPERM;
}

long sys_setsid(void)
{
	return -EPERM; /* it leads its group already */
}
