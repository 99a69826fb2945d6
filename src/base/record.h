#pragma once
/*
 * Structs described by a table, so that one description reads them from JSON, writes them and frees
 * them. Reading is strict about types and says where: "process.user.uid: expected an unsigned
 * integer". Unknown members are ignored (OCI runtime-spec, "Extensibility"), absent ones leave the
 * field zero; null counts as absent. Members that are zero (NULL, false, 0, empty) are not written
 * unless the field says RECORD_ALWAYS.
 *
 *	struct point { int64_t x; char *label; };
 *	static const struct record_field point_fields[] = {
 *		RECORD(struct point, x, "x", RECORD_I64),
 *		RECORD(struct point, label, "label", RECORD_STR),
 *		RECORD_END
 *	};
 */
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum record_type {
	RECORD_STOP,
	RECORD_STR,   /* char * */
	RECORD_BOOL,  /* bool */
	RECORD_I64,   /* int64_t; integers only */
	RECORD_U32,   /* uint32_t */
	RECORD_U64,   /* uint64_t */
	RECORD_I64P,  /* int64_t *, NULL when absent */
	RECORD_U64P,  /* uint64_t * */
	RECORD_BOOLP, /* bool * */
	RECORD_DBL,   /* double */
	RECORD_TIME,  /* int64_t, ns since the epoch; RFC 3339 in JSON */
	RECORD_STRV,  /* char **, an array of strings */
	RECORD_U32V,  /* struct u32v { uint32_t *v; size_t n; } */
	RECORD_SET, /* char **; an object whose members are empty objects: Go's way to write a set */
	RECORD_MAP,  /* char **, alternating key and value; an object of strings */
	RECORD_ONE,  /* struct embedded in the struct; described by sub */
	RECORD_PTR,  /* struct * or NULL when absent; described by sub */
	RECORD_LIST, /* struct record_list of pointers to structs described by sub */
	RECORD_JSON, /* json_t *, kept as it is */
};

#define RECORD_REQUIRED 1u /* found in any case of letters */
#define RECORD_ALWAYS 2u

/* Small: what has pointers is each process' own from its start on. */
struct record_field {
	const char *name;
	const struct record_field *sub;
	enum record_type type : 8;
	uint8_t flags;
	uint16_t offset;
	uint16_t sub_size;
};

struct record_list {
	void **items;
	size_t n;
};

struct u32v {
	uint32_t *v;
	size_t n;
};

#define RECORD(type_, member_, name_, kind_) \
	{ \
		.name = name_, .type = kind_, .offset = offsetof(type_, member_) \
	}
#define RECORD_F(type_, member_, name_, kind_, flags_) \
	{ \
		.name = name_, .type = kind_, .flags = flags_, .offset = offsetof(type_, member_) \
	}
#define RECORD_SUB(type_, member_, name_, kind_, sub_, sub_type_) \
	{ \
		.name = name_, .type = kind_, .offset = offsetof(type_, member_), .sub = sub_, \
		.sub_size = sizeof(sub_type_) \
	}
/* An object in JSON whose members lie in the outer struct itself. */
#define RECORD_FLAT(name_, fields_, flags_) \
	{ \
		.name = name_, .type = RECORD_ONE, .flags = flags_, .sub = fields_ \
	}
#define RECORD_END \
	{ \
		.name = NULL \
	}

/* Fills a zeroed object. On failure it is freed and zero again. -EINVAL. */
int record_parse(const struct record_field *fields, json_t *j, void *obj, struct err *err);
/* A new object; the caller owns it. */
json_t *record_dump(const struct record_field *fields, const void *obj);
/* Frees what the members own and zeroes them, not the object itself. */
void record_clear(const struct record_field *fields, void *obj);
/* Appends a zeroed item and returns it. */
void *record_list_add(struct record_list *list, size_t item_size);
/* Removes and frees item i. */
void record_list_remove(struct record_list *list, size_t i, const struct record_field *item_fields);

/* RECORD_MAP's form: value of key or NULL; set replaces or appends; value NULL removes. */
const char *map_get(char *const *map, const char *key);
void map_set(char ***map, const char *key, const char *value);
#define map_foreach(kv, map) for (char *const *kv = (map); kv && kv[0]; kv += 2)
