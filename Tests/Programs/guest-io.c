// File operations that no command of busybox makes, for the guest of the integration tests: built with
// -static and run there. Each prints what a test compares and ends with 0; a call that must not fail and
// does ends the program with 2.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int must(int result, const char *what) {
    if (result < 0) {
        printf("%s: %s\n", what, strerror(errno));
        exit(2);
    }
    return result;
}

// mmap FILE OFFSET TEXT: changes a shared mapping, within one page.
static void map_and_change(const char *path, long offset, const char *text) {
    int file = must(open(path, O_RDWR), path);
    long page = sysconf(_SC_PAGESIZE), start = offset - offset % page;
    char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, start);
    must(memory == MAP_FAILED ? -1 : 0, "mmap");
    memcpy(memory + (offset - start), text, strlen(text));
    must(msync(memory, page, MS_SYNC), "msync");
    must(munmap(memory, page), "munmap");
    must(close(file), "close");
}

// append FILE WORD COUNT: COUNT lines, each by a write of its own.
static void append(const char *path, const char *word, int count) {
    int file = must(open(path, O_WRONLY | O_APPEND | O_CREAT, 0644), path);
    for (int number = 0; number < count; number++) {
        char line[80];
        int length = snprintf(line, sizeof line, "%s %d\n", word, number);
        must(write(file, line, length) == length ? 0 : -1, "write");
    }
    must(close(file), "close");
}

// exclusive DIR COUNT: tries to be the one that makes each of DIR/0 ... ; prints how many it made.
static void exclusive(const char *directory, int count) {
    int made = 0;
    must(chdir(directory), directory);
    for (int number = 0; number < count; number++) {
        char name[16];
        snprintf(name, sizeof name, "%d", number);
        int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0640);
        if (file >= 0) {
            made++;
            must(close(file), "close");
        } else if (errno != EEXIST) {
            must(-1, name);
        }
    }
    printf("%d\n", made);
}

// unlinked FILE TEXT: writes to the end of a file that has lost its name, and prints all of it.
static void write_unlinked(const char *path, const char *text) {
    int file = must(open(path, O_RDWR), path);
    must(unlink(path), "unlink");
    must(lseek(file, 0, SEEK_END), "lseek");
    must(write(file, text, strlen(text)), "write");
    must(fsync(file), "fsync");
    must(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), "posix_fadvise");
    struct stat status;
    must(fstat(file, &status), "fstat");
    printf("%ld bytes:\n", (long)status.st_size);
    fflush(stdout);
    char buffer[4096];
    for (long at = 0, count; (count = must(pread(file, buffer, sizeof buffer, at), "pread")) > 0; at += count)
        must(write(1, buffer, count), "write");
    must(close(file), "close");
}

// checksum FILE: of all its 64-bit words, which the guest adds up many times faster than an MD5.
static void checksum(const char *path) {
    static uint64_t words[8192];
    uint64_t sum = 0;
    int file = must(open(path, O_RDONLY), path);
    ssize_t count;
    while (memset(words, 0, sizeof words), (count = must(read(file, words, sizeof words), "read")) > 0)
        for (ssize_t index = 0; index * 8 < count; index++) sum = sum * 0x100000001b3 + words[index];
    printf("%016llx\n", (unsigned long long)sum);
    must(close(file), "close");
}

static const char *outcome(int result) {
    return result >= 0 ? "ok" : errno == EACCES ? "EACCES" : errno == EPERM ? "EPERM" : strerror(errno);
}

// open-all DIR: whether each file can be read, written by one byte, and executed.
static void open_all(const char *directory) {
    struct dirent **entries;
    must(chdir(directory), directory);
    int count = must(scandir(".", &entries, NULL, alphasort), "scandir");
    for (int index = 0; index < count; index++) {
        const char *name = entries[index]->d_name;
        if (name[0] == '.') continue;
        char byte = 'w';
        int file = open(name, O_RDONLY);
        printf("%s read %s", name, outcome(file < 0 ? -1 : (int)read(file, &byte, 1)));
        if (file >= 0) close(file);
        file = open(name, O_WRONLY);
        printf(" write %s", outcome(file < 0 ? -1 : (int)pwrite(file, "w", 1, 1)));
        if (file >= 0) printf(" close %s", outcome(close(file)));
        printf(" execute %s\n", outcome(access(name, X_OK)));
    }
}

int main(int count, char **words) {
    const char *verb = count > 1 ? words[1] : "";
    if (count == 5 && !strcmp(verb, "mmap")) map_and_change(words[2], atol(words[3]), words[4]);
    else if (count == 5 && !strcmp(verb, "append")) append(words[2], words[3], atoi(words[4]));
    else if (count == 4 && !strcmp(verb, "exclusive")) exclusive(words[2], atoi(words[3]));
    else if (count == 4 && !strcmp(verb, "unlinked")) write_unlinked(words[2], words[3]);
    else if (count == 4 && !strcmp(verb, "rename")) must(rename(words[2], words[3]), words[3]);
    else if (count == 3 && !strcmp(verb, "checksum")) checksum(words[2]);
    else if (count == 3 && !strcmp(verb, "open-all")) open_all(words[2]);
    else if (count == 3 && !strcmp(verb, "socket")) must(mknod(words[2], S_IFSOCK | 0600, 0), words[2]);
    else {
        fprintf(stderr, "guest-io: unknown command\n");
        return 64;
    }
    return 0;
}
