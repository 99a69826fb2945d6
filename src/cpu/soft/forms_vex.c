/* What VEX prefixes encode: AVX, AVX2, FMA, F16C, BMI1, BMI2. */
#include "cpu/soft/forms.h"

#include "cpu/soft/forms_sse.h"

/* clang-format off */
/* The row's own feature is that of the legacy form, except where the VEX form has the same name for it. */
#define FEATURE(f) ((f) == F_AES || (f) == F_PCLMUL ? (unsigned)(f) : (unsigned)F_AVX)
#define P(code, pp, name, feature, flag, w) R(code, pp, V##name, FEATURE(feature) | (flag), E(Vx), E(Hx), E(w))
#define S(code, pp, name, feature, flag, w) R(code, pp, V##name, FEATURE(feature) | (flag), E(Vdq), E(Hdq), E(w))
#define PI(code, pp, name, feature, flag, w) R(code, pp, V##name, FEATURE(feature) | (flag), E(Vx), E(Hx), E(w), E(Ib))
#define SI(code, pp, name, feature, flag, w) R(code, pp, V##name, FEATURE(feature) | (flag), E(Vdq), E(Hdq), E(w), E(Ib))
#define U(code, pp, name, feature, flag, a, b) R(code, pp, V##name, FEATURE(feature) | (flag), E(a), E(b))
#define UI(code, pp, name, feature, flag, a, b) R(code, pp, V##name, FEATURE(feature) | (flag), E(a), E(b), E(Ib))
#define M(code, name, feature, w)
#define LEGACY(...)
#define VEX(code, cond, name, flag, ...) R(code, cond, name, flag, __VA_ARGS__)

static const struct form rows_0f[] = { SSE_0F_ROWS };
static const struct form rows_0f38[] = { SSE_0F38_ROWS };
static const struct form rows_0f3a[] = { SSE_0F3A_ROWS };
/* clang-format on */

const struct form_map soft_map_vex_0f = { rows_0f, sizeof(rows_0f) / sizeof(rows_0f[0]) };
const struct form_map soft_map_vex_0f38 = { rows_0f38, sizeof(rows_0f38) / sizeof(rows_0f38[0]) };
const struct form_map soft_map_vex_0f3a = { rows_0f3a, sizeof(rows_0f3a) / sizeof(rows_0f3a[0]) };
