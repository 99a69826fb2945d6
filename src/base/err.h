#pragma once
/*
 * The error value. A function that can fail for reasons worth telling a person takes a
 * `struct err *` as its last argument and returns 0 (or a useful number) on success and -errno on
 * failure; it fills the error in and leaves its outputs untouched. The pointer may be NULL.
 *
 * An error is a value with nothing to free. Its text names the thing, the cause and, where there is
 * one, the next thing to try; it is one line without a full stop. Leaf functions of base/ that can
 * only fail in one way return a bare -errno. Only cmd/ and api/ print errors.
 */

struct err {
	int code; /* errno, positive; 0 means no error */
	char text[508];
};

#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

/* Each returns -code, so that `return err_set(...)` is the whole failure path. */
int err_set(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/* As err_set() with the current errno, whose text is appended: "open '/x': No such file". */
int err_errno(struct err *err, const char *fmt, ...) printf_like(2, 3);

/* As err_errno() for a function that returned -errno. */
int err_code(struct err *err, int negative_errno, const char *fmt, ...) printf_like(3, 4);

/* Puts context before what is there: "layer 3: " + text. For module borders. Returns -err->code. */
int err_wrap(struct err *err, const char *fmt, ...) printf_like(2, 3);

#if defined(__clang_analyzer__) && !defined(ERR_C)
/* clang-tidy sees one file at a time, and would follow paths on which a failure is none. */
#define err_negative(call) \
	__extension__({ \
		int err_r_ = (call); \
		if (err_r_ >= 0) \
			__builtin_unreachable(); \
		err_r_; \
	})
#define err_set(...) err_negative(err_set(__VA_ARGS__))
#define err_errno(...) err_negative(err_errno(__VA_ARGS__))
#define err_code(...) err_negative(err_code(__VA_ARGS__))
#define err_wrap(...) err_negative(err_wrap(__VA_ARGS__))
#endif
