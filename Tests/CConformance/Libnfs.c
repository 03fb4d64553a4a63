#include "CConformance.h"

#include <stdlib.h>
#include <string.h>

#include <nfsc/libnfs-zdr.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw-portmap.h>

#define TYPE(name) {#name, sizeof(name), (zdrproc_t)zdr_##name}
#define PROCEDURE(name) TYPE(name##3args), TYPE(name##3res)

static const struct {
    const char *name;
    size_t size;
    zdrproc_t routine;
} types[] = {
    TYPE(nfs_fh3), TYPE(diropargs3), TYPE(fattr3), TYPE(wcc_attr), TYPE(wcc_data), TYPE(sattr3),
    TYPE(createhow3), TYPE(mknoddata3), TYPE(nfstime3), TYPE(specdata3), TYPE(ftype3),
    TYPE(nfsstat3), TYPE(stable_how), TYPE(filename3), TYPE(nfspath3), TYPE(post_op_attr),

    PROCEDURE(GETATTR), PROCEDURE(SETATTR), PROCEDURE(LOOKUP), PROCEDURE(ACCESS),
    PROCEDURE(READLINK), PROCEDURE(READ), PROCEDURE(WRITE), PROCEDURE(CREATE), PROCEDURE(MKDIR),
    PROCEDURE(SYMLINK), PROCEDURE(MKNOD), PROCEDURE(REMOVE), PROCEDURE(RMDIR), PROCEDURE(RENAME),
    PROCEDURE(LINK), PROCEDURE(READDIR), PROCEDURE(READDIRPLUS), PROCEDURE(FSSTAT),
    PROCEDURE(FSINFO), PROCEDURE(PATHCONF), PROCEDURE(COMMIT),

    TYPE(mountstat3), TYPE(dirpath), TYPE(name), TYPE(mountres1), TYPE(mountres3), TYPE(mountlist),
    TYPE(exports),

    TYPE(pmap2_mapping), TYPE(pmap2_dump_result), TYPE(pmap2_call_args), TYPE(pmap2_call_result),
};

const char *conformance_libnfs_type(size_t index) {
    return index < sizeof types / sizeof types[0] ? types[index].name : NULL;
}

static long round_trip(
    zdrproc_t routine, void *value, char *in, size_t size, uint8_t *out, size_t capacity) {
    long result;
    ZDR zdr;
    zdrmem_create(&zdr, in, (uint32_t)size, ZDR_DECODE);
    if (!routine(&zdr, value)) {
        result = CONFORMANCE_NOT_DECODED;
    } else if (zdr_getpos(&zdr) != size) {
        result = CONFORMANCE_BYTES_LEFT;
    } else {
        // What was decoded points into `zdr`, so that one is destroyed after the encoding.
        ZDR copy;
        memset(out, 0, capacity);
        zdrmem_create(&copy, (char *)out, (uint32_t)capacity, ZDR_ENCODE);
        result = routine(&copy, value) ? (long)zdr_getpos(&copy) : CONFORMANCE_NOT_ENCODED;
        zdr_destroy(&copy);
    }
    zdr_destroy(&zdr);
    return result;
}

long conformance_libnfs(
    const char *type, const uint8_t *in, size_t size, uint8_t *out, size_t capacity) {
    for (size_t index = 0; index < sizeof types / sizeof types[0]; index++) {
        if (strcmp(types[index].name, type) != 0) continue;
        char *copy = malloc(size + 1);
        void *value = calloc(1, types[index].size);
        long result = CONFORMANCE_NO_MEMORY;
        if (copy != NULL && value != NULL) {
            memcpy(copy, in, size);
            result = round_trip(types[index].routine, value, copy, size, out, capacity);
        }
        free(value);
        free(copy);
        return result;
    }
    return CONFORMANCE_UNKNOWN_TYPE;
}
