/* The two CBLAS functions that the cpu executor calls, by their published C interface; the header's
 * place differs between systems. */
#pragma once

enum {
    BLAS_ROW_MAJOR = 101,
    BLAS_COL_MAJOR = 102,
    BLAS_NO_TRANS = 111,
    BLAS_TRANS = 112
};

void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void cblas_sgemv(int order, int trans, int m, int n, float alpha, const float *a, int lda,
                 const float *x, int incx, float beta, float *y, int incy);

/* One execution at a time with a predictable time: no threads behind our back. */
void openblas_set_num_threads(int n);
