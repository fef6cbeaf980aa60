/* A disk that fails: writes to files below $CHAOS_DISK end with EIO while the file $CHAOS_DISK.write exists, and syncs
   while $CHAOS_DISK.sync does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *what) {
    const char *disk = getenv("CHAOS_DISK");
    char flag[4096], link[64], path[4096];
    if (!disk) return 0;
    snprintf(flag, sizeof flag, "%s.%s", disk, what);
    if (access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(disk);
    if (strncmp(path, disk, prefix) != 0 || path[prefix] != '/') return 0;
    errno = EIO;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length) {
    if (fails(fd, "write")) return -1;
    return NEXT(write)(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    if (fails(fd, "write")) return -1;
    return NEXT(pwrite)(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    if (fails(fd, "write")) return -1;
    return NEXT(pwrite64)(fd, bytes, length, at);
}

int fsync(int fd) {
    if (fails(fd, "sync")) return -1;
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    if (fails(fd, "sync")) return -1;
    return NEXT(fdatasync)(fd);
}
