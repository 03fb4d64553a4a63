#include <string.h>

#include "CLinux.h"

#define POLYNOMIAL 0x82F63B78U

/// table[k][b]: what byte b adds when k more bytes follow it in the word of eight.
static uint32_t table[8][256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xFF];
        }
    }
}

uint32_t clinux_crc32c_by_table(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    crc = ~crc;
    while (count >= 8) {
        uint32_t sum = 0;
        for (int i = 0; i < 8; i++) {
            uint8_t byte = next[i] ^ (i < 4 ? (uint8_t)(crc >> (8 * i)) : 0);
            sum ^= table[7 - i][byte];
        }
        crc = sum;
        next += 8;
        count -= 8;
    }
    while (count-- > 0) crc = (crc >> 8) ^ table[0][(crc ^ *next++) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(
    uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    uint64_t sum = ~crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        sum = __builtin_ia32_crc32di(sum, word);
        next += 8;
        count -= 8;
    }
    uint32_t rest = (uint32_t)sum;
    while (count-- > 0) rest = __builtin_ia32_crc32qi(rest, *next++);
    return ~rest;
}

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
    if (__builtin_cpu_supports("sse4.2")) return by_instruction(crc, bytes, count);
    return clinux_crc32c_by_table(crc, bytes, count);
}
#else
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return clinux_crc32c_by_table(crc, bytes, count);
}
#endif
