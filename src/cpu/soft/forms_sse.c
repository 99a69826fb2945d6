/* MMX and SSE in their legacy encodings, and the general instructions that share 0F38 and 0F3A with them. */
#include "cpu/soft/forms.h"

#include "cpu/soft/forms_sse.h"

/* clang-format off */
#define P(code, pp, name, feature, flag, w) R(code, pp, name, (feature) | (flag), E(Vdq), E(w))
#define S P
#define PI(code, pp, name, feature, flag, w) R(code, pp, name, (feature) | (flag), E(Vdq), E(w), E(Ib))
#define SI PI
#define U(code, pp, name, feature, flag, a, b) R(code, pp, name, (feature) | (flag), E(a), E(b))
#define UI(code, pp, name, feature, flag, a, b) R(code, pp, name, (feature) | (flag), E(a), E(b), E(Ib))
#define M(code, name, feature, w) R(code, NP, name, feature, E(Pq), E(w))
#define LEGACY(code, cond, name, flag, ...) R(code, cond, name, flag, __VA_ARGS__)
#define VEX(...)

static const struct form rows_0f[] = { SSE_0F_ROWS };
static const struct form rows_0f38[] = { SSE_0F38_ROWS };
static const struct form rows_0f3a[] = { SSE_0F3A_ROWS };
/* clang-format on */

const struct form_map soft_map_sse_0f = { rows_0f, sizeof(rows_0f) / sizeof(rows_0f[0]) };
const struct form_map soft_map_0f38 = { rows_0f38, sizeof(rows_0f38) / sizeof(rows_0f38[0]) };
const struct form_map soft_map_0f3a = { rows_0f3a, sizeof(rows_0f3a) / sizeof(rows_0f3a[0]) };
