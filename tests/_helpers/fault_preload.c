/*
 * Makes system calls of a process fail, come short, or be its last. For tests on Linux with glibc: fault_kit.py
 * compiles it, preloads it (LD_PRELOAD) and steers it through the fault_* functions.
 *
 * Only calls on what lies below one folder count, the folder itself included; descriptors are traced to their path.
 * The names are those that CPython is linked with; lseek() is left out, and letting go of a
 * lock: on a file they do not fail. A call that fails did nothing, save close(), which always closes.
 */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { GO_ON = 0, SHORT = -1, KILL = -2, CALL = -3, INTERRUPT = -4, TEAR = -5 }; /* what to do; above 0: the errno to fail with */

static char folder[PATH_MAX], kinds[256];
static char calls[1 << 18];
static size_t calls_len;
static long first, counted, fired;
static int what, for_ever;
static void (*callback)(void);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Watch a folder, or nothing for "". The call number `at` of the given kinds (",write,fsync,", or "" for all) fails. */
void fault_arm(const char *below, const char *of_kinds, long at, int do_what, int all_later, void (*function)(void))
{
    pthread_mutex_lock(&lock);
    snprintf(folder, sizeof folder, "%s", below);
    snprintf(kinds, sizeof kinds, "%s", of_kinds);
    first = at, what = do_what, for_ever = all_later, callback = function;
    counted = fired = 0, calls_len = 0, calls[0] = 0;
    pthread_mutex_unlock(&lock);
}

void fault_disarm(void) { folder[0] = 0; }
long fault_fired(void) { return fired; }
const char *fault_calls(void) { return calls; }

/* Count a call, note it, and say what is to become of it. */
static int judge(const char *name, const char *path)
{
    size_t length = strlen(folder);
    if (!length || !path || strncmp(path, folder, length) || (path[length] && path[length] != '/'))
        return GO_ON;
    char kind[64];
    snprintf(kind, sizeof kind, ",%s,", name);
    pthread_mutex_lock(&lock);
    int verdict = GO_ON;
    if (!kinds[0] || strstr(kinds, kind)) {
        counted++;
        if (counted == first || (for_ever && counted > first))
            verdict = what;
    }
    if (calls_len + 512 < sizeof calls)
        calls_len += snprintf(calls + calls_len, 512, "%s %.300s%s\n", name, path[length] ? path + length + 1 : ".",
                              verdict == GO_ON ? "" : " !");
    void (*function)(void) = verdict == CALL ? callback : NULL;
    if (verdict != GO_ON)
        fired++;
    pthread_mutex_unlock(&lock);
    if (verdict == KILL)
        kill(getpid(), SIGKILL), pause();
    if (function)
        function();
    if (verdict == INTERRUPT)
        raise(SIGINT);
    return verdict == CALL || verdict == INTERRUPT ? GO_ON : verdict;
}

static int judge_fd(const char *name, int fd)
{
    char link[64], path[PATH_MAX];
    if (!folder[0])
        return GO_ON;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0)
        return GO_ON;
    path[length] = 0;
    return judge(name, path);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL_IF(verdict) \
    if ((verdict) > 0) { errno = (verdict); return -1; }

#define WRAP(verdict_of, type, function, parameters, arguments) \
    type function parameters { \
        REAL(function); \
        int verdict = verdict_of; \
        FAIL_IF(verdict) \
        return real arguments; \
    }
#define ON_FD(kind, type, function, parameters, arguments) \
    WRAP(judge_fd(kind, fd), type, function, parameters, arguments)
#define ON_PATH(kind, type, function, parameters, arguments) \
    WRAP(judge(kind, path), type, function, parameters, arguments)

/* One byte of a read or a write, where it is to come short; half of it, and no more of the process, for a tear. */
#define ON_BYTES(kind, function, pointer, parameters, ...) \
    ssize_t function parameters { \
        REAL(function); \
        int verdict = judge_fd(kind, fd); \
        FAIL_IF(verdict) \
        if (verdict == SHORT && count > 1) count = 1; \
        if (verdict == TEAR) count /= 2; \
        ssize_t result = real(fd, data, count, ##__VA_ARGS__); \
        if (verdict == TEAR) kill(getpid(), SIGKILL), pause(); \
        return result; \
    }
#define ON_VECTOR(kind, function, parameters, ...) \
    ssize_t function parameters { \
        REAL(function); \
        int verdict = judge_fd(kind, fd); \
        FAIL_IF(verdict) \
        struct iovec one = {0}; \
        for (int i = 0; verdict == SHORT && i < count && !one.iov_len; i++) \
            one.iov_base = vector[i].iov_base, one.iov_len = vector[i].iov_len > 0; \
        if (verdict == TEAR) { \
            one.iov_base = vector[0].iov_base, one.iov_len = vector[0].iov_len / 2; \
            if (real(fd, count > 1 ? vector : &one, (count + 1) / 2, ##__VA_ARGS__) >= 0) \
                kill(getpid(), SIGKILL), pause(); \
        } \
        return one.iov_len ? real(fd, &one, 1, ##__VA_ARGS__) : real(fd, vector, count, ##__VA_ARGS__); \
    }

ON_BYTES("read", read, void *, (int fd, void *data, size_t count))
ON_BYTES("write", write, const void *, (int fd, const void *data, size_t count))
ON_BYTES("pread", pread64, void *, (int fd, void *data, size_t count, off64_t offset), offset)
ON_BYTES("pwrite", pwrite64, const void *, (int fd, const void *data, size_t count, off64_t offset), offset)
ON_VECTOR("readv", readv, (int fd, const struct iovec *vector, int count))
ON_VECTOR("writev", writev, (int fd, const struct iovec *vector, int count))
ON_VECTOR("preadv", preadv64v2, (int fd, const struct iovec *vector, int count, off64_t offset, int flags), offset, flags)
ON_VECTOR("pwritev", pwritev64v2, (int fd, const struct iovec *vector, int count, off64_t offset, int flags), offset, flags)

ON_FD("fsync", int, fsync, (int fd), (fd))
ON_FD("fdatasync", int, fdatasync, (int fd), (fd))
ON_FD("ftruncate", int, ftruncate64, (int fd, off64_t length), (fd, length))
ON_FD("fchmod", int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(operation & LOCK_UN ? GO_ON : judge_fd("flock", fd), int, flock, (int fd, int operation), (fd, operation))
ON_FD("fstat", int, fstat64, (int fd, struct stat64 *status), (fd, status))
ON_PATH("stat", int, stat64, (const char *path, struct stat64 *status), (path, status))
ON_PATH("lstat", int, lstat64, (const char *path, struct stat64 *status), (path, status))
ON_PATH("readlink", ssize_t, readlink, (const char *path, char *text, size_t size), (path, text, size))
ON_PATH("rename", int, rename, (const char *path, const char *new_path), (path, new_path))
ON_PATH("unlink", int, unlink, (const char *path), (path))
ON_PATH("mkdir", int, mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH("truncate", int, truncate64, (const char *path, off64_t length), (path, length))

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    int verdict = judge(flags & O_CREAT ? "create" : "open", path);
    FAIL_IF(verdict)
    return real(path, flags, mode);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    int verdict = judge("opendir", path);
    if (verdict > 0) {
        errno = verdict;
        return NULL;
    }
    return real(path);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    REAL(posix_fallocate64);
    int verdict = judge_fd("posix_fallocate", fd);
    return verdict > 0 ? verdict : real(fd, offset, length); /* the error is its result */
}

int fcntl64(int fd, int command, ...)
{
    REAL(fcntl64);
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) {
        int verdict = judge_fd("lock", fd);
        FAIL_IF(verdict)
    }
    return real(fd, command, argument);
}

int close(int fd)
{
    REAL(close);
    int verdict = judge_fd("close", fd);
    int result = real(fd);
    FAIL_IF(verdict)
    return result;
}
