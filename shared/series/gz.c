#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/series.h>

struct inflater {
    z_stream z;
    char *out;
    size_t len, cap, max;
    const char *name;
    struct ac_err *err;
};

static int grow(struct inflater *f)
{
    if (f->len > f->max)
        return ac_err_set(f->err, AC_ERANGE, "%s: larger than %zu bytes when inflated", f->name,
                          f->max);
    if (f->cap - f->len > 1)
        return 0;
    size_t cap = AC_MIN(f->cap * 2, f->max + 2); /* one byte to see the excess, one for the NUL */
    char *p = ac_try_realloc(f->out, cap);
    if (!p)
        return ac_err_set(f->err, AC_ENOMEM, "%s: out of memory", f->name);
    f->out = p;
    f->cap = cap;
    return 0;
}

/* All members, one after the other, as gzip -d does. */
static int inflate_all(struct inflater *f, const unsigned char *data, size_t len)
{
    size_t taken = 0; /* avail_in is 32 bits: long inputs go in by pieces */
    int zrc = Z_OK;
    do {
        if (f->z.avail_in == 0 && taken < len) {
            size_t piece = AC_MIN(len - taken, (size_t)1 << 30);
            f->z.next_in = (Bytef *)(uintptr_t)(data + taken);
            f->z.avail_in = (uInt)piece;
            taken += piece;
        }
        int rc = grow(f);
        if (rc)
            return rc;
        size_t room = AC_MIN(f->cap - f->len - 1, (size_t)1 << 30);
        f->z.next_out = (Bytef *)f->out + f->len;
        f->z.avail_out = (uInt)room;
        zrc = inflate(&f->z, Z_NO_FLUSH);
        f->len += room - f->z.avail_out;
        bool more = f->z.avail_in > 0 || taken < len;
        if (zrc == Z_STREAM_END && more) {
            /* What follows a member and is not one (padding) is ignored. */
            if (f->z.avail_in < 2 || f->z.next_in[0] != 0x1f || f->z.next_in[1] != 0x8b)
                return 0;
            zrc = inflateReset(&f->z);
        }
        if (zrc == Z_BUF_ERROR && !more) /* wants more input than there is */
            break;
    } while (zrc == Z_OK || zrc == Z_BUF_ERROR);
    if (zrc == Z_STREAM_END)
        return 0;
    if (zrc == Z_MEM_ERROR)
        return ac_err_set(f->err, AC_ENOMEM, "%s: out of memory", f->name);
    return ac_err_set(f->err, AC_EINVAL, "%s: damaged gzip data%s%s", f->name,
                      f->z.msg ? ": " : " (cut short)", f->z.msg ? f->z.msg : "");
}

static voidpf z_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return ac_try_calloc(items, size);
}

static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    free(p);
}

int ac_gz_inflate(const char *name, const void *data, size_t len, size_t max_bytes, char **ret_data,
                  size_t *ret_len, struct ac_err *err)
{
    const unsigned char *bytes = data;
    AC_ASSERT(max_bytes <= SIZE_MAX / 4);
    bool gz = len >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    if (!gz && len > max_bytes)
        return ac_err_set(err, AC_ERANGE, "%s: larger than %zu bytes", name, max_bytes);
    struct inflater f = {.max = max_bytes, .name = name, .err = err};
    f.cap = gz ? AC_MIN(AC_MIN(len, (size_t)1 << 28) * 4 + 64, max_bytes + 2) : len + 1;
    f.out = ac_try_malloc(f.cap);
    if (!f.out)
        return ac_err_set(err, AC_ENOMEM, "%s: out of memory", name);
    int rc = 0;
    if (!gz) {
        if (len)
            memcpy(f.out, data, len);
        f.len = len;
    } else {
        f.z.zalloc = z_alloc;
        f.z.zfree = z_free;
        if (inflateInit2(&f.z, 16 + MAX_WBITS) == Z_OK)
            rc = inflate_all(&f, bytes, len);
        else
            rc = ac_err_set(err, AC_ENOMEM, "%s: out of memory", name);
        inflateEnd(&f.z);
        if (rc == 0 && f.len > max_bytes)
            rc = ac_err_set(err, AC_ERANGE, "%s: larger than %zu bytes when inflated", name,
                            max_bytes);
    }
    if (rc) {
        free(f.out);
        return rc;
    }
    f.out[f.len] = '\0';
    *ret_data = f.out;
    *ret_len = f.len;
    return 0;
}

int ac_gz_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
               struct ac_err *err)
{
    char *raw;
    size_t len;
    int rc = ac_file_read(path, max_bytes, &raw, &len, err);
    if (rc)
        return rc;
    if (len < 2 || (unsigned char)raw[0] != 0x1f || (unsigned char)raw[1] != 0x8b) {
        *ret_data = raw;
        *ret_len = len;
        return 0;
    }
    rc = ac_gz_inflate(path, raw, len, max_bytes, ret_data, ret_len, err);
    free(raw);
    return rc;
}
