// long-line [--delay MS] [--rate KBIT] LISTEN=TARGET... - makes the way to a server long: a relay for TCP.
//
// LISTEN and TARGET are IPv4 ADDRESS:PORT. What comes in is passed on MS milliseconds later, in both
// directions, and in each direction no faster than KBIT kilobits a second, for all connections together. The
// ends stay as fast as they are, so a window of TCP costs what it does on a real line of a good network.
// Prints "ready" when it listens everywhere. On SIGTERM or SIGINT it ends, and prints the bytes that it
// passed on to targets and from them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024, QUEUE_BYTES_MAXIMUM = 32 * 1024 * 1024, LISTENERS_MAXIMUM = 16 };
enum { TO_TARGET, FROM_TARGET };

// What arrived in one piece, and when it is due at the other end.
struct chunk {
    struct chunk *next;
    int64_t due;
    size_t count, sent;
    char bytes[];
};

// One direction of a connection.
struct stream {
    struct chunk *first, *last;
    size_t queued;
    int64_t end_due;  // of the end, when it has come; 0 before
    bool ended;       // and was passed on
};

struct connection {
    struct connection *next;
    int client, target;  // target is -1 until the call would have arrived
    int64_t connect_due;
    struct sockaddr_in address;
    struct stream streams[2];
    bool broken;
};

struct listener {
    int socket;
    struct sockaddr_in target;
};

static struct listener listeners[LISTENERS_MAXIMUM];
static int listener_count;
static struct connection *connections;
static int64_t delay;             // nanoseconds
static double byte_time;          // nanoseconds, 0 without a rate
static int64_t line_free[2];      // when the line has carried what was sent so far
static uint64_t passed[2];
static volatile sig_atomic_t stopped;
static sigset_t signals_before;  // while it waits; it is stopped only there

static void stop(int signal) { (void)signal; stopped = 1; }

static void die(const char *what) {
    fprintf(stderr, "long-line: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

// When `count` bytes that are sent now arrive.
static int64_t arrival(int direction, size_t count) {
    int64_t start = now();
    if (line_free[direction] < start) line_free[direction] = start;
    line_free[direction] += (int64_t)(count * byte_time);
    return line_free[direction] + delay;
}

static void receive(struct connection *connection, int direction) {
    struct stream *stream = &connection->streams[direction];
    int from = direction == TO_TARGET ? connection->client : connection->target;
    struct chunk *chunk = malloc(sizeof *chunk + CHUNK_BYTES);
    if (!chunk) die("memory");
    ssize_t count = recv(from, chunk->bytes, CHUNK_BYTES, 0);
    if (count > 0) {
        chunk = realloc(chunk, sizeof *chunk + count);
        *chunk = (struct chunk){.due = arrival(direction, count), .count = count};
        if (stream->last) stream->last->next = chunk;
        else stream->first = chunk;
        stream->last = chunk;
        stream->queued += count;
        return;
    }
    free(chunk);
    if (count == 0) stream->end_due = arrival(direction, 0);
    else if (errno != EAGAIN && errno != EINTR) connection->broken = true;
}

static void pass_on(struct connection *connection, int direction, int64_t time) {
    struct stream *stream = &connection->streams[direction];
    int to = direction == TO_TARGET ? connection->target : connection->client;
    while (stream->first && stream->first->due <= time) {
        struct chunk *chunk = stream->first;
        ssize_t count = send(to, chunk->bytes + chunk->sent, chunk->count - chunk->sent, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) connection->broken = true;
            return;
        }
        passed[direction] += count;
        stream->queued -= count;
        chunk->sent += count;
        if (chunk->sent < chunk->count) return;
        stream->first = chunk->next;
        if (!stream->first) stream->last = NULL;
        free(chunk);
    }
    if (!stream->first && stream->end_due && stream->end_due <= time && !stream->ended) {
        shutdown(to, SHUT_WR);
        stream->ended = true;
    }
}

static void set_up(int socket) {
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

static void accept_from(struct listener *listener) {
    int client = accept(listener->socket, NULL, NULL);
    if (client < 0) return;
    set_up(client);
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) die("memory");
    *connection = (struct connection){.next = connections, .client = client, .target = -1,
        .connect_due = now() + delay, .address = listener->target};
    connections = connection;
}

static void connect_to_target(struct connection *connection) {
    connection->target = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->target < 0) die("socket");
    set_up(connection->target);
    if (connect(connection->target, (void *)&connection->address, sizeof connection->address) < 0 &&
        errno != EINPROGRESS)
        connection->broken = true;
}

// Frees the connections that are over. A broken one is reset, so that neither side takes it for an end.
static void remove_ended(void) {
    for (struct connection **place = &connections; *place;) {
        struct connection *connection = *place;
        struct stream *streams = connection->streams;
        if (!connection->broken && !(streams[0].ended && streams[1].ended)) {
            place = &connection->next;
            continue;
        }
        *place = connection->next;
        struct linger reset = {.l_onoff = connection->broken};
        int sockets[] = {connection->client, connection->target};
        for (int index = 0; index < 2; index++) {
            if (sockets[index] < 0) continue;
            setsockopt(sockets[index], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(sockets[index]);
            for (struct chunk *chunk; (chunk = streams[index].first); free(chunk))
                streams[index].first = chunk->next;
        }
        free(connection);
    }
}

// Adds what `stream` waits for to the sets, and the time at which something is due to `wake`.
static void watch(struct stream *stream, short *from, short *to, int64_t time, int64_t *wake) {
    if (!stream->end_due && stream->queued < QUEUE_BYTES_MAXIMUM) *from |= POLLIN;
    int64_t due = stream->first ? stream->first->due : stream->ended ? 0 : stream->end_due;
    if (!due) return;
    if (due <= time) *to |= POLLOUT;
    else if (due < *wake) *wake = due;
}

static void turn(void) {
    static struct pollfd *sets;
    static size_t capacity;
    size_t wanted = listener_count, index = listener_count;
    for (struct connection *each = connections; each; each = each->next) wanted += 2;
    if (wanted > capacity && !(sets = realloc(sets, (capacity = wanted * 2) * sizeof *sets))) die("memory");

    int64_t time = now(), wake = INT64_MAX;
    for (int each = 0; each < listener_count; each++)
        sets[each] = (struct pollfd){.fd = listeners[each].socket, .events = POLLIN};
    for (struct connection *each = connections; each; each = each->next) {
        if (each->target < 0 && each->connect_due <= time) connect_to_target(each);
        struct pollfd *client = &sets[index++], *target = &sets[index++];
        *client = (struct pollfd){.fd = each->client};
        *target = (struct pollfd){.fd = each->target};
        if (each->target < 0) {
            if (each->connect_due < wake) wake = each->connect_due;
            continue;
        }
        watch(&each->streams[TO_TARGET], &client->events, &target->events, time, &wake);
        watch(&each->streams[FROM_TARGET], &target->events, &client->events, time, &wake);
        // Poll would tell of an end again and again where nothing else is waited for.
        if (!client->events) client->fd = -1;
        if (!target->events) target->fd = -1;
    }
    struct timespec rest = {(wake - time) / 1000000000, (wake - time) % 1000000000};
    if (ppoll(sets, index, wake == INT64_MAX ? NULL : &rest, &signals_before) < 0 && errno != EINTR) die("poll");

    time = now();
    index = listener_count;
    for (struct connection *each = connections; each; each = each->next) {
        struct pollfd client = sets[index++], target = sets[index++];
        if (each->target < 0) continue;
        short failed = POLLERR | POLLHUP;
        if (client.events & POLLIN && client.revents & (POLLIN | failed)) receive(each, TO_TARGET);
        if (target.events & POLLIN && target.revents & (POLLIN | failed)) receive(each, FROM_TARGET);
        if (target.revents & POLLOUT) pass_on(each, TO_TARGET, time);
        if (client.revents & POLLOUT) pass_on(each, FROM_TARGET, time);
    }
    for (int each = 0; each < listener_count; each++)
        if (sets[each].revents & POLLIN) accept_from(&listeners[each]);
    remove_ended();
}

static struct sockaddr_in parse(char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *port = strrchr(text, ':');
    if (port) *port = 0;
    if (!port || inet_pton(AF_INET, text, &address.sin_addr) != 1 || !(address.sin_port = htons(atoi(port + 1)))) {
        fprintf(stderr, "long-line: not ADDRESS:PORT: %s\n", text);
        exit(64);
    }
    return address;
}

static void listen_for(char *pair) {
    char *target = strchr(pair, '=');
    if (!target || listener_count == LISTENERS_MAXIMUM) {
        fprintf(stderr, "long-line: not LISTEN=TARGET, or too many: %s\n", pair);
        exit(64);
    }
    *target = 0;
    struct listener *listener = &listeners[listener_count++];
    listener->target = parse(target + 1);
    struct sockaddr_in address = parse(pair);
    int on = 1;
    listener->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener->socket, (void *)&address, sizeof address) || listen(listener->socket, 64)) die("listen");
    fcntl(listener->socket, F_SETFL, O_NONBLOCK);
}

int main(int count, char **words) {
    for (int index = 1; index < count; index++) {
        if (!strcmp(words[index], "--delay") && index + 1 < count) delay = atof(words[++index]) * 1e6;
        else if (!strcmp(words[index], "--rate") && index + 1 < count) byte_time = 8e6 / atof(words[++index]);
        else listen_for(words[index]);
    }
    if (!listener_count) {
        fprintf(stderr, "usage: long-line [--delay MS] [--rate KBIT] LISTEN=TARGET...\n");
        return 64;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t stopping;
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGTERM);
    sigaddset(&stopping, SIGINT);
    sigprocmask(SIG_BLOCK, &stopping, &signals_before);
    puts("ready");
    fflush(stdout);
    while (!stopped) turn();
    printf("to targets %llu\nfrom targets %llu\n", (unsigned long long)passed[TO_TARGET],
        (unsigned long long)passed[FROM_TARGET]);
}
