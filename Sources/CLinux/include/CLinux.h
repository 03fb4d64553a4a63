// Linux calls that Swift cannot make itself: variadic ones, those behind _GNU_SOURCE, and those whose
// structures differ between systems. Nothing here is variadic.
//
// Every function returns what the system call returns, or -errno. None of them retries on EINTR
// unless it says so.

#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Data

/// Reads what the page cache holds; -EAGAIN when nothing of it is there (preadv2, RWF_NOWAIT).
/// File systems without support for this answer -EOPNOTSUPP.
ssize_t clinux_pread_nowait(int fd, void *_Nonnull buffer, size_t count, int64_t offset);

/// The same into several buffers, one after the other.
ssize_t clinux_preadv_nowait(
    int fd, const struct iovec *_Nonnull buffers, int count, int64_t offset);

ssize_t clinux_pread(int fd, void *_Nonnull buffer, size_t count, int64_t offset);

ssize_t clinux_pwrite(int fd, const void *_Nonnull buffer, size_t count, int64_t offset);

ssize_t clinux_pwritev(int fd, const struct iovec *_Nonnull buffers, int count, int64_t offset);

int clinux_fsync(int fd);

int clinux_fdatasync(int fd);

/// Waits for writes under way in the range, starts writing its dirty pages, or both (sync_file_range).
/// @param flags CLINUX_SYNC_…; this alone makes nothing durable.
int clinux_sync_file_range(int fd, int64_t offset, int64_t count, uint32_t flags);

int clinux_ftruncate(int fd, int64_t size);

/// Frees the storage of a range, which then reads as zeros; the file's size stays.
int clinux_punch_hole(int fd, int64_t offset, int64_t count);

/// Reserves storage for a range; the file grows to its end when it is shorter.
int clinux_preallocate(int fd, int64_t offset, int64_t count);

/// Copies inside the kernel, sharing extents where the file system can. Both offsets are explicit.
ssize_t clinux_copy_file_range(
    int source, int64_t source_offset, int target, int64_t target_offset, size_t count);

/// Where the first data at or after an offset is; -ENXIO when there is none up to the file's end (SEEK_DATA).
int64_t clinux_seek_data(int fd, int64_t offset);

/// Where the first hole at or after an offset is; a file ends with one (SEEK_HOLE).
int64_t clinux_seek_hole(int fd, int64_t offset);

#define CLINUX_SYNC_WAIT_BEFORE 1U
#define CLINUX_SYNC_WRITE 2U
#define CLINUX_SYNC_WAIT_AFTER 4U

// MARK: Names

/// Opens below `directory` as openat2(2) does.
/// @param flags O_… and CLINUX_O_PATH.
/// @param mode permission bits when flags create, otherwise 0.
/// @param resolve CLINUX_RESOLVE_….
int clinux_openat2(
    int directory, const char *_Nonnull path, uint64_t flags, uint64_t mode, uint64_t resolve);

int clinux_renameat2(
    int old_directory, const char *_Nonnull old_name,
    int new_directory, const char *_Nonnull new_name, uint32_t flags);

/// Makes a directory and those above it that are missing; one that exists is no error.
int clinux_mkdir_parents(const char *_Nonnull path, uint32_t mode);

/// @return the length of the target, which is not terminated; `capacity` means it may be cut.
ssize_t clinux_readlinkat(
    int directory, const char *_Nonnull name, char *_Nonnull buffer, size_t capacity);

#define CLINUX_RESOLVE_NO_XDEV 0x01ULL
#define CLINUX_RESOLVE_NO_MAGICLINKS 0x02ULL
#define CLINUX_RESOLVE_NO_SYMLINKS 0x04ULL
#define CLINUX_RESOLVE_BENEATH 0x08ULL
#define CLINUX_O_PATH 010000000ULL
#define CLINUX_RENAME_NOREPLACE 1U
#define CLINUX_RENAME_EXCHANGE 2U

// MARK: Attributes

/// The attributes of a file, in the same units on every architecture.
struct clinux_stat {
    /// S_IFMT bits.
    uint32_t type;
    /// Permission bits, 07777 at most.
    uint32_t mode;
    uint64_t nlink;
    uint32_t uid;
    uint32_t gid;
    /// Bytes.
    uint64_t size;
    /// Units of 512 bytes.
    uint64_t blocks;
    uint64_t dev;
    uint64_t ino;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    int64_t atime_sec;
    int64_t mtime_sec;
    int64_t ctime_sec;
    uint32_t atime_nsec;
    uint32_t mtime_nsec;
    uint32_t ctime_nsec;
};

int clinux_fstat(int fd, struct clinux_stat *_Nonnull result);

/// @param flags AT_SYMLINK_NOFOLLOW, CLINUX_AT_EMPTY_PATH.
int clinux_fstatat(
    int directory, const char *_Nonnull name, int flags, struct clinux_stat *_Nonnull result);

#define CLINUX_AT_EMPTY_PATH 0x1000

/// The space of a file system. Blocks are of `block_size` bytes.
struct clinux_statvfs {
    uint64_t block_size;
    uint64_t blocks;
    uint64_t blocks_free;
    /// What an unprivileged user may take.
    uint64_t blocks_available;
    uint64_t files;
    uint64_t files_free;
    uint64_t files_available;
    uint64_t name_maximum;
};

int clinux_fstatvfs(int fd, struct clinux_statvfs *_Nonnull result);

int clinux_statvfs(const char *_Nonnull path, struct clinux_statvfs *_Nonnull result);

// MARK: Directories

/// A directory being read.
typedef struct clinux_dir clinux_dir;

/// Begins reading a directory and takes over `fd`.
/// @return NULL on failure, with errno set; `fd` is then still the caller's.
clinux_dir *_Nullable clinux_dir_open(int fd);

/// The next entry, `.` and `..` among them.
/// @param name room for 256 bytes; terminated by NUL.
/// @param type S_IFMT bits, 0 where the file system does not say.
/// @return 1, or 0 at the end.
int clinux_dir_next(
    clinux_dir *_Nonnull directory, char *_Nonnull name, uint64_t *_Nonnull ino,
    uint32_t *_Nonnull type);

/// Ends reading and closes the descriptor.
void clinux_dir_close(clinux_dir *_Nonnull directory);

// MARK: Process

/// Marks the calling thread, and threads it starts later, as one that file data is written through:
/// its allocations then never wait for that (PR_SET_IO_FLUSHER; needs CAP_SYS_RESOURCE).
int clinux_set_io_flusher(void);
/// Lets malloc keep buffers of up to 32 MiB for reuse, where it would map and unmap each of them:
/// that costs a page fault for every 4 KiB of every large reply (mallopt).
void clinux_keep_large_buffers(void);
/// Gives the system back what malloc has and nobody uses. Takes milliseconds with much memory, and
/// allocations wait meanwhile.
void clinux_return_free_memory(void);

/// Sends one message to a datagram socket of the file system, or, with `@` in front, of the abstract
/// namespace (sd_notify(3)). Waits for a second at most. The receiver gets a copy of the descriptor `passed`, unless
/// that is -1.
int clinux_notify(const char *_Nonnull socket_path, const char *_Nonnull message, int passed);

/// Starts a program in a session of its own, in `/`, without standard input, so that it outlives the
/// terminal and the directory that it was started from.
/// @param arguments ends with NULL; the first names the program.
/// @param output what becomes its standard output, and `errors` its standard error.
/// @return its process id, or a negative errno.
int clinux_spawn_background(
    const char *_Nonnull path, char *_Nullable const *_Nonnull arguments, int output, int errors);

/// Starts a program that ends with this one: when the calling thread ends, however that happens, the kernel
/// sends it SIGTERM. So call it on a thread that lives as long as the program may. The program is in a
/// process group of its own, and has no other descriptor than the standard three.
/// @param arguments ends with NULL; the first names the program.
/// @param environment ends with NULL.
/// @param input what can be sent to its standard input, a socket; closed on exec. NULL: it reads nothing.
/// @param output what its standard output and standard error can be read from; closed on exec.
/// @param process names the process, to be polled for its end; closed on exec.
/// @return its process id, to be waited for, or a negative errno, that of execve(2) included.
int clinux_spawn_tied(
    const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
    char *_Nullable const *_Nonnull environment, int *_Nullable input, int *_Nonnull output,
    int *_Nonnull process);

/// Has a program that is started not get any descriptor but the standard three: one that another thread has
/// just opened may not be marked to be closed yet (posix_spawn_file_actions_addclosefrom_np).
/// @return 0, or a positive errno, as posix_spawn.
int clinux_spawn_close_others(posix_spawn_file_actions_t *_Nonnull actions);

/// Sends a process a signal and waits until it has ended. Its number cannot become another's meanwhile.
/// @return 0, or a negative errno: -ESRCH when there is no such process.
int clinux_end_process(int pid, int signal_number);

/// Takes the exclusive lock of an open file, or answers -EWOULDBLOCK (flock).
int clinux_flock_exclusive_nonblocking(int fd);

/// Gives that lock up, for all descriptors of the open file.
int clinux_funlock(int fd);

/// Fills the buffer with random bytes, all of it. Retries on EINTR.
int clinux_random(void *_Nonnull buffer, size_t count);

/// Whether something keeps the system's clock in step with another (adjtimex).
/// @return 1 or 0, or a negative errno.
int clinux_clock_is_synchronized(void);

/// Makes a counter of events (eventfd) from which each read takes one, with more than anybody takes.
/// @return a descriptor that does not block and is closed on exec, or a negative errno.
int clinux_endless_events(void);

// MARK: Checksums

/// Goes on with a CRC-32C (RFC 3720 B.4) over more bytes, by the processor's own instruction where it
/// has one.
/// @param crc of the bytes before; 0 to begin.
uint32_t clinux_crc32c(uint32_t crc, const void *_Nullable bytes, size_t count);

/// The same without that instruction.
uint32_t clinux_crc32c_by_table(uint32_t crc, const void *_Nullable bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif
