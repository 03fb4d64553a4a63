// steady-load PLACE IMAGE: four processes at work in PLACE, a mounted session of the directory IMAGE, one in each of
// its directories 0 to 3. They write with fsync, create, replace, rename, remove, list and read, and know what must be
// there. The first call that fails, or finds something else, ends all with 2 and a line that says which.
//
// Lines on standard input are answered by one on standard output:
//   more   when each process has done some more, the operations of all since the last answer, and the milliseconds
//          that the longest took
//   end    when everything was read once more, as the server has it: the number of files, and of all operations; then
//          the program ends with 0
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, FILES_MAXIMUM = 24, BYTES_MAXIMUM = 65536, WRITE_MAXIMUM = 32768, OPERATIONS_MORE = 10 };

struct file {
    char name[32];  // empty: there is none
    uint32_t size;
    uint8_t data[BYTES_MAXIMUM];
};

// What the processes tell the first one.
static struct shared {
    atomic_ulong operations, longest_ms, files;
} *workers;

static struct file files[FILES_MAXIMUM];
static int worker, next_name;
static volatile sig_atomic_t is_ending;

static void fail(const char *format, ...) {
    char text[200];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    printf("failed: process %d: %s\n", worker, text);
    fflush(stdout);
    _exit(2);
}

static int must(int result, const char *what, const char *name) {
    if (result < 0) fail("%s %s: %s", what, name, strerror(errno));
    return result;
}

static uint32_t below(uint32_t bound) { return (uint32_t)random() % bound; }

// Reads what the server has, not what the client keeps; returns the size.
static uint32_t read_file(const char *name, uint8_t *data) {
    int file = must(open(name, O_RDONLY | O_DIRECT), "open", name);
    uint32_t size = 0;
    for (int count; (count = must(pread(file, data + size, BYTES_MAXIMUM - size, size), "read", name)) > 0;)
        size += count;
    must(close(file), "close", name);
    return size;
}

static void check_file(const struct file *expected) {
    static uint8_t *data;
    if (!data && posix_memalign((void **)&data, 4096, BYTES_MAXIMUM)) fail("no memory");
    uint32_t size = read_file(expected->name, data);
    if (size != expected->size) fail("%s has %u bytes, not %u", expected->name, size, expected->size);
    for (uint32_t at = 0; at < size; at++)
        if (data[at] != expected->data[at]) fail("%s has another byte at %u", expected->name, at);
}

static void check_names(void) {
    DIR *directory = opendir(".");
    if (!directory) fail("opendir: %s", strerror(errno));
    int expected = 0, found = 0;
    for (int index = 0; index < FILES_MAXIMUM; index++) expected += files[index].name[0] != 0;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        int is_known = 0;
        for (int index = 0; index < FILES_MAXIMUM; index++) is_known |= !strcmp(files[index].name, entry->d_name);
        if (!is_known) fail("there is %s", entry->d_name);
        found++;
    }
    if (errno) fail("readdir: %s", strerror(errno));
    if (found != expected) fail("there are %d names, not %d", found, expected);
    must(closedir(directory), "closedir", ".");
}

// Writes random bytes to the file and to what is known of it. They are durable when it returns.
static void change(struct file *known, const char *name, int flags) {
    uint32_t size = 1 + below(WRITE_MAXIMUM), offset = below(BYTES_MAXIMUM - WRITE_MAXIMUM);
    if (flags & O_EXCL) offset = 0;
    if (offset > known->size) offset = known->size;
    for (uint32_t at = offset; at < offset + size; at++) known->data[at] = (uint8_t)random();
    int file = must(open(name, O_WRONLY | flags, 0644), "open", name);
    if (must(pwrite(file, known->data + offset, size, offset), "write", name) != (int)size) fail("short write");
    must(fsync(file), "fsync", name);
    must(close(file), "close", name);
    if (known->size < offset + size) known->size = offset + size;
}

static void new_name(char *name) { snprintf(name, sizeof files->name, "new%d", next_name++); }

static void operate(struct file *file) {
    char name[sizeof file->name];
    uint32_t choice = below(100);
    if (!file->name[0]) {
        new_name(name);
        file->size = 0;
        change(file, name, O_CREAT | O_EXCL);
        strcpy(file->name, name);
    } else if (choice < 30) {
        change(file, file->name, 0);
    } else if (choice < 45) {
        new_name(name);
        file->size = 0;
        change(file, name, O_CREAT | O_EXCL);
        must(rename(name, file->name), "replace", file->name);
    } else if (choice < 55) {
        new_name(name);
        must(rename(file->name, name), "rename", file->name);
        strcpy(file->name, name);
    } else if (choice < 65) {
        must(unlink(file->name), "unlink", file->name);
        file->name[0] = 0;
    } else if (choice < 75) {
        check_names();
    } else {
        check_file(file);
    }
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void ask_to_end(int signal) { is_ending = signal; }

// The image's files are the first that are known.
static void learn(const char *image) {
    struct dirent **entries;
    int count = must(scandir(image, &entries, NULL, alphasort), "scandir", image), known = 0;
    for (int index = 0; index < count; index++) {
        if (entries[index]->d_name[0] == '.') continue;
        char path[600];
        if (known == FILES_MAXIMUM) fail("too many files in %s", image);
        struct file *file = &files[known++];
        snprintf(path, sizeof path, "%s/%s", image, entries[index]->d_name);
        snprintf(file->name, sizeof file->name, "%.31s", entries[index]->d_name);
        FILE *stream = fopen(path, "r");
        if (!stream) fail("%s: %s", path, strerror(errno));
        file->size = fread(file->data, 1, BYTES_MAXIMUM, stream);
        fclose(stream);
    }
}

static void work(const char *place, const char *image) {
    char path[300];
    struct shared *shared = &workers[worker];
    srandom(1 + worker);
    snprintf(path, sizeof path, "%s/%d", image, worker);
    learn(path);
    snprintf(path, sizeof path, "%s/%d", place, worker);
    must(chdir(path), "chdir", path);
    while (!is_ending) {
        uint64_t start = now_ms();
        operate(&files[below(FILES_MAXIMUM)]);
        uint64_t took = now_ms() - start;
        if (took > shared->longest_ms) shared->longest_ms = took;
        shared->operations++;
    }
    check_names();
    for (int index = 0; index < FILES_MAXIMUM; index++) {
        if (!files[index].name[0]) continue;
        check_file(&files[index]);
        shared->files++;
    }
}

// Whether none of the processes has failed.
static void check_children(void) {
    int status;
    if (waitpid(-1, &status, WNOHANG) > 0) _exit(2);
}

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); }

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "steady-load PLACE IMAGE\n");
        return 64;
    }
    workers = mmap(NULL, sizeof *workers * WORKERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (workers == MAP_FAILED) fail("no memory");
    pid_t children[WORKERS];
    for (worker = 0; worker < WORKERS; worker++) {
        children[worker] = fork();
        if (children[worker] == 0) {
            // No call ends because of it: a signal that has no handler would end a process that waits for a server.
            sigaction(SIGTERM, &(struct sigaction){.sa_handler = ask_to_end, .sa_flags = SA_RESTART}, NULL);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(words[1], words[2]);
            _exit(0);
        }
    }
    char line[20];
    unsigned long operations, longest, total = 0;
    while (fgets(line, sizeof line, stdin) && !strcmp(line, "more\n")) {
        unsigned long before[WORKERS];
        for (int index = 0; index < WORKERS; index++) before[index] = workers[index].operations;
        for (int index = 0; index < WORKERS; index++)
            while (workers[index].operations < before[index] + OPERATIONS_MORE) check_children(), nap();
        operations = longest = 0;
        for (int index = 0; index < WORKERS; index++) {
            unsigned long took = atomic_exchange(&workers[index].longest_ms, 0);
            operations += workers[index].operations;
            if (longest < took) longest = took;
        }
        printf("%lu %lu\n", operations - total, longest);
        fflush(stdout);
        total = operations;
    }
    unsigned long found = 0;
    int status;
    for (int index = 0; index < WORKERS; index++) kill(children[index], SIGTERM);
    for (int index = 0; index < WORKERS; index++)
        if (waitpid(children[index], &status, 0) < 0 || status != 0) return 2;
    total = 0;
    for (int index = 0; index < WORKERS; index++) {
        found += workers[index].files;
        total += workers[index].operations;
    }
    printf("%lu %lu\n", found, total);
    return 0;
}
