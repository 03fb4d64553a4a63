// libnfs-overwrite URL PATH OFFSET BYTES: fills BYTES bytes of a file with 'L', through a file opened
// write-only. libnfs keeps no page cache: it sends what it is given, and nothing else.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nfsc/libnfs.h>

static struct nfs_context *nfs;

static int must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, nfs_get_error(nfs));
        exit(1);
    }
    return result;
}

int main(int count, char **words) {
    if (count != 5) {
        fprintf(stderr, "libnfs-overwrite URL PATH OFFSET BYTES\n");
        return 64;
    }
    uint64_t offset = strtoull(words[3], NULL, 10);
    size_t length = strtoul(words[4], NULL, 10);
    char *data = malloc(length);
    struct nfsfh *file;
    if (!data || !(nfs = nfs_init_context())) return 1;
    memset(data, 'L', length);
    struct nfs_url *url = nfs_parse_url_dir(nfs, words[1]);
    must(url ? 0 : -1, words[1]);
    must(nfs_mount(nfs, url->server, url->path), "mount");
    must(nfs_open(nfs, words[2], O_WRONLY, &file), "open");
    must(nfs_pwrite(nfs, file, offset, length, data) == (int)length ? 0 : -1, "write");
    must(nfs_close(nfs, file), "close");
    nfs_destroy_url(url);
    nfs_destroy_context(nfs);
    free(data);
    return 0;
}
