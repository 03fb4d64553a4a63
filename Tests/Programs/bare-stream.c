// Sends a file over loopback again and again, a piece at a time, to a child that throws it away: what a server
// that did nothing else would take.
//   bare-stream write|pread|sendfile PIECE-BYTES FILE SECONDS
// "write" sends the file's first piece each time; "pread" reads the next one first; "sendfile" sends it, after a
// short head, as a reply has one. Prints MB/s, and the sender's processor time for a piece in microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const size_t receiveBytes = 1 << 20;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double processorTime(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void receive(const struct sockaddr_in *address) {
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(stream, (const struct sockaddr *)address, sizeof *address)) err(1, "connect");
    char *memory = malloc(receiveBytes);
    while (recv(stream, memory, receiveBytes, 0) > 0) continue;
    _exit(0);
}

static void sendAll(int stream, const char *memory, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t sent = write(stream, memory + done, count - done);
        if (sent < 0) err(1, "write");
        done += (size_t)sent;
    }
}

static void sendFile(int stream, int file, off_t offset, size_t count) {
    static const char head[128];
    if (send(stream, head, sizeof head, MSG_MORE) < 0) err(1, "send");
    off_t end = offset + (off_t)count;
    while (offset < end)
        if (sendfile(stream, file, &offset, (size_t)(end - offset)) <= 0) err(1, "sendfile");
}

int main(int count, char **words) {
    if (count != 5) errx(2, "usage: bare-stream write|pread|sendfile PIECE-BYTES FILE SECONDS");
    int isSendfile = !strcmp(words[1], "sendfile");
    int isPread = !strcmp(words[1], "pread");
    size_t piece = (size_t)atol(words[2]);
    int file = open(words[3], O_RDONLY);
    off_t size = lseek(file, 0, SEEK_END);
    double seconds = atof(words[4]);
    if (file < 0 || piece == 0 || size < (off_t)piece) errx(2, "%s has no whole piece", words[3]);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        err(1, "listen");
    pid_t child = fork();
    if (child < 0) err(1, "fork");
    if (child == 0) receive(&address);
    int stream = accept(listener, NULL, NULL);
    int on = 1;
    setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    char *memory = malloc(piece);
    if (pread(file, memory, piece, 0) != (ssize_t)piece) err(1, "pread");
    double start = now(), processor = processorTime();
    long pieces = 0;
    while (now() - start < seconds)
        for (off_t offset = 0; offset + (off_t)piece <= size; offset += (off_t)piece, pieces++) {
            if (isPread && pread(file, memory, piece, offset) != (ssize_t)piece) err(1, "pread");
            if (isSendfile) sendFile(stream, file, offset, piece);
            else sendAll(stream, memory, piece);
        }
    double elapsed = now() - start;
    printf("%f %f\n", (double)pieces * (double)piece / elapsed / 1e6,
           (processorTime() - processor) * 1e6 / (double)pieces);
    close(stream);
    waitpid(child, NULL, 0);
    return 0;
}
