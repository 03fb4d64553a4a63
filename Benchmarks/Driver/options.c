#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const operation_names[OP_COUNT] = {
    "read", "write", "write-commit", "getattr", "lookup", "access", "readdirplus", "create",
    "remove", "create-remove", "rename", "null",
};

struct options options = {
    .host = "127.0.0.1", .export = "/export", .label = "", .in_flight = 8, .connections = 1,
    .size_bytes = 32768, .seconds = 2, .operation = OP_READ, .congestion = "cubic",
    .seed = 1, .stride = 1,
};

static const char usage[] =
    "usage: nfsload --port N --mount-port N --file NAME [OPTION]...\n"
    "  --host ADDRESS    127.0.0.1\n"
    "  --export PATH     /export\n"
    "  --client NAME     libnfs, or raw: calls that nfsload packs itself, many in one system call; libnfs\n"
    "  --operation NAME  read, write, getattr, lookup, access, null; read\n"
    "                    write-commit: WRITE, then COMMIT of the file, as one call\n"
    "                    readdirplus: the directory NAME from its beginning to its end, again and again\n"
    "                    create, remove, rename: files NAME.0, NAME.1... each once, so with --calls;\n"
    "                    rename makes them renamed.NAME.0...\n"
    "                    create-remove: both in turn\n"
    "  --size BYTES      of a READ, a WRITE or a listing's page; 32768\n"
    "  --in-flight N     1...4096 calls at a time; 8\n"
    "  --connections N   1...2048, among which the calls in flight are divided; 1\n"
    "  --seconds S       how long; 2\n"
    "  --calls N         how many calls instead, however long they take\n"
    "  --random          offsets or files in an order that looks random, each once before any comes again\n"
    "  --seed N          another such order\n"
    "  --stride N        only every Nth of the blocks of that size; 1\n"
    "  --files N         each call is about one of NAME.0, NAME.1... NAME.<N-1>, in turn; all but lookup\n"
    "                    look all of them up before; data is that of the beginning\n"
    "  --exports N       the connections are divided among PATH.0, PATH.1... PATH.<N-1>, each with a\n"
    "                    file NAME; for what is about a file\n"
    "  --first N         the number of the first of the files that there are each once; 0\n"
    "  --entries N       what a whole listing must have\n"
    "  --stable          WRITE with FILE_SYNC, not UNSTABLE\n"
    "  --own-files       each of the calls in flight has a file of its own: NAME.0, NAME.1...\n"
    "  --congestion NAME of our socket; cubic, as long as the system has it\n"
    "  --local-copy PATH what READ must find and WRITE writes\n"
    "  --latencies PATH  the latency of each call goes there, in nanoseconds, as 64-bit numbers of this machine\n"
    "  --server-pid N    account this process's processor time; may be given again\n"
    "  --label TEXT      put into the result\n"
    "Processor times in the result are processors in use: 1 is one core all the time.\n";

static _Noreturn void misused(void)
{
    fputs(usage, stderr);
    exit(2);
}

static long number(const char *text, long minimum, long maximum)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *text == 0 || *end != 0 || value < minimum || value > maximum) {
        fprintf(stderr, "nfsload: '%s' is not a number in %ld...%ld\n", text, minimum, maximum);
        misused();
    }
    return value;
}

static enum operation operation_named(const char *name)
{
    for (int operation = 0; operation < OP_COUNT; operation++) {
        if (strcmp(name, operation_names[operation]) == 0) {
            return (enum operation)operation;
        }
    }
    misused();
}

static bool is_raw(const char *client)
{
    if (strcmp(client, "raw") != 0 && strcmp(client, "libnfs") != 0) {
        misused();
    }
    return client[0] == 'r';
}

bool is_each_once(void)
{
    return options.operation == OP_CREATE || options.operation == OP_REMOVE
        || options.operation == OP_RENAME;
}

/// Whether calls have nothing but a file's handle, and no name.
static bool is_about_one_file(void)
{
    bool has_name = is_each_once() || options.operation == OP_LOOKUP
        || options.operation == OP_CREATE_REMOVE;
    return !has_name && !options.own_files && options.files == 0;
}

/// Whether each call of the operation may be about another file that is there.
static bool can_change_files(void)
{
    return !is_each_once() && !options.own_files && options.operation != OP_CREATE_REMOVE
        && options.operation != OP_READDIRPLUS;
}

/// Whether the options fit together.
static bool are_complete(void)
{
    return options.port != 0 && options.mount_port != 0 && options.file != NULL
        && options.seconds > 0 && strpbrk(options.label, "\"\\") == NULL
        && options.connections <= options.in_flight && (!is_each_once() || options.calls > 0)
        && options.size_bytes % 4 == 0 && (options.exports == 0 || is_about_one_file())
        && (options.files == 0 || can_change_files());
}

void parse_options(int count, char **words)
{
    static const struct option known[] = {
        {"host", 1, NULL, 'h'}, {"port", 1, NULL, 'p'}, {"mount-port", 1, NULL, 'm'},
        {"export", 1, NULL, 'e'}, {"file", 1, NULL, 'f'}, {"operation", 1, NULL, 'o'},
        {"size", 1, NULL, 's'}, {"in-flight", 1, NULL, 'n'}, {"seconds", 1, NULL, 't'},
        {"calls", 1, NULL, 'N'}, {"random", 0, NULL, 'r'}, {"stable", 0, NULL, 'S'},
        {"own-files", 0, NULL, 'O'}, {"connections", 1, NULL, 'C'},
        {"local-copy", 1, NULL, 'L'}, {"congestion", 1, NULL, 'c'}, {"client", 1, NULL, 'k'},
        {"latencies", 1, NULL, 'H'}, {"entries", 1, NULL, 'E'}, {"seed", 1, NULL, 'x'},
        {"stride", 1, NULL, 'd'},
        {"first", 1, NULL, 'F'}, {"files", 1, NULL, 'M'}, {"exports", 1, NULL, 'X'},
        {"server-pid", 1, NULL, 'P'}, {"label", 1, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    for (int choice; (choice = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (choice) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = (int)number(optarg, 1, 65535); break;
        case 'm': options.mount_port = (int)number(optarg, 1, 65535); break;
        case 'e': options.export = optarg; break;
        case 'f': options.file = optarg; break;
        case 'k': options.raw = is_raw(optarg); break;
        case 'o': options.operation = operation_named(optarg); break;
        case 's': options.size_bytes = (uint32_t)number(optarg, 4, 1 << 20); break;
        case 'n': options.in_flight = (int)number(optarg, 1, IN_FLIGHT_MAXIMUM); break;
        case 'C': options.connections = (int)number(optarg, 1, CONNECTIONS_MAXIMUM); break;
        case 't': options.seconds = strtod(optarg, NULL); break;
        case 'r': options.random = true; break;
        case 'S': options.stable = true; break;
        case 'O': options.own_files = true; break;
        case 'L': options.local_copy_path = optarg; break;
        case 'H': options.latencies_path = optarg; break;
        case 'N': options.calls = (uint64_t)number(optarg, 1, 1L << 40); break;
        case 'E': options.entries = (uint64_t)number(optarg, 1, 1L << 40); break;
        case 'F': options.first = (uint64_t)number(optarg, 0, 1L << 40); break;
        case 'M': options.files = (uint64_t)number(optarg, 1, 1L << 24); break;
        case 'X': options.exports = (int)number(optarg, 1, EXPORTS_MAXIMUM); break;
        case 'd': options.stride = (uint64_t)number(optarg, 1, 1 << 20); break;
        case 'x': options.seed = (uint64_t)number(optarg, 1, INT64_MAX); break;
        case 'c': options.congestion = optarg; break;
        case 'l': options.label = optarg; break;
        case 'P':
            if (options.pid_count == PIDS_MAXIMUM) {
                misused();
            }
            options.pids[options.pid_count++] = (int)number(optarg, 1, 1 << 30);
            break;
        default: misused();
        }
    }
    if (optind != count || !are_complete()) {
        misused();
    }
}
