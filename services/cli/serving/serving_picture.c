#include "serving/serving_picture.h"

#include <aceso/file.h>

int cli_picture_write(struct ac_buf *b, bool whole, const char *path, struct ac_err *err)
{
    int rc = whole ? ac_file_write_atomic(path, b->data, b->len, 0644, err)
                   : ac_err_set(err, AC_ERANGE, "%s: the picture is too large", path);
    ac_buf_fini(b);
    return rc;
}
