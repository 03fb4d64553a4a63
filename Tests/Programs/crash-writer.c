// crash-writer DIR WORKERS SEED (with -DLIBNFS: crash-writer URL WORKERS SEED) - changes files at random
// until SIGTERM, worker N in the directory "workerN" with its files of main, and tells of every change on
// standard output before it begins ("WORKER NUMBER ? OPERATION WORDS...") and once it is acknowledged
// ("WORKER NUMBER ="). Every second worker is killed in the end, in the middle of whatever it does.
// What is acknowledged is durable: file data is written with O_SYNC, or with fsync before the second line.
// Each worker remembers what its files hold and reads them again now and then, past the client's cache.
// An error of any call, or other bytes than were written, end the program: "WORKER NUMBER FAILED WHY".
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef LIBNFS
#include <poll.h>
#include <nfsc/libnfs.h>
static struct nfs_context *nfs;
#endif

enum { FILE_MAXIMUM = 65536, WRITE_MAXIMUM = 12000, NAMES_MAXIMUM = 40, PATH_LENGTH = 96 };
// Files of main in a worker's directory: "mainN" of N + 1 times so many bytes, of pattern N.
enum { MAIN_FILES = 8, MAIN_BYTES = 5000 };

// What a file holds; names of it may be many.
struct node {
    uint32_t size;
    uint32_t links;
    uint8_t data[FILE_MAXIMUM];
};

// A name: of a file, of a directory (node is NULL), or of a symbolic link.
struct name {
    char path[PATH_LENGTH];
    struct node *node;
    char target[PATH_LENGTH];
};

static struct name names[NAMES_MAXIMUM];
static int name_count, worker;
static unsigned long number, next_name;
static uint64_t random_state;

// A line is written at once, so that those of several workers do not mix.
static void say(const char *format, ...) {
    char line[400];
    int length = snprintf(line, sizeof line, "%d %lu ", worker, number);
    va_list words;
    va_start(words, format);
    length += vsnprintf(line + length, sizeof line - length - 1, format, words);
    va_end(words);
    line[length++] = '\n';
    if (write(1, line, length) != length) _exit(3);
}

static _Noreturn void fail(const char *what, const char *why) {
    say("FAILED %s: %s", what, why);
    _exit(2);
}

static uint64_t random_number(void) {
    random_state += 0x9e3779b97f4a7c15;
    uint64_t mixed = (random_state ^ random_state >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

static uint32_t below(uint32_t bound) { return random_number() % bound; }

// The byte of a write with a seed, `index` bytes from its start.
static uint8_t pattern(uint32_t seed, uint32_t index) {
    return ((seed + index) * 2654435761u + index / 256 * 40503u) >> 24;
}

// The client's calls: each succeeds, or ends the program.

#ifdef LIBNFS
// JUKEBOX asks the client to come again; the kernel's does it by itself.
#define must(call, what) ({ \
    int must_result; \
    while ((must_result = (call)) == -EAGAIN) usleep(20000); \
    if (must_result < 0) fail(what, nfs_get_error(nfs)); \
    must_result; \
})

// Its COMMIT may be told JUKEBOX, too, and is not needed; the file is closed all the same.
static void close_file(struct nfsfh *file) {
    int result = nfs_close(nfs, file);
    if (result < 0 && result != -EAGAIN) fail("close", nfs_get_error(nfs));
}

// READ and WRITE do not tell why they failed, but in what is to be said about it; and that only here.
struct transfer {
    int is_done, result;
    uint8_t *into;
};

static void end_transfer(int status, struct nfs_context *context, void *data, void *private) {
    struct transfer *transfer = private;
    transfer->is_done = 1;
    transfer->result = status < 0 && strstr(nfs_get_error(context), "JUKEBOX") ? -EAGAIN : status;
    if (status > 0 && transfer->into) memcpy(transfer->into, data, status);
}

static int wait_for(struct transfer *transfer) {
    while (!transfer->is_done) {
        struct pollfd descriptor = {.fd = nfs_get_fd(nfs), .events = nfs_which_events(nfs)};
        if (poll(&descriptor, 1, 100) < 0) return -errno;
        if (nfs_service(nfs, descriptor.revents) < 0) return -EIO;
    }
    return transfer->result;
}

static int transfer_out(struct nfsfh *file, uint32_t offset, uint32_t size, uint8_t *data) {
    struct transfer transfer = {0};
    int result = nfs_pwrite_async(nfs, file, offset, size, data, end_transfer, &transfer);
    return result < 0 ? result : wait_for(&transfer);
}

static int transfer_in(struct nfsfh *file, uint32_t offset, uint32_t size, uint8_t *data) {
    struct transfer transfer = {.into = data};
    int result = nfs_pread_async(nfs, file, offset, size, end_transfer, &transfer);
    return result < 0 ? result : wait_for(&transfer);
}

static void make_file(const char *path, int mode) {
    struct nfsfh *file;
    must(nfs_open2(nfs, path, O_CREAT | O_EXCL | O_RDWR, mode, &file), "create");
    close_file(file);
}

// libnfs does not send again what a server that was restarted has not kept: O_SYNC is its only promise.
static void write_file(const char *path, uint32_t offset, uint32_t size, uint8_t *data) {
    struct nfsfh *file;
    must(nfs_open(nfs, path, O_WRONLY | O_SYNC, &file), "open");
    if (must(transfer_out(file, offset, size, data), "write") != (int)size) fail("write", "short");
    close_file(file);
}

static uint32_t read_file(const char *path, uint8_t *data) {
    struct nfsfh *file;
    must(nfs_open(nfs, path, O_RDONLY, &file), "open");
    uint32_t size = 0;
    for (int count; (count = must(transfer_in(file, size, FILE_MAXIMUM + 4096 - size, data + size), "read")) > 0;)
        size += count;
    close_file(file);
    return size;
}

static int count_entries(const char *path) {
    struct nfsdir *directory;
    int count = 0;
    must(nfs_opendir(nfs, path, &directory), "opendir");
    for (struct nfsdirent *entry; (entry = nfs_readdir(nfs, directory)) != NULL;)
        if (entry->name[0] != '.') count++;
    nfs_closedir(nfs, directory);
    return count;
}

static void truncate_file(const char *path, uint32_t size) { must(nfs_truncate(nfs, path, size), "truncate"); }
static void rename_name(const char *old, const char *new) { must(nfs_rename(nfs, old, new), "rename"); }
static void unlink_name(const char *path) { must(nfs_unlink(nfs, path), "unlink"); }
static void make_directory(const char *path, int mode) { must(nfs_mkdir2(nfs, path, mode), "mkdir"); }
static void remove_directory(const char *path) { must(nfs_rmdir(nfs, path), "rmdir"); }
static void link_name(const char *old, const char *new) { must(nfs_link(nfs, old, new), "link"); }
static void make_symlink(const char *target, const char *path) { must(nfs_symlink(nfs, target, path), "symlink"); }
static void change_mode(const char *path, int mode) { must(nfs_chmod(nfs, path, mode), "chmod"); }

static void begin(const char *place) {
    nfs = nfs_init_context();
    struct nfs_url *url = nfs ? nfs_parse_url_dir(nfs, place) : NULL;
    if (!url) fail("url", place);
    must(nfs_mount(nfs, url->server, url->path), "mount");
}
#else
static int must(int result, const char *what) {
    if (result < 0) fail(what, strerror(errno));
    return result;
}

static void make_file(const char *path, int mode) {
    must(close(must(open(path, O_CREAT | O_EXCL | O_RDWR, mode), "create")), "close");
}

static void write_file(const char *path, uint32_t offset, uint32_t size, uint8_t *data) {
    int is_each = below(3) == 0;
    int file = must(open(path, O_WRONLY | (is_each ? O_SYNC : 0)), "open");
    // In two pieces: the client has more than one page to write, and may send them as it likes.
    uint32_t first = size / 2;
    if (must(pwrite(file, data, first, offset), "write") != (int)first
        || must(pwrite(file, data + first, size - first, offset + first), "write") != (int)(size - first))
        fail("write", "short");
    if (!is_each) must(fsync(file), "fsync");
    must(close(file), "close");
}

static uint32_t read_file(const char *path, uint8_t *data) {
    static uint8_t *aligned;
    if (!aligned) {
        aligned = mmap(NULL, FILE_MAXIMUM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(aligned == MAP_FAILED ? -1 : 0, "mmap");
    }
    int file = must(open(path, O_RDONLY | O_DIRECT), "open");
    uint32_t size = 0;
    for (int count; (count = must(pread(file, aligned + size, FILE_MAXIMUM + 4096 - size, size), "read")) > 0;)
        size += count;
    must(close(file), "close");
    memcpy(data, aligned, size);
    return size;
}

static int count_entries(const char *path) {
    int count = 0;
    DIR *directory = opendir(path);
    must(directory ? 0 : -1, "opendir");
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.') count++;
    must(errno ? -1 : 0, "readdir");
    closedir(directory);
    return count;
}

static void truncate_file(const char *path, uint32_t size) { must(truncate(path, size), "truncate"); }
static void rename_name(const char *old, const char *new) { must(rename(old, new), "rename"); }
static void unlink_name(const char *path) { must(unlink(path), "unlink"); }
static void make_directory(const char *path, int mode) { must(mkdir(path, mode), "mkdir"); }
static void remove_directory(const char *path) { must(rmdir(path), "rmdir"); }
static void link_name(const char *old, const char *new) { must(link(old, new), "link"); }
static void make_symlink(const char *target, const char *path) { must(symlink(target, path), "symlink"); }
static void change_mode(const char *path, int mode) { must(chmod(path, mode), "chmod"); }
static void begin(const char *place) { must(chdir(place), place); }
#endif

// The model.

static int is_directory(const struct name *name) { return !name->node && !name->target[0]; }

// Whether `path` lies in the directory.
static int is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return !strncmp(path, directory, length) && path[length] == '/';
}

static int entries_below(const char *directory) {
    int count = 0;
    for (int index = 0; index < name_count; index++) count += is_below(names[index].path, directory);
    return count;
}

static struct name *find(const char *path) {
    for (int index = 0; index < name_count; index++)
        if (!strcmp(names[index].path, path)) return &names[index];
    return NULL;
}

static struct name *add(const char *path, struct node *node, const char *target) {
    struct name *name = &names[name_count++];
    snprintf(name->path, sizeof name->path, "%s", path);
    snprintf(name->target, sizeof name->target, "%s", target);
    name->node = node;
    if (node) node->links++;
    return name;
}

static void forget(struct name *name) {
    if (name->node && --name->node->links == 0) free(name->node);
    *name = names[--name_count];
}

// One of the names that `wanted` accepts, or NULL.
static struct name *choose(int (*wanted)(const struct name *)) {
    int start = name_count ? below(name_count) : 0;
    for (int index = 0; index < name_count; index++) {
        struct name *name = &names[(start + index) % name_count];
        if (wanted(name)) return name;
    }
    return NULL;
}

static int is_file(const struct name *name) { return name->node != NULL; }
static int is_no_directory(const struct name *name) { return !is_directory(name); }
static int is_empty_directory(const struct name *name) {
    return is_directory(name) && !entries_below(name->path);
}

// A path that is not used, in the worker's directory or in one of those below. Never used before: what
// came back from a crash, or happened twice, is not hidden by what was made later.
static void new_path(char *path, int in_root) {
    struct name *directory = in_root || below(2) ? NULL : choose(is_directory);
    if (directory) snprintf(path, PATH_LENGTH, "%.40s/%lu", directory->path, next_name++);
    else snprintf(path, PATH_LENGTH, "worker%d/%lu", worker, next_name++);
}

// Operations.

static void acknowledged(void) {
    say("=");
    number++;
}

static void create(void) {
    char path[PATH_LENGTH];
    new_path(path, 0);
    int mode = 0600 + below(0100);
    say("? create %s %o", path, mode);
    make_file(path, mode);
    acknowledged();
    struct node *node = calloc(1, sizeof *node);
    if (!node) fail("memory", "none");
    add(path, node, "");
}

static void change_data(struct name *name) {
    static uint8_t data[WRITE_MAXIMUM];
    struct node *node = name->node;
    uint32_t size = 2 + below(WRITE_MAXIMUM - 2), seed = random_number();
    uint32_t reach = node->size + 8192 < FILE_MAXIMUM - size ? node->size + 8192 : FILE_MAXIMUM - size;
    uint32_t offset = below(4) ? below(reach) : below(reach) / 4096 * 4096;
    for (uint32_t index = 0; index < size; index++) data[index] = pattern(seed, index);
    say("? write %s %u %u %u", name->path, offset, size, seed);
    write_file(name->path, offset, size, data);
    acknowledged();
    memcpy(node->data + offset, data, size);
    if (node->size < offset + size) node->size = offset + size;
}

static void change_size(struct name *name) {
    struct node *node = name->node;
    uint32_t size = below(FILE_MAXIMUM);
    say("? truncate %s %u", name->path, size);
    truncate_file(name->path, size);
    acknowledged();
    if (size < node->size) memset(node->data + size, 0, node->size - size);
    node->size = size;
}

static void move(struct name *name) {
    char old[PATH_LENGTH], new[PATH_LENGTH];
    struct name *victim = is_directory(name) || below(3) ? NULL : choose(is_no_directory);
    // Two names of one file: a rename that does nothing.
    if (victim && victim->node == name->node) victim = NULL;
    if (victim) strcpy(new, victim->path);
    else new_path(new, is_directory(name));
    strcpy(old, name->path);
    say("? rename %s %s", old, new);
    rename_name(old, new);
    acknowledged();
    if (victim) {
        forget(victim);
        name = find(old);
    }
    strcpy(name->path, new);
    for (int index = 0; index < name_count; index++) {
        struct name *inner = &names[index];
        char rest[PATH_LENGTH];
        if (!is_below(inner->path, old)) continue;
        strcpy(rest, inner->path + strlen(old));
        snprintf(inner->path, sizeof inner->path, "%.60s%.30s", new, rest);
    }
}

static void remove_something(struct name *name) {
    say("? %s %s", is_directory(name) ? "rmdir" : "unlink", name->path);
    if (is_directory(name)) remove_directory(name->path);
    else unlink_name(name->path);
    acknowledged();
    forget(name);
}

static void make_other(int choice) {
    char path[PATH_LENGTH];
    struct name *file = choose(is_file);
    new_path(path, choice == 0);
    if (choice == 0) {
        int mode = 0700 + below(0100);
        say("? mkdir %s %o", path, mode);
        make_directory(path, mode);
        acknowledged();
        add(path, NULL, "");
    } else if (choice == 1 || !file) {
        char target[PATH_LENGTH];
        snprintf(target, sizeof target, "to/%llx", (unsigned long long)random_number());
        say("? symlink %s %s", path, target);
        make_symlink(target, path);
        acknowledged();
        add(path, NULL, target);
    } else {
        say("? link %s %s", file->path, path);
        link_name(file->path, path);
        acknowledged();
        add(path, file->node, "");
    }
}

static void change_rights(struct name *name) {
    int mode = 0600 + below(0100);
    say("? chmod %s %o", name->path, mode);
    change_mode(name->path, mode);
    acknowledged();
}

// Says nothing unless something is wrong.
static void verify(struct name *name) {
    static uint8_t data[FILE_MAXIMUM + 8192];
    uint32_t size = read_file(name->path, data);
    if (size != name->node->size) fail(name->path, "has another size");
    if (memcmp(data, name->node->data, size)) fail(name->path, "has other bytes");
    char directory[PATH_LENGTH];
    snprintf(directory, sizeof directory, "worker%d", worker);
    int expected = 0;
    for (int index = 0; index < name_count; index++)
        expected += strchr(names[index].path + strlen(directory) + 1, '/') == NULL;
    int found = count_entries(directory);
    if (found != expected) {
        char text[80];
        snprintf(text, sizeof text, "has %d entries, not %d", found, expected);
        fail(directory, text);
    }
}

// SIGTERM waits until it is looked for: it would interrupt libnfs in its poll.
static int is_asked_to_end(void) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM);
}

static void work(const char *place, uint64_t seed) {
    random_state = seed * 1000 + worker;
    begin(place);
    for (int index = 0; index < MAIN_FILES; index++) {
        char path[PATH_LENGTH];
        struct node *node = calloc(1, sizeof *node);
        if (!node) fail("memory", "none");
        node->size = (index + 1) * MAIN_BYTES;
        for (uint32_t at = 0; at < node->size; at++) node->data[at] = pattern(index, at);
        snprintf(path, sizeof path, "worker%d/main%d", worker, index);
        add(path, node, "");
    }
    while (!is_asked_to_end()) {
        struct name *file = choose(is_file);
        uint32_t choice = below(100);
        if (name_count >= NAMES_MAXIMUM - 1 || (choice < 14 && name_count)) {
            struct name *victim = choose(below(3) ? is_no_directory : is_empty_directory);
            if (victim) remove_something(victim);
        } else if (!file || choice < 28) create();
        else if (choice < 54) change_data(file);
        else if (choice < 58) change_size(file);
        else if (choice < 76) move(&names[below(name_count)]);
        else if (choice < 88) make_other((choice - 76) / 4);
        else if (choice < 92) change_rights(file);
        else verify(file);
    }
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "crash-writer PLACE WORKERS SEED\n");
        return 64;
    }
    umask(0);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int workers = atoi(words[2]), left = workers, is_ending = 0, code = 0;
    pid_t *children = calloc(workers, sizeof *children);
    for (worker = 0; worker < workers; worker++) {
        children[worker] = fork();
        if (children[worker] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(words[1], strtoull(words[3], NULL, 10));
            _exit(0);
        }
    }
    while (left > 0) {
        int signal = sigwaitinfo(&signals, NULL), status, must_end = signal == SIGTERM;
        for (int index = 0; index < workers; index++) {
            if (children[index] == 0 || waitpid(children[index], &status, WNOHANG) != children[index]) continue;
            children[index] = 0;
            left--;
            if (WIFEXITED(status) ? WEXITSTATUS(status) : !is_ending) code = 2, must_end = 1;
        }
        for (int index = 0; must_end && !is_ending && index < workers; index++)
            if (children[index] != 0) kill(children[index], index % 2 ? SIGKILL : SIGTERM);
        is_ending |= must_end;
    }
    return code;
}
