// Connections without a library: calls that start at the same time go in one system call, and one system
// call takes all the answers that are there.

#include "raw_message.h"

#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/// Of an answer, beside the data of a READ or a listing's page.
#define ANSWER_BYTES 1024
#define INPUT_BYTES (256 << 10)
#define PIECES_MAXIMUM 1024
#define EVENTS_MAXIMUM 256
/// If more were gathered, few in flight would all be with the server or all be here, and each would wait
/// for the other.
#define CALLS_PER_SEND 4

struct connection {
    int descriptor;
    /// What came and was not read yet: `input[begin..<end]`.
    char *input;
    size_t begin, end;
    /// What is to be sent: `pieces[first..<count]`.
    struct iovec *pieces;
    size_t first, count;
    bool is_blocked;
};

static struct connection connections[CONNECTIONS_MAXIMUM];
static char (*packed)[CALL_BYTES];
static uint32_t generations[IN_FLIGHT_MAXIMUM];
static size_t input_bytes;
static int poller;

// Sending

static void watch(struct connection *connection, int change, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, change, connection->descriptor, &event) != 0) {
        fail("epoll", strerror(errno));
    }
}

static void add_piece(struct connection *connection, const char *bytes, size_t count)
{
    connection->pieces[connection->count++]
        = (struct iovec){.iov_base = (char *)bytes, .iov_len = count};
}

static void start_raw(struct call *call)
{
    int index = (int)(call - load.calls);
    struct connection *connection = &connections[call->connection];
    uint32_t xid = (uint32_t)index | ++generations[index] << 12;
    add_piece(connection, packed[index], pack_call(packed[index], xid, call));
    if (carries_data(call)) {
        add_piece(connection, data_to_write(call), options.size_bytes);
    }
}

static void skip_sent(struct connection *connection, size_t sent)
{
    while (connection->first < connection->count) {
        struct iovec *piece = &connection->pieces[connection->first];
        if (sent < piece->iov_len) {
            piece->iov_base = (char *)piece->iov_base + sent;
            piece->iov_len -= sent;
            return;
        }
        sent -= piece->iov_len;
        connection->first += 1;
    }
}

static void flush(struct connection *connection)
{
    bool is_blocked = false;
    while (connection->first < connection->count && !is_blocked) {
        size_t count = connection->count - connection->first;
        ssize_t sent = writev(connection->descriptor, &connection->pieces[connection->first],
            (int)(count < PIECES_MAXIMUM ? count : PIECES_MAXIMUM));
        if (sent >= 0) {
            skip_sent(connection, (size_t)sent);
        } else if (errno == EAGAIN) {
            is_blocked = true;
        } else {
            fail("send", strerror(errno));
        }
    }
    // What was not sent moves to the front: then there is room for all calls in flight.
    connection->count -= connection->first;
    memmove(connection->pieces, &connection->pieces[connection->first],
        connection->count * sizeof *connection->pieces);
    connection->first = 0;
    if (is_blocked != connection->is_blocked) {
        connection->is_blocked = is_blocked;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN | (is_blocked ? EPOLLOUT : 0));
    }
}

// Receiving

static void answered(const char *record, size_t count)
{
    uint32_t xid = xid_of(record, count);
    uint32_t index = xid & (IN_FLIGHT_MAXIMUM - 1);
    if (index >= (uint32_t)options.in_flight || xid >> 12 != (generations[index] & 0xfffff)) {
        fail("RPC", "an answer to no call");
    }
    struct call *call = &load.calls[index];
    uint64_t bytes = read_answer(record, count, call);
    if (options.operation == OP_WRITE_COMMIT && !call->is_second) {
        call->is_second = true;
        start_raw(call);
    } else if (finish(call, bytes)) {
        begin(call);
        start_raw(call);
    }
}

/// The whole record at the beginning of what came, or 0.
static size_t next_record(const struct connection *connection)
{
    size_t there = connection->end - connection->begin;
    uint32_t mark;
    if (there < sizeof mark) {
        return 0;
    }
    memcpy(&mark, connection->input + connection->begin, sizeof mark);
    mark = ntohl(mark);
    size_t count = mark & 0x7fffffff;
    if ((mark & 0x80000000) == 0 || count + sizeof mark > input_bytes) {
        fail("RPC", "a record in several fragments, or too long");
    }
    return there < count + sizeof mark ? 0 : count;
}

/// Keeps the beginning of a record, and makes room for the rest of it.
static void make_room(struct connection *connection)
{
    size_t there = connection->end - connection->begin;
    if (there == 0 || connection->begin > input_bytes / 2) {
        memmove(connection->input, connection->input + connection->begin, there);
        connection->begin = 0;
        connection->end = there;
    }
}

static void receive(struct connection *connection)
{
    ssize_t count = recv(connection->descriptor, connection->input + connection->end,
        input_bytes - connection->end, 0);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        fail("receive", count == 0 ? "the server closed the connection" : strerror(errno));
    }
    client.last_answer = now_seconds();
    connection->end += (size_t)count;
    int answers = 0;
    for (size_t record; (record = next_record(connection)) > 0;) {
        const char *bytes = connection->input + connection->begin + 4;
        connection->begin += record + 4;
        answered(bytes, record);
        if (++answers % CALLS_PER_SEND == 0) {
            flush(connection);
        }
    }
    make_room(connection);
}

// The run

/// Makes a call, so that the server has the connection before anything is measured.
static void greet(int descriptor)
{
    char message[CALL_BYTES];
    size_t count = pack_call(message, 0, NULL);
    uint32_t mark = 0;
    struct timeval patience = {.tv_sec = (time_t)SILENCE_SECONDS};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(descriptor, message, count, 0) != (ssize_t)count
        || recv(descriptor, &mark, sizeof mark, MSG_WAITALL) != sizeof mark
        || (ntohl(mark) & 0x7fffffff) > sizeof message) {
        fail("NULL", "no answer");
    }
    size_t answer = ntohl(mark) & 0x7fffffff;
    if (recv(descriptor, message, answer, MSG_WAITALL) != (ssize_t)answer) {
        fail("NULL", "no answer");
    }
}

static void open_connection(struct connection *connection, size_t calls)
{
    connection->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->descriptor < 0) {
        fail("socket", strerror(errno));
    }
    int on = 1;
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    choose_congestion_control(connection->descriptor);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1
        || connect(connection->descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("connect", strerror(errno));
    }
    greet(connection->descriptor);
    if (fcntl(connection->descriptor, F_SETFL, O_NONBLOCK) != 0) {
        fail("connection", strerror(errno));
    }
    connection->input = malloc(input_bytes);
    connection->pieces = malloc(2 * calls * sizeof *connection->pieces);
    if (connection->input == NULL || connection->pieces == NULL) {
        fail("memory", strerror(errno));
    }
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

void open_raw(void)
{
    // Many connections have one answer each at a time, or few.
    size_t room = options.connections > 64 ? 4 * ANSWER_BYTES : INPUT_BYTES;
    input_bytes = 2 * (options.size_bytes + ANSWER_BYTES) + room;
    packed = malloc((size_t)options.in_flight * CALL_BYTES);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (packed == NULL || poller < 0) {
        fail("connections", strerror(errno));
    }
    size_t calls = (size_t)(options.in_flight / options.connections + 1);
    for (int index = 0; index < options.connections; index++) {
        open_connection(&connections[index], calls);
    }
}

static void serve_raw(void)
{
    struct epoll_event events[EVENTS_MAXIMUM];
    int count = epoll_wait(poller, events, EVENTS_MAXIMUM, 1000);
    if (count < 0 && errno != EINTR) {
        fail("epoll", strerror(errno));
    }
    if (count <= 0 && now_seconds() - client.last_answer > SILENCE_SECONDS) {
        fail("server", "no answer for 30 s");
    }
    for (int index = 0; index < count; index++) {
        struct connection *connection = events[index].data.ptr;
        if ((events[index].events & ~(uint32_t)EPOLLOUT) != 0) {
            receive(connection);
        }
        flush(connection);
    }
}

void run_raw(void)
{
    while (load.in_flight < options.in_flight
        && (options.calls == 0 || load.started < options.calls)) {
        struct call *call = &load.calls[load.in_flight++];
        begin(call);
        start_raw(call);
    }
    for (int index = 0; index < options.connections; index++) {
        flush(&connections[index]);
    }
    while (load.in_flight > 0) {
        serve_raw();
    }
}
