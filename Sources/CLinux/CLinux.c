#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

// The header spells these out because Swift cannot see the system's.
_Static_assert(CLINUX_RESOLVE_NO_XDEV == RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV");
_Static_assert(CLINUX_RESOLVE_NO_MAGICLINKS == RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS");
_Static_assert(CLINUX_RESOLVE_NO_SYMLINKS == RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS");
_Static_assert(CLINUX_RESOLVE_BENEATH == RESOLVE_BENEATH, "RESOLVE_BENEATH");
_Static_assert(CLINUX_O_PATH == O_PATH, "O_PATH");
_Static_assert(CLINUX_RENAME_NOREPLACE == RENAME_NOREPLACE, "RENAME_NOREPLACE");
_Static_assert(CLINUX_RENAME_EXCHANGE == RENAME_EXCHANGE, "RENAME_EXCHANGE");
_Static_assert(CLINUX_AT_EMPTY_PATH == AT_EMPTY_PATH, "AT_EMPTY_PATH");
_Static_assert(CLINUX_SYNC_WAIT_BEFORE == SYNC_FILE_RANGE_WAIT_BEFORE, "WAIT_BEFORE");
_Static_assert(CLINUX_SYNC_WRITE == SYNC_FILE_RANGE_WRITE, "WRITE");
_Static_assert(CLINUX_SYNC_WAIT_AFTER == SYNC_FILE_RANGE_WAIT_AFTER, "WAIT_AFTER");

// -errno for a failed call, its result otherwise.
static inline int outcome(int result) { return result < 0 ? -errno : result; }
static inline ssize_t transferred(ssize_t result) { return result < 0 ? -errno : result; }

// MARK: Data

ssize_t clinux_pread_nowait(int fd, void *buffer, size_t count, int64_t offset) {
    struct iovec vector = {.iov_base = buffer, .iov_len = count};
    return transferred(preadv2(fd, &vector, 1, offset, RWF_NOWAIT));
}

ssize_t clinux_preadv_nowait(int fd, const struct iovec *buffers, int count, int64_t offset) {
    return transferred(preadv2(fd, buffers, count, offset, RWF_NOWAIT));
}

ssize_t clinux_pread(int fd, void *buffer, size_t count, int64_t offset) {
    return transferred(pread(fd, buffer, count, offset));
}

ssize_t clinux_pwrite(int fd, const void *buffer, size_t count, int64_t offset) {
    return transferred(pwrite(fd, buffer, count, offset));
}

ssize_t clinux_pwritev(int fd, const struct iovec *buffers, int count, int64_t offset) {
    return transferred(pwritev(fd, buffers, count, offset));
}

int clinux_fsync(int fd) { return outcome(fsync(fd)); }

int clinux_fdatasync(int fd) { return outcome(fdatasync(fd)); }

int clinux_sync_file_range(int fd, int64_t offset, int64_t count, uint32_t flags) {
    return outcome(sync_file_range(fd, offset, count, flags));
}

int clinux_ftruncate(int fd, int64_t size) { return outcome(ftruncate(fd, size)); }

int clinux_punch_hole(int fd, int64_t offset, int64_t count) {
    return outcome(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count));
}

int clinux_preallocate(int fd, int64_t offset, int64_t count) {
    return outcome(fallocate(fd, 0, offset, count));
}

ssize_t clinux_copy_file_range(
    int source, int64_t source_offset, int target, int64_t target_offset, size_t count) {
    off64_t from = source_offset;
    off64_t to = target_offset;
    return transferred(copy_file_range(source, &from, target, &to, count, 0));
}

int64_t clinux_seek_data(int fd, int64_t offset) {
    return transferred(lseek(fd, offset, SEEK_DATA));
}

int64_t clinux_seek_hole(int fd, int64_t offset) {
    return transferred(lseek(fd, offset, SEEK_HOLE));
}

// MARK: Names

// openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, one name after the other; with no names ".." at all.
static int open_by_names(int directory, const char *path, int flags, uint64_t resolve) {
    struct statx start, found;
    if (*path == '/') return -EXDEV;
    if (strlen(path) >= PATH_MAX) return -ENAMETOOLONG;
    if (statx(directory, "", AT_EMPTY_PATH, STATX_MNT_ID, &start) < 0) return -errno;
    // Before Linux 5.8 it is not told which mount something is of.
    if (resolve & RESOLVE_NO_XDEV && !(start.stx_mask & STATX_MNT_ID)) return -ENOSYS;
    int at = directory, is_last = 0, code = -ENOENT;
    for (const char *rest = path; *rest && !is_last;) {
        char name[NAME_MAX + 1];
        size_t length = strcspn(rest, "/");
        const char *next = rest + length + strspn(rest + length, "/");
        is_last = !*next;
        if (length > NAME_MAX) code = -ENAMETOOLONG;
        else if (length == 2 && !memcmp(rest, "..", 2)) code = -EXDEV;
        else {
            memcpy(name, rest, length);
            name[length] = 0;
            code = outcome(openat(at, name, (is_last ? flags : O_PATH | O_CLOEXEC) | O_NOFOLLOW));
            // A link where a directory is wanted.
            if (code == -ENOTDIR && is_last && !(flags & O_NOFOLLOW)
                && statx(at, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &found) == 0 && S_ISLNK(found.stx_mode))
                code = -ELOOP;
        }
        if (at != directory) close(at);
        if (code < 0) return code;
        at = code;
        rest = next;
        if (statx(at, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &found) < 0) code = -errno;
        else if (resolve & RESOLVE_NO_XDEV && found.stx_mnt_id != start.stx_mnt_id) code = -EXDEV;
        else if (S_ISLNK(found.stx_mode) && !(is_last && flags & O_NOFOLLOW)) code = -ELOOP;
        if (code < 0) {
            close(at);
            return code;
        }
    }
    return code;
}

int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    const uint64_t by_names = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    int code = outcome((int)syscall(SYS_openat2, directory, path, &how, sizeof how));
    // Filters cannot see its arguments, so those that must know what is made refuse it: systemd's RestrictSUIDSGID.
    if (code != -ENOSYS || (resolve & by_names) != by_names || flags & O_CREAT) return code;
    return open_by_names(directory, path, (int)flags, resolve);
}

int clinux_renameat2(
    int old_directory, const char *old_name, int new_directory, const char *new_name,
    uint32_t flags) {
    return outcome(renameat2(old_directory, old_name, new_directory, new_name, flags));
}

// mkdir(2), with success when a directory stands there already.
static int make_directory(const char *path, mode_t mode) {
    if (mkdir(path, mode) == 0) return 0;
    int failure = errno;
    if (failure != EEXIST) return -failure;
    struct stat found;
    if (stat(path, &found) < 0) return -errno;
    return S_ISDIR(found.st_mode) ? 0 : -ENOTDIR;
}

int clinux_mkdir_parents(const char *path, uint32_t mode) {
    char prefix[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0) return -ENOENT;
    if (length >= sizeof prefix) return -ENAMETOOLONG;
    memcpy(prefix, path, length + 1);
    for (size_t index = 1; index < length; index++) {
        if (prefix[index] != '/') continue;
        prefix[index] = '\0';
        int result = make_directory(prefix, mode);
        if (result < 0) return result;
        prefix[index] = '/';
    }
    return make_directory(path, mode);
}

ssize_t clinux_readlinkat(int directory, const char *name, char *buffer, size_t capacity) {
    return transferred(readlinkat(directory, name, buffer, capacity));
}

// MARK: Attributes

static void convert_stat(const struct stat *from, struct clinux_stat *to) {
    *to = (struct clinux_stat){
        .type = from->st_mode & S_IFMT,
        .mode = from->st_mode & 07777,
        .nlink = from->st_nlink,
        .uid = from->st_uid,
        .gid = from->st_gid,
        .size = (uint64_t)from->st_size,
        .blocks = (uint64_t)from->st_blocks,
        .dev = from->st_dev,
        .ino = from->st_ino,
        .rdev_major = major(from->st_rdev),
        .rdev_minor = minor(from->st_rdev),
        .atime_sec = from->st_atim.tv_sec,
        .mtime_sec = from->st_mtim.tv_sec,
        .ctime_sec = from->st_ctim.tv_sec,
        .atime_nsec = (uint32_t)from->st_atim.tv_nsec,
        .mtime_nsec = (uint32_t)from->st_mtim.tv_nsec,
        .ctime_nsec = (uint32_t)from->st_ctim.tv_nsec,
    };
}

int clinux_fstat(int fd, struct clinux_stat *result) {
    struct stat found;
    if (fstat(fd, &found) < 0) return -errno;
    convert_stat(&found, result);
    return 0;
}

int clinux_fstatat(int directory, const char *name, int flags, struct clinux_stat *result) {
    struct stat found;
    if (fstatat(directory, name, &found, flags) < 0) return -errno;
    convert_stat(&found, result);
    return 0;
}

static void convert_statvfs(const struct statvfs *from, struct clinux_statvfs *to) {
    *to = (struct clinux_statvfs){
        .block_size = from->f_frsize != 0 ? from->f_frsize : from->f_bsize,
        .blocks = from->f_blocks,
        .blocks_free = from->f_bfree,
        .blocks_available = from->f_bavail,
        .files = from->f_files,
        .files_free = from->f_ffree,
        .files_available = from->f_favail,
        .name_maximum = from->f_namemax,
    };
}

int clinux_fstatvfs(int fd, struct clinux_statvfs *result) {
    struct statvfs found;
    if (fstatvfs(fd, &found) < 0) return -errno;
    convert_statvfs(&found, result);
    return 0;
}

int clinux_statvfs(const char *path, struct clinux_statvfs *result) {
    struct statvfs found;
    if (statvfs(path, &found) < 0) return -errno;
    convert_statvfs(&found, result);
    return 0;
}

// MARK: Directories

// A clinux_dir is libc's DIR under a name that Swift sees as an opaque pointer.

clinux_dir *clinux_dir_open(int fd) { return (clinux_dir *)fdopendir(fd); }

int clinux_dir_next(clinux_dir *directory, char *name, uint64_t *ino, uint32_t *type) {
    // readdir tells the end from a failure only by errno.
    errno = 0;
    struct dirent *entry = readdir((DIR *)directory);
    if (entry == NULL) return -errno;
    size_t length = strlen(entry->d_name);
    if (length > NAME_MAX) return -ENAMETOOLONG;
    memcpy(name, entry->d_name, length + 1);
    *ino = entry->d_ino;
    *type = DTTOIF(entry->d_type);
    return 1;
}

void clinux_dir_close(clinux_dir *directory) { closedir((DIR *)directory); }

// MARK: Process

int clinux_set_io_flusher(void) { return outcome(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)); }

int clinux_spawn_close_others(posix_spawn_file_actions_t *actions) {
    return posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

int clinux_spawn_background(
    const char *path, char *const *arguments, int output, int errors)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = 0;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, errors, 2);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    clinux_spawn_close_others(&actions);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int code = posix_spawn(&pid, path, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? pid : -code;
}

// What remains to be done in a new process; it may only make calls that are safe after a fork among threads.
static _Noreturn void become_tied(
    const char *path, char *const *arguments, char *const *environment, pid_t parent, int input, int output,
    int failure)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) sigaction(number, &by_default, NULL);
    setpgid(0, 0);
    // From here on the end of the parent is told; it may have come before.
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0) goto failed;
    if (getppid() != parent) _exit(1);
    if (input < 0) input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) goto failed;
    if (failure != 3) {
        if (dup3(failure, 3, O_CLOEXEC) < 0) goto failed;
        failure = 3;
    }
    if (syscall(SYS_close_range, 4, ~0U, 0) < 0) goto failed;
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(path, arguments, environment);
failed:;
    int code = errno;
    if (write(failure, &code, sizeof code) < 0) _exit(2);
    _exit(1);
}

// A descriptor that is none of the standard three, which a new process replaces.
static int above_standard(int fd) {
    if (fd < 0 || fd > 2) return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return moved;
}

static void close_both(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

static int both_above_standard(int ends[2]) {
    ends[0] = above_standard(ends[0]);
    ends[1] = above_standard(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) return 0;
    int code = errno;
    close_both(ends);
    return -code;
}

static int pipe_above_standard(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    return both_above_standard(ends);
}

static int socket_pair_above_standard(int ends[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    return both_above_standard(ends);
}

int clinux_spawn_tied(
    const char *path, char *const *arguments, char *const *environment, int *input, int *output,
    int *process)
{
    int lines[2], failure[2], words[2] = {-1, -1};
    int code = pipe_above_standard(lines);
    if (code < 0) return code;
    code = pipe_above_standard(failure);
    if (code < 0) {
        close_both(lines);
        return code;
    }
    if (input) code = socket_pair_above_standard(words);
    if (code < 0) {
        close_both(lines);
        close_both(failure);
        return code;
    }
    // A handler of this process must not run in the new one.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) become_tied(path, arguments, environment, parent, words[1], lines[1], failure[1]);
    code = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(lines[1]);
    close(failure[1]);
    if (input) close(words[1]);
    if (code == 0) {
        // Nothing comes when the program has begun.
        int reason = 0;
        ssize_t count;
        do count = read(failure[0], &reason, sizeof reason);
        while (count < 0 && errno == EINTR);
        if (count == sizeof reason) code = -reason;
        if (code == 0) {
            *process = (int)syscall(SYS_pidfd_open, pid, 0);
            if (*process < 0) code = -errno;
        }
        if (code < 0) {
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
            }
        }
    }
    close(failure[0]);
    if (code < 0) {
        close(lines[0]);
        if (input) close(words[0]);
        return code;
    }
    if (input) *input = words[0];
    *output = lines[0];
    return pid;
}

int clinux_end_process(int pid, int signal_number)
{
    int descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
    if (descriptor < 0)
        return -errno;
    int result = 0;
    if (syscall(SYS_pidfd_send_signal, descriptor, signal_number, NULL, 0) < 0) {
        result = -errno;
    } else {
        struct pollfd waiting = {.fd = descriptor, .events = POLLIN};
        while (poll(&waiting, 1, -1) < 0 && errno == EINTR) {
        }
        // Where it is a child of this process.
        waitpid(pid, NULL, WNOHANG);
    }
    close(descriptor);
    return result;
}

int clinux_flock_exclusive_nonblocking(int fd) { return outcome(flock(fd, LOCK_EX | LOCK_NB)); }

int clinux_funlock(int fd) { return outcome(flock(fd, LOCK_UN)); }

int clinux_random(void *buffer, size_t count) {
    uint8_t *next = buffer;
    while (count > 0) {
        ssize_t filled = getrandom(next, count, 0);
        if (filled < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        next += filled;
        count -= (size_t)filled;
    }
    return 0;
}

void clinux_keep_large_buffers(void) {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

void clinux_return_free_memory(void) { malloc_trim(0); }

int clinux_clock_is_synchronized(void) {
    struct timex state = {.modes = 0};
    int code = adjtimex(&state);
    if (code < 0) return -errno;
    return code != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

int clinux_endless_events(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (fd < 0) return -errno;
    if (eventfd_write(fd, (eventfd_t)1 << 62) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_notify(const char *socket_path, const char *message, int passed) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(socket_path);
    if (length == 0 || length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, socket_path, length);
    if (socket_path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct timeval patience = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    struct iovec text = {.iov_base = (void *)message, .iov_len = strlen(message)};
    struct msghdr header = {.msg_name = &address, .msg_namelen = size, .msg_iov = &text, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof passed)] = {0};
    if (passed >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(rights), &passed, sizeof passed);
    }
    ssize_t sent = sendmsg(fd, &header, MSG_NOSIGNAL);
    int error = sent < 0 ? -errno : 0;
    close(fd);
    return error;
}
